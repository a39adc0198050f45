#include "server/server.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <utility>

#include "base/log.h"
#include "server/locking.h"
#include "server/mount3/program.h"
#include "server/nfs3/program.h"
#include "server/portmap/program.h"
#include "server/portmap_service.h"
#include "server/rpc/dispatcher.h"
#include "server/rpc/listener.h"
#include "server/rpc/transport.h"

namespace strata {
namespace {

const PortmapAddress kPort111{.kept_path = "/run/strata-portmap.json"};

class ServerImpl final : public Server {
 public:
  // `handed`: from the process before this one, if there was one that could tell.
  ServerImpl(const ServerOptions& options, Exports exports, const nlm4::HandedLocks* handed)
      : exports_(std::move(exports)),
        nfs_(MakeNfs3Program(exports_,
                             [this] {
                               if (PortmapService* const portmap = portmap_in_use_.load()) portmap->ClientMounts();
                             })),
        mount_(MakeMount3Program(exports_)),
        locking_(exports_, LockingOptions(options),
                 {.locate =
                      [this](rpc::Client& client, const rpc::Address& host, std::uint32_t program,
                             std::uint32_t version, auto done) {
                        if (PortmapService* const portmap = portmap_in_use_.load()) {
                          return portmap->FindOfClient(client, host, program, version, std::move(done));
                        }
                        FindProgram(client, host, program, version, std::move(done));
                      },
                  .status_monitor_wanted =
                      [this] {
                        if (PortmapService* const portmap = portmap_in_use_.load()) portmap->StatusMonitorWanted();
                      }},
                 handed),
        streams_(Programs(true)),
        datagrams_(Programs(false)),
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
    if (options.portmap == PortmapMode::kAuto) {
      SetPortmap(std::make_unique<PortmapService>(*transport_, services, kPort111, WhoMayAskPort111()));
    }
    locking_.Begin();
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
      SetPortmap(
          std::make_unique<PortmapService>(*transport_, services, kPort111, WhoMayAskPort111(), std::move(portmap)));
    }
    locking_.Begin();
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
    handover.locks = locking_.Release();
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

  Result<nlm4::LockListing> Locks(const nlm4::LockSelection& which) const override {
    STRATA_TRY(CheckLocks());
    return locking_.table().List(which);
  }

  Result<std::size_t> ReleaseLocks(const nlm4::LockSelection& which) override {
    STRATA_TRY(CheckLocks());
    return locking_.table().ReleaseSelected(which);
  }

  void Stop() override {
    if (std::exchange(stopped_, true)) return;
    transport_->Stop();
    locking_.Stop();
    portmap_in_use_.store(nullptr);
    portmap_.reset();
    for (const Export& entry : exports_.all()) {
      if (const auto flushed = entry.volume->Flush(); !flushed) {
        log::Error("flush_failed", {{"export", entry.options.path}, {"error", flushed.error()}});
      }
    }
  }

  void Adopt(int socket, const rpc::Peer& peer) override { transport_->Adopt(socket, peer, streams_); }

 private:
  static Locking::Options LockingOptions(const ServerOptions& options) {
    const bool beyond = !std::ranges::all_of(options.listen, IsLoopback);
    return {.on = options.locks,
            .max_bytes = options.max_lock_bytes,
            .state_folder = options.state_folder,
            .beyond_this_machine = beyond,
            .uses_statd = beyond && options.portmap == PortmapMode::kAuto};
  }
  // Those that are served over TCP, or over UDP.
  std::vector<rpc::Program*> Programs(bool streams) {
    std::vector<rpc::Program*> programs = {mount_.get(), &locking_.nlm()};
    if (streams) programs.insert(programs.begin(), nfs_.get());
    if (locking_.nsm() != nullptr) programs.push_back(locking_.nsm());
    return programs;
  }
  PortmapService::Admits WhoMayAskPort111() const {
    return [this](const rpc::Peer& peer) { return exports_.AdmitsAddress(peer); };
  }
  // Calls are answered already.
  void SetPortmap(std::unique_ptr<PortmapService> portmap) {
    portmap_ = std::move(portmap);
    portmap_in_use_.store(portmap_.get());
  }

  Result<void> CheckLocks() const {
    if (locking_.grants()) return {};
    return Fail(Errc::kNotSupported,
                "this server grants no locks; start it without --locks off for clients to have any");
  }

  // What is served on a socket bound there, for port 111.
  void AddServices(const rpc::Peer& bound, bool datagrams, std::vector<PortmapService::Service>& services) {
    const portmap::SocketAddress address{bound.address, bound.port};
    if (!datagrams) services.push_back({nfs_->number(), nfs_->high_version(), address, false});
    services.push_back({mount_->number(), mount_->high_version(), address, datagrams});
    services.push_back({locking_.nlm().number(), locking_.nlm().high_version(), address, datagrams});
    const rpc::Program* const nsm = locking_.nsm();
    if (nsm != nullptr && !bound.address.is_loopback())
      services.push_back({nsm->number(), nsm->high_version(), address, datagrams});
  }

  const Exports exports_;
  const std::unique_ptr<rpc::Program> nfs_;
  const std::unique_ptr<rpc::Program> mount_;
  Locking locking_;
  const rpc::Dispatcher streams_;
  const rpc::Dispatcher datagrams_;
  std::vector<Endpoint> endpoints_;
  std::unique_ptr<rpc::Transport> transport_;
  std::unique_ptr<PortmapService> portmap_;
  std::atomic<PortmapService*> portmap_in_use_{nullptr};  // until the transport has stopped
  bool stopped_ = false;
};

Result<std::unique_ptr<ServerImpl>> Make(const ServerOptions& options, std::vector<Export> exports,
                                         const nlm4::HandedLocks* handed) {
  Exports table;
  for (Export& entry : exports) STRATA_TRY(table.Add(std::move(entry)));
  auto server = std::make_unique<ServerImpl>(options, std::move(table), handed);
  return server;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, std::vector<Export> exports) {
  STRATA_ASSIGN(auto server, Make(options, std::move(exports), nullptr));
  server->RememberPastRequests();
  STRATA_TRY(server->Listen(options));
  return server;
}

Result<std::unique_ptr<Server>> Server::Resume(const ServerOptions& options, std::vector<Export> exports,
                                               Handover handover, std::move_only_function<void()> serving) {
  STRATA_ASSIGN(auto server, Make(options, std::move(exports), handover.locks ? &*handover.locks : nullptr));
  server->Resume(std::move(handover), std::move(serving));
  return server;
}

}  // namespace strata
