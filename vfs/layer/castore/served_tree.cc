#include "vfs/layer/castore/served_tree.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <utility>

namespace strata::vfs::castore {
namespace {

constexpr std::uint64_t kBlock = 512;
// Listing so many entries takes longer than others should wait for.
constexpr std::size_t kFewListed = 1024;
// Of a directory whose small files are brought, so many entries are looked at.
constexpr std::size_t kMostSiblings = 1024;
// Of a number that is shared: above all that nodes have of their own (vfs/layer/lower_tree.h), and below 2^63.
constexpr std::uint64_t kShared = std::uint64_t{1} << 62;
constexpr std::string_view kDirectoryDigest = "user.tvix.castore.directory.digest";
constexpr std::string_view kBlobDigest = "user.tvix.castore.blob.digest";

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

// By which an overlay marks its files (specs overlay S6).
bool IsOfOverlay(std::string_view xattr) {
  return xattr.starts_with("trusted.overlay.") || xattr.starts_with("user.overlay.");
}

}  // namespace

TreeSource::TreeSource(std::shared_ptr<store::BlobService> blob_service,
                       std::shared_ptr<store::DirectoryService> directory_service, CastoreOptions tree_options)
    : options(std::move(tree_options)),
      blobs(std::move(blob_service)),
      directories(std::move(directory_service)),
      kept(options.memory_bytes / 4 * 3),
      files(blobs, options.memory_bytes / 4, options.ahead) {}

void TreeSource::Tell(std::string_view path, const Status& error) {
  if (!told_.Allow()) return;
  log::Warning("castore_unreadable", {{"path", path},
                                      {"layer", options.description},
                                      {"error", error},
                                      {"then", "clients that ask for it get an input/output error"}});
}

std::uint32_t GenerationOf(const store::Digest& digest) { return LoadLe<std::uint32_t>(digest.bytes.data()) | 1; }

std::uint64_t SharedNumber(const SipHashKey& key, const store::Node& node, const Attributes& attributes) {
  std::vector<std::byte> bytes;
  const auto add = [&](const auto& value) { bytes.insert(bytes.end(), std::begin(value), std::end(value)); };
  const std::array<std::uint64_t, 5> head{static_cast<std::uint64_t>(node.kind), attributes.mode, attributes.uid,
                                          attributes.gid, static_cast<std::uint64_t>(attributes.mtime.ns)};
  add(std::as_bytes(std::span(head)));
  node.kind == store::NodeKind::kSymlink ? add(AsBytes(node.target)) : add(std::as_bytes(std::span(node.digest.bytes)));
  return kShared | (SipHash24(key, bytes) >> 2);
}

Result<TreeRoot> OpenTreeRoot(TreeSource& source, const Waiting& waiting, const store::Node& node,
                              const std::optional<store::Digest>& attributes) {
  TreeRoot root{.node = node};
  if (!attributes) return root;
  root.attributes_from = attributes->Text() + " of " + source.blobs->Describe();
  const auto failed = [&](const Status& error) {
    if (error.code() == Errc::kWouldBlock) return Fail(error);
    return Fail(Errc::kIo, "the attributes " + root.attributes_from + ": " + std::string(error.message()));
  };
  auto blob = source.blobs->Open(waiting, *attributes);
  if (!blob) return failed(blob.error());
  if (!*blob) return failed(Status(Errc::kNotFound, "the blob is not there"));
  auto reader = store::AttributesReader::Open(waiting, std::move(*blob), node.digest);
  if (!reader) return failed(reader.error());
  root.attributes = std::move(*reader);
  return root;
}

ServedTree::ServedTree(TreeSource& source, TreeRoot root, TreePlace place)
    : source_(source),
      place_(std::move(place)),
      tree_(source.directories, std::move(root), source.kept, place_.first_id) {}

std::uint64_t ServedTree::ids() const {
  const std::uint64_t specials = attributes() != nullptr ? attributes()->specials() : 0;
  const std::uint64_t nodes = attributes() != nullptr ? attributes()->nodes() : 0;
  // Each is below 2^60: a blob has rows of them all. A tree's size may be anything.
  return std::max(tree_.end(), nodes + specials);
}

Result<void> ServedTree::CheckSize() const {
  if (ids() > place_.ids) {
    return Fail(Errc::kIo, "the tree has " + std::to_string(ids()) + " nodes, and only " + std::to_string(place_.ids) +
                               " numbers were given to it");
  }
  if (attributes() != nullptr && tree_.root().kind != store::NodeKind::kDirectory && attributes()->nodes() != 1) {
    return Fail(Errc::kIo, "the attributes " + tree_.attributes_from() + " are of " +
                               std::to_string(attributes()->nodes()) + " nodes, and the tree is one file");
  }
  return {};
}

Result<void> ServedTree::CheckRoot(const Waiting& waiting) {
  STRATA_TRY(CheckSize());
  if (tree_.root().kind == store::NodeKind::kDirectory) STRATA_TRY(tree_.Open(waiting, 0));
  return {};
}

template <typename T>
Result<T> ServedTree::Told(Result<T> result, const LayerNode& node) {
  if (result || result.error().code() != Errc::kIo) return result;
  std::string path = place_.name.empty() ? "/" : "/" + place_.name;
  const std::string within = tree_.KnownPathOf(node.id - place_.first_id);
  if (!within.empty()) path += (path.size() > 1 ? "/" : "") + within;
  source_.Tell(path, result.error());
  return result;
}

template <typename T>
Result<T> ServedTree::Had(Result<T> result) const {
  if (result || result.error().code() == Errc::kWouldBlock) return result;
  return Fail(Errc::kIo, "the attributes " + tree_.attributes_from() + ": " + std::string(result.error().message()));
}

Result<ServedTree::Target> ServedTree::TargetOf(const LayerNode& node) const {
  if (node.id < place_.first_id) return Fail(Errc::kStale);
  const std::uint64_t number = node.id - place_.first_id;
  if (attributes() == nullptr || number < attributes()->nodes()) return Target{.number = number};
  if (number - attributes()->nodes() >= attributes()->specials()) return Fail(Errc::kStale);
  return Target{.special = number - attributes()->nodes()};
}

Result<std::uint64_t> ServedTree::NumberOf(const LayerNode& node, Errc of_special) const {
  STRATA_ASSIGN(const Target target, TargetOf(node));
  if (target.special) return Fail(of_special);
  return target.number;
}

Result<store::StoredAttributes> ServedTree::AttributesOf(const Waiting& waiting, std::uint64_t number) const {
  STRATA_ASSIGN(store::StoredAttributes stored, Had(attributes()->Get(waiting, number)));
  if (stored.links < 2 || stored.first_link == number) return stored;
  // Others have to agree on which is the first.
  STRATA_ASSIGN(const store::StoredAttributes first, Had(attributes()->Get(waiting, stored.first_link)));
  if (first.links != stored.links || first.first_link != stored.first_link) {
    return Had(Result<store::StoredAttributes>(Fail(Errc::kCorrupt, "the names of a hard link do not agree")));
  }
  return stored;
}

Result<store::SpecialEntry> ServedTree::SpecialIn(const Waiting& waiting, std::uint64_t directory,
                                                  std::uint64_t index) const {
  STRATA_ASSIGN(store::SpecialEntry entry, Had(attributes()->Special(waiting, index)));
  if (entry.parent == directory) return entry;
  return Had(Result<store::SpecialEntry>(Fail(Errc::kCorrupt, "they name an entry of one directory in another")));
}

Result<Place> ServedTree::FindPlace(const Waiting& waiting, const LayerNode& node, std::uint64_t number) {
  return tree_.Find(waiting, number, node.parent > place_.first_id ? node.parent - place_.first_id : 0);
}

Result<LayerStat> ServedTree::StatOf(const Waiting& waiting, const Place& place) {
  LayerStat stat;
  const store::Node& node = place.node;
  stat.node = {IdOf(place.number), place.number == 0 ? place_.parent_id : IdOf(place.parent)};
  stat.generation = place_.generation;
  Attributes& attributes = stat.attributes;
  attributes.type = TypeOf(node.kind);
  attributes.mode = node.kind == store::NodeKind::kDirectory || node.executable ? 0555 : 0444;
  attributes.nlink = 1;
  attributes.size = node.kind == store::NodeKind::kSymlink ? node.target.size() : node.size;
  if (node.kind == store::NodeKind::kFile)
    attributes.used = node.size / kBlock * kBlock + (node.size % kBlock != 0 ? kBlock : 0);
  STRATA_ASSIGN(const bool told_apart, AddAttributes(waiting, place.number, stat));
  attributes.ino = InodeNumber(stat.node.id);
  if (source_.options.share_key && !told_apart)
    stat.shared = SharedNumber(*source_.options.share_key, node, attributes);
  return stat;
}

Result<bool> ServedTree::AddAttributes(const Waiting& waiting, std::uint64_t number, LayerStat& stat) {
  if (this->attributes() == nullptr) return false;
  STRATA_ASSIGN(const store::StoredAttributes stored, AttributesOf(waiting, number));
  Attributes& attributes = stat.attributes;
  attributes.mode = stored.mode;
  attributes.uid = stored.uid;
  attributes.gid = stored.gid;
  attributes.atime = attributes.mtime = attributes.ctime = stored.mtime;
  if (attributes.type == FileType::kDirectory || stored.links < 2) return stored.xattrs_size > 0;
  attributes.nlink = stored.links;
  stat.node = {IdOf(stored.first_link), 0};
  return true;
}

LayerStat ServedTree::StatOfEntry(std::uint64_t index, const store::SpecialEntry& entry) const {
  LayerStat stat;
  stat.node = {IdOfSpecial(index), IdOf(entry.parent)};
  stat.generation = place_.generation;
  stat.attributes.type = entry.type;
  stat.attributes.mode = entry.mode;
  stat.attributes.nlink = 1;
  stat.attributes.uid = entry.uid;
  stat.attributes.gid = entry.gid;
  stat.attributes.rdev = entry.device;
  stat.attributes.atime = stat.attributes.mtime = stat.attributes.ctime = entry.mtime;
  stat.attributes.ino = InodeNumber(stat.node.id);
  return stat;
}

Result<LayerStat> ServedTree::StatOfSpecial(const Waiting& waiting, std::uint64_t index) {
  STRATA_ASSIGN(const store::SpecialEntry entry, Had(attributes()->Special(waiting, index)));
  return StatOfEntry(index, entry);
}

Result<LayerStat> ServedTree::Stat(const OpContext& context, const LayerNode& node) {
  const Waiting waiting = context.waiting();
  STRATA_ASSIGN(const Target target, TargetOf(node));
  if (target.special) return Told(StatOfSpecial(waiting, *target.special), node);
  auto place = FindPlace(waiting, node, target.number);
  if (!place) return Told(Result<LayerStat>(Fail(place.error())), node);
  return Told(StatOf(waiting, *place), node);
}

Result<LayerStat> ServedTree::LookupIn(const Waiting& waiting, const OpenDirectory& directory, std::string_view name) {
  const auto place = Tree::Lookup(directory, name);
  if (place) return StatOf(waiting, *place);
  if (attributes() == nullptr || attributes()->specials() == 0) return Fail(Errc::kNotFound);
  STRATA_ASSIGN(const store::StoredAttributes stored, AttributesOf(waiting, directory.number));
  std::uint64_t index = stored.first_special, end = index + stored.specials;
  while (index < end) {
    const std::uint64_t middle = index + (end - index) / 2;
    STRATA_ASSIGN(const store::SpecialEntry entry, SpecialIn(waiting, directory.number, middle));
    if (entry.name == name) return StatOfEntry(middle, entry);
    if (entry.name < name) {
      index = middle + 1;
    } else {
      end = middle;
    }
  }
  return Fail(Errc::kNotFound);
}

Result<LayerStat> ServedTree::Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) {
  const Waiting waiting = context.waiting();
  STRATA_ASSIGN(const std::uint64_t number, NumberOf(directory, Errc::kNotDirectory));
  const auto opened = tree_.Open(waiting, number);
  if (!opened) return Told(Result<LayerStat>(Fail(opened.error())), directory);
  return Told(LookupIn(waiting, **opened, name), directory);
}

