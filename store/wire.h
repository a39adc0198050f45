// The wire form of protobuf messages, read in place and written in its canonical form (spec castore CA-15): fields in
// ascending order, numbers in as few bytes as they need, nothing that says what is so without it. What is read may be
// any form; what is no message is found.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace strata::store {

enum class WireType : std::uint8_t { kVarint, kFixed64, kBytes, kGroup, kEndGroup, kFixed32 };

// Goes through the fields of one message. After anything that no message holds, ok() is false for good and Next too;
// the caller checks once, at the end.
class WireReader {
 public:
  explicit WireReader(ByteSpan message) : at_(message.data()), end_(message.data() + message.size()) {}

  // To the next field; false after the last. The value of the one before must have been taken, or passed over.
  bool Next() {
    if (at_ == end_) return false;
    const std::uint64_t tag = ReadVarint();
    field_ = static_cast<std::uint32_t>(tag >> 3);
    type_ = static_cast<WireType>(tag & 7);
    if (tag > UINT32_MAX || field_ == 0 || type_ > WireType::kFixed32) Refuse();
    return ok_;
  }
  std::uint32_t field() const { return field_; }
  WireType type() const { return type_; }

  // The value; ok() is false after it where the field has another type.
  std::uint64_t TakeVarint() {
    if (type_ != WireType::kVarint) return Refuse(), 0;
    return ReadVarint();
  }
  ByteSpan TakeBytes() {
    if (type_ != WireType::kBytes) return Refuse(), ByteSpan{};
    return ReadBytes();
  }
  // Passes over a field that is not known, of any type.
  void Skip();

  bool ok() const { return ok_; }

 private:
  void Refuse() {
    ok_ = false;
    at_ = end_;
  }
  void Pass(std::size_t bytes) {
    if (bytes > static_cast<std::size_t>(end_ - at_)) return Refuse();
    at_ += bytes;
  }
  // At most ten bytes, of 64 bits.
  std::uint64_t ReadVarint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) break;
      const auto byte = std::to_integer<std::uint64_t>(*at_++);
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return Refuse(), 0;
  }
  ByteSpan ReadBytes() {
    const std::uint64_t size = ReadVarint();
    if (size > static_cast<std::size_t>(end_ - at_)) return Refuse(), ByteSpan{};
    const ByteSpan bytes(at_, static_cast<std::size_t>(size));
    at_ += size;
    return bytes;
  }
  // What is passed over without looking at the fields within.
  void SkipValue();

  const std::byte* at_;
  const std::byte* end_;
  std::uint32_t field_ = 0;
  WireType type_ = WireType::kVarint;
  bool ok_ = true;
};

inline void WireReader::SkipValue() {
  switch (type_) {
    case WireType::kVarint:
      ReadVarint();
      return;
    case WireType::kFixed64:
      return Pass(8);
    case WireType::kFixed32:
      return Pass(4);
    case WireType::kBytes:
      ReadBytes();
      return;
    case WireType::kGroup:
    case WireType::kEndGroup:
      return Refuse();
  }
}

inline void WireReader::Skip() {
  if (type_ != WireType::kGroup) return SkipValue();
  // As deep as protobuf's own libraries go.
  constexpr int kMostGroups = 100;
  std::uint32_t open[kMostGroups];
  int depth = 0;
  open[depth++] = field_;
  while (depth > 0) {
    if (!Next()) return Refuse();
    if (type_ == WireType::kGroup) {
      if (depth == kMostGroups) return Refuse();
      open[depth++] = field_;
    } else if (type_ == WireType::kEndGroup) {
      if (open[--depth] != field_) return Refuse();
    } else {
      SkipValue();
    }
  }
}

constexpr std::size_t WireVarintSize(std::uint64_t value) {
  return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}
// Of a field with a number below 16: 0 for a value that is not written.
constexpr std::size_t WireNumberSize(std::uint64_t value) { return value == 0 ? 0 : 1 + WireVarintSize(value); }
constexpr std::size_t WireBytesSize(std::size_t size) { return 1 + WireVarintSize(size) + size; }

// Writes fields with numbers below 16, into memory that the caller has measured.
class WireWriter {
 public:
  explicit WireWriter(std::byte* at) : at_(at) {}

  // Nothing for 0.
  void Number(std::uint32_t field, std::uint64_t value) {
    if (value == 0) return;
    Tag(field, WireType::kVarint);
    Varint(value);
  }
  // Also of no bytes: whether those are left out is the caller's to say.
  void Bytes(std::uint32_t field, ByteSpan bytes) {
    Begin(field, bytes.size());
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  // A message of `size` bytes follows.
  void Begin(std::uint32_t field, std::size_t size) {
    Tag(field, WireType::kBytes);
    Varint(size);
  }
  std::byte* at() const { return at_; }

 private:
  void Tag(std::uint32_t field, WireType type) { *at_++ = static_cast<std::byte>(field << 3 | std::uint32_t(type)); }
  void Varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at_++ = static_cast<std::byte>(value | 0x80);
    *at_++ = static_cast<std::byte>(value);
  }

  std::byte* at_;
};

}  // namespace strata::store
