#include "vfs/layer/castore/roots_layer.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "store/castore/names.h"
#include "vfs/layer/castore/roots_table.h"
#include "vfs/layer/castore/served_tree.h"

namespace strata::vfs {
namespace {

using castore::RootRange;
using castore::RootsTable;
using castore::ServedTree;

constexpr std::uint64_t kTop = 1;
static_assert(kTop < castore::roots_format::kFirstId && castore::roots_format::kEndId <= kFirstFreeId);
constexpr std::uint32_t kTopGeneration = 1;
// With attributes a tree gets numbers for so many devices, fifos and sockets, and one more for each node: how many it
// has is known once its blob has been read, and numbers are given out without that.
constexpr std::uint64_t kSpecials = 1 << 20;
// Of what is kept of an open tree, beside its name.
constexpr std::size_t kTreeBytes = 1024;
// A listing is believed for so many times as long as it took, a minute at most.
constexpr std::int64_t kListingPart = 10;
constexpr std::int64_t kLongestBelief = 60'000'000'000;

// Of all that a name leads to: another one wherever anything may look another way.
store::Digest KeyOf(const store::Root& root) {
  std::vector<std::byte> bytes = store::EncodeNode(root.node);
  if (root.attributes) bytes.insert(bytes.end(), root.attributes->bytes.begin(), root.attributes->bytes.end());
  return store::Digest::Of(bytes);
}

FileType TypeOfRoot(const store::Node& node) {
  if (node.kind == store::NodeKind::kDirectory) return FileType::kDirectory;
  return node.kind == store::NodeKind::kSymlink ? FileType::kSymlink : FileType::kRegular;
}

class RootsLayer final : public Layer {
 public:
  RootsLayer(Env& env, std::shared_ptr<store::BlobService> blobs, std::shared_ptr<store::DirectoryService> directories,
             std::shared_ptr<store::RootNodes> roots, const RootsOptions& options, std::unique_ptr<RootsTable> table)
      : env_(env),
        options_(options),
        traits_{.immutable = false,
                .fingerprint = {},
                .unlisted = options.list_roots ? 0 : kTop,
                .shares_numbers = options.trees.share_key.has_value()},
        roots_(std::move(roots)),
        table_(std::move(table)),
        source_(std::move(blobs), std::move(directories), TreeOptions(options.trees)),
        open_(options.trees.memory_bytes / kOpenPart),
        believe_ns_(options.recheck_after_ns) {}

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return {kTop, 0}; }
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) override;
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override;
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override;
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override;
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) override;
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node) override;
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node) override;
  Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) override;
  std::string Describe() const override { return options_.trees.description; }

 private:
  // Of the memory, what open trees take.
  static constexpr std::size_t kOpenPart = 8;
  static CastoreOptions TreeOptions(CastoreOptions options) {
    options.memory_bytes -= options.memory_bytes / kOpenPart;
    return options;
  }
  // What a name was last seen to lead to.
  struct OpenRoot {
    OpenRoot(castore::TreeSource& source, castore::TreeRoot root, castore::TreePlace place, const store::Digest& of)
        : key(of), tree(source, std::move(root), std::move(place)) {}
    const store::Digest key;
    mutable std::atomic<std::int64_t> asked{0};
    mutable ServedTree tree;
  };
  using OpenRootRef = std::shared_ptr<const OpenRoot>;
  enum class Ask : std::uint8_t {
    kName,  // where the store cannot tell, it is an error
    kTree,  // then what is known is served on
  };
  struct Listed {
    RootRange wanted;
    FileType type = FileType::kRegular;
  };

  // kNotFound where nothing has the name.
  Result<OpenRootRef> Resolve(const Waiting& waiting, std::string_view name, Ask ask);
  Result<OpenRootRef> OpenUnder(const Waiting& waiting, std::string_view name, const store::Root& root,
                                const store::Digest& key);
  // The tree that holds the node; kStale where its name leads elsewhere by now.
  Result<OpenRootRef> TreeOf(const Waiting& waiting, const LayerNode& node);
  Result<const RootRange*> OwnerOf(const Waiting& waiting, std::uint64_t id);
  // The range that it is to get; kIo where it is too large for any.
  Result<RootRange> Wanted(std::string_view name, const store::Root& root, const store::Digest& key) const;
  Result<void> Number(const Waiting& waiting, std::span<const RootRange> wanted);
  LayerStat StatTop() STRATA_EXCLUDES(top_mutex_);
  Result<void> ListTop(const Waiting& waiting, const std::function<bool(const LayerEntry&)>& visit);
  Result<std::vector<Listed>> ListRoots(const Waiting& waiting);
  // Says in the log that a root cannot be had. kIo, unless it is that the call must wait.
  Status Told(std::string_view name, const Status& error);

  Env& env_;
  const RootsOptions options_;
  const LayerTraits traits_;
  const std::shared_ptr<store::RootNodes> roots_;
  const std::unique_ptr<RootsTable> table_;
  castore::TreeSource source_;
  Recent<std::string, OpenRoot> open_;
  Mutex top_mutex_;
  Time top_time_ STRATA_GUARDED_BY(top_mutex_);
  std::int64_t top_until_ STRATA_GUARDED_BY(top_mutex_) = 0;  // by CLOCK_MONOTONIC
  std::atomic<std::int64_t> believe_ns_;                      // of the top's names
};

