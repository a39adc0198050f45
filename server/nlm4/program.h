// The network lock manager, version 4 (XNFS appendix; RFC 1813 appendix II; spec nfsv3 7): byte-range locks and deny
// modes for NFSv3's clients.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "server/exports.h"
#include "server/nlm4/lock_table.h"
#include "server/rpc/program.h"

namespace strata {

inline constexpr std::uint32_t kNlmProgram = 100021;

// Sends the results of a call that is answered by a call: the RES procedure, to the lock manager of the caller's host.
using SendLockResult = std::function<void(const boost::asio::ip::address& host, bool datagram, std::uint32_t procedure,
                                          std::vector<std::byte> arguments)>;

// `exports` and `locks` must outlive the program. `locks` null: every lock is refused (NLM4_DENIED_NOLOCKS), at once.
std::unique_ptr<rpc::Program> MakeNlm4Program(const Exports& exports, nlm4::LockTable* locks, SendLockResult send);

}  // namespace strata
