#include "server/server.h"

#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <utility>

#include "base/env.h"
#include "base/log.h"
#include "base/mutex.h"
#include "server/mount3/program.h"
#include "server/nfs3/program.h"
#include "server/nlm4/client_caller.h"
#include "server/nlm4/program.h"
#include "server/portmap/program.h"
#include "server/portmap_service.h"
#include "server/rpc/dispatcher.h"
#include "server/rpc/listener.h"
#include "server/rpc/transport.h"

namespace strata {
namespace {

class ServerImpl final : public Server {
 public:
  ServerImpl(const ServerOptions& options, Exports exports)
      : exports_(std::move(exports)),
        nfs_(MakeNfs3Program(exports_,
                             [this] {
                               if (PortmapService* const told = told_of_mounts_.load()) told->ClientMounts();
                             })),
        mount_(MakeMount3Program(exports_)),
        locks_(std::make_shared<nlm4::LockTable>(
            nlm4::LockLimits{.bytes = options.max_lock_bytes}, [] { return Env::System().Now().ns; },
            [this](std::vector<nlm4::Grant> grants) { lock_calls_.Tell(*locks_, std::move(grants)); },
            [this] { MakeRoomForLocks(); })),
        lock_calls_([this](rpc::Client& client, const rpc::Address& host, auto done) {
          if (const PortmapService* const portmap = told_of_mounts_.load()) {
            return portmap->FindLockManager(client, host, std::move(done));
          }
          FindProgram(client, host, nlm_->number(), nlm_->high_version(), std::move(done));
        }),
        nlm_(MakeNlm4Program(exports_, options.locks ? locks_.get() : nullptr,
                             [this](const boost::asio::ip::address& host, bool datagram, std::uint32_t procedure,
                                    std::vector<std::byte> arguments) {
                               lock_calls_.SendResult(host, datagram, procedure, std::move(arguments));
                             })),
        streams_({nfs_.get(), mount_.get(), nlm_.get()}),
        datagrams_({mount_.get(), nlm_.get()}),
        transport_(rpc::Transport::Create({.io_threads = options.io_threads,
                                           .worker_threads = options.worker_threads,
                                           .max_calls_in_flight = options.max_calls_in_flight,
                                           .max_queued_bytes = options.max_queued_bytes,
                                           .max_buffered_bytes = options.max_buffered_bytes,
                                           .max_connections = options.max_connections,
                                           .duplicate_cache_entries = options.duplicate_cache_entries,
                                           .duplicate_cache_bytes = options.duplicate_cache_bytes})) {}
  ~ServerImpl() override { Stop(); }

  Result<void> Listen(const ServerOptions& options) {
    std::vector<PortmapService::Service> services;
    for (const Endpoint& wanted : options.listen) {
      STRATA_ASSIGN(const std::uint16_t port, transport_->ListenTcp(wanted.address, wanted.port, streams_));
      endpoints_.push_back({wanted.address, port});
      rpc::Peer bound;
      bound.address = boost::asio::ip::make_address(wanted.address);
      bound.port = port;
      AddServices(bound, false, services);
      if (const auto udp = transport_->ListenUdp(wanted.address, port, datagrams_); udp) {
        AddServices(bound, true, services);
      } else {
        log::Warning("mount_over_udp_failed", {{"error", udp.error()}, {"hint", "mount with mountproto=tcp"}});
      }
    }
    if (options.portmap == PortmapMode::kAuto) SetPortmap(std::make_unique<PortmapService>(*transport_, services));
    return {};
  }

  void Resume(Handover handover, std::move_only_function<void()> serving) {
    endpoints_ = handover.Endpoints();
    std::vector<PortmapService::Service> services;
    PortmapService::Handed portmap{.registered = handover.registered_with_rpcbind,
                                   .registrations = std::move(handover.registrations),
                                   .sockets = {}};
    std::vector<std::pair<rpc::HandedSocket, const rpc::Dispatcher*>> taken;
    for (rpc::HandedSocket& socket : handover.handed.sockets) {
      const bool datagrams = socket.kind == rpc::HandedSocket::Kind::kDatagrams;
      if (socket.program == kPortmapProgram) {
        portmap.sockets.push_back(std::move(socket));
        continue;
      }
      if (socket.program != (datagrams ? mount_ : nfs_)->number()) {
        log::Warning("socket_dropped", {{"program", socket.program}, {"reason", "nothing here serves it"}});
        continue;
      }
      if (datagrams || socket.kind == rpc::HandedSocket::Kind::kTcpListener) {
        AddServices(rpc::BoundAddress(socket.socket.get()), datagrams, services);
      }
      taken.emplace_back(std::move(socket), datagrams ? &datagrams_ : &streams_);
    }
    transport_->Remember(handover.handed.answered);
    if (serving) serving();
    for (auto& [socket, dispatcher] : taken) transport_->Take(std::move(socket), *dispatcher);
    if (portmap.registered || !portmap.sockets.empty()) {
      SetPortmap(std::make_unique<PortmapService>(*transport_, services, PortmapAddress{}, std::move(portmap)));
    }
  }

  Result<Handover> Release(std::chrono::milliseconds limit) override {
    if (stopped_) return Fail(Errc::kInvalid, "the server has been stopped");
    Handover handover;
    STRATA_ASSIGN(handover.handed, transport_->Release(limit));
    if (portmap_ != nullptr) {
      PortmapService::Handed portmap = portmap_->Release();
      handover.registered_with_rpcbind = portmap.registered;
      handover.registrations = std::move(portmap.registrations);
    }
    Stop();
    return handover;
  }