Status RootsLayer::Told(std::string_view name, const Status& error) {
  if (error.code() == Errc::kWouldBlock) return error;
  source_.Tell("/" + std::string(name), error);
  return Status(Errc::kIo, std::string(error.message()));
}

Result<RootRange> RootsLayer::Wanted(std::string_view name, const store::Root& root, const store::Digest& key) const {
  const std::uint64_t nodes = castore::Tree::EndOf(root.node);
  if (nodes > kMostNodesOfRoot) {
    return Fail(Errc::kIo, "the root " + store::QuoteName(name) + " says that it has " + std::to_string(nodes) +
                               " nodes, more than any tree; set the name anew");
  }
  return RootRange{
      .name = std::string(name), .key = key, .first = 0, .ids = root.attributes ? 2 * nodes + kSpecials : nodes};
}

Result<void> RootsLayer::Number(const Waiting& waiting, std::span<const RootRange> wanted) {
  if (std::ranges::all_of(wanted, [&](const RootRange& one) { return table_->Find(one.name, one.key) != nullptr; })) {
    return {};
  }
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  return table_->Add(wanted);
}

Result<RootsLayer::OpenRootRef> RootsLayer::OpenUnder(const Waiting& waiting, std::string_view name,
                                                      const store::Root& root, const store::Digest& key) {
  const RootRange* range = table_->Find(name, key);
  if (range == nullptr) {
    STRATA_ASSIGN(const RootRange wanted, Wanted(name, root, key));
    STRATA_TRY(Number(waiting, {&wanted, 1}));
    range = table_->Find(name, key);
    if (range == nullptr) return Fail(Errc::kServerFault, "a root was given numbers and has none");
  }
  STRATA_ASSIGN(castore::TreeRoot tree, castore::OpenTreeRoot(source_, waiting, root.node, root.attributes));
  castore::TreePlace place{.first_id = range->first,
                           .parent_id = kTop,
                           .name = range->name,
                           .generation = castore::GenerationOf(key),
                           .ids = range->ids};
  auto opened = std::make_shared<const OpenRoot>(source_, std::move(tree), std::move(place), key);
  STRATA_TRY(opened->tree.CheckSize());
  return opened;
}

