// What changes one object: SETATTR, WRITE, COMMIT; and how any change is logged.
#include <algorithm>

#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {

Touched Touched::Status(Inode& inode, Time now) {
  const InodeRecord& record = inode.record;
  return {&inode, record.nlink, record.size, record.mode, record.mtime, inode.ChangeTime(now)};
}

Touched Touched::Content(Inode& inode, Time now) {
  Touched touched = Status(inode, now);
  touched.mtime = inode.ContentTime(now);
  return touched;
}

void Touched::AddTo(journal::Change& change) const {
  change.Add(journal::TouchEffect{inode->record.ino, nlink, size, mode, mtime, ctime});
}

void Touched::Take(Lsn end) const {
  InodeRecord& record = inode->record;
  record.nlink = nlink;
  record.size = size;
  record.mode = mode;
  record.mtime = mtime;
  record.ctime = ctime;
  inode->changed = end;
}

Result<journal::Appended> WorkspaceImpl::Log(const OpContext& context, journal::Change& change, const Inode* made) {
  if (!context.request.empty()) {
    journal::RequestEffect request{.request = context.request};
    if (made != nullptr) {
      request.made = made->record.ino;
      request.generation = made->record.generation;
    }
    change.Add(request);
  }
  auto appended = journal_->Append(change);
  if (appended) keeper_->NoteRecord();
  return appended;
}

void WorkspaceImpl::CommitNameSpace(Mutation& mutation, Lsn lsn) const {
  mutation.commitment = options_.durability == Durability::kStrict ? Commitment::kDurable : Commitment::kWritten;
  mutation.lsn = lsn;
}

void WorkspaceImpl::CommitFound(Mutation& mutation, Lsn changed) const {
  if (changed > journal_->durable()) CommitNameSpace(mutation, changed);
}

void WorkspaceImpl::CommitWritten(Mutation& mutation, Lsn changed) const {
  if (changed <= journal_->durable()) return;
  mutation.commitment = Commitment::kDurable;
  mutation.lsn = changed;
}

Result<void> WorkspaceImpl::SetUnderLock(const OpContext& context, Inode& inode, const SetAttributes& set,
                                         std::optional<Time> guard, Mutation& mutation, Need& need) {
  const Credentials& caller = context.credentials;
  InodeRecord& record = inode.record;
  mutation.target = inode.unchanged();
  if (guard && *guard != record.ctime) return Fail(Errc::kNotSync);
  STRATA_ASSIGN(Ownership after, ChangedOwnership(inode.ownership(), inode.is_directory(), set, caller));
  const bool owner = caller.superuser() || caller.uid == record.uid;
  const bool may_write = owner || Permits(inode.ownership(), inode.is_directory(), caller, kMayWrite);
  if ((set.set_atime == SetTime::kClient || set.set_mtime == SetTime::kClient) && !owner)
    return Fail(Errc::kPermission);
  if ((set.set_atime == SetTime::kServer || set.set_mtime == SetTime::kServer) && !may_write)
    return Fail(Errc::kAccess);
  if (set.size) {
    if (inode.is_directory()) return Fail(Errc::kIsDirectory);
    if (record.type != FileType::kRegular) return Fail(Errc::kInvalid);
    if (*set.size > kMaxFileSize) return Fail(Errc::kFileTooBig);
    if (!may_write) return Fail(Errc::kAccess);
    if (*set.size != record.size && !set.mode) after.mode = ModeAfterWrite(after.mode, caller);
  }
  if (!set.mode && !set.uid && !set.gid && !set.size && set.set_atime == SetTime::kKeep &&
      set.set_mtime == SetTime::kKeep) {
    return {};
  }
  const bool shrinks = set.size && *set.size < record.size;
  const bool cuts = set.size && *set.size <= record.size;  // also where it is that long already
  const auto room = cuts ? journal::Room::kReserve : journal::Room::kOrdinary;
  STRATA_TRY(Own(inode, need, room));

  if (shrinks) STRATA_TRY(Loader::KnowForTruncation(inode, *set.size, need));
  const Time now = Now();
  InodeRecord changed = inode.FullRecord();
  changed.mode = after.mode;
  changed.uid = after.uid;
  changed.gid = after.gid;
  changed.ctime = inode.ChangeTime(now);
  journal::Change change({journal::RecordKind::kSetAttributes, now, caller.uid});
  change.room = room;
  if (set.size) {
    changed.size = *set.size;
    changed.base_size = std::min(changed.base_size, *set.size);
    changed.mtime = inode.ContentTime(now);
  }
  if (set.set_atime != SetTime::kKeep) changed.atime = set.set_atime == SetTime::kServer ? now : set.atime;
  if (set.set_mtime != SetTime::kKeep)
    changed.mtime = set.set_mtime == SetTime::kServer ? inode.ContentTime(now) : set.mtime;
  change.Add(changed);
  if (shrinks) change.Add(journal::TruncateEffect{record.ino, *set.size});
  STRATA_ASSIGN(journal::Appended appended, Log(context, change));

  changed.origin.sources.clear();
  record = std::move(changed);
  NoteDirty(inode);
  inode.changed = appended.end;
  if (shrinks) inode.extents.Truncate(*set.size, appended.end);
  table_.Recount(inode);
  mutation.target.after = inode.attributes();
  CommitNameSpace(mutation, appended.end);
  return {};
}

