// Bringing objects and names into memory: from the index where the upper holds them, else from the layers.
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {

Result<Inode*> WorkspaceImpl::Get(const ObjectId& id, Need& need) {
  Inode* inode = table_.Find(id.ino);
  if (inode == nullptr) return need.Object(id);
  if (inode->removed || inode->record.generation != id.generation) return Fail(Errc::kStale);
  if (!Believed(*inode, need)) return Fail(Errc::kWouldBlock);
  return inode;
}

Result<Inode*> WorkspaceImpl::GetDirectory(const ObjectId& id, Need& need) {
  STRATA_ASSIGN(Inode * inode, Get(id, need));
  if (!inode->is_directory()) return Fail(Errc::kNotDirectory);
  return inode;
}

Result<Inode*> WorkspaceImpl::GetChild(const Inode& directory, std::string_view name, const NameSlot& slot,
                                       Need& need) {
  Inode* child = table_.Find(slot.ino);
  if (child == nullptr) return need.Child(directory.id(), directory.lower, name, slot);
  if (child->removed) {
    if (slot.state == NameSlot::State::kLower) return need.Child(directory.id(), directory.lower, name, slot);
    return Fail(Errc::kIo, "an entry of " + path_ + " leads to inode " + std::to_string(slot.ino.value) +
                               ", which is removed: strata check tells more");
  }
  if (!Believed(*child, need)) return Fail(Errc::kWouldBlock);
  return child;
}

Result<void> WorkspaceImpl::Supply(Need& need) {
  switch (need.kind) {
    case Need::Kind::kObject:
      return LoadObject(need.id, need.any_generation, need.upper_only);
    case Need::Kind::kChild:
      return LoadChild(need);
    case Need::Kind::kEntries:
      return LoadEntries(need.id);
    case Need::Kind::kName:
    case Need::Kind::kLowerName:
      return LoadName(need);
    case Need::Kind::kOwnPage:
      return LoadOwnPage(need);
    case Need::Kind::kEmptiness:
      return FindEmptiness(need);
    case Need::Kind::kListing:
      return LoadListing(need);
    case Need::Kind::kExtents:
      return LoadExtents(need);
    case Need::Kind::kRoom:
      return keeper_->AwaitRoom(kLargeFilesPart);
    case Need::Kind::kCount:
      return CountExtents(need);
    case Need::Kind::kRecheck:
      return Recheck(need.id);
    case Need::Kind::kCopyUp:
      return CopyUp(need.id, need.room);
    case Need::Kind::kNothing:
    case Need::Kind::kAgain:
      break;
  }
  return {};
}

Result<std::unique_ptr<Inode>> WorkspaceImpl::FromIndex(InodeNumber ino) {
  if (!index_ || (LowerTree::IsLower(ino) && !copied_up_->MayHold(ino))) return nullptr;
  STRATA_ASSIGN(auto record, index_->LoadInode(ino));
  if (!record) return nullptr;
  auto inode = std::make_unique<Inode>();
  const std::uint64_t used = record->used;
  inode->record = std::move(*record);
  inode->upper = true;
  if (!inode->record.origin.sources.empty()) {
    auto lower = std::make_shared<LowerNode>();
    lower->number = inode->record.ino;
    lower->generation = inode->record.generation;
    lower->locator = inode->record.locator;
    lower->sources = std::move(inode->record.origin.sources);
    inode->record.origin.sources.clear();
    inode->lower = std::move(lower);
  }
  if (inode->is_directory()) {
    inode->directory = std::make_unique<Directory>();
    inode->directory->upper_only = inode->record.opaque || !inode->lower;
  } else if (inode->record.type == FileType::kRegular) {
    std::vector<Extent> extents;
    STRATA_ASSIGN(const std::uint64_t until,
                  index_->LoadExtents(ino, 0, ExtentMap::kEnd, budget_.whole_file_extents, extents));
    if (until < ExtentMap::kEnd) {
      inode->extents.MakePartial(used);
    } else {
      for (const Extent& extent : extents) inode->extents.Insert(extent);
    }
    if (inode->record.base_size > 0 && inode->lower) {
      auto base = lower_.Stat(*inode->lower);
      if (!base && !IsAbsence(base.error().code())) return Fail(base.error());
      if (base) inode->base_used = base->attributes.used;
    }
  }
  const bool merges = inode->is_directory() && !inode->directory->upper_only;
  if (merges && !lower_.IsImmutable(*inode->lower)) inode->asked = Inode::kNotAsked;
  return inode;
}

Result<std::unique_ptr<Inode>> WorkspaceImpl::FromLower(const LowerFound& found, std::int64_t asked) {
  auto inode = std::make_unique<Inode>();
  InodeRecord& record = inode->record;
  const Attributes& attributes = found.attributes;
  record.ino = found.node.number;
  record.generation = found.node.generation;
  record.locator = found.node.locator;
  record.type = attributes.type;
  inode->TakeOver(attributes);
  inode->lower = std::make_shared<const LowerNode>(found.node);
  if (!lower_.IsImmutable(found.node)) inode->asked = asked;
  switch (attributes.type) {
    case FileType::kDirectory: {
      record.parent = found.node.number == kRootInode ? kRootInode : InodeNumber(found.node.locator);
      inode->directory = std::make_unique<Directory>();
      inode->directory->loaded = true;  // the upper has no entries of what it does not hold
      inode->directory->lower_since = asked;
      inode->beneath_version = found.version;
      inode->beneath_fresh = IsFresh(attributes.ctime);
      break;
    }
    case FileType::kRegular:
      inode->base_used = attributes.used;
      break;
    case FileType::kSymlink: {
      STRATA_ASSIGN(record.symlink_target, lower_.ReadLink(found.node));
      break;
    }
    default:
      break;
  }
  return inode;
}

bool WorkspaceImpl::Adopt(std::unique_ptr<Inode> inode, Lsn read_at) {
  const InodeNumber ino = inode->record.ino;
  StripeLock lock(table_);
  lock.Lock({ino});
  if (table_.Find(ino) != nullptr) return true;
  if (table_.DroppedSince(read_at)) return false;
  table_.Insert(std::move(inode));
  return true;
}

Result<void> WorkspaceImpl::LoadObject(const ObjectId& id, bool any_generation, bool upper_only) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const Lsn read_at = IndexPosition();
    STRATA_ASSIGN(std::unique_ptr<Inode> inode, FromIndex(id.ino));
    if (!inode) {
      LowerNode parent;
      std::string name;
      const std::int64_t asked = env_.MonotonicNs();
      if (id.ino == kRootInode && !lower_.empty() && !upper_only) {
        STRATA_ASSIGN(LowerFound found, lower_.Root());
        STRATA_ASSIGN(inode, FromLower(found, asked));
      } else if (LowerTree::IsLower(id.ino) && !upper_only) {
        STRATA_ASSIGN(LowerFound found, lower_.Resolve(id.ino, id.locator, &parent, &name));
        STRATA_TRY(CheckShown(parent, name, id.ino));
        STRATA_ASSIGN(inode, FromLower(found, asked));
      } else {
        // It may have been made, or replayed, since we looked into the table.
        StripeLock lock(table_);
        lock.Lock({id.ino});
        if (table_.Find(id.ino) != nullptr) return {};
        return Fail(Errc::kStale);
      }
    }
    if (!any_generation && inode->record.generation != id.generation) return Fail(Errc::kStale);
    if (Adopt(std::move(inode), read_at)) return {};
  }
  return Fail(Errc::kJukebox);
}

