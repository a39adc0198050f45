#include "journal/recovery.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace strata::journal {
namespace {

// A segment file as it was found.
struct Candidate {
  std::unique_ptr<Segment> segment;
  std::uint64_t size = 0;  // of the file: what may be touched
  HeaderState state = HeaderState::kInvalid;
  SegmentHeader header;
};

std::size_t NonZeroPrefix(ByteSpan bytes) {
  if (bytes.empty() ||
      (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0)) {
    return 0;
  }
  std::size_t size = bytes.size();
  while (bytes[size - 1] == std::byte{0}) --size;
  return size;
}

class Recovery {
 public:
  Recovery(Env& env, const std::string& directory, const JournalOptions& options)
      : env_(env), directory_(directory), options_(options) {}

  Result<std::optional<Recovered>> Run() {
    STRATA_TRY(FindCandidates());
    if (candidates_.empty()) return std::nullopt;
    STRATA_ASSIGN(const bool blank, CheckFirst());
    if (blank) return std::nullopt;
    STRATA_TRY(CheckOthers());
    STRATA_TRY(SkipDurable());
    STRATA_TRY(Walk());
    if (!options_.read_only) STRATA_TRY(CutAndSync());
    if (IsStub(last_) && !options_.read_only) STRATA_TRY(GoOnBehindStub());
    return Finish();
  }

 private:
  bool IsStub(std::size_t i) const {
    return candidates_[i].state == HeaderState::kValid && candidates_[i].header.given_up;
  }

  Result<void> FindCandidates() {
    STRATA_ASSIGN(const std::vector<std::string> names, env_.ListDirectory(directory_));
    std::vector<std::uint64_t> indexes;
    for (const std::string& name : names) {
      if (const auto index = ParseSegmentName(name)) indexes.push_back(*index);
    }
    std::ranges::sort(indexes);
    for (const std::uint64_t index : indexes) {
      auto file = env_.Open(directory_ + '/' + SegmentName(index), OpenMode::kRead);
      // A writer beside this reader has retired it meanwhile.
      if (!file && options_.read_only && file.error().code() == Errc::kNotFound) continue;
      if (!file) return Fail(file.error());
      Candidate candidate;
      candidate.segment = std::make_unique<Segment>();
      Segment& segment = *candidate.segment;
      segment.index = index;
      segment.path = directory_ + '/' + SegmentName(index);
      std::array<std::byte, kSegmentHeaderBytes> bytes{};
      STRATA_ASSIGN(const std::size_t got, (*file)->ReadAt(0, bytes));
      STRATA_ASSIGN(candidate.size, (*file)->Size());
      candidate.state = DecodeSegmentHeader(ByteSpan(bytes).first(got), candidate.header);
      if (candidate.state == HeaderState::kNewer) {
        return Fail(Errc::kNotSupported, segment.path + " is of a newer version of Strata; use that version");
      }
      if (candidate.state == HeaderState::kValid && candidate.header.index != index) {
        candidate.state = HeaderState::kInvalid;
      }
      candidates_.push_back(std::move(candidate));
    }
    return {};
  }

  // True: the very first segment was being made when the machine stopped; there is no journal yet.
  Result<bool> CheckFirst() {
    Candidate& first = candidates_.front();
    const std::string& path = first.segment->path;
    if (first.state != HeaderState::kValid) {
      if (candidates_.size() == 1 && first.segment->index == 0) {
        if (first.size == 0) return true;
        const std::uint64_t size = std::min(first.size, kMaxSegmentSize);
        STRATA_ASSIGN(const std::uint64_t end, EndOfContent(0, 0, size));
        if (end == 0) return true;
      }
      return Fail(Errc::kCorrupt,
                  path + " does not begin with a journal segment's header; restore the file from a copy");
    }
    if (first.header.volume_id != options_.volume_id) {
      return Fail(Errc::kCorrupt, path + " belongs to another volume; put the workspace's own journal back");
    }
    segment_size_ = first.header.segment_size;
    const auto held = std::ranges::find_if(
        candidates_, [](const Candidate& c) { return c.state == HeaderState::kValid && !c.header.given_up; });
    if (held == candidates_.end()) {
      return Fail(Errc::kCorrupt,
                  directory_ + " holds no segment that was not given up; restore its files from a copy");
    }
    salt_ = held->header.salt;
    return false;
  }

