// strata::Server: serves any vfs::FileSystem over NFSv3 and MOUNT, in the calling program's own process.
//
//     strata::ServerOptions options;
//     options.listen = {{"127.0.0.1", 0}};
//     auto server = strata::Server::Start(options, {{strata::ExportOptions{}, volume}});
//     ... (*server)->endpoints()[0].port ...
//
// Start returns once calls are answered. The destructor (or Stop) ends it: no new calls are taken, those under way are
// answered, and their changes are flushed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "server/exports.h"
#include "server/handover.h"
#include "server/nlm4/lock_listing.h"
#include "vfs/file_system.h"

namespace strata {

enum class PortmapMode : std::uint8_t {
  kOff,
  kAuto,  // register with a running rpcbind, else answer on port 111 ourselves; a failure of both is only logged
};

struct ServerOptions {
  std::vector<Endpoint> listen = {{"127.0.0.1", 2049}};
  PortmapMode portmap = PortmapMode::kOff;
  unsigned io_threads = 0;      // 0: one a core
  unsigned worker_threads = 0;  // for calls that wait for a disk; 0: 4 a core
  // Limits of one connection.
  std::size_t max_calls_in_flight = 256;
  std::size_t max_queued_bytes = 16 << 20;
  std::size_t max_connections = 16384;
  // Of all connections together: what is received into, calls under way, and replies not yet sent. Beyond, each gets on
  // by one call at a time (rpc::TransportOptions).
  std::size_t max_buffered_bytes = 128 << 20;
  // Of the duplicate request cache, in all.
  std::size_t duplicate_cache_entries = 32768;
  std::size_t duplicate_cache_bytes = 16 << 20;
  // Whether clients may lock. Without, each lock is refused at once.
  bool locks = true;
  // Of these the volumes are told, so that they take less themselves (vfs::FileSystem::LendMemory).
  std::size_t max_lock_bytes = 64 << 20;
  // The folder in which is kept which clients have locks, so that they are told to claim them again when a server
  // starts anew there. Empty: in memory alone, and locks are lost with the server.
  std::string state_folder{};
};

struct ServerStatistics {
  std::uint64_t connections_accepted = 0, connections_open = 0, connections_refused = 0, records_refused = 0;
  std::uint64_t calls = 0, duplicates = 0, calls_blocked = 0, system_calls = 0;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options, std::vector<Export> exports);
  // Serves on where another server ended, here or in another process (server/takeover.h). It takes that one's sockets,
  // and port 111 as that one did, whatever `options` say of these. `serving` is called when nothing can fail any more,
  // before the first byte is read or written.
  static Result<std::unique_ptr<Server>> Resume(const ServerOptions& options, std::vector<Export> exports,
                                                Handover handover, std::move_only_function<void()> serving);
  virtual ~Server() = default;
  // The addresses bound, with their real ports, in the order of ServerOptions::listen.
  virtual const std::vector<Endpoint>& endpoints() const = 0;
  virtual ServerStatistics statistics() const = 0;
  // What clients have locked and wait for. kNotSupported where ServerOptions::locks is off.
  virtual Result<nlm4::LockListing> Locks(const nlm4::LockSelection& which) const = 0;
  // Frees by hand what `which` selects, without its client hearing of it; who waits for that is granted it. How many
  // locks that were. kNotSupported as above.
  virtual Result<std::size_t> ReleaseLocks(const nlm4::LockSelection& which) = 0;
  virtual void Stop() = 0;
  // Stops, but closes nothing: what is under way is answered, and everything else is given away for Resume. Where calls
  // are still under way after `limit` it serves on, and says kBusy.
  virtual Result<Handover> Release(std::chrono::milliseconds limit) = 0;
  // Serves a connected stream socket, which the server then owns, as if it had been accepted from `peer`: for tests
  // over a socketpair.
  virtual void Adopt(int socket, const rpc::Peer& peer) = 0;
};

}  // namespace strata
