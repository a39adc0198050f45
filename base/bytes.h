// Little-endian bytes for what Strata writes to disk, and checked reading of what it finds there.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace strata {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

inline ByteSpan AsBytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view AsText(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

static_assert(std::endian::native == std::endian::little, "the formats are little-endian, and so is every host so far");

template <typename T>
  requires std::is_integral_v<T>
inline void StoreLe(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <typename T>
  requires std::is_integral_v<T>
inline T LoadLe(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Reads from a span that came from outside. After a read past the end, ok() is false for good and every read gives 0 or
// an empty span; the caller checks once, at the end.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan bytes) : rest_(bytes) {}

  template <typename T>
    requires std::is_integral_v<T>
  T Read() {
    if (rest_.size() < sizeof(T)) return Overrun(), T{};
    T value = LoadLe<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }
  ByteSpan ReadBytes(std::size_t size) {
    if (rest_.size() < size) return Overrun(), ByteSpan{};
    ByteSpan head = rest_.first(size);
    rest_ = rest_.subspan(size);
    return head;
  }
  bool ok() const { return ok_; }
  std::size_t remaining() const { return rest_.size(); }

 private:
  void Overrun() {
    ok_ = false;
    rest_ = {};
  }

  ByteSpan rest_;
  bool ok_ = true;
};

}  // namespace strata
