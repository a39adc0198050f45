// The bytes of a segment: its header and the frame before each record. Grammar: docs/formats/journal.md.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "journal/journal.h"

namespace strata::journal {

inline constexpr std::uint16_t kFormatVersion = 2;  // the newest that is read; a header says the oldest that will do
inline constexpr std::size_t kFrameBytes = 40;
inline constexpr std::uint64_t kMinSegmentSize = 4096;
inline constexpr std::uint64_t kMaxSegmentSize = 4ULL << 30;
inline constexpr std::uint64_t kMaxSegmentIndex = (1ULL << 31) - 1;  // so that positions stay below 2^63

struct SegmentHeader {
  // Random, of the whole journal: nobody who only writes data can forge a frame. Where it is given up: Frame::check of
  // its last record, or previous_check where it had none.
  std::uint32_t salt = 0;
  std::uint64_t volume_id = 0;
  std::uint64_t index = 0;
  std::uint64_t segment_size = 0;
  std::uint64_t previous_end = 0;    // where the records of the segment before end; 0 in segment 0
  std::uint32_t previous_check = 0;  // Frame::check of the last record before; 0 where there is none
  // Everything before this position was durable when the segment was made. Where it is given up: where its records
  // ended.
  std::uint64_t durable = 0;
  bool own_salt = false;  // the file was another segment before: no frame from then has the salt of those from now on
  bool given_up = false;  // the segment is a stub: this header, and nothing behind it

  std::uint32_t FrameSalt() const { return own_salt ? OwnSalt(salt, index) : salt; }
  // That of a segment alone, known also where its header is lost.
  static std::uint32_t OwnSalt(std::uint32_t salt, std::uint64_t index);
  // Everything before this position was durable when the header was: of a stub, the beginning of the next segment.
  std::uint64_t Promised() const { return given_up ? (index + 1) * segment_size + kSegmentHeaderBytes : durable; }
};

std::array<std::byte, kSegmentHeaderBytes> EncodeSegmentHeader(const SegmentHeader& header);
enum class HeaderState : std::uint8_t { kValid, kInvalid, kNewer };
HeaderState DecodeSegmentHeader(ByteSpan bytes, SegmentHeader& header);

struct Frame {
  std::uint32_t head_size = 0;
  std::uint32_t payload_size = 0;
  std::uint32_t head_crc = 0;
  std::uint32_t payload_crc = 0;
  std::uint64_t position = 0;  // the record's own, so that stale bytes never look like a record
  std::uint64_t durable = 0;   // everything before this position was durable when the record was appended
  std::uint32_t check = 0;     // of all the above with the salt: names the record as well as its position does

  std::uint64_t RecordBytes() const { return (kFrameBytes + head_size + payload_size + 7) & ~std::uint64_t{7}; }
};

// Writes kFrameBytes; gives the frame's check.
std::uint32_t EncodeFrame(const Frame& frame, std::uint32_t salt, std::byte* at);
// The frame at `bytes`, which begin at `position`; nothing unless it checks and its sizes are within the limits.
// Whether the record is all there, and what it holds, is not looked at.
std::optional<Frame> DecodeFrame(ByteSpan bytes, std::uint64_t position, std::uint32_t salt);
// Whether the head, and the payload, of the record at `bytes` (which hold at least as much of it) check.
bool CheckHead(const Frame& frame, ByteSpan bytes);
bool CheckPayload(const Frame& frame, ByteSpan bytes);

// "000000000000002a.seg".
std::string SegmentName(std::uint64_t index);
std::optional<std::uint64_t> ParseSegmentName(std::string_view name);

}  // namespace strata::journal