Result<void> ServedTree::VisitNodes(const Waiting& waiting, const OpenDirectory& directory,
                                    const std::function<bool(const LayerEntry&)>& visit, bool& go_on) {
  const store::Directory& entries = directory.content.directory();
  for (std::size_t i = 0; go_on && i < entries.count(); ++i) {
    const store::Directory::Entry found = entries.At(i);
    const std::uint64_t number = directory.number + directory.content.OffsetOf(i);
    LayerEntry entry;
    entry.name = found.name;
    entry.type = TypeOf(found.kind);
    entry.node = {IdOf(number), IdOf(directory.number)};
    if (attributes() != nullptr && entry.type != FileType::kDirectory) {
      STRATA_ASSIGN(const store::StoredAttributes stored, AttributesOf(waiting, number));
      if (stored.links > 1) entry.node = {IdOf(stored.first_link), 0};
    }
    go_on = visit(entry);
  }
  return {};
}

Result<void> ServedTree::VisitSpecials(const Waiting& waiting, const OpenDirectory& directory,
                                       const std::function<bool(const LayerEntry&)>& visit) {
  if (attributes() == nullptr || attributes()->specials() == 0) return {};
  STRATA_ASSIGN(const store::StoredAttributes stored, AttributesOf(waiting, directory.number));
  if (!waiting.may_block && stored.specials > kFewListed) return Fail(Errc::kWouldBlock);
  const store::Directory& entries = directory.content.directory();
  std::string before;
  for (std::uint64_t i = 0; i < stored.specials; ++i) {
    const std::uint64_t index = stored.first_special + i;
    STRATA_ASSIGN(const store::SpecialEntry special, SpecialIn(waiting, directory.number, index));
    // So that each name comes once, and is found.
    if (special.name <= before) {
      return Had(Result<void>(Fail(Errc::kCorrupt, "the names of devices, fifos and sockets are not in their order")));
    }
    before = special.name;
    // The tree's own entry is the one that counts.
    if (entries.Find(special.name) != entries.count()) continue;
    LayerEntry entry;
    entry.name = special.name;
    entry.type = special.type;
    entry.node = {IdOfSpecial(index), IdOf(directory.number)};
    if (!visit(entry)) return {};
  }
  return {};
}

