// The bytes of roots.table (docs/formats/roots.md).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/digest.h"

namespace strata::vfs::castore {

// The ids that belong to a root of a store.
struct RootRange {
  std::string name;
  store::Digest key;        // of what the name led to (RootKey)
  std::uint64_t first = 0;  // id
  std::uint64_t ids = 0;    // how many, not 0
  friend bool operator==(const RootRange&, const RootRange&) = default;
};

namespace roots_format {

inline constexpr std::string_view kMagic = "STRATART";
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 64;
inline constexpr std::size_t kAlignment = 64;         // frames begin, and end, at multiples
inline constexpr std::size_t kMostFrame = 256 << 10;  // bytes of one, in all
inline constexpr std::uint64_t kFirstId = 2;          // 1 is the directory that holds the roots
inline constexpr std::uint64_t kEndId = std::uint64_t{1} << 54;

std::array<std::byte, kHeaderBytes> EncodeHeader();
// kCorrupt for what is none, kNotSupported for one of a newer version.
Result<void> CheckHeader(ByteSpan bytes);

// How much a range adds to a frame.
std::size_t RowBytes(const RootRange& range);
// How much a frame takes whose rows have so many bytes.
std::size_t FrameBytes(std::size_t rows);
// One that begins at `position` in the file; its FrameBytes are at most kMostFrame.
std::vector<std::byte> FrameOf(std::uint64_t position, ByteSpan rows);
std::vector<std::byte> EncodeFrame(std::uint64_t position, std::span<const RootRange> ranges);

struct Frame {
  std::vector<RootRange> ranges;
  std::size_t size = 0;
};
// That which begins at `position` with `bytes`. Nothing: no whole frame begins there. kCorrupt: one does, with a good
// checksum, but says what cannot be. Ranges follow each other, from `next_id` or later on.
Result<std::optional<Frame>> DecodeFrame(ByteSpan bytes, std::uint64_t position, std::uint64_t next_id);
// Whether a whole frame begins anywhere in `bytes`, whose first is at `position`.
bool HoldsFrame(ByteSpan bytes, std::uint64_t position);

}  // namespace roots_format
}  // namespace strata::vfs::castore
