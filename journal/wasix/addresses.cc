#include "journal/wasix/addresses.h"

#include <arpa/inet.h>

#include <charconv>

namespace strata::journal::wasix {
namespace {

template <typename T>
std::string TextOf(int family, const T& address) {
  char text[INET6_ADDRSTRLEN];
  return ::inet_ntop(family, address.data(), text, sizeof text) != nullptr ? text : "";
}

template <typename T>
bool Parse(int family, std::string_view text, T& address) {
  // inet_pton would not see what stands behind a NUL.
  if (text.find('\0') != std::string_view::npos) return false;
  return ::inet_pton(family, std::string(text).c_str(), address.data()) == 1;
}

template <typename T>
bool ParseNumber(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseV4(std::string_view text, SocketAddressV4& address) {
  const auto colon = text.rfind(':');
  return colon != std::string_view::npos && Parse(AF_INET, text.substr(0, colon), address.ip) &&
         ParseNumber(text.substr(colon + 1), address.port);
}

bool ParseV6(std::string_view text, SocketAddressV6& address) {
  const auto close = text.rfind("]:");
  if (!text.starts_with('[') || close == std::string_view::npos) return false;
  const std::string_view host = text.substr(1, close - 1);
  const auto percent = host.find('%');
  if (percent != std::string_view::npos && !ParseNumber(host.substr(percent + 1), address.scope_id)) return false;
  return Parse(AF_INET6, host.substr(0, percent), address.ip) && ParseNumber(text.substr(close + 2), address.port);
}

}  // namespace

std::string AddressText(const Ipv4Address& address) { return TextOf(AF_INET, address); }
std::string AddressText(const Ipv6Address& address) { return TextOf(AF_INET6, address); }
std::string AddressText(const IpAddress& address) {
  return std::visit([](const auto& ip) { return AddressText(ip); }, address);
}

std::string AddressText(const SocketAddress& address) {
  if (const auto* v4 = std::get_if<SocketAddressV4>(&address)) {
    return AddressText(v4->ip) + ":" + std::to_string(v4->port);
  }
  const auto& v6 = *std::get_if<SocketAddressV6>(&address);
  const std::string scope = v6.scope_id == 0 ? "" : "%" + std::to_string(v6.scope_id);
  return "[" + AddressText(v6.ip) + scope + "]:" + std::to_string(v6.port);
}

bool ParseAddress(std::string_view text, Ipv4Address& address) { return Parse(AF_INET, text, address); }
bool ParseAddress(std::string_view text, Ipv6Address& address) { return Parse(AF_INET6, text, address); }

bool ParseAddress(std::string_view text, IpAddress& address) {
  return Parse(AF_INET, text, address.emplace<Ipv4Address>()) || Parse(AF_INET6, text, address.emplace<Ipv6Address>());
}

bool ParseAddress(std::string_view text, SocketAddress& address) {
  return ParseV4(text, address.emplace<SocketAddressV4>()) || ParseV6(text, address.emplace<SocketAddressV6>());
}

}  // namespace strata::journal::wasix
