#include "vfs/workspace/replay.h"

namespace strata::vfs {

Result<void> MemoryReplay::Run() {
  Lsn at = loader_.position();
  for (;;) {
    STRATA_ASSIGN(std::optional<journal::RecordView> record, journal_.NextHead(at));
    if (!record) return {};
    begin_ = record->begin;
    payload_ = record->payload_position;
    end_ = record->end;
    STRATA_TRY(record->Visit(*this));
    at = record->end;
  }
}

Result<Inode*> MemoryReplay::Find(InodeNumber ino) {
  StripeLock lock(table_);
  lock.Lock({ino});
  Inode* inode = table_.Find(ino);
  if (inode == nullptr) {
    STRATA_ASSIGN(std::unique_ptr<Inode> loaded, loader_.FromIndex(kBackground, ino));
    if (!loaded) return nullptr;
    inode = table_.Insert(std::move(loaded));
  }
  inode->changed = end_;
  return inode;
}

Result<Inode*> MemoryReplay::Existing(InodeNumber ino) {
  STRATA_ASSIGN(Inode * inode, Find(ino));
  if (inode == nullptr) {
    return Fail(Errc::kCorrupt,
                "a journal record changes inode " + std::to_string(ino.value) + ", which no record before it made");
  }
  return inode;
}

template <typename Know>
Result<void> MemoryReplay::Supplied(Know know) {
  for (;;) {
    Need need;
    if (auto known = know(need); known || need.kind == Need::Kind::kNothing) return known;
    STRATA_TRY(loader_.Supply(kBackground, need));
  }
}

Result<void> MemoryReplay::On(const InodeRecord& record) {
  STRATA_ASSIGN(Inode * inode, Find(record.ino));
  std::unique_ptr<Inode> made;
  if (inode == nullptr) {
    made = std::make_unique<Inode>();
    inode = made.get();
  }
  inode->record = record;
  inode->changed = end_;
  const bool first = !inode->directory;
  STRATA_TRY(loader_.Attach(kBackground, *inode));
  if (inode->directory && first) inode->directory->loaded = true;  // the index has nothing of it
  loader_.copied_up().Add(record.ino);
  if (made) {
    StripeLock lock(table_);
    lock.Lock({record.ino});
    table_.Insert(std::move(made));
  }
  return {};
}

Result<void> MemoryReplay::On(const journal::TouchEffect& effect) {
  STRATA_ASSIGN(Inode * inode, Existing(effect.ino));
  InodeRecord& record = inode->record;
  record.nlink = effect.nlink;
  record.size = effect.size;
  record.mode = effect.mode;
  record.mtime = effect.mtime;
  record.ctime = effect.ctime;
  return {};
}

Result<void> MemoryReplay::On(const journal::EntryEffect& effect) {
  STRATA_ASSIGN(Inode * inode, Existing(effect.directory));
  if (!inode->directory) return Fail(Errc::kCorrupt, "a journal record puts an entry into what is no directory");
  const std::uint64_t hash = NameHash(name_key_, effect.name);
  NameSlot slot;
  slot.ino = effect.ino;
  slot.type = effect.type;
  slot.changed = end_;
  switch (effect.state) {
    case journal::EntryEffect::State::kAbsent:
      if (inode->directory->loaded) {
        inode->directory->names.Erase(hash, effect.name);
        return {};
      }
      slot.beneath = NameSlot::Beneath::kNo;  // else it were a whiteout; it hides what the index still has
      break;
    case journal::EntryEffect::State::kPresent:
      slot.state = NameSlot::State::kUpper;
      break;
    case journal::EntryEffect::State::kWhiteout:
      slot.state = NameSlot::State::kWhiteout;
      slot.beneath = NameSlot::Beneath::kYes;
      break;
  }
  inode->directory->names.Set(hash, effect.name, slot);
  return {};
}

Result<void> MemoryReplay::On(const journal::DataEffect& effect) {
  STRATA_ASSIGN(Inode * inode, Existing(effect.ino));
  STRATA_TRY(Supplied(
      [&](Need& need) { return Loader::KnowExtents(*inode, effect.offset, effect.offset + effect.length, need); }));
  inode->extents.Insert({effect.offset, effect.length, Lsn(payload_.value + effect.payload_offset), begin_});
  return {};
}

Result<void> MemoryReplay::On(const journal::TruncateEffect& effect) {
  STRATA_ASSIGN(Inode * inode, Existing(effect.ino));
  STRATA_TRY(Supplied([&](Need& need) { return Loader::KnowForTruncation(*inode, effect.size, need); }));
  inode->extents.Truncate(effect.size, end_);
  return {};
}

Result<void> MemoryReplay::On(const journal::PurgeEffect& effect) {
  STRATA_ASSIGN(Inode * inode, Existing(effect.ino));
  inode->removed = true;
  return {};
}

}  // namespace strata::vfs
