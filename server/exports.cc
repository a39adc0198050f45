#include "server/exports.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/network_v4.hpp>
#include <optional>
#include <utility>

#include "server/rpc/addresses.h"

namespace strata {
namespace {

using boost::asio::ip::address;

constexpr unsigned short kMappedBits = 96;  // before the IPv4 address in its mapped form

boost::asio::ip::address_v6 Mapped(const address& from) { return boost::asio::ip::address_v6(rpc::MappedBytes(from)); }

// Takes the first component off `path`; empty at its end. Slashes in a row count as one.
std::string_view TakeComponent(std::string_view& path) {
  const std::size_t begin = std::min(path.find_first_not_of('/'), path.size());
  const std::size_t end = std::min(path.find('/', begin), path.size());
  const std::string_view component = path.substr(begin, end - begin);
  path.remove_prefix(end);
  return component;
}

// How many components of `path` the export takes, and what is left; nothing where the path lies elsewhere.
std::optional<std::size_t> MatchExport(std::string_view export_path, std::string_view path, std::string_view& rest) {
  std::size_t components = 0;
  rest = path;
  while (true) {
    const std::string_view wanted = TakeComponent(export_path);
    if (wanted.empty()) break;
    if (TakeComponent(rest) != wanted) return std::nullopt;
    ++components;
  }
  const std::size_t begin = std::min(rest.find_first_not_of('/'), rest.size());
  rest.remove_prefix(begin);
  rest = rest.substr(0, rest.find_last_not_of('/') + 1);
  return components;
}

}  // namespace

Result<Cidr> Cidr::Parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  boost::system::error_code error;
  const address base = boost::asio::ip::make_address(std::string(text.substr(0, slash)), error);
  if (error) {
    return Fail(Errc::kInvalid,
                "'" + std::string(text) + "' is no IP address or range; write one such as 10.0.0.0/8 or ::1");
  }
  const std::string most = base.is_v4() ? "32" : "128";
  const std::string length = slash == std::string_view::npos ? most : std::string(text.substr(slash + 1));
  // Asio reads an int: more digits than these could be any number.
  const std::string range = base.to_string() + "/" + (length.size() <= most.size() ? length : "");
  Cidr cidr;
  if (base.is_v4()) {
    const auto v4 = boost::asio::ip::make_network_v4(range, error);
    cidr.network_ = {Mapped(base), static_cast<unsigned short>(kMappedBits + v4.prefix_length())};
  } else {
    cidr.network_ = boost::asio::ip::make_network_v6(range, error);
  }
  if (!error) return cidr;
  return Fail(Errc::kInvalid, "'" + std::string(text) + "': the length after '/' must be a number from 0 to " + most);
}

bool Cidr::Contains(const address& other) const {
  const boost::asio::ip::address_v6 tested = Mapped(other);
  // ::/0 is every IPv6 address, and no IPv4 one.
  if (tested.is_v4_mapped() != network_.address().is_v4_mapped()) return false;
  return boost::asio::ip::network_v6(tested, network_.prefix_length()).canonical() == network_.canonical();
}

std::string Cidr::ToString() const {
  if (!network_.address().is_v4_mapped()) return network_.to_string();
  const auto v4 = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, network_.address());
  return v4.to_string() + "/" + std::to_string(network_.prefix_length() - kMappedBits);
}

bool Export::AdmitsAddress(const rpc::Peer& peer) const {
  if (peer.local_socket || peer.address.is_loopback()) return true;
  return std::ranges::any_of(options.allow, [&peer](const Cidr& range) { return range.Contains(peer.address); });
}

bool Exports::AdmitsAddress(const rpc::Peer& peer) const {
  return std::ranges::any_of(exports_, [&peer](const Export& entry) { return entry.AdmitsAddress(peer); });
}

bool Export::Admits(const rpc::Peer& peer) const {
  if (!AdmitsAddress(peer)) return false;
  if (options.insecure_ports) return true;
  // What a privileged port shows of a TCP peer, its uid shows of a local one. The server's own user can read all of
  // this process anyway.
  if (peer.local_socket) return peer.local_uid == 0 || peer.local_uid == geteuid();
  return rpc::FromPrivilegedPort(peer);
}

vfs::Credentials Export::Squashed(const rpc::Call& call) const {
  if (call.anonymous || options.squash == Squash::kAll) {
    vfs::Credentials nobody;
    nobody.uid = options.anonymous_uid;
    nobody.gid = options.anonymous_gid;
    return nobody;
  }
  vfs::Credentials caller = call.credentials;
  if (options.squash == Squash::kRoot) {
    // As Linux does: the superuser, and the superuser's group wherever it stands.
    if (caller.uid == 0) caller.uid = options.anonymous_uid;
    if (caller.gid == 0) caller.gid = options.anonymous_gid;
    for (std::uint32_t i = 0; i < caller.group_count; ++i) {
      if (caller.groups[i] == 0) caller.groups[i] = options.anonymous_gid;
    }
  }
  return caller;
}

Result<void> Exports::Add(Export entry) {
  const std::string path = entry.options.path;
  if (entry.volume == nullptr) return Fail(Errc::kInvalid, "export '" + path + "' has no volume");
  if (path.empty() || path.front() != '/')
    return Fail(Errc::kInvalid, "export path '" + path + "' must begin with '/'");
  for (std::string_view rest = path; !rest.empty();) {
    const std::string_view component = TakeComponent(rest);
    if (component == "." || component == "..")
      return Fail(Errc::kInvalid, "export path '" + path + "' must not hold '.' or '..'");
  }
  if (FindVolume(entry.volume->Volume().id) != nullptr) {
    return Fail(Errc::kExists, "the volume of export '" + path + "' is exported already; a volume has one path");
  }
  for (const Export& other : exports_) {
    std::string_view rest, back;
    if (MatchExport(other.options.path, path, rest) && MatchExport(path, other.options.path, back)) {
      return Fail(Errc::kExists, "there is an export '" + path + "' already");
    }
  }
  exports_.push_back(std::move(entry));
  return {};
}

const Export* Exports::FindVolume(std::uint64_t volume_id) const {
  for (const Export& entry : exports_) {
    if (entry.volume->Volume().id == volume_id) return &entry;
  }
  return nullptr;
}

const Export* Exports::FindPath(std::string_view path, std::string_view* rest) const {
  const Export* best = nullptr;
  std::size_t best_components = 0;
  for (const Export& entry : exports_) {
    std::string_view after;
    const auto components = MatchExport(entry.options.path, path, after);
    if (!components || (best != nullptr && *components <= best_components)) continue;
    best = &entry;
    best_components = *components;
    *rest = after;
  }
  return best;
}

}  // namespace strata
