#include "vfs/control_tree.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "vfs/permissions.h"

namespace strata::vfs {
namespace {

constexpr std::string_view kTopName = ".strata";
constexpr std::string_view kXattrName = "xattr";
constexpr std::string_view kNamesName = "xattr-names";
constexpr std::string_view kSelfName = ".self";
constexpr std::string_view kForSuperuser = "trusted.";

constexpr std::uint64_t kOurs = std::uint64_t{1} << 63;
constexpr int kHashBits = 60;
constexpr std::uint64_t kHashMask = (std::uint64_t{1} << kHashBits) - 1;

constexpr std::uint32_t kChanging = kAccessModify | kAccessExtend | kAccessDelete;
constexpr std::uint32_t kDirectoryMode = 0555;
constexpr std::uint32_t kFileMode = 0444;
constexpr std::uint32_t kSuperuserMode = 0400;

// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): one bit of the locator changes half of the fileid.
constexpr std::uint64_t Mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return (x ^ (x >> 31)) & ~kOurs;
}

// Callers choose what is hashed and learn the hash, so that it must not be under the key of handles' MACs. These
// inputs are shorter than a handle: none of them is what a MAC is made of.
SipHashKey NameKeyOf(const SipHashKey& handle_key) {
  return {SipHash24(handle_key, AsBytes("control tree: names, 0")),
          SipHash24(handle_key, AsBytes("control tree: names, 1"))};
}

// Who asks the volume for what all callers may know, under the caller's conditions.
OpContext AsSuperuser(const OpContext& context) {
  OpContext superuser = context;
  superuser.credentials = {};
  return superuser;
}

bool Allows(const Attributes& attributes, const Credentials& caller, std::uint32_t wanted) {
  return Permits({attributes.mode, attributes.uid, attributes.gid}, attributes.type == FileType::kDirectory, caller,
                 wanted);
}

}  // namespace

ControlTree::ControlTree(std::shared_ptr<FileSystem> volume)
    : volume_(std::move(volume)), root_(volume_->Root()), name_key_(NameKeyOf(volume_->Volume().handle_key)) {}

bool ControlTree::IsTop(const ObjectId& directory, std::string_view name) const {
  return name == kTopName && IsRoot(directory);
}

ObjectId ControlTree::IdOf(const Place& place) {
  const std::uint64_t locator = static_cast<std::uint64_t>(place.kind) << kHashBits | place.hash;
  return {InodeNumber(kOurs | (place.object.ino.value ^ Mixed(locator))), place.object.generation, locator};
}

Result<ControlTree::Place> ControlTree::PlaceOf(const ObjectId& id) const {
  const std::uint64_t kind = id.locator >> kHashBits;
  if (kind < static_cast<std::uint64_t>(Kind::kTop) || kind > static_cast<std::uint64_t>(Kind::kSelfValue)) {
    return Fail(Errc::kBadHandle);
  }
  const InodeNumber number((id.ino.value & ~kOurs) ^ Mixed(id.locator));
  Place place{static_cast<Kind>(kind), id.locator & kHashMask, {number, id.generation}};
  if (IsRoot(place.object)) {
    place.object = root_;
  } else if (place.kind == Kind::kTop || place.kind == Kind::kXattr) {
    return Fail(Errc::kBadHandle);
  }
  return place;
}

std::uint64_t ControlTree::HashOf(std::string_view name) const {
  return SipHash24(name_key_, AsBytes(name)) & kHashMask;
}

bool ControlTree::IsDirectory(const Place& place, const Attributes& of_object) {
  return of_object.type == FileType::kDirectory && place.kind != Kind::kSelfNames && place.kind != Kind::kSelfValue;
}

Entry ControlTree::DirectoryAt(const Place& place, const Attributes& of_object) {
  Entry entry{IdOf(place), of_object};
  entry.attributes.ino = entry.id.ino;
  entry.attributes.mode &= kDirectoryMode;
  entry.attributes.nlink = 1;  // not counted
  entry.attributes.size = entry.attributes.used = 0;
  return entry;
}

