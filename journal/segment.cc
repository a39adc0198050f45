#include "journal/segment.h"

#include <algorithm>
#include <array>
#include <utility>

namespace strata::journal {
namespace {

// A file grows by as much as it holds, within these: a small workspace is small on disk, a busy one seldom grows.
constexpr std::uint64_t kSmallestStep = 1 << 20;
constexpr std::uint64_t kLargestStep = 16 << 20;
constexpr std::uint64_t kScarceStep = 64 << 10;  // where others need what room there is

Result<void> FillNewSegment(Env& env, Segment& segment, OpenSegment& open, const SegmentHeader& header,
                            std::uint64_t room, bool scarce) {
  if (segment.allocated < room) STRATA_TRY(GrowSegment(env, segment, *open.file, room, header.segment_size, scarce));
  const auto bytes = EncodeSegmentHeader(header);
  const ByteSpan pieces[] = {bytes};
  STRATA_TRY(open.file->WriteAt(0, pieces));
  return open.MapFile(header.segment_size);
}

}  // namespace

Result<void> OpenSegment::MapFile(std::uint64_t length) {
  STRATA_ASSIGN(mapping, file->Map(length));
  bytes = mapping->bytes();
  touched = std::vector<std::atomic<std::uint64_t>>(length / kMappedBlock / 64 + 1);
  return {};
}

std::optional<Frame> FrameAt(const Segment& segment, ByteSpan bytes, std::uint64_t position) {
  auto frame = DecodeFrame(bytes, position, segment.salt);
  if (!frame && segment.other_salt) frame = DecodeFrame(bytes, position, *segment.other_salt);
  return frame;
}

void OpenSegment::CountIn(const std::shared_ptr<std::atomic<std::size_t>>& mappings,
                          const std::shared_ptr<std::atomic<std::size_t>>& more) {
  if (!mapping) return;
  mappings->fetch_add(1, std::memory_order_relaxed);
  more->fetch_add(1, std::memory_order_relaxed);
  const Mapping* const raw = mapping.get();
  mapping = std::shared_ptr<const Mapping>(raw, [held = std::move(mapping), mappings, more](const Mapping*) mutable {
    held.reset();
    mappings->fetch_sub(1, std::memory_order_relaxed);
    more->fetch_sub(1, std::memory_order_release);
  });
}

std::uint64_t OpenSegment::Touch(std::uint64_t offset, std::uint64_t length) const {
  const std::uint64_t first = offset / kMappedBlock, last = (offset + length - 1) / kMappedBlock;
  std::uint64_t fresh = 0;
  for (std::uint64_t word = first / 64; word <= last / 64; ++word) {
    std::uint64_t bits = ~0ULL;
    if (word == first / 64) bits &= ~0ULL << (first % 64);
    if (word == last / 64) bits &= ~0ULL >> (63 - last % 64);
    if ((touched[word].load(std::memory_order_relaxed) & bits) == bits) continue;
    fresh += std::popcount(bits & ~touched[word].fetch_or(bits, std::memory_order_relaxed));
  }
  return fresh;
}

bool OpenSegment::Touched(std::uint64_t offset, std::uint64_t length) const {
  for (std::uint64_t block = offset / kMappedBlock; block <= (offset + length - 1) / kMappedBlock; ++block) {
    if ((touched[block / 64].load(std::memory_order_relaxed) >> (block % 64) & 1) == 0) return false;
  }
  return true;
}

std::uint64_t OpenSegment::Release() const {
  std::uint64_t pages = 0;
  for (std::atomic<std::uint64_t>& word : touched) {
    if (word.load(std::memory_order_relaxed) != 0) pages += std::popcount(word.exchange(0, std::memory_order_relaxed));
  }
  if (pages > 0) mapping->Release();
  return pages;
}

Result<std::optional<FoundRecord>> ReadRecord(Window& window, File& file, const Segment& segment,
                                              std::uint64_t position, std::uint64_t limit, RecordPart part) {
  const std::uint64_t offset = position - segment.base;
  STRATA_ASSIGN(ByteSpan bytes, window.Read(file, segment.base, offset, kFrameBytes, limit));
  const std::optional<Frame> frame = FrameAt(segment, bytes, position);
  if (!frame || frame->RecordBytes() > limit - offset) return std::nullopt;
  const std::uint64_t wanted = part == RecordPart::kHead ? kFrameBytes + frame->head_size : frame->RecordBytes();
  STRATA_ASSIGN(bytes, window.Read(file, segment.base, offset, wanted, limit));
  if (bytes.size() < wanted || !CheckHead(*frame, bytes)) return std::nullopt;
  if (part == RecordPart::kWhole && !CheckPayload(*frame, bytes)) return std::nullopt;
  return FoundRecord{*frame, bytes};
}

Result<std::unique_ptr<File>> OpenBesideWriter(Env& env, const Segment& segment) {
  STRATA_ASSIGN(auto file, env.Open(segment.path, OpenMode::kRead));
  // Before the header is looked at: from here on it stays what it is. Where nothing can be locked, nothing is used
  // again.
  if (auto locked = file->LockShared(); !locked && locked.error().code() == Errc::kBusy) {
    return Fail(Errc::kIo, segment.path + " was given up by another process just now; open the workspace anew");
  }
  STRATA_TRY(CheckIsSegment(segment, *file));
  return file;
}

Result<void> CheckIsSegment(const Segment& segment, File& file) {
  std::array<std::byte, kSegmentHeaderBytes> bytes{};
  STRATA_ASSIGN(const std::size_t got, file.ReadAt(0, bytes));
  SegmentHeader header;
  if (DecodeSegmentHeader(ByteSpan(bytes).first(got), header) == HeaderState::kValid &&
      (header.index != segment.index || header.given_up)) {
    return Fail(Errc::kIo, segment.path + " was given up by another process meanwhile; open the workspace anew");
  }
  STRATA_ASSIGN(const std::uint64_t size, file.Size());
  const std::uint64_t end = segment.end.load(std::memory_order_acquire);
  if (size < (end == Segment::kOpenEnd ? kSegmentHeaderBytes : end - segment.base)) {
    return Fail(Errc::kIo, segment.path + " is shorter than its records; restore the file from a copy");
  }
  return {};
}

Result<std::unique_ptr<Segment>> CreateSegment(Env& env, const std::string& directory, const SegmentHeader& header,
                                               std::uint64_t room, std::unique_ptr<File> spare, bool scarce) {
  auto segment = std::make_unique<Segment>();
  segment->index = header.index;
  segment->base = header.index * header.segment_size;
  segment->salt = header.FrameSalt();
  segment->path = directory + '/' + SegmentName(header.index);
  auto open = std::make_unique<OpenSegment>();
  if (spare) {
    open->file = std::move(spare);
    segment->allocated = header.segment_size;
  } else {
    STRATA_ASSIGN(open->file, env.Open(segment->path, OpenMode::kCreate));
  }
  if (auto filled = FillNewSegment(env, *segment, *open, header, room, scarce); !filled) {
    // If the removal fails too, the file stays without records, and the next attempt takes it over.
    (void)env.Remove(segment->path);
    return Fail(filled.error());
  }
  segment->written = true;
  segment->open = open.release();
  return segment;
}

Result<void> GrowSegment(Env& env, Segment& segment, File& file, std::uint64_t needed, std::uint64_t segment_size,
                         bool scarce) {
  const std::uint64_t had = segment.allocated;
  const std::uint64_t least = segment.index == 0 ? kSmallestStep : kLargestStep;
  // Asked first: a file system may take long to refuse, and would have to for each record.
  const auto space = env.SpaceOf(segment.path);
  const bool tight = scarce || (space && space->available < 2 * kLargestStep);
  const std::uint64_t generous = had + (tight ? kScarceStep : std::clamp(had, least, kLargestStep));
  const std::uint64_t wanted = std::min(std::max(needed, generous), segment_size);
  auto grown = file.Allocate(had, wanted - had);
  if (grown) {
    segment.allocated = wanted;
    return {};
  }
  if (!grown.error().IsOutOfSpace() || wanted == needed) return grown;
  STRATA_TRY(file.Allocate(had, needed - had));
  segment.allocated = needed;
  return {};
}

}  // namespace strata::journal
