// LogJournal: the one Journal there is. Appending is in journal.cc, reading in reading.cc.
//
// Locks, in their order: mutex_ (appending), then FailureLatch's. Neither is held over a sync, nor over the writes of
// Flush and of a commit. Beside these, others append into a second buffer. retire_mutex_ and commit_mutex_ come before
// mutex_, in that order. walk_mutex_ is taken by itself, SegmentTable's last.
//
// Reading file data takes no lock. Positions are atomics, bytes once written never change, and a segment stays open
// while it is used (SegmentTable::Use).
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/resident.h"
#include "journal/checked_records.h"
#include "journal/committer.h"
#include "journal/journal.h"
#include "journal/recovery.h"
#include "journal/reserve.h"
#include "journal/segment_table.h"
#include "journal/spare.h"
#include "journal/used.h"

namespace strata::journal {

constexpr std::uint64_t kMostUnused = 32;  // of a segment, one in so many bytes is left unused at its end
constexpr std::size_t kBufferBytes = 1 << 20;
// From here on what nobody has asked for is synced. The disk then works beside those who write, and whoever asks in the
// end waits for little.
constexpr std::size_t kUnsyncedSegments = 4;
constexpr std::uint64_t kUnsyncedBytes = 8 << 20;
constexpr std::int64_t kLargestTouch = 32;   // blocks that one touch may map
constexpr std::uint64_t kCopied = 16 << 10;  // up to here reads are copied rather than that pages are let go for them
// Heads lie close to each other or far apart, by how large the payloads between them are: little is lost either way.
constexpr std::uint64_t kHeadReadAhead = 16 << 10;
// From here on the next segment's blocks are written ahead, where so few bytes come with each sync that a sync's own
// cost counts.
constexpr std::uint64_t kSmallestSpared = 8 << 20;
constexpr std::uint64_t kSparedBelow = 1 << 20;
constexpr std::size_t kDirectPayload = 32 << 10;  // from here on a payload is written from the caller's memory
static_assert(kBufferBytes >= kFrameBytes + kMaxHeadBytes + kDirectPayload + 8);

class LogJournal final : public Journal {
 public:
  LogJournal(Env& env, std::string directory, const JournalOptions& options, std::unique_ptr<File> lock,
             Recovered found)
      : env_(env),
        directory_(std::move(directory)),
        volume_id_(options.volume_id),
        salt_(found.salt),
        segment_size_(found.segment_size),
        mapped_limit_(static_cast<std::int64_t>(options.mapped_bytes / kMappedBlock)),
        lock_(std::move(lock)),
        cut_bytes_(found.cut_bytes),
        cut_segments_(found.cut_segments),
        trusted_from_(found.end),
        failure_(options.on_failure),
        table_(env, options.read_only, segment_size_, options.open_segments,
               [this](const Segment& segment, const OpenSegment& open) { NoteClosed(segment, open); }),
        written_(found.end),
        end_(found.end) {
    for (std::unique_ptr<Segment>& segment : found.segments) {
      disk_bytes_.fetch_add(segment->allocated, std::memory_order_relaxed);
      complete_bytes_.fetch_add(RecordBytes(*segment), std::memory_order_relaxed);
      table_.Add(std::move(segment));
    }
    last_check_ = found.last_check;
    if (options.read_only) return;
    current_ = table_.last();
    file_ = current_->open.load()->file.get();
    used_.emplace(env, directory_, segment_size_);
    if (segment_size_ >= kSmallestSpared) spare_.emplace(env, directory_, segment_size_);
    sync_asked_ = synced_ = found.end;
    unsynced_.push_back(current_);
    buffer_.resize(kBufferBytes);
    outgoing_.resize(kBufferBytes);
    if (options.reserve_bytes != 0) {
      // What it takes to write anew what lives in a segment, for the index, and for removals meanwhile.
      reserve_.emplace(env, directory_, std::min(options.reserve_bytes, 4 * segment_size_));
    } else {
      (void)env.Remove(directory_ + '/' + std::string(kReserveName));
    }
    committer_.emplace([this] { return CommitAll(); }, [this] { return end_.load(std::memory_order_seq_cst); },
                       failure_, found.end, std::chrono::nanoseconds(options.sync_interval_ns));
  }

  ~LogJournal() override {
    if (!committer_) return;
    committer_.reset();
    (void)CommitAll();
  }

  using Journal::Append;
  Result<Appended> Append(ByteSpan head, ByteSpan payload, Room room) override;

  Result<void> Flush() override {
    if (failure_.failed()) return failure_.Check();
    const std::uint64_t wanted = end_.load(std::memory_order_acquire);
    if (written_.load(std::memory_order_acquire) >= wanted) return {};
    const MutexLock lock(mutex_);
    while (writing_) wrote_.Wait(mutex_);
    if (written_.load(std::memory_order_relaxed) >= wanted) return {};
    return FlushBeside();
  }

