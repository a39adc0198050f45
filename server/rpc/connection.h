// Connection: one stream of records and the replies to it.
//
// The life of a batch begins with one receive. Every whole record in it is served in place, on this thread, and its
// reply written into the thread's batch. Then the commitments of all are met together, and one gathered write sends it.
// What cannot be answered at once leaves the batch. A call that must wait runs again on the worker pool. A reply that
// must be durable first is parked until the volume's sync. Both come back as Completions and leave in a later batch.
//
// While a connection talks it holds one of the thread's buffers and receives straight into it: epoll_wait, recv,
// sendmsg. When it has been silent for a second, the buffer is taken back and only readiness is waited for.
//
// Back-pressure: with max_calls_in_flight calls or max_queued_bytes bytes under way nothing is read or served until
// some have left.
//
// While the thread is paused nothing is read or served either. Once what is under way is answered the socket can be
// given away. It then holds bytes received and bytes to send, and no calls.
#pragma once

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/intrusive/list_hook.hpp>
#include <cstdint>
#include <optional>
#include <utility>

#include "server/rpc/call_header.h"
#include "server/rpc/completion_queue.h"
#include "server/rpc/dispatcher.h"
#include "server/rpc/duplicate_cache.h"
#include "server/rpc/handed_socket.h"
#include "server/rpc/record_reader.h"
#include "server/rpc/reply_batch.h"

namespace strata::rpc {

class IoThread;

// All on its thread.
class Connection {
 public:
  using Hook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

  // Takes the socket.
  Connection(IoThread& thread, int socket, const Peer& peer, const Dispatcher& dispatcher);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Start();
  // Reads no more; closes once all that was read is answered.
  void Drain();
  void Close();
  // Gives its buffer back.
  void Idle();
  bool has_part() const { return reader_.has_part(); }
  bool has_large_part() const { return reader_.has_large_part(); }
  // Others need the memory that an unfinished record takes: closes.
  void GiveUpPart();
  // There may be memory to read into.
  void Read();
  // The thread has paused: stops reading. True: it is quiet; false: thread().Settled() will be called once it is.
  bool Pause();
  // The thread goes on.
  void Resume();
  // Gives the socket away and closes: only while the thread is paused and it is quiet. Nothing where it was closed.
  std::optional<HandedSocket> Release();
  // Before Start: goes on where another left it.
  void Restore(const HandedSocket& from);
  // Completions of this connection; DeliverAdded handles all that were added. True: it is the first.
  bool Add(Completion* completion);
  // May destroy the connection.
  void DeliverAdded();

  IoThread& thread() { return thread_; }
  // For completions: how many calls, and bytes, are no longer under way.
  void Done(std::size_t calls, std::size_t bytes) { in_flight_ -= calls, bytes_in_flight_ -= bytes; }
  // The reply from `start` to the batch's end is complete.
  void Settle(std::size_t start, const ReplyKey& key, const Outcome& outcome);

  const ClientAddress& address() const { return address_; }

  Hook all_hook, talking_hook, part_hook, starving_hook;
  // Of the thread's clock: when something came last, and when an unfinished record was first waited for.
  std::uint32_t last_tick = 0, part_tick = 0;
  std::int64_t heard = 0;  // as the duplicate request cache was last told

 private:
  friend class Hold;
  enum class Reading : std::uint8_t { kNo, kReceiving, kWaiting };

  void Unhold();
  // Tells the transport how many bytes are queued here.
  void CountQueued();
  bool Paused();
  void WaitReadable();
  void OnReceived(const boost::system::error_code& error, std::size_t size);
  void OnReadable(const boost::system::error_code& error);
  // Takes note of how a receive of `size` bytes ended; false if there is nothing to serve.
  bool Arrived(int error, std::size_t size);
  // Serves what lies in the buffer, sends, and reads on.
  void Process();
  void Serve(ByteSpan record);
  void Run(Route& route, const ReplyKey& key);
  // To the worker pool, where it is parked until `fetch` is done.
  void Block(const Route& route, const ReplyKey& key, std::shared_ptr<Fetch> fetch = nullptr);
  // False: it was answered, or will be, by the first call.
  bool ClaimFirst(Route* route, ReplyKey* key);
  void Refuse(const char* why);
  // Meets the commitments and sends.
  void EndBatch();
  void Send();
  // True: all of `replies` was sent; false: the socket takes no more.
  bool SendNow(ReplyBuffer& replies);
  void WaitWritable();
  // Serves and reads on where nothing forbids it.
  void GoOn();
  // Tells the thread, which waits for it, that nothing is under way any more.
  void CheckQuiet();
  // Closes a stream that has ended and was answered.
  void MaybeFinish();

  IoThread& thread_;
  const Dispatcher& dispatcher_;
  boost::asio::generic::stream_protocol::socket socket_;
  Peer peer_;
  ClientAddress address_{};
  CredentialCache credentials_;
  RecordReader reader_;
  ReplyBuffer out_;  // what the socket did not take
  Completion* first_added_ = nullptr;
  Completion* last_added_ = nullptr;
  std::size_t in_flight_ = 0;        // calls on workers, replies parked, duplicates that wait
  std::size_t bytes_in_flight_ = 0;  // that they hold or may come to hold
  std::size_t counted_bytes_ = 0;    // as last told to the transport
  std::uint32_t holds_ = 0;          // handlers and completions that will come back
  Reading reading_ = Reading::kNo;
  bool writing_ = false;
  bool backlog_ = false;  // records received but not served, because of back-pressure
  bool ended_ = false;    // nothing more will be read
  bool closed_ = false;
  bool settling_ = false;  // the paused thread waits for it
};

}  // namespace strata::rpc