Result<void> WorkspaceImpl::CheckShown(const LowerNode& parent, std::string_view name, InodeNumber ino) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  const OpContext context{.credentials = {}, .may_block = true};
  return Run(context, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({parent.number});
    Inode* directory = table_.Find(parent.number);
    if (directory == nullptr) return need.Object({parent.number, parent.generation, parent.locator});
    if (directory->removed || !directory->is_directory()) return Fail(Errc::kStale);
    // What the layers say of it is known already.
    const Directory& names = *directory->directory;
    const NameSlot* slot = directory->directory->Find(hash, name);
    if (slot == nullptr && !names.loaded) {
      if (!names.large) return need.Of(Need::Kind::kEntries, *directory);
      if (!names.filter || names.filter->MayHold(hash)) return need.Of(Need::Kind::kName, *directory, name);
    }
    const bool hidden = slot == nullptr ? names.upper_only : slot->state != NameSlot::State::kLower && slot->ino != ino;
    if (hidden) return Fail(Errc::kStale);
    return {};
  });
}

Result<bool> WorkspaceImpl::LoadLower(const LowerFound& found, std::int64_t asked) {
  Lsn changed;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const Lsn read_at = IndexPosition();
    {
      StripeLock lock(table_);
      lock.Lock({found.node.number});
      if (Inode* inode = table_.Find(found.node.number)) {
        const bool same = IsSame(*inode, found);
        if (same && !inode->removed) Refresh(*inode, found, asked);
        if (same) return !inode->removed;
        if (inode->upper && !inode->removed) return false;
        // Its number was used again. The index may not know yet that the other one is gone.
        changed = inode->changed;
        table_.Drop(*inode);
      }
    }
    std::unique_ptr<Inode> inode;
    if (changed.value == 0) {
      STRATA_ASSIGN(inode, FromIndex(found.node.number));
    }
    if (inode && !IsSame(*inode, found)) return false;
    if (!inode) {
      STRATA_ASSIGN(inode, FromLower(found, asked));
      inode->changed = changed;
    }
    (void)Adopt(std::move(inode), read_at);  // the next turn looks at what is in memory now
  }
  return Fail(Errc::kJukebox);
}

