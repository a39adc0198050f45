// What LogJournal reads.
#include <algorithm>

#include "base/log.h"
#include "base/resident.h"
#include "journal/log_journal.h"

namespace strata::journal {

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
  STRATA_ASSIGN(const SegmentTable::Use segment, table_.Get(begin / segment_size_, may_block));
  if (!segment || record.value < segment->FirstRecord()) return none();
  const std::uint64_t readable = ReadableEnd(*segment, written_.load(std::memory_order_acquire));
  if (begin + length > readable || begin + length - segment->base > segment_size_) return none();
  if (record.value < trusted_from_ && !checked_.Has(record.value)) {
    if (!may_block) return Fail(Errc::kWouldBlock);
    STRATA_TRY(Check(segment, record.value, begin, begin + length));
  }
  const OpenSegment& open = segment.open();
  if (mapping_faults.load(std::memory_order_relaxed) != faults_seen_.load(std::memory_order_relaxed)) LookForCutFiles();
  if (begin + length - segment->base > open.size.load(std::memory_order_relaxed)) {
    return Fail(Errc::kIo, segment->path + " is shorter than its records; restore the file from a copy");
  }
  if (!open.mapping || !Touch(*segment, open, begin - segment->base, length)) {
    return PinnedBytes{.bytes = {}, .pin = {}, .unmapped = true};
  }
  return PinnedBytes{.bytes = open.bytes.subspan(begin - segment->base, length), .pin = open.mapping};
}

void LogJournal::LookForCutFiles() {
  faults_seen_.store(mapping_faults.load());
  const std::uint64_t written = written_.load(std::memory_order_acquire);
  table_.VisitOpen([&](const Segment& segment, OpenSegment& open) {
    const std::uint64_t end = std::max(ReadableEnd(segment, written), segment.base) - segment.base;
    const auto size = open.file->Size();
    if (!size || *size >= end || open.size.exchange(*size) == *size) return;
    log::Error("a file of the journal was cut by somebody else: what it held is lost; restore it from a copy path=" +
               segment.path + " size=" + std::to_string(*size) + " records_end=" + std::to_string(end));
  });
}

Result<void> LogJournal::Copy(Lsn position, MutableByteSpan out, bool may_block) {
  STRATA_ASSIGN(const SegmentTable::Use segment, table_.Get(position.value / segment_size_, may_block));
  if (!segment)
    return Fail(Errc::kCorrupt,
                "the journal in " + directory_ + " holds nothing at position " + std::to_string(position.value));
  const std::uint64_t offset = position.value - segment->base;
  STRATA_ASSIGN(const std::size_t got,
                may_block ? segment.open().file->ReadAt(offset, out) : segment.open().file->ReadCached(offset, out));
  if (got != out.size()) return Fail(Errc::kIo, segment->path + " is shorter than it was");
  return {};
}

Result<void> LogJournal::Check(const SegmentTable::Use& use, std::uint64_t record, std::uint64_t begin,
                               std::uint64_t end) {
  static thread_local Window window;
  window.Forget();
  const Segment& segment = *use;
  const std::uint64_t limit = ReadableEnd(segment, written_.load(std::memory_order_acquire)) - segment.base;
  STRATA_ASSIGN(const auto found, ReadRecord(window, *use.open().file, segment, record, limit));
  const std::uint64_t payload = record + kFrameBytes + (found ? found->frame.head_size : 0);
  if (!found || begin < payload || end > payload + found->frame.payload_size) {
    return Fail(Errc::kCorrupt, segment.path + ": the record with file data at journal position " +
                                    std::to_string(record) + " (byte " + std::to_string(record - segment.base) +
                                    " of the file) does not check; restore the file from a copy");
  }
  checked_.Add(record);
  return {};
}

bool LogJournal::Touch(Segment& segment, const OpenSegment& open, std::uint64_t offset, std::uint64_t length) {
  if (length <= kCopied && mapped_.load(std::memory_order_relaxed) >= mapped_limit_ && !open.Touched(offset, length))
    return false;
  auto blocks = static_cast<std::int64_t>(open.Touch(offset, length));
  if (blocks == 0) return true;
  if (mapped_.load(std::memory_order_relaxed) + blocks > mapped_limit_) {
    LetPagesGo();
    // That may have taken the note of what is read now.
    blocks += static_cast<std::int64_t>(open.Touch(offset, length));
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
  if (used_) used_->Age();
  LetPagesGo();
}

void LogJournal::LetPagesGo() {
  const MutexLock lock(touched_mutex_);
  for (Segment* const segment : touched_) {
    segment->listed.store(false);  // first: what is touched from here on lists it again
    if (const SegmentTable::Use use = table_.GetOpen(segment->index)) (void)use.open().Release();
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
    STRATA_ASSIGN(const SegmentTable::Use segment, table_.Get(position / segment_size_));
    if (segment) position = std::max(position, segment->FirstRecord());
    if (position >= written) {
      // Only now is it worth a write to see what is still buffered.
      STRATA_TRY(Flush());
      written = written_.load(std::memory_order_acquire);
      if (position >= written) return std::nullopt;
      continue;
    }
    if (!segment && IsGivenUp(position / segment_size_)) {
      position = (position / segment_size_ + 1) * segment_size_;
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
    STRATA_ASSIGN(const auto found,
                  ReadRecord(window, *segment.open().file, *segment, position, end - segment->base, part));
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

}  // namespace strata::journal
