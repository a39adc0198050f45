// What takes a name away: REMOVE, RMDIR, RENAME.
#include <algorithm>

#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

using EntryState = journal::EntryEffect::State;

// Removing the last name of something ends it. A directory has one name.
bool LastLink(const Inode& inode) { return inode.is_directory() || inode.record.nlink <= 1; }

bool NeedsWhiteout(const NameSlot& slot) {
  return slot.state == NameSlot::State::kLower || slot.beneath == NameSlot::Beneath::kYes;
}

}  // namespace

Result<void> WorkspaceImpl::KnowBeneath(Inode& directory, std::string_view name, const NameSlot& slot, Need& need) {
  if (slot.state != NameSlot::State::kUpper || slot.beneath != NameSlot::Beneath::kUnknown ||
      directory.directory->upper_only) {
    return {};
  }
  return need.Of(Need::Kind::kLowerName, directory, name);
}

journal::EntryEffect WorkspaceImpl::DropEffect(const Inode& directory, std::string_view name, const NameSlot& slot) {
  return {directory.record.ino, name, NeedsWhiteout(slot) ? EntryState::kWhiteout : EntryState::kAbsent, kNoInode,
          slot.type};
}

void WorkspaceImpl::DropEntry(Inode& directory, std::uint64_t hash, std::string_view name, Lsn end) {
  Directory& names = *directory.directory;
  NameSlot gone = *names.Find(hash, name);
  gone.ino = kNoInode;
  if (NeedsWhiteout(gone)) {
    gone.state = NameSlot::State::kWhiteout;
    gone.beneath = NameSlot::Beneath::kYes;
    SetName(directory, hash, name, gone, end);
  } else if (names.loaded) {
    names.Erase(hash, name);
    names.erased = end;
  } else {
    // The index still has it.
    gone.state = NameSlot::State::kAbsent;
    gone.beneath = NameSlot::Beneath::kNo;
    SetName(directory, hash, name, gone, end);
  }
  NoteDirty(directory, Directory::NameFootprint(name));
  directory.changed = end;
}

void WorkspaceImpl::AddUnlink(journal::RecordWriter& writer, Inode& child, Time now) {
  if (LastLink(child)) {
    // Of what only the layers hold, the whiteout says enough.
    if (child.upper) writer.Add(journal::PurgeEffect{child.record.ino});
    return;
  }
  Touched touched = Touched::Status(child, now);
  --touched.nlink;
  touched.AddTo(writer);
}

void WorkspaceImpl::TakeUnlink(Inode& child, Time now, Lsn end) {
  if (LastLink(child)) {
    child.removed = true;
    NoteDirty(child);
    child.changed = end;
    child.extents.Truncate(0, end);
    if (child.directory) *child.directory = Directory();
  } else {
    Touched touched = Touched::Status(child, now);
    --touched.nlink;
    Take(touched, end);
  }
  table_.Recount(child);
}