Entry ControlTree::FileAt(const Place& place, const Attributes& of_object, const Content& content) {
  Entry entry{IdOf(place), of_object};
  Attributes& file = entry.attributes;
  file.ino = entry.id.ino;
  file.type = FileType::kRegular;
  file.mode &= kFileMode;
  file.nlink = 1;
  file.size = file.used = content.bytes.size();
  file.rdev = {};
  file.mtime = file.ctime;
  if (content.for_superuser) {
    file.mode = kSuperuserMode;
    file.uid = file.gid = 0;
  }
  return entry;
}

Result<ControlTree::Content> ControlTree::ContentAt(const OpContext& context, const Place& place) {
  Content content;
  STRATA_ASSIGN(std::vector<std::string> names, volume_->ListXattr(AsSuperuser(context), place.object));
  if (place.kind == Kind::kNames || place.kind == Kind::kSelfNames) {
    for (const std::string& name : names) {
      if (name.starts_with(kForSuperuser)) continue;
      content.bytes += name;
      content.bytes += '\n';
    }
    return content;
  }
  const auto found = std::ranges::find(names, place.hash, [&](const std::string& name) { return HashOf(name); });
  if (found == names.end()) return Fail(Errc::kNotFound);
  content.for_superuser = found->starts_with(kForSuperuser);
  STRATA_ASSIGN(content.bytes, volume_->GetXattr(context, place.object, *found));
  return content;
}

Result<Entry> ControlTree::EntryAt(const OpContext& context, const Place& place, const Attributes& of_object) {
  if (IsDirectory(place, of_object)) return DirectoryAt(place, of_object);
  STRATA_ASSIGN(const Content content, ContentAt(AsSuperuser(context), place));
  return FileAt(place, of_object, content);
}

Result<Entry> ControlTree::EntryOf(const OpContext& context, const ObjectId& id) {
  STRATA_ASSIGN(const Place place, PlaceOf(id));
  STRATA_ASSIGN(const Attributes of_object, volume_->GetAttributes(context, place.object));
  auto entry = EntryAt(context, place, of_object);
  // The object is there, but no longer its attribute.
  if (!entry && entry.error().code() == Errc::kNotFound) return Fail(Errc::kStale);
  return entry;
}

Result<Entry> ControlTree::Above(const OpContext& context, const Place& place, const Attributes& of_object) {
  if (place.kind == Kind::kTop) return Entry{root_, of_object};
  if (place.kind == Kind::kXattr) return DirectoryAt({Kind::kTop, 0, root_}, of_object);
  if (IsRoot(place.object)) {
    return DirectoryAt({place.kind == Kind::kNames ? Kind::kTop : Kind::kXattr, 0, root_}, of_object);
  }
  STRATA_ASSIGN(const Entry above, volume_->Lookup(AsSuperuser(context), place.object, "..", nullptr));
  return DirectoryAt({place.kind, place.hash, above.id}, above.attributes);
}

Result<Entry> ControlTree::FindTop(const OpContext& context, const ObjectId& directory, std::string_view name,
                                   std::optional<Attributes>* directory_after) {
  std::optional<Attributes> of_root;
  auto found = volume_->Lookup(context, directory, name, &of_root);
  if (directory_after != nullptr) *directory_after = of_root;
  if (found || found.error().code() != Errc::kNotFound || !IsRoot(directory)) return found;
  if (!of_root) {
    STRATA_ASSIGN(of_root, volume_->GetAttributes(context, root_));
  }
  return DirectoryAt({Kind::kTop, 0, root_}, *of_root);
}

