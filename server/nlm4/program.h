// The network lock manager, version 4 (XNFS appendix; RFC 1813 appendix II; spec nfsv3 7): byte-range locks and deny
// modes for NFSv3's clients.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "server/exports.h"
#include "server/nlm4/client_monitor.h"
#include "server/nlm4/lock_table.h"
#include "server/rpc/program.h"

namespace strata {

inline constexpr std::uint32_t kNlmProgram = 100021;

// Sends the results of a call that is answered by a call: the RES procedure, to the lock manager of the caller's host.
using SendLockResult =
    std::function<void(const rpc::Peer& host, std::uint32_t procedure, std::vector<std::byte> arguments)>;

// The locks that are granted. Without a table each is refused (NLM4_DENIED_NOLOCKS), at once.
struct Nlm4Locks {
  nlm4::LockTable* table = nullptr;
  nlm4::ClientMonitor* monitor = nullptr;  // where there is a table
  SendLockResult send;
};

// `exports`, table and monitor must outlive the program.
std::unique_ptr<rpc::Program> MakeNlm4Program(const Exports& exports, Nlm4Locks locks);

}  // namespace strata