  // What the volumes' clients may ask for again, having heard no answer of the process before this one.
  void RememberPastRequests() {
    std::vector<rpc::AnsweredCall> answered;
    for (const Export& entry : exports_.all()) {
      for (const vfs::PastRequest& past : entry.volume->PastRequests()) {
        const auto call = rpc::DecodeDuplicateKey(past.request);
        if (!call || call->program != nfs_->number() || call->version != nfs_->high_version()) continue;
        rpc::ReplyBuffer reply;
        std::byte* const header = rpc::BeginReply(reply);
        if (!WritePastResults(call->procedure, entry.volume->Volume(), past, reply)) continue;
        rpc::FinishReply(header, reply.size(), call->xid, SUCCESS);
        rpc::AnsweredCall answer{.key = *call, .reply = {}};
        reply.CopyTo(0, answer.reply);
        answered.push_back(std::move(answer));
      }
    }
    transport_->Remember(answered);
  }

  // Files that are gone take their locks along.
  void WatchRemovals() {
    struct Watch final : vfs::RemovalWatch {
      Watch(std::shared_ptr<nlm4::LockTable> the_locks, std::uint64_t of) : locks(std::move(the_locks)), volume(of) {}
      void Removed(const vfs::ObjectId& id) override { locks->Forget({volume, id.ino, id.generation}); }
      const std::shared_ptr<nlm4::LockTable> locks;  // which may outlive the server, where others use the volume
      const std::uint64_t volume;
    };
    for (const Export& entry : exports_.all()) {
      entry.volume->WatchRemovals(std::make_shared<Watch>(locks_, entry.volume->Volume().id));
    }
  }

  // What locks take, the volumes do without.
  void MakeRoomForLocks() {
    const MutexLock one(lending_);  // so that the last word is the newest
    for (const Export& entry : exports_.all()) entry.volume->LendMemory(locks_->bytes());
  }

  const std::vector<Endpoint>& endpoints() const override { return endpoints_; }

  ServerStatistics statistics() const override {
    const rpc::TransportStatistics t = transport_->statistics();
    return {.connections_accepted = t.connections_accepted,
            .connections_open = t.connections_open,
            .connections_refused = t.connections_refused,
            .records_refused = t.records_refused,
            .calls = t.calls,
            .duplicates = t.duplicates,
            .calls_blocked = t.calls_blocked,
            .system_calls = t.system_calls};
  }

  void Stop() override {
    if (std::exchange(stopped_, true)) return;
    transport_->Stop();
    lock_calls_.Stop();
    told_of_mounts_.store(nullptr);
    portmap_.reset();
    for (const Export& entry : exports_.all()) {
      entry.volume->WatchRemovals(nullptr);
      entry.volume->LendMemory(0);
      if (const auto flushed = entry.volume->Flush(); !flushed) {
        log::Error("flush_failed", {{"export", entry.options.path}, {"error", flushed.error()}});
      }
    }
  }

  void Adopt(int socket, const rpc::Peer& peer) override { transport_->Adopt(socket, peer, streams_); }

 private:
  // Calls are answered already.
  void SetPortmap(std::unique_ptr<PortmapService> portmap) {
    portmap_ = std::move(portmap);
    told_of_mounts_.store(portmap_.get());
  }

  // What is served on a socket bound there, for port 111.
  void AddServices(const rpc::Peer& bound, bool datagrams, std::vector<PortmapService::Service>& services) const {
    const portmap::SocketAddress address{bound.address, bound.port};
    if (!datagrams) services.push_back({nfs_->number(), nfs_->high_version(), address, false});
    services.push_back({mount_->number(), mount_->high_version(), address, datagrams});
    services.push_back({nlm_->number(), nlm_->high_version(), address, datagrams});
  }

  const Exports exports_;
  const std::unique_ptr<rpc::Program> nfs_;
  const std::unique_ptr<rpc::Program> mount_;
  Mutex lending_;
  const std::shared_ptr<nlm4::LockTable> locks_;
  nlm4::ClientCaller lock_calls_;
  const std::unique_ptr<rpc::Program> nlm_;
  const rpc::Dispatcher streams_;
  const rpc::Dispatcher datagrams_;
  std::vector<Endpoint> endpoints_;
  std::unique_ptr<rpc::Transport> transport_;
  std::unique_ptr<PortmapService> portmap_;
  std::atomic<PortmapService*> told_of_mounts_{nullptr};  // until the transport has stopped
  bool stopped_ = false;
};

Result<std::unique_ptr<ServerImpl>> Make(const ServerOptions& options, std::vector<Export> exports) {
  Exports table;
  for (Export& entry : exports) STRATA_TRY(table.Add(std::move(entry)));
  auto server = std::make_unique<ServerImpl>(options, std::move(table));
  if (options.locks) server->WatchRemovals();
  return server;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, std::vector<Export> exports) {
  STRATA_ASSIGN(auto server, Make(options, std::move(exports)));
  server->RememberPastRequests();
  STRATA_TRY(server->Listen(options));
  return server;
}

Result<std::unique_ptr<Server>> Server::Resume(const ServerOptions& options, std::vector<Export> exports,
                                               Handover handover, std::move_only_function<void()> serving) {
  STRATA_ASSIGN(auto server, Make(options, std::move(exports)));
  server->Resume(std::move(handover), std::move(serving));
  return server;
}

}  // namespace strata
