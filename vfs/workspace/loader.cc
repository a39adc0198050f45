// Objects: from the index, from the layers, and by which number.
//
// What is remembered of a layer (an object's attributes, a directory's listing and names) is believed for a bounded
// time (WorkspaceOptions::layer_recheck_ns) after the layer was asked. The first call that needs it later asks again:
// one Stat (Recheck), on the worker pool as every wait for a disk. Then an object that went is dropped, changed
// attributes are taken over, and a directory whose times changed forgets its names of the layers. The upper's own
// entries, whiteouts and data do not depend on any of this. A file's bytes are checked whenever they are read
// (Layer::Read). Layers that say that they never change are never asked again.
//
// What only layers hold is loaded without a look into the index, so that a layer in memory is served by the thread that
// read the call. Whoever asks the index may wait for a disk.
#include "vfs/workspace/loader.h"

#include <algorithm>

namespace strata::vfs {
namespace {

// Times of files are no finer than this on any kernel: what changed so shortly ago may change again and look the same.
constexpr std::int64_t kTimeTickNs = 20'000'000;

}  // namespace

Result<void> Loader::Supply(const OpContext& context, Need& need) {
  switch (need.kind) {
    case Need::Kind::kObject:
      return LoadObject(context, need.id, need.any_generation, need.upper_only);
    case Need::Kind::kChild:
      return LoadChild(context, need);
    case Need::Kind::kLowerName:
      return LoadName(context, need);
    case Need::Kind::kListing:
      return LoadListing(context, need);
    case Need::Kind::kRecheck:
      return Recheck(context, need.id);
    default:
      break;
  }
  // What the index alone can tell.
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  switch (need.kind) {
    case Need::Kind::kEntries:
      return LoadEntries(need.id);
    case Need::Kind::kName:
      return LoadName(context, need);
    case Need::Kind::kOwnPage:
      return LoadOwnPage(need);
    case Need::Kind::kExtents:
      return LoadExtents(need);
    case Need::Kind::kCount:
      return CountExtents(need);
    default:
      return {};
  }
}

Result<std::unique_ptr<Inode>> Loader::FromIndex(const OpContext& context, InodeNumber ino) {
  if (!index_ || (LowerTree::IsLower(ino) && !copied_up_->MayHold(ino))) return nullptr;
  if (!context.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(auto record, index_->LoadInode(ino));
  if (!record) return nullptr;
  auto inode = std::make_unique<Inode>();
  const std::uint64_t used = record->used;
  inode->record = std::move(*record);
  STRATA_TRY(Attach(context, *inode));
  if (inode->record.type == FileType::kRegular) {
    std::vector<Extent> extents;
    STRATA_ASSIGN(const std::uint64_t until,
                  index_->LoadExtents(ino, 0, ExtentMap::kEnd, budget_.whole_file_extents, extents));
    if (until < ExtentMap::kEnd) {
      inode->extents.MakePartial(used);
    } else {
      for (const Extent& extent : extents) inode->extents.Insert(extent);
    }
  }
  return inode;
}

Result<void> Loader::Attach(const OpContext& context, Inode& inode) {
  InodeRecord& record = inode.record;
  inode.upper = true;
  if (!record.origin.sources.empty()) {
    inode.lower = std::make_shared<const LowerNode>(lower_.NodeOf(record));
    record.origin.sources.clear();
  }
  if (inode.is_directory()) {
    if (!inode.directory) {
      inode.directory = std::make_unique<Directory>();
      inode.directory->upper_only = record.opaque || !inode.lower;
    }
    if (!inode.directory->upper_only && !lower_.IsImmutable(*inode.lower)) inode.asked = Inode::kNotAsked;
  } else if (record.type == FileType::kRegular && record.base_size > 0 && inode.lower) {
    const auto base = lower_.Stat(context, *inode.lower);
    if (!base && !IsAbsence(base.error().code())) return Fail(base.error());
    if (base) inode.base_used = base->attributes.used;
  }
  return {};
}

Result<void> Loader::VisitUpper(const std::function<void(const InodeRecord&)>& there,
                                const std::function<void(InodeNumber)>& gone) {
  if (index_ != nullptr) STRATA_TRY(index_->VisitInodes(there));
  // A reader holds in memory what the index does not have yet.
  table_.ForEach([&](const Inode& inode) {
    if (inode.removed) {
      gone(inode.record.ino);
    } else if (inode.upper) {
      there(inode.FullRecord());
    }
  });
  return {};
}

Result<std::unique_ptr<Inode>> Loader::FromLower(const OpContext& context, const LowerFound& found, InodeNumber number,
                                                 InodeNumber directory, std::int64_t asked) {
  auto inode = std::make_unique<Inode>();
  InodeRecord& record = inode->record;
  const Attributes& attributes = found.attributes;
  record.ino = number;
  record.generation = found.node.generation;
  record.locator = found.node.locator;
  record.type = attributes.type;
  inode->TakeOver(attributes);
  inode->shared = found.shared;
  inode->lower = std::make_shared<const LowerNode>(found.node);
  if (!lower_.IsImmutable(found.node)) inode->asked = asked;
  switch (attributes.type) {
    case FileType::kDirectory: {
      record.parent = directory;
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
      STRATA_ASSIGN(record.symlink_target, lower_.ReadLink(context, found.node));
      break;
    }
    default:
      break;
  }
  return inode;
}

bool Loader::Adopt(std::unique_ptr<Inode> inode, Lsn read_at) {
  const InodeNumber ino = inode->record.ino;
  StripeLock lock(table_);
  lock.Lock({ino});
  if (table_.Find(ino) != nullptr) return true;
  if (table_.DroppedSince(read_at)) return false;
  table_.Insert(std::move(inode));
  return true;
}

void Loader::AdoptLower(std::unique_ptr<Inode> inode, const LowerFound& found, InodeNumber other, Lsn read_at) {
  const InodeNumber ino = inode->record.ino;
  StripeLock lock(table_);
  lock.Lock({ino, other});
  const Inode* known = other == kNoInode ? nullptr : table_.Find(other);
  if (known != nullptr && !known->removed && IsSame(*known, found)) return;
  if (Inode* before = table_.Find(ino)) {
    if (IsSame(*before, found) || (before->upper && !before->removed)) return;
    // The number was used again. The index may not know yet that the one before is gone.
    inode->changed = before->changed;
    table_.Drop(*before);
  } else if (table_.DroppedSince(read_at)) {
    return;
  }
  table_.Insert(std::move(inode));
}

Result<void> Loader::LoadObject(const OpContext& context, const ObjectId& id, bool any_generation, bool upper_only) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const Lsn read_at = position();
    STRATA_ASSIGN(std::unique_ptr<Inode> inode, FromIndex(context, id.ino));
    if (!inode) {
      const std::int64_t asked = env_.MonotonicNs();
      if (id.ino == kRootInode && !lower_.empty() && !upper_only) {
        STRATA_ASSIGN(LowerFound found, lower_.Root(context));
        STRATA_ASSIGN(inode, FromLower(context, found, kRootInode, kRootInode, asked));
      } else if (LowerTree::IsLower(id.ino) && !upper_only) {
        LowerNode parent;
        std::string name;
        STRATA_ASSIGN(LowerFound found, lower_.Resolve(context, id.ino, id.locator, &parent, &name));
        if (!any_generation && found.node.generation != id.generation) return Fail(Errc::kStale);
        STRATA_ASSIGN(const InodeNumber directory, CheckShown(context, parent, name, id.ino));
        STRATA_ASSIGN(const InodeNumber number, LoadLower(context, found, directory, asked, id.ino));
        return number == id.ino ? Result<void>() : Fail(Errc::kStale);
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

Result<InodeNumber> Loader::CheckShown(const OpContext& context, const LowerNode& parent, std::string_view name,
                                       InodeNumber ino) {
  STRATA_ASSIGN(const InodeNumber number, NumberOf(context, parent));
  const std::uint64_t hash = NameHash(name_key_, name);
  const auto look = [&](StripeLock& lock, Need& need) -> Result<InodeNumber> {
    lock.Lock({number});
    Inode* directory = table_.Find(number);
    if (directory == nullptr) return need.Object({number, parent.generation, parent.locator});
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
    return number;
  };
  return RunUnderLocks(table_, look, [&](Need& need) { return Supply(context, need); });
}

Result<Loader::Bearer> Loader::BearerOf(const OpContext& context, InodeNumber number, const LowerFound& found,
                                        std::int64_t asked) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const Lsn read_at = position();
    {
      StripeLock lock(table_);
      lock.Lock({number});
      if (Inode* inode = table_.Find(number)) {
        const bool same = IsSame(*inode, found);
        if (same && inode->removed) return Bearer::kRemoved;
        if (same) Refresh(*inode, found, asked);
        if (same) return Bearer::kThis;
        return inode->upper && !inode->removed ? Bearer::kOther : Bearer::kNone;
      }
    }
    STRATA_ASSIGN(std::unique_ptr<Inode> inode, FromIndex(context, number));
    if (!inode) return Bearer::kNone;
    (void)Adopt(std::move(inode), read_at);  // the next turn looks at what is in memory now
  }
  return Fail(Errc::kJukebox);
}

Result<Loader::Choice> Loader::Choose(const OpContext& context, const LowerFound& found, std::int64_t asked,
                                      InodeNumber wanted) {
  const InodeNumber own = found.node.number;
  const InodeNumber again = LowerTree::AgainNumber(found.node, found.attributes.type);
  const bool want_again = again != kNoInode && wanted == again;
  Bearer of_again = Bearer::kNone;
  // What is known by its again number stays so, also when its own becomes free.
  if (want_again || (again != kNoInode && copied_up_->MayHold(own))) {
    STRATA_ASSIGN(of_again, BearerOf(context, again, found, asked));
    if (of_again == Bearer::kThis) return Choice{.number = again};
    if (of_again == Bearer::kRemoved) return Choice{};
  }
  STRATA_ASSIGN(const Bearer of_own, BearerOf(context, own, found, asked));
  if (of_own == Bearer::kThis) return Choice{.number = own};
  if (of_own == Bearer::kRemoved) return Choice{};
  if (of_own == Bearer::kNone && !want_again) return Choice{.number = own, .other = again, .make = true};
  if (again == kNoInode || of_again == Bearer::kOther) return Choice{};
  return Choice{.number = again, .other = own, .make = true};
}

Result<InodeNumber> Loader::NumberOf(const OpContext& context, const LowerFound& found) {
  const InodeNumber own = found.node.number;
  if (!LowerTree::IsLower(own) || !copied_up_->MayHold(own)) return own;
  STRATA_ASSIGN(const Choice choice, Choose(context, found, Inode::kNotAsked, kNoInode));
  return choice.number;
}

Result<InodeNumber> Loader::NumberOf(const OpContext& context, const LowerNode& directory) {
  LowerFound found;
  found.node = directory;
  found.attributes.type = FileType::kDirectory;
  return NumberOf(context, found);
}

Result<InodeNumber> Loader::LoadLower(const OpContext& context, const LowerFound& found, InodeNumber directory,
                                      std::int64_t asked, InodeNumber wanted) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const Lsn read_at = position();
    STRATA_ASSIGN(const Choice choice, Choose(context, found, asked, wanted));
    if (!choice.make) return choice.number;
    STRATA_ASSIGN(std::unique_ptr<Inode> inode, FromLower(context, found, choice.number, directory, asked));
    // Before anybody can find it by that: who then looks at its own number looks for both.
    if (choice.number != found.node.number) copied_up_->Add(choice.number);
    AdoptLower(std::move(inode), found, choice.other, read_at);  // the next turn looks at what is in memory now
  }
  return Fail(Errc::kJukebox);
}

