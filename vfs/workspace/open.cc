// Opening and closing.
#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "journal/empty_change_log.h"
#include "vfs/workspace/index_file.h"
#include "vfs/workspace/layers.h"
#include "vfs/workspace/opening.h"
#include "vfs/workspace/replay.h"
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// For the last checkpoint; the next start replays what does not fit in.
constexpr std::chrono::milliseconds kClosingTime(1000);

LayersBelow BelowOf(const WorkspaceConfig& config) {
  const bool stores = std::ranges::any_of(
      config.layers, [](const WorkspaceLayer& layer) { return layer.spec.kind == LayerKind::kCastore; });
  return stores ? LayersBelow::kStores : LayersBelow::kFolders;
}

// `path`: of the workspace; empty for what is served as it is.
MemoryBudget BudgetOf(const std::string& path, const WorkspaceConfig& config, const WorkspaceOptions& options) {
  MemoryBudget budget =
      MemoryBudget::Of(options.memory_bytes, path.empty() ? LayersBelow::kNothingAbove : BelowOf(config));
  if (options.whole_directory_names != 0)
    budget.whole_directory_names = budget.shed_names = options.whole_directory_names;
  if (options.whole_file_extents != 0) budget.whole_file_extents = budget.shed_extents = options.whole_file_extents;
  return budget;
}

// Of the numbers that what is equal shares. Handles are made with the key itself.
SipHashKey ShareKey(const VolumeKeys& keys) {
  return {SipHash24(keys.handle_key, AsBytes("shared numbers, 1")),
          SipHash24(keys.handle_key, AsBytes("shared numbers, 2"))};
}

LayerOptions LayerOptionsOf(const WorkspaceOptions& options) {
  LayerOptions of_layers;
  of_layers.recheck_after_ns = options.layer_recheck_ns;
  of_layers.show_xattr = options.show_xattr;
  of_layers.list_roots = options.list_roots;
  of_layers.hold = !options.read_only;
  return of_layers;
}

}  // namespace

Result<std::unique_ptr<Workspace>> Workspace::Open(Env& env, const std::string& path, const WorkspaceOptions& options) {
  STRATA_ASSIGN(WorkspaceConfig config, LoadWorkspaceConfig(env, path));
  const LayerOpeners& openers = options.openers != nullptr ? *options.openers : LayerOpeners::Default();
  const std::size_t memory = MemoryBudget::Of(options.memory_bytes, BelowOf(config)).layers;
  LayerOptions of_layers = LayerOptionsOf(options);
  of_layers.hidden = path;
  of_layers.memory = memory;
  STRATA_ASSIGN(OpenedLayers opened, OpenLayers(config, openers, of_layers));
  if (!options.rebase || options.read_only) {
    for (std::size_t i = 0; i < config.layers.size(); ++i) {
      STRATA_TRY(CheckResolution(path, config.layers[i], opened.resolutions[i]));
    }
  }
  auto workspace = std::make_unique<WorkspaceImpl>(env, path, std::move(config), std::move(opened.layers), options);
  STRATA_TRY(workspace->Start(&opened.resolutions));
  return workspace;
}

Result<std::unique_ptr<Workspace>> Workspace::OpenOver(Env& env, const std::string& path,
                                                       std::vector<std::unique_ptr<Layer>> layers,
                                                       const WorkspaceOptions& options) {
  STRATA_ASSIGN(WorkspaceConfig config, LoadWorkspaceConfig(env, path));
  auto workspace = std::make_unique<WorkspaceImpl>(env, path, std::move(config), std::move(layers), options);
  STRATA_TRY(workspace->Start(nullptr));
  return workspace;
}

Result<std::unique_ptr<Workspace>> Workspace::OpenAsItIs(Env& env, const LayerSpec& spec, const VolumeKeys& keys,
                                                         const std::string& home, const WorkspaceOptions& options) {
  const LayerOpeners& openers = options.openers != nullptr ? *options.openers : LayerOpeners::Default();
  LayerOptions of_layer = LayerOptionsOf(options);
  of_layer.memory = MemoryBudget::Of(options.memory_bytes, LayersBelow::kNothingAbove).layers;
  of_layer.home = home;
  of_layer.hold = !home.empty();
  if (options.share_inodes) of_layer.share_key = ShareKey(keys);
  STRATA_ASSIGN(OpenedLayer opened, openers.Open(spec, of_layer));
  return OpenAsItIs(env, std::move(opened.layer), keys, options);
}

Result<std::unique_ptr<Workspace>> Workspace::OpenAsItIs(Env& env, std::unique_ptr<Layer> layer, const VolumeKeys& keys,
                                                         const WorkspaceOptions& options) {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::move(layer));
  WorkspaceOptions as_it_is = options;
  as_it_is.read_only = true;
  WorkspaceConfig config;
  static_cast<VolumeKeys&>(config) = keys;
  auto workspace = std::make_unique<WorkspaceImpl>(env, "", std::move(config), std::move(layers), as_it_is);
  STRATA_TRY(workspace->Start(nullptr));
  return workspace;
}

