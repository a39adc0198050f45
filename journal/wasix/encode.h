// From an Entry to the bytes of a WASIX record, as rkyv 0.8 and Wasmer write them.
//
// The bytes depend on where they will lie: byte strings are aligned to 16 by their position in the file.
// `header_position` is that of the record's header, in bytes from the beginning of the file.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "journal/wasix/entries.h"
#include "journal/wasix/framing.h"

namespace strata::journal::wasix {

// The bytes of the record, header and payload.
std::uint64_t EncodedSize(const Entry& entry, std::uint64_t header_position);

// Appends the header and the payload. kFileTooBig, and `bytes` is as before, for a byte string that 32 bits cannot
// count or that a signed 32-bit distance cannot reach: about 2 GiB.
Result<void> Encode(const Entry& entry, std::uint64_t header_position, std::vector<std::byte>& bytes);

// The bytes of a write's record around its data, so that the data need not be copied. The record is before(), the
// entry's data, after().
class WriteFrame {
 public:
  ByteSpan before() const { return ByteSpan(before_).first(before_size_); }
  ByteSpan after() const { return ByteSpan(after_).first(after_size_); }
  // Where the data will lie in the file.
  std::uint64_t data_position() const { return data_position_; }

 private:
  friend Result<WriteFrame> EncodeAround(const FileDescriptorWriteV1& entry, std::uint64_t header_position);

  static constexpr std::size_t kMostBefore = kHeaderBytes + 15;
  static constexpr std::size_t kMostAfter = 7 + 24;

  std::array<std::byte, kMostBefore> before_{};
  std::array<std::byte, kMostAfter> after_{};
  std::size_t before_size_ = 0;
  std::size_t after_size_ = 0;
  std::uint64_t data_position_ = 0;
};
// kFileTooBig as above. Of the data only the size matters; nothing is allocated.
Result<WriteFrame> EncodeAround(const FileDescriptorWriteV1& entry, std::uint64_t header_position);

}  // namespace strata::journal::wasix
