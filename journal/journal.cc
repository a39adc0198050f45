// Locks, in their order: mutex_ (appending), then FailureLatch's. Neither is held over a sync, nor over the writes of
// Flush and of a commit, beside which others append into a second buffer. retire_mutex_ and commit_mutex_ come before
// it, in that order. Reading file data takes no lock: positions are atomics, bytes once written never change, and a
// segment stays while it is used (SegmentTable::Use). walk_mutex_ is taken by itself.
#include "journal/journal.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/mutex.h"
#include "base/resident.h"
#include "journal/committer.h"
#include "journal/format.h"
#include "journal/recovery.h"
#include "journal/segment.h"
#include "journal/spare.h"

namespace strata::journal {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
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

bool IsOutOfSpace(const Status& status) { return status.code() == Errc::kNoSpace || status.code() == Errc::kQuota; }

std::string ParentOf(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

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
        written_(found.end),
        end_(found.end) {
    for (std::unique_ptr<Segment>& segment : found.segments) {
      disk_bytes_.fetch_add(segment->allocated, std::memory_order_relaxed);
      table_.Add(std::move(segment));
    }
    last_check_ = found.last_check;
    if (options.read_only) return;
    current_ = table_.last();
    if (segment_size_ >= kSmallestSpared) spare_.emplace(env, directory_, segment_size_);
    synced_ = found.end;
    unsynced_.push_back(current_);
    buffer_.resize(kBufferBytes);
    outgoing_.resize(kBufferBytes);
    committer_.emplace([this] { return CommitAll(); }, failure_, found.end);
  }

  ~LogJournal() override {
    if (!committer_) return;
    committer_.reset();
    (void)CommitAll();
  }

  Result<Appended> Append(ByteSpan head, ByteSpan payload) override;

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
    committer_->Sync(lsn.value, std::move(done));
  }

