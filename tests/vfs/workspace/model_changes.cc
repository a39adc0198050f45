// The changing calls of the reference model.
#include <algorithm>
#include <cstring>

#include "model.h"
#include "vfs/permissions.h"

namespace strata::vfs::testing {
namespace {

constexpr std::uint32_t kSetIds = kSetUid | kSetGid;

}  // namespace

Result<void> ModelFileSystem::SetAttributesOf(const OpContext& context, const ObjectId& id, const SetAttributes& set,
                                              std::optional<Time> guard, Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* node = Find(id);
  if (node == nullptr) return Failed();
  Watch watch(node, mutation.target);
  Attributes& a = node->attributes;
  const Credentials& who = context.credentials;
  const bool owns = Owns(*node, who);
  FaultIf(info_.read_only, Errc::kReadOnly);
  FaultIf(guard && *guard != a.ctime, Errc::kNotSync);
  FaultIf(set.mode && !owns, Errc::kPermission);
  FaultIf(set.uid && who.uid != 0 && (*set.uid != a.uid || !owns), Errc::kPermission);
  FaultIf(set.gid && who.uid != 0 && !(owns && (*set.gid == a.gid || who.InGroup(*set.gid))), Errc::kPermission);
  const bool client_time = set.set_atime == SetTime::kClient || set.set_mtime == SetTime::kClient;
  const bool server_time = set.set_atime == SetTime::kServer || set.set_mtime == SetTime::kServer;
  FaultIf(client_time && !owns, Errc::kPermission);
  if (server_time && !owns && !May(*node, who, kWrite)) {
    Fault(Errc::kAccess);
    Fault(Errc::kPermission);
  }
  if (set.size) {
    FaultIf(a.type == FileType::kDirectory, Errc::kIsDirectory);
    FaultIf(a.type != FileType::kDirectory && a.type != FileType::kRegular, Errc::kInvalid);
    FaultIf(*set.size > kMaxFileSize, Errc::kFileTooBig);
    FaultIf(!owns && !May(*node, who, kWrite), Errc::kAccess);
  }
  if (!faults_.empty()) return Failed();

  if (set.mode) {
    a.mode = *set.mode & kModeMask;
    if (a.type == FileType::kRegular && who.uid != 0 && !who.InGroup(a.gid)) a.mode &= ~kSetGid;
  }
  if (set.uid) a.uid = *set.uid;
  if (set.gid) a.gid = *set.gid;
  if ((set.uid || set.gid) && who.uid != 0 && a.type != FileType::kDirectory) a.mode &= ~kSetIds;
  if (set.size) {
    Resize(*node, *set.size);
    a.mtime = Tick();
    if (who.uid != 0) a.mode &= ~kSetIds;
  }
  if (set.set_atime == SetTime::kServer) a.atime = Tick();
  if (set.set_mtime == SetTime::kServer) a.mtime = Tick();
  if (set.set_atime == SetTime::kClient) a.atime = set.atime;
  if (set.set_mtime == SetTime::kClient) a.mtime = set.mtime;
  a.ctime = Tick();
  mutation.commitment = Commitment::kDurable;
  return {};
}

Result<std::uint32_t> ModelFileSystem::Write(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                             ByteSpan data, Stability stability, Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* node = Find(id);
  if (node == nullptr) return Failed();
  Watch watch(node, mutation.target);
  if (node->attributes.type != FileType::kRegular) {
    if (node->attributes.type == FileType::kDirectory) Fault(Errc::kIsDirectory);
    Fault(Errc::kInvalid);
  }
  FaultIf(info_.read_only, Errc::kReadOnly);
  FaultIf(!Owns(*node, context.credentials) && !May(*node, context.credentials, kWrite), Errc::kAccess);
  FaultIf(offset > kMaxFileSize || data.size() > kMaxFileSize - offset, Errc::kFileTooBig);
  if (!faults_.empty()) return Failed();
  if (data.empty()) return 0;
  for (std::size_t done = 0; done < data.size();) {
    Block& block = node->blocks[(offset + done) / kBlock];  // a new one is all zero
    const std::size_t at = (offset + done) % kBlock;
    const std::size_t piece = std::min<std::size_t>(kBlock - at, data.size() - done);
    std::memcpy(block.data() + at, data.data() + done, piece);
    done += piece;
  }
  Attributes& a = node->attributes;
  a.size = std::max(a.size, offset + data.size());
  a.used = node->blocks.size() * kBlock;
  if (context.credentials.uid != 0) a.mode &= ~kSetIds;
  Touched(*node);
  mutation.commitment = stability == Stability::kUnstable ? Commitment::kWritten : Commitment::kDurable;
  return static_cast<std::uint32_t>(data.size());
}

Result<Entry> ModelFileSystem::Create(const OpContext& context, const ObjectId& id, std::string_view name,
                                      CreateMode mode, const SetAttributes& set, const CreateVerifier& verifier,
                                      Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  const Credentials& who = context.credentials;
  Node* directory = FindDirectory(id);
  Watch watch(directory, mutation.target);
  if (directory == nullptr) return Failed();
  if (!CheckNewNameOf(name)) return Failed();
  FaultIf(!May(*directory, who, kExecute), Errc::kAccess);
  FaultIf(set.size && *set.size > kMaxFileSize, Errc::kFileTooBig);
  FaultIf(info_.read_only, Errc::kReadOnly);
  Node* existing = ChildOf(*directory, name);
  if (existing == nullptr) {
    CheckEntryChange(*directory, nullptr, who);
    if (!faults_.empty()) return Failed();
    Node& node =
        Make(*directory, name, FileType::kRegular, 0644, mode == CreateMode::kExclusive ? SetAttributes{} : set, who);
    node.exclusive = mode == CreateMode::kExclusive;
    node.verifier = verifier;
    mutation.commitment = Commitment::kDurable;
    return EntryOf(node);
  }
  const bool regular = existing->attributes.type == FileType::kRegular;
  if (mode == CreateMode::kGuarded) Fault(Errc::kExists);
  if (mode == CreateMode::kExclusive && !(existing->exclusive && existing->verifier == verifier)) Fault(Errc::kExists);
  if (mode == CreateMode::kUnchecked && !regular) {
    Fault(Errc::kExists);
    Fault(existing->attributes.type == FileType::kDirectory ? Errc::kIsDirectory : Errc::kInvalid);
  }
  const bool resize = mode == CreateMode::kUnchecked && set.size;
  FaultIf(resize && !Owns(*existing, who) && !May(*existing, who, kWrite), Errc::kAccess);
  if (!faults_.empty()) {
    if (!May(*directory, who, kWrite)) Fault(Errc::kAccess);
    return Failed();
  }
  if (resize) {
    Resize(*existing, *set.size);
    if (who.uid != 0) existing->attributes.mode &= ~kSetIds;
    Touched(*existing);
    mutation.commitment = Commitment::kDurable;
  }
  return EntryOf(*existing);
}

Result<Entry> ModelFileSystem::MakeChecked(const OpContext& context, const ObjectId& id, std::string_view name,
                                           FileType type, std::uint32_t default_mode, const SetAttributes& set,
                                           Errc also, Mutation& mutation) {
  Node* directory = FindDirectory(id);
  Watch watch(directory, mutation.target);
  if (directory == nullptr) return Failed();
  if (!CheckNewNameOf(name)) return Failed();
  CheckEntryChange(*directory, nullptr, context.credentials);
  if (ChildOf(*directory, name) != nullptr) {
    Fault(Errc::kExists);
    Fault(also);
  }
  if (!faults_.empty()) return Failed();
  mutation.commitment = Commitment::kDurable;
  return EntryOf(Make(*directory, name, type, default_mode, set, context.credentials));
}

Result<Entry> ModelFileSystem::MakeDirectory(const OpContext& context, const ObjectId& id, std::string_view name,
                                             const SetAttributes& set, Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  return MakeChecked(context, id, name, FileType::kDirectory, 0755, set, Errc::kExists, mutation);
}

Result<Entry> ModelFileSystem::MakeSymlink(const OpContext& context, const ObjectId& id, std::string_view name,
                                           std::string_view target, const SetAttributes& set, Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  FaultIf(target.size() > kMaxSymlinkBytes, Errc::kNameTooLong);
  if (target.empty()) {  // ENOENT in symlink(2), EINVAL in others
    Fault(Errc::kInvalid);
    Fault(Errc::kNotFound);
  }
  auto made = MakeChecked(context, id, name, FileType::kSymlink, 0777, set, Errc::kExists, mutation);
  if (!made) return made;
  Node& node = *nodes_.at(made->id.ino.value);
  node.target = target;
  node.attributes.size = target.size();
  node.attributes.mode = 0777;
  return EntryOf(node);
}

Result<Entry> ModelFileSystem::MakeNode(const OpContext& context, const ObjectId& id, std::string_view name,
                                        FileType type, DeviceNumber device, const SetAttributes& set,
                                        Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  const bool is_device = type == FileType::kBlockDevice || type == FileType::kCharacterDevice;
  FaultIf(!is_device && type != FileType::kFifo && type != FileType::kSocket, Errc::kBadType);
  FaultIf(is_device && context.credentials.uid != 0, Errc::kPermission);
  auto made = MakeChecked(context, id, name, type, 0644, set, Errc::kExists, mutation);
  if (!made) return made;
  Node& node = *nodes_.at(made->id.ino.value);
  if (is_device) node.attributes.rdev = device;
  return EntryOf(node);
}

Result<void> ModelFileSystem::Remove(const OpContext& context, const ObjectId& id, std::string_view name,
                                     Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* directory = FindDirectory(id);
  Watch watch(directory, mutation.target);
  if (directory == nullptr) return Failed();
  if (name == "." || name == "..") {
    Fault(Errc::kInvalid);
    Fault(Errc::kIsDirectory);
    return Failed();
  }
  if (!CheckNewNameOf(name)) return Failed();
  Node* child = ChildOf(*directory, name);
  CheckEntryChange(*directory, child, context.credentials);
  FaultIf(child == nullptr, Errc::kNotFound);
  FaultIf(child != nullptr && child->attributes.type == FileType::kDirectory, Errc::kIsDirectory);
  if (!faults_.empty()) return Failed();
  Drop(*directory, name, *child);
  mutation.commitment = Commitment::kDurable;
  return {};
}

Result<void> ModelFileSystem::RemoveDirectory(const OpContext& context, const ObjectId& id, std::string_view name,
                                              Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* directory = FindDirectory(id);
  Watch watch(directory, mutation.target);
  if (directory == nullptr) return Failed();
  if (!CheckNewNameOf(name)) return Failed();
  Node* child = ChildOf(*directory, name);
  CheckEntryChange(*directory, child, context.credentials);
  FaultIf(child == nullptr, Errc::kNotFound);
  FaultIf(child != nullptr && child->attributes.type != FileType::kDirectory, Errc::kNotDirectory);
  FaultIf(child != nullptr && !child->children.empty(), Errc::kNotEmpty);
  if (!faults_.empty()) return Failed();
  Drop(*directory, name, *child);
  mutation.commitment = Commitment::kDurable;
  return {};
}

Result<void> ModelFileSystem::Rename(const OpContext& context, const ObjectId& from_id, std::string_view from,
                                     const ObjectId& to_id, std::string_view to, Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  const Credentials& who = context.credentials;
  Node* source = FindDirectory(from_id);
  Node* target = FindDirectory(to_id);
  Watch watch_source(source, mutation.target);
  Watch watch_target(target, mutation.second);
  if (source == nullptr || target == nullptr) return Failed();
  if (!CheckNewNameOf(from) || !CheckNewNameOf(to)) return Failed();
  Node* moved = ChildOf(*source, from);
  Node* victim = ChildOf(*target, to);
  CheckEntryChange(*source, moved, who);
  CheckEntryChange(*target, victim, who);
  FaultIf(moved == nullptr, Errc::kNotFound);
  if (moved == nullptr) return Failed();
  const bool directory = moved->attributes.type == FileType::kDirectory;
  // Its ".." changes.
  FaultIf(directory && source != target && !May(*moved, who, kWrite), Errc::kAccess);
  FaultIf(directory && Holds(*moved, target), Errc::kInvalid);
  if (victim != nullptr && victim != moved) {
    const bool over_directory = victim->attributes.type == FileType::kDirectory;
    FaultIf(!directory && over_directory, Errc::kIsDirectory);
    FaultIf(directory && !over_directory, Errc::kNotDirectory);
    FaultIf(!victim->children.empty(), Errc::kNotEmpty);
  }
  if (!faults_.empty()) return Failed();
  if (victim == moved) return {};
  if (victim != nullptr) Drop(*target, to, *victim);
  source->children.erase(source->children.find(from));
  Touched(*source);
  if (directory) --source->attributes.nlink;
  Add(*target, to, *moved);
  moved->attributes.ctime = Tick();
  mutation.commitment = Commitment::kDurable;
  return {};
}

Result<void> ModelFileSystem::Link(const OpContext& context, const ObjectId& id, const ObjectId& to_id,
                                   std::string_view name, std::optional<Attributes>* after, Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* node = Find(id);
  Node* directory = FindDirectory(to_id);
  Watch watch(directory, mutation.target);
  if (node == nullptr || directory == nullptr) return Failed();
  if (after != nullptr) *after = node->attributes;
  if (!CheckNewNameOf(name)) return Failed();
  CheckEntryChange(*directory, nullptr, context.credentials);
  if (node->attributes.type == FileType::kDirectory) {
    Fault(Errc::kIsDirectory);
    Fault(Errc::kPermission);
  }
  FaultIf(node->attributes.nlink >= kMaxLinks && node->attributes.type != FileType::kDirectory, Errc::kTooManyLinks);
  FaultIf(ChildOf(*directory, name) != nullptr, Errc::kExists);
  if (!faults_.empty()) return Failed();
  ++node->attributes.nlink;
  node->attributes.ctime = Tick();
  Add(*directory, name, *node);
  if (after != nullptr) *after = node->attributes;
  mutation.commitment = Commitment::kDurable;
  return {};
}

Result<void> ModelFileSystem::Commit(const OpContext&, const ObjectId& id, Mutation& mutation) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* node = Find(id);
  Watch watch(node, mutation.target);
  if (node == nullptr) return Failed();
  if (node->attributes.type != FileType::kRegular) {
    if (node->attributes.type == FileType::kDirectory) Fault(Errc::kIsDirectory);
    Fault(Errc::kInvalid);
    return Failed();
  }
  return {};
}

}  // namespace strata::vfs::testing
