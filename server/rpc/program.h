// Program: what an RPC program (NFS, MOUNT, portmap) is to the dispatcher: a table of procedures.
#pragma once

#include <rpc/rpc.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/fetch.h"
#include "server/rpc/reply_buffer.h"
#include "server/rpc/xdr.h"
#include "vfs/file_system.h"

namespace strata::rpc {

// Where a call came from.
struct Peer {
  boost::asio::ip::address address;  // IPv4-mapped addresses are given as IPv4
  std::uint16_t port = 0;
  boost::asio::ip::address local;  // this side's; unspecified where it is not known
  bool local_socket = false;       // an AF_UNIX stream
  std::uint32_t local_uid = ~0u;   // of its other end (SO_PEERCRED)
  bool datagram = false;
  // Everybody on its machine, which is this one, may use ports below 1024, and it is not known to be root's.
  bool port_proves_nothing = false;
  std::uint64_t connection = 0;  // for logs
};

// Whether the port shows that root of the client's machine sends (spec nfsv3 2.4).
inline bool FromPrivilegedPort(const Peer& peer) { return peer.port < 1024 && !peer.port_proves_nothing; }

// As far as its address tells.
inline bool IsOfThisMachine(const Peer& peer) {
  return peer.local_socket || peer.address.is_loopback() || peer.address == peer.local;
}

// What a handler tells of a call for the log, at level trace.
struct CallTrace {
  std::optional<std::uint64_t> inode;
  std::optional<std::string_view> name;  // within the call's arguments
  std::optional<std::uint32_t> status;   // of the program's own
};

struct Call {
  std::uint32_t xid = 0;
  std::uint32_t program = 0;
  std::uint32_t version = 0;
  std::uint32_t procedure = 0;
  // As the call carried them, not squashed. AUTH_NONE: uid and gid 65534 and `anonymous`.
  vfs::Credentials credentials;
  bool anonymous = true;
  const Peer* peer = nullptr;
  // False on the thread that read the call. A handler that must wait then returns Outcome::WouldBlock(), having changed
  // nothing. It is run again, from the beginning, on the worker pool with true.
  bool may_block = false;
  // As vfs::OpContext::fetch, for the volume. What a handler waits for stands here when it returns
  // Outcome::WouldBlock(); it is run again when that has come.
  std::shared_ptr<Fetch>* fetch = nullptr;
  // It has waited for long: it is answered now, with "try again later" where what it needs has not come.
  bool late = false;
  // Null unless calls are traced.
  CallTrace* trace = nullptr;
  std::int64_t received_ns = 0;  // by the steady clock, where calls are traced
  // What names the call to the volume that it changes (vfs::OpContext::request): of procedures in the duplicate request
  // cache.
  std::array<std::byte, 40> request_bytes;
  bool has_request = false;
  ByteSpan request() const { return has_request ? ByteSpan(request_bytes) : ByteSpan(); }
};

struct Outcome {
  accept_stat status = SUCCESS;  // libtirpc's; for other than SUCCESS what the handler wrote is dropped
  bool would_block = false;
  // Bytes of the reply that may leave only once the volume has met this commitment (vfs::Mutation). On failure the
  // reply is made anew by Procedure::failure.
  vfs::FileSystem* volume = nullptr;
  vfs::Commitment commitment = vfs::Commitment::kNone;
  Lsn lsn;

  static Outcome WouldBlock() {
    Outcome outcome;
    outcome.would_block = true;
    return outcome;
  }
  static Outcome Garbage() {
    Outcome outcome;
    outcome.status = GARBAGE_ARGS;
    return outcome;
  }
};

class Program;

struct Procedure {
  std::uint32_t number = 0;
  std::string_view name;
  // Decodes `arguments`, acts, and writes the results (not the RPC header) to `reply`. Must check arguments.Finished()
  // before it acts.
  Outcome (*handler)(Program& program, const Call& call, XdrReader& arguments, ReplyBuffer& reply) = nullptr;
  // Writes the results of a call whose commitment could not be met (status I/O error); null where commitments are never
  // asked.
  void (*failure)(ReplyBuffer& reply) = nullptr;
  bool cached = false;         // in the duplicate request cache
  bool always_blocks = false;  // goes to the worker pool at once
  // Upper bound of the results' bytes, payload of READ and READDIR included.
  std::size_t largest_reply = 512;
};

class Program {
 public:
  virtual ~Program() = default;
  virtual std::uint32_t number() const = 0;
  virtual std::string_view name() const = 0;
  virtual std::uint32_t low_version() const = 0;
  virtual std::uint32_t high_version() const = 0;
  // Indexed by procedure number; an entry without a handler is unavailable. `version` is within low and high.
  virtual std::span<const Procedure> Procedures(std::uint32_t version) const = 0;
  // Whether the program answers this peer at all; false: MSG_DENIED / AUTH_ERROR / AUTH_TOOWEAK. Exports check
  // addresses of their own in MOUNT and NFS.
  virtual bool Admits(const Peer&) const { return true; }
};

}  // namespace strata::rpc
