// Datagrams: serves the calls that come to one UDP socket, a call a datagram.
//
// For MOUNT and portmap: small, rare, and harmless to run twice. So there is no duplicate request cache here, and a
// reply that owes a commitment waits for it on a worker.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <memory>
#include <utility>

#include "server/rpc/dispatcher.h"
#include "server/rpc/handed_socket.h"
#include "server/rpc/io_thread.h"

namespace strata::rpc {

class Datagrams : public std::enable_shared_from_this<Datagrams> {
 public:
  // Calls on workers at a time; what comes beyond is lost, as datagrams may be.
  static constexpr unsigned kMaxInFlight = 128;

  // Takes the socket.
  Datagrams(IoThread& thread, int socket, const Dispatcher& dispatcher);

  void Start();
  // On the thread.
  void Close();
  // On the thread: reads no more until Start; what comes waits in the socket.
  void Pause();
  // While paused, the workers stopped: the socket. Only to be destroyed then.
  HandedSocket Release();
  const Dispatcher& dispatcher() const { return dispatcher_; }

 private:
  struct Pending;
  // Who sent a datagram, and to which address of this machine.
  struct Client {
    sockaddr_storage address{};
    socklen_t size = sizeof(sockaddr_storage);
    boost::asio::ip::address local;
  };

  void Wait();
  void ReceiveAll();
  void Serve(ByteSpan call, const Client& client);
  // From the address that the client called: it expects the answer from there.
  void Send(ReplyBuffer& reply, const Client& client);

  IoThread& thread_;
  const Dispatcher& dispatcher_;
  boost::asio::posix::stream_descriptor socket_;
  const boost::asio::ip::address bound_;
  bool paused_ = false;
  std::atomic<unsigned> in_flight_{0};
  std::array<std::byte, 9000> buffer_;
};

}  // namespace strata::rpc