  void Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) override {
    if (lsn.value > end_.load(std::memory_order_acquire)) {
      return done(Fail(Errc::kInvalid, "sync of a journal position that was never appended"));
    }
    if (!committer_) return done({});
    // Written here, beside the sync that may be under way, so that the next one has only to wait for the disk. What
    // fails is tried again by that.
    if (written_.load(std::memory_order_acquire) < lsn.value) {
      const MutexLock lock(mutex_);
      if (!writing_) (void)FlushBeside();
    }
    committer_->Sync(lsn.value, std::move(done));
  }

  Lsn end() const override { return Lsn(end_.load(std::memory_order_acquire)); }
  Lsn durable() const override { return committer_ ? Lsn(committer_->durable()) : end(); }
  bool failed() const override { return failure_.failed(); }
  std::uint64_t disk_bytes() const override { return disk_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t held_bytes() const override {
    const std::uint64_t in_last = end_.load(std::memory_order_acquire) % segment_size_ - kSegmentHeaderBytes;
    return complete_bytes_.load(std::memory_order_relaxed) + in_last;
  }
  bool GiveReserveUp() override {
    const bool others = DropSpares();
    return (reserve_ && reserve_->GiveUp()) || others;
  }
  void RestoreReserve() override {
    if (reserve_) reserve_->RestoreWithRoomLeft();
  }
  std::uint64_t missing_reserve() const override { return reserve_ ? reserve_->missing() : 0; }
  std::uint64_t segment_size() const override { return segment_size_; }
  std::uint64_t cut_bytes() const override { return cut_bytes_; }
  std::uint64_t cut_segments() const override { return cut_segments_; }
  Lsn begin() const override { return Lsn(table_.first_index() * segment_size_ + kSegmentHeaderBytes); }

  Result<PinnedBytes> Data(Lsn record, Lsn position, std::uint64_t length, bool may_block) override;
  Result<void> Copy(Lsn position, MutableByteSpan out, bool may_block) override;
  Result<void> Retire(Lsn lsn) override;
  Result<void> GiveUp(std::uint64_t segment) override;
  bool IsGivenUp(std::uint64_t segment) const override {
    const Segment* const found = table_.Find(segment);
    return found != nullptr && found->given_up.load(std::memory_order_acquire);
  }
  Result<std::optional<RecordView>> Next(Lsn from) override { return Walk(from, RecordPart::kWhole); }
  Result<std::optional<RecordView>> NextHead(Lsn from) override { return Walk(from, RecordPart::kHead); }
  void ReleasePages() override;

 private:
  // Of a complete segment that is held.
  static std::uint64_t RecordBytes(const Segment& segment) {
    const std::uint64_t end = segment.end.load(std::memory_order_relaxed);
    return end == Segment::kOpenEnd || segment.given_up.load() ? 0 : end - segment.FirstRecord();
  }
  Result<Appended> AppendOnce(ByteSpan head, ByteSpan payload, Room room);
  void SetEnd(std::uint64_t begin, std::uint64_t record_bytes) STRATA_REQUIRES(mutex_);
  // The header of the stub that takes the segment's place.
  Result<SegmentHeader> StubOf(const Segment& segment) const;
  // Nobody reads the segment any more, and its file is let go of.
  void LetGo(Segment& segment, bool first) STRATA_REQUIRES(retire_mutex_);
  void LetPagesGo();
  // Keeps the file of what was a segment, or removes it.
  Result<void> Keep(const std::string& path, const Segment& segment);
  // A mapping could not be read: which files were cut?
  void LookForCutFiles();
  void NoteClosed(const Segment& segment, const OpenSegment& open);
  Result<std::optional<RecordView>> Walk(Lsn from, RecordPart part);
  // Writes what is buffered. No write may be under way.
  Result<void> FlushLocked() STRATA_REQUIRES(mutex_) { return Write({}, end_.load(std::memory_order_relaxed)); }
  // The same, once none is under way, and others may append meanwhile: the mutex is free for a time.
  Result<void> FlushBeside() STRATA_REQUIRES(mutex_);
  // Gives back the room of files that are kept for segments to come; whether there was any.
  bool DropSpares() {
    const bool used = used_ && used_->Drop();
    return (spare_ && spare_->Drop()) || used;
  }
  Result<void> MakeRoom(std::uint64_t record_bytes, Room room) STRATA_REQUIRES(mutex_);
  Result<void> Roll(std::uint64_t record_bytes) STRATA_REQUIRES(mutex_);
  // What a failure to make room means: without space nothing has happened; all else ends the journal.
  std::unexpected<Status> NoRoom(const Status& status);
  // One gathered write of what is buffered and of `more`, at written_, which moves to `end`. No other may be under way.
  Result<void> Write(std::span<const ByteSpan> more, std::uint64_t end) STRATA_REQUIRES(mutex_);
  Result<std::uint64_t> CommitAll() STRATA_EXCLUDES(commit_mutex_, mutex_);
  // To be called before bytes of the segment are read through its mapping. False: they are better copied.
  bool Touch(Segment& segment, const OpenSegment& open, std::uint64_t offset, std::uint64_t length);
  void CountMapped();
  // Reads the record, checks it, and that [begin, end) lies in its payload.
  Result<void> Check(const SegmentTable::Use& segment, std::uint64_t record, std::uint64_t begin, std::uint64_t end);
  // The segment's part of the log that has reached the operating system.
  std::uint64_t ReadableEnd(const Segment& segment, std::uint64_t written) const {
    return std::min(segment.end.load(std::memory_order_acquire), written);
  }

  Env& env_;
  const std::string directory_;
  const std::uint64_t volume_id_;
  const std::uint32_t salt_;
  const std::uint64_t segment_size_;
  const std::int64_t mapped_limit_;  // blocks
  const std::unique_ptr<File> lock_;
  const std::uint64_t cut_bytes_, cut_segments_;
  // Records from here on were written by this process, as it has them.
  const std::uint64_t trusted_from_;
  FailureLatch failure_;
  SegmentTable table_;  // added to under mutex_, retired from under retire_mutex_

  Mutex mutex_;
  Segment* current_ STRATA_GUARDED_BY(mutex_) = nullptr;
  File* file_ STRATA_GUARDED_BY(mutex_) = nullptr;  // of current_
  // The bytes from written_ on: first those that FlushBeside writes, or could not write for want of space, then those
  // appended since.
  std::vector<std::byte> outgoing_ STRATA_GUARDED_BY(mutex_), buffer_ STRATA_GUARDED_BY(mutex_);
  std::size_t outgoing_bytes_ STRATA_GUARDED_BY(mutex_) = 0, buffered_ STRATA_GUARDED_BY(mutex_) = 0;
  bool writing_ STRATA_GUARDED_BY(mutex_) =
      false;  // FlushBeside's write is under way: written_ and current_ stay as they are
  CondVar wrote_;
  std::vector<Segment*> unsynced_ STRATA_GUARDED_BY(mutex_);  // written to since the last sync; the last is current_
  bool directory_unsynced_ STRATA_GUARDED_BY(mutex_) = false;
  std::uint64_t sync_asked_ STRATA_GUARDED_BY(mutex_) = 0;  // up to here, for what nobody has asked for yet
  std::uint32_t last_check_ STRATA_GUARDED_BY(mutex_) = 0;  // Frame::check of the last record
  std::atomic<std::uint64_t> written_;  // everything before has reached the operating system; stored under mutex_
  std::atomic<std::uint64_t> end_;      // stored under mutex_
  std::atomic<std::uint64_t> disk_bytes_{0};
  std::atomic<std::uint64_t> complete_bytes_{0};  // of the records of complete segments that are held

  // Blocks that were read through the mappings since they were released, and where they lie. Linux may map more at a
  // touch than the block (a folio, of up to 2 MiB). So now and then the count is set right by what Linux says there is.
  std::atomic<std::int64_t> mapped_{0};  // a little wrong where a release comes between a touch and its count
  std::atomic<std::int64_t> mapped_before_{
      static_cast<std::int64_t>(ResidentFileBytes() / kMappedBlock)};  // when all were last released
  std::atomic<std::int64_t> look_at_{mapped_limit_ / kLargestTouch};   // of mapped_: when to look again
  Mutex touched_mutex_;                                                // taken last
  std::vector<Segment*> touched_ STRATA_GUARDED_BY(touched_mutex_);
  CheckedRecords checked_;
  std::atomic<std::uint64_t> faults_seen_{mapping_faults.load()};

  Mutex walk_mutex_;
  Window window_ STRATA_GUARDED_BY(walk_mutex_);                 // of Next
  Window heads_ STRATA_GUARDED_BY(walk_mutex_){kHeadReadAhead};  // of NextHead
  Mutex retire_mutex_;
  std::optional<Reserve> reserve_;
  std::optional<UsedSegments> used_;  // of a journal that is written
  std::optional<SpareSegment>
      spare_;           // of a journal that is written and whose segments are large enough for it to matter
  Mutex commit_mutex_;  // one commit at a time: the committer's thread, and the destructor after it
  std::vector<Segment*> syncing_ STRATA_GUARDED_BY(commit_mutex_);
  std::uint64_t synced_ STRATA_GUARDED_BY(commit_mutex_) = 0;  // everything before is durable
  std::uint64_t syncs_ STRATA_GUARDED_BY(commit_mutex_) = 0;   // of the segment that `synced_` lies in
  std::optional<Committer> committer_;                         // last, so that its thread ends first
};

}  // namespace strata::journal
