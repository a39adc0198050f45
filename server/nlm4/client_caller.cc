#include "server/nlm4/client_caller.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "server/nlm4/program.h"
#include "server/nlm4/protocol.h"
#include "server/rpc/reply_buffer.h"

namespace strata::nlm4 {
namespace {

using std::chrono::milliseconds;

// How long the client has to confirm a grant before it is told again; each time twice as long.
constexpr milliseconds kFirstPause{1000}, kLongestPause{30'000};
// On their way at a time; what comes beyond is lost.
constexpr std::size_t kMostResults = 4096;

log::RateLimit unreachable;

rpc::Address AddressOf(const boost::asio::ip::address& host, const boost::asio::ip::address& from, bool datagram) {
  return {.transport = datagram ? rpc::Address::Transport::kUdp : rpc::Address::Transport::kTcp,
          .host = host,
          .port = 0,
          .from = from};
}

}  // namespace

struct ClientCaller::Telling {
  Telling(boost::asio::io_context& context, LockTable& the_table, Grant the_grant)
      : table(the_table), grant(std::move(the_grant)), timer(context) {}
  LockTable& table;
  const Grant grant;
  boost::asio::steady_timer timer;
  milliseconds pause = kFirstPause;
};

ClientCaller::ClientCaller(rpc::CallThread& calls, Locate locate) : calls_(calls), locate_(std::move(locate)) {}

void ClientCaller::Tell(LockTable& table, std::vector<Grant> grants) {
  calls_.Run([this, &table, grants = std::move(grants)] {
    for (const Grant& grant : grants) TellNow(table, grant);
  });
}

void ClientCaller::TellNow(LockTable& table, const Grant& grant) {
  const auto telling = std::make_shared<Telling>(calls_.context(), table, grant);
  tellings_[grant.id] = telling;
  Attempt(telling);
}

void ClientCaller::Attempt(const std::shared_ptr<Telling>& telling) {
  const Grant& grant = telling->grant;
  if (!telling->table.Unconfirmed(grant.id)) {
    tellings_.erase(grant.id);
    return;
  }
  rpc::OutgoingCall call{.program = kNlmProgram,
                         .version = kNlmVersion,
                         .procedure = grant.back.message ? kGrantedMsg : kGranted,
                         .arguments = ArgumentsOf(grant),
                         .privileged_port = true,
                         .one_way = grant.back.message};
  Call(AddressOf(grant.address, grant.back.local, grant.back.datagram), std::move(call),
       [this, telling](const Result<std::vector<std::byte>>& results) { Answered(telling, results); });
}

void ClientCaller::Answered(const std::shared_ptr<Telling>& telling, const Result<std::vector<std::byte>>& results) {
  const Grant& grant = telling->grant;
  if (!results) {
    if (unreachable.Allow()) {
      log::Warning("lock_grant_not_told",
                   {{"client", grant.name}, {"address", grant.address.to_string()}, {"error", results.error()}});
    }
    return AgainLater(telling);
  }
  if (grant.back.message) return AgainLater(telling);  // until GRANTED_RES has come
  rpc::XdrReader in(*results);
  ReadCookie(in);
  const auto status = static_cast<Stat>(in.U32());
  if (!in.Finished() || (status != Stat::kGranted && status != Stat::kDenied)) return AgainLater(telling);
  telling->table.Confirm(grant.id, status == Stat::kGranted);
  tellings_.erase(grant.id);
}

void ClientCaller::AgainLater(const std::shared_ptr<Telling>& telling) {
  telling->timer.expires_after(telling->pause);
  telling->pause = std::min(2 * telling->pause, kLongestPause);
  telling->timer.async_wait([this, telling](boost::system::error_code stopped) {
    if (!stopped) Attempt(telling);
  });
}

void ClientCaller::SendResult(const rpc::Peer& host, std::uint32_t procedure, std::vector<std::byte> arguments) {
  if (results_.fetch_add(1) >= kMostResults) {
    results_.fetch_sub(1);
    return;
  }
  calls_.Run([this, to = AddressOf(host.address, host.local, host.datagram), procedure,
              arguments = std::move(arguments)]() mutable {
    Call(to,
         {.program = kNlmProgram,
          .version = kNlmVersion,
          .procedure = procedure,
          .arguments = std::move(arguments),
          .privileged_port = true,
          .one_way = true},
         [this](const Result<std::vector<std::byte>>&) { results_.fetch_sub(1); });
  });
}

void ClientCaller::Call(const rpc::Address& host, rpc::OutgoingCall call, rpc::Client::Done done) {
  locate_(calls_.client(), host,
          [this, call = std::move(call), done = std::move(done)](Result<rpc::Address> found) mutable {
            if (!found) return done(Fail(found.error()));
            calls_.client().Call(*found, std::move(call), std::move(done));
          });
}

std::vector<std::byte> ClientCaller::ArgumentsOf(const Grant& grant) {
  rpc::ReplyBuffer out(4096);
  std::byte cookie[kCookieBytes];
  rpc::StoreBe64(cookie, grant.id);
  out.Opaque(cookie);
  out.Bool(grant.exclusive);
  out.Text(grant.name);
  out.Opaque(grant.back.handle);
  out.Opaque(grant.owner);
  out.U32(grant.svid);
  out.U64(grant.range.first);
  out.U64(WireLength(grant.range));
  return out.Bytes();
}

}  // namespace strata::nlm4
