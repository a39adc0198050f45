#include "vfs/layer/castore/roots_format.h"

#include <algorithm>

#include "base/hash.h"
#include "store/castore/names.h"

namespace strata::vfs::castore::roots_format {
namespace {

constexpr std::uint32_t kFrameMagic = 0x65676e72;  // "rnge"
constexpr std::size_t kFrameHead = 16;
constexpr std::size_t kRowHead = 8 + 8 + store::Digest::kSize + 2;

// Of the frame's place too: what lies elsewhere, or in another file, does not check.
std::uint32_t CheckOf(std::uint64_t position, ByteSpan rows) {
  std::array<std::byte, 16> head;
  StoreLe(&head[0], position);
  StoreLe(&head[8], std::uint64_t{rows.size()});
  return Crc32c(rows, Crc32c(head));
}

std::size_t Aligned(std::size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

// The rows of a frame that checks.
std::optional<ByteSpan> RowsOf(ByteSpan bytes, std::uint64_t position) {
  ByteReader in(bytes);
  const auto magic = in.Read<std::uint32_t>();
  const auto size = in.Read<std::uint32_t>();
  const auto check = in.Read<std::uint32_t>();
  const auto reserved = in.Read<std::uint32_t>();
  if (!in.ok() || magic != kFrameMagic || reserved != 0 || size > kMostFrame - kFrameHead) return std::nullopt;
  if (bytes.size() < FrameBytes(size)) return std::nullopt;
  const ByteSpan rows = in.ReadBytes(size);
  if (CheckOf(position, rows) != check) return std::nullopt;
  return rows;
}

}  // namespace

std::array<std::byte, kHeaderBytes> EncodeHeader() {
  std::array<std::byte, kHeaderBytes> bytes{};
  std::ranges::copy(AsBytes(kMagic), bytes.begin());
  StoreLe(&bytes[8], kVersion);
  StoreLe(&bytes[12], Crc32c(ByteSpan(bytes).first(12)));
  return bytes;
}

Result<void> CheckHeader(ByteSpan bytes) {
  if (bytes.size() < kHeaderBytes || AsText(bytes.first(kMagic.size())) != kMagic ||
      Crc32c(bytes.first(12)) != LoadLe<std::uint32_t>(&bytes[12])) {
    return Fail(Errc::kCorrupt, "its header does not check");
  }
  const auto version = LoadLe<std::uint32_t>(&bytes[8]);
  if (version == kVersion) return {};
  return Fail(Errc::kNotSupported, "it has version " + std::to_string(version) + ", and this program reads " +
                                       std::to_string(kVersion) + ": use a newer one");
}

std::size_t RowBytes(const RootRange& range) { return kRowHead + range.name.size(); }
std::size_t FrameBytes(std::size_t rows) { return Aligned(kFrameHead + rows); }

std::vector<std::byte> FrameOf(std::uint64_t position, ByteSpan rows) {
  std::vector<std::byte> bytes(FrameBytes(rows.size()));
  StoreLe(&bytes[0], kFrameMagic);
  StoreLe(&bytes[4], static_cast<std::uint32_t>(rows.size()));
  StoreLe(&bytes[8], CheckOf(position, rows));
  std::ranges::copy(rows, bytes.begin() + kFrameHead);
  return bytes;
}

std::vector<std::byte> EncodeFrame(std::uint64_t position, std::span<const RootRange> ranges) {
  std::vector<std::byte> rows;
  for (const RootRange& range : ranges) {
    std::array<std::byte, kRowHead> head;
    StoreLe(&head[0], range.first);
    StoreLe(&head[8], range.ids);
    std::ranges::copy(range.key.bytes, &head[16]);
    StoreLe(&head[16 + store::Digest::kSize], static_cast<std::uint16_t>(range.name.size()));
    rows.insert(rows.end(), head.begin(), head.end());
    rows.insert(rows.end(), AsBytes(range.name).begin(), AsBytes(range.name).end());
  }
  return FrameOf(position, rows);
}

Result<std::optional<Frame>> DecodeFrame(ByteSpan bytes, std::uint64_t position, std::uint64_t next_id) {
  const std::optional<ByteSpan> rows = RowsOf(bytes, position);
  if (!rows) return std::nullopt;
  Frame frame{.ranges = {}, .size = FrameBytes(rows->size())};
  ByteReader in(*rows);
  while (in.remaining() > 0) {
    RootRange range;
    range.first = in.Read<std::uint64_t>();
    range.ids = in.Read<std::uint64_t>();
    std::ranges::copy(in.ReadBytes(store::Digest::kSize), range.key.bytes.begin());
    const auto name_size = in.Read<std::uint16_t>();
    range.name = AsText(in.ReadBytes(name_size));
    if (!in.ok() || range.first < next_id || range.first >= kEndId || range.ids == 0 ||
        range.ids > kEndId - range.first || !store::CheckNodeName(range.name)) {
      return Fail(Errc::kCorrupt, "a range at byte " + std::to_string(position) + " cannot be");
    }
    next_id = range.first + range.ids;
    frame.ranges.push_back(std::move(range));
  }
  return frame;
}

bool HoldsFrame(ByteSpan bytes, std::uint64_t position) {
  for (std::size_t at = (kAlignment - position % kAlignment) % kAlignment; at < bytes.size(); at += kAlignment) {
    if (RowsOf(bytes.subspan(at), position + at)) return true;
  }
  return false;
}

}  // namespace strata::vfs::castore::roots_format