Result<RootsLayer::OpenRootRef> RootsLayer::Resolve(const Waiting& waiting, std::string_view name, Ask ask) {
  const std::string key_of_name(name);
  OpenRootRef known = open_.Get(key_of_name);
  const std::int64_t now = env_.MonotonicNs();
  const auto believed = [&] {
    const std::int64_t asked = known->asked.load(std::memory_order_relaxed);
    return options_.recheck_after_ns > 0 && now - asked < options_.recheck_after_ns;
  };
  if (known && believed()) return known;
  auto found = roots_->Get(waiting, name);
  if (!found) {
    const Status told = Told(name, found.error());
    if (told.code() == Errc::kWouldBlock || !known || ask == Ask::kName) return Fail(told);
    known->asked.store(now, std::memory_order_relaxed);
    return known;
  }
  const store::Digest key = *found ? KeyOf(**found) : store::Digest();
  if (known && *found && known->key == key) {
    known->asked.store(now, std::memory_order_relaxed);
    return known;
  }
  if (known) open_.Drop(key_of_name, known);
  if (!*found) return Fail(Errc::kNotFound);
  auto opened = OpenUnder(waiting, name, **found, key);
  if (!opened) return Fail(Told(name, opened.error()));
  (*opened)->asked.store(now, std::memory_order_relaxed);
  open_.Put(key_of_name, *opened, kTreeBytes + name.size());
  return opened;
}

Result<const RootRange*> RootsLayer::OwnerOf(const Waiting& waiting, std::uint64_t id) {
  const RootRange* owner = table_->OwnerOf(id);
  if (owner != nullptr) return owner;
  // Another server with the same home may have given it out.
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  if (auto fresh = table_->Refresh(); !fresh) return Fail(Told("", fresh.error()));
  owner = table_->OwnerOf(id);
  if (owner == nullptr) return Fail(Errc::kStale);
  return owner;
}

Result<RootsLayer::OpenRootRef> RootsLayer::TreeOf(const Waiting& waiting, const LayerNode& node) {
  if (node.id < castore::roots_format::kFirstId || node.id >= castore::roots_format::kEndId) return Fail(Errc::kStale);
  STRATA_ASSIGN(const RootRange* const owner, OwnerOf(waiting, node.id));
  auto root = Resolve(waiting, owner->name, Ask::kTree);
  if (!root && root.error().code() == Errc::kNotFound) return Fail(Errc::kStale);
  if (root && (*root)->tree.root().id != owner->first) return Fail(Errc::kStale);
  return root;
}

LayerStat RootsLayer::StatTop() {
  LayerStat stat;
  stat.node = Root();
  stat.generation = kTopGeneration;
  stat.attributes.type = FileType::kDirectory;
  stat.attributes.mode = 0555;
  stat.attributes.nlink = 1;
  stat.attributes.ino = InodeNumber(kTop);
  const std::int64_t now = env_.MonotonicNs();
  const MutexLock lock(top_mutex_);
  if (now >= top_until_) {
    top_time_ = env_.Now();
    top_until_ = now + believe_ns_.load(std::memory_order_relaxed);
  }
  stat.attributes.atime = stat.attributes.mtime = stat.attributes.ctime = top_time_;
  return stat;
}

Result<LayerStat> RootsLayer::Stat(const OpContext& context, const LayerNode& node) {
  if (node.id == kTop) return StatTop();
  STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), node));
  return root->tree.Stat(context, node);
}

Result<LayerStat> RootsLayer::Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) {
  if (directory.id != kTop) {
    STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), directory));
    return root->tree.Lookup(context, directory, name);
  }
  if (!store::CheckNodeName(name)) return Fail(Errc::kNotFound);
  STRATA_ASSIGN(const OpenRootRef root, Resolve(context.waiting(), name, Ask::kName));
  return root->tree.Stat(context, root->tree.root());
}

Result<std::vector<RootsLayer::Listed>> RootsLayer::ListRoots(const Waiting& waiting) {
  std::vector<Listed> all;
  bool too_many = false;
  const auto listed = roots_->List(waiting, [&](std::string_view name, const store::Root& root) {
    too_many = all.size() >= RootsTable::kMostRanges;
    if (too_many) return false;
    if (!store::CheckNodeName(name)) return true;
    auto wanted = Wanted(name, root, KeyOf(root));
    if (wanted) {
      all.push_back({std::move(*wanted), TypeOfRoot(root.node)});
    } else {
      source_.Tell("/" + std::string(name), wanted.error());
    }
    return true;
  });
  if (!listed && listed.error().code() == Errc::kAccess) {
    return Fail(Errc::kPermission, std::string(listed.error().message()));
  }
  if (!listed) return Fail(Told("", listed.error()));
  if (too_many) {
    return Fail(
        Told("", Status(Errc::kFileTooBig, Describe() + " has more than " + std::to_string(RootsTable::kMostRanges) +
                                               " names, which are not listed; each can be looked up")));
  }
  return all;
}

