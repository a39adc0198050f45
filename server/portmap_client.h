// A client of the rpcbind of this machine: tells it what is served here (RFC 1833; spec nfsv3 2.3).
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace strata {

// Where port 111 is; others only in tests.
struct PortmapAddress {
  std::uint16_t port = 111;
  std::string socket_path = "/run/rpcbind.sock";
};

// Whether an rpcbind answers, by its socket or on the loopback address.
bool RpcbindRuns(const PortmapAddress& address);

// RPCBPROC_SET: `uaddr` is a universal address of `netid` ("tcp", "udp", "tcp6", "udp6"). kExists: another address is
// registered; kNotFound: no rpcbind runs.
Result<void> RpcbindSet(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                        const std::string& netid, const std::string& uaddr);
Result<void> RpcbindUnset(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                          const std::string& netid);

}  // namespace strata
