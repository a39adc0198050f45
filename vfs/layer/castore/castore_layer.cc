#include "vfs/layer/castore/castore_layer.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "vfs/file_system.h"
#include "vfs/layer/castore/files.h"
#include "vfs/layer/castore/tree.h"

namespace strata::vfs {
namespace {

using castore::OpenDirectory;
using castore::OpenDirectoryRef;
using castore::Place;

constexpr std::uint64_t kBlock = 512;
// Listing so many entries takes longer than others should wait for.
constexpr std::size_t kFewListed = 1024;
constexpr std::string_view kDirectoryDigest = "user.tvix.castore.directory.digest";
constexpr std::string_view kBlobDigest = "user.tvix.castore.blob.digest";

// Ids are numbers from 1 on.
constexpr std::uint64_t IdOf(std::uint64_t number) { return number + 1; }

FileType TypeOf(store::NodeKind kind) {
  switch (kind) {
    case store::NodeKind::kDirectory:
      return FileType::kDirectory;
    case store::NodeKind::kSymlink:
      return FileType::kSymlink;
    default:
      return FileType::kRegular;
  }
}

class CastoreLayer final : public Layer {
 public:
  CastoreLayer(std::shared_ptr<store::BlobService> blobs, std::shared_ptr<store::DirectoryService> directories,
               castore::TreeRoot root, const CastoreOptions& options)
      : options_(options),
        traits_{.immutable = true, .fingerprint = root.node.digest.Hex()},
        generation_(GenerationOf(root.node.digest)),
        tree_(std::move(directories), std::move(root), options.memory_bytes / 4 * 3),
        files_(std::move(blobs), options.memory_bytes / 4) {}

  castore::Tree& tree() { return tree_; }

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return {IdOf(0), 0}; }
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
  std::string Describe() const override { return options_.description; }

 private:
  static std::uint32_t GenerationOf(const store::Digest& root) {
    return LoadLe<std::uint32_t>(root.bytes.data()) | 1;  // 0 would say that it is not known
  }
  const store::AttributesReader* attributes() const { return tree_.attributes(); }
  // Whether the id is that of an entry which is no node of the tree, and which.
  std::optional<std::uint64_t> SpecialAt(std::uint64_t id) const;

  Result<Place> FindPlace(const Waiting& waiting, const LayerNode& node);
  Result<LayerStat> StatOf(const Waiting& waiting, const Place& place);
  LayerStat StatOfSpecial(std::uint64_t index, const store::SpecialEntry& entry) const;
  Result<void> AddAttributes(const Waiting& waiting, std::uint64_t number, LayerStat& stat);
  // Calls visit for each entry of the directory that is no node, until it says false.
  Result<void> VisitSpecials(const Waiting& waiting, const OpenDirectory& directory,
                             const std::function<bool(std::uint64_t index, const store::SpecialEntry&)>& visit);
  Result<std::vector<store::Xattr>> StoredXattrs(const Waiting& waiting, const LayerNode& node);
  // The name and value of the attribute that tells the node's digest; nothing of a symlink.
  Result<std::optional<store::Xattr>> DigestXattr(const Waiting& waiting, const LayerNode& node);

  // Tells the log of what the store could not give, and returns it.
  template <typename T>
  Result<T> Told(Result<T> result, const LayerNode& node);

