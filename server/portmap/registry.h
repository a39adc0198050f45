// Registry: which RPC program listens where, as portmap version 2 and rpcbind versions 3 and 4 tell it (RFC 1833; spec
// nfsv3 2.3).
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace strata::portmap {

struct Registration {
  std::uint32_t program = 0;
  std::uint32_t version = 0;
  std::string netid;  // "tcp", "udp", "tcp6", "udp6" or "local"
  std::string uaddr;  // universal address: "127.0.0.1.8.1" is port 2049; of "local" a path
  std::string owner;  // "superuser", or a uid in decimal
  friend bool operator==(const Registration&, const Registration&) = default;
};

inline constexpr std::size_t kMaxRegistrations = 1024;
// The owner of what the server itself registers: no client can unset it.
inline constexpr std::string_view kOwnOwner = "strata";

struct SocketAddress {
  boost::asio::ip::address address;
  std::uint16_t port = 0;
};

// Of a transport over IP: "tcp", "udp", "tcp6" or "udp6".
std::string NetidOf(const boost::asio::ip::address& address, bool datagram);

// RFC 5665 5.2.3.3: "h1.h2.h3.h4.p1.p2", or the IPv6 text form and ".p1.p2".
std::string FormatUniversalAddress(const SocketAddress& address);
// Nothing for text that is none.
std::optional<SocketAddress> ParseUniversalAddress(std::string_view uaddr);

// Thread-safe.
class Registry {
 public:
  // Registers a service of this process for the netid that fits the address: udp or udp6 with `datagram`, else tcp or
  // tcp6.
  void AddOwn(std::uint32_t program, std::uint32_t version, const SocketAddress& address, bool datagram);

  // False if (program, version, netid) is there already with another address, the registry is full, or a field is
  // malformed or too long. The lock manager and the status monitor may be there twice: the server's own and another's.
  bool Set(Registration registration);
  // Removes (program, version, netid), of all netids where it is empty, as far as `owner` owns them ("superuser" owns
  // all but the server's own). False if nothing was removed.
  bool Unset(std::uint32_t program, std::uint32_t version, std::string_view netid, std::string_view owner);
  // The registration of the program for the netid: of this version, or, unless `exact`, of any other where there is
  // none. The server's own comes before another's, but for the status monitor: that is another's where there is one,
  // and who asks on this machine (`here`) looks for no other.
  std::optional<Registration> Find(std::uint32_t program, std::uint32_t version, std::string_view netid, bool exact,
                                   bool here = false) const;
  // What another registered, whatever the server itself has.
  std::optional<Registration> FindOthers(std::uint32_t program, std::uint32_t version, std::string_view netid) const;
  // All of them; for who asks on this machine (`here`) without the server's own status monitor.
  std::vector<Registration> All(bool here = false) const;
  // What others registered here.
  std::vector<Registration> Others() const;

  // Whether this is the list of this registry, as who asks on this machine gets it.
  bool IsOfThis(const std::vector<Registration>& all) const;
  // What is registered with an rpcbind that holds the machine's socket, though this process holds port 111: it was
  // started later. In place of what was so before.
  void SetElsewhere(std::vector<Registration> registrations);

  // `changed` is called after each change by others, without locks. To be set before the registry is used.
  void OnChange(std::function<void()> changed) { changed_ = std::move(changed); }

 private:
  // Of both.
  template <typename Visit>
  void ForEach(Visit visit) const STRATA_REQUIRES(mutex_) {
    for (const Registration& entry : entries_) visit(entry);
    for (const Registration& entry : elsewhere_) visit(entry);
  }

  std::function<void()> changed_;
  mutable Mutex mutex_;
  std::vector<Registration> entries_ STRATA_GUARDED_BY(mutex_);  // in the order of arrival
  std::vector<Registration> elsewhere_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::portmap