  Lsn end() const override { return Lsn(end_.load(std::memory_order_acquire)); }
  Lsn durable() const override { return committer_ ? Lsn(committer_->durable()) : end(); }
  bool failed() const override { return failure_.failed(); }
  std::uint64_t disk_bytes() const override { return disk_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t segment_size() const override { return segment_size_; }
  std::uint64_t cut_bytes() const override { return cut_bytes_; }
  std::uint64_t cut_segments() const override { return cut_segments_; }
  Lsn begin() const override { return Lsn(table_.first_index() * segment_size_ + kSegmentHeaderBytes); }

  Result<PinnedBytes> Data(Lsn record, Lsn position, std::uint64_t length, bool may_block) override;
  Result<void> Copy(Lsn position, MutableByteSpan out, bool may_block) override;
  Result<void> Retire(Lsn lsn) override;
  Result<std::optional<RecordView>> Next(Lsn from) override { return Walk(from, RecordPart::kWhole); }
  Result<std::optional<RecordView>> NextHead(Lsn from) override { return Walk(from, RecordPart::kHead); }
  void ReleasePages() override;

 private:
  Result<std::optional<RecordView>> Walk(Lsn from, RecordPart part);
  // Writes what is buffered. No write may be under way.
  Result<void> FlushLocked() STRATA_REQUIRES(mutex_) { return Write({}, end_.load(std::memory_order_relaxed)); }
  // The same, once none is under way, and others may append meanwhile: the mutex is free for a time.
  Result<void> FlushBeside() STRATA_REQUIRES(mutex_);
  Result<void> MakeRoom(std::uint64_t record_bytes) STRATA_REQUIRES(mutex_);
  Result<void> Roll(std::uint64_t record_bytes) STRATA_REQUIRES(mutex_);
  // What a failure to make room means: without space nothing has happened; all else ends the journal.
  std::unexpected<Status> NoRoom(const Status& status);
  // One gathered write of what is buffered and of `more`, at written_, which moves to `end`. No other may be under way.
  Result<void> Write(std::span<const ByteSpan> more, std::uint64_t end) STRATA_REQUIRES(mutex_);
  Result<std::uint64_t> CommitAll() STRATA_EXCLUDES(commit_mutex_, mutex_);
  // To be called before bytes of the segment are read through its mapping. False: they are better copied.
  bool Touch(const Segment& segment, std::uint64_t offset, std::uint64_t length);
  void CountMapped();
  // Reads the record, checks it, and that [begin, end) lies in its payload.
  Result<void> Check(Segment& segment, std::uint64_t record, std::uint64_t begin, std::uint64_t end) const;
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
  // The bytes from written_ on: first those that FlushBeside writes, or could not write for want of space, then those
  // appended since.
  std::vector<std::byte> outgoing_ STRATA_GUARDED_BY(mutex_), buffer_ STRATA_GUARDED_BY(mutex_);
  std::size_t outgoing_bytes_ STRATA_GUARDED_BY(mutex_) = 0, buffered_ STRATA_GUARDED_BY(mutex_) = 0;
  bool writing_ STRATA_GUARDED_BY(mutex_) =
      false;  // FlushBeside's write is under way: written_ and current_ stay as they are
  CondVar wrote_;
  std::vector<Segment*> unsynced_ STRATA_GUARDED_BY(mutex_);  // written to since the last sync; the last is current_
  bool directory_unsynced_ STRATA_GUARDED_BY(mutex_) = false;
  std::uint32_t last_check_ STRATA_GUARDED_BY(mutex_) = 0;  // Frame::check of the last record
  std::atomic<std::uint64_t> written_;  // everything before has reached the operating system; stored under mutex_
  std::atomic<std::uint64_t> end_;      // stored under mutex_
  std::atomic<std::uint64_t> disk_bytes_{0};

  // Blocks that were read through the mappings since they were released, and where they lie. Linux may map more at a
  // touch than the block (a folio, of up to 2 MiB), so that now and then the count is set right by what it says there
  // is.
  std::atomic<std::int64_t> mapped_{0};  // a little wrong where a release comes between a touch and its count
  std::atomic<std::int64_t> mapped_before_{
      static_cast<std::int64_t>(ResidentFileBytes() / kMappedBlock)};  // when all were last released
  std::atomic<std::int64_t> look_at_{mapped_limit_ / kLargestTouch};   // of mapped_: when to look again
  Mutex touched_mutex_;                                                // taken last
  std::vector<const Segment*> touched_ STRATA_GUARDED_BY(touched_mutex_);

  Mutex walk_mutex_;
  Window window_ STRATA_GUARDED_BY(walk_mutex_);                 // of Next
  Window heads_ STRATA_GUARDED_BY(walk_mutex_){kHeadReadAhead};  // of NextHead
  Mutex retire_mutex_;
  std::optional<SpareSegment>
      spare_;           // of a journal that is written and whose segments are large enough for it to matter
  Mutex commit_mutex_;  // one commit at a time: the committer's thread, and the destructor after it
  std::vector<Segment*> syncing_ STRATA_GUARDED_BY(commit_mutex_);
  std::uint64_t synced_ STRATA_GUARDED_BY(commit_mutex_) = 0;  // everything before is durable
  std::uint64_t syncs_ STRATA_GUARDED_BY(commit_mutex_) = 0;   // of the segment that `synced_` lies in
  std::optional<Committer> committer_;                         // last, so that its thread ends first
};

Result<Appended> LogJournal::Append(ByteSpan head, ByteSpan payload) {
  if (!committer_) return Fail(Errc::kReadOnly, "append to a journal that is open for reading");
  if (head.size() > kMaxHeadBytes || payload.size() > kMaxPayloadBytes) {
    return Fail(Errc::kInvalid, "a journal record of more than its largest size");
  }
  Frame frame;
  frame.head_size = static_cast<std::uint32_t>(head.size());
  frame.payload_size = static_cast<std::uint32_t>(payload.size());
  frame.head_crc = Crc32c(head);
  frame.payload_crc = Crc32c(payload);
  const std::uint64_t size = frame.RecordBytes();
  if (size > segment_size_ - kSegmentHeaderBytes) return Fail(Errc::kInvalid, "a journal record larger than a segment");
  const std::size_t padding = size - kFrameBytes - head.size() - payload.size();
  const bool direct = payload.size() >= kDirectPayload;
  const std::size_t copied = direct ? kFrameBytes + head.size() : size;

  const MutexLock lock(mutex_);
  const auto writes = [&]() STRATA_REQUIRES(mutex_) {
    return direct || buffer_.size() - buffered_ < copied ||
           end_.load(std::memory_order_relaxed) - current_->base + size > segment_size_;
  };
  while (writing_ && writes()) wrote_.Wait(mutex_);
  if (failure_.failed()) return Fail(failure_.Check().error());
  STRATA_TRY(MakeRoom(size));
  if (buffer_.size() - buffered_ < copied) STRATA_TRY(FlushLocked());

  const std::uint64_t begin = end_.load(std::memory_order_relaxed);
  frame.position = begin;
  frame.durable = committer_->durable();
  std::byte* at = buffer_.data() + buffered_;
  const std::uint32_t check = EncodeFrame(frame, salt_, at);
  at += kFrameBytes;
  if (!head.empty()) std::memcpy(at, head.data(), head.size());
  at += head.size();
  const Appended appended{
      .begin = Lsn(begin), .end = Lsn(begin + size), .payload = Lsn(begin + kFrameBytes + head.size())};
  if (!direct) {
    if (!payload.empty()) std::memcpy(at, payload.data(), payload.size());
    std::memset(at + payload.size(), 0, padding);
    buffered_ += size;
    last_check_ = check;
    end_.store(begin + size, std::memory_order_release);
    return appended;
  }
  static constexpr std::array<std::byte, 8> kPadding{};
  buffered_ += copied;
  const ByteSpan more[] = {payload, ByteSpan(kPadding).first(padding)};
  if (auto wrote = Write(more, begin + size); !wrote) {
    buffered_ -= copied;
    return Fail(wrote.error());
  }
  last_check_ = check;
  end_.store(begin + size, std::memory_order_release);
  return appended;
}

Result<void> LogJournal::Write(std::span<const ByteSpan> more, std::uint64_t end) {
  if (failure_.failed()) return failure_.Check();
  if (outgoing_bytes_ + buffered_ == 0) return {};
  std::array<ByteSpan, 4> pieces{ByteSpan(outgoing_).first(outgoing_bytes_), ByteSpan(buffer_).first(buffered_)};
  std::ranges::copy(more, pieces.begin() + 2);
  const std::uint64_t offset = written_.load(std::memory_order_relaxed) - current_->base;
  if (auto wrote = current_->file->WriteAt(offset, std::span(pieces).first(2 + more.size())); !wrote) {
    // Where the file system cannot allocate ahead, it is here that the disk is found full. What is buffered stays so,
    // and is written over what is there in part once there is space.
    return NoRoom(wrote.error());
  }
  outgoing_bytes_ = buffered_ = 0;
  written_.store(end, std::memory_order_release);
  return {};
}

Result<void> LogJournal::FlushBeside() {
  while (writing_) wrote_.Wait(mutex_);
  if (outgoing_bytes_ != 0) return FlushLocked();
  if (failure_.failed()) return failure_.Check();
  if (buffered_ == 0) return {};
  outgoing_.swap(buffer_);
  outgoing_bytes_ = std::exchange(buffered_, 0);
  const std::uint64_t end = end_.load(std::memory_order_relaxed);
  const std::uint64_t offset = written_.load(std::memory_order_relaxed) - current_->base;
  const ByteSpan pieces[] = {ByteSpan(outgoing_).first(outgoing_bytes_)};
  File& file = *current_->file;
  writing_ = true;
  mutex_.Unlock();
  auto wrote = file.WriteAt(offset, pieces);
  mutex_.Lock();
  writing_ = false;
  wrote_.NotifyAll();
  if (!wrote) return NoRoom(wrote.error());
  outgoing_bytes_ = 0;
  written_.store(end, std::memory_order_release);
  return {};
}

std::unexpected<Status> LogJournal::NoRoom(const Status& status) {
  if (!IsOutOfSpace(status)) return failure_.Set(status);
  return Fail(status.WithContext("no room for the journal; free space on its disk"));
}

Result<void> LogJournal::MakeRoom(std::uint64_t record_bytes) {
  const std::uint64_t needed = end_.load(std::memory_order_relaxed) - current_->base + record_bytes;
  if (needed <= current_->allocated) return {};
  if (needed > segment_size_) return Roll(record_bytes);
  const std::uint64_t before = current_->allocated;
  auto grown = GrowSegment(*current_, needed, segment_size_);
  if (!grown && spare_ && spare_->Drop()) grown = GrowSegment(*current_, needed, segment_size_);
  if (!grown) return NoRoom(grown.error());
  disk_bytes_.fetch_add(current_->allocated - before, std::memory_order_relaxed);
  return {};
}

Result<void> LogJournal::Roll(std::uint64_t record_bytes) {
  STRATA_TRY(FlushLocked());
  const SegmentHeader header{.salt = salt_,
                             .volume_id = volume_id_,
                             .index = current_->index + 1,
                             .segment_size = segment_size_,
                             .previous_end = end_.load(std::memory_order_relaxed),
                             .previous_check = last_check_,
                             .durable = committer_->durable()};
  if (header.index > kMaxSegmentIndex) return Fail(Errc::kNoSpace, "the journal has used up all its positions");
  std::unique_ptr<File> spare = spare_ ? spare_->Take(directory_ + '/' + SegmentName(header.index)) : nullptr;
  auto created = CreateSegment(env_, directory_, header, kSegmentHeaderBytes + record_bytes, std::move(spare));
  if (!created && spare_ && spare_->Drop())
    created = CreateSegment(env_, directory_, header, kSegmentHeaderBytes + record_bytes);
  if (!created) return NoRoom(created.error());
  current_->end.store(header.previous_end, std::memory_order_release);
  current_ = created->get();
  disk_bytes_.fetch_add(current_->allocated, std::memory_order_relaxed);
  unsynced_.push_back(current_);
  directory_unsynced_ = true;
  table_.Add(std::move(*created));
  written_.store(current_->FirstRecord(), std::memory_order_release);
  end_.store(current_->FirstRecord(), std::memory_order_release);
  return {};
}

Result<std::uint64_t> LogJournal::CommitAll() {
  const MutexLock commit_lock(commit_mutex_);
  std::uint64_t target;
  bool sync_directory;
  {
    const MutexLock lock(mutex_);
    STRATA_TRY(FlushBeside());
    target = written_.load(std::memory_order_relaxed);
    if (target == synced_) return target;
    sync_directory = std::exchange(directory_unsynced_, false);
    syncing_.assign(unsynced_.begin(), unsynced_.end());
    unsynced_.assign(1, current_);
  }
  for (Segment* segment : syncing_) {
    if (auto synced = segment->file->SyncData(); !synced) return failure_.Set(synced.error());
  }
  if (sync_directory) {
    if (auto synced = env_.SyncDirectory(directory_); !synced) return failure_.Set(synced.error());
  }
  syncs_ = target / segment_size_ == synced_ / segment_size_ ? syncs_ + 1 : 1;
  synced_ = target;
  const std::uint64_t filled = target % segment_size_;
  if (spare_ && filled >= segment_size_ / 4 && filled < syncs_ * kSparedBelow) spare_->Make();
  return target;
}

Result<PinnedBytes> LogJournal::Data(Lsn record, Lsn position, std::uint64_t length, bool may_block) {
  const std::uint64_t begin = position.value;
  if (length == 0) return PinnedBytes{};
  const auto none = [&] {
    return Fail(Errc::kCorrupt, "the journal in " + directory_ + " holds no " + std::to_string(length) +
                                    " bytes at position " + std::to_string(begin) +
                                    "; the index and the journal do not belong together");
  };
  const std::uint64_t end = end_.load(std::memory_order_acquire);
  if (begin >= end || length > end - begin || record.value >= begin) return none();
  if (written_.load(std::memory_order_acquire) < begin + length) STRATA_TRY(Flush());
  const SegmentTable::Use segment(table_, begin / segment_size_);
  if (!segment || record.value < segment->FirstRecord()) return none();
  const std::uint64_t readable = ReadableEnd(*segment, written_.load(std::memory_order_acquire));
  if (begin + length > readable || begin + length - segment->base > segment->bytes.size()) return none();
  if (record.value < trusted_from_ && !segment->IsChecked(record.value)) {
    if (!may_block) return Fail(Errc::kWouldBlock);
    STRATA_TRY(Check(*segment, record.value, begin, begin + length));
  }
  if (!Touch(*segment, begin - segment->base, length)) return PinnedBytes{.bytes = {}, .pin = {}, .unmapped = true};
  return PinnedBytes{.bytes = segment->bytes.subspan(begin - segment->base, length), .pin = segment->mapping};
}

Result<void> LogJournal::Copy(Lsn position, MutableByteSpan out, bool may_block) {
  const SegmentTable::Use segment(table_, position.value / segment_size_);
  if (!segment)
    return Fail(Errc::kCorrupt,
                "the journal in " + directory_ + " holds nothing at position " + std::to_string(position.value));
  const std::uint64_t offset = position.value - segment->base;
  STRATA_ASSIGN(const std::size_t got,
                may_block ? segment->file->ReadAt(offset, out) : segment->file->ReadCached(offset, out));
  if (got != out.size()) return Fail(Errc::kIo, segment->path + " is shorter than it was");
  return {};
}

Result<void> LogJournal::Check(Segment& segment, std::uint64_t record, std::uint64_t begin, std::uint64_t end) const {
  static thread_local Window window;
  window.Forget();
  const std::uint64_t limit = ReadableEnd(segment, written_.load(std::memory_order_acquire)) - segment.base;
  STRATA_ASSIGN(const auto found, ReadRecord(window, segment, record, limit, salt_));
  const std::uint64_t payload = record + kFrameBytes + (found ? found->frame.head_size : 0);
  if (!found || begin < payload || end > payload + found->frame.payload_size) {
    return Fail(Errc::kCorrupt, segment.path + ": the record with file data at journal position " +
                                    std::to_string(record) + " (byte " + std::to_string(record - segment.base) +
                                    " of the file) does not check; restore the file from a copy");
  }
  segment.SetChecked(record, segment_size_);
  return {};
}

Result<void> LogJournal::Retire(Lsn lsn) {
  if (!committer_) return Fail(Errc::kReadOnly, "giving up segments of a journal that is open for reading");
  const MutexLock one(retire_mutex_);
  // A segment is looked at without a Use by who commits; what is durable is not synced again.
  if (lsn.value > committer_->durable()) return Fail(Errc::kInvalid, "giving up journal segments that are not durable");
  while (true) {
    const std::uint64_t index = table_.first_index();
    Segment* const first = table_.Find(index);
    if (table_.Find(index + 1) == nullptr || (index + 1) * segment_size_ > lsn.value) break;
    STRATA_TRY(env_.Remove(first->path));
    disk_bytes_.fetch_sub(first->allocated, std::memory_order_relaxed);
    mapped_.fetch_sub(static_cast<std::int64_t>(first->Release()), std::memory_order_relaxed);
    const MutexLock commit_lock(commit_mutex_);
    table_.RetireFirst();
    const MutexLock walk_lock(walk_mutex_);
    window_.Forget();  // they know the file by where it lay in memory
    heads_.Forget();
    // Each by itself: if the power goes, no segment is there again without those behind it.
    STRATA_TRY(env_.SyncDirectory(directory_));
  }
  return {};
}

bool LogJournal::Touch(const Segment& segment, std::uint64_t offset, std::uint64_t length) {
  if (length <= kCopied && mapped_.load(std::memory_order_relaxed) >= mapped_limit_ && !segment.Touched(offset, length))
    return false;
  auto blocks = static_cast<std::int64_t>(segment.Touch(offset, length));
  if (blocks == 0) return true;
  if (mapped_.load(std::memory_order_relaxed) + blocks > mapped_limit_) {
    ReleasePages();
    // That may have taken the note of what is read now.
    blocks += static_cast<std::int64_t>(segment.Touch(offset, length));
  }
  if (mapped_.fetch_add(blocks, std::memory_order_relaxed) + blocks >= look_at_.load(std::memory_order_relaxed))
    CountMapped();
  if (segment.listed.load(std::memory_order_relaxed) || segment.listed.exchange(true)) return true;
  const MutexLock lock(touched_mutex_);
  touched_.push_back(&segment);
  return true;
}

void LogJournal::CountMapped() {
  const auto now = static_cast<std::int64_t>(ResidentFileBytes() / kMappedBlock);
  std::int64_t counted = mapped_.load(std::memory_order_relaxed);
  const std::int64_t grown = now - mapped_before_.load(std::memory_order_relaxed);
  while (grown > counted && !mapped_.compare_exchange_weak(counted, grown, std::memory_order_relaxed)) {
  }
  const std::int64_t left = std::max<std::int64_t>(mapped_limit_ - std::max(grown, counted), 0);
  look_at_.store(std::max(grown, counted) + std::max<std::int64_t>(left / kLargestTouch, 1), std::memory_order_relaxed);
}

void LogJournal::ReleasePages() {
  const MutexLock lock(touched_mutex_);
  for (const Segment* segment : touched_) {
    segment->listed.store(false);  // first: what is touched from here on lists it again
    const SegmentTable::Use use(table_, segment->index);
    if (use) (void)segment->Release();
  }
  touched_.clear();
  mapped_before_.store(static_cast<std::int64_t>(ResidentFileBytes() / kMappedBlock), std::memory_order_relaxed);
  mapped_.store(0, std::memory_order_relaxed);
  look_at_.store(mapped_limit_ / kLargestTouch, std::memory_order_relaxed);
}

Result<std::optional<RecordView>> LogJournal::Walk(Lsn from, RecordPart part) {
  std::uint64_t written = written_.load(std::memory_order_acquire);
  std::uint64_t position = std::max(from.value, table_.first_index() * segment_size_);
  while (true) {
    const SegmentTable::Use segment(table_, position / segment_size_);
    if (segment) position = std::max(position, segment->FirstRecord());
    if (position >= written) {
      // Only now is it worth a write to see what is still buffered.
      STRATA_TRY(Flush());
      written = written_.load(std::memory_order_acquire);
      if (position >= written) return std::nullopt;
      continue;
    }
    if (!segment) return std::nullopt;
    if (position >= segment->end.load(std::memory_order_acquire)) {
      position = segment->base + segment_size_;
      continue;
    }
    const std::uint64_t end = ReadableEnd(*segment, written);
    const MutexLock lock(walk_mutex_);
    Window& window = part == RecordPart::kHead ? heads_ : window_;
    STRATA_ASSIGN(const auto found, ReadRecord(window, *segment, position, end - segment->base, salt_, part));
    if (!found) {
      return Fail(Errc::kCorrupt, segment->path + ": there is no whole record at journal position " +
                                      std::to_string(position) + " (byte " + std::to_string(position - segment->base) +
                                      " of the file); restore the file from a copy");
    }
    const Frame& frame = found->frame;
    return RecordView{.begin = Lsn(position),
                      .end = Lsn(position + frame.RecordBytes()),
                      .payload_position = Lsn(position + kFrameBytes + frame.head_size),
                      .payload_size = frame.payload_size,
                      .head = found->bytes.subspan(kFrameBytes, frame.head_size),
                      .payload = part == RecordPart::kHead
                                     ? ByteSpan{}
                                     : found->bytes.subspan(kFrameBytes + frame.head_size, frame.payload_size),
                      .check = frame.check,
                      .pin = window.pin()};
  }
}

Result<Recovered> MakeNew(Env& env, const std::string& directory, const JournalOptions& options) {
  if (options.segment_size < kMinSegmentSize || options.segment_size > kMaxSegmentSize ||
      options.segment_size % kMinSegmentSize != 0) {
    return Fail(Errc::kInvalid, "a journal segment size of " + std::to_string(options.segment_size) +
                                    "; it must be a multiple of 4096 up to 4 GiB");
  }
  SegmentHeader header{
      .volume_id = options.volume_id, .segment_size = options.segment_size, .durable = kSegmentHeaderBytes};
  env.Random(std::as_writable_bytes(std::span(&header.salt, 1)));
  STRATA_ASSIGN(auto segment, CreateSegment(env, directory, header, kSegmentHeaderBytes));
  STRATA_TRY(segment->file->SyncData());
  STRATA_TRY(env.SyncDirectory(directory));
  STRATA_TRY(env.SyncDirectory(ParentOf(directory)));
  Recovered made;
  made.salt = header.salt;
  made.segment_size = header.segment_size;
  made.end = segment->FirstRecord();
  made.segments.push_back(std::move(segment));
  return made;
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::Open(Env& env, const std::string& directory, const JournalOptions& options) {
  std::unique_ptr<File> lock;
  if (!options.read_only) {
    STRATA_TRY(env.CreateDirectory(directory));
    STRATA_ASSIGN(lock, env.Open(directory + "/lock", OpenMode::kCreate));
    STRATA_TRY(lock->Lock());
    (void)env.Remove(directory + '/' + std::string(kSpareName));  // of a process that was killed
  }
  STRATA_ASSIGN(std::optional<Recovered> found, Recover(env, directory, options));
  if (!found) {
    if (options.read_only) return Fail(Errc::kNotFound, directory + " holds no journal");
    STRATA_ASSIGN(found, MakeNew(env, directory, options));
  }
  return std::make_unique<LogJournal>(env, directory, options, std::move(lock), std::move(*found));
}

Result<void> Journal::SyncAndWait(Lsn lsn) {
  struct {
    Mutex mutex;
    CondVar met;
    std::optional<Result<void>> outcome STRATA_GUARDED_BY(mutex);
  } wait;
  Sync(lsn, [&wait](Result<void> result) {
    const MutexLock lock(wait.mutex);
    wait.outcome = std::move(result);
    wait.met.NotifyOne();  // under the lock: `wait` ends with the wait
  });
  const MutexLock lock(wait.mutex);
  while (!wait.outcome) wait.met.Wait(wait.mutex);
  return *wait.outcome;
}

}  // namespace strata::journal
