#include "server/rpc/datagrams.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <semaphore>

#include "base/resident.h"
#include "server/rpc/listener.h"
#include "server/rpc/pending_call.h"
#include "server/rpc/port_owner.h"
#include "server/rpc/record_reader.h"
#include "server/rpc/trace.h"

namespace strata::rpc {
namespace {

// Served in one go before others get their turn.
constexpr int kAtOnce = 64;
constexpr std::size_t kMaxPieces = 256;

// Of one message: the address on this machine.
struct Control {
  alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
};

msghdr MessageOf(iovec* pieces, std::size_t count, sockaddr_storage* address, socklen_t size) {
  msghdr message{};
  message.msg_name = address;
  message.msg_namelen = size;
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  return message;
}

// The address that a datagram was sent to; unspecified where the message does not tell.
boost::asio::ip::address CalledAddress(msghdr& message) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      return boost::asio::ip::address_v4(ntohl(info.ipi_spec_dst.s_addr));
    }
    if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      boost::asio::ip::address_v6::bytes_type bytes;
      std::memcpy(bytes.data(), &info.ipi6_addr, bytes.size());
      const boost::asio::ip::address_v6 called(bytes);
      // Such an address is one of an interface.
      return called.is_link_local() ? boost::asio::ip::address_v6(bytes, info.ipi6_ifindex) : called;
    }
  }
  return {};
}

void SendFrom(const boost::asio::ip::address& local, Control& control, msghdr& message) {
  message.msg_control = control.bytes;
  std::memset(control.bytes, 0, sizeof control.bytes);
  const auto put = [&](int level, int type, const auto& info) {
    message.msg_controllen = CMSG_SPACE(sizeof info);
    cmsghdr* const head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = level;
    head->cmsg_type = type;
    head->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(head), &info, sizeof info);
  };
  message.msg_controllen = sizeof control.bytes;
  if (local.is_v4()) {
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = htonl(local.to_v4().to_uint());
    return put(IPPROTO_IP, IP_PKTINFO, info);
  }
  in6_pktinfo info{};
  const auto bytes = local.to_v6().to_bytes();
  std::memcpy(&info.ipi6_addr, bytes.data(), bytes.size());
  info.ipi6_ifindex = static_cast<unsigned>(local.to_v6().scope_id());
  put(IPPROTO_IPV6, IPV6_PKTINFO, info);
}

// Waits for what the reply owes; where that fails it becomes a failure.
void Meet(const Route& route, const Outcome& outcome, ReplyBuffer& reply) {
  if (outcome.volume == nullptr || outcome.commitment == vfs::Commitment::kNone) return;
  bool met = false;
  if (outcome.commitment == vfs::Commitment::kWritten) {
    met = outcome.volume->Flush().has_value();
  } else {
    std::binary_semaphore done(0);
    outcome.volume->Sync(outcome.lsn, [&](Result<void> result) {
      met = result.has_value();
      done.release();
    });
    done.acquire();
  }
  if (met) return;
  reply.Clear();
  std::byte* const header = BeginReply(reply);
  if (route.procedure->failure != nullptr) route.procedure->failure(reply);
  FinishReply(header, reply.size(), route.call.xid, route.procedure->failure != nullptr ? SUCCESS : SYSTEM_ERR);
}

}  // namespace

struct Datagrams::Pending final : public WorkerPool::Task {
  std::shared_ptr<Datagrams> owner;
  Peer peer;
  Route route;
  std::vector<std::byte> arguments;
  Client client;

  void Run() override {
    ReplyBuffer reply;
    route.call.late = late();
    const Outcome outcome = RunProcedure(route, reply);
    if (outcome.would_block && owner->thread_.shared().workers.Park(this)) return;
    if (!outcome.would_block) {
      Meet(route, outcome, reply);
      owner->Send(reply, client);
    }
    owner->in_flight_.fetch_sub(1);
    delete this;
  }
};

