// The text of addresses, as Rust prints and parses it: "10.0.0.1", "2001:db8::7", "127.0.0.1:80", "[fe80::1%3]:443".
#pragma once

#include <string>
#include <string_view>

#include "journal/wasix/values.h"

namespace strata::journal::wasix {

std::string AddressText(const Ipv4Address& address);
std::string AddressText(const Ipv6Address& address);
std::string AddressText(const IpAddress& address);
// Without the flowinfo.
std::string AddressText(const SocketAddress& address);

// Whether `text` is an address of that kind; writes it to `address`.
bool ParseAddress(std::string_view text, Ipv4Address& address);
bool ParseAddress(std::string_view text, Ipv6Address& address);
bool ParseAddress(std::string_view text, IpAddress& address);
bool ParseAddress(std::string_view text, SocketAddress& address);

}  // namespace strata::journal::wasix
