// Handover: everything that one strata::Server needs to serve on where another ended, without a client noticing more
// than a pause. It has a form in bytes, for a server in another process (server/takeover.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "server/handover_bytes.h"
#include "server/nlm4/handed_locks.h"
#include "server/portmap/registry.h"
#include "server/rpc/handed_socket.h"

namespace strata {

struct Endpoint {
  std::string address;     // numeric, IPv4 or IPv6
  std::uint16_t port = 0;  // 0: any free one
};
// False for an address that is none.
bool IsLoopback(const Endpoint& endpoint);

struct Handover {
  rpc::Handed handed;
  // Registered with the machine's rpcbind.
  bool registered_with_rpcbind = false;
  // What others registered with the server's own responder on port 111.
  std::vector<portmap::Registration> registrations;
  // Nothing: it granted none, or is of a version that does not hand them over.
  std::optional<nlm4::HandedLocks> locks;

  // Where NFS is served, in the order of ServerOptions::listen.
  std::vector<Endpoint> Endpoints() const;
};

inline constexpr std::size_t kMaxHandedSockets = 1 << 20;

// All but the descriptors, which travel beside it in the order of the sockets. Integers are little-endian, lists and
// texts have their length before them:
//
//     u8   registered_with_rpcbind
//     u32  sockets, each:  u8 kind, u32 program, text path, peer, text received, text unsent
//          peer:           u8 4 or 6, 16 bytes of address (IPv4 as its mapped form), u32 scope, u16 port,
//                          u8 local_socket, u32 local_uid
//     u32  registrations, each:  u32 program, u32 version, text netid, text uaddr, text owner
//     u32  answered calls, each: 40 bytes of rpc::DuplicateKey, text reply
//     sections, each: u16 tag, text body; tag 1: locks (nlm4/handed_locks.h); the last is tag 0, which has no body
//
// A section of a tag that the reader does not know is passed over. Before kHandoverSections there are none.
inline constexpr std::uint32_t kHandoverSections = 2;  // the version of the exchange (server/takeover.h)
// kTooSmall where it would be longer than kMaxHandoverBytes.
Result<std::vector<std::byte>> EncodeHandover(const Handover& handover, std::uint32_t version = kHandoverSections);
// kCorrupt for bytes that are none. The sockets have no descriptors yet.
Result<Handover> DecodeHandover(ByteSpan bytes);
// Gives each socket its descriptor: kCorrupt where their number differs, or one is not of the kind that it should be.
Result<void> AttachDescriptors(Handover& handover, std::vector<UniqueFd> descriptors);

}  // namespace strata
