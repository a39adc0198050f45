#include "server/rpc/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/log.h"
#include "server/rpc/addresses.h"
#include "server/rpc/port_owner.h"

namespace strata::rpc {
namespace {

constexpr int kBacklog = 4096;
// Accepted in one go before others get their turn.
constexpr int kAcceptsAtOnce = 64;
// Before accepting again when descriptors have run out.
constexpr std::chrono::milliseconds kRetry{100};

log::RateLimit accept_failures;

void SetOption(int socket, int level, int option, int value) {
  ::setsockopt(socket, level, option, &value, sizeof value);
}

}  // namespace

Peer PeerFromSockaddr(const void* address, std::size_t size) {
  Peer peer;
  sockaddr_storage storage{};
  std::memcpy(&storage, address, std::min(size, sizeof storage));
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    peer.address = boost::asio::ip::address_v4(ntohl(v4.sin_addr.s_addr));
    peer.port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    boost::asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    peer.address = FromMapped(boost::asio::ip::address_v6(bytes, v6.sin6_scope_id));
    peer.port = ntohs(v6.sin6_port);
  }
  return peer;
}

Peer BoundAddress(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return PeerFromSockaddr(&address, size);
}

Result<int> BindSocket(int type, const boost::asio::ip::address& address, std::uint16_t port) {
  const boost::asio::ip::tcp::endpoint endpoint(address, port);
  const int socket = ::socket(endpoint.protocol().family(), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return Fail(Status::FromErrno(errno, "making a socket"));
  if (type == SOCK_STREAM) SetOption(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.is_v6()) SetOption(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (::bind(socket, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0) {
    const int error = errno;
    ::close(socket);
    return Fail(Status::FromErrno(error, "binding " + address.to_string() + " port " + std::to_string(port) +
                                             (type == SOCK_STREAM ? " (TCP)" : " (UDP)")));
  }
  return socket;
}

Result<std::shared_ptr<Listener>> Listener::Tcp(boost::asio::io_context& context,
                                                const boost::asio::ip::address& address, std::uint16_t port,
                                                OnAccept on_accept) {
  STRATA_ASSIGN(const int socket, BindSocket(SOCK_STREAM, address, port));
  auto listener = std::make_shared<Listener>(context, socket, std::move(on_accept));
  if (::listen(socket, kBacklog) != 0) return Fail(Status::FromErrno(errno, "listening on " + address.to_string()));
  listener->port_ = BoundPort(socket);
  return listener;
}

Result<std::shared_ptr<Listener>> Listener::Unix(boost::asio::io_context& context, const std::string& path,
                                                 OnAccept on_accept) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Fail(Errc::kNameTooLong, "socket path " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return Fail(Status::FromErrno(errno, "making a socket"));
  auto listener = std::make_shared<Listener>(context, socket, std::move(on_accept));
  struct stat left{};
  if (::lstat(path.c_str(), &left) == 0) {
    if (!S_ISSOCK(left.st_mode)) return Fail(Errc::kExists, path + " is there and is no socket");
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool alive = ::connect(probe, generic, sizeof address) == 0;
    ::close(probe);
    if (alive) return Fail(Errc::kBusy, "another process listens on " + path);
    ::unlink(path.c_str());
  }
  if (::bind(socket, generic, sizeof address) != 0) return Fail(Status::FromErrno(errno, "binding " + path));
  listener->path_ = path;
  ::chmod(path.c_str(), 0666);
  if (::listen(socket, kBacklog) != 0) return Fail(Status::FromErrno(errno, "listening on " + path));
  return listener;
}

Listener::Listener(boost::asio::io_context& context, int socket, OnAccept on_accept)
    : socket_(context, socket), retry_(context), on_accept_(std::move(on_accept)) {}

Listener::~Listener() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

std::shared_ptr<Listener> Listener::Handed(boost::asio::io_context& context, HandedSocket from, OnAccept on_accept) {
  auto listener = std::make_shared<Listener>(context, from.socket.Give(), std::move(on_accept));
  if (from.kind == HandedSocket::Kind::kUnixListener) {
    listener->path_ = std::move(from.path);
  } else {
    listener->port_ = BoundPort(listener->socket_.native_handle());
  }
  return listener;
}

void Listener::Start() {
  paused_ = false;
  Wait();
}

void Listener::Pause() {
  paused_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
  retry_.cancel();
}

HandedSocket Listener::Release() {
  HandedSocket handed;
  handed.path = std::exchange(path_, {});
  handed.kind = handed.path.empty() ? HandedSocket::Kind::kTcpListener : HandedSocket::Kind::kUnixListener;
  handed.socket = UniqueFd(socket_.release());
  return handed;
}

void Listener::Close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  retry_.cancel();
}

void Listener::Wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error && !paused_ && socket_.is_open()) AcceptAll();
  });
}

void Listener::AcceptAll() {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int socket =
        ::accept4(socket_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket < 0) {
      if (errno == EAGAIN) break;
      if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
      if (accept_failures.Allow())
        log::Warning("accept_failed", {{"error", std::strerror(errno)}, {"hint", "it is tried again"}});
      retry_.expires_after(kRetry);
      retry_.async_wait([this](const boost::system::error_code& error) {
        if (!error && !paused_ && socket_.is_open()) AcceptAll();
      });
      return;
    }
    Peer peer = PeerFromSockaddr(&address, size);
    if (path_.empty()) {
      peer.local = BoundAddress(socket).address;
      peer.port_proves_nothing = PortProvesNothing(peer, socket);
      SetOption(socket, IPPROTO_TCP, TCP_NODELAY, 1);
      SetOption(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    } else {
      peer.local_socket = true;
      ucred credentials{};
      socklen_t length = sizeof credentials;
      if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0) peer.local_uid = credentials.uid;
    }
    on_accept_(socket, peer);
  }
  Wait();
}

}  // namespace strata::rpc
