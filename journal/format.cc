#include "journal/format.h"

#include <charconv>

#include "base/hash.h"

namespace strata::journal {
namespace {

constexpr std::string_view kSegmentMagic = "STRATAJ\n";
constexpr std::uint32_t kFrameMagic = 0x524a5453;  // "STJR"
constexpr std::string_view kSegmentSuffix = ".seg";
constexpr std::size_t kIndexDigits = 16;
constexpr std::uint16_t kGivenUp = 1, kOwnSalt = 2;  // flags of version 2

}  // namespace

std::array<std::byte, kSegmentHeaderBytes> EncodeSegmentHeader(const SegmentHeader& header) {
  std::array<std::byte, kSegmentHeaderBytes> bytes{};
  std::memcpy(bytes.data(), kSegmentMagic.data(), kSegmentMagic.size());
  const auto flags = static_cast<std::uint16_t>(header.given_up ? kGivenUp : header.own_salt ? kOwnSalt : 0);
  StoreLe(&bytes[8], static_cast<std::uint16_t>(flags != 0 ? 2 : 1));
  StoreLe(&bytes[10], flags);
  StoreLe(&bytes[12], header.salt);
  StoreLe(&bytes[16], header.volume_id);
  StoreLe(&bytes[24], header.index);
  StoreLe(&bytes[32], header.segment_size);
  StoreLe(&bytes[40], header.previous_end);
  StoreLe(&bytes[48], header.durable);
  StoreLe(&bytes[56], header.previous_check);
  StoreLe(&bytes[60], Crc32c(ByteSpan(bytes).first(60)));
  return bytes;
}

HeaderState DecodeSegmentHeader(ByteSpan bytes, SegmentHeader& header) {
  if (bytes.size() < kSegmentHeaderBytes || AsText(bytes.first(8)) != kSegmentMagic) return HeaderState::kInvalid;
  if (LoadLe<std::uint32_t>(&bytes[60]) != Crc32c(bytes.first(60))) return HeaderState::kInvalid;
  // Every version keeps the magic, the version and the checksum where they are.
  const auto version = LoadLe<std::uint16_t>(&bytes[8]), flags = LoadLe<std::uint16_t>(&bytes[10]);
  if (version > kFormatVersion) return HeaderState::kNewer;
  header.given_up = flags == kGivenUp;
  header.own_salt = flags == kOwnSalt;
  header.salt = LoadLe<std::uint32_t>(&bytes[12]);
  header.volume_id = LoadLe<std::uint64_t>(&bytes[16]);
  header.index = LoadLe<std::uint64_t>(&bytes[24]);
  header.segment_size = LoadLe<std::uint64_t>(&bytes[32]);
  header.previous_end = LoadLe<std::uint64_t>(&bytes[40]);
  header.durable = LoadLe<std::uint64_t>(&bytes[48]);
  header.previous_check = LoadLe<std::uint32_t>(&bytes[56]);
  const bool plausible = header.segment_size >= kMinSegmentSize && header.segment_size <= kMaxSegmentSize &&
                         header.segment_size % kMinSegmentSize == 0 && header.index <= kMaxSegmentIndex &&
                         (version == 1 ? flags == 0 : version == 2 && (header.given_up || header.own_salt));
  return plausible ? HeaderState::kValid : HeaderState::kInvalid;
}

std::uint32_t SegmentHeader::OwnSalt(std::uint32_t salt, std::uint64_t index) {
  std::array<std::byte, 8> bytes;
  StoreLe(bytes.data(), index);
  return Crc32c(bytes, salt);
}

std::uint32_t EncodeFrame(const Frame& frame, std::uint32_t salt, std::byte* at) {
  StoreLe(at, kFrameMagic);
  StoreLe(at + 4, frame.head_size);
  StoreLe(at + 8, frame.payload_size);
  StoreLe(at + 12, frame.head_crc);
  StoreLe(at + 16, frame.payload_crc);
  StoreLe(at + 20, frame.position);
  StoreLe(at + 28, frame.durable);
  const std::uint32_t check = Crc32c(ByteSpan(at, 36), salt);
  StoreLe(at + 36, check);
  return check;
}

std::optional<Frame> DecodeFrame(ByteSpan bytes, std::uint64_t position, std::uint32_t salt) {
  if (bytes.size() < kFrameBytes || LoadLe<std::uint32_t>(bytes.data()) != kFrameMagic) return std::nullopt;
  const std::byte* at = bytes.data();
  Frame frame;
  frame.head_size = LoadLe<std::uint32_t>(at + 4);
  frame.payload_size = LoadLe<std::uint32_t>(at + 8);
  frame.head_crc = LoadLe<std::uint32_t>(at + 12);
  frame.payload_crc = LoadLe<std::uint32_t>(at + 16);
  frame.position = LoadLe<std::uint64_t>(at + 20);
  frame.durable = LoadLe<std::uint64_t>(at + 28);
  if (frame.position != position || frame.head_size > kMaxHeadBytes || frame.payload_size > kMaxPayloadBytes) {
    return std::nullopt;
  }
  frame.check = LoadLe<std::uint32_t>(at + 36);
  if (frame.check != Crc32c(bytes.first(36), salt)) return std::nullopt;
  return frame;
}

bool CheckHead(const Frame& frame, ByteSpan bytes) {
  return Crc32c(bytes.subspan(kFrameBytes, frame.head_size)) == frame.head_crc;
}

bool CheckPayload(const Frame& frame, ByteSpan bytes) {
  return Crc32c(bytes.subspan(kFrameBytes + frame.head_size, frame.payload_size)) == frame.payload_crc;
}

std::string SegmentName(std::uint64_t index) {
  std::string name(kIndexDigits, '0');
  for (std::size_t i = kIndexDigits; i-- > 0; index >>= 4) name[i] = "0123456789abcdef"[index & 0xf];
  return name.append(kSegmentSuffix);
}

std::optional<std::uint64_t> ParseSegmentName(std::string_view name) {
  if (name.size() != kIndexDigits + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix)) return std::nullopt;
  std::uint64_t index = 0;
  std::from_chars(name.data(), name.data() + kIndexDigits, index, 16);
  if (index > kMaxSegmentIndex || SegmentName(index) != name) return std::nullopt;
  return index;
}

}  // namespace strata::journal