Result<Entry> ControlTree::LookupWithin(const OpContext& context, const ObjectId& directory, std::string_view name,
                                        std::optional<Attributes>* directory_after) {
  STRATA_ASSIGN(const Place place, PlaceOf(directory));
  switch (place.kind) {
    case Kind::kTop:
    case Kind::kXattr:
      return LookupAtTop(context, place, name, directory_after);
    case Kind::kNames:
    case Kind::kValue:
      return LookupBeneath(context, place, name, directory_after);
    default:
      STRATA_TRY(volume_->GetAttributes(context, place.object));
      return Fail(Errc::kNotDirectory);
  }
}

Result<Entry> ControlTree::LookupAtTop(const OpContext& context, const Place& place, std::string_view name,
                                       std::optional<Attributes>* directory_after) {
  STRATA_ASSIGN(const Attributes of_root, volume_->GetAttributes(context, root_));
  const Entry self = DirectoryAt(place, of_root);
  if (directory_after != nullptr) *directory_after = self.attributes;
  if (!Allows(self.attributes, context.credentials, kMayExecute)) return Fail(Errc::kAccess);
  if (name == ".") return self;
  if (name == "..") return Above(context, place, of_root);
  STRATA_TRY(CheckName(name));
  if (place.kind == Kind::kXattr) return DirectoryAt({Kind::kValue, HashOf(name), root_}, of_root);
  if (name == kXattrName) return DirectoryAt({Kind::kXattr, 0, root_}, of_root);
  if (name == kNamesName) return DirectoryAt({Kind::kNames, 0, root_}, of_root);
  return Fail(Errc::kNotFound);
}

Result<Entry> ControlTree::LookupBeneath(const OpContext& context, const Place& place, std::string_view name,
                                         std::optional<Attributes>* directory_after) {
  std::optional<Attributes> of_object;
  const auto found = volume_->Lookup(context, place.object, name, &of_object);
  if (directory_after != nullptr && of_object && of_object->type == FileType::kDirectory) {
    *directory_after = DirectoryAt(place, *of_object).attributes;
  }
  if (found && name == ".." && IsRoot(place.object)) return Above(context, place, found->attributes);
  if (found) return EntryAt(context, {place.kind, place.hash, found->id}, found->attributes);
  if (found.error().code() != Errc::kNotFound || name != kSelfName) return Fail(found.error());
  if (!of_object) {
    STRATA_ASSIGN(of_object, volume_->GetAttributes(context, place.object));
  }
  const Kind kind = place.kind == Kind::kNames ? Kind::kSelfNames : Kind::kSelfValue;
  return EntryAt(context, {kind, place.hash, place.object}, *of_object);
}

Result<ReadResult> ControlTree::ReadWithin(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                           std::uint32_t count, ReadSink& sink) {
  STRATA_ASSIGN(const Place place, PlaceOf(id));
  STRATA_ASSIGN(const Attributes of_object, volume_->GetAttributes(context, place.object));
  if (IsDirectory(place, of_object)) return Fail(Errc::kIsDirectory);
  const auto content = ContentAt(context, place);
  if (!content) return Fail(content.error().code() == Errc::kNotFound ? Status(Errc::kStale) : content.error());
  const Entry file = FileAt(place, of_object, *content);
  if (!Allows(file.attributes, context.credentials, kMayRead)) return Fail(Errc::kAccess);
  const std::string_view bytes = content->bytes;
  const std::string_view piece = offset < bytes.size() ? bytes.substr(offset, count) : std::string_view();
  if (!piece.empty()) std::memcpy(sink.Allocate(piece.size()).data(), piece.data(), piece.size());
  return ReadResult{piece.size(), offset >= bytes.size() || piece.size() == bytes.size() - offset, file.attributes};
}

