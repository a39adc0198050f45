// IoThread: one thread, its Asio context, and the connections that live there.
//
// A connection belongs to one IoThread from its first byte to its last, so nothing of it is locked. A thread's
// connections need some things only while they are served: receive buffers, the batch of replies, the vector for the
// gathered write. These belong to the thread and are lent. So an idle connection is a socket and some hundred bytes.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "server/rpc/buffer_pool.h"
#include "server/rpc/completion_queue.h"
#include "server/rpc/connection.h"
#include "server/rpc/dispatcher.h"
#include "server/rpc/duplicate_cache.h"
#include "server/rpc/reply_batch.h"
#include "server/rpc/worker_pool.h"

namespace strata::rpc {

// Wakes who waits for the last connection to be gone, or to be quiet.
class Drained {
 public:
  // Until `count` is 0, or the time is over: then false.
  bool WaitFor(std::chrono::milliseconds limit, const std::atomic<std::size_t>& count) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    const MutexLock lock(mutex_);
    while (count.load() != 0 && changed_.WaitUntil(mutex_, deadline)) {
    }
    return count.load() == 0;
  }
  void Notify() {
    const MutexLock lock(mutex_);
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
};

// What all threads of a transport share.
struct Shared {
  Shared(std::size_t duplicate_entries, std::size_t duplicate_bytes, std::size_t receive_bytes, unsigned worker_threads,
         std::chrono::milliseconds fetch_limit)
      : receive(receive_bytes), duplicates(duplicate_entries, duplicate_bytes), workers(worker_threads, fetch_limit) {}

  std::size_t max_calls_in_flight = 256;
  std::size_t max_queued_bytes = 16 << 20;
  std::size_t max_buffered_bytes = 128 << 20;  // of all connections, with what they are received into
  std::size_t kept_blocks = BlockList::kKept;  // of each thread
  bool keep_chunks = true;                     // for the next replies, of each thread
  std::chrono::seconds slow_record{10};        // for the rest of a record while others wait for its memory
  std::atomic<std::size_t> buffered_bytes{0};  // what connections last told of
  ReceiveBudget receive;
  DuplicateCache duplicates;
  WorkerPool workers;
  std::atomic<std::size_t> connections_open{0};
  // While the transport pauses: threads that have not yet, and connections of the others that are not yet quiet.
  std::atomic<std::size_t> settling{0};
  Drained drained;
  std::atomic<std::uint64_t> next_connection{1};
  log::RateLimit refusals;
};

// Written by one thread, read by any.
class Counter {
 public:
  void Add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct Counters {
  Counter calls, duplicates, calls_blocked, records_refused, system_calls;
};

class IoThread : private ReceiveBudget::Holder {
 public:
  // `first`: the one that does what is to be done once in a while for all.
  IoThread(Shared& shared, bool first);
  ~IoThread() override;
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // From any thread. -------------------------------------------------------------------------------------------------
  boost::asio::io_context& context() { return context_; }
  const Counters& counters() const { return counters_; }
  // Takes a connected stream socket; `dispatcher` must outlive the thread.
  void Adopt(int socket, const Peer& peer, const Dispatcher& dispatcher);
  // The same, with what another transport knew of it.
  void Adopt(HandedSocket connection, const Dispatcher& dispatcher);
  // Reads and serves no more until Resume. Settled() is called once for the thread, and once for each connection that
  // has calls under way, when they are answered.
  void Pause();
  void Resume();
  // While paused and all is quiet, the workers stopped: gives away what is open. The thread is only to be stopped then.
  std::vector<HandedSocket> Release();
  // No more calls are read; connections close when theirs are answered.
  void Drain();
  // Closes all connections, drops what comes later, and ends the thread. The workers must have stopped.
  void Stop();

  // For its connections, on the thread. ------------------------------------------------------------------------------
  Shared& shared() { return shared_; }
  BufferPool& buffers() { return buffers_; }
  ReplyBatch& batch() { return batch_; }
  Counters& counters() { return counters_; }
  const std::shared_ptr<CompletionQueue>& completions() { return completions_; }
  // A closed connection that nothing refers to any more.
  void Destroy(Connection* connection);
  // `connection` received something into a buffer that it keeps: if nothing more comes for a second or two, its Idle()
  // is called.
  void Talks(Connection& connection);
  // The client has sent something.
  void Heard(Connection& connection);
  // It waits for the rest of a record. Where others wait for the memory that this takes, it has slow_record.
  void HasPart(Connection& connection);
  // It cannot read for want of memory: its Read() is called again soon.
  void Starves(Connection& connection);
  void StarvesNoMore(Connection& connection);
  bool draining() const { return draining_; }
  bool paused() const { return paused_; }
  void Settled();
  BlockList& blocks() { return blocks_; }
  // Recycled.
  std::vector<ParkedReplies>& spare_parked() { return spare_parked_; }
  std::array<iovec, 1024>& pieces() { return pieces_; }
  std::vector<std::byte>& replay() { return replay_; }

 private:
  void DeliverCompletions();
  void SweepLater();
  void Sweep();
  // Those who starve try again.
  void Feed();
  void Wake() override;
  void GiveBack() override;
  void AgeLater();
  void CloseAll();
  // Runs it on the thread and returns once it has; not to be called on the thread.
  void RunThere(std::move_only_function<void()> what);

  Shared& shared_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer sweep_timer_, feed_timer_, age_timer_;
  bool sweeping_ = false;
  bool feeding_ = false;
  std::atomic<bool> gives_back_ = false;  // GiveBack was called, and is yet to be done
  std::uint32_t tick_ = 0;
  BufferPool buffers_;
  BlockList blocks_;
  ReplyBatch batch_;
  Counters counters_;
  std::shared_ptr<CompletionQueue> completions_;
  std::vector<Connection*> ready_;
  std::vector<ParkedReplies> spare_parked_;
  std::array<iovec, 1024> pieces_;  // IOV_MAX
  std::vector<std::byte> replay_;
  boost::intrusive::list<Connection, boost::intrusive::member_hook<Connection, Connection::Hook, &Connection::all_hook>,
                         boost::intrusive::constant_time_size<false>>
      connections_;
  // Those with a buffer, the longest silent first.
  boost::intrusive::list<Connection,
                         boost::intrusive::member_hook<Connection, Connection::Hook, &Connection::talking_hook>,
                         boost::intrusive::constant_time_size<false>>
      talking_;
  // Those that wait for the rest of a record, the longest first.
  boost::intrusive::list<Connection,
                         boost::intrusive::member_hook<Connection, Connection::Hook, &Connection::part_hook>,
                         boost::intrusive::constant_time_size<false>>
      parts_;
  // Those that wait for memory.
  boost::intrusive::list<Connection,
                         boost::intrusive::member_hook<Connection, Connection::Hook, &Connection::starving_hook>,
                         boost::intrusive::constant_time_size<false>>
      starving_;
  bool draining_ = false;
  bool paused_ = false;
  std::jthread thread_;
};

}  // namespace strata::rpc
