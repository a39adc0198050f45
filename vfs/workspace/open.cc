// Opening, recovery, checkpoints, closing.
#include <chrono>
#include <utility>

#include "base/log.h"
#include "vfs/layer/host_layer.h"
#include "vfs/workspace/checkpointer.h"
#include "vfs/workspace/index_file.h"
#include "vfs/workspace/pace.h"
#include "vfs/workspace/replay.h"
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// How often pages of the journal that were read leave the process's memory.
constexpr std::int64_t kReleaseIntervalNs = 2'000'000'000;
// For a checkpoint to end; far longer than one takes.
constexpr std::chrono::seconds kLongestWait(10);

// Of a place that a host folder's layer remembers: its name and its part of the table.
constexpr std::size_t kPlaceBytes = 130;

MemoryBudget BudgetOf(const WorkspaceOptions& options) {
  MemoryBudget budget = MemoryBudget::Of(options.memory_bytes);
  if (options.whole_directory_names != 0)
    budget.whole_directory_names = budget.shed_names = options.whole_directory_names;
  return budget;
}

Result<std::vector<std::unique_ptr<Layer>>> OpenLayers(const WorkspaceConfig& config, const std::string& path,
                                                       std::size_t memory) {
  std::vector<std::unique_ptr<Layer>> layers;
  for (const LayerSpec& spec : config.layers) {
    HostLayerOptions options;
    options.markers = spec.markers;
    options.hidden = path;
    options.max_cached_nodes = memory / config.layers.size() / 2 / kPlaceBytes;
    options.max_index_bytes = memory / config.layers.size() / 2;
    auto layer = OpenHostLayer(spec.path, options);
    if (!layer) return Fail(layer.error().WithContext("layer " + spec.path));
    layers.push_back(std::move(*layer));
  }
  return layers;
}

}  // namespace

Result<std::unique_ptr<Workspace>> Workspace::Open(Env& env, const std::string& path, const WorkspaceOptions& options) {
  STRATA_ASSIGN(WorkspaceConfig config, LoadWorkspaceConfig(env, path));
  STRATA_ASSIGN(auto layers, OpenLayers(config, path, MemoryBudget::Of(options.memory_bytes).host));
  auto workspace = std::make_unique<WorkspaceImpl>(env, path, std::move(config), std::move(layers), options);
  STRATA_TRY(workspace->Start());
  return workspace;
}

Result<std::unique_ptr<Workspace>> Workspace::OpenOver(Env& env, const std::string& path,
                                                       std::vector<std::unique_ptr<Layer>> layers,
                                                       const WorkspaceOptions& options) {
  STRATA_ASSIGN(WorkspaceConfig config, LoadWorkspaceConfig(env, path));
  auto workspace = std::make_unique<WorkspaceImpl>(env, path, std::move(config), std::move(layers), options);
  STRATA_TRY(workspace->Start());
  return workspace;
}

WorkspaceImpl::WorkspaceImpl(Env& env, std::string path, WorkspaceConfig config,
                             std::vector<std::unique_ptr<Layer>> layers, const WorkspaceOptions& options)
    : env_(env),
      path_(std::move(path)),
      config_(std::move(config)),
      options_(options),
      budget_(BudgetOf(options)),
      lower_(std::move(layers), config_.name_key),
      table_(budget_.inodes, budget_.shed_names, budget_.name_filter) {
  volume_.id = config_.volume_id;
  volume_.handle_key = config_.handle_key;
  volume_.read_only = options.read_only;
}