Result<void> RootsLayer::ListTop(const Waiting& waiting, const std::function<bool(const LayerEntry&)>& visit) {
  const std::int64_t began = env_.MonotonicNs();
  STRATA_ASSIGN(const std::vector<Listed> all, ListRoots(waiting));
  std::vector<RootRange> wanted;
  for (const Listed& one : all) {
    if (table_->Find(one.wanted.name, one.wanted.key) == nullptr) wanted.push_back(one.wanted);
    // So that looking a name up, too, leads to what is listed.
    const OpenRootRef known = open_.Get(one.wanted.name);
    if (known && known->key != one.wanted.key) open_.Drop(one.wanted.name, known);
  }
  if (auto numbered = Number(waiting, wanted); !numbered) return Fail(Told("", numbered.error()));
  const std::int64_t took = env_.MonotonicNs() - began;
  believe_ns_.store(std::max(options_.recheck_after_ns, std::min(took * kListingPart, kLongestBelief)),
                    std::memory_order_relaxed);
  for (const Listed& one : all) {
    const RootRange* const range = table_->Find(one.wanted.name, one.wanted.key);
    if (range == nullptr) continue;
    LayerEntry entry;
    entry.name = one.wanted.name;
    entry.node = {range->first, kTop};
    entry.type = one.type;
    if (!visit(entry)) break;
  }
  return {};
}

Result<void> RootsLayer::ReadDirectory(const OpContext& context, const LayerNode& directory,
                                       const std::function<bool(const LayerEntry&)>& visit) {
  if (directory.id != kTop) {
    STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), directory));
    return root->tree.ReadDirectory(context, directory, visit);
  }
  if (!options_.list_roots) return Fail(Errc::kPermission, "the names of " + Describe() + " are not listed");
  return ListTop(context.waiting(), visit);
}

Result<std::size_t> RootsLayer::Read(const OpContext& context, const LayerNode& node, std::uint64_t offset,
                                     std::size_t length, const LayerVersion* expected, ReadSink& sink) {
  if (node.id == kTop) return Fail(Errc::kIsDirectory);
  STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), node));
  return root->tree.Read(context, node, offset, length, expected, sink);
}

Result<std::string> RootsLayer::ReadLink(const OpContext& context, const LayerNode& node) {
  if (node.id == kTop) return Fail(Errc::kInvalid);
  STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), node));
  return root->tree.ReadLink(context, node);
}

Result<std::string> RootsLayer::PathOf(const OpContext& context, const LayerNode& node) {
  if (node.id == kTop) return std::string();
  STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), node));
  STRATA_ASSIGN(const std::string within, root->tree.PathOf(context, node));
  return within.empty() ? root->tree.name() : root->tree.name() + "/" + within;
}

Result<std::vector<std::string>> RootsLayer::ListXattr(const OpContext& context, const LayerNode& node) {
  if (node.id == kTop) return std::vector<std::string>();
  STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), node));
  return root->tree.ListXattr(context, node);
}

Result<std::string> RootsLayer::GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) {
  if (node.id == kTop) return Fail(Errc::kNotFound);
  STRATA_ASSIGN(const OpenRootRef root, TreeOf(context.waiting(), node));
  return root->tree.GetXattr(context, node, name);
}

}  // namespace

Result<std::unique_ptr<Layer>> OpenRootsLayer(Env& env, std::shared_ptr<store::BlobService> blobs,
                                              std::shared_ptr<store::DirectoryService> directories,
                                              std::shared_ptr<store::RootNodes> roots, const RootsOptions& options) {
  STRATA_ASSIGN(auto table, RootsTable::Open(env, options.home));
  return std::make_unique<RootsLayer>(env, std::move(blobs), std::move(directories), std::move(roots), options,
                                      std::move(table));
}

}  // namespace strata::vfs
