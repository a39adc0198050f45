#include "server/rpc/port_owner.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>

#include "base/unique_fd.h"
#include "server/rpc/listener.h"

namespace strata::rpc {
namespace {

constexpr char kFirstFreePort[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
constexpr timeval kLimit{2, 0};

// Below which only root may bind, on this machine; 1024 where the system does not tell.
unsigned FirstFreePort() {
  const UniqueFd file(::open(kFirstFreePort, O_RDONLY | O_CLOEXEC));
  char text[16];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
  unsigned port = IPPORT_RESERVED;
  if (size > 0) std::from_chars(text, text + size, port);
  return port;
}

void Store(const boost::asio::ip::address& address, __be32* out) {
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    std::memcpy(out, bytes.data(), bytes.size());
  } else {
    const auto bytes = address.to_v6().to_bytes();
    std::memcpy(out, bytes.data(), bytes.size());
  }
}

// The uid of the socket of this namespace that is bound to `from` and connected to `to`; kNotFound where there is none,
// or one that is no longer connected: of those that have been closed the kernel gives root as the owner.
Result<std::uint32_t> OwnerOf(const Peer& from, const Peer& to) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 asked;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.asked.sdiag_family = from.address.is_v4() ? AF_INET : AF_INET6;
  request.asked.sdiag_protocol = IPPROTO_TCP;
  request.asked.idiag_states = 1u << TCP_ESTABLISHED;
  request.asked.id.idiag_sport = htons(from.port);
  request.asked.id.idiag_dport = htons(to.port);
  Store(from.address, request.asked.id.idiag_src);
  Store(to.address, request.asked.id.idiag_dst);
  request.asked.id.idiag_cookie[0] = request.asked.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;

  const UniqueFd diag(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!diag) return Fail(Status::FromErrno(errno, "asking the kernel who owns a socket"));
  ::setsockopt(diag.get(), SOL_SOCKET, SO_RCVTIMEO, &kLimit, sizeof kLimit);
  if (::send(diag.get(), &request, sizeof request, 0) != sizeof request)
    return Fail(Status::FromErrno(errno, "asking the kernel who owns a socket"));
  struct {
    nlmsghdr header;
    union {
      inet_diag_msg found;
      nlmsgerr failed;
    };
    char rest[1024];
  } answer{};
  const ssize_t size = ::recv(diag.get(), &answer, sizeof answer, 0);
  if (size < static_cast<ssize_t>(sizeof(nlmsghdr))) return Fail(Status::FromErrno(EIO, "hearing who owns a socket"));
  if (answer.header.nlmsg_type == NLMSG_ERROR)
    return Fail(Status::FromErrno(-answer.failed.error, "hearing who owns a socket"));
  if (answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      size < static_cast<ssize_t>(sizeof(nlmsghdr) + sizeof(inet_diag_msg)))
    return Fail(Errc::kIo, "the kernel does not say who owns a socket");
  if (answer.found.idiag_state != TCP_ESTABLISHED) return Fail(Errc::kNotFound);
  return answer.found.idiag_uid;
}

}  // namespace

bool LowPortsAreEverybodys() { return FirstFreePort() < IPPORT_RESERVED; }

bool PortProvesNothing(const Peer& peer, int socket) {
  if (peer.local_socket || peer.port >= IPPORT_RESERVED || !LowPortsAreEverybodys()) return false;
  Peer reached = BoundAddress(socket);
  if (!peer.local.is_unspecified()) reached.address = peer.local;
  const bool local = peer.address.is_loopback() || peer.address == reached.address;
  if (peer.datagram) return local;
  const Result<std::uint32_t> owner = OwnerOf(peer, reached);
  // One that this machine knows nothing of is another machine's.
  return owner ? *owner != 0 : local;
}

Result<void> CheckOwnersCanBeTold() {
  const unsigned first = FirstFreePort();
  if (first >= IPPORT_RESERVED) return {};
  Peer nobody;
  nobody.address = boost::asio::ip::address_v4::loopback();
  nobody.port = 1;
  const Result<std::uint32_t> owner = OwnerOf(nobody, nobody);
  if (owner || owner.error().code() == Errc::kNotFound) return {};
  return Fail(Errc::kNotSupported,
              "every user of this machine may use ports below 1024 (net.ipv4.ip_unprivileged_port_start is " +
                  std::to_string(first) +
                  "), and the kernel does not tell whose a connection is: " + std::string(owner.error().message()) +
                  "; set net.ipv4.ip_unprivileged_port_start to 1024, or let any local user claim to be any user with "
                  "--insecure-ports");
}

}  // namespace strata::rpc
