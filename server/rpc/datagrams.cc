#include "server/rpc/datagrams.h"

#include <sys/socket.h>

#include <cerrno>
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
  sockaddr_storage from{};
  socklen_t from_size = 0;

  void Run() override {
    ReplyBuffer reply;
    const Outcome outcome = RunProcedure(route, reply);
    if (!outcome.would_block) {
      Meet(route, outcome, reply);
      owner->Send(reply, from, from_size);
    }
    owner->in_flight_.fetch_sub(1);
    delete this;
  }
};

Datagrams::Datagrams(IoThread& thread, int socket, const Dispatcher& dispatcher)
    : thread_(thread),
      dispatcher_(dispatcher),
      socket_(thread.context(), socket),
      local_(BoundAddress(socket).address) {}

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
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const ssize_t got = ::recvfrom(socket_.native_handle(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC,
                                   reinterpret_cast<sockaddr*>(&from), &size);
    thread_.counters().system_calls.Add();
    if (got < 0) {
      if (errno == EAGAIN) break;
      continue;  // such as an ICMP error for an earlier reply
    }
    if (static_cast<std::size_t>(got) > buffer_.size()) {
      thread_.counters().records_refused.Add();
      continue;
    }
    Serve({buffer_.data(), static_cast<std::size_t>(got)}, from, size);
  }
  Wait();
}

void Datagrams::Serve(ByteSpan call, const sockaddr_storage& from, socklen_t from_size) {
  thread_.counters().calls.Add();
  Peer peer = PeerFromSockaddr(&from, from_size);
  peer.datagram = true;
  peer.local = local_;
  peer.port_proves_nothing = PortProvesNothing(peer, socket_.native_handle());
  CredentialCache credentials;
  ReplyBuffer reply;
  Route route;
  dispatcher_.Find(call, peer, credentials, &route, reply);
  if (route.kind == Route::Kind::kAnswered) {
    TraceDenied(peer, call);
    return Send(reply, from, from_size);
  }
  if (route.kind != Route::Kind::kServe) return thread_.counters().records_refused.Add();
  // What never changes anything is answered here; all else may wait.
  if (!route.procedure->always_blocks && route.procedure->failure == nullptr) {
    const Outcome outcome = RunProcedure(route, reply);
    if (!outcome.would_block && outcome.commitment == vfs::Commitment::kNone) return Send(reply, from, from_size);
    if (!outcome.would_block) {
      Meet(route, outcome, reply);
      return Send(reply, from, from_size);
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
  pending->from = from;
  pending->from_size = from_size;
  thread_.shared().workers.Submit(pending);
}

void Datagrams::Send(ReplyBuffer& reply, const sockaddr_storage& to, socklen_t to_size) {
  reply.Consume(kRecordMarkBytes);
  iovec pieces[kMaxPieces];
  msghdr message{};
  message.msg_name = const_cast<sockaddr_storage*>(&to);
  message.msg_namelen = to_size;
  message.msg_iov = pieces;
  message.msg_iovlen = reply.Gather(pieces, kMaxPieces);
  // One that cannot be sent is lost, as datagrams may be. EFAULT: see Connection::SendNow.
  const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno == EFAULT) mapping_faults.fetch_add(1);
}

}  // namespace strata::rpc
