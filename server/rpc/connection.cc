#include "server/rpc/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <string>
#include <utility>

#include "base/hash.h"
#include "base/resident.h"
#include "server/rpc/addresses.h"
#include "server/rpc/io_thread.h"
#include "server/rpc/pending_call.h"
#include "server/rpc/trace.h"

namespace strata::rpc {
namespace {

// A batch of more than this leaves before the rest is served.
constexpr std::size_t kBatchBytes = 1 << 20;
// Arguments longer than this are not copied for a worker; the receive buffer is held instead.
constexpr std::size_t kCopyBelow = 4 << 10;

std::array<std::byte, 16> AddressBytes(const boost::asio::ip::address& address) {
  const auto bytes = MappedBytes(address);
  std::array<std::byte, 16> out;
  std::memcpy(out.data(), bytes.data(), out.size());
  return out;
}

int SocketFamily(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 ? address.ss_family : AF_UNIX;
}

}  // namespace

// Keeps a connection from being destroyed while an Asio handler that names it is to come.
class Hold {
 public:
  explicit Hold(Connection* connection) : connection_(connection) { ++connection_->holds_; }
  Hold(Hold&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Hold(const Hold& other) : connection_(other.connection_) { ++connection_->holds_; }
  Hold& operator=(const Hold&) = delete;
  ~Hold() {
    if (connection_ != nullptr) connection_->Unhold();
  }
  Connection* operator->() const { return connection_; }

 private:
  Connection* connection_;
};

Connection::Connection(IoThread& thread, int socket, const Peer& peer, const Dispatcher& dispatcher)
    : thread_(thread),
      dispatcher_(dispatcher),
      socket_(thread.context()),
      peer_(peer),
      address_(AddressBytes(peer.address)),
      reader_(thread.buffers()) {
  boost::system::error_code error;
  socket_.assign(boost::asio::generic::stream_protocol(SocketFamily(socket), 0), socket, error);
  if (error) {
    ::close(socket);
    return;
  }
  socket_.native_non_blocking(true, error);
}

Connection::~Connection() {
  Shared& shared = thread_.shared();
  shared.buffered_bytes.fetch_sub(counted_bytes_, std::memory_order_relaxed);
  if (shared.connections_open.fetch_sub(1) == 1) shared.drained.Notify();
}

void Connection::Start() {
  const Hold hold(this);
  if (!socket_.is_open()) return Close();
  if (!out_.empty()) WaitWritable();
  // Serves what was restored; then reads.
  Process();
}

void Connection::Unhold() {
  if (--holds_ == 0 && closed_) thread_.Destroy(this);
}

void Connection::Close() {
  if (closed_) return;
  const Hold hold(this);  // destroyed on the way out unless something else holds it
  closed_ = true;
  ended_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  talking_hook.unlink();
  part_hook.unlink();
  if (starving_hook.is_linked()) thread_.StarvesNoMore(*this);
  if (reading_ != Reading::kReceiving) reader_.Reset();
  out_.Clear(false);
  CheckQuiet();
}

void Connection::CountQueued() {
  const std::size_t queued = out_.size() + bytes_in_flight_;
  if (queued == counted_bytes_) return;
  // Modulo 2^64, so shrinking works too.
  thread_.shared().buffered_bytes.fetch_add(queued - counted_bytes_, std::memory_order_relaxed);
  counted_bytes_ = queued;
}

bool Connection::Paused() {
  const Shared& shared = thread_.shared();
  CountQueued();
  if (in_flight_ >= shared.max_calls_in_flight || counted_bytes_ >= shared.max_queued_bytes) return true;
  // One with nothing under way goes on in any case: nothing would come back to wake it.
  return counted_bytes_ > 0 &&
         shared.buffered_bytes.load(std::memory_order_relaxed) + shared.receive.bytes() >= shared.max_buffered_bytes;
}

// -- Reading --

void Connection::Read() {
  if (closed_ || ended_ || thread_.paused() || reading_ != Reading::kNo) return;
  if (!thread_.buffers().CanLend() && !reader_.has_large_part()) {
    // Too many talk at once for a buffer each: only what an unfinished record needs is kept.
    reader_.Shrink();
    if (!reader_.has_buffer()) return WaitReadable();
  }
  const MutableByteSpan room = reader_.Room();
  if (room.empty()) return thread_.Starves(*this);
  if (reader_.has_part()) thread_.HasPart(*this);
  reading_ = Reading::kReceiving;
  socket_.async_receive(boost::asio::buffer(room.data(), room.size()),
                        [self = Hold(this)](const boost::system::error_code& error, std::size_t size) {
                          self->OnReceived(error, size);
                          self->CheckQuiet();
                        });
}

void Connection::WaitReadable() {
  reading_ = Reading::kWaiting;
  socket_.async_wait(boost::asio::socket_base::wait_read, [self = Hold(this)](const boost::system::error_code& error) {
    self->OnReadable(error);
    self->CheckQuiet();
  });
}

bool Connection::Arrived(int error, std::size_t size) {
  if (error != 0 && error != EAGAIN && error != EINTR) {
    Close();
    return false;
  }
  if (error == 0 && size == 0) {
    ended_ = true;
    reader_.Shrink();
    MaybeFinish();
    return false;
  }
  if (size > 0) {
    reader_.Received(size);
    thread_.Heard(*this);
  }
  return true;
}

void Connection::OnReceived(const boost::system::error_code& error, std::size_t size) {
  reading_ = Reading::kNo;
  thread_.counters().system_calls.Add();
  if (closed_) return reader_.Reset();
  if (error == boost::asio::error::operation_aborted) {
    if (ended_) return MaybeFinish();
    if (thread_.paused()) return;
    // Idle() asked for the buffer.
    reader_.Shrink();
    return reader_.has_buffer() ? Read() : WaitReadable();
  }
  const bool end = error == boost::asio::error::eof;
  if (!Arrived(end ? 0 : error.value(), size)) return;
  thread_.Talks(*this);
  Process();
}

void Connection::OnReadable(const boost::system::error_code& error) {
  reading_ = Reading::kNo;
  if (closed_ || thread_.paused()) return;
  // Aborted, but no longer paused: on again. Other errors leave nothing to wait for.
  if (error) return ended_ ? MaybeFinish() : error == boost::asio::error::operation_aborted ? GoOn() : Close();
  // It stays in the socket.
  if (thread_.buffers().budget().Exhausted()) return thread_.Starves(*this);
  const MutableByteSpan room = reader_.Room();
  const ssize_t size = ::recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
  thread_.counters().system_calls.Add();
  if (!Arrived(size < 0 ? errno : 0, size < 0 ? 0 : static_cast<std::size_t>(size))) return;
  thread_.Talks(*this);
  Process();
}

void Connection::Idle() {
  if (closed_ || reading_ != Reading::kReceiving) return;
  if (reader_.footprint() < BufferPool::kSmallBytes) return;
  boost::system::error_code ignored;
  socket_.cancel(ignored);  // OnReceived goes on from there
}

void Connection::GiveUpPart() {
  Refuse("the rest of a record did not come, and others wait for its memory");
  Close();
}

void Connection::Drain() {
  if (closed_) return;
  const Hold hold(this);
  ended_ = true;
  boost::system::error_code ignored;
  if (reading_ != Reading::kNo) {
    socket_.cancel(ignored);
  } else {
    MaybeFinish();
  }
}

bool Connection::Pause() {
  settling_ = in_flight_ > 0 || (!closed_ && reading_ != Reading::kNo);
  boost::system::error_code ignored;
  if (!closed_ && reading_ != Reading::kNo) socket_.cancel(ignored);
  return !settling_;
}

void Connection::CheckQuiet() {
  if (!settling_ || in_flight_ > 0 || (!closed_ && reading_ != Reading::kNo)) return;
  settling_ = false;
  thread_.Settled();
}

void Connection::Resume() {
  settling_ = false;
  GoOn();
}

std::optional<HandedSocket> Connection::Release() {
  if (closed_) return std::nullopt;
  HandedSocket handed;
  handed.program = dispatcher_.first_program();
  handed.peer = peer_;
  reader_.CopyUntaken(handed.received);
  // A reply that cannot be read any more ends the connection, as when it is sent.
  const bool whole = out_.CopyTo(0, handed.unsent);
  boost::system::error_code error;
  handed.socket = UniqueFd(socket_.release(error));
  Close();
  if (error || !whole) return std::nullopt;
  return handed;
}

void Connection::Restore(const HandedSocket& from) {
  reader_.Restore(from.received);
  out_.Raw(from.unsent);
}

void Connection::MaybeFinish() {
  if (ended_ && !closed_ && !backlog_ && in_flight_ == 0 && out_.empty()) Close();
}

void Connection::Refuse(const char* why) {
  thread_.counters().records_refused.Add();
  if (thread_.shared().refusals.Allow()) {
    log::Warning("record_refused",
                 {{"connection", peer_.connection}, {"client", peer_.address.to_string()}, {"reason", why}});
  }
}

// -- Serving --

void Connection::Process() {
  if (thread_.paused()) return;
  const Hold hold(this);
  bool lost = false;
  for (;;) {
    backlog_ = Paused();
    if (backlog_) break;
    ByteSpan record;
    const RecordReader::Found found = reader_.Take(&record);
    if (found == RecordReader::Found::kMore) break;
    if (found != RecordReader::Found::kRecord) {
      Refuse(found == RecordReader::Found::kTooLarge ? "larger than a record may be" : "too many fragments");
      lost = true;
      break;
    }
    part_hook.unlink();
    Serve(record);
    if (closed_) break;
    if (thread_.batch().replies().size() >= kBatchBytes) EndBatch();
  }
  EndBatch();
  if (lost) return Close();
  if (ended_) return MaybeFinish();
  if (!backlog_) Read();
}

void Connection::Serve(ByteSpan record) {
  ReplyBatch& batch = thread_.batch();
  thread_.counters().calls.Add();
  Route route;
  dispatcher_.Find(record, peer_, credentials_, &route, batch.replies());
  switch (route.kind) {
    case Route::Kind::kServe:
      break;
    case Route::Kind::kAnswered:
      return TraceDenied(peer_, record);
    case Route::Kind::kIgnore:
      return Refuse("a reply, not a call");
    case Route::Kind::kClose:
      Refuse("not an RPC message");
      // The answers of the calls before it still leave.
      EndBatch();
      return Close();
  }
  ReplyKey key{route.call.xid, route.procedure, DuplicateCache::Id::kNone};
  if (route.procedure->cached && !ClaimFirst(&route, &key)) return;
  if (route.procedure->always_blocks) return Block(route, key);
  Run(route, key);
}

void Connection::Run(Route& route, const ReplyKey& key) {
  const std::size_t start = thread_.batch().replies().size();
  std::shared_ptr<Fetch> fetch;
  route.call.fetch = &fetch;
  const Outcome outcome = RunProcedure(route, thread_.batch().replies());
  if (outcome.would_block) return Block(route, key, std::move(fetch));
  Settle(start, key, outcome);
}

void Connection::Settle(std::size_t start, const ReplyKey& key, const Outcome& outcome) {
  if (outcome.commitment == vfs::Commitment::kNone && key.duplicate == DuplicateCache::Id::kNone) return;
  const std::size_t size = thread_.batch().replies().size() - start;
  if (!thread_.batch().Settle(start, key, outcome)) return;
  ++in_flight_;
  bytes_in_flight_ += size;
}

void Connection::Block(const Route& route, const ReplyKey& key, std::shared_ptr<Fetch> fetch) {
  thread_.counters().calls_blocked.Add();
  ReceiveBuffer* buffer = route.arguments.size() < kCopyBelow ? nullptr : reader_.HoldBuffer();
  // A buffer that is held is counted as such.
  const std::size_t bytes =
      (buffer == nullptr ? route.arguments.size() : 0) + route.procedure->largest_reply + BlockList::kBlockBytes;
  auto* call = new (thread_.blocks()) PendingCall(*this, route, key, buffer, bytes);
  ++holds_;
  ++in_flight_;
  bytes_in_flight_ += bytes;
  call->fetch = std::move(fetch);
  WorkerPool& workers = thread_.shared().workers;
  if (!workers.Park(call)) workers.Submit(call);
}

bool Connection::ClaimFirst(Route* route, ReplyKey* key) {
  DuplicateCache& cache = thread_.shared().duplicates;
  const DuplicateKey duplicate{.address = address_,
                               .xid = route->call.xid,
                               .program = route->call.program,
                               .version = route->call.version,
                               .procedure = route->call.procedure,
                               .checksum = Crc32c(route->arguments),
                               .size = static_cast<std::uint32_t>(route->arguments.size())};
  std::vector<std::byte>& replay = thread_.replay();
  replay.clear();
  DuplicateCache::Claim claim = cache.Begin(duplicate, &key->duplicate, replay, nullptr);
  if (claim == DuplicateCache::Claim::kRunning) {
    auto* waiter = new WaitingDuplicate(*this);
    // Counted before the cache has it: the answer may be on its way at once.
    ++holds_;
    ++in_flight_;
    claim = cache.Begin(duplicate, &key->duplicate, replay, waiter);
    if (claim != DuplicateCache::Claim::kWaiting) {
      --holds_;
      --in_flight_;
      delete waiter;
    }
  }
  if (claim == DuplicateCache::Claim::kRun) {
    route->call.request_bytes = EncodeDuplicateKey(duplicate);
    route->call.has_request = true;
    return true;
  }
  thread_.counters().duplicates.Add();
  TraceDuplicate(*route, claim == DuplicateCache::Claim::kWaiting);
  thread_.batch().replies().Raw(replay);
  return false;
}

bool Connection::Add(Completion* completion) {
  completion->next_ = nullptr;
  const bool first = first_added_ == nullptr;
  (first ? first_added_ : last_added_->next_) = completion;
  last_added_ = completion;
  return first;
}

void Connection::DeliverAdded() {
  const Hold hold(this);
  Completion* completion = std::exchange(first_added_, nullptr);
  while (completion != nullptr) {
    std::exchange(completion, completion->next_)->Deliver();
    --holds_;
    if (thread_.batch().replies().size() >= kBatchBytes) EndBatch();
  }
  EndBatch();
  GoOn();
  CheckQuiet();
}

// -- Answering --

void Connection::EndBatch() {
  ReplyBatch& batch = thread_.batch();
  batch.FlushVolumes();
  for (ParkedReplies& parked : batch.parked()) {
    if (parked.entries.empty()) continue;
    ++holds_;
    (new (thread_.blocks()) ParkedCompletion(*this, parked))->Sync();
  }
  Send();
  if (!thread_.shared().keep_chunks) batch.replies().Clear(false);
  CountQueued();
}

bool Connection::SendNow(ReplyBuffer& replies) {
  while (!replies.empty()) {
    auto& pieces = thread_.pieces();
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = replies.Gather(pieces.data(), pieces.size());
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    thread_.counters().system_calls.Add();
    if (sent >= 0) {
      replies.Consume(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      return false;
    } else if (errno != EINTR) {
      // A reply that refers to a file which is not there any more cannot be taken back: the client sends again.
      if (errno == EFAULT) mapping_faults.fetch_add(1);
      replies.Clear();
      Close();
      return true;
    }
  }
  return true;
}

void Connection::Send() {
  ReplyBuffer& replies = thread_.batch().replies();
  if (replies.empty()) return;
  if (closed_) return replies.Clear();
  if (out_.empty() && SendNow(replies)) return;
  out_.Append(std::move(replies));
  WaitWritable();
}

void Connection::WaitWritable() {
  if (writing_ || closed_) return;
  writing_ = true;
  socket_.async_wait(boost::asio::socket_base::wait_write, [self = Hold(this)](const boost::system::error_code& error) {
    Connection& connection = *self.operator->();
    connection.writing_ = false;
    if (connection.closed_) return;
    // Aborted by a cancel that was meant for reading: wait again. Other errors show in the send.
    if (error == boost::asio::error::operation_aborted || !connection.SendNow(connection.out_))
      return connection.WaitWritable();
    connection.out_.Clear(false);
    connection.GoOn();
  });
}

void Connection::GoOn() {
  if (closed_) return;
  if (reading_ == Reading::kNo && !Paused()) return Process();
  MaybeFinish();
}

}  // namespace strata::rpc
