// PortmapService: makes port 111 tell where NFS and MOUNT are (spec nfsv3 2.3). It registers them with the machine's
// rpcbind. Where none runs, it answers there itself.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "server/portmap/registry.h"
#include "server/portmap_client.h"
#include "server/rpc/dispatcher.h"
#include "server/rpc/handed_socket.h"
#include "server/rpc/transport.h"
#include "server/rpcbind_keeper.h"

namespace strata {

class PortmapService {
 public:
  struct Service {
    std::uint32_t program = 0;
    std::uint32_t version = 0;
    portmap::SocketAddress address;
    bool datagram = false;
  };

  // What one gives away for another to go on.
  struct Handed {
    bool registered = false;                           // with an rpcbind
    std::vector<portmap::Registration> registrations;  // of others, with this one
    std::vector<rpc::HandedSocket> sockets;            // of the transport that it answered through
  };

  // Whether a caller from beyond this machine is answered on port 111. Null: nobody is.
  using Admits = std::function<bool(const rpc::Peer&)>;

  // Port 111 is answered at the addresses of the services, and on loopback. What fails is only logged. The transport
  // must be stopped before this is destroyed.
  PortmapService(rpc::Transport& transport, const std::vector<Service>& services, const PortmapAddress& where = {},
                 Admits admits = {});
  // Goes on as another did.
  PortmapService(rpc::Transport& transport, const std::vector<Service>& services, const PortmapAddress& where,
                 Admits admits, Handed handed);
  // Takes back what was registered with an rpcbind, unless it was given away.
  ~PortmapService();
  // The sockets are in what the transport gives away.
  Handed Release();

  // Where a program of the client on that machine is, for calls over this transport: its lock manager or its status
  // monitor. On this machine it is not what port 111 tells: that is the server's. On the client's thread.
  void FindOfClient(rpc::Client& client, const rpc::Address& host, std::uint32_t program, std::uint32_t version,
                    std::move_only_function<void(Result<rpc::Address>)> done);

  // Somebody of this machine looks for its status monitor, and means to start one if there is none: the server's own
  // makes room for it. From any thread.
  void StatusMonitorWanted();

  // A client mounts: what it registers for itself may take the place of what is served here. From any thread.
  void ClientMounts();

  // Whether port 111 is ours.
  bool answers() const { return answers_; }

 private:
  Result<rpc::Address> FindOther(const rpc::Address& host, std::uint32_t program, std::uint32_t version) const;
  void RegisterWithRpcbind(const std::vector<Service>& services);
  void Answer(rpc::Transport& transport, const std::vector<Service>& services);
  void MakeResponder(const std::vector<Service>& services);
  // Whether the machine's socket is another's, such as of an rpcbind that was started later: without port 111, which
  // is ours, it has what is registered over the socket.
  bool SocketIsAnothers();
  void SetElsewhere(Result<std::vector<portmap::Registration>> registrations);
  // Port 111 itself is answered at this address too.
  void AnswersAt(const portmap::SocketAddress& address, bool datagram);

  const PortmapAddress where_;
  const Admits admits_;
  std::vector<RpcbindKeeper::Registered> registered_;
  std::unique_ptr<RpcbindKeeper> keeper_;     // where an rpcbind runs
  std::atomic<std::uint64_t> own_socket_{0};  // what the socket file was found to be, when it was this process's
  Mutex keeping_;                             // held while the registrations are written
  portmap::Registry registry_;
  std::unique_ptr<rpc::Program> program_;
  std::unique_ptr<rpc::Dispatcher> dispatcher_;
  bool answers_ = false;
};

}  // namespace strata
