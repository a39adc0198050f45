// How LogJournal gives up segments.
#include <array>

#include "journal/log_journal.h"

namespace strata::journal {

Result<void> LogJournal::Retire(Lsn lsn) {
  if (!committer_) return Fail(Errc::kReadOnly, "giving up segments of a journal that is open for reading");
  const MutexLock one(retire_mutex_);
  if (lsn.value > committer_->durable()) return Fail(Errc::kInvalid, "giving up journal segments that are not durable");
  while (true) {
    const std::uint64_t index = table_.first_index();
    Segment* const first = table_.Find(index);
    if (table_.Find(index + 1) == nullptr || (index + 1) * segment_size_ > lsn.value) break;
    LetGo(*first, true);  // before: what is kept may be written to at once
    // Each by itself, durably: if the power goes, no segment is there again without those behind it.
    STRATA_TRY(Keep(first->path, *first));
  }
  return {};
}

Result<void> LogJournal::GiveUp(std::uint64_t index) {
  if (!committer_) return Fail(Errc::kReadOnly, "giving up a segment of a journal that is open for reading");
  const MutexLock one(retire_mutex_);
  Segment* const segment = table_.Find(index);
  if (segment == nullptr || segment->retired.load() || table_.Find(index + 1) == nullptr) {
    return Fail(Errc::kInvalid, "the journal holds no complete segment " + std::to_string(index) + " to be given up");
  }
  // The next one's header tells where this one's records end.
  if (committer_->durable() < table_.Find(index + 1)->FirstRecord()) {
    return Fail(Errc::kInvalid, "giving up a journal segment that is not durable");
  }
  STRATA_ASSIGN(const SegmentHeader header, StubOf(*segment));
  const std::string fresh = directory_ + '/' + std::string(kStubName);
  {
    STRATA_ASSIGN(const std::unique_ptr<File> file, env_.Open(fresh, OpenMode::kCreate));
    const auto bytes = EncodeSegmentHeader(header);
    const ByteSpan pieces[] = {bytes};
    STRATA_TRY(file->Truncate(0));
    STRATA_TRY(file->WriteAt(0, pieces));
    STRATA_TRY(file->SyncData());
  }
  const auto exchanged = env_.Exchange(fresh, segment->path);
  if (!exchanged && exchanged.error().code() != Errc::kNotSupported) return exchanged;
  if (!exchanged) STRATA_TRY(env_.Rename(fresh, segment->path));
  LetGo(*segment, false);
  STRATA_TRY(env_.SyncDirectory(directory_));  // before the file that bore the name is written to
  if (exchanged) (void)Keep(fresh, *segment);  // what stays is removed at the next start
  segment->allocated = kSegmentHeaderBytes;
  disk_bytes_.fetch_add(segment->allocated, std::memory_order_relaxed);
  return {};
}

Result<SegmentHeader> LogJournal::StubOf(const Segment& segment) const {
  const auto read = [this](const Segment& of) -> Result<SegmentHeader> {
    STRATA_ASSIGN(const auto file, env_.Open(of.path, OpenMode::kRead));
    std::array<std::byte, kSegmentHeaderBytes> bytes{};
    STRATA_ASSIGN(const std::size_t got, file->ReadAt(0, bytes));
    SegmentHeader header;
    if (DecodeSegmentHeader(ByteSpan(bytes).first(got), header) != HeaderState::kValid || header.index != of.index) {
      return Fail(Errc::kCorrupt, of.path + " does not begin with its header any more; restore the file from a copy");
    }
    return header;
  };
  STRATA_ASSIGN(SegmentHeader stub, read(segment));
  STRATA_ASSIGN(const SegmentHeader next, read(*table_.Find(segment.index + 1)));
  stub.given_up = true;
  stub.own_salt = false;
  stub.durable = next.previous_end;
  stub.salt = next.previous_check;
  return stub;
}

Result<void> LogJournal::Keep(const std::string& path, const Segment& segment) {
  if (segment.allocated < segment_size_ / 4 * 3 || missing_reserve() != 0) {
    STRATA_TRY(env_.Remove(path));
    return env_.SyncDirectory(directory_);
  }
  return used_->Put(path, segment.mappings);
}

void LogJournal::LetGo(Segment& segment, bool first) {
  disk_bytes_.fetch_sub(segment.allocated, std::memory_order_relaxed);
  complete_bytes_.fetch_sub(RecordBytes(segment), std::memory_order_relaxed);
  if (first) {
    table_.RetireFirst();
  } else {
    table_.GiveUp(segment);
  }
}

void LogJournal::NoteClosed(const Segment&, const OpenSegment& open) {
  mapped_.fetch_sub(static_cast<std::int64_t>(open.Release()), std::memory_order_relaxed);
}

}  // namespace strata::journal