Result<void> WorkspaceImpl::OpenIndex() {
  const std::string file = IndexPath(path_);
  const auto mode = options_.read_only ? store::IndexMode::kReadOnly : store::IndexMode::kReadWrite;
  const store::IndexMemory memory{budget_.index_written_pages, budget_.index_read_pages};
  if (!options_.read_only && IsIndexMarkedDamaged(env_, path_)) {
    log::Warning("the index was found damaged when it was last used, and is rebuilt from the journal file=" + file +
                 " kept_as=" + DamagedIndexPath(path_));
    STRATA_TRY(MoveIndexAside(env_, path_));
  }
  auto opened = store::Index::Open(file, mode, config_.volume_id, memory);
  if (options_.read_only) {
    if (opened) {
      index_ = std::move(*opened);
    } else if (opened.error().code() != Errc::kNotFound) {
      return Fail(opened.error().WithContext("opening " + file));
    }
    return {};  // never served: all there is lies in the journal
  }
  if (!opened && opened.error().code() == Errc::kCorrupt) {
    log::Warning("the index is damaged and is rebuilt from the journal file=" + file +
                 " error=" + opened.error().ToString());
    STRATA_TRY(MoveIndexAside(env_, path_));
    opened = store::Index::Open(file, mode, config_.volume_id, memory);
  }
  if (!opened && opened.error().code() == Errc::kNoSpace) {
    return Fail(Errc::kNoSpace,
                "opening " + file + ": " + std::string(opened.error().message()) +
                    "; nothing is lost: free space on its disk, or look at it meanwhile with --read-only");
  }
  if (!opened) return Fail(opened.error().WithContext("opening " + file));
  index_ = std::move(*opened);
  return {};
}

Result<void> WorkspaceImpl::CheckBegin(const store::Index::Checkpoint& checkpoint) const {
  if (journal_->begin().value <= checkpoint.journal_begin.value + journal::kSegmentHeaderBytes) return {};
  return Fail(Errc::kCorrupt, "the first segments of the journal of " + path_ + " are missing: it begins at position " +
                                  std::to_string(journal_->begin().value) + ", and all before " +
                                  std::to_string(checkpoint.journal_begin.value) + " may be; put them back into " +
                                  path_ + "/journal, or go on with what the rest of it holds: strata check --repair " +
                                  path_);
}

Result<void> WorkspaceImpl::CheckBelongTogether(const store::Index::Checkpoint& checkpoint) {
  const std::string what_to_do =
      "; restore " + path_ + "/journal as it was, or go on with what the journal in it holds: strata check --repair " +
      path_;
  if (checkpoint.lsn > journal_->end()) {
    return Fail(
        Errc::kCorrupt,
        "the index of " + path_ + " is ahead of its journal: segments or records are missing at the end" + what_to_do);
  }
  if (checkpoint.lsn.value != 0) STRATA_TRY(CheckBegin(checkpoint));
  if (checkpoint.record.value == 0) return {};
  STRATA_ASSIGN(const std::optional<journal::RecordView> record, journal_->NextHead(checkpoint.record));
  if (!record || record->begin != checkpoint.record || record->check != checkpoint.record_check) {
    return Fail(Errc::kCorrupt,
                "the index of " + path_ + " was made from another journal than the one beside it" + what_to_do);
  }
  return {};
}

Result<void> WorkspaceImpl::Start() {
  if (!options_.read_only) {
    STRATA_ASSIGN(lock_file_, env_.Open(path_ + "/lock", OpenMode::kCreate));
    if (auto locked = lock_file_->Lock(); !locked) {
      if (locked.error().code() != Errc::kBusy && locked.error().code() != Errc::kWouldBlock) return locked;
      return Fail(Errc::kBusy, path_ + " is being served by another process; end that one first, or use --read-only");
    }
    RemoveCheckIndex(env_, path_);
  }
  auto started = StartLocked();
  if (started || started.error().code() != Errc::kCorrupt || options_.read_only || !index_) return started;
  // What else does not check cannot be mended here.
  if (!index_->damaged() && index_->Check()) return started;
  log::Warning("the index is damaged and is rebuilt from the journal file=" + IndexPath(path_) +
               " kept_as=" + DamagedIndexPath(path_) + " error=" + started.error().ToString());
  {
    const MutexLock lock(checkpoint_mutex_);
    checkpointer_.reset();
  }
  journal_.reset();
  index_.reset();
  STRATA_TRY(MoveIndexAside(env_, path_));
  settled_.store(0);
  return StartLocked();
}

