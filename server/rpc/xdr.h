// XDR (RFC 4506) in place: reading a received record without copying, and writing a reply into its buffer. NFSv3 and
// RPC headers use it. The small protocols (MOUNT, portmap) use libtirpc's.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/bytes.h"

namespace strata::rpc {

inline std::uint32_t LoadBe32(const std::byte* at) {
  std::uint32_t v;
  std::memcpy(&v, at, sizeof v);
  return __builtin_bswap32(v);
}
inline void StoreBe32(std::byte* at, std::uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(at, &v, sizeof v);
}
inline void StoreBe64(std::byte* at, std::uint64_t v) {
  v = __builtin_bswap64(v);
  std::memcpy(at, &v, sizeof v);
}
constexpr std::size_t XdrPadded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

// Reads arguments that came from the wire. After a read past the end, or an item over its limit, ok() is false for
// good, and every read gives 0 or nothing. The caller checks once, with Finished(), before it acts.
class XdrReader {
 public:
  explicit XdrReader(ByteSpan bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  std::uint32_t U32() {
    if (end_ - at_ < 4) return Bad(), 0;
    std::uint32_t v = LoadBe32(at_);
    at_ += 4;
    return v;
  }
  std::uint64_t U64() {
    std::uint64_t high = U32();
    return high << 32 | U32();
  }
  // 0 or 1; anything else is not XDR.
  bool Bool() {
    std::uint32_t v = U32();
    if (v > 1) Bad();
    return v == 1;
  }
  ByteSpan Fixed(std::size_t size) {
    if (static_cast<std::size_t>(end_ - at_) < XdrPadded(size)) return Bad(), ByteSpan{};
    ByteSpan bytes(at_, size);
    at_ += XdrPadded(size);
    return bytes;
  }
  // Variable-length opaque of at most `limit` bytes, in place.
  ByteSpan Opaque(std::size_t limit) {
    std::uint32_t size = U32();
    if (size > limit || size > static_cast<std::size_t>(end_ - at_)) return Bad(), ByteSpan{};
    return Fixed(size);
  }
  std::string_view Text(std::size_t limit) { return AsText(Opaque(limit)); }

  bool ok() const { return ok_; }
  // Everything decoded, and nothing left over.
  bool Finished() const { return ok_ && at_ == end_; }
  ByteSpan rest() const { return {at_, end_}; }

 private:
  void Bad() {
    ok_ = false;
    at_ = end_;
  }
  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

}  // namespace strata::rpc
