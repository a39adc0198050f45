// What the cleaner asks of the volume: what lives in old records is written anew at the journal's end, and where
// something is gone, that. What the upper holds is in memory or in the index: no layer is asked.
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// How often the index is asked what follows a truncation: a file of very many extents is left as it is.
constexpr int kMostAskedOfIndex = 16;

// Of what is gone nothing needs to be moved.
Result<void> UnlessGone(Result<void> moved) {
  if (moved || moved.error().code() == Errc::kStale || moved.error().code() == Errc::kNotFound) return {};
  return moved;
}

}  // namespace

template <typename Body>
Result<void> WorkspaceImpl::RunMove(InodeNumber ino, Body body) {
  return RunChange(kBackground, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({ino});
    Inode* inode = table_.Find(ino);
    if (inode == nullptr) return need.Upper(ino);
    if (inode->removed) return Fail(Errc::kStale);
    if (!inode->upper) return {};
    return body(*inode, need);
  });
}

Result<journal::Appended> WorkspaceImpl::LogMove(journal::Change& change) {
  change.room = journal::Room::kReserve;
  STRATA_ASSIGN(const journal::Appended appended, Log(kBackground, change));
  moved_bytes_ += appended.end.value - appended.begin.value;
  return appended;
}

Result<void> WorkspaceImpl::MoveInode(InodeNumber ino, Cleaner::What what) {
  auto moved = RunMove(ino, [&](Inode& inode, Need&) -> Result<void> {
    const InodeRecord image = inode.FullRecord();
    journal::Change change({journal::RecordKind::kMove, Now(), 0});
    change.Add(image);
    STRATA_TRY(LogMove(change));
    return {};
  });
  const bool gone = !moved && moved.error().code() == Errc::kStale;
  if (!gone) return moved;
  if (what == Cleaner::What::kLiving) return {};
  // A layer may use its number again: then there is something to purge no more.
  StripeLock lock(table_);
  lock.Lock({ino});
  const Inode* again = table_.Find(ino);
  if (again != nullptr && again->upper && !again->removed) return {};
  journal::Change change({journal::RecordKind::kMove, Now(), 0});
  change.Add(journal::PurgeEffect{ino});
  STRATA_TRY(LogMove(change));
  return {};
}

Result<void> WorkspaceImpl::MoveEntry(InodeNumber directory, std::string_view name, Cleaner::What what) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    // What the index says of the name; it is asked once the name is not in memory.
    std::optional<store::IndexEntry> own;
    const Lsn read_at = loader_.position();
    if (attempt > 0) {
      STRATA_ASSIGN(own, index_->LoadEntry(directory, hash, name));
    }
    bool again = false;
    STRATA_TRY(UnlessGone(RunMove(directory, [&](Inode& inode, Need&) -> Result<void> {
      if (!inode.is_directory()) return {};
      const NameSlot* slot = inode.directory->Find(hash, name);
      journal::EntryEffect effect{directory, name, journal::EntryEffect::State::kAbsent, kNoInode, FileType::kRegular};
      if (slot == nullptr && !inode.directory->loaded) {
        again = attempt == 0 || table_.DroppedSince(read_at);
        if (again) return {};
        if (own) {
          effect.state = own->whiteout ? journal::EntryEffect::State::kWhiteout : journal::EntryEffect::State::kPresent;
          effect.ino = own->ino;
          effect.type = own->type;
        }
      } else if (slot != nullptr && slot->InIndex()) {
        const bool whiteout = slot->state == NameSlot::State::kWhiteout;
        effect.state = whiteout ? journal::EntryEffect::State::kWhiteout : journal::EntryEffect::State::kPresent;
        effect.ino = whiteout ? kNoInode : slot->ino;
        effect.type = slot->type;
      }
      if (effect.state == journal::EntryEffect::State::kAbsent && what == Cleaner::What::kLiving) return {};
      journal::Change change({journal::RecordKind::kMove, Now(), 0});
      change.Add(effect);
      STRATA_TRY(LogMove(change));
      return {};
    })));
    if (!again) return {};
  }
  return Fail(Errc::kJukebox);
}

