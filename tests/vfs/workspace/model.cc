#include "model.h"

#include <algorithm>
#include <cstring>

#include "base/env.h"
#include "vfs/permissions.h"

namespace strata::vfs::testing {
ModelFileSystem::ModelFileSystem(bool read_only) {
  info_.id = 1;
  info_.read_only = read_only;
  auto root = std::make_unique<Node>();
  root->attributes.type = FileType::kDirectory;
  root->attributes.mode = 0755;
  root->attributes.nlink = 2;
  root->attributes.ino = kRootInode;
  root->attributes.atime = root->attributes.mtime = root->attributes.ctime = Tick();
  root->parent = 1;
  nodes_[1] = std::move(root);
}

ObjectId ModelFileSystem::Root() const { return {kRootInode, Generation{0}, 0}; }

Time ModelFileSystem::Tick() {
  now_ = std::max(Env::System().Now(), Time{now_.ns + 1});
  return now_;
}

ModelFileSystem::Node* ModelFileSystem::Find(const ObjectId& id) {
  auto found = nodes_.find(id.ino.value);
  if (found != nodes_.end() && id.generation == Generation{0}) return found->second.get();
  Fault(Errc::kStale);
  Fault(Errc::kBadHandle);
  return nullptr;
}

ModelFileSystem::Node* ModelFileSystem::FindDirectory(const ObjectId& id) {
  Node* node = Find(id);
  if (node == nullptr || node->attributes.type == FileType::kDirectory) return node;
  Fault(Errc::kNotDirectory);
  return nullptr;
}

ModelFileSystem::Node* ModelFileSystem::ChildOf(Node& directory, std::string_view name) {
  auto found = directory.children.find(name);
  return found == directory.children.end() ? nullptr : nodes_.at(found->second.ino).get();
}

bool ModelFileSystem::Owns(const Node& node, const Credentials& who) {
  return who.uid == 0 || who.uid == node.attributes.uid;
}

bool ModelFileSystem::May(const Node& node, const Credentials& who, std::uint32_t bits) const {
  const Attributes& a = node.attributes;
  if (who.uid == 0) {
    return a.type == FileType::kDirectory || (bits & kExecute) == 0 || (a.mode & 0111) != 0;
  }
  std::uint32_t granted = a.mode & 7;
  if (who.uid == a.uid) {
    granted = (a.mode >> 6) & 7;
  } else if (who.InGroup(a.gid)) {
    granted = (a.mode >> 3) & 7;
  }
  return (granted & bits) == bits;
}

void ModelFileSystem::CheckEntryChange(const Node& directory, const Node* victim, const Credentials& who) {
  FaultIf(info_.read_only, Errc::kReadOnly);
  FaultIf(!May(directory, who, kWrite | kExecute), Errc::kAccess);
  if (victim != nullptr && (directory.attributes.mode & kSticky) != 0 && !Owns(directory, who) && !Owns(*victim, who)) {
    Fault(Errc::kPermission);
    Fault(Errc::kAccess);
  }
}

bool ModelFileSystem::CheckNewNameOf(std::string_view name) {
  if (auto checked = CheckName(name); !checked) Fault(checked.error().code());
  if (name == "." || name == "..") {
    Fault(Errc::kInvalid);
    Fault(Errc::kExists);
    Fault(Errc::kNotEmpty);
  }
  return faults_.empty();
}

bool ModelFileSystem::Holds(const Node& ancestor, const Node* node) {
  while (true) {
    if (node == &ancestor) return true;
    if (node->attributes.ino == kRootInode) return false;
    node = nodes_.at(node->parent).get();
  }
}

void ModelFileSystem::Touched(Node& node) { node.attributes.mtime = node.attributes.ctime = Tick(); }

Entry ModelFileSystem::EntryOf(const Node& node) const {
  return {{node.attributes.ino, Generation{0}, 0}, node.attributes};
}

void ModelFileSystem::Add(Node& directory, std::string_view name, Node& node) {
  directory.children[std::string(name)] = {node.attributes.ino.value, ++last_cookie_};
  if (node.attributes.type == FileType::kDirectory) {
    ++directory.attributes.nlink;
    node.parent = directory.attributes.ino.value;
  }
  Touched(directory);
}

// Takes the name away, and one link of the node; of a directory all of them.
void ModelFileSystem::Drop(Node& directory, std::string_view name, Node& node) {
  directory.children.erase(directory.children.find(name));
  Touched(directory);
  if (node.attributes.type == FileType::kDirectory) {
    --directory.attributes.nlink;
    nodes_.erase(node.attributes.ino.value);
    return;
  }
  node.attributes.ctime = Tick();
  if (--node.attributes.nlink == 0) nodes_.erase(node.attributes.ino.value);
}

ModelFileSystem::Node& ModelFileSystem::Make(Node& directory, std::string_view name, FileType type,
                                             std::uint32_t default_mode, const SetAttributes& set,
                                             const Credentials& who) {
  auto owned = std::make_unique<Node>();
  Node& node = *owned;
  Attributes& a = node.attributes;
  a.ino = InodeNumber{++last_ino_};
  a.type = type;
  a.mode = set.mode.value_or(default_mode) & kModeMask;
  a.uid = set.uid.value_or(who.uid);
  const bool inherit = (directory.attributes.mode & kSetGid) != 0;
  a.gid = set.gid.value_or(inherit ? directory.attributes.gid : who.gid);
  if (inherit && type == FileType::kDirectory) a.mode |= kSetGid;
  a.nlink = type == FileType::kDirectory ? 2 : 1;
  a.atime = a.mtime = a.ctime = Tick();
  if (set.set_atime == SetTime::kClient) a.atime = set.atime;
  if (set.set_mtime == SetTime::kClient) a.mtime = set.mtime;
  nodes_[a.ino.value] = std::move(owned);
  if (type == FileType::kRegular && set.size) Resize(node, *set.size);
  Add(directory, name, node);
  return node;
}

void ModelFileSystem::Resize(Node& node, std::uint64_t size) {
  const std::uint64_t last = size / kBlock;
  node.blocks.erase(node.blocks.lower_bound((size + kBlock - 1) / kBlock), node.blocks.end());
  if (auto block = node.blocks.find(last); block != node.blocks.end()) {
    std::fill(block->second.begin() + static_cast<std::ptrdiff_t>(size % kBlock), block->second.end(), '\0');
  }
  node.attributes.size = size;
  node.attributes.used = node.blocks.size() * kBlock;
}

Result<Attributes> ModelFileSystem::GetAttributes(const OpContext&, const ObjectId& id) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  const Node* node = Find(id);
  if (node == nullptr) return Failed();
  return node->attributes;
}

