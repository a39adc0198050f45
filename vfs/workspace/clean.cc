// Giving up old journal segments. What still lives in the first of them is written anew at the journal's end
// (docs/formats/journal.md, "Giving up the first segments"); once the index has that too, the files go. Changes nothing
// that a client can see.
#include <absl/container/flat_hash_set.h>

#include "base/log.h"
#include "vfs/workspace/pace.h"
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

// So many segments of dead weight are borne: cleaning costs less the more there is to gain.
constexpr std::uint64_t kSlackSegments = 4;
// What is written anew waits between pieces, so that no more than this passes in a second.
constexpr std::uint64_t kMoveBytesASecond = 64 << 20;
constexpr std::uint64_t kMovePieceBytes = 1 << 20;
constexpr std::chrono::seconds kCleanInterval(1);
// It is never in a hurry.
constexpr double kCleanerEase = 3;

// What a record may hold that lives.
class LiveVisitor final : public journal::EffectVisitor {
 public:
  struct Name {
    InodeNumber directory;
    std::string name;
  };

  void Clear() {
    inodes.clear();
    names.clear();
    data.clear();
  }
  Result<void> On(const InodeRecord& inode) override {
    inodes.push_back(inode.ino);
    return {};
  }
  Result<void> On(const journal::EntryEffect& effect) override {
    if (effect.state != journal::EntryEffect::State::kAbsent)
      names.push_back({effect.directory, std::string(effect.name)});
    return {};
  }
  Result<void> On(const journal::DataEffect& effect) override {
    data.push_back(effect);
    return {};
  }
  Result<void> On(const journal::TouchEffect&) override { return {}; }
  Result<void> On(const journal::TruncateEffect&) override { return {}; }
  Result<void> On(const journal::PurgeEffect&) override { return {}; }

  std::vector<InodeNumber> inodes;
  std::vector<Name> names;
  std::vector<journal::DataEffect> data;
};

const OpContext kBackground{.credentials = {}, .may_block = true};

// Of what is gone nothing needs to be moved.
Result<void> UnlessGone(Result<void> moved) {
  if (moved || moved.error().code() == Errc::kStale || moved.error().code() == Errc::kNotFound) return {};
  return moved;
}

}  // namespace

Result<void> WorkspaceImpl::MoveInode(InodeNumber ino) {
  return UnlessGone(RunChange(kBackground, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({ino});
    const Inode* inode = table_.Find(ino);
    if (inode == nullptr) return need.Number(ino);
    if (inode->removed || !inode->upper) return {};
    journal::RecordWriter writer;
    writer.Begin({journal::RecordKind::kMove, Now(), 0});
    writer.Add(inode->FullRecord());
    STRATA_TRY(Log(kBackground, writer));
    return {};
  }));
}

Result<void> WorkspaceImpl::MoveEntry(InodeNumber directory, std::string_view name) {
  const std::uint64_t hash = NameHash(config_.name_key, name);
  return UnlessGone(RunChange(kBackground, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({directory});
    Inode* inode = table_.Find(directory);
    if (inode == nullptr) return need.Number(directory);
    if (inode->removed || !inode->upper || !inode->is_directory()) return {};
    STRATA_ASSIGN(const NameSlot* slot, FindName(*inode, hash, name, need));
    if (slot == nullptr) return {};
    const bool whiteout = slot->state == NameSlot::State::kWhiteout;
    if (!whiteout && slot->state != NameSlot::State::kUpper) return {};
    journal::RecordWriter writer;
    writer.Begin({journal::RecordKind::kMove, Now(), 0});
    const auto state = whiteout ? journal::EntryEffect::State::kWhiteout : journal::EntryEffect::State::kPresent;
    writer.Add(journal::EntryEffect{directory, name, state, whiteout ? kNoInode : slot->ino, slot->type});
    STRATA_TRY(Log(kBackground, writer));
    return {};
  }));
}