Result<void> ServedTree::ReadDirectory(const OpContext& context, const LayerNode& directory,
                                       const std::function<bool(const LayerEntry&)>& visit) {
  const Waiting waiting = context.waiting();
  STRATA_ASSIGN(const std::uint64_t number, NumberOf(directory, Errc::kNotDirectory));
  const auto opened = tree_.Open(waiting, number);
  if (!opened) return Told(Result<void>(Fail(opened.error())), directory);
  if (!waiting.may_block && (*opened)->content.directory().count() > kFewListed) return Fail(Errc::kWouldBlock);
  bool go_on = true;
  auto visited = VisitNodes(waiting, **opened, visit, go_on);
  if (visited && go_on) visited = VisitSpecials(waiting, **opened, visit);
  if (visited && source_.options.ahead.bytes > 0) source_.siblings.Listed(directory.id);
  return Told(std::move(visited), directory);
}

Result<std::size_t> ServedTree::Read(const OpContext& context, const LayerNode& node, std::uint64_t offset,
                                     std::size_t length, const LayerVersion* expected, ReadSink& sink) {
  const Waiting waiting = context.waiting();
  STRATA_ASSIGN(const std::uint64_t number, NumberOf(node, Errc::kInvalid));
  const auto place = FindPlace(waiting, node, number);
  if (!place) return Told(Result<std::size_t>(Fail(place.error())), node);
  if (place->node.kind == store::NodeKind::kDirectory) return Fail(Errc::kIsDirectory);
  if (place->node.kind != store::NodeKind::kFile) return Fail(Errc::kInvalid);
  if (expected != nullptr) {
    const auto stat = StatOf(waiting, *place);
    if (!stat) return Told(Result<std::size_t>(Fail(stat.error())), node);
    const Attributes& now = stat->attributes;
    if (!expected->Matches(now.size, now.mtime, now.ctime)) return Fail(Errc::kNotSync);
  }
  bool waited = false;
  auto got = source_.files.Read(waiting, place->node.digest, place->node.size, offset, length, sink, &waited);
  if (got && waited && place->number != 0 && place->node.size <= Siblings::kSmall) BringSiblings(*place);
  return Told(std::move(got), node);
}

