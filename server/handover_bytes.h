// How what one server hands to the next is written down: little-endian, lists and texts with their length before them.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace strata {

// Of one encoded handover.
inline constexpr std::size_t kMaxHandoverBytes = std::size_t{1} << 30;

class HandoverWriter {
 public:
  template <typename T>
  void Put(T value) {
    Append(std::as_bytes(std::span(&value, 1)));
  }
  void Text(ByteSpan bytes) {
    Put(static_cast<std::uint32_t>(bytes.size()));
    Append(bytes);
  }
  // u8 4 or 6, 16 bytes (IPv4 as its mapped form), u32 scope.
  void Address(const boost::asio::ip::address& address);
  void Append(ByteSpan bytes) {
    // What would be too long is not even put together.
    too_long_ = too_long_ || bytes.size() > kMaxHandoverBytes - bytes_.size();
    if (!too_long_) bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  bool too_long() const { return too_long_; }
  std::vector<std::byte> Take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
  bool too_long_ = false;
};

// A text longer than `limit` reads as one that is cut off.
ByteSpan ReadText(ByteReader& in, std::size_t limit);
std::string ReadString(ByteReader& in, std::size_t limit);
std::vector<std::byte> ReadOwnBytes(ByteReader& in, std::size_t limit);
// False for what is none.
bool ReadAddress(ByteReader& in, boost::asio::ip::address* address);

}  // namespace strata