Result<bool> WorkspaceImpl::DataLives(const journal::RecordView& record, const journal::DataEffect& effect) {
  bool lives = false;
  STRATA_TRY(UnlessGone(Run(kBackground, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({effect.ino});
    const Inode* inode = table_.Find(effect.ino);
    if (inode == nullptr) return need.Number(effect.ino);
    if (inode->removed) return {};
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
  return UnlessGone(RunChange(kBackground, [&](StripeLock& lock, Need& need) -> Result<void> {
    lock.Lock({effect.ino});
    Inode* inode = table_.Find(effect.ino);
    if (inode == nullptr) return need.Number(effect.ino);
    if (inode->removed) return {};
    for (auto extent = inode->extents.FirstAt(effect.offset); extent && extent->offset < end;
         extent = inode->extents.FirstAt(extent->end())) {
      const std::uint64_t position = extent->position.value;
      if (extent->record != record.begin || position < begin || position - begin >= effect.length) continue;
      const std::uint64_t length = std::min(extent->end(), end) - extent->offset;
      journal::RecordWriter writer;
      writer.Begin({journal::RecordKind::kMove, Now(), 0});
      writer.Add(journal::DataEffect{effect.ino, extent->offset, static_cast<std::uint32_t>(length), 0});
      const ByteSpan bytes = record.payload.subspan(position - record.payload_position.value, length);
      STRATA_ASSIGN(const journal::Appended appended, Log(kBackground, writer, bytes));
      NoteDirty(*inode, ExtentMap::kExtentFootprint);
      inode->extents.Insert({extent->offset, length, appended.payload, appended.begin});
      inode->changed = appended.end;
    }
    table_.Recount(*inode);
    return {};
  }));
}

Result<bool> WorkspaceImpl::MoveLiving(Lsn from, Lsn until) {
  absl::flat_hash_set<InodeNumber> moved;  // a record says of an inode what it is now, so once is enough
  LiveVisitor living;
  std::uint64_t piece = journal_->end().value;
  Pace pace([this] { return hurry_.load(std::memory_order_relaxed) > 0 ? 0.0 : kCleanerEase; });
  while (true) {
    pace.Step();
    STRATA_ASSIGN(const std::optional<journal::RecordView> record, journal_->NextHead(from));
    if (!record || record->begin >= until) return true;
    living.Clear();
    STRATA_TRY(journal::VisitRecord(record->head, record->payload_size, living));
    for (const InodeNumber ino : living.inodes) {
      if (moved.insert(ino).second) STRATA_TRY(MoveInode(ino));
    }
    for (const LiveVisitor::Name& name : living.names) STRATA_TRY(MoveEntry(name.directory, name.name));
    std::optional<journal::RecordView>
        whole;  // most of what is old has been overwritten or removed, and need not be read
    for (const journal::DataEffect& effect : living.data) {
      STRATA_ASSIGN(const bool lives, DataLives(*record, effect));
      if (!lives) continue;
      if (!whole) {
        STRATA_ASSIGN(whole, journal_->Next(record->begin));
      }
      STRATA_TRY(MoveData(*whole, effect));
    }
    from = record->end;
    if (journal_->end().value - piece < kMovePieceBytes) continue;
    if (!CleanerRests(std::chrono::nanoseconds(1'000'000'000ULL * kMovePieceBytes / kMoveBytesASecond))) return false;
    piece = journal_->end().value;
  }
}

Result<bool> WorkspaceImpl::WorthCleaning(const HistoryPolicy& policy, Lsn until) {
  const std::uint64_t held = journal_->end().value - journal_->begin().value;
  // What lives may be moved once for all that is gained.
  const std::uint64_t kept = kSlackSegments * journal_->segment_size() + policy.bytes;
  if (policy.all || held <= 2 * living_bytes_ + kept) return false;
  // The index tells what lives, and must have what is moved from there.
  if (until.value > checkpoint_.load()) STRATA_TRY(RunCheckpoint());
  if (until.value > checkpoint_.load()) return false;
  living_bytes_ = index_->LivingBytes();
  if (held <= 2 * living_bytes_ + kept) return false;
  if (policy.age_ns == 0) return true;
  // As old as what comes next, or older.
  STRATA_ASSIGN(const std::optional<journal::RecordView> next, journal_->NextHead(until));
  if (!next) return false;
  STRATA_ASSIGN(const journal::RecordHeader header, journal::ReadRecordHeader(next->head));
  return Now().ns - header.time.ns >= policy.age_ns;
}

Result<void> WorkspaceImpl::CleanJournal(const HistoryPolicy& policy) {
  const MutexLock one(clean_mutex_);
  if (options_.read_only) return Fail(Errc::kReadOnly, "giving up history of a workspace that is open for reading");
  const std::uint64_t segment_size = journal_->segment_size();
  while (true) {
    const std::uint64_t first = journal_->begin().value / segment_size;
    const Lsn until((first + 1) * segment_size);
    if (moved_until_ < until) {
      STRATA_ASSIGN(const bool worth, WorthCleaning(policy, until));
      if (!worth) return {};
      STRATA_ASSIGN(const bool whole, MoveLiving(journal_->begin(), until));
      if (!whole) return {};
      journal::RecordWriter writer;
      writer.Begin({journal::RecordKind::kMove, Now(), 0});
      writer.Add(journal::BeginEffect{until});
      STRATA_ASSIGN(const journal::Appended appended, Log(kBackground, writer));
      moved_until_ = until;
      moved_end_ = appended.end;
    }
    STRATA_TRY(RunCheckpoint());
    // A reader of the index keeps what it may still look up.
    if (settled_.load() < moved_end_.value) return {};
    STRATA_TRY(journal_->Retire(until));
  }
}

bool WorkspaceImpl::CleanerRests(std::chrono::nanoseconds interval) {
  const auto end = std::chrono::steady_clock::now() + interval;
  const MutexLock hold(keeper_mutex_);
  while (!keeper_stops_ && cleaner_wakes_.WaitUntil(keeper_mutex_, end)) {
  }
  return !keeper_stops_;
}

void WorkspaceImpl::CleanerLoop() {
  bool failed = false;
  while (CleanerRests(kCleanInterval)) {
    auto cleaned = CleanJournal(options_.history);
    // Once, until it works again: it is tried every time.
    if (!cleaned && !std::exchange(failed, true)) {
      log::Warning("old journal segments cannot be given up now; the journal grows meanwhile path=" + path_ +
                   " error=" + cleaned.error().ToString());
    }
    if (cleaned) failed = false;
  }
}

}  // namespace strata::vfs