WorkspaceImpl::WorkspaceImpl(Env& env, std::string path, WorkspaceConfig config,
                             std::vector<std::unique_ptr<Layer>> layers, const WorkspaceOptions& options)
    : env_(env),
      path_(std::move(path)),
      config_(std::move(config)),
      options_(options),
      budget_(BudgetOf(path_, config_, options)),
      lower_(std::move(layers), config_.name_key),
      table_(budget_),
      loader_(env_, path_, config_.name_key, budget_, lower_, table_) {
  volume_.id = config_.volume_id;
  volume_.handle_key = config_.handle_key;
  volume_.read_only = options.read_only;
  shares_numbers_ = lower_.SharesNumbers();
}

Result<void> WorkspaceImpl::TakeLock() {
  STRATA_ASSIGN(lock_file_, env_.Open(path_ + "/lock", OpenMode::kCreate));
  auto locked = lock_file_->Lock();
  if (locked) return locked;
  if (locked.error().code() != Errc::kBusy && locked.error().code() != Errc::kWouldBlock) return locked;
  return Fail(Errc::kBusy, path_ + " is being served by another process; end that one first, or use --read-only");
}

Result<void> WorkspaceImpl::Start(const std::vector<Resolution>* resolutions) {
  if (!path_.empty() && (shares_numbers_ || options_.share_inodes)) {
    return Fail(Errc::kInvalid, path_ +
                                    ": what is equal cannot share inode numbers in a workspace, where a file that "
                                    "is written is no longer equal; serve the tree as it is");
  }
  if (!options_.read_only) {
    STRATA_TRY(TakeLock());
    RemoveCheckIndex(env_, CheckIndexPath(path_));
  }
  std::array<std::uint64_t, 2> random;
  env_.Random(std::as_writable_bytes(std::span(random)));
  std::memcpy(verifier_.data(), &random[0], sizeof verifier_);
  generation_ = Generation(static_cast<std::uint32_t>(random[1]) | 1);

  Opened opened;
  if (path_.empty()) {
    opened.journal = journal::EmptyChangeLog();
  } else {
    STRATA_ASSIGN(opened, Opening(env_, path_, config_, options_, budget_, loader_.copied_up()).Run());
  }
  journal_ = std::move(opened.journal);
  index_ = std::move(opened.index);
  keeper_ = std::move(opened.keeper);
  loader_.Begin(index_.get(), keeper_.get(), opened.position);
  next_ino_.store(opened.next_ino.value);
  past_requests_ = std::move(opened.past_requests);
  if (options_.read_only) STRATA_TRY(MemoryReplay(*journal_, table_, loader_, config_.name_key).Run());

  STRATA_TRY(loader_.LoadObject(kBackground, {kRootInode, Generation(0), 0}, true));
  {
    StripeLock lock(table_);
    lock.Lock({kRootInode});
    const Inode* root = table_.Find(kRootInode);
    if (!root->is_directory()) return Fail(Errc::kNotDirectory, "the root of " + path_ + " is not a directory");
    root_ = root->id();
  }
  if (options_.read_only) return {};
  if (options_.rebase && resolutions != nullptr) STRATA_TRY(Rebase(*resolutions));
  keeper_->Start();
  cleaner_.emplace(env_, *journal_, *index_, *keeper_, static_cast<Cleaner::Volume&>(*this), path_);
  cleaner_->Start(options_.history);
  return {};
}

WorkspaceImpl::~WorkspaceImpl() {
  if (!cleaner_) return;
  keeper_->Stop();  // first: a checkpoint that the cleaner has under way then ends soon
  cleaner_->Stop();
  keeper_->Tick(false);
  if (auto done = keeper_->CloseWithin(kClosingTime); !done) {
    log::Error("closing_checkpoint_failed",
               {{"workspace", path_}, {"error", done.error()}, {"then", "the next start replays the journal"}});
  }
}

std::vector<PastRequest> WorkspaceImpl::PastRequests() {
  std::vector<PastRequest> past;
  for (FoundRequest& found : past_requests_) {
    PastRequest request{
        .request = std::move(found.request), .made = {found.made, found.generation, 0}, .attributes = {}};
    if (found.made != kNoInode) {
      if (auto attributes = GetAttributes({}, request.made)) request.attributes = *attributes;
    }
    past.push_back(std::move(request));
  }
  past_requests_.clear();
  return past;
}

Result<void> WorkspaceImpl::Checkpoint() { return keeper_ ? keeper_->Checkpoint() : Result<void>(); }

Result<void> WorkspaceImpl::GiveUpHistory(const HistoryPolicy& policy) {
  if (!cleaner_) return Fail(Errc::kReadOnly, "giving up history of a workspace that is open for reading");
  return cleaner_->Clean(policy);
}

void WorkspaceImpl::NoteChange() {
  if (table_.over_budget()) Relieve();
  keeper_->NoteChange();
}

void WorkspaceImpl::LendMemory(std::size_t bytes) {
  table_.Lend(bytes);
  if (table_.over_budget()) Relieve();
}

void WorkspaceImpl::Relieve() {
  // What is left is not in the index yet.
  if (!table_.Evict(loader_.position()) && keeper_ && keeper_->behind()) keeper_->Ask();
}

}  // namespace strata::vfs
