#include "server/portmap/registry.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "server/nsm/protocol.h"

namespace strata::portmap {
namespace {

// The lock manager: a client on this machine has one of its own, under the same number. Clients are told of the
// server's; the server finds theirs.
constexpr std::uint32_t kLockManager = 100021;

bool IsOwn(const Registration& entry) { return entry.owner == kOwnOwner; }
// The status monitor is rpc.statd, one for all of this machine, also for the server. The server's own is for other
// machines, where rpc.statd does not run.
bool IsShared(const Registration& entry) { return entry.program == kLockManager || entry.program == kNsmProgram; }
bool IsHidden(const Registration& entry, bool here) { return here && entry.program == kNsmProgram && IsOwn(entry); }
constexpr std::size_t kMaxFieldBytes = 108;  // that of a socket's path, the longest that a universal address can be

bool Printable(std::string_view text) {
  return text.size() <= kMaxFieldBytes && std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

// Takes the decimal number after the last dot off `text`.
std::optional<unsigned> TakeLastNumber(std::string_view& text) {
  const std::size_t dot = text.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view digits = text.substr(dot + 1);
  unsigned number = 0;
  const auto [end, wrong] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (wrong != std::errc{} || end != digits.data() + digits.size() || number > 255) return std::nullopt;
  text = text.substr(0, dot);
  return number;
}

}  // namespace

std::string NetidOf(const boost::asio::ip::address& address, bool datagram) {
  return std::string(datagram ? "udp" : "tcp") + (address.is_v6() ? "6" : "");
}

std::string FormatUniversalAddress(const SocketAddress& address) {
  return address.address.to_string() + "." + std::to_string(address.port >> 8) + "." +
         std::to_string(address.port & 255);
}

std::optional<SocketAddress> ParseUniversalAddress(std::string_view uaddr) {
  const auto low = TakeLastNumber(uaddr);
  const auto high = low ? TakeLastNumber(uaddr) : std::nullopt;
  if (!high) return std::nullopt;
  SocketAddress parsed;
  boost::system::error_code error;
  parsed.address = boost::asio::ip::make_address(std::string(uaddr), error);
  if (error) return std::nullopt;
  parsed.port = static_cast<std::uint16_t>(*high << 8 | *low);
  return parsed;
}

void Registry::AddOwn(std::uint32_t program, std::uint32_t version, const SocketAddress& address, bool datagram) {
  Registration own;
  own.program = program;
  own.version = version;
  own.netid = NetidOf(address.address, datagram);
  own.uaddr = FormatUniversalAddress(address);
  own.owner = kOwnOwner;
  const MutexLock lock(mutex_);
  if (entries_.size() < kMaxRegistrations) entries_.push_back(std::move(own));
}

bool Registry::Set(Registration registration) {
  if (registration.netid.empty() || registration.uaddr.empty() || !Printable(registration.netid) ||
      !Printable(registration.uaddr) || !Printable(registration.owner)) {
    return false;
  }
  {
    const MutexLock lock(mutex_);
    for (const Registration& entry : entries_) {
      if (IsShared(entry) && IsOwn(entry)) continue;
      if (entry.program == registration.program && entry.version == registration.version &&
          entry.netid == registration.netid) {
        return entry.uaddr == registration.uaddr;
      }
    }
    if (entries_.size() >= kMaxRegistrations) return false;
    entries_.push_back(std::move(registration));
  }
  if (changed_) changed_();
  return true;
}

bool Registry::Unset(std::uint32_t program, std::uint32_t version, std::string_view netid, std::string_view owner) {
  {
    const MutexLock lock(mutex_);
    const std::size_t removed = std::erase_if(entries_, [&](const Registration& entry) {
      return entry.program == program && entry.version == version && (netid.empty() || entry.netid == netid) &&
             !IsOwn(entry) && (owner == "superuser" || entry.owner == owner);
    });
    if (removed == 0) return false;
  }
  if (changed_) changed_();
  return true;
}

std::optional<Registration> Registry::Find(std::uint32_t program, std::uint32_t version, std::string_view netid,
                                           bool exact, bool here) const {
  const MutexLock lock(mutex_);
  const Registration* best = nullptr;
  const auto rank = [version](const Registration& entry) {
    const bool first = IsOwn(entry) != (entry.program == kNsmProgram);
    return (entry.version == version ? 2 : 0) + (first ? 1 : 0);
  };
  ForEach([&](const Registration& entry) {
    if (entry.program != program || entry.netid != netid || (exact && entry.version != version)) return;
    if (IsHidden(entry, here)) return;
    if (best == nullptr || rank(entry) > rank(*best)) best = &entry;
  });
  if (best == nullptr) return std::nullopt;
  return *best;
}

std::optional<Registration> Registry::FindOthers(std::uint32_t program, std::uint32_t version,
                                                 std::string_view netid) const {
  const MutexLock lock(mutex_);
  // What was registered with the other is newer.
  std::optional<Registration> found;
  ForEach([&](const Registration& entry) {
    if (entry.program == program && entry.version == version && entry.netid == netid && !IsOwn(entry)) found = entry;
  });
  return found;
}

std::vector<Registration> Registry::All(bool here) const {
  const MutexLock lock(mutex_);
  std::vector<Registration> all;
  ForEach([&](const Registration& entry) {
    if (!IsHidden(entry, here)) all.push_back(entry);
  });
  return all;
}

bool Registry::IsOfThis(const std::vector<Registration>& all) const {
  // No two processes serve at the same place.
  const MutexLock lock(mutex_);
  return std::ranges::all_of(entries_, [&](const Registration& entry) {
    return !IsOwn(entry) || IsHidden(entry, true) || std::ranges::find(all, entry) != all.end();
  });
}

void Registry::SetElsewhere(std::vector<Registration> registrations) {
  // Of another such server only what registered with it.
  std::erase_if(registrations, [](const Registration& entry) {
    return IsOwn(entry) || !Printable(entry.netid) || !Printable(entry.uaddr) || !Printable(entry.owner);
  });
  if (registrations.size() > kMaxRegistrations) registrations.resize(kMaxRegistrations);
  const MutexLock lock(mutex_);
  elsewhere_ = std::move(registrations);
}

std::vector<Registration> Registry::Others() const {
  const MutexLock lock(mutex_);
  std::vector<Registration> others;
  std::ranges::copy_if(entries_, std::back_inserter(others), [](const Registration& entry) { return !IsOwn(entry); });
  return others;
}

}  // namespace strata::portmap
