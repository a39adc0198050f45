#include "server/portmap/program.h"

#include <netinet/in.h>
#include <rpc/pmap_prot.h>
#include <rpc/rpcb_prot.h>
#include <sys/stat.h>

#include <array>
#include <ctime>
#include <utility>

#include "server/nsm/protocol.h"
#include "server/portmap/tirpc_xdr.h"

namespace strata {
namespace portmap {
namespace {

using boost::asio::ip::address;

bool IsHere(const rpc::Call& call) { return call.peer == nullptr || rpc::IsOfThisMachine(*call.peer); }

class PortmapProgram final : public rpc::Program {
 public:
  PortmapProgram(Registry& registry, PortmapOutside outside) : registry_(registry), outside_(std::move(outside)) {}
  std::uint32_t number() const override { return kPortmapProgram; }
  std::string_view name() const override { return "portmap"; }
  std::uint32_t low_version() const override { return 2; }
  std::uint32_t high_version() const override { return 4; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t version) const override;
  bool Admits(const rpc::Peer& peer) const override {
    return rpc::IsOfThisMachine(peer) || (outside_.admits && outside_.admits(peer));
  }
  Registry& registry() { return registry_; }
  // Whether the registry is whole; false where the call must wait for that. Whoever asks over the socket asks this
  // process, and may be it.
  bool Look(const rpc::Call& call) const {
    if (!outside_.lacks || (call.peer != nullptr && call.peer->local_socket) || !outside_.lacks()) return true;
    if (call.may_block) outside_.look();
    return call.may_block;
  }

