// How an object of the layers becomes the upper's own.
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {

Result<void> WorkspaceImpl::CopyUp(const OpContext& caller, const ObjectId& id, journal::Room room) {
  // It serves no request of its own.
  const OpContext context{.credentials = {}, .may_block = true, .fetch = caller.fetch};
  std::shared_ptr<const LowerNode> lower;
  FileType type = FileType::kDirectory;
  {
    StripeLock lock(table_);
    lock.Lock({id.ino});
    if (const Inode* inode = table_.Find(id.ino)) {
      lower = inode->lower;
      type = inode->record.type;
    }
  }
  if (!lower || type == FileType::kDirectory || id.locator == 0) {
    return CopyUpAt(context, {.id = id, .directory = {}, .name = {}}, room);
  }
  LowerNode parent;
  std::string name;
  const auto found = lower_.Resolve(context, lower->number, lower->locator, &parent, &name);
  if (!found && !IsAbsence(found.error().code())) return Fail(found.error());
  if (!found || !found->Is(type, lower->generation)) return Fail(Errc::kStale);
  STRATA_ASSIGN(const InodeNumber directory, loader_.NumberOf(context, parent));
  const LowerPlace place{
      .id = id, .directory = {directory, parent.generation, parent.locator}, .name = std::move(name)};
  return CopyUpAt(context, place, room);
}

Result<void> WorkspaceImpl::CopyUpAt(const OpContext& context, const LowerPlace& place, journal::Room room) {
  const std::uint64_t hash = NameHash(config_.name_key, place.name);
  return RunChange(context, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({place.id.ino, place.directory.ino});
    STRATA_ASSIGN(Inode * inode, Get(place.id, need));
    if (inode->upper) return {};
    Inode* directory = nullptr;
    NameSlot* slot = nullptr;
    if (place.directory.ino != kNoInode) {
      directory = table_.Find(place.directory.ino);
      if (directory == nullptr) return (need.any_generation = true, need.Object(place.directory));
      if (directory->removed || !directory->is_directory()) return Fail(Errc::kStale);
      if (!Believed(*directory, need)) return Fail(Errc::kWouldBlock);
      STRATA_TRY(Own(*directory, need, room));
      STRATA_ASSIGN(slot, FindName(*directory, hash, place.name, need));
      if (slot == nullptr || slot->state != NameSlot::State::kLower || slot->ino != place.id.ino) slot = nullptr;
    }
    journal::Change change({journal::RecordKind::kSetAttributes, Now(), 0});
    change.room = room;
    const InodeRecord image = inode->FullRecord();
    change.Add(image);
    if (slot != nullptr) {
      change.Add(journal::EntryEffect{place.directory.ino, place.name, journal::EntryEffect::State::kPresent,
                                      place.id.ino, slot->type});
    }
    STRATA_ASSIGN(const journal::Appended appended, Log(context, change));
    NoteDirty(*inode);
    loader_.copied_up().Add(place.id.ino);
    inode->upper = true;
    inode->changed = appended.end;
    if (!inode->is_directory()) inode->asked = Inode::kForEver;
    if (slot != nullptr) {
      NameSlot own = *slot;
      own.state = NameSlot::State::kUpper;
      own.beneath = NameSlot::Beneath::kYes;
      SetName(*directory, hash, place.name, own, appended.end);
      NoteDirty(*directory, NameMap::Footprint(place.name));
      directory->changed = appended.end;
      table_.Recount(*directory);
    }
    table_.Recount(*inode);
    return {};
  });
}

}  // namespace strata::vfs
