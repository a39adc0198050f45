#include "cli/serve_options.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/unique_fd.h"
#include "server/rpc/port_owner.h"

namespace strata::cli {
namespace {

using Units = std::map<std::string, std::uint64_t>;

constexpr std::uint16_t kStandardPort = 2049;
// What is kept in 64 bits with a sign, and added up.
constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
constexpr std::uint64_t kSecond = 1'000'000'000;

// "ADDR:PORT", "[V6ADDR]:PORT", "ADDR" (port 2049) or ":PORT" (127.0.0.1).
Result<Endpoint> ParseEndpoint(const std::string& text) {
  auto wrong = [&](std::string_view why) {
    return Fail(Errc::kInvalid, "--listen " + text + ": " + std::string(why) +
                                    "; give ADDR:PORT, such as 127.0.0.1:2049 or [::1]:2049");
  };
  Endpoint endpoint{"127.0.0.1", kStandardPort};
  std::string address = text, port;
  if (!text.empty() && text[0] == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string::npos) return wrong("no ']'");
    address = text.substr(1, close - 1);
    if (close + 1 < text.size()) {
      if (text[close + 1] != ':') return wrong("no ':' after ']'");
      port = text.substr(close + 2);
    }
  } else if (const std::size_t colon = text.rfind(':'); colon != std::string::npos && colon == text.find(':')) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (!address.empty()) endpoint.address = address;
  in6_addr parsed;
  if (::inet_pton(AF_INET, endpoint.address.c_str(), &parsed) != 1 &&
      ::inet_pton(AF_INET6, endpoint.address.c_str(), &parsed) != 1) {
    return wrong("not a numeric address");
  }
  if (!port.empty()) {
    if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos) return wrong("not a port");
    const unsigned long number = std::stoul(port);
    if (number > 65535) return wrong("not a port");
    endpoint.port = static_cast<std::uint16_t>(number);
  }
  return endpoint;
}

// A number and one of the units behind it; nothing for anything else, for 0, and for more than is kept.
std::optional<std::uint64_t> ParseQuantity(std::string text, const Units& units) {
  // CLI11 takes a unit alone, spaces, signs, and numbers to other bases as well.
  const std::size_t unit = text.find_first_not_of("0123456789"), first = text.find_first_not_of('0');
  if (unit == text.npos || first == unit || !units.contains(text.substr(unit))) return std::nullopt;
  text.erase(0, first);
  try {
    const std::string wrong = CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE)(text);
    std::uint64_t number = 0;
    if (!wrong.empty() || !CLI::detail::lexical_cast(text, number) || number > kMost) return std::nullopt;
    return number;
  } catch (const CLI::ValidationError&) {
    return std::nullopt;  // the number is none, or too large
  }
}

const Units& SizeUnits() {
  static const Units units = {{"K", 1ULL << 10}, {"M", 1ULL << 20}, {"G", 1ULL << 30}, {"T", 1ULL << 40}};
  return units;
}

std::optional<std::uint64_t> ParseDuration(const std::string& text) {
  return ParseQuantity(text, {{"s", kSecond}, {"m", 60 * kSecond}, {"h", 3600 * kSecond}, {"d", 86400 * kSecond}});
}

// "256", "256M", "1G", "65536K".
Result<std::uint64_t> ParseMemory(const std::string& text) {
  constexpr std::uint64_t kLeast = 16 << 20, kLargest = 1ULL << 40;
  const bool bare = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  const auto size = ParseQuantity(bare ? text + "M" : text, SizeUnits());
  if (size && *size >= kLeast && *size <= kLargest) return *size;
  return Fail(Errc::kInvalid,
              "--memory " + text + ": not a size that can be served with; give one from 16M to 1024G, such as 256M");
}

