#include "journal/segment.h"

#include <algorithm>
#include <thread>

namespace strata::journal {
namespace {

// A file grows by as much as it holds, within these: a small workspace is small on disk, a busy one seldom grows.
constexpr std::uint64_t kSmallestStep = 1 << 20;
constexpr std::uint64_t kLargestStep = 16 << 20;

Result<void> FillNewSegment(Segment& segment, const SegmentHeader& header, std::uint64_t room) {
  if (segment.allocated < room) STRATA_TRY(GrowSegment(segment, room, header.segment_size));
  const auto bytes = EncodeSegmentHeader(header);
  const ByteSpan pieces[] = {bytes};
  STRATA_TRY(segment.file->WriteAt(0, pieces));
  return segment.MapFile(header.segment_size);
}

}  // namespace

bool IsOutOfSpace(const Status& status) { return status.code() == Errc::kNoSpace || status.code() == Errc::kQuota; }

bool Segment::IsChecked(std::uint64_t record) const {
  const std::uint64_t stretch = (record - base) / kCheckedStretch;
  const std::atomic<std::uint64_t>* bits = checked.load(std::memory_order_acquire);
  return bits != nullptr && (bits[stretch / 64].load(std::memory_order_relaxed) >> (stretch % 64) & 1) != 0;
}

void Segment::SetChecked(std::uint64_t record, std::uint64_t segment_size) {
  std::atomic<std::uint64_t>* bits = checked.load(std::memory_order_acquire);
  if (bits == nullptr) {
    auto made = std::make_unique<std::atomic<std::uint64_t>[]>(segment_size / kCheckedStretch / 64 + 1);
    if (checked.compare_exchange_strong(bits, made.get(), std::memory_order_acq_rel)) bits = made.release();
  }
  const std::uint64_t stretch = (record - base) / kCheckedStretch;
  bits[stretch / 64].fetch_or(std::uint64_t{1} << (stretch % 64), std::memory_order_relaxed);
}

Result<void> Segment::MapFile(std::uint64_t length) {
  STRATA_ASSIGN(mapping, file->Map(length));
  bytes = mapping->bytes();
  touched = std::vector<std::atomic<std::uint64_t>>(length / kMappedBlock / 64 + 1);
  return {};
}

std::uint64_t Segment::Release() const {
  std::uint64_t pages = 0;
  for (std::atomic<std::uint64_t>& word : touched) {
    if (word.load(std::memory_order_relaxed) != 0) pages += std::popcount(word.exchange(0, std::memory_order_relaxed));
  }
  if (pages > 0) mapping->Release();
  return pages;
}

Result<std::optional<FoundRecord>> ReadRecord(Window& window, const Segment& segment, std::uint64_t position,
                                              std::uint64_t limit, std::uint32_t salt, RecordPart part) {
  const std::uint64_t offset = position - segment.base;
  STRATA_ASSIGN(ByteSpan bytes, window.Read(*segment.file, offset, kFrameBytes, limit));
  const std::optional<Frame> frame = DecodeFrame(bytes, position, salt);
  if (!frame || frame->RecordBytes() > limit - offset) return std::nullopt;
  const std::uint64_t wanted = part == RecordPart::kHead ? kFrameBytes + frame->head_size : frame->RecordBytes();
  STRATA_ASSIGN(bytes, window.Read(*segment.file, offset, wanted, limit));
  if (bytes.size() < wanted || !CheckHead(*frame, bytes)) return std::nullopt;
  if (part == RecordPart::kWhole && !CheckPayload(*frame, bytes)) return std::nullopt;
  return FoundRecord{*frame, bytes};
}

Result<std::unique_ptr<Segment>> CreateSegment(Env& env, const std::string& directory, const SegmentHeader& header,
                                               std::uint64_t room, std::unique_ptr<File> spare) {
  auto segment = std::make_unique<Segment>();
  segment->index = header.index;
  segment->base = header.index * header.segment_size;
  segment->path = directory + '/' + SegmentName(header.index);
  if (spare) {
    segment->file = std::move(spare);
    segment->allocated = header.segment_size;
  } else {
    STRATA_ASSIGN(segment->file, env.Open(segment->path, OpenMode::kCreate));
  }
  if (auto filled = FillNewSegment(*segment, header, room); !filled) {
    // If the removal fails too, the file stays without records, and the next attempt takes it over.
    (void)env.Remove(segment->path);
    return Fail(filled.error());
  }
  return segment;
}

Result<void> GrowSegment(Segment& segment, std::uint64_t needed, std::uint64_t segment_size) {
  const std::uint64_t had = segment.allocated;
  const std::uint64_t generous = had + std::clamp(had, segment.index == 0 ? kSmallestStep : kLargestStep, kLargestStep);
  const std::uint64_t wanted = std::min(std::max(needed, generous), segment_size);
  auto grown = segment.file->Allocate(had, wanted - had);
  if (grown) {
    segment.allocated = wanted;
    return {};
  }
  if (!IsOutOfSpace(grown.error()) || wanted == needed) return grown;
  STRATA_TRY(segment.file->Allocate(had, needed - had));
  segment.allocated = needed;
  return {};
}

void SegmentTable::Add(std::unique_ptr<Segment> segment) {
  if (segments_.empty()) {
    base_index_ = segment->index;
    first_index_.store(segment->index, std::memory_order_release);
  }
  const std::size_t place = segments_.size();
  if (generations_.empty() || place == generations_.back()->at.size()) {
    auto wider = std::make_unique<Slots>(std::max<std::size_t>(64, place * 2));
    for (std::size_t i = 0; i < place; ++i) wider->at[i].store(segments_[i].get(), std::memory_order_relaxed);
    slots_.store(wider.get(), std::memory_order_release);
    generations_.push_back(std::move(wider));
  }
  generations_.back()->at[place].store(segment.get(), std::memory_order_release);
  segments_.push_back(std::move(segment));
}

Segment* SegmentTable::Find(std::uint64_t index) const {
  const Slots* slots = slots_.load(std::memory_order_acquire);
  if (slots == nullptr || index < base_index_ || index - base_index_ >= slots->at.size()) return nullptr;
  return slots->at[index - base_index_].load(std::memory_order_acquire);
}

SegmentTable::Use::Use(const SegmentTable& table, std::uint64_t index) : segment_(table.Find(index)) {
  if (segment_ == nullptr) return;
  // Either this sees that it is retired, or RetireFirst sees the user: both are in the one order of all such
  // operations.
  segment_->users.fetch_add(1, std::memory_order_seq_cst);
  if (!segment_->retired.load(std::memory_order_seq_cst)) return;
  segment_->users.fetch_sub(1, std::memory_order_release);
  segment_ = nullptr;
}

void SegmentTable::RetireFirst() {
  Segment& first = *Find(first_index());
  first_index_.fetch_add(1, std::memory_order_seq_cst);  // before: who is refused the segment can see why
  LetGo(first);
}

void SegmentTable::GiveUp(Segment& segment) {
  segment.given_up.store(true, std::memory_order_seq_cst);  // before, as above
  LetGo(segment);
}

void SegmentTable::LetGo(Segment& segment) {
  segment.retired.store(true, std::memory_order_seq_cst);
  // Each use is a few reads long.
  while (segment.users.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
  segment.mapping.reset();
  segment.bytes = {};
  segment.file.reset();
  delete[] segment.checked.exchange(nullptr);
}

}  // namespace strata::journal
