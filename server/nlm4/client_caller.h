// ClientCaller: calls the lock managers of clients. It tells those who waited that they have their lock, again and
// again until they have confirmed it, and sends the results of the calls that are answered by calls (the MSG forms).
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "server/nlm4/lock_table.h"
#include "server/rpc/call_thread.h"
#include "server/rpc/program.h"

namespace strata::nlm4 {

class ClientCaller {
 public:
  // Tells where the lock manager of the machine at `host` is, for calls over this transport: `done` with its port.
  using Locate = std::function<void(rpc::Client& client, const rpc::Address& host,
                                    std::move_only_function<void(Result<rpc::Address>)> done)>;

  // `calls` must be stopped before this is destroyed.
  ClientCaller(rpc::CallThread& calls, Locate locate);
  ClientCaller(const ClientCaller&) = delete;
  ClientCaller& operator=(const ClientCaller&) = delete;

  // From any thread: --------------------------------------------------------------------------------------------------

  // `table` tells whether a grant is still to be told of, and must outlive this.
  void Tell(LockTable& table, std::vector<Grant> grants);
  // One of the RES procedures with its arguments; lost where the client cannot be reached, as by a datagram.
  void SendResult(const rpc::Peer& host, std::uint32_t procedure, std::vector<std::byte> arguments);

  // The arguments of GRANTED and GRANTED_MSG; the cookie is the grant's id.
  static std::vector<std::byte> ArgumentsOf(const Grant& grant);
  static constexpr std::size_t kCookieBytes = 8;

 private:
  struct Telling;

  // On the thread:
  void TellNow(LockTable& table, const Grant& grant);
  void Attempt(const std::shared_ptr<Telling>& telling);
  void Answered(const std::shared_ptr<Telling>& telling, const Result<std::vector<std::byte>>& results);
  void AgainLater(const std::shared_ptr<Telling>& telling);
  void Call(const rpc::Address& host, rpc::OutgoingCall call, rpc::Client::Done done);

  rpc::CallThread& calls_;
  const Locate locate_;
  std::atomic<std::size_t> results_{0};  // on their way
  absl::flat_hash_map<std::uint64_t, std::shared_ptr<Telling>> tellings_;
};

}  // namespace strata::nlm4
