// The frame of a WASIX journal: the magic, and a header before each record. Grammar: docs/formats/wasix.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "journal/wasix/entries.h"

namespace strata::journal::wasix {

inline constexpr std::size_t kMagicBytes = 8;
inline constexpr std::size_t kHeaderBytes = 8;
inline constexpr std::uint64_t kMaxPayloadBytes = (std::uint64_t{1} << 48) - 1;

// The first bytes of a journal. They may come again wherever a header may: journals are joined with cat.
inline constexpr std::array<std::byte, kMagicBytes> kMagic{std::byte{0x31}, std::byte{0x0d}, std::byte{0x6d},
                                                           std::byte{0xd0}, std::byte{0x27}, std::byte{0x36},
                                                           std::byte{0x29}, std::byte{0x79}};

struct RecordHeader {
  EntryType type{};  // also numbers that are no type
  std::uint64_t payload_size = 0;
  friend bool operator==(const RecordHeader&, const RecordHeader&) = default;
};
// Writes kHeaderBytes. `payload_size` is at most kMaxPayloadBytes.
void EncodeHeader(const RecordHeader& header, std::byte* at);
// Reads kHeaderBytes.
RecordHeader DecodeHeader(const std::byte* at);

// What a file begins with.
enum class Beginning : std::uint8_t {
  kMagic,
  kEmpty,       // a journal that nobody has written to
  kCutShort,    // 1 to 7 bytes: Wasmer writes no magic into such a file, and then cannot read it
  kWrongMagic,  // no journal
};
// `bytes`: the first kMagicBytes of the file, or all of a shorter one.
Beginning CheckBeginning(ByteSpan bytes);

// What lies at a position where a header is expected.
struct Frame {
  enum class Kind : std::uint8_t {
    kRecord,
    kEnd,           // the file ends here
    kTornTail,      // a write that did not come to its end; `torn` says how it shows
    kUnknownType,   // a header with a number that is no type
    kBeyondWindow,  // the header or the payload reaches beyond the window, and the file goes on
  };
  enum class Torn : std::uint8_t {
    kNo,
    kShortHeader,    // fewer than kHeaderBytes are left
    kZeroHeader,     // Wasmer fills in the header last
    kPayloadPastEnd  // the payload would reach past the end of the file
  };
  Kind kind = Kind::kEnd;
  Torn torn = Torn::kNo;
  std::uint64_t position = 0;  // of the header, in the file; of the end
  RecordHeader header;         // all zeros where there is none
  ByteSpan payload;            // of a record
  // The payload's size is no multiple of 8, which no release of Wasmer writes. The record is read all the same.
  bool odd_size = false;

  std::uint64_t payload_position() const { return position + kHeaderBytes; }
  std::uint64_t end() const { return payload_position() + header.payload_size; }
};

// Walks the records of a journal. Payloads are not looked into.
class FrameReader {
 public:
  // `window`: the bytes of the file from `position` on, which is 0 or where a header is expected. `file_size`: that of
  // the whole file, at least position + window.size().
  FrameReader(ByteSpan window, std::uint64_t position, std::uint64_t file_size)
      : rest_(window), position_(position), file_size_(file_size) {}
  // Of a whole file.
  explicit FrameReader(ByteSpan file) : FrameReader(file, 0, file.size()) {}

  // Skips magics and reads what comes then. Goes on only behind a record: anything else is found again by the next
  // call.
  Frame Next();
  // Steps over the frame of an unknown type, which Next has just given. False, and nothing is done, where that frame
  // reaches past the end of the file or of the window.
  bool Skip(const Frame& unknown);

  // Where the next header or magic is expected.
  std::uint64_t position() const { return position_; }

 private:
  void Advance(std::uint64_t bytes);
  std::uint64_t left_in_file() const { return file_size_ - position_; }

  ByteSpan rest_;
  std::uint64_t position_;
  std::uint64_t file_size_;
};

}  // namespace strata::journal::wasix
