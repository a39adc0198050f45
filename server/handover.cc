#include "server/handover.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <boost/asio/ip/address.hpp>
#include <cstring>
#include <utility>

#include "server/handover_bytes.h"
#include "server/nfs3/program.h"
#include "server/rpc/listener.h"

namespace strata {
namespace {

using rpc::HandedSocket;

constexpr std::size_t kMaxRegistrationText = 1024;

// Of what follows the answered calls. What is of a tag not known here is passed over.
enum class Section : std::uint16_t { kEnd = 0, kLocks = 1 };

void PutPeer(HandoverWriter& out, const rpc::Peer& peer) {
  out.Address(peer.address);
  out.Put(peer.port);
  out.Put<std::uint8_t>(peer.local_socket ? 1 : 0);
  out.Put(peer.local_uid);
}

bool ReadPeer(ByteReader& in, rpc::Peer* peer) {
  if (!ReadAddress(in, &peer->address)) return false;
  peer->port = in.Read<std::uint16_t>();
  peer->local_socket = in.Read<std::uint8_t>() != 0;
  peer->local_uid = in.Read<std::uint32_t>();
  return in.ok();
}

void PutSection(HandoverWriter& out, Section tag, ByteSpan body) {
  out.Put(static_cast<std::uint16_t>(tag));
  out.Text(body);
}

int IntOption(int socket, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool Fits(const HandedSocket& socket) {
  const int fd = socket.socket.get();
  const int type = IntOption(fd, SO_TYPE), listening = IntOption(fd, SO_ACCEPTCONN), family = IntOption(fd, SO_DOMAIN);
  switch (socket.kind) {
    case HandedSocket::Kind::kTcpListener:
      return type == SOCK_STREAM && listening == 1 && (family == AF_INET || family == AF_INET6);
    case HandedSocket::Kind::kUnixListener:
      return type == SOCK_STREAM && listening == 1 && family == AF_UNIX;
    case HandedSocket::Kind::kDatagrams:
      return type == SOCK_DGRAM && (family == AF_INET || family == AF_INET6);
    case HandedSocket::Kind::kConnection:
      return type == SOCK_STREAM && listening == 0;
  }
  return false;
}

std::unexpected<Status> Malformed(std::string_view what) {
  return Fail(Errc::kCorrupt, "a server's handover does not decode: " + std::string(what));
}

}  // namespace

bool IsLoopback(const Endpoint& endpoint) {
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(endpoint.address, error);
  return !error && address.is_loopback();
}

std::vector<Endpoint> Handover::Endpoints() const {
  std::vector<Endpoint> endpoints;
  for (const HandedSocket& socket : handed.sockets) {
    if (socket.kind != HandedSocket::Kind::kTcpListener || socket.program != kNfsProgram) continue;
    const rpc::Peer bound = rpc::BoundAddress(socket.socket.get());
    endpoints.push_back({bound.address.to_string(), bound.port});
  }
  return endpoints;
}

Result<std::vector<std::byte>> EncodeHandover(const Handover& handover, std::uint32_t version) {
  HandoverWriter out;
  out.Put<std::uint8_t>(handover.registered_with_rpcbind ? 1 : 0);
  out.Put(static_cast<std::uint32_t>(handover.handed.sockets.size()));
  for (const HandedSocket& socket : handover.handed.sockets) {
    out.Put(static_cast<std::uint8_t>(socket.kind));
    out.Put(socket.program);
    out.Text(AsBytes(socket.path));
    PutPeer(out, socket.peer);
    out.Text(socket.received);
    out.Text(socket.unsent);
  }
  out.Put(static_cast<std::uint32_t>(handover.registrations.size()));
  for (const portmap::Registration& registration : handover.registrations) {
    out.Put(registration.program);
    out.Put(registration.version);
    out.Text(AsBytes(registration.netid));
    out.Text(AsBytes(registration.uaddr));
    out.Text(AsBytes(registration.owner));
  }
  out.Put(static_cast<std::uint32_t>(handover.handed.answered.size()));
  for (const rpc::AnsweredCall& call : handover.handed.answered) {
    out.Append(std::as_bytes(std::span(&call.key, 1)));
    out.Text(call.reply);
  }
  if (version >= kHandoverSections) {
    if (handover.locks) PutSection(out, Section::kLocks, nlm4::EncodeLocks(*handover.locks));
    PutSection(out, Section::kEnd, {});
  }
  if (out.too_long()) {
    return Fail(Errc::kTooSmall,
                "more than 1 GiB lies between the server and its clients, too much to hand over; try again when "
                "clients are less busy");
  }
  return out.Take();
}

Result<Handover> DecodeHandover(ByteSpan bytes) {
  ByteReader in(bytes);
  Handover handover;
  handover.registered_with_rpcbind = in.Read<std::uint8_t>() != 0;
  // Each element is appended only once it was read whole: a count that is merely claimed costs nothing.
  const auto sockets = in.Read<std::uint32_t>();
  if (sockets > kMaxHandedSockets) return Malformed("too many sockets");
  for (std::uint32_t i = 0; i < sockets; ++i) {
    HandedSocket socket;
    const auto kind = in.Read<std::uint8_t>();
    if (kind > static_cast<std::uint8_t>(HandedSocket::Kind::kConnection)) return Malformed("a socket's kind");
    socket.kind = static_cast<HandedSocket::Kind>(kind);
    socket.program = in.Read<std::uint32_t>();
    socket.path = ReadString(in, sizeof(sockaddr_un::sun_path));
    if ((socket.kind == HandedSocket::Kind::kUnixListener) == socket.path.empty()) return Malformed("a socket's path");
    if (!ReadPeer(in, &socket.peer)) return Malformed("a client's address");
    socket.received = ReadOwnBytes(in, kMaxHandoverBytes);
    socket.unsent = ReadOwnBytes(in, kMaxHandoverBytes);
    if (!in.ok()) return Malformed("a socket is cut off");
    handover.handed.sockets.push_back(std::move(socket));
  }
  const auto registrations = in.Read<std::uint32_t>();
  if (registrations > portmap::kMaxRegistrations) return Malformed("too many registrations");
  for (std::uint32_t i = 0; i < registrations; ++i) {
    portmap::Registration registration;
    registration.program = in.Read<std::uint32_t>();
    registration.version = in.Read<std::uint32_t>();
    registration.netid = ReadString(in, kMaxRegistrationText);
    registration.uaddr = ReadString(in, kMaxRegistrationText);
    registration.owner = ReadString(in, kMaxRegistrationText);
    if (!in.ok()) return Malformed("a registration is cut off");
    handover.registrations.push_back(std::move(registration));
  }
  const auto answered = in.Read<std::uint32_t>();
  for (std::uint32_t i = 0; i < answered; ++i) {
    rpc::AnsweredCall call;
    const ByteSpan key = in.ReadBytes(sizeof call.key);
    call.reply = ReadOwnBytes(in, kMaxHandoverBytes);
    if (!in.ok()) return Malformed("an answer is cut off");
    std::memcpy(&call.key, key.data(), sizeof call.key);
    handover.handed.answered.push_back(std::move(call));
  }
  // The first version of the exchange ends here.
  for (bool ended = in.remaining() == 0; in.ok() && !ended;) {
    const auto tag = static_cast<Section>(in.Read<std::uint16_t>());
    const ByteSpan body = ReadText(in, kMaxHandoverBytes);
    if (!in.ok()) return Malformed("a section is cut off");
    ended = tag == Section::kEnd;
    if (tag == Section::kLocks) {
      STRATA_ASSIGN(handover.locks, nlm4::DecodeLocks(body));
    }
  }
  if (!in.ok() || in.remaining() != 0) return Malformed("its length");
  return handover;
}

Result<void> AttachDescriptors(Handover& handover, std::vector<UniqueFd> descriptors) {
  if (descriptors.size() != handover.handed.sockets.size()) return Malformed("the number of descriptors");
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    HandedSocket& socket = handover.handed.sockets[i];
    socket.socket = std::move(descriptors[i]);
    if (!Fits(socket)) return Malformed("a descriptor is not the socket that it should be");
  }
  return {};
}

}  // namespace strata
