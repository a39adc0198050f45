#include "journal/verify.h"

#include <algorithm>
#include <array>
#include <utility>

#include "journal/segment.h"

namespace strata::journal {
namespace {

struct Found {
  Segment segment;
  std::uint64_t size = 0;
  HeaderState state = HeaderState::kInvalid;
  SegmentHeader header;
};

class Verifier {
 public:
  Verifier(Env& env, const std::string& directory, std::uint64_t volume_id, const TakeRecord& take,
           const std::function<void(double)>& progress)
      : env_(env), directory_(directory), volume_id_(volume_id), take_(take), progress_(progress) {}

  Result<VerifiedJournal> Run() {
    STRATA_TRY(FindSegments());
    for (std::size_t i = 0; i < found_.size(); ++i) {
      CheckHeader(i);
      if (segment_size_ == 0) continue;
      at_ = found_[i]->segment.FirstRecord();
      if (i == 0) result_.begin = Lsn(at_);
      if (IsStub(*found_[i])) {
        at_ = found_[i]->header.durable;
        last_check_ = found_[i]->header.salt;
        ++result_.given_up;
      } else {
        if (found_[i]->state == HeaderState::kValid) {
          STRATA_ASSIGN(file_, OpenBesideWriter(env_, found_[i]->segment));
        } else {
          STRATA_ASSIGN(file_, env_.Open(found_[i]->segment.path, OpenMode::kRead));
        }
        WalkSegment(*found_[i]);
      }
    }
    Conclude();
    return std::move(result_);
  }

 private:
  static bool IsStub(const Found& found) { return found.state == HeaderState::kValid && found.header.given_up; }

  Result<void> FindSegments() {
    STRATA_ASSIGN(const std::vector<std::string> names, env_.ListDirectory(directory_));
    std::vector<std::uint64_t> indexes;
    for (const std::string& name : names) {
      if (const auto index = ParseSegmentName(name)) indexes.push_back(*index);
    }
    if (indexes.empty()) return Fail(Errc::kNotFound, directory_ + " holds no journal");
    std::ranges::sort(indexes);
    for (const std::uint64_t index : indexes) {
      auto found = std::make_unique<Found>();
      found->segment.index = index;
      found->segment.path = directory_ + '/' + SegmentName(index);
      // One at a time: there may be more segments than descriptors.
      STRATA_ASSIGN(const auto file, env_.Open(found->segment.path, OpenMode::kRead));
      STRATA_ASSIGN(found->size, file->Size());
      std::array<std::byte, kSegmentHeaderBytes> bytes{};
      const auto got = file->ReadAt(0, bytes);
      found->state = got ? DecodeSegmentHeader(ByteSpan(bytes).first(*got), found->header) : HeaderState::kInvalid;
      if (found->state == HeaderState::kNewer) {
        return Fail(Errc::kNotSupported, found->segment.path + " is of a newer version of Strata; use that version");
      }
      all_bytes_ += found->size;
      result_.files.push_back(found->segment.path);
      // The first good header says what the others must say too.
      if (segment_size_ == 0 && found->state == HeaderState::kValid && found->header.volume_id == volume_id_ &&
          found->header.index == index && !found->header.given_up) {
        segment_size_ = found->header.segment_size;
        salt_ = found->header.salt;
      }
      found_.push_back(std::move(found));
    }
    result_.segments = found_.size();
    result_.segment_size = segment_size_;
    for (const auto& found : found_) {
      found->segment.base = found->segment.index * segment_size_;
      found->segment.salt = found->header.FrameSalt();
      if (segment_size_ != 0) found->size = std::min(found->size, segment_size_);
    }
    return {};
  }

  void CheckHeader(std::size_t i) {
    Found& found = *found_[i];
    const SegmentHeader& header = found.header;
    const std::uint64_t base = found.segment.base;
    const bool follows = i > 0 && found.segment.index == found_[i - 1]->segment.index + 1;
    if (i > 0 && !follows) {
      const std::uint64_t missing = found.segment.index - found_[i - 1]->segment.index - 1;
      Fault(
          JournalFault::Kind::kMissing, directory_ + '/' + SegmentName(found_[i - 1]->segment.index + 1), at_, base,
          missing == 1 ? "the segment is missing" : std::to_string(missing) + " segments from this one on are missing");
    }
    const char* wrong = nullptr;
    if (found.state != HeaderState::kValid) {
      wrong = "does not begin with a journal segment's header";
    } else if (header.volume_id != volume_id_) {
      wrong = "belongs to another volume";
    } else if (header.index != found.segment.index) {
      wrong = "bears the name of another segment than it is";
    } else if ((!header.given_up && header.salt != salt_) || header.segment_size != segment_size_) {
      wrong = "belongs to another journal of this volume";
    } else if (header.given_up &&
               (header.durable < base + kSegmentHeaderBytes || header.durable > base + segment_size_)) {
      wrong = "was given up and does not say where its records ended";
    }
    if (wrong != nullptr) {
      found.state = HeaderState::kInvalid;
      found.segment.salt = salt_;
      found.segment.other_salt = SegmentHeader::OwnSalt(salt_, found.segment.index);
      return Fault(JournalFault::Kind::kHeader, found.segment.path, i == 0 ? base : at_, base + kSegmentHeaderBytes,
                   wrong);
    }
    ++result_.headers;
    promised_ = std::max(promised_, header.Promised());
    if (!follows) return;
    if (header.previous_end > at_) {
      Fault(JournalFault::Kind::kRecord, found_[i - 1]->segment.path, at_, header.previous_end,
            "records are missing at the end of the segment");
    } else if (header.previous_end < at_ || header.previous_check != last_check_) {
      Fault(JournalFault::Kind::kChain, found.segment.path, at_, base + kSegmentHeaderBytes,
            "does not go on where the segment before ends");
    }
  }

