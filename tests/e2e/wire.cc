#include "tests/e2e/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace strata::e2e {

Xdr& Xdr::Word(std::uint32_t word) {
  const std::uint32_t big_endian = htonl(word);
  bytes_.append(reinterpret_cast<const char*>(&big_endian), sizeof big_endian);
  return *this;
}

Xdr& Xdr::Opaque(std::string_view bytes) {
  Word(static_cast<std::uint32_t>(bytes.size()));
  bytes_.append(bytes);
  bytes_.append((4 - bytes.size() % 4) % 4, '\0');
  return *this;
}

std::uint32_t WireReply::Word(std::size_t index) const {
  std::uint32_t word = ~0U;
  if (body.size() >= (index + 1) * 4) std::memcpy(&word, body.data() + index * 4, 4);
  return ntohl(word);
}

Wire::Wire(std::uint16_t port, bool reserved_port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval limit{20, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bool bound = !reserved_port;
  for (int from = 1023; !bound && from > 600; --from) {
    address.sin_port = htons(static_cast<std::uint16_t>(from));
    bound = ::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (!bound && errno != EADDRINUSE) break;
  }
  address.sin_port = htons(port);
  if (bound && ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return;
  ::close(fd_);
  fd_ = -1;
}

Wire::~Wire() {
  if (fd_ >= 0) ::close(fd_);
}

bool Wire::ReceiveAll(void* into, std::size_t size) {
  return size == 0 || ::recv(fd_, into, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

WireReply Wire::Call(std::uint32_t program, std::uint32_t version, std::uint32_t procedure, std::string_view arguments,
                     std::uint32_t rpc_version) {
  const std::string credential = Xdr().Word(0).Opaque("e2e").Word(0).Word(0).Word(0).bytes();
  std::string call = Xdr()
                         .Word(++xid_)
                         .Word(0)
                         .Word(rpc_version)
                         .Word(program)
                         .Word(version)
                         .Word(procedure)
                         .Word(1)
                         .Opaque(credential)
                         .Word(0)
                         .Word(0)
                         .bytes();
  call.append(arguments);
  const std::string record = Xdr().Word(0x8000'0000U | static_cast<std::uint32_t>(call.size())).bytes() + call;
  WireReply reply;
  if (fd_ < 0 || ::send(fd_, record.data(), record.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(record.size()))
    return reply;
  std::string received;
  for (bool last = false; !last;) {
    std::uint32_t mark;
    if (!ReceiveAll(&mark, sizeof mark)) return reply;
    mark = ntohl(mark);
    last = (mark & 0x8000'0000U) != 0;
    const std::size_t before = received.size(), length = mark & 0x7fff'ffffU;
    if (length > (8U << 20)) return reply;
    received.resize(before + length);
    if (!ReceiveAll(received.data() + before, length)) return reply;
  }
  WireReply words{.body = received};
  if (words.Word(0) != xid_ || words.Word(1) != 1) return reply;
  reply.came = true;
  reply.denied = words.Word(2);
  // Accepted: verifier's flavour and length (0), then accept_stat.
  const std::size_t at = reply.denied == 0 ? 5 : 3;
  reply.accepted = words.Word(at);
  if (received.size() > (at + 1) * 4) reply.body = received.substr((at + 1) * 4);
  return reply;
}

}  // namespace strata::e2e