  Result<void> CheckOthers() {
    usable_ = candidates_.size();
    const std::uint64_t first_index = candidates_.front().segment->index;
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      Candidate& c = candidates_[i];
      const SegmentHeader& h = c.header;
      if (c.state == HeaderState::kValid &&
          ((!h.given_up && h.salt != salt_) || h.segment_size != segment_size_ || h.volume_id != options_.volume_id)) {
        c.state = HeaderState::kInvalid;
      }
      if (c.state == HeaderState::kValid) promised_ = std::max(promised_, h.Promised());
      c.segment->base = c.segment->index * segment_size_;
      c.segment->salt = c.state == HeaderState::kValid ? h.FrameSalt() : salt_;
      if (c.state != HeaderState::kValid) c.segment->other_salt = SegmentHeader::OwnSalt(salt_, c.segment->index);
      c.size = std::min(c.size, segment_size_);
      if (c.segment->index != first_index + i ||
          (options_.ends_at && i > 0 && c.segment->base >= options_.ends_at->value)) {
        usable_ = std::min(usable_, i);
      }
    }
    if (options_.ends_at) promised_ = std::min(promised_, options_.ends_at->value);
    return {};
  }

  // The record that the caller knows, if it is there as known.
  Result<std::optional<FoundRecord>> FindKnown() {
    if (!options_.known || (options_.ends_at && options_.known->begin >= *options_.ends_at)) return std::nullopt;
    const std::uint64_t first_index = candidates_.front().segment->index;
    const std::uint64_t index = options_.known->begin.value / segment_size_;
    if (index < first_index || index - first_index >= usable_) return std::nullopt;
    const Candidate& c = candidates_[index - first_index];
    if (c.state != HeaderState::kValid || options_.known->begin.value < c.segment->FirstRecord()) return std::nullopt;
    STRATA_ASSIGN(File* const file, FileOf(index - first_index));
    STRATA_ASSIGN(auto record, ReadRecord(window_, *file, *c.segment, options_.known->begin.value, c.size));
    if (record && record->frame.check != options_.known->check) record.reset();
    return record;
  }

  // Complete segments that are known to be durable are not read: the next one's header says where their records end.
  // Nor is what lies before a record that is known to be durable.
  Result<void> SkipDurable() {
    const std::uint64_t first_index = candidates_.front().segment->index;
    STRATA_ASSIGN(const std::optional<FoundRecord> known, FindKnown());
    const std::uint64_t known_end = known ? options_.known->begin.value + known->frame.RecordBytes() : 0;
    const std::uint64_t durable = std::max(promised_, known_end);
    const std::uint64_t wanted = durable == 0 ? 0 : (durable - 1) / segment_size_;
    const std::size_t start = wanted <= first_index ? 0 : std::min<std::size_t>(wanted - first_index, usable_ - 1);
    for (std::size_t i = 1; i <= start; ++i) {
      const Candidate& before = candidates_[i - 1];
      const Candidate& c = candidates_[i];
      const std::uint64_t end = c.header.previous_end;
      if (c.state != HeaderState::kValid) return Corrupt(i, c.segment->base);
      if (!EndsWithin(before, end) ||
          (IsStub(i - 1) && !NextFollows(i - 1, before.header.durable, before.header.salt))) {
        return Corrupt(i, c.segment->base);
      }
      before.segment->end.store(end, std::memory_order_relaxed);
    }
    last_ = start;
    end_ = candidates_[start].segment->FirstRecord();
    last_check_ = candidates_[start].header.previous_check;
    if (known && known_end > end_) {
      end_ = known_end;
      last_check_ = known->frame.check;
    }
    return {};
  }

  Result<void> Walk() {
    while (true) {
      STRATA_TRY(ScanSegment());
      if (NextFollows(last_, end_, last_check_)) {
        candidates_[last_].segment->end.store(end_, std::memory_order_relaxed);
        end_ = candidates_[++last_].segment->FirstRecord();
        continue;
      }
      if (options_.ends_at) return {};
      STRATA_ASSIGN(const std::uint64_t promise, LatestPromise());
      if (promise <= end_) return {};
      // A process that appends meanwhile may have completed the record after it was looked at, and said so in the next.
      const std::uint64_t before = end_;
      if (options_.read_only) STRATA_TRY(ScanSegment());
      if (end_ == before) return Corrupt(last_, end_);
    }
  }

  bool EndsWithin(const Candidate& c, std::uint64_t end) const {
    return end >= c.segment->FirstRecord() && end - c.segment->base <= (c.header.given_up ? segment_size_ : c.size);
  }