Result<void> WorkspaceImpl::RemoveName(const OpContext& context, const ObjectId& directory, std::string_view name,
                                       bool want_directory, Mutation& mutation) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  const Credentials& caller = context.credentials;
  InodeNumber guess = kNoInode;
  Emptiness emptiness;
  return RunChange(context, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({directory.ino, guess});
    STRATA_ASSIGN(Inode * parent, GetDirectory(directory, need));
    mutation.target = parent->unchanged();
    STRATA_TRY(CheckNewName(name, want_directory && name == ".." ? Errc::kNotEmpty : Errc::kInvalid));
    if (!Permits(parent->ownership(), true, caller, kMayExecute)) return Fail(Errc::kAccess);
    STRATA_ASSIGN(NameSlot * slot, FindVisible(*parent, hash, name, need));
    if (slot == nullptr) return Fail(Errc::kNotFound);
    if (slot->ino != guess) {
      guess = slot->ino;
      return need.Again();
    }
    STRATA_ASSIGN(Inode * child, GetChild(*parent, name, *slot, need));
    if (!Permits(parent->ownership(), true, caller, kMayWrite)) return Fail(Errc::kAccess);
    if (StickyForbids(parent->ownership(), child->record.uid, caller)) return Fail(Errc::kPermission);
    if (child->is_directory() != want_directory) {
      return Fail(want_directory ? Errc::kNotDirectory : Errc::kIsDirectory);
    }
    if (want_directory) {
      STRATA_ASSIGN(bool empty, IsEmptyDirectory(*child, emptiness, need));
      if (!empty) return Fail(Errc::kNotEmpty);
    }
    STRATA_TRY(KnowBeneath(*parent, name, *slot, need));
    STRATA_TRY(Own(*parent, need, journal::Room::kReserve));
    if (!LastLink(*child)) STRATA_TRY(Own(*child, need, journal::Room::kReserve));

    const Time now = Now();
    static thread_local journal::RecordWriter writer;
    writer.Begin(
        {want_directory ? journal::RecordKind::kRemoveDirectory : journal::RecordKind::kRemove, now, caller.uid});
    Touched holder = Touched::Content(*parent, now);
    if (want_directory) holder.LoseDirectory();
    holder.AddTo(writer);
    writer.Add(DropEffect(*parent, name, *slot));
    AddUnlink(writer, *child, now);
    STRATA_ASSIGN(journal::Appended appended, Log(context, writer, {}, nullptr, journal::Room::kReserve));

    DropEntry(*parent, hash, name, appended.end);
    TakeUnlink(*child, now, appended.end);
    Take(holder, appended.end);
    table_.Recount(*parent);
    mutation.target.after = parent->attributes();
    CommitNameSpace(mutation, appended.end);
    return {};
  });
}

Result<void> WorkspaceImpl::Remove(const OpContext& context, const ObjectId& directory, std::string_view name,
                                   Mutation& mutation) {
  return RemoveName(context, directory, name, false, mutation);
}