Result<void> WorkspaceImpl::StartLocked() {
  // A reader beside the server takes the index first: what it does not hold is then in the journal, whatever is
  // checkpointed meanwhile.
  STRATA_TRY(OpenIndex());
  journal::JournalOptions journal_options;
  journal_options.volume_id = config_.volume_id;
  journal_options.read_only = options_.read_only;
  journal_options.mapped_bytes = budget_.journal_pages;
  if (options_.durability == Durability::kRelaxed) journal_options.sync_interval_ns = options_.relaxed_interval_ns;
  journal_options.on_failure = [path = path_](const Status& status) {
    log::Error(
        "the journal failed: nothing is changed any more until the workspace is opened anew, and clients are told to "
        "send again what "
        "was not durable; look after its disk, then start again path=" +
        path + " error=" + status.ToString());
  };
  if (index_) {
    STRATA_ASSIGN(const store::Index::Checkpoint checkpoint, index_->LastCheckpoint());
    if (checkpoint.record.value != 0) journal_options.known = {checkpoint.record, checkpoint.record_check};
  }
  STRATA_ASSIGN(journal_, journal::Journal::Open(env_, path_ + "/journal", journal_options));

  if (journal_->end().value == journal::kSegmentHeaderBytes) {
    return Fail(Errc::kCorrupt,
                "the journal in " + path_ +
                    "/journal is empty, and has not even the record of the workspace's making; restore it from a copy");
  }
  if (journal_->cut_bytes() != 0 || journal_->cut_segments() != 0) {
    log::Warning(
        "cut the journal's tail, which was not whole; as far as the journal tells, nothing that was answered as "
        "durable was in it path=" +
        path_ + " position=" + std::to_string(journal_->end().value) +
        " bytes=" + std::to_string(journal_->cut_bytes()) + " segments=" + std::to_string(journal_->cut_segments()));
  }
  if (index_) {
    STRATA_ASSIGN(store::Index::Checkpoint checkpoint, index_->LastCheckpoint());
    STRATA_TRY(CheckBelongTogether(checkpoint));
    checkpoint_.store(checkpoint.lsn.value);
    dirty_since_.store(checkpoint.lsn.value);
    const MutexLock lock(checkpoint_mutex_);
    checkpointer_.emplace(*journal_, *index_, config_.name_key, *copied_up_, checkpoint, budget_.index_batch);
    STRATA_TRY(index_->VisitNumbers(InodeNumber(1ULL << kLayerIdBits), [&](InodeNumber ino) { copied_up_->Add(ino); }));
  }
  std::array<std::uint64_t, 2> random;
  env_.Random(std::as_writable_bytes(std::span(random)));
  std::memcpy(verifier_.data(), &random[0], sizeof verifier_);
  generation_ = Generation(static_cast<std::uint32_t>(random[1]) | 1);

  if (options_.read_only) {
    STRATA_TRY(MemoryReplay(*this).Run());
  } else {
    if (auto recovered = RunCheckpoint(); !recovered) {
      if (recovered.error().code() != Errc::kNoSpace) return recovered;
      return Fail(Errc::kNoSpace, std::string(recovered.error().message()) +
                                      "; nothing is lost: free space on the disk of " + path_ +
                                      ", or look at it meanwhile with --read-only");
    }
    STRATA_ASSIGN(store::Index::Checkpoint checkpoint, index_->LastCheckpoint());
    STRATA_TRY(CheckBegin(checkpoint));  // an index that was made anew knows only now
    next_ino_.store(std::max<std::uint64_t>(2, checkpoint.highest_ino.value + 1));
    STRATA_ASSIGN(past_requests_, FindPastRequests(*journal_, checkpoint.requests, checkpoint.record));
  }
  STRATA_TRY(LoadObject({kRootInode, Generation(0), 0}, true));
  {
    StripeLock lock(table_);
    lock.Lock({kRootInode});
    const Inode* root = table_.Find(kRootInode);
    if (!root->is_directory()) return Fail(Errc::kNotDirectory, "the root of " + path_ + " is not a directory");
    root_ = root->id();
  }
  if (!options_.read_only) {
    hurry_.fetch_sub(1);
    keeper_ = std::thread([this] { KeeperLoop(); });
    cleaner_ = std::thread([this] { CleanerLoop(); });
  }
  return {};
}