  const CastoreOptions options_;
  const LayerTraits traits_;
  const std::uint32_t generation_;
  castore::Tree tree_;
  castore::Files files_;
  log::RateLimit told_;
};

template <typename T>
Result<T> CastoreLayer::Told(Result<T> result, const LayerNode& node) {
  if (result) return result;
  const Errc code = result.error().code();
  if (code != Errc::kIo && code != Errc::kCorrupt) return result;
  if (told_.Allow()) {
    const auto path = tree_.PathOf({.may_block = false}, node.id - 1);
    log::Warning("castore_unreadable", {{"path", path ? "/" + *path : "?"},
                                        {"layer", options_.description},
                                        {"error", result.error()},
                                        {"then", "clients that ask for it get an input/output error"}});
  }
  if (code == Errc::kCorrupt) return Fail(Errc::kIo, std::string(result.error().message()));
  return result;
}

std::optional<std::uint64_t> CastoreLayer::SpecialAt(std::uint64_t id) const {
  if (attributes() == nullptr || id <= attributes()->nodes()) return std::nullopt;
  return id - attributes()->nodes() - 1;
}

Result<Place> CastoreLayer::FindPlace(const Waiting& waiting, const LayerNode& node) {
  if (node.id == 0 || (attributes() != nullptr && node.id > attributes()->nodes())) return Fail(Errc::kStale);
  return tree_.Find(waiting, node.id - 1, node.parent == 0 ? 0 : node.parent - 1);
}

Result<LayerStat> CastoreLayer::StatOf(const Waiting& waiting, const Place& place) {
  LayerStat stat;
  const store::Node& node = place.node;
  stat.node = {IdOf(place.number), place.number == 0 ? 0 : IdOf(place.parent)};
  stat.generation = generation_;
  Attributes& attributes = stat.attributes;
  attributes.type = TypeOf(node.kind);
  attributes.mode = node.kind == store::NodeKind::kDirectory || node.executable ? 0555 : 0444;
  attributes.nlink = 1;
  attributes.size = node.kind == store::NodeKind::kSymlink ? node.target.size() : node.size;
  if (node.kind == store::NodeKind::kFile) attributes.used = (node.size + kBlock - 1) / kBlock * kBlock;
  STRATA_TRY(AddAttributes(waiting, place.number, stat));
  attributes.ino = InodeNumber(stat.node.id);
  return stat;
}

Result<void> CastoreLayer::AddAttributes(const Waiting& waiting, std::uint64_t number, LayerStat& stat) {
  if (this->attributes() == nullptr) return {};
  STRATA_ASSIGN(const store::StoredAttributes stored, this->attributes()->Get(waiting, number));
  Attributes& attributes = stat.attributes;
  attributes.mode = stored.mode & kModeMask;
  attributes.uid = stored.uid;
  attributes.gid = stored.gid;
  attributes.atime = attributes.mtime = attributes.ctime = stored.mtime;
  if (attributes.type == FileType::kDirectory || stored.links < 2) return {};
  attributes.nlink = stored.links;
  stat.node = {IdOf(stored.first_link), 0};
  return {};
}

LayerStat CastoreLayer::StatOfSpecial(std::uint64_t index, const store::SpecialEntry& entry) const {
  LayerStat stat;
  stat.node = {attributes()->nodes() + 1 + index, IdOf(entry.parent)};
  stat.generation = generation_;
  stat.attributes.type = entry.type;
  stat.attributes.mode = entry.mode & kModeMask;
  stat.attributes.nlink = 1;
  stat.attributes.uid = entry.uid;
  stat.attributes.gid = entry.gid;
  stat.attributes.rdev = entry.device;
  stat.attributes.atime = stat.attributes.mtime = stat.attributes.ctime = entry.mtime;
  stat.attributes.ino = InodeNumber(stat.node.id);
  return stat;
}

Result<void> CastoreLayer::VisitSpecials(
    const Waiting& waiting, const OpenDirectory& directory,
    const std::function<bool(std::uint64_t index, const store::SpecialEntry&)>& visit) {
  if (attributes() == nullptr || attributes()->specials() == 0) return {};
  STRATA_ASSIGN(const store::StoredAttributes stored, attributes()->Get(waiting, directory.number));
  for (std::uint64_t i = 0; i < stored.specials; ++i) {
    STRATA_ASSIGN(const store::SpecialEntry entry, attributes()->Special(waiting, stored.first_special + i));
    if (entry.parent != directory.number) {
      return Fail(Errc::kCorrupt, "the attributes name an entry of one directory in another");
    }
    // The tree's own entry is the one that counts.
    const store::Directory& entries = directory.content.directory();
    if (entries.Find(entry.name) != entries.count()) continue;
    if (!visit(stored.first_special + i, entry)) return {};
  }
  return {};
}

Result<LayerStat> CastoreLayer::Stat(const OpContext& context, const LayerNode& node) {
  const Waiting waiting = context.waiting();
  if (const auto special = SpecialAt(node.id)) {
    if (*special >= attributes()->specials()) return Fail(Errc::kStale);
    const auto entry = attributes()->Special(waiting, *special);
    if (!entry) return Told(Result<LayerStat>(Fail(entry.error())), node);
    return StatOfSpecial(*special, *entry);
  }
  auto place = FindPlace(waiting, node);
  if (!place) return Told(Result<LayerStat>(Fail(place.error())), node);
  return Told(StatOf(waiting, *place), node);
}

Result<LayerStat> CastoreLayer::Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) {
  const Waiting waiting = context.waiting();
  if (SpecialAt(directory.id)) return Fail(Errc::kNotDirectory);
  if (directory.id == 0) return Fail(Errc::kStale);
  const auto opened = tree_.Open(waiting, directory.id - 1);
  if (!opened) return Told(Result<LayerStat>(Fail(opened.error())), directory);
  const auto place = castore::Tree::Lookup(**opened, name);
  if (place) return Told(StatOf(waiting, *place), directory);
  std::optional<LayerStat> found;
  const auto visited = VisitSpecials(waiting, **opened, [&](std::uint64_t index, const store::SpecialEntry& entry) {
    if (entry.name != name) return true;
    found = StatOfSpecial(index, entry);
    return false;
  });
  if (!visited) return Told(Result<LayerStat>(Fail(visited.error())), directory);
  if (found) return *found;
  return Fail(Errc::kNotFound);
}