Result<void> Loader::LoadChild(const OpContext& context, const Need& need) {
  if (need.slot.state == NameSlot::State::kUpper) {
    auto loaded = LoadObject(context, {need.slot.ino, Generation(0), 0}, true);
    // It was removed while we looked: the call starts over and finds that, unless it goes by what it saw before.
    if (!loaded && loaded.error().code() == Errc::kStale) {
      StripeLock lock(table_);
      lock.Lock({need.id.ino});
      Inode* directory = table_.Find(need.id.ino);
      NameSlot* slot = directory == nullptr || !directory->directory
                           ? nullptr
                           : directory->directory->Find(NameHash(name_key_, need.name), need.name);
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
  auto found = lower_.Lookup(context, *need.lower, need.name);
  if (!found && !IsAbsence(found.error().code())) return Fail(found.error());
  InodeNumber number = kNoInode;
  if (found) {
    STRATA_ASSIGN(number, LoadLower(context, *found, need.id.ino, asked));
    if (number == need.slot.ino) return {};
  }
  const bool hidden_here = found && number == kNoInode;
  // The layer changed under us, or shows what the upper has removed: what was remembered of the name holds no more.
  {
    const std::uint64_t hash = NameHash(name_key_, need.name);
    StripeLock lock(table_);
    lock.Lock({need.id.ino});
    Inode* directory = table_.Find(need.id.ino);
    if (directory != nullptr && directory->directory) {
      Directory& names = *directory->directory;
      NameSlot* slot = names.Find(hash, need.name);
      if (hidden_here && (slot == nullptr || slot->state == NameSlot::State::kLower)) {
        NameSlot hidden;
        if (slot != nullptr) hidden.changed = slot->changed;
        hidden.beneath = NameSlot::Beneath::kYes;
        names.names.Set(hash, need.name, hidden);
      } else if (!hidden_here) {
        names.ForgetLower(asked);
      }
      table_.Recount(*directory);
    }
  }
  return need.seen ? Fail(Errc::kNotFound) : Result<void>();
}

bool Loader::IsSame(const Inode& inode, const LowerFound& found) {
  const InodeRecord& record = inode.record;
  if (!found.Is(record.type, record.generation)) return false;
  // A symlink's target stays what it is for its life.
  return inode.upper || record.type != FileType::kSymlink || record.mtime == found.attributes.mtime;
}

bool Loader::IsFresh(Time changed) const { return changed.ns > env_.Now().ns - kTimeTickNs; }

void Loader::Refresh(Inode& inode, const LowerFound& found, std::int64_t asked) {
  if (asked <= inode.asked) return;  // what is known is newer, or need not be known
  inode.asked = asked;
  InodeRecord& record = inode.record;
  const Attributes& now = found.attributes;
  inode.base_used = now.used;
  if (inode.is_directory()) {
    Directory& names = *inode.directory;
    names.upper_only = false;
    const bool moved = inode.lower->sources != found.node.sources;
    const bool changed = moved || inode.beneath_version != found.version;
    if (changed || inode.beneath_fresh) names.ForgetLower(asked);
    if (changed && inode.upper && inode.beneath_version != 0) record.nlink = 1;  // counted no more
    if (moved) {
      LowerNode node = *inode.lower;
      node.sources = found.node.sources;
      inode.lower = std::make_shared<const LowerNode>(std::move(node));
    }
    inode.beneath_version = found.version;
    inode.beneath_fresh = IsFresh(now.ctime);
    // Clients have to see that the directory changed; which change was the last one tells its times.
    if (inode.upper && now.ctime > record.ctime) record.mtime = record.ctime = now.ctime;
    table_.Recount(inode);
  }
  if (inode.upper) return;
  inode.TakeOver(now);
}

Result<void> Loader::Recheck(const OpContext& context, const ObjectId& id) {
  std::shared_ptr<const LowerNode> lower;
  {
    StripeLock lock(table_);
    lock.Lock({id.ino});
    if (const Inode* inode = table_.Find(id.ino)) lower = inode->lower;
  }
  if (!lower) return {};
  const std::int64_t asked = env_.MonotonicNs();
  const auto found = lower_.Stat(context, *lower);
  if (!found && !IsAbsence(found.error().code())) return Fail(found.error());
  StripeLock lock(table_);
  lock.Lock({id.ino});
  Inode* inode = table_.Find(id.ino);
  if (inode == nullptr || inode->removed || inode->lower != lower) return {};
  if (found && IsSame(*inode, *found)) {
    Refresh(*inode, *found, asked);
  } else if (!inode->upper) {
    table_.Drop(*inode);  // who asks for it finds that it is gone, or what is there instead
  } else if (inode->is_directory()) {
    inode->asked = asked;
    inode->beneath_version = 0;
    inode->directory->ForgetLower(asked);
    inode->directory->upper_only = true;
    table_.Recount(*inode);
  }
  return {};
}

}  // namespace strata::vfs