  Result<void> ScanSegment() {
    const Candidate& c = candidates_[last_];
    if (IsStub(last_)) {
      end_ = c.header.durable;
      last_check_ = c.header.salt;
      return EndsWithin(c, end_) ? Result<void>{} : Corrupt(last_, c.segment->base);
    }
    window_.Forget();
    STRATA_ASSIGN(File* const file, FileOf(last_));
    while (!options_.ends_at || end_ < options_.ends_at->value) {
      STRATA_ASSIGN(const auto record, ReadRecord(window_, *file, *c.segment, end_, c.size));
      if (!record) return {};
      end_ += record->frame.RecordBytes();
      last_check_ = record->frame.check;
    }
    return {};
  }

  // Whether there is a segment behind, by whose header the records of this one end at `end` with that of `check`.
  bool NextFollows(std::size_t i, std::uint64_t end, std::uint32_t check) const {
    if (i + 1 >= usable_) return false;
    const Candidate& next = candidates_[i + 1];
    return next.state == HeaderState::kValid && next.header.previous_end == end && next.header.previous_check == check;
  }

  // Where the last byte of the segment's file that is not zero ends, from `from` on; `from` where there is none.
  Result<std::uint64_t> EndOfContent(std::size_t i, std::uint64_t from, std::uint64_t size) {
    STRATA_ASSIGN(File* const file, FileOf(i));
    std::uint64_t end = from;
    for (std::uint64_t at = from; at < size;) {
      STRATA_ASSIGN(const ByteSpan bytes, window_.Read(*file, candidates_[i].segment->base, at, kScanBytes, size));
      if (bytes.empty()) break;
      if (const std::size_t content = NonZeroPrefix(bytes); content > 0) end = at + content;
      at += bytes.size();
    }
    return end;
  }

  // The highest durable position that anything from `end_` on speaks of.
  Result<std::uint64_t> LatestPromise() {
    std::uint64_t promise = promised_;
    for (std::size_t i = last_; i < candidates_.size(); ++i) {
      const Candidate& c = candidates_[i];
      std::uint64_t at = i == last_ ? end_ - c.segment->base : 0;
      STRATA_ASSIGN(File* const file, FileOf(i));
      while (at + kFrameBytes <= c.size) {
        STRATA_ASSIGN(const ByteSpan bytes, window_.Read(*file, c.segment->base, at, kScanBytes, c.size));
        if (bytes.size() < kFrameBytes) break;
        // A frame that this piece cuts is seen whole in the next.
        std::size_t within = 0;
        for (; within + kFrameBytes <= bytes.size(); within += 8) {
          const auto frame = FrameAt(*c.segment, bytes.subspan(within), c.segment->base + at + within);
          if (!frame) continue;
          promise = std::max(promise, frame->durable);
          if (i == last_) frames_end_ = std::max(frames_end_, at + within + frame->RecordBytes());
        }
        at += within;
      }
    }
    return promise;
  }

  Result<void> CutAndSync() {
    if (!IsStub(last_)) STRATA_TRY(CutTail());
    // What a killed process wrote may be in the page cache alone; from now on it counts as durable.
    for (std::size_t i = 0; i <= last_; ++i) {
      if (candidates_[i].segment->base + segment_size_ < promised_) continue;
      STRATA_ASSIGN(File* const file, FileOf(i));
      STRATA_TRY(file->SyncData());
    }
    cut_segments_ = candidates_.size() - last_ - 1;
    while (candidates_.size() > last_ + 1) {
      STRATA_TRY(env_.Remove(candidates_.back().segment->path));
      candidates_.pop_back();
    }
    return env_.SyncDirectory(directory_);
  }

  Result<void> CutTail() {
    const Segment& last = *candidates_[last_].segment;
    STRATA_ASSIGN(File* const file, FileOf(last_));
    const std::uint64_t from = end_ - last.base;
    const std::uint64_t size = candidates_[last_].size;
    if (candidates_[last_].header.own_salt) return CutUsed(*file, from);
    STRATA_ASSIGN(const std::uint64_t content_end, EndOfContent(last_, from, size));
    const std::uint64_t stale = content_end - from;
    cut_bytes_ = stale;
    static constexpr std::array<std::byte, 64 << 10> kZeros{};
    for (std::uint64_t done = 0; done < stale; done += kZeros.size()) {
      const ByteSpan pieces[] = {ByteSpan(kZeros).first(std::min<std::uint64_t>(kZeros.size(), stale - done))};
      STRATA_TRY(file->WriteAt(from + done, pieces));
    }
    return {};
  }