WorkspaceImpl::~WorkspaceImpl() {
  if (keeper_.joinable()) {
    hurry_.fetch_add(1);
    {
      const MutexLock hold(keeper_mutex_);
      keeper_stops_ = true;
    }
    keeper_wakes_.NotifyOne();
    cleaner_wakes_.NotifyOne();
    cleaner_.join();
    keeper_.join();
    NoteDamage();
    if (auto done = RunCheckpoint(); !done) {
      log::Error("closing checkpoint failed; the next start replays the journal path=" + path_ +
                 " error=" + done.error().ToString());
    }
  }
}

Result<void> WorkspaceImpl::RunCheckpoint() {
  const MutexLock one(checkpoint_mutex_);
  const Lsn target = journal_->end();
  const Lsn from(checkpoint_.load());
  if (from >= target && settled_.load() >= checkpointer_->reached().lsn.value) return {};
  const std::uint64_t records = checkpointer_->records();
  log::Debug("event=checkpoint_begun from=" + std::to_string(from.value) + " to=" + std::to_string(target.value));
  Pace pace([this] { return CheckpointEase(); });
  const auto step = [&pace] { pace.Step(); };
  if (from < target) STRATA_TRY(ApplyToIndex(target, step));
  STRATA_ASSIGN(const bool settled, index_->Settle(step));
  if (settled) settled_.store(checkpointer_->reached().lsn.value);
  log::Debug("event=checkpoint_ended records=" + std::to_string(checkpointer_->records() - records) +
             " settled=" + (settled ? "yes" : "no"));
  return {};
}

