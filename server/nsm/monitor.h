// Monitor: sees to it that locks outlive the server, and not the machine that holds them.
//
// When the server starts, the machines that had locks are told (SM_NOTIFY). They claim their locks again. Until they
// have, nothing new is granted: the grace period. A machine that tells of its own start gives up what it had.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "server/nlm4/client_monitor.h"
#include "server/nlm4/lock_table.h"
#include "server/nsm/monitored_clients.h"
#include "server/rpc/call_thread.h"

namespace strata::nsm {

struct MonitorTimes {
  // The longest that nothing new is granted.
  std::chrono::milliseconds grace{90'000};
  // How long is tried to tell a client.
  std::chrono::milliseconds telling{900'000};
  // A client has claimed all it had once it has claimed nothing for so long,
  std::chrono::milliseconds quiet{3'000};
  // or nothing at all so long after it was told.
  std::chrono::milliseconds first{10'000};
  // A machine on which nobody listens for so long has nobody who could claim.
  std::chrono::milliseconds absent{5'000};
  // How often clients that hold nothing any more are forgotten.
  std::chrono::milliseconds sweep{30'000};
};

// Thread-safe.
class Monitor final : public nlm4::ClientMonitor {
 public:
  // Tells where a program of the machine at `host` is, for calls over this transport: `done` with its port.
  using Locate = std::function<void(rpc::Client& client, const rpc::Address& host, std::uint32_t program,
                                    std::uint32_t version, std::move_only_function<void(Result<rpc::Address>)> done)>;

  // `uses_statd`: rpc.statd of this machine, where one runs, is asked to watch the clients too: it is whom they tell.
  // `recovers`: locks are lost that `clients` have; with any there the grace period begins here. `calls` must be
  // stopped before this is destroyed; `locks` must outlive it.
  Monitor(rpc::CallThread& calls, Locate locate, nlm4::LockTable& locks, MonitoredClients& clients, bool uses_statd,
          bool recovers, const MonitorTimes& times = {});

  // Calls are answered: clients are told.
  void Begin();
  // While clients may still have to claim their locks.
  bool recovering() const { return recovering_.load(); }
  // No more calls come, and `calls` is stopped. Those who hold nothing are not told at the next start.
  void End();

  bool Has(const rpc::Peer& client) const override;
  Result<void> Add(const rpc::Peer& client) override;
  void Reclaimed(const boost::asio::ip::address& client) override;
  void Restarted(const boost::asio::ip::address& client, std::string_view name) override;
  // As Restarted, but only once for each `state` that the machine tells.
  void Notified(const boost::asio::ip::address& client, std::string_view name, std::uint32_t state);

 private:
  using Instant = std::chrono::steady_clock::time_point;
  // One client that is told; on the thread.
  struct Telling;

  // On the thread:
  void Tell(const std::shared_ptr<Telling>& telling);
  void Told(const std::shared_ptr<Telling>& telling, const Result<std::vector<std::byte>>& answer);
  void TellAgain(const std::shared_ptr<Telling>& telling);
  void LookAtGrace();
  void SweepLater();
  MonitoredClients::InUse InUse() const;
  // Has this machine's rpc.statd watch those that are monitored, and no others.
  void AskStatd();
  void CallStatd(const boost::asio::ip::address& client, bool watch);

  rpc::CallThread& calls_;
  const Locate locate_;
  nlm4::LockTable& locks_;
  MonitoredClients& clients_;
  const bool uses_statd_;
  const MonitorTimes times_;
  const Instant begun_ = std::chrono::steady_clock::now();
  std::atomic<bool> recovering_{false};
  // On the thread:
  absl::flat_hash_map<boost::asio::ip::address, std::shared_ptr<Telling>, rpc::AddressHash> tellings_;
  boost::asio::steady_timer grace_timer_, sweep_timer_;
  bool sweeping_ = false;
  absl::flat_hash_set<boost::asio::ip::address, rpc::AddressHash> watched_by_statd_;
  absl::flat_hash_set<boost::asio::ip::address, rpc::AddressHash> asked_of_statd_;  // which has not answered yet

  Mutex mutex_;
  absl::flat_hash_map<boost::asio::ip::address, std::uint32_t, rpc::AddressHash> states_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::nsm