Result<void> CastoreLayer::ReadDirectory(const OpContext& context, const LayerNode& directory,
                                         const std::function<bool(const LayerEntry&)>& visit) {
  const Waiting waiting = context.waiting();
  if (SpecialAt(directory.id)) return Fail(Errc::kNotDirectory);
  if (directory.id == 0) return Fail(Errc::kStale);
  const auto opened = tree_.Open(waiting, directory.id - 1);
  if (!opened) return Told(Result<void>(Fail(opened.error())), directory);
  const store::Directory& entries = (*opened)->content.directory();
  if (!waiting.may_block && entries.count() > kFewListed) return Fail(Errc::kWouldBlock);
  for (std::size_t i = 0; i < entries.count(); ++i) {
    const store::Directory::Entry found = entries.At(i);
    LayerEntry entry;
    entry.name = found.name;
    entry.type = TypeOf(found.kind);
    const std::uint64_t number = (*opened)->number + (*opened)->content.OffsetOf(i);
    entry.node = {IdOf(number), directory.id};
    if (attributes() != nullptr && entry.type != FileType::kDirectory) {
      const auto stored = attributes()->Get(waiting, number);
      if (!stored) return Told(Result<void>(Fail(stored.error())), directory);
      if (stored->links > 1) entry.node = {IdOf(stored->first_link), 0};
    }
    if (!visit(entry)) return {};
  }
  return Told(VisitSpecials(waiting, **opened,
                            [&](std::uint64_t index, const store::SpecialEntry& special) {
                              LayerEntry entry;
                              entry.name = special.name;
                              entry.type = special.type;
                              entry.node = {attributes()->nodes() + 1 + index, directory.id};
                              return visit(entry);
                            }),
              directory);
}

Result<std::size_t> CastoreLayer::Read(const OpContext& context, const LayerNode& node, std::uint64_t offset,
                                       std::size_t length, const LayerVersion* expected, ReadSink& sink) {
  const Waiting waiting = context.waiting();
  if (SpecialAt(node.id)) return Fail(Errc::kInvalid);
  const auto place = FindPlace(waiting, node);
  if (!place) return Told(Result<std::size_t>(Fail(place.error())), node);
  if (place->node.kind == store::NodeKind::kDirectory) return Fail(Errc::kIsDirectory);
  if (place->node.kind != store::NodeKind::kFile) return Fail(Errc::kInvalid);
  if (expected != nullptr) {
    const auto stat = StatOf(waiting, *place);
    if (!stat) return Told(Result<std::size_t>(Fail(stat.error())), node);
    const Attributes& now = stat->attributes;
    if (!expected->Matches(now.size, now.mtime, now.ctime)) return Fail(Errc::kNotSync);
  }
  return Told(files_.Read(waiting, place->node.digest, place->node.size, offset, length, sink), node);
}

Result<std::string> CastoreLayer::ReadLink(const OpContext& context, const LayerNode& node) {
  if (SpecialAt(node.id)) return Fail(Errc::kInvalid);
  auto place = FindPlace(context.waiting(), node);
  if (!place) return Told(Result<std::string>(Fail(place.error())), node);
  if (place->node.kind != store::NodeKind::kSymlink) return Fail(Errc::kInvalid);
  return std::move(place->node.target);
}

Result<std::string> CastoreLayer::PathOf(const OpContext& context, const LayerNode& node) {
  const Waiting waiting = context.waiting();
  if (const auto special = SpecialAt(node.id)) {
    if (*special >= attributes()->specials()) return Fail(Errc::kStale);
    const auto entry = attributes()->Special(waiting, *special);
    if (!entry) return Told(Result<std::string>(Fail(entry.error())), node);
    auto above = tree_.PathOf(waiting, entry->parent);
    if (!above) return Told(std::move(above), node);
    return above->empty() ? entry->name : *above + '/' + entry->name;
  }
  if (node.id == 0) return Fail(Errc::kStale);
  return Told(tree_.PathOf(waiting, node.id - 1), node);
}

