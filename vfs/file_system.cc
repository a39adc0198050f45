#include "vfs/file_system.h"

#include "vfs/permissions.h"

namespace strata::vfs {
namespace {

constexpr std::uint32_t kChangingAccess = kAccessModify | kAccessExtend | kAccessDelete;
constexpr std::uint64_t kDefaultTotalBytes = std::uint64_t{1} << 40;

// Fills `change` as for an object that the refused call left alone. The object's own error comes before that of the
// call: a stale handle is stale on a read-only volume too.
Result<void> Unchanged(FileSystem& file_system, const OpContext& context, const ObjectId& id, Change& change) {
  STRATA_ASSIGN(Attributes attributes, file_system.GetAttributes(context, id));
  change.before = WccAttributes{attributes.size, attributes.mtime, attributes.ctime};
  change.after = attributes;
  return {};
}

Status Refuse(FileSystem& file_system, const OpContext& context, const ObjectId& id, Change& change) {
  auto unchanged = Unchanged(file_system, context, id, change);
  return unchanged ? Status(Errc::kReadOnly) : std::move(unchanged.error());
}

}  // namespace

Result<std::uint32_t> FileSystem::Access(const OpContext& context, const ObjectId& id, std::uint32_t wanted,
                                         std::optional<Attributes>* after) {
  STRATA_ASSIGN(Attributes attributes, GetAttributes(context, id));
  std::uint32_t granted = AccessByMode(attributes, context.credentials, wanted);
  if (Volume().read_only) granted &= ~kChangingAccess;
  if (after != nullptr) *after = attributes;
  return granted;
}

Result<std::string> FileSystem::ReadLink(const OpContext& context, const ObjectId& id,
                                         std::optional<Attributes>* after) {
  STRATA_ASSIGN(Attributes attributes, GetAttributes(context, id));
  if (after != nullptr) *after = attributes;
  return Fail(Errc::kInvalid);
}

Result<std::vector<std::string>> FileSystem::ListXattr(const OpContext&, const ObjectId&) {
  return std::vector<std::string>();
}

Result<std::string> FileSystem::GetXattr(const OpContext&, const ObjectId&, std::string_view) {
  return Fail(Errc::kNotFound);
}

Result<SpaceUsage> FileSystem::Usage(const OpContext&, const ObjectId&) {
  SpaceUsage usage;
  usage.total_bytes = kDefaultTotalBytes;
  return usage;
}

Result<void> FileSystem::SetAttributesOf(const OpContext& context, const ObjectId& id, const SetAttributes&,
                                         std::optional<Time>, Mutation& mutation) {
  return Fail(Refuse(*this, context, id, mutation.target));
}

Result<std::uint32_t> FileSystem::Write(const OpContext& context, const ObjectId& id, std::uint64_t, ByteSpan,
                                        Stability, Mutation& mutation) {
  return Fail(Refuse(*this, context, id, mutation.target));
}

Result<Entry> FileSystem::Create(const OpContext& context, const ObjectId& directory, std::string_view, CreateMode,
                                 const SetAttributes&, const CreateVerifier&, Mutation& mutation) {
  return Fail(Refuse(*this, context, directory, mutation.target));
}

Result<Entry> FileSystem::MakeDirectory(const OpContext& context, const ObjectId& directory, std::string_view,
                                        const SetAttributes&, Mutation& mutation) {
  return Fail(Refuse(*this, context, directory, mutation.target));
}

Result<Entry> FileSystem::MakeSymlink(const OpContext& context, const ObjectId& directory, std::string_view,
                                      std::string_view, const SetAttributes&, Mutation& mutation) {
  return Fail(Refuse(*this, context, directory, mutation.target));
}

Result<Entry> FileSystem::MakeNode(const OpContext& context, const ObjectId& directory, std::string_view, FileType,
                                   DeviceNumber, const SetAttributes&, Mutation& mutation) {
  return Fail(Refuse(*this, context, directory, mutation.target));
}

Result<void> FileSystem::Remove(const OpContext& context, const ObjectId& directory, std::string_view,
                                Mutation& mutation) {
  return Fail(Refuse(*this, context, directory, mutation.target));
}

Result<void> FileSystem::RemoveDirectory(const OpContext& context, const ObjectId& directory, std::string_view,
                                         Mutation& mutation) {
  return Fail(Refuse(*this, context, directory, mutation.target));
}

Result<void> FileSystem::Rename(const OpContext& context, const ObjectId& from_directory, std::string_view,
                                const ObjectId& to_directory, std::string_view, Mutation& mutation) {
  STRATA_TRY(Unchanged(*this, context, from_directory, mutation.target));
  return Fail(Refuse(*this, context, to_directory, mutation.second));
}

Result<void> FileSystem::Link(const OpContext& context, const ObjectId& id, const ObjectId& directory, std::string_view,
                              std::optional<Attributes>* after, Mutation& mutation) {
  STRATA_ASSIGN(Attributes attributes, GetAttributes(context, id));
  if (after != nullptr) *after = attributes;
  return Fail(Refuse(*this, context, directory, mutation.target));
}

// Nothing can have been written, so everything written is durable; RFC 1813 3.3.21 has no NFS3ERR_ROFS.
Result<void> FileSystem::Commit(const OpContext& context, const ObjectId& id, Mutation& mutation) {
  return Unchanged(*this, context, id, mutation.target);
}

WriteVerifier FileSystem::CurrentWriteVerifier() const { return {}; }
void FileSystem::WatchRemovals(std::shared_ptr<RemovalWatch>) {}
void FileSystem::LendMemory(std::size_t) {}

std::vector<PastRequest> FileSystem::PastRequests() { return {}; }

Result<void> FileSystem::Flush() { return {}; }

void FileSystem::Sync(Lsn, std::move_only_function<void(Result<void>)> done) { done({}); }

Result<void> CheckName(std::string_view name) {
  if (name.empty()) return Fail(Errc::kInvalid);
  if (name.size() > kMaxNameBytes) return Fail(Errc::kNameTooLong);
  for (const char c : name) {
    if (c == '\0' || c == '/') return Fail(Errc::kInvalid);
  }
  return {};
}

Result<void> CheckNewName(std::string_view name, Errc dots) {
  STRATA_TRY(CheckName(name));
  if (name == "." || name == "..") return Fail(dots);
  return {};
}

// As knfsd has it: of a directory, changing it needs the search bit too, and EXECUTE has no meaning; of anything else,
// LOOKUP and DELETE have none.
std::uint32_t AccessByMode(const Attributes& attributes, const Credentials& credentials, std::uint32_t wanted) {
  const bool is_directory = attributes.type == FileType::kDirectory;
  const std::uint32_t bits = Permitted({attributes.mode, attributes.uid, attributes.gid}, is_directory, credentials);
  const bool read = (bits & kMayRead) != 0, write = (bits & kMayWrite) != 0, execute = (bits & kMayExecute) != 0;
  std::uint32_t granted = read ? kAccessRead : 0;
  if (is_directory) {
    if (execute) granted |= kAccessLookup;
    if (write && execute) granted |= kChangingAccess;
  } else {
    if (write) granted |= kAccessModify | kAccessExtend;
    if (execute) granted |= kAccessExecute;
  }
  return granted & wanted;
}

bool MayReadXattr(const Attributes& attributes, const Credentials& credentials, std::string_view name) {
  if (name.starts_with("trusted.")) return credentials.superuser();
  if (!name.starts_with("user.")) return true;
  return (AccessByMode(attributes, credentials, kAccessRead) & kAccessRead) != 0;
}

}  // namespace strata::vfs
