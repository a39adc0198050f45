// IP addresses in the one form that both kinds have: IPv6, with IPv4 as its mapped form (RFC 4291 2.5.5.2).
#pragma once

#include <absl/hash/hash.h>

#include <boost/asio/ip/address.hpp>

namespace strata::rpc {

// Without the scope.
inline boost::asio::ip::address_v6::bytes_type MappedBytes(const boost::asio::ip::address& address) {
  using namespace boost::asio::ip;
  return (address.is_v4() ? make_address_v6(v4_mapped, address.to_v4()) : address.to_v6()).to_bytes();
}

inline boost::asio::ip::address FromMapped(const boost::asio::ip::address_v6& address) {
  using namespace boost::asio::ip;
  if (address.is_v4_mapped()) return make_address_v4(v4_mapped, address);
  return address;
}

// boost 1.74 has no std::hash of one.
struct AddressHash {
  std::size_t operator()(const boost::asio::ip::address& address) const {
    if (address.is_v4()) return absl::HashOf(address.to_v4().to_uint());
    return absl::HashOf(address.to_v6().to_bytes(), address.to_v6().scope_id());
  }
};

}  // namespace strata::rpc