Datagrams::Datagrams(IoThread& thread, int socket, const Dispatcher& dispatcher)
    : thread_(thread),
      dispatcher_(dispatcher),
      socket_(thread.context(), socket),
      bound_(BoundAddress(socket).address) {
  if (!bound_.is_unspecified()) return;
  // Then each datagram tells which address it came to.
  const int on = 1;
  if (bound_.is_v6()) {
    ::setsockopt(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  } else {
    ::setsockopt(socket, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  }
}

void Datagrams::Start() {
  paused_ = false;
  Wait();
}

void Datagrams::Pause() {
  paused_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

HandedSocket Datagrams::Release() {
  HandedSocket handed;
  handed.kind = HandedSocket::Kind::kDatagrams;
  handed.socket = UniqueFd(socket_.release());
  handed.program = dispatcher_.first_program();
  return handed;
}

void Datagrams::Close() {
  // Reading stops; the descriptor lives until the last call on a worker has been answered.
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void Datagrams::Wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error && !paused_ && !thread_.draining()) ReceiveAll();
  });
}

void Datagrams::ReceiveAll() {
  for (int i = 0; i < kAtOnce; ++i) {
    Client client;
    Control control;
    iovec piece{buffer_.data(), buffer_.size()};
    msghdr message = MessageOf(&piece, 1, &client.address, client.size);
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    const ssize_t got = ::recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_TRUNC);
    thread_.counters().system_calls.Add();
    if (got < 0) {
      if (errno == EAGAIN) break;
      continue;  // such as an ICMP error for an earlier reply
    }
    if (static_cast<std::size_t>(got) > buffer_.size()) {
      thread_.counters().records_refused.Add();
      continue;
    }
    client.size = message.msg_namelen;
    client.local = bound_.is_unspecified() ? CalledAddress(message) : bound_;
    Serve({buffer_.data(), static_cast<std::size_t>(got)}, client);
  }
  Wait();
}

void Datagrams::Serve(ByteSpan call, const Client& client) {
  thread_.counters().calls.Add();
  Peer peer = PeerFromSockaddr(&client.address, client.size);
  peer.datagram = true;
  peer.local = client.local;
  peer.port_proves_nothing = PortProvesNothing(peer, socket_.native_handle());
  CredentialCache credentials;
  ReplyBuffer reply;
  Route route;
  dispatcher_.Find(call, peer, credentials, &route, reply);
  if (route.kind == Route::Kind::kAnswered) {
    TraceDenied(peer, call);
    return Send(reply, client);
  }
  if (route.kind != Route::Kind::kServe) return thread_.counters().records_refused.Add();
  // What never changes anything is answered here; all else may wait.
  std::shared_ptr<Fetch> fetch;
  if (!route.procedure->always_blocks && route.procedure->failure == nullptr) {
    route.call.fetch = &fetch;
    const Outcome outcome = RunProcedure(route, reply);
    if (!outcome.would_block && outcome.commitment == vfs::Commitment::kNone) return Send(reply, client);
    if (!outcome.would_block) {
      Meet(route, outcome, reply);
      return Send(reply, client);
    }
  }
  if (in_flight_.fetch_add(1) >= kMaxInFlight) {
    in_flight_.fetch_sub(1);
    return;
  }
  thread_.counters().calls_blocked.Add();
  auto* pending = new Pending;
  pending->owner = shared_from_this();
  pending->peer = peer;
  pending->route = route;
  pending->arguments.assign(route.arguments.begin(), route.arguments.end());
  pending->route.arguments = pending->arguments;
  pending->route.call.peer = &pending->peer;
  pending->route.call.may_block = true;
  pending->route.call.fetch = &pending->fetch;
  pending->client = client;
  pending->fetch = std::move(fetch);
  WorkerPool& workers = thread_.shared().workers;
  if (!workers.Park(pending)) workers.Submit(pending);
}

void Datagrams::Send(ReplyBuffer& reply, const Client& client) {
  reply.Consume(kRecordMarkBytes);
  iovec pieces[kMaxPieces];
  msghdr message =
      MessageOf(pieces, reply.Gather(pieces, kMaxPieces), const_cast<sockaddr_storage*>(&client.address), client.size);
  Control control;
  if (bound_.is_unspecified() && !client.local.is_unspecified()) SendFrom(client.local, control, message);
  // One that cannot be sent is lost, as datagrams may be. EFAULT: see Connection::SendNow.
  const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno == EFAULT) mapping_faults.fetch_add(1);
}

}  // namespace strata::rpc