  void WalkSegment(const Found& found) {
    const Segment& segment = found.segment;
    while (true) {
      auto read = ReadRecord(window_, *file_, segment, at_, found.size);
      if (read && *read) {
        Take(**read);
        continue;
      }
      const std::uint64_t next = Resume(found, at_ - segment.base + (read ? 0 : kScanBytes));
      if (next == 0) return;
      Fault(JournalFault::Kind::kRecord, segment.path, at_, next, "there is no whole record");
      at_ = next;
    }
  }

  void Take(const FoundRecord& record) {
    const Frame& frame = record.frame;
    promised_ = std::max(promised_, frame.durable);
    last_check_ = frame.check;
    const std::uint64_t begin = at_;
    at_ += frame.RecordBytes();
    content_end_ = at_;
    if (stops_.empty()) {
      ++result_.records;
      result_.record_bytes += frame.RecordBytes();
    } else {
      ++result_.records_behind;
    }
    take_({.begin = Lsn(begin),
           .end = Lsn(at_),
           .payload_position = Lsn(begin + kFrameBytes + frame.head_size),
           .payload_size = frame.payload_size,
           .head = record.bytes.subspan(kFrameBytes, frame.head_size),
           .payload = record.bytes.subspan(kFrameBytes + frame.head_size, frame.payload_size),
           .check = frame.check,
           .pin = window_.pin()},
          !stops_.empty());
    Read(frame.RecordBytes());
  }

  // The position of the next whole record of the segment from byte `offset` of its file on; 0 for none.
  std::uint64_t Resume(const Found& found, std::uint64_t offset) {
    Window window;
    while (offset + kFrameBytes <= found.size) {
      const auto bytes = window.Read(*file_, found.segment.base, offset, kScanBytes, found.size);
      if (!bytes || bytes->size() < kFrameBytes) {
        if (bytes) break;
        offset += kScanBytes;  // a bad place of the disk
        continue;
      }
      const auto content =
          std::ranges::find_if(bytes->rbegin(), bytes->rend(), [](std::byte b) { return b != std::byte{0}; });
      const auto content_bytes = static_cast<std::uint64_t>(bytes->rend() - content);
      // Of what was another segment before, most is of that time.
      if (content_bytes > 0 && !found.header.own_salt)
        content_end_ = std::max(content_end_, found.segment.base + offset + content_bytes);
      std::size_t within = 0;
      for (; within + kFrameBytes <= bytes->size(); within += 8) {
        const ByteSpan here = bytes->subspan(within);
        const auto frame = FrameAt(found.segment, here, found.segment.base + offset + within);
        if (!frame) continue;
        promised_ = std::max(promised_, frame->durable);
        const auto whole = ReadRecord(window_, *file_, found.segment, found.segment.base + offset + within, found.size);
        if (whole && *whole) return found.segment.base + offset + within;
      }
      offset += within;
      Read(within);
    }
    return 0;
  }

  void Fault(JournalFault::Kind kind, const std::string& file, std::uint64_t position, std::uint64_t until,
             std::string what) {
    stops_.push_back({kind, file, Lsn(position), Lsn(std::max(position, until)), std::move(what)});
  }

  void Conclude() {
    result_.promised = Lsn(promised_);
    if (stops_.empty() && promised_ > at_) {
      Fault(JournalFault::Kind::kRecord, found_.back()->segment.path, at_, promised_, "records are missing at the end");
    }
    result_.end = stops_.empty() ? Lsn(at_) : stops_.front().position;
    // A journal whose very first header does not check has told us nothing.
    const bool first = !stops_.empty() && stops_.front().kind == JournalFault::Kind::kHeader && result_.records == 0;
    if (!stops_.empty() && !first && stops_.front().position >= result_.promised) {
      result_.tail_bytes = std::max(content_end_, at_) - result_.end.value;
      result_.records_behind = 0;
      return;
    }
    for (JournalFault& stop : stops_) {
      if (first || stop.position < result_.promised) result_.faults.push_back(std::move(stop));
    }
    if (result_.faults.empty() && content_end_ > at_) result_.tail_bytes = content_end_ - at_;
    if (progress_) progress_(1);
  }

  void Read(std::uint64_t bytes) {
    read_bytes_ += bytes;
    if (progress_ && all_bytes_ > 0)
      progress_(std::min(1.0, static_cast<double>(read_bytes_) / static_cast<double>(all_bytes_)));
  }

  Env& env_;
  const std::string& directory_;
  const std::uint64_t volume_id_;
  const TakeRecord& take_;
  const std::function<void(double)>& progress_;
  std::vector<std::unique_ptr<Found>> found_;
  std::unique_ptr<File> file_;  // of the segment that is being read
  VerifiedJournal result_;
  std::vector<JournalFault> stops_;  // all places where no record lies; which of them are faults is known at the end
  std::uint64_t segment_size_ = 0;   // 0: no header was good
  std::uint32_t salt_ = 0;
  std::uint64_t at_ = 0;
  std::uint32_t last_check_ = 0;
  std::uint64_t promised_ = 0;
  std::uint64_t content_end_ = 0;  // where anything but zeros was last seen
  std::uint64_t all_bytes_ = 0, read_bytes_ = 0;
  Window window_;
};

}  // namespace

Result<VerifiedJournal> VerifyJournal(Env& env, const std::string& directory, std::uint64_t volume_id,
                                      const TakeRecord& take, const std::function<void(double)>& progress) {
  return Verifier(env, directory, volume_id, take, progress).Run();
}

}  // namespace strata::journal
