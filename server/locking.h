// Locking: all that makes locks of one server: the table, the programs that clients call (NLM, NSM), and the calls to
// clients.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/exports.h"
#include "server/nlm4/client_caller.h"
#include "server/nlm4/lock_table.h"
#include "server/nsm/monitor.h"
#include "server/nsm/monitored_clients.h"
#include "server/rpc/call_thread.h"
#include "server/rpc/program.h"

namespace strata {

class Locking {
 public:
  struct Options {
    bool on = false;  // else each lock is refused
    std::size_t max_bytes = 64 << 20;
    std::string state_folder;  // ServerOptions::state_folder
    // Clients of other machines may come, whose start the server has to hear of.
    bool beyond_this_machine = false;
    // rpc.statd of this machine is asked to watch them.
    bool uses_statd = false;
  };
  struct Outside {
    nsm::Monitor::Locate locate;  // PortmapService::FindOfClient
    // PortmapService::StatusMonitorWanted
    std::function<void()> status_monitor_wanted;
  };

  // `exports` must outlive this. `handed`: what another process held, until this one took over.
  Locking(const Exports& exports, const Options& options, Outside outside, const nlm4::HandedLocks* handed);
  ~Locking() { Stop(); }
  Locking(const Locking&) = delete;
  Locking& operator=(const Locking&) = delete;

  bool grants() const { return monitor_ != nullptr; }
  nlm4::LockTable& table() const { return *table_; }
  rpc::Program& nlm() { return *nlm_; }
  // Null where nobody of another machine can come.
  rpc::Program* nsm() { return nsm_.get(); }

  // Calls are answered: clients are told to claim their locks again.
  void Begin();
  // Once no calls come any more:
  void Stop();
  // Stops, and gives all locks away. Nothing where there are none.
  std::optional<nlm4::HandedLocks> Release();

 private:
  // Files that are gone take their locks along.
  void WatchRemovals();
  // What locks take, the volumes do without.
  void LendMemory();

  const Exports& exports_;
  const Outside outside_;
  Mutex lending_;
  rpc::CallThread calls_;
  const std::shared_ptr<nlm4::LockTable> table_;
  nlm4::ClientCaller caller_;
  std::unique_ptr<nsm::MonitoredClients> clients_;  // where locks are on
  std::unique_ptr<nsm::Monitor> monitor_;           // as clients_
  std::unique_ptr<rpc::Program> nlm_;
  std::unique_ptr<rpc::Program> nsm_;
  bool stopped_ = false;
};

}  // namespace strata