void ServedTree::BringSiblings(const Place& file) {
  const auto opened = tree_.Open({.may_block = false, .fetch = nullptr}, file.parent);
  if (!opened) return;  // it made room for others
  const NumberedDirectory& content = (*opened)->content;
  const std::size_t count = content.directory().count(), index = content.IndexAt(file.number - file.parent);
  if (!source_.siblings.Read(IdOf(file.parent), index)) return;
  // Half of what may be brought, and as many as are looked at in no time.
  std::uint64_t left = source_.options.ahead.bytes / 2;
  std::size_t next = index + 1;
  for (const std::size_t end = index + std::min(count, kMostSiblings); next < end; ++next) {
    const store::Directory::Entry entry = content.directory().At(next % count);
    if (entry.kind != store::NodeKind::kFile || entry.size == 0 || entry.size > Siblings::kSmall) continue;
    if (entry.size > left || !source_.files.Bring(*entry.digest, entry.size)) break;
    left -= entry.size;
  }
  source_.siblings.Brought(IdOf(file.parent), next % count);
}

Result<std::string> ServedTree::ReadLink(const OpContext& context, const LayerNode& node) {
  STRATA_ASSIGN(const std::uint64_t number, NumberOf(node, Errc::kInvalid));
  auto place = FindPlace(context.waiting(), node, number);
  if (!place) return Told(Result<std::string>(Fail(place.error())), node);
  if (place->node.kind != store::NodeKind::kSymlink) return Fail(Errc::kInvalid);
  return std::move(place->node.target);
}

