// Transport: the threads, the sockets and the workers that serve RPC programs.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/rpc/duplicate_cache.h"
#include "server/rpc/handed_socket.h"
#include "server/rpc/program.h"

namespace strata::rpc {

class Dispatcher;

struct TransportOptions {
  unsigned io_threads = 0;      // 0: one a core
  unsigned worker_threads = 0;  // 0: 4 a core
  std::size_t max_calls_in_flight = 256;
  std::size_t max_queued_bytes = 16 << 20;
  // Of all connections together: what is received into, calls under way, and replies not yet sent. Beyond, each
  // connection gets on by one call at a time. Half of it may be small receive buffers, and half large ones
  // (ReceiveBudget): beyond, records wait in their sockets. Each thread takes some 0.1 MiB besides.
  std::size_t max_buffered_bytes = 128 << 20;
  std::size_t max_connections = 16384;
  std::size_t duplicate_cache_entries = 32768;
  std::size_t duplicate_cache_bytes = 16 << 20;
  // Whoever has not sent the rest of a record after so long is no longer waited for, where others wait for the memory.
  std::chrono::seconds slow_record{10};
  // A call that waits for so long for something from elsewhere (base/fetch.h) is told to come again later.
  std::chrono::milliseconds fetch_limit{10'000};
  // How long Stop waits for calls under way to be answered.
  std::chrono::milliseconds stop_wait{5000};
};

struct TransportStatistics {
  std::uint64_t connections_accepted = 0, connections_open = 0, connections_refused = 0, records_refused = 0;
  std::uint64_t calls = 0, duplicates = 0, calls_blocked = 0, system_calls = 0;
  std::uint64_t buffered_bytes = 0;  // now: as TransportOptions::max_buffered_bytes counts them
};

// Thread-safe. Each listening socket and connection names the dispatcher of its calls, which must outlive the
// transport.
class Transport {
 public:
  static std::unique_ptr<Transport> Create(const TransportOptions& options);
  virtual ~Transport() = default;

  // The port bound, which is `port` unless that is 0. `address`: numeric.
  virtual Result<std::uint16_t> ListenTcp(const std::string& address, std::uint16_t port,
                                          const Dispatcher& dispatcher) = 0;
  virtual Result<std::uint16_t> ListenUdp(const std::string& address, std::uint16_t port,
                                          const Dispatcher& dispatcher) = 0;
  virtual Result<void> ListenUnix(const std::string& path, const Dispatcher& dispatcher) = 0;
  // Takes a connected stream socket.
  virtual void Adopt(int socket, const Peer& peer, const Dispatcher& dispatcher) = 0;
  virtual TransportStatistics statistics() const = 0;
  // Gives everything away, still open and still good, for Take of another transport. It accepts and reads no more,
  // waits until what is under way is answered, and is then stopped. Who connects or calls meanwhile waits in the
  // kernel. Where calls are still under way after `limit` it serves on as before, and says kBusy. Not together with
  // Stop.
  virtual Result<Handed> Release(std::chrono::milliseconds limit) = 0;
  // Serves on a socket that another transport gave away.
  virtual void Take(HandedSocket handed, const Dispatcher& dispatcher) = 0;
  // Such a transport's answers: a call of those that comes again gets its first one. Before Take.
  virtual void Remember(const std::vector<AnsweredCall>& answered) = 0;
  // Accepts and reads no more, answers what is under way for up to stop_wait, then closes all. A call that a worker is
  // in the middle of is waited for without limit: it uses the volume.
  virtual void Stop() = 0;
};

}  // namespace strata::rpc
