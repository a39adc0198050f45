#include "server/nsm/monitor.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "base/log.h"
#include "server/nlm4/program.h"
#include "server/nlm4/protocol.h"
#include "server/nsm/protocol.h"
#include "server/rpc/addresses.h"
#include "server/rpc/reply_buffer.h"
#include "server/rpc/xdr.h"

namespace strata::nsm {
namespace {

using boost::asio::ip::address, boost::asio::ip::address_v4;
using std::chrono::milliseconds;

log::RateLimit unwatched;
// rpc.statd asks the domain name system for each name that it hears, and for nothing else meanwhile.
constexpr milliseconds kStatdPatience{30'000};
constexpr std::size_t kMostAtStatd = 8;  // of its clients at a time, so that other calls find room
constexpr milliseconds kFirstPause{500}, kLongestPause{30'000}, kLook{100};
log::RateLimit restarted;  // a client may say so in a loop

// What the clients' monitors may know this machine by; they go by the address first.
std::string HostName() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::vector<std::byte> NotifyArguments(std::uint32_t state) {
  rpc::ReplyBuffer out(512);
  out.Text(HostName());
  out.U32(state);
  return out.Bytes();
}

// What SM_MON and SM_UNMON begin with: who is watched, and which procedure is to be called then.
void PutWatch(rpc::ReplyBuffer& out, const address& client) {
  out.Text(client.to_string());
  out.Text(HostName());
  out.U32(kNlmProgram);
  out.U32(nlm4::kNlmVersion);
  out.U32(nlm4::kSmNotify);
}

bool IsMonitored(const rpc::Peer& client) { return !client.local_socket && !client.address.is_unspecified(); }

}  // namespace

struct Monitor::Telling {
  Telling(boost::asio::io_context& context, MonitoredClient the_client) : who(std::move(the_client)), timer(context) {}
  const MonitoredClient who;
  boost::asio::steady_timer timer;
  milliseconds pause = kFirstPause;
  std::optional<Instant> told, reclaimed, nobody_since;
  bool over = false;  // told, or there is nobody to tell

  // Whether it has claimed all that it will.
  bool Finished(const MonitorTimes& times, Instant now) const {
    if (!over) return false;
    if (reclaimed) return now - *reclaimed >= times.quiet;
    return !told || now - *told >= times.first;
  }
};

Monitor::Monitor(rpc::CallThread& calls, Locate locate, nlm4::LockTable& locks, MonitoredClients& clients,
                 bool uses_statd, bool recovers, const MonitorTimes& times)
    : calls_(calls),
      locate_(std::move(locate)),
      locks_(locks),
      clients_(clients),
      uses_statd_(uses_statd),
      times_(times),
      grace_timer_(calls.context()),
      sweep_timer_(calls.context()) {
  if (!recovers || clients_.All().empty()) return;
  recovering_.store(true);
  locks_.SetGrace(true);
}

void Monitor::Begin() {
  if (clients_.All().empty()) return;
  calls_.Run([this] {
    SweepLater();
    AskStatd();
    if (!recovering()) return;
    for (MonitoredClient& client : clients_.All()) {
      const auto telling = std::make_shared<Telling>(calls_.context(), std::move(client));
      tellings_[telling->who.client] = telling;
      Tell(telling);
    }
    log::Info("locks_recovering", {{"clients", tellings_.size()}, {"state", clients_.state()}});
    LookAtGrace();
  });
}

void Monitor::Tell(const std::shared_ptr<Telling>& telling) {
  const rpc::Address host{
      .transport = rpc::Address::Transport::kUdp, .host = telling->who.client, .port = 0, .from = telling->who.server};
  locate_(calls_.client(), host, kNsmProgram, kNsmVersion, [this, telling](Result<rpc::Address> found) {
    if (!found) return Told(telling, Fail(found.error()));
    calls_.client().Call(*found,
                         {.program = kNsmProgram,
                          .version = kNsmVersion,
                          .procedure = kNotify,
                          .arguments = NotifyArguments(clients_.state()),
                          .privileged_port = true},
                         [this, telling](const Result<std::vector<std::byte>>& answer) { Told(telling, answer); });
  });
}

void Monitor::Told(const std::shared_ptr<Telling>& telling, const Result<std::vector<std::byte>>& answer) {
  const Instant now = std::chrono::steady_clock::now();
  if (answer) {
    telling->told = now;
    telling->over = true;
    return;
  }
  const Errc code = answer.error().code();
  const bool nobody = code == Errc::kNotFound || code == Errc::kNotSupported;
  if (!nobody) telling->nobody_since.reset();
  if (nobody && !telling->nobody_since) telling->nobody_since = now;
  const bool absent = nobody && now - *telling->nobody_since >= times_.absent;
  if (!absent && now - begun_ < times_.telling) return TellAgain(telling);
  telling->over = true;
  log::Warning("lock_client_not_told",
               {{"client", telling->who.client.to_string()},
                {"error", answer.error()},
                {"hint", "what it had locked it has lost; let rpc.statd run there, or mount anew"}});
}

void Monitor::TellAgain(const std::shared_ptr<Telling>& telling) {
  telling->timer.expires_after(telling->pause);
  telling->pause = std::min(2 * telling->pause, kLongestPause);
  telling->timer.async_wait([this, telling](boost::system::error_code stopped) {
    if (!stopped) Tell(telling);
  });
}

void Monitor::LookAtGrace() {
  const Instant now = std::chrono::steady_clock::now();
  const auto unfinished =
      std::ranges::count_if(tellings_, [&](const auto& entry) { return !entry.second->Finished(times_, now); });
  if (unfinished == 0 || now - begun_ >= times_.grace) {
    recovering_.store(false);
    locks_.SetGrace(false);
    const auto reclaimed =
        std::ranges::count_if(tellings_, [](const auto& entry) { return entry.second->reclaimed.has_value(); });
    log::Info("locks_recovered", {{"clients", tellings_.size()},
                                  {"reclaimed", reclaimed},
                                  {"unfinished", unfinished},
                                  {"ms", std::chrono::duration_cast<milliseconds>(now - begun_).count()}});
    return;
  }
  grace_timer_.expires_after(std::min(kLook, times_.quiet));
  grace_timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped) LookAtGrace();
  });
}

