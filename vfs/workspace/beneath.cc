// What lies beneath: layers that change while they are served, and how an object of theirs becomes the upper's own.
//
// What is remembered of a layer (an object's attributes, a directory's listing and names) is believed for a bounded
// time (WorkspaceOptions::layer_recheck_ns) after the layer was asked. The first call that needs it later asks again:
// one Stat (Recheck), on the worker pool as every wait for a disk. Then an object that went is dropped, changed
// attributes are taken over, and a directory whose times changed forgets its names of the layers. The upper's own
// entries, whiteouts and data do not depend on any of this. A file's bytes are checked whenever they are read
// (Layer::Read). Layers that say that they never change are never asked again.
#include <algorithm>

#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// Times of files are no finer than this on any kernel: what changed so shortly ago may change again and look the same.
constexpr std::int64_t kTimeTickNs = 20'000'000;

}  // namespace

bool WorkspaceImpl::IsSame(const Inode& inode, const LowerFound& found) {
  const InodeRecord& record = inode.record;
  if (!found.Is(record.type, record.generation)) return false;
  // A symlink's target stays what it is for its life.
  return inode.upper || record.type != FileType::kSymlink || record.mtime == found.attributes.mtime;
}

bool WorkspaceImpl::IsFresh(Time changed) const { return changed.ns > Now().ns - kTimeTickNs; }

void WorkspaceImpl::Refresh(Inode& inode, const LowerFound& found, std::int64_t asked) {
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

Result<void> WorkspaceImpl::Recheck(const ObjectId& id) {
  std::shared_ptr<const LowerNode> lower;
  {
    StripeLock lock(table_);
    lock.Lock({id.ino});
    if (const Inode* inode = table_.Find(id.ino)) lower = inode->lower;
  }
  if (!lower) return {};
  const std::int64_t asked = env_.MonotonicNs();
  const auto found = lower_.Stat(*lower);
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

Result<void> WorkspaceImpl::CopyUp(const ObjectId& id, journal::Room room) {
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
    return CopyUpAt({.id = id, .directory = {}, .name = {}}, room);
  }
  LowerNode parent;
  std::string name;
  const auto found = lower_.Resolve(lower->number, lower->locator, &parent, &name);
  if (!found && !IsAbsence(found.error().code())) return Fail(found.error());
  if (!found || !found->Is(type, lower->generation)) return Fail(Errc::kStale);
  STRATA_ASSIGN(const InodeNumber directory, NumberOf(parent));
  const LowerPlace place{
      .id = id, .directory = {directory, parent.generation, parent.locator}, .name = std::move(name)};
  return CopyUpAt(place, room);
}

Result<void> WorkspaceImpl::CopyUpAt(const LowerPlace& place, journal::Room room) {
  const std::uint64_t hash = NameHash(config_.name_key, place.name);
  const OpContext context{.credentials = {}, .may_block = true};
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
    journal::RecordWriter writer;
    writer.Begin({journal::RecordKind::kSetAttributes, Now(), 0});
    writer.Add(inode->FullRecord());
    if (slot != nullptr) {
      writer.Add(journal::EntryEffect{place.directory.ino, place.name, journal::EntryEffect::State::kPresent,
                                      place.id.ino, slot->type});
    }
    STRATA_ASSIGN(const journal::Appended appended, Log(context, writer, {}, nullptr, room));
    NoteDirty(*inode);
    copied_up_->Add(place.id.ino);
    inode->upper = true;
    inode->changed = appended.end;
    if (!inode->is_directory()) inode->asked = Inode::kForEver;
    if (slot != nullptr) {
      NameSlot own = *slot;
      own.state = NameSlot::State::kUpper;
      own.beneath = NameSlot::Beneath::kYes;
      SetName(*directory, hash, place.name, own, appended.end);
      NoteDirty(*directory, Directory::NameFootprint(place.name));
      directory->changed = appended.end;
      table_.Recount(*directory);
    }
    table_.Recount(*inode);
    return {};
  });
}

}  // namespace strata::vfs
