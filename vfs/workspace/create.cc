// What makes a name: CREATE, MKDIR, SYMLINK, MKNOD, LINK.
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// Where an entry is put over a name that a layer has, removing it later needs a whiteout.
NameSlot::Beneath BeneathNew(const Directory& names, const NameSlot* slot) {
  if (names.upper_only) return NameSlot::Beneath::kNo;
  if (slot == nullptr) return NameSlot::Beneath::kNo;
  return slot->state == NameSlot::State::kWhiteout ? NameSlot::Beneath::kYes : slot->beneath;
}

}  // namespace

std::unique_ptr<Inode> WorkspaceImpl::NewInode(const NewObject& what, InodeNumber ino, const Ownership& owned,
                                               const SetAttributes& set, Time now, const Inode& directory) const {
  auto inode = std::make_unique<Inode>();
  InodeRecord& record = inode->record;
  record.ino = ino;
  record.generation = generation_;
  record.type = what.type;
  record.mode = owned.mode;
  record.uid = owned.uid;
  record.gid = owned.gid;
  record.nlink = what.type == FileType::kDirectory ? 2 : 1;
  record.rdev = what.device;
  record.atime = set.set_atime == SetTime::kClient ? set.atime : now;
  record.mtime = set.set_mtime == SetTime::kClient ? set.mtime : now;
  record.ctime = now;
  record.opaque = true;
  record.create_verifier = what.verifier;
  switch (what.type) {
    case FileType::kRegular:
      record.size = set.size.value_or(0);
      break;
    case FileType::kDirectory:
      record.size = kDirectorySize;
      record.parent = directory.record.ino;
      inode->directory = std::make_unique<Directory>();
      inode->directory->loaded = inode->directory->upper_only = true;
      break;
    case FileType::kSymlink:
      record.symlink_target = what.target;
      record.size = what.target.size();
      break;
    default:
      break;
  }
  return inode;
}

Result<Entry> WorkspaceImpl::MakeUnderLock(const OpContext& context, Inode& directory, std::uint64_t hash,
                                           std::string_view name, const NameSlot* slot, InodeNumber ino,
                                           const NewObject& what, const SetAttributes& set, Mutation& mutation,
                                           Need& need) {
  const Credentials& caller = context.credentials;
  const bool is_directory = what.type == FileType::kDirectory;
  if (!Permits(directory.ownership(), true, caller, kMayWrite | kMayExecute)) return Fail(Errc::kAccess);
  STRATA_ASSIGN(Ownership owned, NewOwnership(directory.ownership(), is_directory, set, what.default_mode, caller));
  if (set.size && *set.size > kMaxFileSize) return Fail(Errc::kFileTooBig);
  STRATA_TRY(Own(directory, need));

  const Time now = Now();
  std::unique_ptr<Inode> inode = NewInode(what, ino, owned, set, now, directory);
  journal::Change change({what.kind, now, caller.uid});
  change.Add(inode->record);
  Touched parent = Touched::Content(directory, now);
  if (is_directory) parent.GainDirectory();
  parent.AddTo(change);
  change.Add(journal::EntryEffect{directory.record.ino, name, journal::EntryEffect::State::kPresent, ino, what.type});
  STRATA_ASSIGN(journal::Appended appended, Log(context, change, inode.get()));

  NameSlot made;
  made.ino = ino;
  made.state = NameSlot::State::kUpper;
  made.type = what.type;
  made.beneath = BeneathNew(*directory.directory, slot);
  SetName(directory, hash, name, made, appended.end);
  Take(parent, appended.end, NameMap::Footprint(name));
  table_.Recount(directory);
  NoteDirty(*inode);
  inode->upper = true;
  inode->changed = appended.end;
  const Inode* placed = table_.Insert(std::move(inode));
  mutation.target.after = directory.attributes();
  CommitNameSpace(mutation, appended.end);
  return Entry{placed->id(), placed->attributes()};
}

Result<Entry> WorkspaceImpl::Make(const OpContext& context, const ObjectId& directory, std::string_view name,
                                  const NewObject& what, const SetAttributes& set, Mutation& mutation) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  return RunChange(context, [&](StripeLock& lock, Need& need) -> Result<Entry> {
    const InodeNumber ino = NewNumber();
    lock.Lock({directory.ino, ino});
    STRATA_ASSIGN(Inode * parent, GetDirectory(directory, need));
    mutation.target = parent->unchanged();
    STRATA_TRY(CheckNewName(name, Errc::kExists));
    if (!Permits(parent->ownership(), true, context.credentials, kMayExecute)) return Fail(Errc::kAccess);
    STRATA_ASSIGN(NameSlot * slot, FindName(*parent, hash, name, need));
    if (slot != nullptr && slot->visible()) return Fail(Errc::kExists);
    return MakeUnderLock(context, *parent, hash, name, slot, ino, what, set, mutation, need);
  });
}