Result<Listing> ControlTree::ListWithin(const OpContext& context, const ObjectId& directory, Cookie cookie,
                                        bool want_attributes, DirectorySink& sink) {
  struct Line {
    std::string_view name;
    Entry entry;
  };
  STRATA_ASSIGN(const Place place, PlaceOf(directory));
  STRATA_ASSIGN(const Attributes of_object, volume_->GetAttributes(context, place.object));
  if (!IsDirectory(place, of_object)) return Fail(Errc::kNotDirectory);
  const Entry self = DirectoryAt(place, of_object);
  if (!Allows(self.attributes, context.credentials, kMayRead)) return Fail(Errc::kAccess);
  STRATA_ASSIGN(const Entry above, Above(context, place, of_object));
  std::array<Line, 4> lines{{{".", self}, {"..", above}, {kXattrName, {}}, {kNamesName, {}}}};
  std::size_t end = 2;
  if (place.kind == Kind::kTop) {
    lines[end++].entry = DirectoryAt({Kind::kXattr, 0, root_}, of_object);
    lines[end++].entry = DirectoryAt({Kind::kNames, 0, root_}, of_object);
  }
  Listing listing;
  for (std::uint64_t at = cookie.value; at < end; ++at) {
    const auto& [name, entry] = lines[at];
    if (!sink.Add({name, entry.id, Cookie(at + 1), want_attributes ? &entry.attributes : nullptr})) return listing;
    ++listing.count;
  }
  listing.eof = true;
  return listing;
}

Result<void> ControlTree::Removed(const ObjectId& directory, std::string_view name, Result<void> result) const {
  if (!result && result.error().code() == Errc::kNotFound && IsTop(directory, name)) return Fail(Errc::kReadOnly);
  return result;
}

// What changes nothing.

Result<Attributes> ControlTree::GetAttributes(const OpContext& context, const ObjectId& id) {
  if (!IsOurs(id)) return volume_->GetAttributes(context, id);
  STRATA_ASSIGN(const Entry entry, EntryOf(context, id));
  return entry.attributes;
}

Result<Entry> ControlTree::Lookup(const OpContext& context, const ObjectId& directory, std::string_view name,
                                  std::optional<Attributes>* directory_after) {
  if (IsOurs(directory)) return LookupWithin(context, directory, name, directory_after);
  if (name == kTopName) return FindTop(context, directory, name, directory_after);
  return volume_->Lookup(context, directory, name, directory_after);
}

Result<ReadResult> ControlTree::Read(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                     std::uint32_t count, ReadSink& sink) {
  if (IsOurs(id)) return ReadWithin(context, id, offset, count, sink);
  return volume_->Read(context, id, offset, count, sink);
}

Result<Listing> ControlTree::ReadDirectory(const OpContext& context, const ObjectId& directory, Cookie cookie,
                                           bool want_attributes, DirectorySink& sink) {
  if (IsOurs(directory)) return ListWithin(context, directory, cookie, want_attributes, sink);
  return volume_->ReadDirectory(context, directory, cookie, want_attributes, sink);
}

Result<std::uint32_t> ControlTree::Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                                          std::optional<Attributes>* after) {
  if (IsOurs(id)) return FileSystem::Access(context, id, wanted & ~kChanging, after);
  return volume_->Access(context, id, wanted, after);
}

Result<std::string> ControlTree::ReadLink(const OpContext& context, const ObjectId& id,
                                          std::optional<Attributes>* after) {
  if (IsOurs(id)) return FileSystem::ReadLink(context, id, after);
  return volume_->ReadLink(context, id, after);
}

Result<std::vector<std::string>> ControlTree::ListXattr(const OpContext& context, const ObjectId& id) {
  if (IsOurs(id)) return FileSystem::ListXattr(context, id);
  return volume_->ListXattr(context, id);
}

Result<std::string> ControlTree::GetXattr(const OpContext& context, const ObjectId& id, std::string_view name) {
  if (IsOurs(id)) return FileSystem::GetXattr(context, id, name);
  return volume_->GetXattr(context, id, name);
}

Result<SpaceUsage> ControlTree::Usage(const OpContext& context, const ObjectId& id) {
  return volume_->Usage(context, IsOurs(id) ? root_ : id);
}

