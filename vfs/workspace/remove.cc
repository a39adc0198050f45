// What takes a name away: REMOVE, RMDIR.
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

using EntryState = journal::EntryEffect::State;

}  // namespace

Result<void> WorkspaceImpl::KnowBeneath(Inode& directory, std::string_view name, const NameSlot& slot, Need& need) {
  if (slot.state != NameSlot::State::kUpper || slot.beneath != NameSlot::Beneath::kUnknown ||
      directory.directory->upper_only) {
    return {};
  }
  return need.Of(Need::Kind::kLowerName, directory, name);
}

journal::EntryEffect WorkspaceImpl::DropEffect(const Inode& directory, std::string_view name, const NameSlot& slot) {
  return {directory.record.ino, name, slot.NeedsWhiteout() ? EntryState::kWhiteout : EntryState::kAbsent, kNoInode,
          slot.type};
}

void WorkspaceImpl::DropEntry(Inode& directory, std::uint64_t hash, std::string_view name, Lsn end) {
  Directory& names = *directory.directory;
  NameSlot gone = *names.Find(hash, name);
  gone.ino = kNoInode;
  if (gone.NeedsWhiteout()) {
    gone.state = NameSlot::State::kWhiteout;
    gone.beneath = NameSlot::Beneath::kYes;
    SetName(directory, hash, name, gone, end);
  } else if (names.loaded) {
    names.names.Erase(hash, name);
    names.erased = end;
  } else {
    // The index still has it.
    gone.state = NameSlot::State::kAbsent;
    gone.beneath = NameSlot::Beneath::kNo;
    SetName(directory, hash, name, gone, end);
  }
  NoteDirty(directory, NameMap::Footprint(name));
  directory.changed = end;
}

void WorkspaceImpl::AddUnlink(journal::Change& change, Inode& child, Time now) {
  if (child.OnLastLink()) {
    // Of what only the layers hold, the whiteout says enough.
    if (child.upper) change.Add(journal::PurgeEffect{child.record.ino});
    return;
  }
  Touched touched = Touched::Status(child, now);
  --touched.nlink;
  touched.AddTo(change);
}

void WorkspaceImpl::TakeUnlink(Inode& child, Time now, Lsn end) {
  if (child.OnLastLink()) {
    child.removed = true;
    NoteDirty(child);
    child.changed = end;
    child.extents.Truncate(0, end);
    if (child.directory) *child.directory = Directory();
    if (watched_.load(std::memory_order_relaxed)) TellOfRemoval(child.id());
  } else {
    Touched touched = Touched::Status(child, now);
    --touched.nlink;
    Take(touched, end);
  }
  table_.Recount(child);
}

void WorkspaceImpl::WatchRemovals(std::shared_ptr<RemovalWatch> watch) {
  const MutexLock lock(watch_mutex_);
  watched_.store(watch != nullptr, std::memory_order_relaxed);
  watch_ = std::move(watch);
}

void WorkspaceImpl::TellOfRemoval(const ObjectId& id) {
  std::shared_ptr<RemovalWatch> watch;
  {
    const MutexLock lock(watch_mutex_);
    watch = watch_;
  }
  if (watch) watch->Removed(id);
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
    if (!child->OnLastLink()) STRATA_TRY(Own(*child, need, journal::Room::kReserve));

    const Time now = Now();
    journal::Change change(
        {want_directory ? journal::RecordKind::kRemoveDirectory : journal::RecordKind::kRemove, now, caller.uid});
    change.room = journal::Room::kReserve;
    Touched holder = Touched::Content(*parent, now);
    if (want_directory) holder.LoseDirectory();
    holder.AddTo(change);
    change.Add(DropEffect(*parent, name, *slot));
    AddUnlink(change, *child, now);
    STRATA_ASSIGN(journal::Appended appended, Log(context, change));

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

}  // namespace strata::vfs
