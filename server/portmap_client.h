// Asks port 111, here and on other machines, and tells the rpcbind of this machine what is served here (RFC 1833; spec
// nfsv3 2.3).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/portmap/registry.h"
#include "server/rpc/client.h"

namespace strata {

// Where this machine's port 111 is; others only in tests.
struct PortmapAddress {
  std::uint16_t port = 111;
  std::string socket_path = "/run/rpcbind.sock";
  // Where what others registered with the server's own responder is kept, for the next server of this machine: nobody
  // registers again because a server has ended. Empty: nowhere.
  std::string kept_path{};
};

// -- Without waiting: on the client's thread. --

using PortmapDone = std::move_only_function<void(Result<void>)>;

// RPCBPROC_SET: `uaddr` is a universal address of `netid` ("tcp", "udp", "tcp6", "udp6"). kExists: another address is
// registered; kNotFound: no rpcbind runs.
void RpcbindSet(rpc::Client& client, const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                const std::string& netid, const std::string& uaddr, PortmapDone done);
void RpcbindUnset(rpc::Client& client, const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                  const std::string& netid, PortmapDone done);
// All that the rpcbind of this machine has, as it was registered (RPCBPROC_DUMP).
void RpcbindDump(rpc::Client& client, const PortmapAddress& address,
                 std::move_only_function<void(Result<std::vector<portmap::Registration>>)> done);
// The same, by the socket alone.
void RpcbindDumpOfSocket(rpc::Client& client, const PortmapAddress& address,
                         std::move_only_function<void(Result<std::vector<portmap::Registration>>)> done);
// Asks port 111 of the host of `to` (`port` only in tests) for the program, by portmap version 2 (IPv4) or rpcbind
// version 4: `to` with its port. kNotSupported where it knows of none.
void FindProgram(rpc::Client& client, const rpc::Address& to, std::uint32_t program, std::uint32_t version,
                 std::move_only_function<void(Result<rpc::Address>)> done, std::uint16_t port = 111);

// -- Waiting, for up to some seconds: at the start and the end. --

// Whether an rpcbind answers, by its socket or on the loopback address.
bool RpcbindRuns(const PortmapAddress& address);
Result<void> RpcbindSet(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                        const std::string& netid, const std::string& uaddr);
Result<void> RpcbindUnset(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                          const std::string& netid);
Result<std::vector<portmap::Registration>> RpcbindDumpOfSocket(const PortmapAddress& address);

}  // namespace strata
