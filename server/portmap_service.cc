#include "server/portmap_service.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "server/nfs3/program.h"
#include "server/nlm4/program.h"
#include "server/nsm/protocol.h"
#include "server/portmap/kept_registrations.h"
#include "server/portmap/program.h"
#include "server/rpc/listener.h"

namespace strata {
namespace {

bool Contains(const std::vector<boost::asio::ip::address>& all, const boost::asio::ip::address& one) {
  return std::ranges::find(all, one) != all.end();
}

// Tells one file of that name from another; 0: there is none.
std::uint64_t SocketFile(const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return 0;
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  return found.st_ino ^ (static_cast<std::uint64_t>(found.st_ctim.tv_sec) * kNanoseconds +
                         static_cast<std::uint64_t>(found.st_ctim.tv_nsec))
                            << 1;
}

// Those of the services and both of loopback, of each kind without what its unspecified one stands for.
std::vector<boost::asio::ip::address> AddressesToAnswerAt(const std::vector<PortmapService::Service>& services) {
  using boost::asio::ip::address, boost::asio::ip::address_v4, boost::asio::ip::address_v6;
  std::vector<address> all = {address_v4::loopback(), address_v6::loopback()};
  for (const PortmapService::Service& service : services) {
    if (!Contains(all, service.address.address)) all.push_back(service.address.address);
  }
  for (const address& any : {address(address_v4::any()), address(address_v6::any())}) {
    if (!Contains(all, any)) continue;
    std::erase_if(all, [&](const address& one) { return one != any && one.is_v6() == any.is_v6(); });
  }
  return all;
}

}  // namespace

PortmapService::PortmapService(rpc::Transport& transport, const std::vector<Service>& services,
                               const PortmapAddress& where, Admits admits)
    : where_(where), admits_(std::move(admits)) {
  if (RpcbindRuns(where_)) {
    RegisterWithRpcbind(services);
  } else {
    Answer(transport, services);
  }
}

PortmapService::PortmapService(rpc::Transport& transport, const std::vector<Service>& services,
                               const PortmapAddress& where, Admits admits, Handed handed)
    : where_(where), admits_(std::move(admits)) {
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
  handed.registrations = registry_.Others();
  return handed;
}

void PortmapService::FindOfClient(rpc::Client& client, const rpc::Address& host, std::uint32_t program,
                                  std::uint32_t version, std::move_only_function<void(Result<rpc::Address>)> done) {
  const bool here = host.host.is_loopback() || host.host == host.from;
  if (!here) return FindProgram(client, host, program, version, std::move(done));
  if (program == kNsmProgram && keeper_ && keeper_->Keeps(kNsmProgram)) {
    return done(Fail(Errc::kNotSupported, "no rpc.statd runs on this machine"));
  }
  // With rpcbind the lock manager's version before this one is the client's alone.
  if (!answers_)
    return FindProgram(client, host, program, program == kNlmProgram ? version - 1 : version, std::move(done));
  if (!SocketIsAnothers()) return done(FindOther(host, program, version));
  RpcbindDumpOfSocket(client, where_, [this, host, program, version, done = std::move(done)](auto found) mutable {
    SetElsewhere(std::move(found));
    done(FindOther(host, program, version));
  });
}

Result<rpc::Address> PortmapService::FindOther(const rpc::Address& host, std::uint32_t program,
                                               std::uint32_t version) const {
  const std::string netid = portmap::NetidOf(host.host, host.transport == rpc::Address::Transport::kUdp);
  const auto found = registry_.FindOthers(program, version, netid);
  const auto address = found ? portmap::ParseUniversalAddress(found->uaddr) : std::nullopt;
  if (!address) {
    return Fail(Errc::kNotSupported,
                "no client of this machine has registered program " + std::to_string(program) + " here");
  }
  rpc::Address to = host;
  to.port = address->port;
  return to;
}

bool PortmapService::SocketIsAnothers() {
  const std::uint64_t is = SocketFile(where_.socket_path);
  return is != 0 && is != own_socket_.load();
}

void PortmapService::SetElsewhere(Result<std::vector<portmap::Registration>> registrations) {
  if (!registrations) return;  // nobody is there any more, or not yet
  // After a takeover the socket is this process's, and it is not known yet.
  const std::uint64_t is = SocketFile(where_.socket_path);
  if (registry_.IsOfThis(*registrations)) {
    own_socket_.store(is);
    return registry_.SetElsewhere({});
  }
  registry_.SetElsewhere(std::move(*registrations));
}

void PortmapService::StatusMonitorWanted() {
  if (keeper_) keeper_->GiveUp(kNsmProgram);
}

void PortmapService::ClientMounts() {
  if (keeper_) keeper_->Look();
}

PortmapService::~PortmapService() {
  if (keeper_) {
    keeper_->Stop();
    std::erase_if(registered_, [this](const RpcbindKeeper::Registered& r) { return keeper_->GaveUp(r); });
    keeper_.reset();
  }
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
    // This machine's rpc.statd is there, and serves for us too.
    if (!done && service.program == kNsmProgram) continue;
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
  if (!where_.kept_path.empty()) {
    for (portmap::Registration& kept : portmap::LoadRegistrations(Env::System(), where_.kept_path))
      registry_.Set(std::move(kept));
    registry_.OnChange([this] {
      const MutexLock lock(keeping_);
      portmap::SaveRegistrations(Env::System(), where_.kept_path, registry_.Others());
    });
  }
  program_ = MakePortmapProgram(registry_, {.admits = admits_,
                                            .lacks = [this] { return SocketIsAnothers(); },
                                            .look = [this] { SetElsewhere(RpcbindDumpOfSocket(where_)); }});
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
  for (const boost::asio::ip::address& address : AddressesToAnswerAt(services)) {
    for (const bool datagram : {false, true}) {
      const auto port = datagram ? transport.ListenUdp(address.to_string(), where_.port, *dispatcher_)
                                 : transport.ListenTcp(address.to_string(), where_.port, *dispatcher_);
      if (!port) {
        // A machine without IPv6 is nothing to warn of.
        if (address != boost::asio::ip::address_v6::loopback()) warn(port.error());
        continue;
      }
      AnswersAt({address, *port}, datagram);
    }
  }
  if (const auto done = transport.ListenUnix(where_.socket_path, *dispatcher_); done) {
    own_socket_.store(SocketFile(where_.socket_path));
  } else {
    warn(done.error());
  }
}

}  // namespace strata