MonitoredClients::InUse Monitor::InUse() const {
  MonitoredClients::InUse used;
  for (const address& machine : locks_.Machines()) used.insert(machine);
  for (const auto& [client, telling] : tellings_) {
    if (!telling->over) used.insert(client);
  }
  // Also where a start failed before anybody could be told.
  if (recovering()) {
    for (const MonitoredClient& one : clients_.All()) used.insert(one.client);
  }
  return used;
}

void Monitor::SweepLater() {
  if (std::exchange(sweeping_, true)) return;
  sweep_timer_.expires_after(times_.sweep);
  sweep_timer_.async_wait([this](boost::system::error_code stopped) {
    if (stopped) return;
    sweeping_ = false;
    if (!recovering()) absl::erase_if(tellings_, [](const auto& entry) { return entry.second->over; });
    clients_.DropUnless([this] { return InUse(); });
    AskStatd();
    if (!clients_.All().empty()) SweepLater();
  });
}

void Monitor::AskStatd() {
  if (!uses_statd_) return;
  MonitoredClients::InUse monitored;
  for (const MonitoredClient& one : clients_.All()) {
    // What starts this machine anew starts the server anew.
    if (one.client.is_loopback() || one.client == one.server) continue;
    monitored.insert(one.client);
    if (!watched_by_statd_.contains(one.client)) CallStatd(one.client, true);
  }
  std::vector<address> others;
  std::ranges::copy_if(watched_by_statd_, std::back_inserter(others),
                       [&](const address& client) { return !monitored.contains(client); });
  for (const address& client : others) CallStatd(client, false);
}

void Monitor::CallStatd(const address& client, bool watch) {
  // Others have their turn once one has ended.
  if (asked_of_statd_.size() >= kMostAtStatd || !asked_of_statd_.insert(client).second) return;
  const rpc::Address here{.transport = rpc::Address::Transport::kUdp, .host = address_v4::loopback()};
  locate_(calls_.client(), here, kNsmProgram, kNsmVersion, [this, client, watch](Result<rpc::Address> found) {
    if (!found) {  // none runs
      asked_of_statd_.erase(client);
      return;
    }
    rpc::ReplyBuffer out(1024);
    PutWatch(out, client);
    const auto cookie = rpc::MappedBytes(client);  // as nlm4::kMonitorCookie says
    if (watch) out.Fixed(std::as_bytes(std::span(cookie)));
    calls_.client().Call(*found,
                         {.program = kNsmProgram,
                          .version = kNsmVersion,
                          .procedure = watch ? kMon : kUnmon,
                          .arguments = out.Bytes(),
                          .privileged_port = true,
                          .timeout = kStatdPatience},
                         [this, client, watch](const Result<std::vector<std::byte>>& answer) {
                           asked_of_statd_.erase(client);
                           if (!watch) {
                             watched_by_statd_.erase(client);
                             return AskStatd();
                           }
                           constexpr std::uint32_t kSuccess = 0;
                           const bool done = answer && rpc::XdrReader(*answer).U32() == kSuccess;
                           if (done) {
                             watched_by_statd_.insert(client);
                             AskStatd();
                           } else if (unwatched.Allow()) {
                             log::Warning("lock_client_not_watched",
                                          {{"client", client.to_string()},
                                           {"error", answer ? "rpc.statd of this machine refuses"
                                                            : std::string(answer.error().message())},
                                           {"then", "tried again; its locks stay when it starts anew"}});
                           }
                         });
  });
}

void Monitor::End() {
  clients_.DropUnless([this] { return InUse(); });
}

bool Monitor::Has(const rpc::Peer& client) const { return !IsMonitored(client) || clients_.Has(client.address); }

Result<void> Monitor::Add(const rpc::Peer& client) {
  STRATA_TRY(clients_.Add({client.address, client.local}));
  calls_.Run([this] {
    SweepLater();
    AskStatd();
  });
  return {};
}

void Monitor::Reclaimed(const address& client) {
  calls_.Run([this, client] {
    const auto found = tellings_.find(client);
    if (found != tellings_.end()) found->second->reclaimed = std::chrono::steady_clock::now();
  });
}

void Monitor::Restarted(const address& client, std::string_view name) {
  if (restarted.Allow()) log::Info("lock_client_restarted", {{"client", client.to_string()}, {"name", name}});
  locks_.ReleaseMachine(client, name);
}

void Monitor::Notified(const address& client, std::string_view name, std::uint32_t state) {
  if (!clients_.Has(client)) return;
  {
    const MutexLock lock(mutex_);
    if (states_.size() >= MonitoredClients::kMost) states_.clear();
    const auto [known, fresh] = states_.try_emplace(client, state);
    if (!fresh && std::exchange(known->second, state) == state) return;
  }
  Restarted(client, name);
}

}  // namespace strata::nsm