// Changes. The defaults refuse them, with the attributes of the object.

Result<void> ControlTree::SetAttributesOf(const OpContext& context, const ObjectId& id, const SetAttributes& set,
                                          std::optional<Time> guard, Mutation& mutation) {
  if (IsOurs(id)) return FileSystem::SetAttributesOf(context, id, set, guard, mutation);
  return volume_->SetAttributesOf(context, id, set, guard, mutation);
}

Result<std::uint32_t> ControlTree::Write(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                         ByteSpan data, Stability stability, Mutation& mutation) {
  if (IsOurs(id)) return FileSystem::Write(context, id, offset, data, stability, mutation);
  return volume_->Write(context, id, offset, data, stability, mutation);
}

Result<Entry> ControlTree::Create(const OpContext& context, const ObjectId& directory, std::string_view name,
                                  CreateMode mode, const SetAttributes& set, const CreateVerifier& verifier,
                                  Mutation& mutation) {
  if (IsOurs(directory)) return FileSystem::Create(context, directory, name, mode, set, verifier, mutation);
  return volume_->Create(context, directory, name, mode, set, verifier, mutation);
}

Result<Entry> ControlTree::MakeDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                                         const SetAttributes& set, Mutation& mutation) {
  if (IsOurs(directory)) return FileSystem::MakeDirectory(context, directory, name, set, mutation);
  return volume_->MakeDirectory(context, directory, name, set, mutation);
}

Result<Entry> ControlTree::MakeSymlink(const OpContext& context, const ObjectId& directory, std::string_view name,
                                       std::string_view target, const SetAttributes& set, Mutation& mutation) {
  if (IsOurs(directory)) return FileSystem::MakeSymlink(context, directory, name, target, set, mutation);
  return volume_->MakeSymlink(context, directory, name, target, set, mutation);
}

Result<Entry> ControlTree::MakeNode(const OpContext& context, const ObjectId& directory, std::string_view name,
                                    FileType type, DeviceNumber device, const SetAttributes& set, Mutation& mutation) {
  if (IsOurs(directory)) return FileSystem::MakeNode(context, directory, name, type, device, set, mutation);
  return volume_->MakeNode(context, directory, name, type, device, set, mutation);
}

Result<void> ControlTree::Remove(const OpContext& context, const ObjectId& directory, std::string_view name,
                                 Mutation& mutation) {
  if (IsOurs(directory)) return FileSystem::Remove(context, directory, name, mutation);
  return Removed(directory, name, volume_->Remove(context, directory, name, mutation));
}

Result<void> ControlTree::RemoveDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                                          Mutation& mutation) {
  if (IsOurs(directory)) return FileSystem::RemoveDirectory(context, directory, name, mutation);
  return Removed(directory, name, volume_->RemoveDirectory(context, directory, name, mutation));
}

Result<void> ControlTree::Rename(const OpContext& context, const ObjectId& from_directory, std::string_view from,
                                 const ObjectId& to_directory, std::string_view to, Mutation& mutation) {
  if (IsOurs(from_directory) || IsOurs(to_directory)) {
    return FileSystem::Rename(context, from_directory, from, to_directory, to, mutation);
  }
  return Removed(from_directory, from, volume_->Rename(context, from_directory, from, to_directory, to, mutation));
}

Result<void> ControlTree::Link(const OpContext& context, const ObjectId& id, const ObjectId& directory,
                               std::string_view name, std::optional<Attributes>* after, Mutation& mutation) {
  if (IsOurs(id) || IsOurs(directory)) return FileSystem::Link(context, id, directory, name, after, mutation);
  return volume_->Link(context, id, directory, name, after, mutation);
}

Result<void> ControlTree::Commit(const OpContext& context, const ObjectId& id, Mutation& mutation) {
  if (IsOurs(id)) return FileSystem::Commit(context, id, mutation);
  return volume_->Commit(context, id, mutation);
}

}  // namespace strata::vfs
