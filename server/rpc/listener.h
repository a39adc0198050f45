// Listener: accepts stream connections on one address (TCP or AF_UNIX) and hands them out.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "server/rpc/handed_socket.h"
#include "server/rpc/program.h"

namespace strata::rpc {

class Listener {
 public:
  // Gets each accepted socket, on the thread of the context.
  using OnAccept = std::function<void(int socket, const Peer& peer)>;

  // `port` 0: any free one. An IPv6 address takes IPv6 connections only.
  static Result<std::shared_ptr<Listener>> Tcp(boost::asio::io_context& context,
                                               const boost::asio::ip::address& address, std::uint16_t port,
                                               OnAccept on_accept);
  // A socket file of mode 0666, in place of one that nobody listens on any more; kBusy if somebody does.
  static Result<std::shared_ptr<Listener>> Unix(boost::asio::io_context& context, const std::string& path,
                                                OnAccept on_accept);

  // One that another transport gave away.
  static std::shared_ptr<Listener> Handed(boost::asio::io_context& context, HandedSocket from, OnAccept on_accept);

  Listener(boost::asio::io_context& context, int socket, OnAccept on_accept);
  ~Listener();

  void Start();
  // On the thread of the context.
  void Close();
  // On the thread of the context: accepts no more until Start; who connects waits in the kernel's queue.
  void Pause();
  // While paused: the socket, still listening, and its file. Only to be destroyed then.
  HandedSocket Release();
  std::uint16_t port() const { return port_; }

 private:
  void Wait();
  void AcceptAll();

  // Only readiness is asked of Asio: what is accepted belongs to another thread's context.
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::steady_timer retry_;
  OnAccept on_accept_;
  std::uint16_t port_ = 0;
  std::string path_;  // to remove; "" for TCP
  bool paused_ = false;
};

// From a socket's own address; IPv4-mapped addresses become IPv4.
Peer PeerFromSockaddr(const void* address, std::size_t size);
// Where a socket is bound.
Peer BoundAddress(int socket);
inline std::uint16_t BoundPort(int socket) { return BoundAddress(socket).port; }
// A bound, non-blocking socket of SOCK_STREAM or SOCK_DGRAM; SO_REUSEADDR for streams, V6ONLY for IPv6.
Result<int> BindSocket(int type, const boost::asio::ip::address& address, std::uint16_t port);

}  // namespace strata::rpc