Result<Entry> ModelFileSystem::Lookup(const OpContext& context, const ObjectId& id, std::string_view name,
                                      std::optional<Attributes>* directory_after) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* directory = FindDirectory(id);
  if (directory == nullptr) return Failed();
  if (directory_after != nullptr) *directory_after = directory->attributes;
  if (auto checked = CheckName(name); !checked) Fault(checked.error().code());
  FaultIf(!May(*directory, context.credentials, kExecute), Errc::kAccess);
  const Node* child = nullptr;
  if (name == ".") {
    child = directory;
  } else if (name == "..") {
    child = nodes_.at(directory->parent).get();
  } else {
    child = ChildOf(*directory, name);
    FaultIf(child == nullptr && faults_.empty(), Errc::kNotFound);
  }
  if (!faults_.empty()) return Failed();
  return EntryOf(*child);
}

Result<ReadResult> ModelFileSystem::Read(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                         std::uint32_t count, ReadSink& sink) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* node = Find(id);
  if (node == nullptr) return Failed();
  if (node->attributes.type != FileType::kRegular) {
    if (node->attributes.type == FileType::kDirectory) Fault(Errc::kIsDirectory);
    Fault(Errc::kInvalid);
    return Failed();
  }
  FaultIf(!Owns(*node, context.credentials) && !May(*node, context.credentials, kRead), Errc::kAccess);
  if (!faults_.empty()) return Failed();
  const std::uint64_t size = node->attributes.size;
  const std::uint64_t rest = offset < size ? size - offset : 0;
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(rest, count));
  for (std::size_t done = 0; done < wanted;) {
    const std::size_t at = (offset + done) % kBlock;
    const std::size_t piece = std::min<std::size_t>(kBlock - at, wanted - done);
    if (auto block = node->blocks.find((offset + done) / kBlock); block != node->blocks.end()) {
      std::memcpy(sink.Allocate(piece).data(), block->second.data() + at, piece);
    } else {
      sink.Zeros(piece);
    }
    done += piece;
  }
  return ReadResult{wanted, offset + wanted >= size || offset >= size, node->attributes};
}

Result<Listing> ModelFileSystem::ReadDirectory(const OpContext& context, const ObjectId& id, Cookie cookie,
                                               bool want_attributes, DirectorySink& sink) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  Node* directory = FindDirectory(id);
  if (directory == nullptr) return Failed();
  FaultIf(!May(*directory, context.credentials, kRead), Errc::kAccess);
  if (!faults_.empty()) return Failed();
  std::map<std::uint64_t, std::pair<std::string, std::uint64_t>> ordered;
  ordered[1] = {".", directory->attributes.ino.value};
  ordered[2] = {"..", directory->parent};
  for (const auto& [name, child] : directory->children) ordered[child.cookie] = {name, child.ino};
  Listing listing;
  for (auto at = ordered.upper_bound(cookie.value); at != ordered.end(); ++at) {
    const Node& child = *nodes_.at(at->second.second);
    DirectoryEntry entry{at->second.first, EntryOf(child).id, Cookie{at->first},
                         want_attributes ? &child.attributes : nullptr};
    if (!sink.Add(entry)) return listing;
    ++listing.count;
  }
  listing.eof = true;
  return listing;
}

Result<std::uint32_t> ModelFileSystem::Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                                              std::optional<Attributes>* after) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  const Node* node = Find(id);
  if (node == nullptr) return Failed();
  if (after != nullptr) *after = node->attributes;
  const Credentials& who = context.credentials;
  const bool directory = node->attributes.type == FileType::kDirectory;
  std::uint32_t granted = 0;
  if (May(*node, who, kRead)) granted |= kAccessRead;
  if (May(*node, who, kExecute)) granted |= directory ? kAccessLookup : kAccessExecute;
  if (!info_.read_only && May(*node, who, directory ? kWrite | kExecute : kWrite)) {
    granted |= kAccessModify | kAccessExtend | (directory ? kAccessDelete : 0);
  }
  return granted & wanted;
}

Result<std::string> ModelFileSystem::ReadLink(const OpContext&, const ObjectId& id, std::optional<Attributes>* after) {
  std::lock_guard lock(mutex_);
  faults_.clear();
  const Node* node = Find(id);
  if (node == nullptr) return Failed();
  if (after != nullptr) *after = node->attributes;
  FaultIf(node->attributes.type != FileType::kSymlink, Errc::kInvalid);
  if (!faults_.empty()) return Failed();
  return node->target;
}

}  // namespace strata::vfs::testing