Result<void> WorkspaceImpl::ApplyToIndex(Lsn target, const std::function<void()>& step) {
  const Lsn from(checkpoint_.load());
  STRATA_TRY(journal_->SyncAndWait(target));
  const std::uint64_t records = records_since_checkpoint_.load();
  // Only after `target` was taken: what is counted in between is forgotten too early, once, rather than kept for ever.
  dirty_since_.store(target.value);
  const std::int64_t dirty = dirty_bytes_.load();
  std::int64_t cleaned = 0;
  while (checkpointer_->reached().lsn < target) {
    STRATA_ASSIGN(const bool advanced, checkpointer_->Apply(target, step));
    // No record more: the journal has begun a new segment, and nothing lies in it yet.
    if (!advanced) break;
    const Lsn at = checkpointer_->reached().lsn;
    checkpoint_.store(at.value);
    // About as much of it as there was of the journal.
    const double part = static_cast<double>(at.value - from.value) / static_cast<double>(target.value - from.value);
    const auto now = static_cast<std::int64_t>(static_cast<double>(dirty) * part);
    dirty_bytes_.fetch_sub(now - std::exchange(cleaned, now));
    const MutexLock tell(keeper_mutex_);
    checkpoint_ended_.NotifyAll();
  }
  dirty_bytes_.fetch_sub(dirty - cleaned);
  records_since_checkpoint_.fetch_sub(records);
  return {};
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

Result<void> WorkspaceImpl::Checkpoint() {
  if (options_.read_only) return {};
  hurry_.fetch_add(1);
  auto done = RunCheckpoint();
  hurry_.fetch_sub(1);
  return done;
}

double WorkspaceImpl::CheckpointEase() const {
  if (hurry_.load(std::memory_order_relaxed) > 0) return 0;
  const auto share = [](auto part, auto whole) { return static_cast<double>(part) / static_cast<double>(whole); };
  // 1: a checkpoint is due; 2: changes have to wait, or a restart takes long.
  const double backlog =
      std::max({share(journal_->end().value - checkpoint_.load(std::memory_order_relaxed), options_.checkpoint_bytes),
                share(records_since_checkpoint_.load(std::memory_order_relaxed), options_.checkpoint_records),
                share(dirty_bytes_.load(std::memory_order_relaxed), budget_.dirty / 2)});
  return std::clamp(kMostEase * (kNoEaseFrom - backlog), 0.0, kMostEase);
}

void WorkspaceImpl::NoteChange() {
  if (table_.over_budget()) Relieve();
  if (checkpoint_failed_.load(std::memory_order_relaxed)) return;
  const std::uint64_t grown = journal_->end().value - checkpoint_.load(std::memory_order_relaxed);
  if (grown < options_.checkpoint_bytes &&
      dirty_bytes_.load(std::memory_order_relaxed) < static_cast<std::int64_t>(budget_.dirty / 2) &&
      records_since_checkpoint_.load(std::memory_order_relaxed) < options_.checkpoint_records) {
    return;
  }
  if (!checkpoint_due_.exchange(true)) {
    const MutexLock hold(keeper_mutex_);
    keeper_wakes_.NotifyOne();
  }
}

void WorkspaceImpl::AwaitCheckpoint() {
  const auto end = std::chrono::steady_clock::now() + kLongestWait;
  const MutexLock hold(keeper_mutex_);
  // If checkpoints fail, memory is what gives; the log says so.
  while (!keeper_stops_ && !checkpoint_failed_.load() && FarBehind()) {
    // The one that has just ended may not have been enough.
    if (!checkpoint_due_.exchange(true)) keeper_wakes_.NotifyOne();
    if (!checkpoint_ended_.WaitUntil(keeper_mutex_, end)) break;
  }
}

void WorkspaceImpl::Relieve() {
  if (table_.Evict(Lsn(checkpoint_.load())) || options_.read_only || checkpoint_failed_.load()) return;
  // What is left is not in the index yet.
  if (records_since_checkpoint_.load() > 0 && !checkpoint_due_.exchange(true)) {
    const MutexLock hold(keeper_mutex_);
    keeper_wakes_.NotifyOne();
  }
}

bool WorkspaceImpl::KeeperRests(std::chrono::nanoseconds interval) {
  const auto end = std::chrono::steady_clock::now() + interval;
  const MutexLock hold(keeper_mutex_);
  while (!keeper_stops_ && !checkpoint_due_.load() && keeper_wakes_.WaitUntil(keeper_mutex_, end)) {
  }
  return !keeper_stops_;
}

void WorkspaceImpl::NoteDamage() {
  if (damage_noted_ || !index_->damaged()) return;
  damage_noted_ = true;
  log::Error(
      "the index is damaged: what it cannot tell is answered with EIO until the workspace is opened anew, which "
      "rebuilds it from the "
      "journal; look after its disk, then start again file=" +
      IndexPath(path_));
  if (auto marked = MarkIndexDamaged(env_, path_); !marked) {
    log::Error("no mark could be left for the next start, which may find it by itself path=" + path_ +
               " error=" + marked.error().ToString());
  }
}

void WorkspaceImpl::KeeperLoop() {
  while (KeeperRests(std::chrono::nanoseconds(kReleaseIntervalNs))) {
    NoteDamage();
    checkpoint_failed_.store(false);
    if (checkpoint_due_.load()) {
      if (auto done = RunCheckpoint(); !done) {
        log::Error("checkpoint failed; it is tried again path=" + path_ + " error=" + done.error().ToString());
        checkpoint_failed_.store(true);
      }
      checkpoint_due_.store(false);
      const MutexLock tell(keeper_mutex_);
      checkpoint_ended_.NotifyAll();
    }
    journal_->ReleasePages();
  }
}

}  // namespace strata::vfs