Result<bool> WorkspaceImpl::MoveTruncation(InodeNumber ino, std::uint64_t size) {
  bool whole = true;
  int asked = 0;
  STRATA_TRY(UnlessGone(RunMove(ino, [&](Inode& inode, Need& need) -> Result<void> {
    // What was written since covers what was cut; only behind it may something old show again.
    std::uint64_t end = size;
    auto extent = inode.extents.FirstAt(end);
    for (; extent && extent->offset <= end; extent = inode.extents.FirstAt(end)) end = extent->end();
    const std::uint64_t known = inode.extents.KnownUntil(end, ExtentMap::kEnd);
    whole = known > end && !extent;  // a hole between has no record to say so
    if (known < ExtentMap::kEnd && (known == end || whole)) {
      whole = false;
      if (++asked > kMostAskedOfIndex) return {};
      return need.Range(Need::Kind::kExtents, inode, known, ExtentMap::kEnd);
    }
    if (!whole) return {};
    journal::Change change({journal::RecordKind::kMove, Now(), 0});
    change.Add(journal::TruncateEffect{ino, end});
    STRATA_TRY(LogMove(change));
    return {};
  })));
  return whole;
}

Result<bool> WorkspaceImpl::DataLives(const journal::RecordView& record, const journal::DataEffect& effect) {
  bool lives = false;
  STRATA_TRY(UnlessGone(Run(kBackground, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({effect.ino});
    Inode* inode = table_.Find(effect.ino);
    if (inode == nullptr) return need.Upper(effect.ino);
    if (inode->removed) return {};
    STRATA_TRY(Loader::KnowExtents(*inode, effect.offset, effect.offset + effect.length, need));
    for (auto extent = inode->extents.FirstAt(effect.offset);
         extent && extent->offset < effect.offset + effect.length && !lives;
         extent = inode->extents.FirstAt(extent->end())) {
      lives = extent->record == record.begin;
    }
    return {};
  })));
  return lives;
}

Result<void> WorkspaceImpl::MoveData(const journal::RecordView& record, const journal::DataEffect& effect) {
  const std::uint64_t begin = record.payload_position.value + effect.payload_offset;
  const std::uint64_t end = effect.offset + effect.length;
  return UnlessGone(RunMove(effect.ino, [&](Inode& inode, Need& need) -> Result<void> {
    STRATA_TRY(Loader::KnowExtents(inode, effect.offset, end, need));
    for (auto extent = inode.extents.FirstAt(effect.offset); extent && extent->offset < end;
         extent = inode.extents.FirstAt(extent->end())) {
      const std::uint64_t position = extent->position.value;
      if (extent->record != record.begin || position < begin || position - begin >= effect.length) continue;
      const std::uint64_t length = std::min(extent->end(), end) - extent->offset;
      journal::Change change({journal::RecordKind::kMove, Now(), 0});
      change.Add(journal::DataEffect{effect.ino, extent->offset, static_cast<std::uint32_t>(length), 0});
      change.payload = record.payload.subspan(position - record.payload_position.value, length);
      STRATA_ASSIGN(const journal::Appended appended, LogMove(change));
      NoteDirty(inode, ExtentMap::kExtentFootprint);
      inode.extents.Insert({extent->offset, length, appended.payload, appended.begin});
      inode.changed = appended.end;
    }
    table_.Recount(inode);
    return {};
  }));
}

Result<void> WorkspaceImpl::MoveRequest(const journal::RequestEffect& request) {
  journal::Change change({journal::RecordKind::kMove, Now(), 0});
  change.Add(request);
  STRATA_TRY(LogMove(change));
  return {};
}

Result<Lsn> WorkspaceImpl::LogBegin(Lsn begin) {
  journal::Change change({journal::RecordKind::kMove, Now(), 0});
  change.Add(journal::BeginEffect{begin});
  STRATA_ASSIGN(const journal::Appended appended, LogMove(change));
  return appended.end;
}

}  // namespace strata::vfs