Result<std::vector<store::Xattr>> CastoreLayer::StoredXattrs(const Waiting& waiting, const LayerNode& node) {
  if (attributes() == nullptr) return std::vector<store::Xattr>();
  if (const auto special = SpecialAt(node.id)) {
    if (*special >= attributes()->specials()) return Fail(Errc::kStale);
    STRATA_ASSIGN(const store::SpecialEntry entry, attributes()->Special(waiting, *special));
    return attributes()->Xattrs(waiting, entry.xattrs_at, entry.xattrs_size);
  }
  STRATA_ASSIGN(const store::StoredAttributes stored, attributes()->Get(waiting, node.id - 1));
  return attributes()->Xattrs(waiting, stored.xattrs_at, stored.xattrs_size);
}

Result<std::optional<store::Xattr>> CastoreLayer::DigestXattr(const Waiting& waiting, const LayerNode& node) {
  if (!options_.show_xattr || SpecialAt(node.id)) return std::nullopt;
  STRATA_ASSIGN(const Place place, FindPlace(waiting, node));
  if (place.node.kind == store::NodeKind::kSymlink) return std::nullopt;
  const bool directory = place.node.kind == store::NodeKind::kDirectory;
  return store::Xattr{std::string(directory ? kDirectoryDigest : kBlobDigest), place.node.digest.Text()};
}

Result<std::vector<std::string>> CastoreLayer::ListXattr(const OpContext& context, const LayerNode& node) {
  using Names = Result<std::vector<std::string>>;
  const auto digest = DigestXattr(context.waiting(), node);
  if (!digest) return Told(Names(Fail(digest.error())), node);
  const auto stored = StoredXattrs(context.waiting(), node);
  if (!stored) return Told(Names(Fail(stored.error())), node);
  std::vector<std::string> names;
  if (*digest) names.push_back((*digest)->name);
  for (const store::Xattr& xattr : *stored) {
    if (!*digest || xattr.name != (*digest)->name) names.push_back(xattr.name);
  }
  std::ranges::sort(names);
  return names;
}

Result<std::string> CastoreLayer::GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) {
  const auto digest = DigestXattr(context.waiting(), node);
  if (!digest) return Told(Result<std::string>(Fail(digest.error())), node);
  if (*digest && (*digest)->name == name) return (*digest)->value;
  const auto stored = StoredXattrs(context.waiting(), node);
  if (!stored) return Told(Result<std::string>(Fail(stored.error())), node);
  const auto found = std::ranges::find(*stored, name, &store::Xattr::name);
  if (found == stored->end()) return Fail(Errc::kNotFound);
  return found->value;
}

// Of a bare digest.
Result<store::Node> WithSize(store::DirectoryService& directories, store::Node root) {
  STRATA_ASSIGN(const std::optional<store::Directory> directory, directories.Get({}, root.digest));
  if (!directory) {
    return Fail(Errc::kNotFound, directories.Describe() + " has no directory " + root.digest.Text() +
                                     "; strata store ls shows the trees that it has");
  }
  if (root.size == 0) root.size = directory->Size(store::SizeRule::kDocumented);
  return root;
}

}  // namespace

Result<std::unique_ptr<Layer>> OpenCastoreLayer(std::shared_ptr<store::BlobService> blobs,
                                                std::shared_ptr<store::DirectoryService> directories,
                                                const store::Node& root, const std::optional<store::Digest>& attributes,
                                                const CastoreOptions& options) {
  if (root.kind != store::NodeKind::kDirectory) {
    return Fail(Errc::kNotDirectory, options.description + " is a " +
                                         (root.kind == store::NodeKind::kFile ? "file" : "symlink") +
                                         ", not a directory; serve it beside others: castore:@STORE --list-roots");
  }
  STRATA_ASSIGN(store::Node sized, WithSize(*directories, root));
  castore::TreeRoot tree{std::move(sized), nullptr};
  if (attributes) {
    STRATA_ASSIGN(auto blob, blobs->Open({}, *attributes));
    if (!blob) {
      return Fail(Errc::kNotFound, blobs->Describe() + " has no blob " + attributes->Text() +
                                       ", which holds the attributes of " + options.description +
                                       "; the plain tree can be served: castore:" + root.digest.Text());
    }
    STRATA_ASSIGN(tree.attributes, store::AttributesReader::Open({}, std::move(blob), root.digest));
  }
  auto layer = std::make_unique<CastoreLayer>(std::move(blobs), std::move(directories), std::move(tree), options);
  // What does not fit together is said now.
  STRATA_TRY(layer->tree().Open({}, 0));
  return layer;
}

}  // namespace strata::vfs
