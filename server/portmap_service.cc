#include "server/portmap_service.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "server/nfs3/program.h"
#include "server/nlm4/program.h"
#include "server/portmap/program.h"
#include "server/rpc/listener.h"

namespace strata {

PortmapService::PortmapService(rpc::Transport& transport, const std::vector<Service>& services,
                               const PortmapAddress& where)
    : where_(where) {
  if (RpcbindRuns(where_)) {
    RegisterWithRpcbind(services);
  } else {
    Answer(transport, services);
  }
}

PortmapService::PortmapService(rpc::Transport& transport, const std::vector<Service>& services,
                               const PortmapAddress& where, Handed handed)
    : where_(where) {
  // The same address again changes nothing there.
  if (handed.registered) RegisterWithRpcbind(services);
  if (handed.sockets.empty()) return;
  MakeResponder(services);
  for (portmap::Registration& registration : handed.registrations) registry_.Set(std::move(registration));
  for (rpc::HandedSocket& socket : handed.sockets) {
    const bool datagram = socket.kind == rpc::HandedSocket::Kind::kDatagrams;
    if (datagram || socket.kind == rpc::HandedSocket::Kind::kTcpListener) {
      const rpc::Peer bound = rpc::BoundAddress(socket.socket.get());
      AnswersAt({bound.address, bound.port}, datagram);
    }
    transport.Take(std::move(socket), *dispatcher_);
  }
}

PortmapService::Handed PortmapService::Release() {
  keeper_.reset();
  Handed handed;
  handed.registered = !std::exchange(registered_, {}).empty();
  for (portmap::Registration& registration : registry_.All()) {
    if (registration.owner != portmap::kOwnOwner) handed.registrations.push_back(std::move(registration));
  }
  return handed;
}

void PortmapService::FindLockManager(rpc::Client& client, const rpc::Address& host,
                                     std::move_only_function<void(Result<rpc::Address>)> done) const {
  constexpr std::uint32_t kVersion = 4, kVersionBefore = 3;
  if (!host.host.is_loopback()) return FindProgram(client, host, kNlmProgram, kVersion, std::move(done));
  // With rpcbind the version before this one is the client's alone.
  if (!answers_) return FindProgram(client, host, kNlmProgram, kVersionBefore, std::move(done));
  const std::string netid = portmap::NetidOf(host.host, host.transport == rpc::Address::Transport::kUdp);
  const auto found = registry_.FindOthers(kNlmProgram, kVersion, netid);
  const auto address = found ? portmap::ParseUniversalAddress(found->uaddr) : std::nullopt;
  if (!address) return done(Fail(Errc::kNotSupported, "no client of this machine has registered a lock manager"));
  rpc::Address to = host;
  to.port = address->port;
  done(std::move(to));
}

void PortmapService::ClientMounts() {
  if (keeper_) keeper_->Look();
}

PortmapService::~PortmapService() {
  keeper_.reset();
  for (const RpcbindKeeper::Registered& r : registered_) {
    const auto done = RpcbindUnset(where_, r.program, r.version, r.netid);
    if (!done && done.error().code() != Errc::kNotFound) {
      log::Warning("portmap_unset_failed", {{"program", r.program}, {"error", done.error()}});
    }
  }
}

void PortmapService::RegisterWithRpcbind(const std::vector<Service>& services) {
  std::vector<RpcbindKeeper::Registered> wanted;
  for (const Service& service : services) {
    const std::string netid = portmap::NetidOf(service.address.address, service.datagram);
    const std::string uaddr = portmap::FormatUniversalAddress(service.address);
    const auto done = RpcbindSet(where_, service.program, service.version, netid, uaddr);
    if (done) registered_.push_back({service.program, service.version, netid, uaddr});
    // A client's lock manager may be there. The keeper replaces it.
    if (done || service.program == kNlmProgram) {
      wanted.push_back({service.program, service.version, netid, uaddr});
    } else {
      log::Warning("portmap_set_failed", {{"program", service.program},
                                          {"netid", netid},
                                          {"error", done.error()},
                                          {"hint", "name the ports in the mount command, as printed above"}});
    }
  }
  const auto is_nfs = [](const auto& entry) { return entry.program == kNfsProgram; };
  std::ranges::sort(wanted, std::ranges::greater(), is_nfs);
  if (!wanted.empty() && is_nfs(wanted.front())) {
    registered_ = wanted;
    keeper_ = std::make_unique<RpcbindKeeper>(where_, std::move(wanted));
  }
}

void PortmapService::MakeResponder(const std::vector<Service>& services) {
  for (const Service& service : services)
    registry_.AddOwn(service.program, service.version, service.address, service.datagram);
  program_ = MakePortmapProgram(registry_);
  dispatcher_ = std::make_unique<rpc::Dispatcher>(std::vector<rpc::Program*>{program_.get()});
}

void PortmapService::AnswersAt(const portmap::SocketAddress& address, bool datagram) {
  answers_ = true;
  for (std::uint32_t version = program_->low_version(); version <= program_->high_version(); ++version) {
    registry_.AddOwn(program_->number(), version, address, datagram);
  }
}

void PortmapService::Answer(rpc::Transport& transport, const std::vector<Service>& services) {
  MakeResponder(services);
  const auto warn = [](const Status& status) {
    log::Warning("portmap_listen_failed",
                 {{"error", status}, {"hint", "name the ports in the mount command, as printed above"}});
  };
  for (const char* loopback : {"127.0.0.1", "::1"}) {
    const auto address = boost::asio::ip::make_address(loopback);
    for (const bool datagram : {false, true}) {
      const auto port = datagram ? transport.ListenUdp(loopback, where_.port, *dispatcher_)
                                 : transport.ListenTcp(loopback, where_.port, *dispatcher_);
      if (!port) {
        // A machine without IPv6 is nothing to warn of.
        if (address.is_v4()) warn(port.error());
        continue;
      }
      AnswersAt({address, *port}, datagram);
    }
  }
  if (const auto done = transport.ListenUnix(where_.socket_path, *dispatcher_); !done) warn(done.error());
}

}  // namespace strata
