// XDR (RFC 4506), as much as the lean client and the floor need.
#pragma once

#include <endian.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/bench/protocol.h"

namespace nfsbench {

struct Encoder {
  std::string& out;

  void U32(std::uint32_t value) {
    value = htobe32(value);
    out.append(reinterpret_cast<const char*>(&value), 4);
  }
  void U64(std::uint64_t value) {
    value = htobe64(value);
    out.append(reinterpret_cast<const char*>(&value), 8);
  }
  void Pad(std::size_t length) { out.append((4 - length % 4) % 4, '\0'); }
  void Opaque(std::string_view bytes) {
    U32(static_cast<std::uint32_t>(bytes.size()));
    out.append(bytes);
    Pad(bytes.size());
  }
  void PutHandle(const Handle& handle) { Opaque({handle.data, handle.length}); }
};

// Reads past the end give zeros and set `bad`.
struct Decoder {
  const char* at;
  const char* end;
  bool bad = false;

  bool Need(std::size_t bytes) {
    if (static_cast<std::size_t>(end - at) >= bytes) return true;
    bad = true;
    at = end;
    return false;
  }
  std::uint32_t U32() {
    std::uint32_t value = 0;
    if (Need(4)) {
      std::memcpy(&value, at, 4);
      at += 4;
    }
    return be32toh(value);
  }
  std::uint64_t U64() {
    const std::uint64_t high = U32();
    return high << 32 | U32();
  }
  void Skip(std::size_t bytes) {
    if (Need(bytes)) at += bytes;
  }
  void SkipOpaque() { Opaque(); }
  // In place.
  std::string_view Opaque() {
    const std::size_t length = U32();
    const char* const begin = at;
    Skip((length + 3) & ~std::size_t{3});
    return bad ? std::string_view() : std::string_view(begin, length);
  }
  void Raw(char* to, std::size_t bytes) {
    if (!Need(bytes)) return;
    std::memcpy(to, at, bytes);
    at += bytes;
  }
  void SkipAttributes() {
    if (U32() != 0) Skip(84);
  }
  void SkipWcc() {
    if (U32() != 0) Skip(24);
    SkipAttributes();
  }
  void GetHandle(Handle& handle) {
    handle.length = U32();
    if (handle.length > kMostHandleBytes) {
      handle.length = 0;
      bad = true;
      return;
    }
    Raw(handle.data, handle.length);
    Skip((4 - handle.length % 4) % 4);
  }
};

}  // namespace nfsbench