Result<void> WorkspaceImpl::RemoveDirectory(const OpContext& context, const ObjectId& directory, std::string_view name,
                                            Mutation& mutation) {
  return RemoveName(context, directory, name, true, mutation);
}

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
  RenameState state;
  const auto attempt = [&] {
    state.ancestry_wanted = false;
    return RunChange(context, [&](StripeLock& lock, Need& need) {
      return RenameUnderLock(context, from_directory, from, to_directory, to, state, mutation, lock, need);
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

Result<void> WorkspaceImpl::RenameUnderLock(const OpContext& context, const ObjectId& from_directory,
                                            std::string_view from, const ObjectId& to_directory, std::string_view to,
                                            RenameState& state, Mutation& mutation, StripeLock& lock, Need& need) {
  const Credentials& caller = context.credentials;
  const std::uint64_t from_hash = NameHash(config_.name_key, from);
  const std::uint64_t to_hash = NameHash(config_.name_key, to);
  const bool same_directory = from_directory.ino == to_directory.ino;
  lock.Lock({from_directory.ino, to_directory.ino, state.source, state.target});
  STRATA_ASSIGN(Inode * source_parent, GetDirectory(from_directory, need));
  mutation.target = source_parent->unchanged();
  STRATA_ASSIGN(Inode * target_parent, GetDirectory(to_directory, need));
  mutation.second = target_parent->unchanged();
  STRATA_TRY(CheckNewName(from, Errc::kInvalid));
  STRATA_TRY(CheckNewName(to, Errc::kInvalid));
  for (const Inode* parent : {source_parent, target_parent}) {
    if (!Permits(parent->ownership(), true, caller, kMayExecute)) return Fail(Errc::kAccess);
  }
  STRATA_ASSIGN(NameSlot * source_slot, FindVisible(*source_parent, from_hash, from, need));
  if (source_slot == nullptr) return Fail(Errc::kNotFound);
  STRATA_ASSIGN(NameSlot * target_slot, FindName(*target_parent, to_hash, to, need));
  const bool replaces = target_slot != nullptr && target_slot->visible();
  const InodeNumber target_ino = replaces ? target_slot->ino : kNoInode;
  if (source_slot->ino != state.source || target_ino != state.target) {
    state.source = source_slot->ino;
    state.target = target_ino;
    return need.Again();
  }
  for (const Inode* parent : {source_parent, target_parent}) {
    if (!Permits(parent->ownership(), true, caller, kMayWrite)) return Fail(Errc::kAccess);
  }
  STRATA_ASSIGN(Inode * source, GetChild(*source_parent, from, *source_slot, need));
  if (StickyForbids(source_parent->ownership(), source->record.uid, caller)) return Fail(Errc::kPermission);
  // Two names of one file, or one name twice: POSIX says that nothing happens.
  if (source->record.ino == target_ino) {
    CommitFound(mutation, std::max(source_slot->changed, target_slot->changed));
    return {};
  }
  const bool moves_directory = source->is_directory();
  if (moves_directory && !same_directory) {
    // The directory's own ".." changes.
    if (!Permits(source->ownership(), true, caller, kMayWrite)) return Fail(Errc::kAccess);
    if (state.ancestry_checked != state.source) {
      state.ancestry_wanted = true;
      return Fail(Errc::kWouldBlock);
    }
  }
  Inode* target = nullptr;
  if (replaces) {
    STRATA_ASSIGN(target, GetChild(*target_parent, to, *target_slot, need));
    if (StickyForbids(target_parent->ownership(), target->record.uid, caller)) return Fail(Errc::kPermission);
    if (moves_directory != target->is_directory()) {
      return Fail(moves_directory ? Errc::kNotDirectory : Errc::kIsDirectory);
    }
    if (moves_directory) {
      STRATA_ASSIGN(bool empty, IsEmptyDirectory(*target, state.emptiness, need));
      if (!empty) return Fail(Errc::kNotEmpty);
    }
  }
  STRATA_TRY(KnowBeneath(*source_parent, from, *source_slot, need));
  for (const Inode* touched : {source_parent, target_parent, source})
    STRATA_TRY(Own(*touched, need, journal::Room::kReserve));
  if (target != nullptr && !LastLink(*target)) STRATA_TRY(Own(*target, need, journal::Room::kReserve));

  const Time now = Now();
  static thread_local journal::RecordWriter writer;
  writer.Begin({journal::RecordKind::kRename, now, caller.uid});
  Touched source_holder = Touched::Content(*source_parent, now);
  Touched target_holder = Touched::Content(*target_parent, now);
  Touched& target_count = same_directory ? source_holder : target_holder;
  if (moves_directory) {
    source_holder.LoseDirectory();
    target_count.GainDirectory();
    if (target != nullptr) target_count.LoseDirectory();
  }
  source_holder.AddTo(writer);
  if (!same_directory) target_holder.AddTo(writer);
  const Touched moved = Touched::Status(*source, now);
  if (moves_directory && !same_directory) {
    InodeRecord record = source->FullRecord();
    record.ctime = moved.ctime;
    record.parent = to_directory.ino;
    writer.Add(record);
  } else {
    moved.AddTo(writer);
  }
  writer.Add(DropEffect(*source_parent, from, *source_slot));
  const FileType type = source_slot->type;
  writer.Add(journal::EntryEffect{to_directory.ino, to, EntryState::kPresent, state.source, type});
  if (target != nullptr) AddUnlink(writer, *target, now);
  STRATA_ASSIGN(journal::Appended appended, Log(context, writer, {}, nullptr, journal::Room::kReserve));

  NameSlot made;
  made.ino = state.source;
  made.state = NameSlot::State::kUpper;
  made.type = type;
  if (target_slot == nullptr) {
    made.beneath = NameSlot::Beneath::kNo;
  } else {
    made.beneath = NeedsWhiteout(*target_slot) ? NameSlot::Beneath::kYes : target_slot->beneath;
  }
  DropEntry(*source_parent, from_hash, from, appended.end);
  SetName(*target_parent, to_hash, to, made, appended.end);
  if (target != nullptr) TakeUnlink(*target, now, appended.end);
  Take(moved, appended.end);
  if (moves_directory) source->record.parent = to_directory.ino;
  Take(source_holder, appended.end, Directory::NameFootprint(to));
  if (!same_directory) Take(target_holder, appended.end);
  table_.Recount(*source_parent);
  table_.Recount(*target_parent);
  mutation.target.after = source_parent->attributes();
  mutation.second.after = target_parent->attributes();
  CommitNameSpace(mutation, appended.end);
  return {};
}

}  // namespace strata::vfs