Result<void> WorkspaceImpl::LoadChild(const Need& need) {
  if (need.slot.state == NameSlot::State::kUpper) {
    auto loaded = LoadObject({need.slot.ino, Generation(0), 0}, true);
    // It was removed while we looked: the call starts over and finds that, unless it goes by what it saw before.
    if (!loaded && loaded.error().code() == Errc::kStale) {
      StripeLock lock(table_);
      lock.Lock({need.id.ino});
      Inode* directory = table_.Find(need.id.ino);
      NameSlot* slot = directory == nullptr || !directory->directory
                           ? nullptr
                           : directory->directory->Find(NameHash(config_.name_key, need.name), need.name);
      if (slot != nullptr && slot->state == NameSlot::State::kUpper && slot->ino == need.slot.ino) {
        return Fail(Errc::kIo,
                    "an entry of " + path_ + " leads to inode " + std::to_string(need.slot.ino.value) +
                        ", which the index does not have; remove index.db to have it rebuilt from the journal");
      }
      return need.seen ? loaded : Result<void>();
    }
    return loaded;
  }
  const std::int64_t asked = env_.MonotonicNs();
  auto found = lower_.Lookup(*need.lower, need.name);
  if (!found && !IsAbsence(found.error().code())) return Fail(found.error());
  const bool same = found && found->node.number == need.slot.ino;
  bool shown = false;
  if (same) {
    STRATA_ASSIGN(shown, LoadLower(*found, asked));
    if (shown) return {};
  }
  // The layer changed under us, or shows what the upper has removed: what was remembered of the name holds no more.
  {
    const std::uint64_t hash = NameHash(config_.name_key, need.name);
    StripeLock lock(table_);
    lock.Lock({need.id.ino});
    Inode* directory = table_.Find(need.id.ino);
    if (directory != nullptr && directory->directory) {
      Directory& names = *directory->directory;
      NameSlot* slot = names.Find(hash, need.name);
      if (same && (slot == nullptr || slot->state == NameSlot::State::kLower)) {
        NameSlot hidden;
        if (slot != nullptr) hidden.changed = slot->changed;
        hidden.beneath = NameSlot::Beneath::kYes;
        names.Set(hash, need.name, hidden);
      } else if (!same) {
        names.ForgetLower(asked);
      }
      table_.Recount(*directory);
    }
  }
  return need.seen ? Fail(Errc::kNotFound) : Result<void>();
}

}  // namespace strata::vfs
