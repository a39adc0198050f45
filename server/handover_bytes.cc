#include "server/handover_bytes.h"

#include <cstring>

#include "server/rpc/addresses.h"

namespace strata {

using boost::asio::ip::address_v6;

void HandoverWriter::Address(const boost::asio::ip::address& address) {
  const bool v4 = address.is_v4();
  Put<std::uint8_t>(v4 ? 4 : 6);
  const auto bytes = rpc::MappedBytes(address);
  Append(std::as_bytes(std::span(bytes)));
  Put(static_cast<std::uint32_t>(v4 ? 0 : address.to_v6().scope_id()));
}

ByteSpan ReadText(ByteReader& in, std::size_t limit) {
  const auto size = in.Read<std::uint32_t>();
  return in.ReadBytes(size <= limit ? size : kMaxHandoverBytes + 1);
}

std::string ReadString(ByteReader& in, std::size_t limit) { return std::string(AsText(ReadText(in, limit))); }

std::vector<std::byte> ReadOwnBytes(ByteReader& in, std::size_t limit) {
  const ByteSpan bytes = ReadText(in, limit);
  return {bytes.begin(), bytes.end()};
}

bool ReadAddress(ByteReader& in, boost::asio::ip::address* address) {
  const auto family = in.Read<std::uint8_t>();
  address_v6::bytes_type bytes{};
  const ByteSpan read = in.ReadBytes(bytes.size());
  if (!in.ok() || (family != 4 && family != 6)) return false;
  std::memcpy(bytes.data(), read.data(), bytes.size());
  const address_v6 v6(bytes, in.Read<std::uint32_t>());
  if (family == 4 && !v6.is_v4_mapped()) return false;
  *address = family == 4 ? rpc::FromMapped(v6) : v6;
  return in.ok();
}

}  // namespace strata
