// RENAME.
#include <algorithm>

#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {

Result<void> WorkspaceImpl::CheckNotBeneath(const OpContext& context, InodeNumber ancestor, const ObjectId& directory) {
  InodeNumber at = directory.ino;
  while (at != kRootInode) {
    if (at == ancestor) return Fail(Errc::kInvalid);
    STRATA_ASSIGN(at, Run(context, [&](StripeLock& lock, Need& need) -> Result<InodeNumber> {
                    lock.Lock({at});
                    const Inode* inode = table_.Find(at);
                    if (inode == nullptr) return at == directory.ino ? need.Object(directory) : need.Number(at);
                    if (inode->removed || !inode->is_directory()) return Fail(Errc::kStale);
                    return inode->record.parent;
                  }));
  }
  return {};
}

Result<void> WorkspaceImpl::Rename(const OpContext& context, const ObjectId& from_directory, std::string_view from,
                                   const ObjectId& to_directory, std::string_view to, Mutation& mutation) {
  const RenameRequest request{from_directory, from, NameHash(config_.name_key, from),
                              to_directory,   to,   NameHash(config_.name_key, to)};
  RenameState state;
  const auto attempt = [&] {
    state.ancestry_wanted = false;
    return RunChange(context, [&](StripeLock& lock, Need& need) {
      return RenameUnderLock(context, request, state, mutation, lock, need);
    });
  };
  auto renamed = attempt();
  if (!state.ancestry_wanted) return renamed;
  // A directory is about to move into another: not into itself or what lies beneath it.
  if (context.may_block) {
    rename_mutex_.Lock();
  } else if (!rename_mutex_.TryLock()) {
    return Fail(Errc::kWouldBlock);
  }
  const MutexLock one_at_a_time(rename_mutex_, std::adopt_lock);
  while (state.ancestry_wanted) {
    STRATA_TRY(CheckNotBeneath(context, state.source, to_directory));
    state.ancestry_checked = state.source;
    renamed = attempt();
  }
  return renamed;
}

Result<WorkspaceImpl::Renamed> WorkspaceImpl::FindRenamed(const OpContext& context, const RenameRequest& request,
                                                          RenameState& state, Mutation& mutation, StripeLock& lock,
                                                          Need& need) {
  const Credentials& caller = context.credentials;
  Renamed renamed;
  lock.Lock({request.from_directory.ino, request.to_directory.ino, state.source, state.target});
  STRATA_ASSIGN(renamed.source_parent, GetDirectory(request.from_directory, need));
  mutation.target = renamed.source_parent->unchanged();
  STRATA_ASSIGN(renamed.target_parent, GetDirectory(request.to_directory, need));
  mutation.second = renamed.target_parent->unchanged();
  STRATA_TRY(CheckNewName(request.from, Errc::kInvalid));
  STRATA_TRY(CheckNewName(request.to, Errc::kInvalid));
  for (const Inode* parent : {renamed.source_parent, renamed.target_parent}) {
    if (!Permits(parent->ownership(), true, caller, kMayExecute)) return Fail(Errc::kAccess);
  }
  STRATA_ASSIGN(renamed.source_slot, FindVisible(*renamed.source_parent, request.from_hash, request.from, need));
  if (renamed.source_slot == nullptr) return Fail(Errc::kNotFound);
  STRATA_ASSIGN(renamed.target_slot, FindName(*renamed.target_parent, request.to_hash, request.to, need));
  const bool replaces = renamed.target_slot != nullptr && renamed.target_slot->visible();
  const InodeNumber target = replaces ? renamed.target_slot->ino : kNoInode;
  if (renamed.source_slot->ino != state.source || target != state.target) {
    state.source = renamed.source_slot->ino;
    state.target = target;
    return need.Again();
  }
  for (const Inode* parent : {renamed.source_parent, renamed.target_parent}) {
    if (!Permits(parent->ownership(), true, caller, kMayWrite)) return Fail(Errc::kAccess);
  }
  STRATA_ASSIGN(renamed.source, GetChild(*renamed.source_parent, request.from, *renamed.source_slot, need));
  if (StickyForbids(renamed.source_parent->ownership(), renamed.source->record.uid, caller)) {
    return Fail(Errc::kPermission);
  }
  return renamed;
}

Result<void> WorkspaceImpl::MayMoveDirectory(const OpContext& context, const RenameRequest& request,
                                             const Renamed& renamed, RenameState& state) {
  if (request.same_directory()) return {};
  // The directory's own ".." changes.
  if (!Permits(renamed.source->ownership(), true, context.credentials, kMayWrite)) return Fail(Errc::kAccess);
  if (state.ancestry_checked == state.source) return {};
  state.ancestry_wanted = true;
  return Fail(Errc::kWouldBlock);
}

