#include "tests/server/nfs3/fake_file_system.h"

#include <algorithm>

namespace strata::testing {
namespace {

WccAttributes Wcc(const Attributes& attributes) { return {attributes.size, attributes.mtime, attributes.ctime}; }

}  // namespace

FakeFileSystem::FakeFileSystem(std::uint64_t volume_id, SipHashKey key) {
  info_.id = volume_id;
  info_.handle_key = key;
  Node root;
  root.attributes.type = FileType::kDirectory;
  root.attributes.mode = 0755;
  root.attributes.nlink = 2;
  root.attributes.ino = kRootInode;
  root.attributes.atime = root.attributes.mtime = root.attributes.ctime = Time{now_};
  root.parent = 1;
  nodes_[1] = root;
}

vfs::ObjectId FakeFileSystem::IdOf(std::uint64_t ino) const {
  return {InodeNumber(ino), Generation(static_cast<std::uint32_t>(ino * 10)), ino * 1000};
}
vfs::ObjectId FakeFileSystem::Root() const { return IdOf(1); }

vfs::ObjectId FakeFileSystem::Make(const vfs::ObjectId& directory, std::string_view name, FileType type,
                                   std::string content) {
  const std::uint64_t ino = next_ino_++;
  Node node;
  node.attributes.type = type;
  node.attributes.mode = 0640;
  node.attributes.nlink = type == FileType::kDirectory ? 2 : 1;
  node.attributes.uid = 1001;
  node.attributes.gid = 1002;
  node.attributes.size = content.size();
  node.attributes.used = (content.size() + 4095) / 4096 * 4096;
  node.attributes.ino = InodeNumber(ino);
  node.attributes.atime = Time{now_ + 1};
  node.attributes.mtime = Time{now_ + 2};
  node.attributes.ctime = Time{now_ + 3};
  now_ += 10;
  node.content = std::move(content);
  node.parent = directory.ino.value;
  nodes_[ino] = node;
  nodes_.at(directory.ino.value).children.push_back({std::string(name), ino, next_cookie_++});
  return IdOf(ino);
}

Result<FakeFileSystem::Node*> FakeFileSystem::Begin(const vfs::OpContext& context, const vfs::ObjectId& id,
                                                    vfs::Change* change) {
  ++calls;
  last_credentials = context.credentials;
  if (must_wait && !context.may_block) return Fail(Errc::kWouldBlock);
  if (fetch && !fetch->done()) {
    if (context.fetch != nullptr) *context.fetch = fetch;
    return Fail(Errc::kWouldBlock);
  }
  const auto at = nodes_.find(id.ino.value);
  const vfs::ObjectId given{id.ino, id.generation, id.locator == 0 ? id.ino.value * 1000 : id.locator};
  if (at == nodes_.end() || IdOf(id.ino.value) != given) return Fail(Errc::kStale);
  if (change != nullptr && !hide_attributes) *change = {Wcc(at->second.attributes), at->second.attributes};
  if (failure) return Fail(*failure);
  return &at->second;
}

void FakeFileSystem::End(Node& node, vfs::Change& change, vfs::Mutation& mutation) {
  now_ += 1;
  node.attributes.mtime = node.attributes.ctime = Time{now_};
  if (!hide_attributes) change.after = node.attributes;
  mutation.commitment = commitment;
  mutation.lsn = Lsn(static_cast<std::uint64_t>(now_));
}

Result<Attributes> FakeFileSystem::GetAttributes(const vfs::OpContext& context, const vfs::ObjectId& id) {
  const auto saved = std::exchange(failure, attributes_fail ? std::optional(Errc::kIo) : std::nullopt);
  const auto saved_fetch = attributes_in_memory ? std::exchange(fetch, nullptr) : fetch;
  const auto node = Begin(context, id);
  failure = saved;
  fetch = saved_fetch;
  if (!node) return Fail(node.error());
  return (*node)->attributes;
}

Result<vfs::Entry> FakeFileSystem::Lookup(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                          std::string_view name, std::optional<Attributes>* directory_after) {
  STRATA_ASSIGN(Node * node, Begin(context, directory));
  if (node->attributes.type != FileType::kDirectory) return Fail(Errc::kNotDirectory);
  Give(*node, directory_after);
  STRATA_TRY(vfs::CheckName(name));
  if (name == ".") return EntryOf(directory.ino.value);
  if (name == "..") return EntryOf(node->parent);
  for (const Child& child : node->children) {
    if (child.name == name) return EntryOf(child.ino);
  }
  return Fail(Errc::kNotFound);
}

Result<vfs::ReadResult> FakeFileSystem::Read(const vfs::OpContext& context, const vfs::ObjectId& id,
                                             std::uint64_t offset, std::uint32_t count, vfs::ReadSink& sink) {
  STRATA_ASSIGN(Node * node, Begin(context, id));
  last_offset = offset;
  last_count = count;
  if (node->attributes.type != FileType::kRegular) return Fail(Errc::kInvalid);
  const std::size_t begin = std::min<std::uint64_t>(offset, node->content.size());
  const std::size_t size = std::min<std::size_t>(count, node->content.size() - begin);
  if (reference_data) {
    auto pin = std::make_shared<std::string>(node->content);
    sink.Reference(AsBytes(*pin).subspan(begin, size), pin);
  } else {
    // More room than there are bytes, given back, as for a short read(2).
    const MutableByteSpan room = sink.Allocate(count);
    std::ranges::copy(AsBytes(node->content).subspan(begin, size), room.begin());
    sink.Trim(count - size);
  }
  vfs::ReadResult result;
  result.count = size;
  result.eof = begin + size == node->content.size();
  Give(*node, &result.after);
  return result;
}

Result<vfs::Listing> FakeFileSystem::ReadDirectory(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                                   Cookie cookie, bool want_attributes, vfs::DirectorySink& sink) {
  STRATA_ASSIGN(Node * node, Begin(context, directory));
  if (node->attributes.type != FileType::kDirectory) return Fail(Errc::kNotDirectory);
  std::vector<Child> all = {{".", directory.ino.value, 1}, {"..", node->parent, 2}};
  all.insert(all.end(), node->children.begin(), node->children.end());
  vfs::Listing listing;
  std::size_t mark = sink.Mark();
  for (const Child& child : all) {
    if (child.cookie <= cookie.value) continue;
    const vfs::Entry entry = EntryOf(child.ino);
    if (pairs && listing.count % 2 == 0) mark = sink.Mark();
    const Attributes* attributes = want_attributes && !hide_attributes ? &entry.attributes : nullptr;
    if (!sink.Add({child.name, entry.id, Cookie(child.cookie), attributes})) {
      if (pairs && listing.count % 2 == 1) {
        sink.Rewind(mark);
        --listing.count;
      }
      return listing;
    }
    ++listing.count;
  }
  listing.eof = true;
  return listing;
}

Result<std::uint32_t> FakeFileSystem::Access(const vfs::OpContext& context, const vfs::ObjectId& id, std::uint32_t,
                                             std::optional<Attributes>* after) {
  STRATA_ASSIGN(Node * node, Begin(context, id));
  Give(*node, after);
  return ~std::uint32_t{0};  // more than anybody asked for
}

Result<std::string> FakeFileSystem::ReadLink(const vfs::OpContext& context, const vfs::ObjectId& id,
                                             std::optional<Attributes>* after) {
  STRATA_ASSIGN(Node * node, Begin(context, id));
  Give(*node, after);
  if (node->attributes.type != FileType::kSymlink) return Fail(Errc::kInvalid);
  return node->content;
}

Result<std::vector<std::string>> FakeFileSystem::ListXattr(const vfs::OpContext& context, const vfs::ObjectId& id) {
  STRATA_ASSIGN(const Node* node, Begin(context, id));
  std::vector<std::string> names;
  for (const auto& [name, value] : xattrs[id.ino.value]) {
    if (vfs::MayReadXattr(node->attributes, context.credentials, name)) names.push_back(name);
  }
  return names;
}

Result<std::string> FakeFileSystem::GetXattr(const vfs::OpContext& context, const vfs::ObjectId& id,
                                             std::string_view name) {
  STRATA_ASSIGN(const Node* node, Begin(context, id));
  if (!vfs::MayReadXattr(node->attributes, context.credentials, name)) return Fail(Errc::kAccess);
  const auto& of_object = xattrs[id.ino.value];
  const auto found = of_object.find(name);
  if (found == of_object.end()) return Fail(Errc::kNotFound);
  return found->second;
}

Result<vfs::SpaceUsage> FakeFileSystem::Usage(const vfs::OpContext& context, const vfs::ObjectId& id) {
  STRATA_TRY(Begin(context, id));
  return vfs::SpaceUsage{600, 500, 400, 300, 200, 100};
}

Result<void> FakeFileSystem::SetAttributesOf(const vfs::OpContext& context, const vfs::ObjectId& id,
                                             const vfs::SetAttributes& set, std::optional<Time> guard,
                                             vfs::Mutation& mutation) {
  STRATA_ASSIGN(Node * node, Begin(context, id, &mutation.target));
  last_set = set;
  last_guard = guard;
  if (guard && *guard != node->attributes.ctime) return Fail(Errc::kNotSync);
  if (set.mode) node->attributes.mode = *set.mode;
  if (set.size) node->attributes.size = *set.size;
  End(*node, mutation.target, mutation);
  return {};
}

Result<std::uint32_t> FakeFileSystem::Write(const vfs::OpContext& context, const vfs::ObjectId& id,
                                            std::uint64_t offset, ByteSpan data, vfs::Stability stability,
                                            vfs::Mutation& mutation) {
  STRATA_ASSIGN(Node * node, Begin(context, id, &mutation.target));
  last_offset = offset;
  last_count = static_cast<std::uint32_t>(data.size());
  last_data = data.data();
  last_stability = stability;
  if (offset > 4 << 20) return Fail(Errc::kNoSpace);
  if (node->content.size() < offset + data.size()) node->content.resize(offset + data.size());
  std::ranges::copy(AsText(data), node->content.begin() + static_cast<std::ptrdiff_t>(offset));
  node->attributes.size = node->content.size();
  End(*node, mutation.target, mutation);
  return static_cast<std::uint32_t>(data.size());
}

Result<vfs::Entry> FakeFileSystem::MakeNew(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                           std::string_view name, FileType type, std::string content,
                                           const vfs::SetAttributes& set, vfs::Mutation& mutation) {
  STRATA_ASSIGN(Node * node, Begin(context, directory, &mutation.target));
  last_set = set;
  if (node->attributes.type != FileType::kDirectory) return Fail(Errc::kNotDirectory);
  STRATA_TRY(vfs::CheckNewName(name, Errc::kExists));
  for (const Child& child : node->children) {
    if (child.name == name) return Fail(Errc::kExists);
  }
  const vfs::ObjectId made = Make(directory, name, type, std::move(content));
  End(*node, mutation.target, mutation);
  return EntryOf(made.ino.value);
}

Result<vfs::Entry> FakeFileSystem::Create(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                          std::string_view name, vfs::CreateMode mode, const vfs::SetAttributes& set,
                                          const vfs::CreateVerifier& create_verifier, vfs::Mutation& mutation) {
  last_mode = mode;
  last_verifier = create_verifier;
  return MakeNew(context, directory, name, FileType::kRegular, "", set, mutation);
}

Result<vfs::Entry> FakeFileSystem::MakeDirectory(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                                 std::string_view name, const vfs::SetAttributes& set,
                                                 vfs::Mutation& mutation) {
  return MakeNew(context, directory, name, FileType::kDirectory, "", set, mutation);
}

Result<vfs::Entry> FakeFileSystem::MakeSymlink(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                               std::string_view name, std::string_view target,
                                               const vfs::SetAttributes& set, vfs::Mutation& mutation) {
  return MakeNew(context, directory, name, FileType::kSymlink, std::string(target), set, mutation);
}

Result<vfs::Entry> FakeFileSystem::MakeNode(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                            std::string_view name, FileType type, DeviceNumber device,
                                            const vfs::SetAttributes& set, vfs::Mutation& mutation) {
  last_device = device;
  auto made = MakeNew(context, directory, name, type, "", set, mutation);
  if (!made) return made;
  nodes_.at(made->id.ino.value).attributes.rdev = device;
  return EntryOf(made->id.ino.value);
}

Result<void> FakeFileSystem::Drop(const vfs::OpContext& context, const vfs::ObjectId& directory, std::string_view name,
                                  bool is_directory, vfs::Mutation& mutation) {
  STRATA_ASSIGN(Node * node, Begin(context, directory, &mutation.target));
  STRATA_TRY(vfs::CheckNewName(name, Errc::kInvalid));
  const auto at = std::ranges::find(node->children, name, &Child::name);
  if (at == node->children.end()) return Fail(Errc::kNotFound);
  const Node& child = nodes_.at(at->ino);
  if (is_directory != (child.attributes.type == FileType::kDirectory))
    return Fail(is_directory ? Errc::kNotDirectory : Errc::kIsDirectory);
  if (!child.children.empty()) return Fail(Errc::kNotEmpty);
  nodes_.erase(at->ino);
  node->children.erase(at);
  End(*node, mutation.target, mutation);
  return {};
}

Result<void> FakeFileSystem::Remove(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                    std::string_view name, vfs::Mutation& mutation) {
  return Drop(context, directory, name, false, mutation);
}

Result<void> FakeFileSystem::RemoveDirectory(const vfs::OpContext& context, const vfs::ObjectId& directory,
                                             std::string_view name, vfs::Mutation& mutation) {
  return Drop(context, directory, name, true, mutation);
}

Result<void> FakeFileSystem::Rename(const vfs::OpContext& context, const vfs::ObjectId& from_directory,
                                    std::string_view from, const vfs::ObjectId& to_directory, std::string_view to,
                                    vfs::Mutation& mutation) {
  auto target = Begin(context, to_directory, &mutation.second);
  STRATA_ASSIGN(Node * source, Begin(context, from_directory, &mutation.target));
  if (!target) return Fail(target.error());
  STRATA_TRY(vfs::CheckNewName(from, Errc::kInvalid));
  STRATA_TRY(vfs::CheckNewName(to, Errc::kInvalid));
  const auto at = std::ranges::find(source->children, from, &Child::name);
  if (at == source->children.end()) return Fail(Errc::kNotFound);
  Child moved = *at;
  source->children.erase(at);
  moved.name = to;
  moved.cookie = next_cookie_++;
  std::erase_if((*target)->children, [&](const Child& child) { return child.name == to; });
  (*target)->children.push_back(moved);
  End(*source, mutation.target, mutation);
  End(**target, mutation.second, mutation);
  return {};
}

Result<void> FakeFileSystem::Link(const vfs::OpContext& context, const vfs::ObjectId& id,
                                  const vfs::ObjectId& directory, std::string_view name,
                                  std::optional<Attributes>* after, vfs::Mutation& mutation) {
  STRATA_ASSIGN(Node * into, Begin(context, directory, &mutation.target));
  STRATA_ASSIGN(Node * node, Begin(context, id));
  STRATA_TRY(vfs::CheckNewName(name, Errc::kExists));
  Give(*node, after);
  if (node->attributes.type == FileType::kDirectory) return Fail(Errc::kIsDirectory);
  ++node->attributes.nlink;
  Give(*node, after);
  into->children.push_back({std::string(name), id.ino.value, next_cookie_++});
  End(*into, mutation.target, mutation);
  return {};
}

Result<void> FakeFileSystem::Commit(const vfs::OpContext& context, const vfs::ObjectId& id, vfs::Mutation& mutation) {
  STRATA_ASSIGN(Node * node, Begin(context, id, &mutation.target));
  mutation.commitment = vfs::Commitment::kDurable;
  mutation.lsn = Lsn(42);
  (void)node;
  return {};
}

}  // namespace strata::testing