Result<Entry> WorkspaceImpl::Create(const OpContext& context, const ObjectId& directory, std::string_view name,
                                    CreateMode mode, const SetAttributes& set, const CreateVerifier& verifier,
                                    Mutation& mutation) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  NewObject what;
  // The client sets the mode of what it made exclusively in a SETATTR of its own; until then nobody else gets in.
  if (mode == CreateMode::kExclusive) {
    what.verifier = verifier;
    what.default_mode = 0600;
  }
  InodeNumber existing = kNoInode;
  return RunChange(context, [&](StripeLock& lock, Need& need) -> Result<Entry> {
    const InodeNumber ino = NewNumber();
    lock.Lock({directory.ino, existing, ino});
    STRATA_ASSIGN(Inode * parent, GetDirectory(directory, need));
    mutation.target = parent->unchanged();
    STRATA_TRY(CheckNewName(name, Errc::kExists));
    if (!Permits(parent->ownership(), true, context.credentials, kMayExecute)) return Fail(Errc::kAccess);
    STRATA_ASSIGN(NameSlot * slot, FindName(*parent, hash, name, need));
    if (slot == nullptr || !slot->visible()) {
      return MakeUnderLock(context, *parent, hash, name, slot, ino, what, set, mutation, need);
    }
    if (mode == CreateMode::kGuarded) return Fail(Errc::kExists);
    if (slot->ino != existing) {
      existing = slot->ino;
      return need.Again();
    }
    STRATA_ASSIGN(Inode * child, GetChild(*parent, name, *slot, need));
    if (child->record.type != FileType::kRegular) return Fail(Errc::kExists);
    if (mode == CreateMode::kExclusive) {
      if (child->record.create_verifier != verifier || verifier == CreateVerifier{}) return Fail(Errc::kExists);
      CommitFound(mutation, slot->changed);
      return Entry{child->id(), child->attributes()};
    }
    CommitFound(mutation, slot->changed);
    if (set.size) {
      Mutation inner;
      SetAttributes size;
      size.size = set.size;
      STRATA_TRY(SetUnderLock(context, *child, size, std::nullopt, inner, need));
      mutation.commitment = inner.commitment;
      mutation.lsn = inner.lsn;
    }
    return Entry{child->id(), child->attributes()};
  });
}

Result<Entry> WorkspaceImpl::MakeDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                                           const SetAttributes& set, Mutation& mutation) {
  NewObject what;
  what.kind = journal::RecordKind::kMakeDirectory;
  what.type = FileType::kDirectory;
  what.default_mode = 0755;
  SetAttributes without_size = set;
  without_size.size.reset();
  return Make(context, directory, name, what, without_size, mutation);
}

Result<Entry> WorkspaceImpl::MakeSymlink(const OpContext& context, const ObjectId& directory, std::string_view name,
                                         std::string_view target, const SetAttributes& set, Mutation& mutation) {
  if (target.size() > kMaxSymlinkBytes) return Fail(Errc::kNameTooLong);
  if (target.empty()) return Fail(Errc::kInvalid);
  NewObject what;
  what.kind = journal::RecordKind::kMakeSymlink;
  what.type = FileType::kSymlink;
  what.default_mode = 0777;
  what.target = target;
  return Make(context, directory, name, what, set, mutation);
}

Result<Entry> WorkspaceImpl::MakeNode(const OpContext& context, const ObjectId& directory, std::string_view name,
                                      FileType type, DeviceNumber device, const SetAttributes& set,
                                      Mutation& mutation) {
  NewObject what;
  what.kind = journal::RecordKind::kMakeNode;
  what.type = type;
  switch (type) {
    case FileType::kBlockDevice:
    case FileType::kCharacterDevice:
      if (!context.credentials.superuser()) return Fail(Errc::kPermission);
      what.device = device;
      break;
    case FileType::kFifo:
    case FileType::kSocket:
      break;
    default:
      return Fail(Errc::kBadType);
  }
  return Make(context, directory, name, what, set, mutation);
}

Result<void> WorkspaceImpl::Link(const OpContext& context, const ObjectId& id, const ObjectId& directory,
                                 std::string_view name, std::optional<Attributes>* after, Mutation& mutation) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  return RunChange(context, [&](StripeLock& lock, Need& need) -> Result<void> {
    const Credentials& caller = context.credentials;
    lock.Lock({id.ino, directory.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    if (after != nullptr) *after = inode->attributes();
    STRATA_ASSIGN(Inode * parent, GetDirectory(directory, need));
    mutation.target = parent->unchanged();
    STRATA_TRY(CheckNewName(name, Errc::kExists));
    if (inode->is_directory()) return Fail(Errc::kIsDirectory);
    if (!Permits(parent->ownership(), true, caller, kMayExecute)) return Fail(Errc::kAccess);
    STRATA_ASSIGN(NameSlot * slot, FindName(*parent, hash, name, need));
    if (slot != nullptr && slot->visible()) return Fail(Errc::kExists);
    if (!Permits(parent->ownership(), true, caller, kMayWrite)) return Fail(Errc::kAccess);
    if (inode->record.nlink >= kMaxLinks) return Fail(Errc::kTooManyLinks);
    STRATA_TRY(Own(*inode, need));
    STRATA_TRY(Own(*parent, need));

    const Time now = Now();
    journal::Change change({journal::RecordKind::kLink, now, caller.uid});
    Touched linked = Touched::Status(*inode, now);
    ++linked.nlink;
    linked.AddTo(change);
    Touched holder = Touched::Content(*parent, now);
    holder.AddTo(change);
    change.Add(
        journal::EntryEffect{directory.ino, name, journal::EntryEffect::State::kPresent, id.ino, inode->record.type});
    STRATA_ASSIGN(journal::Appended appended, Log(context, change));

    NameSlot made;
    made.ino = id.ino;
    made.state = NameSlot::State::kUpper;
    made.type = inode->record.type;
    made.beneath = BeneathNew(*parent->directory, slot);
    SetName(*parent, hash, name, made, appended.end);
    Take(linked, appended.end);
    Take(holder, appended.end, NameMap::Footprint(name));
    table_.Recount(*parent);
    if (after != nullptr) *after = inode->attributes();
    mutation.target.after = parent->attributes();
    CommitNameSpace(mutation, appended.end);
    return {};
  });
}

}  // namespace strata::vfs