 private:
  Registry& registry_;
  const PortmapOutside outside_;
};

bool Look(rpc::Program& program, const rpc::Call& call) { return static_cast<PortmapProgram&>(program).Look(call); }
Registry& RegistryOf(rpc::Program& program) { return static_cast<PortmapProgram&>(program).registry(); }

using PmapArgument = Decoded<struct pmap, xdr_pmap>;
using RpcbArgument = Decoded<struct rpcb, xdr_rpcb>;

constexpr std::string_view kSuperuser = "superuser";

// rpc.statd, which mount.nfs starts, gives up root before it registers, for the user who owns its state directory.
bool IsStatusMonitorUser(std::uint32_t uid) {
  for (const char* directory : {"/var/lib/nfs/statd/sm", "/var/lib/nfs/sm"}) {
    struct stat found;
    if (::stat(directory, &found) == 0) return found.st_uid == uid;
  }
  return false;
}

// Spec nfsv3 2.3: SET and UNSET from a local privileged caller, and from nobody else.
bool MayRegister(const rpc::Call& call, unsigned long program) {
  if (call.peer == nullptr) return false;
  if (call.peer->local_socket) {
    return call.peer->local_uid == 0 || (program == kNsmProgram && IsStatusMonitorUser(call.peer->local_uid));
  }
  return call.peer->address.is_loopback() && rpc::FromPrivilegedPort(*call.peer);
}

// The version 2 words for a transport; it knows IPv4 alone.
std::string_view NetidOf(unsigned long protocol) {
  if (protocol == IPPROTO_TCP) return "tcp";
  if (protocol == IPPROTO_UDP) return "udp";
  return {};
}

std::string_view Text(const char* text) { return text == nullptr ? std::string_view{} : std::string_view(text); }

// The netid of the transport that the call came over.
std::string NetidOf(const rpc::Peer& peer) {
  return peer.local_socket ? "local" : portmap::NetidOf(peer.address, peer.datagram);
}

// The address to answer with. A service that listens on every address is told under the one by which the client reached
// this machine, which it says in its question (`hint`), or, of a client on this machine, under loopback.
std::string MergedAddress(const Registration& registration, std::string_view hint, const rpc::Peer& peer) {
  auto listening = ParseUniversalAddress(registration.uaddr);
  if (!listening || !listening->address.is_unspecified()) return registration.uaddr;
  const auto reached = ParseUniversalAddress(hint);
  if (reached && reached->address.is_v6() == listening->address.is_v6() && !reached->address.is_unspecified()) {
    listening->address = reached->address;
  } else if (peer.local_socket || peer.address.is_loopback()) {
    listening->address = listening->address.is_v6() ? address(boost::asio::ip::address_v6::loopback())
                                                    : address(boost::asio::ip::address_v4::loopback());
  }
  return FormatUniversalAddress(*listening);
}

rpc::Outcome Null(rpc::Program&, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer&) {
  return arguments.Finished() ? rpc::Outcome{} : rpc::Outcome::Garbage();
}

// -- Version 2. --

rpc::Outcome PmapSet(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  PmapArgument map;
  if (!map.Decode(arguments)) return rpc::Outcome::Garbage();
  Registration registration;
  registration.program = static_cast<std::uint32_t>(map->pm_prog);
  registration.version = static_cast<std::uint32_t>(map->pm_vers);
  registration.netid = NetidOf(map->pm_prot);
  registration.uaddr =
      FormatUniversalAddress({boost::asio::ip::address_v4::any(), static_cast<std::uint16_t>(map->pm_port)});
  registration.owner = kSuperuser;
  const bool valid = !registration.netid.empty() && map->pm_port > 0 && map->pm_port <= 0xffff;
  reply.Bool(valid && MayRegister(call, map->pm_prog) && RegistryOf(program).Set(std::move(registration)));
  return {};
}

rpc::Outcome PmapUnset(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                       rpc::ReplyBuffer& reply) {
  PmapArgument map;
  if (!map.Decode(arguments)) return rpc::Outcome::Garbage();
  bool removed = false;
  if (MayRegister(call, map->pm_prog)) {
    // RFC 1833 3.2: the protocol and port are ignored.
    for (std::string_view netid : {"tcp", "udp"}) {
      removed |= RegistryOf(program).Unset(static_cast<std::uint32_t>(map->pm_prog),
                                           static_cast<std::uint32_t>(map->pm_vers), netid, kSuperuser);
    }
  }
  reply.Bool(removed);
  return {};
}

rpc::Outcome PmapGetPort(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                         rpc::ReplyBuffer& reply) {
  PmapArgument map;
  if (!map.Decode(arguments)) return rpc::Outcome::Garbage();
  if (!Look(program, call)) return rpc::Outcome::WouldBlock();
  const auto found =
      RegistryOf(program).Find(static_cast<std::uint32_t>(map->pm_prog), static_cast<std::uint32_t>(map->pm_vers),
                               NetidOf(map->pm_prot), false, IsHere(call));
  const auto listening = found ? ParseUniversalAddress(found->uaddr) : std::nullopt;
  reply.U32(listening ? listening->port : 0);
  return {};
}

rpc::Outcome PmapDump(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                      rpc::ReplyBuffer& reply) {
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  if (!Look(program, call)) return rpc::Outcome::WouldBlock();
  for (const Registration& entry : RegistryOf(program).All(IsHere(call))) {
    const auto listening = ParseUniversalAddress(entry.uaddr);
    if (!listening || (entry.netid != "tcp" && entry.netid != "udp")) continue;
    reply.Bool(true);
    reply.U32(entry.program);
    reply.U32(entry.version);
    reply.U32(entry.netid == "tcp" ? IPPROTO_TCP : IPPROTO_UDP);
    reply.U32(listening->port);
  }
  reply.Bool(false);
  return {};
}

// -- Versions 3 and 4. --

rpc::Outcome RpcbSet(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  RpcbArgument map;
  if (!map.Decode(arguments)) return rpc::Outcome::Garbage();
  Registration registration;
  registration.program = static_cast<std::uint32_t>(map->r_prog);
  registration.version = static_cast<std::uint32_t>(map->r_vers);
  registration.netid = Text(map->r_netid);
  registration.uaddr = Text(map->r_addr);
  registration.owner = kSuperuser;  // whatever the caller says
  reply.Bool(MayRegister(call, map->r_prog) && RegistryOf(program).Set(std::move(registration)));
  return {};
}

rpc::Outcome RpcbUnset(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                       rpc::ReplyBuffer& reply) {
  RpcbArgument map;
  if (!map.Decode(arguments)) return rpc::Outcome::Garbage();
  reply.Bool(MayRegister(call, map->r_prog) &&
             RegistryOf(program).Unset(static_cast<std::uint32_t>(map->r_prog), static_cast<std::uint32_t>(map->r_vers),
                                       Text(map->r_netid), kSuperuser));
  return {};
}

rpc::Outcome GetAddress(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                        rpc::ReplyBuffer& reply, bool exact) {
  RpcbArgument map;
  if (!map.Decode(arguments)) return rpc::Outcome::Garbage();
  if (!Look(program, call)) return rpc::Outcome::WouldBlock();
  const rpc::Peer nobody;
  const rpc::Peer& peer = call.peer == nullptr ? nobody : *call.peer;
  std::string netid(Text(map->r_netid));
  if (netid.empty()) netid = NetidOf(peer);
  const auto found =
      RegistryOf(program).Find(static_cast<std::uint32_t>(map->r_prog), static_cast<std::uint32_t>(map->r_vers), netid,
                               exact, rpc::IsOfThisMachine(peer));
  reply.Text(found ? MergedAddress(*found, Text(map->r_addr), peer) : std::string());
  return {};
}

rpc::Outcome RpcbGetAddress(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                            rpc::ReplyBuffer& reply) {
  return GetAddress(program, call, arguments, reply, false);
}

rpc::Outcome RpcbGetVersionAddress(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                                   rpc::ReplyBuffer& reply) {
  return GetAddress(program, call, arguments, reply, true);
}

rpc::Outcome RpcbDump(rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                      rpc::ReplyBuffer& reply) {
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  if (!Look(program, call)) return rpc::Outcome::WouldBlock();
  for (const Registration& entry : RegistryOf(program).All(IsHere(call))) {
    reply.Bool(true);
    reply.U32(entry.program);
    reply.U32(entry.version);
    reply.Text(entry.netid);
    reply.Text(entry.uaddr);
    reply.Text(entry.owner);
  }
  reply.Bool(false);
  return {};
}

rpc::Outcome GetTime(rpc::Program&, const rpc::Call&, rpc::XdrReader& arguments, rpc::ReplyBuffer& reply) {
  if (!arguments.Finished()) return rpc::Outcome::Garbage();
  reply.U32(static_cast<std::uint32_t>(std::time(nullptr)));
  return {};
}

using Handler = rpc::Outcome(rpc::Program&, const rpc::Call&, rpc::XdrReader&, rpc::ReplyBuffer&);

constexpr std::size_t kLargestDump = kMaxRegistrations * 512;

constexpr rpc::Procedure Row(std::uint32_t number, std::string_view name, Handler* handler,
                             std::size_t largest_reply = 512) {
  rpc::Procedure row;
  row.always_blocks = name == "SET" || name == "UNSET";  // what is registered is kept in a file
  row.number = number;
  row.name = name;
  row.handler = handler;
  row.largest_reply = largest_reply;
  return row;
}

// CALLIT and its kin (calls in somebody else's name), address translation and statistics are not offered: PROC_UNAVAIL.
constexpr std::array<rpc::Procedure, 5> kVersion2 = {Row(0, "NULL", Null), Row(1, "SET", PmapSet),
                                                     Row(2, "UNSET", PmapUnset), Row(3, "GETPORT", PmapGetPort),
                                                     Row(4, "DUMP", PmapDump, kLargestDump)};
constexpr std::array<rpc::Procedure, 7> kVersion3 = {Row(0, "NULL", Null),
                                                     Row(1, "SET", RpcbSet),
                                                     Row(2, "UNSET", RpcbUnset),
                                                     Row(3, "GETADDR", RpcbGetAddress),
                                                     Row(4, "DUMP", RpcbDump, kLargestDump),
                                                     Row(5, "CALLIT", nullptr),
                                                     Row(6, "GETTIME", GetTime)};
constexpr std::array<rpc::Procedure, 10> kVersion4 = {kVersion3[0],
                                                      kVersion3[1],
                                                      kVersion3[2],
                                                      kVersion3[3],
                                                      kVersion3[4],
                                                      Row(5, "BCAST", nullptr),
                                                      kVersion3[6],
                                                      Row(7, "UADDR2TADDR", nullptr),
                                                      Row(8, "TADDR2UADDR", nullptr),
                                                      Row(9, "GETVERSADDR", RpcbGetVersionAddress)};

std::span<const rpc::Procedure> PortmapProgram::Procedures(std::uint32_t version) const {
  if (version == 2) return kVersion2;
  if (version == 3) return kVersion3;
  return kVersion4;
}

}  // namespace
}  // namespace portmap

std::unique_ptr<rpc::Program> MakePortmapProgram(portmap::Registry& registry, PortmapOutside outside) {
  return std::make_unique<portmap::PortmapProgram>(registry, std::move(outside));
}

}  // namespace strata