  // What lies behind the end of a file that was used before is mostly of that time, and needs no cutting.
  Result<void> CutUsed(File& file, std::uint64_t from) {
    if (frames_end_ <= from && !options_.ends_at) return {};
    cut_bytes_ = std::max(frames_end_, from) - from;
    candidates_[last_].size = from;
    return file.Truncate(from);
  }

  // What was behind the stub has been cut.
  Result<void> GoOnBehindStub() {
    const SegmentHeader header{.salt = salt_,
                               .volume_id = options_.volume_id,
                               .index = candidates_[last_].header.index + 1,
                               .segment_size = segment_size_,
                               .previous_end = end_,
                               .previous_check = last_check_,
                               .durable = end_};
    Candidate next;
    next.state = HeaderState::kValid;
    next.header = header;
    STRATA_ASSIGN(next.segment, CreateSegment(env_, directory_, header, kSegmentHeaderBytes));
    STRATA_TRY(next.segment->open.load()->file->SyncData());
    STRATA_TRY(env_.SyncDirectory(directory_));
    candidates_[last_++].segment->end.store(end_, std::memory_order_relaxed);
    end_ = next.segment->FirstRecord();
    next.size = next.segment->allocated;
    candidates_.push_back(std::move(next));
    return {};
  }

  Result<void> OpenLast(Segment& segment) {
    auto open = std::make_unique<OpenSegment>();
    if (options_.read_only) {
      STRATA_ASSIGN(open->file, OpenBesideWriter(env_, segment));
    } else {
      STRATA_ASSIGN(open->file, env_.Open(segment.path, OpenMode::kReadWrite));
    }
    STRATA_TRY(open->MapFile(segment_size_));
    segment.written = !options_.read_only;
    segment.open = open.release();
    return {};
  }

  Result<std::optional<Recovered>> Finish() {
    Recovered recovered;
    for (std::size_t i = 0; i <= last_; ++i) {
      Segment& segment = *candidates_[i].segment;
      segment.allocated = candidates_[i].size;
      if (IsStub(i)) {
        segment.given_up = segment.retired = true;
      } else if (i == last_ && segment.open.load() == nullptr) {
        STRATA_TRY(OpenLast(segment));
      }
      recovered.segments.push_back(std::move(candidates_[i].segment));
    }
    recovered.salt = salt_;
    recovered.segment_size = segment_size_;
    recovered.end = end_;
    recovered.last_check = last_check_;
    recovered.cut_bytes = cut_bytes_;
    recovered.cut_segments = cut_segments_;
    return recovered;
  }

  std::unexpected<Status> Corrupt(std::size_t candidate, std::uint64_t position) const {
    const Segment& segment = *candidates_[candidate].segment;
    return Fail(Errc::kCorrupt, segment.path + ": journal position " + std::to_string(position) + " (byte " +
                                    std::to_string(position - segment.base) +
                                    " of the file) was durable and does not check any more; " +
                                    "restore the file from a copy. Nothing was changed");
  }

  // Opened to be read and written, unless for a reader. One at a time: there may be more segments than descriptors.
  Result<File*> FileOf(std::size_t i) {
    if (!file_ || file_of_ != i) {
      file_.reset();
      const Segment& segment = *candidates_[i].segment;
      if (options_.read_only && candidates_[i].state == HeaderState::kValid) {
        STRATA_ASSIGN(file_, OpenBesideWriter(env_, segment));
      } else {
        STRATA_ASSIGN(file_, env_.Open(segment.path, options_.read_only ? OpenMode::kRead : OpenMode::kReadWrite));
      }
      file_of_ = i;
    }
    return file_.get();
  }

  Env& env_;
  const std::string& directory_;
  const JournalOptions& options_;
  std::unique_ptr<File> file_;
  std::size_t file_of_ = 0;
  std::vector<Candidate> candidates_;
  std::size_t usable_ = 0;  // the first candidates, whose indexes have no gap
  std::uint32_t salt_ = 0;
  std::uint64_t segment_size_ = 0;
  std::uint64_t promised_ = 0;  // the highest durable position that a segment header speaks of
  std::size_t last_ = 0;        // the candidate that holds end_
  std::uint64_t end_ = 0;
  std::uint32_t last_check_ = 0;  // Frame::check of the last record before end_
  std::uint64_t frames_end_ = 0;  // of what looks like records behind end_ in that file
  std::uint64_t cut_bytes_ = 0, cut_segments_ = 0;
  Window window_;
};

}  // namespace

Result<std::optional<Recovered>> Recover(Env& env, const std::string& directory, const JournalOptions& options) {
  return Recovery(env, directory, options).Run();
}

}  // namespace strata::journal