Result<std::string> ServedTree::PathOf(const OpContext& context, const LayerNode& node) {
  const Waiting waiting = context.waiting();
  STRATA_ASSIGN(const Target target, TargetOf(node));
  if (!target.special) return Told(tree_.PathOf(waiting, target.number), node);
  const auto entry = Had(attributes()->Special(waiting, *target.special));
  if (!entry) return Told(Result<std::string>(Fail(entry.error())), node);
  auto above = tree_.PathOf(waiting, entry->parent);
  if (!above) return Told(std::move(above), node);
  return above->empty() ? entry->name : *above + '/' + entry->name;
}

Result<std::vector<store::Xattr>> ServedTree::Xattrs(const Waiting& waiting, const LayerNode& node) {
  STRATA_ASSIGN(const Target target, TargetOf(node));
  std::optional<store::Xattr> digest;
  if (!target.special) {
    STRATA_ASSIGN(const Place place, FindPlace(waiting, node, target.number));
    if (source_.options.show_xattr && place.node.kind != store::NodeKind::kSymlink) {
      const bool directory = place.node.kind == store::NodeKind::kDirectory;
      digest = store::Xattr{std::string(directory ? kDirectoryDigest : kBlobDigest), place.node.digest.Text()};
    }
  }
  std::vector<store::Xattr> xattrs;
  if (target.special) {
    STRATA_ASSIGN(const store::SpecialEntry entry, Had(attributes()->Special(waiting, *target.special)));
    STRATA_ASSIGN(xattrs, Had(attributes()->Xattrs(waiting, entry.xattrs_at, entry.xattrs_size)));
  } else if (attributes() != nullptr) {
    STRATA_ASSIGN(const store::StoredAttributes stored, AttributesOf(waiting, target.number));
    STRATA_ASSIGN(xattrs, Had(attributes()->Xattrs(waiting, stored.xattrs_at, stored.xattrs_size)));
  }
  std::erase_if(xattrs, [&](const store::Xattr& xattr) {
    return IsOfOverlay(xattr.name) || (digest && xattr.name == digest->name);
  });
  if (digest) xattrs.push_back(std::move(*digest));
  std::ranges::sort(xattrs, {}, &store::Xattr::name);
  return xattrs;
}

Result<std::vector<std::string>> ServedTree::ListXattr(const OpContext& context, const LayerNode& node) {
  const auto xattrs = Told(Xattrs(context.waiting(), node), node);
  if (!xattrs) return Fail(xattrs.error());
  std::vector<std::string> names;
  for (const store::Xattr& xattr : *xattrs) names.push_back(xattr.name);
  return names;
}

Result<std::string> ServedTree::GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) {
  auto xattrs = Told(Xattrs(context.waiting(), node), node);
  if (!xattrs) return Fail(xattrs.error());
  const auto found = std::ranges::find(*xattrs, name, &store::Xattr::name);
  if (found == xattrs->end()) return Fail(Errc::kNotFound);
  return std::move(found->value);
}

}  // namespace strata::vfs::castore
