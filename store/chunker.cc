#include "store/chunker.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>

#include "store/gear.h"

namespace strata::store {
namespace {

constexpr auto kGearShifted = [] {
  std::array<std::uint64_t, 256> shifted = kGear;
  for (std::uint64_t& number : shifted) number <<= 1;
  return shifted;
}();

// By the number of bits that must be zero; 5 and more, of which 7 to 23 are used.
constexpr int kFirstMask = 5;
constexpr std::array<std::uint64_t, 20> kMasks = {
    0x0000000001804110, 0x0000000001803110, 0x0000000018035100, 0x0000001800035300, 0x0000019000353000,
    0x0000590003530000, 0x0000d90003530000, 0x0000d90103530000, 0x0000d90303530000, 0x0000d90313530000,
    0x0000d90f03530000, 0x0000d90303537000, 0x0000d90703537000, 0x0000d90707537000, 0x0000d91707537000,
    0x0000d91747537000, 0x0000d91767537000, 0x0000d93767537000, 0x0000d93777537000, 0x0000d93777577000};

constexpr std::uint64_t MaskOf(int bits) { return kMasks[static_cast<std::size_t>(bits - kFirstMask)]; }

// The nearest whole number of bits: of two powers of two the one that is nearer by its ratio.
constexpr int RoundedLog2(std::uint32_t value) {
  const int floor = std::bit_width(value) - 1;
  // value >= 2^floor * sqrt(2)
  const std::uint64_t square = std::uint64_t{value} * value;
  return square >= std::uint64_t{1} << (2 * floor + 1) ? floor + 1 : floor;
}

// The pairs from `pair` to `end`: 0 where none ends the chunk, else its length.
inline std::size_t ScanPairs(const std::byte* bytes, std::size_t& pair, std::size_t end, std::uint64_t& hash,
                             std::uint64_t mask) {
  const std::uint64_t shifted_mask = mask << 1;
  std::uint64_t h = hash;
  std::size_t i = pair;
  for (; i < end; ++i) {
    h = (h << 2) + kGearShifted[std::to_integer<std::uint8_t>(bytes[2 * i])];
    if ((h & shifted_mask) == 0) return 2 * i;
    h += kGear[std::to_integer<std::uint8_t>(bytes[2 * i + 1])];
    if ((h & mask) == 0) return 2 * i + 1;
  }
  pair = i;
  hash = h;
  return 0;
}

Result<void> CheckSizes(const ChunkSizes& sizes) {
  const auto within = [](std::uint32_t value, std::uint32_t least, std::uint32_t most) {
    return value >= least && value <= most;
  };
  if (within(sizes.least, 64, 1 << 20) && within(sizes.average, 256, 4 << 20) && within(sizes.most, 1024, 16 << 20) &&
      sizes.least <= sizes.average && sizes.average <= sizes.most) {
    return {};
  }
  return Fail(Errc::kInvalid, "chunks of " + std::to_string(sizes.least) + ", " + std::to_string(sizes.average) +
                                  " and " + std::to_string(sizes.most) +
                                  " bytes (least, average, most): give 64 to 1048576, 256 to 4194304, " +
                                  "1024 to 16777216, none smaller than the one before");
}

}  // namespace

ChunkSizes ChunkSizes::OfAverage(std::uint32_t average) {
  const std::uint32_t most = average > UINT32_MAX / 2 ? UINT32_MAX : average * 2;
  return {.least = average / 2, .average = average, .most = most};
}

Result<Chunker> Chunker::Make(const ChunkSizes& sizes) {
  STRATA_TRY(CheckSizes(sizes));
  return Chunker(sizes);
}

Chunker::Chunker() : Chunker(ChunkSizes()) {}

Chunker::Chunker(const ChunkSizes& sizes)
    : sizes_(sizes),
      small_mask_(MaskOf(RoundedLog2(sizes.average) + 1)),
      large_mask_(MaskOf(RoundedLog2(sizes.average) - 1)) {
  Restart();
}

void Chunker::Restart() {
  next_pair_ = sizes_.least / 2;
  hash_ = 0;
}

// The crate knows where the input ends, and looks at pairs that lie within it whole. So does this, which need not know:
// whatever the end, a pair that is there whole is looked at, by the mask that its place has.
std::size_t Chunker::Cut(ByteSpan bytes) {
  const std::size_t there = std::min<std::size_t>(bytes.size(), sizes_.most) / 2;
  const std::size_t center = std::min<std::size_t>(there, sizes_.average / 2);
  std::size_t length = 0;
  if (next_pair_ < center) length = ScanPairs(bytes.data(), next_pair_, center, hash_, small_mask_);
  if (length == 0 && next_pair_ < there) {
    length = ScanPairs(bytes.data(), next_pair_, there, hash_, large_mask_);
  }
  if (length == 0 && bytes.size() >= sizes_.most) length = sizes_.most;
  if (length != 0) Restart();
  return length;
}

Result<void> ChunkSplitter::Write(ByteSpan piece, const Take& take) {
  while (!piece.empty()) {
    if (held_.empty()) {
      const std::size_t length = chunker_.Cut(piece);
      if (length == 0) {
        held_.reserve(chunker_.sizes().most);
        held_.assign(piece.begin(), piece.end());
        return {};
      }
      STRATA_TRY(take(piece.first(length)));
      piece = piece.subspan(length);
      continue;
    }
    const ByteSpan added = piece.first(std::min(piece.size(), chunker_.sizes().most - held_.size()));
    held_.insert(held_.end(), added.begin(), added.end());
    piece = piece.subspan(added.size());
    while (const std::size_t length = chunker_.Cut(held_)) {
      STRATA_TRY(take(ByteSpan(held_).first(length)));
      const std::size_t left = held_.size() - length;
      if (left <= added.size()) {
        piece = {added.data() + (added.size() - left), left + piece.size()};
        held_.clear();
        break;
      }
      // The end lies before a byte that was held already: the first of a pair.
      held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(length));
    }
  }
  return {};
}

Result<void> ChunkSplitter::Finish(const Take& take) {
  if (!held_.empty()) STRATA_TRY(take(held_));
  held_.clear();
  chunker_.Restart();
  return {};
}

}  // namespace strata::store