Result<vfs::HistoryPolicy> ParseHistory(const std::string& text) {
  if (text == "none") return vfs::HistoryPolicy{};
  if (text == "all") return vfs::HistoryPolicy{.all = true};
  if (const auto age = ParseDuration(text)) return vfs::HistoryPolicy{.age_ns = static_cast<std::int64_t>(*age)};
  if (const auto bytes = ParseQuantity(text, SizeUnits())) return vfs::HistoryPolicy{.bytes = *bytes};
  return Fail(Errc::kInvalid,
              "--history " + text +
                  ": give none, all, a time such as 12h or 7d (s, m, h, d), or a size such as 10G (K, M, G, T)");
}

// Whether ::1 can be bound: containers often have no IPv6.
bool HasIpv6Loopback() {
  const UniqueFd socket(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  return socket && ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

std::optional<std::uint64_t> ParseSize(const std::string& text) { return ParseQuantity(text, SizeUnits()); }

std::string ShownHost(const Endpoint& endpoint) {
  const bool v6 = endpoint.address.find(':') != std::string::npos;
  return v6 ? "[" + endpoint.address + "]" : endpoint.address;
}

std::string Shown(const Endpoint& endpoint) { return ShownHost(endpoint) + ":" + std::to_string(endpoint.port); }

Result<Serving> ParseServing(const ServeArguments& arguments) {
  Serving serving;
  serving.server.listen.clear();
  for (const std::string& text : arguments.listen) {
    STRATA_ASSIGN(Endpoint endpoint, ParseEndpoint(text));
    serving.server.listen.push_back(std::move(endpoint));
  }
  for (const std::string& text : arguments.allow) {
    STRATA_ASSIGN(Cidr cidr, Cidr::Parse(text));
    serving.exported.allow.push_back(std::move(cidr));
  }
  vfs::WorkspaceOptions& options = serving.options;
  STRATA_ASSIGN(options.memory_bytes, ParseMemory(arguments.memory));
  STRATA_ASSIGN(options.history, ParseHistory(arguments.history));
  const auto interval = ParseDuration(arguments.relaxed_interval);
  if (!interval) {
    return Fail(Errc::kInvalid,
                "--relaxed-interval " + arguments.relaxed_interval + ": give a time such as 1s or 2m (s, m, h, d)");
  }
  options.relaxed_interval_ns = static_cast<std::int64_t>(*interval);
  options.read_only = arguments.read_only;
  options.rebase = arguments.rebase;
  options.list_roots = arguments.list_roots;
  options.show_xattr = !arguments.no_show_xattr;
  options.share_inodes = arguments.share_inodes;
  serving.control_tree = !arguments.no_control_tree;
  options.durability = arguments.durability == "relaxed" ? vfs::Durability::kRelaxed : vfs::Durability::kStrict;
  const vfs::MemoryBudget budget = vfs::MemoryBudget::Of(options.memory_bytes);
  serving.server.duplicate_cache_bytes = budget.server / 4;
  serving.server.max_buffered_bytes = budget.server / 4 * 3;
  serving.server.max_lock_bytes = budget.locks;
  return serving;
}

Result<void> DecideAccess(const ServeArguments& arguments, Serving& serving) {
  ServerOptions& options = serving.server;
  const bool beyond_loopback = !std::all_of(options.listen.begin(), options.listen.end(), IsLoopback);
  if (beyond_loopback && serving.exported.allow.empty()) {
    return Fail(Errc::kInvalid,
                "listening beyond loopback lets others in: say whom with --allow CIDR, such as --allow 192.168.1.0/24");
  }
  if (options.listen.empty()) {
    options.listen.push_back({"127.0.0.1", kStandardPort});
    if (HasIpv6Loopback()) options.listen.push_back({"::1", kStandardPort});
  }
  serving.exported.insecure_ports = arguments.insecure_ports;
  options.locks = arguments.locks == "on";
  if (!arguments.insecure_ports) STRATA_TRY(rpc::CheckOwnersCanBeTold());
  serving.exported.squash = beyond_loopback && !arguments.no_root_squash ? Squash::kRoot : Squash::kNone;
  // Port 111 tells where port 2049 is; other ports are named in the mount command.
  if (arguments.portmap == "auto" && options.listen[0].port == kStandardPort && ::geteuid() == 0)
    options.portmap = PortmapMode::kAuto;
  return {};
}

}  // namespace strata::cli
