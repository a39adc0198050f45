#include "server/locking.h"

#include <utility>

#include "base/env.h"
#include "base/log.h"
#include "server/nlm4/program.h"
#include "server/nsm/program.h"

namespace strata {
namespace {

constexpr std::string_view kClientsFile = "/lock-clients.json";

}  // namespace

Locking::Locking(const Exports& exports, const Options& options, Outside outside, const nlm4::HandedLocks* handed)
    : exports_(exports),
      outside_(std::move(outside)),
      table_(std::make_shared<nlm4::LockTable>(
          nlm4::LockLimits{.bytes = options.max_bytes}, [] { return Env::System().Now().ns; },
          [this](std::vector<nlm4::Grant> grants) { caller_.Tell(*table_, std::move(grants)); },
          [this] { LendMemory(); })),
      caller_(calls_, [this](rpc::Client& client, const rpc::Address& host, auto done) {
        outside_.locate(client, host, nlm_->number(), nlm_->high_version(), std::move(done));
      }) {
  if (options.on) {
    const std::string& folder = options.state_folder;
    if (folder.empty()) {
      log::Info("locks_in_memory", {{"reason", "no folder is given that keeps which clients have locks"},
                                    {"then", "locks end with this server"},
                                    {"hint", "name one with --state, or ServerOptions::state_folder"}});
    }
    clients_ = std::make_unique<nsm::MonitoredClients>(
        Env::System(), folder.empty() ? "" : folder + std::string(kClientsFile), handed != nullptr);
    monitor_ = std::make_unique<nsm::Monitor>(calls_, outside_.locate, *table_, *clients_, options.uses_statd,
                                              handed == nullptr || handed->recovering);
    if (handed != nullptr) {
      table_->Import(*handed);
      LendMemory();
    }
    WatchRemovals();
  }
  nlm_ = MakeNlm4Program(
      exports_, {.table = options.on ? table_.get() : nullptr,
                 .monitor = monitor_.get(),
                 .send = [this](const rpc::Peer& host, std::uint32_t procedure, std::vector<std::byte> arguments) {
                   caller_.SendResult(host, procedure, std::move(arguments));
                 }});
  if (options.on && options.beyond_this_machine) {
    nsm_ = MakeNsmProgram(exports_, *monitor_, outside_.status_monitor_wanted);
  }
}

void Locking::WatchRemovals() {
  struct Watch final : vfs::RemovalWatch {
    Watch(std::shared_ptr<nlm4::LockTable> the_locks, std::uint64_t of) : locks(std::move(the_locks)), volume(of) {}
    void Removed(const vfs::ObjectId& id) override { locks->Forget({volume, id.ino, id.generation}); }
    const std::shared_ptr<nlm4::LockTable> locks;  // which may outlive the server, where others use the volume
    const std::uint64_t volume;
  };
  for (const Export& entry : exports_.all()) {
    entry.volume->WatchRemovals(std::make_shared<Watch>(table_, entry.volume->Volume().id));
  }
}

void Locking::LendMemory() {
  const MutexLock one(lending_);  // so that the last word is the newest
  for (const Export& entry : exports_.all()) entry.volume->LendMemory(table_->bytes());
}

void Locking::Begin() {
  if (!monitor_) return;
  monitor_->Begin();
  // Of a process before this one.
  if (auto grants = table_->AllUnconfirmed(); !grants.empty()) caller_.Tell(*table_, std::move(grants));
}

void Locking::Stop() {
  if (stopped_) return;
  (void)Release();
  // Those who hold nothing now need not be told.
  if (monitor_) monitor_->End();
}

std::optional<nlm4::HandedLocks> Locking::Release() {
  if (std::exchange(stopped_, true)) return std::nullopt;
  calls_.Stop();
  if (!monitor_) return std::nullopt;
  for (const Export& entry : exports_.all()) {
    entry.volume->WatchRemovals(nullptr);
    entry.volume->LendMemory(0);
  }
  nlm4::HandedLocks handed = table_->Export();
  handed.recovering = monitor_->recovering();
  return handed;
}

}  // namespace strata