Result<Inode*> WorkspaceImpl::FindReplaced(const OpContext& context, const RenameRequest& request,
                                           const Renamed& renamed, RenameState& state, Need& need) {
  if (state.target == kNoInode) return nullptr;
  STRATA_ASSIGN(Inode * target, GetChild(*renamed.target_parent, request.to, *renamed.target_slot, need));
  if (StickyForbids(renamed.target_parent->ownership(), target->record.uid, context.credentials)) {
    return Fail(Errc::kPermission);
  }
  const bool moves_directory = renamed.source->is_directory();
  if (moves_directory != target->is_directory()) {
    return Fail(moves_directory ? Errc::kNotDirectory : Errc::kIsDirectory);
  }
  if (moves_directory) {
    STRATA_ASSIGN(const bool empty, IsEmptyDirectory(*target, state.emptiness, need));
    if (!empty) return Fail(Errc::kNotEmpty);
  }
  return target;
}

Result<void> WorkspaceImpl::RenameUnderLock(const OpContext& context, const RenameRequest& request, RenameState& state,
                                            Mutation& mutation, StripeLock& lock, Need& need) {
  STRATA_ASSIGN(Renamed renamed, FindRenamed(context, request, state, mutation, lock, need));
  // Two names of one file, or one name twice: POSIX says that nothing happens.
  if (renamed.source->record.ino == state.target) {
    CommitFound(mutation, std::max(renamed.source_slot->changed, renamed.target_slot->changed));
    return {};
  }
  if (renamed.source->is_directory()) STRATA_TRY(MayMoveDirectory(context, request, renamed, state));
  STRATA_ASSIGN(renamed.target, FindReplaced(context, request, renamed, state, need));
  STRATA_TRY(KnowBeneath(*renamed.source_parent, request.from, *renamed.source_slot, need));
  for (const Inode* touched : {renamed.source_parent, renamed.target_parent, renamed.source})
    STRATA_TRY(Own(*touched, need, journal::Room::kReserve));
  if (renamed.target != nullptr && !renamed.target->OnLastLink())
    STRATA_TRY(Own(*renamed.target, need, journal::Room::kReserve));
  return LogRename(context, request, renamed, mutation);
}

Result<void> WorkspaceImpl::LogRename(const OpContext& context, const RenameRequest& request, const Renamed& renamed,
                                      Mutation& mutation) {
  Inode& source = *renamed.source;
  const bool moves_directory = source.is_directory();
  const InodeNumber target_directory = request.to_directory.ino;
  const FileType type = renamed.source_slot->type;
  const Time now = Now();
  journal::Change change({journal::RecordKind::kRename, now, context.credentials.uid});
  change.room = journal::Room::kReserve;
  Touched source_holder = Touched::Content(*renamed.source_parent, now);
  Touched target_holder = Touched::Content(*renamed.target_parent, now);
  Touched& target_count = request.same_directory() ? source_holder : target_holder;
  if (moves_directory) {
    source_holder.LoseDirectory();
    target_count.GainDirectory();
    if (renamed.target != nullptr) target_count.LoseDirectory();
  }
  source_holder.AddTo(change);
  if (!request.same_directory()) target_holder.AddTo(change);
  const Touched moved = Touched::Status(source, now);
  InodeRecord record;
  if (moves_directory && !request.same_directory()) {
    record = source.FullRecord();
    record.ctime = moved.ctime;
    record.parent = target_directory;
    change.Add(record);
  } else {
    moved.AddTo(change);
  }
  change.Add(DropEffect(*renamed.source_parent, request.from, *renamed.source_slot));
  change.Add(journal::EntryEffect{target_directory, request.to, journal::EntryEffect::State::kPresent,
                                  source.record.ino, type});
  if (renamed.target != nullptr) AddUnlink(change, *renamed.target, now);
  STRATA_ASSIGN(const journal::Appended appended, Log(context, change));

  NameSlot made;
  made.ino = source.record.ino;
  made.state = NameSlot::State::kUpper;
  made.type = type;
  if (renamed.target_slot == nullptr) {
    made.beneath = NameSlot::Beneath::kNo;
  } else {
    made.beneath = renamed.target_slot->NeedsWhiteout() ? NameSlot::Beneath::kYes : renamed.target_slot->beneath;
  }
  DropEntry(*renamed.source_parent, request.from_hash, request.from, appended.end);
  SetName(*renamed.target_parent, request.to_hash, request.to, made, appended.end);
  if (renamed.target != nullptr) TakeUnlink(*renamed.target, now, appended.end);
  Take(moved, appended.end);
  if (moves_directory) source.record.parent = target_directory;
  Take(source_holder, appended.end, NameMap::Footprint(request.to));
  if (!request.same_directory()) Take(target_holder, appended.end);
  table_.Recount(*renamed.source_parent);
  table_.Recount(*renamed.target_parent);
  mutation.target.after = renamed.source_parent->attributes();
  mutation.second.after = renamed.target_parent->attributes();
  CommitNameSpace(mutation, appended.end);
  return {};
}

}  // namespace strata::vfs