Result<void> WorkspaceImpl::SetAttributesOf(const OpContext& context, const ObjectId& id, const SetAttributes& set,
                                            std::optional<Time> guard, Mutation& mutation) {
  return RunChange(context, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    return SetUnderLock(context, *inode, set, guard, mutation, need);
  });
}

Result<std::uint32_t> WorkspaceImpl::Write(const OpContext& context, const ObjectId& id, std::uint64_t offset,
                                           ByteSpan data, Stability stability, Mutation& mutation) {
  const Credentials& caller = context.credentials;
  return RunChange(context, [&](StripeLock& lock, Need& need) -> Result<std::uint32_t> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    mutation.target = inode->unchanged();
    if (inode->is_directory()) return Fail(Errc::kIsDirectory);
    if (inode->record.type != FileType::kRegular) return Fail(Errc::kInvalid);
    // The owner may write through an open handle whatever the mode (spec nfsv3 4.6): git writes its 0444 objects so.
    if (caller.uid != inode->record.uid && !Permits(inode->ownership(), false, caller, kMayWrite)) {
      return Fail(Errc::kAccess);
    }
    if (offset > kMaxFileSize || data.size() > kMaxFileSize - offset) return Fail(Errc::kFileTooBig);
    const std::uint32_t count = static_cast<std::uint32_t>(std::min(data.size(), journal::kMaxPayloadBytes));
    if (count == 0) {
      if (stability != Stability::kUnstable) CommitWritten(mutation, inode->changed);
      return 0;
    }
    STRATA_TRY(Own(*inode, need));
    if (inode->extents.count() > kFewExtents && keeper_->FarBehind(kLargeFilesPart)) return need.Room();
    STRATA_TRY(Loader::KnowExtents(*inode, offset, offset + count, need));

    const Time now = Now();
    journal::Change change({journal::RecordKind::kWrite, now, caller.uid});
    Touched touched = Touched::Content(*inode, now);
    touched.size = std::max(inode->record.size, offset + count);
    touched.mode = ModeAfterWrite(inode->record.mode, caller);
    touched.AddTo(change);
    change.Add(journal::DataEffect{id.ino, offset, count, 0});
    change.payload = data.first(count);
    STRATA_ASSIGN(journal::Appended appended, Log(context, change));

    Take(touched, appended.end, ExtentMap::kExtentFootprint);
    inode->extents.Insert({offset, count, appended.payload, appended.begin});
    table_.Recount(*inode);
    mutation.target.after = inode->attributes();
    mutation.commitment = stability == Stability::kUnstable ? Commitment::kWritten : Commitment::kDurable;
    mutation.lsn = appended.end;
    return count;
  });
}

Result<void> WorkspaceImpl::Commit(const OpContext& context, const ObjectId& id, Mutation& mutation) {
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({id.ino});
    STRATA_ASSIGN(Inode * inode, Get(id, need));
    mutation.target = inode->unchanged();
    CommitWritten(mutation, inode->changed);
    return {};
  });
}

WriteVerifier WorkspaceImpl::CurrentWriteVerifier() const {
  WriteVerifier verifier = verifier_;
  if (journal_->failed()) verifier[0] ^= 0xff;  // what was answered may be lost: clients send it again
  return verifier;
}

Result<void> WorkspaceImpl::Flush() { return journal_->Flush(); }

void WorkspaceImpl::Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) {
  journal_->Sync(lsn, std::move(done));
}

}  // namespace strata::vfs
