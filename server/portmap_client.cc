#include "server/portmap_client.h"

#include <netinet/in.h>
#include <rpc/rpc.h>
#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include "server/portmap/program.h"
#include "server/portmap/registry.h"
#include "server/rpc/reply_buffer.h"
#include "server/rpc/xdr.h"

namespace strata {
namespace {

constexpr std::uint32_t kPortmapVersion = 2, kRpcbindVersion = 3, kRpcbindVersion4 = 4;
constexpr std::uint32_t kSet = 1, kUnset = 2, kGetAddress = 3, kDump = 4;  // GETADDR, and GETPORT of version 2
constexpr std::size_t kMaxText = 1024;

std::vector<std::byte> MappingOf(std::uint32_t program, std::uint32_t version, const std::string& netid,
                                 const std::string& uaddr) {
  rpc::ReplyBuffer out(512);
  out.U32(program);
  out.U32(version);
  out.Text(netid);
  out.Text(uaddr);
  out.Text(::geteuid() == 0 ? "superuser" : std::to_string(::geteuid()));
  return out.Bytes();
}

rpc::Address SocketOf(const PortmapAddress& where) {
  return {.transport = rpc::Address::Transport::kUnix, .host = {}, .port = 0, .path = where.socket_path};
}

rpc::OutgoingCall CallOf(std::uint32_t procedure, std::vector<std::byte> arguments) {
  return {.program = kPortmapProgram,
          .version = kRpcbindVersion,
          .procedure = procedure,
          .arguments = std::move(arguments),
          .privileged_port = true};
}

// By the socket file, since rpcbind sees there who we are; else by loopback, from a privileged port where we may.
void CallRpcbind(rpc::Client& client, const PortmapAddress& where, std::uint32_t procedure,
                 std::vector<std::byte> arguments, rpc::Client::Done done) {
  const rpc::OutgoingCall call = CallOf(procedure, std::move(arguments));
  const rpc::Address loopback{
      .transport = rpc::Address::Transport::kTcp, .host = boost::asio::ip::address_v4::loopback(), .port = where.port};
  client.Call(SocketOf(where), call,
              [&client, loopback, call, done = std::move(done)](Result<std::vector<std::byte>> answer) mutable {
                const bool nobody = !answer && answer.error().code() != Errc::kNotSupported;
                if (!nobody) return done(std::move(answer));
                client.Call(loopback, call, std::move(done));
              });
}

Result<std::vector<portmap::Registration>> RegistrationsIn(const Result<std::vector<std::byte>>& answer) {
  if (!answer) return Fail(answer.error());
  rpc::XdrReader in(*answer);
  std::vector<portmap::Registration> all;
  while (in.Bool()) {
    portmap::Registration& entry = all.emplace_back();
    entry.program = in.U32();
    entry.version = in.U32();
    entry.netid = in.Text(kMaxText);
    entry.uaddr = in.Text(kMaxText);
    entry.owner = in.Text(kMaxText);
  }
  if (!in.Finished()) return Fail(Errc::kIo, "rpcbind's answer does not decode");
  return all;
}

// The answer of a procedure whose result is one bool.
Result<bool> BoolOf(const Result<std::vector<std::byte>>& answer) {
  if (!answer) return std::unexpected(answer.error().WithContext("rpcbind"));
  rpc::XdrReader in(*answer);
  const bool value = in.Bool();
  if (!in.ok()) return Fail(Errc::kIo, "rpcbind's answer does not decode");
  return value;
}

// Runs what `start` begins to its end here and now.
template <typename T>
Result<T> Wait(std::move_only_function<void(rpc::Client&, std::move_only_function<void(Result<T>)>)> start) {
  boost::asio::io_context context(1);
  std::optional<Result<T>> outcome;
  rpc::Client client(context);
  start(client, [&](Result<T> result) { outcome = std::move(result); });
  context.run();
  return outcome ? std::move(*outcome) : Fail(Errc::kIo, "the call did not end");
}

}  // namespace

void RpcbindSet(rpc::Client& client, const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                const std::string& netid, const std::string& uaddr, PortmapDone done) {
  CallRpcbind(client, address, kSet, MappingOf(program, version, netid, uaddr),
              [program, netid, done = std::move(done)](const Result<std::vector<std::byte>>& answer) mutable {
                const Result<bool> set = BoolOf(answer);
                if (!set) return done(Fail(set.error()));
                if (*set) return done({});
                done(Fail(Errc::kExists, "rpcbind refuses program " + std::to_string(program) + " on " + netid +
                                             ": another server may be registered"));
              });
}

void RpcbindUnset(rpc::Client& client, const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                  const std::string& netid, PortmapDone done) {
  CallRpcbind(client, address, kUnset, MappingOf(program, version, netid, ""),
              [program, netid, done = std::move(done)](const Result<std::vector<std::byte>>& answer) mutable {
                const Result<bool> removed = BoolOf(answer);
                if (!removed) return done(Fail(removed.error()));
                if (*removed) return done({});
                done(Fail(Errc::kNotFound, "rpcbind has no program " + std::to_string(program) + " on " + netid));
              });
}

void RpcbindDump(rpc::Client& client, const PortmapAddress& address,
                 std::move_only_function<void(Result<std::vector<portmap::Registration>>)> done) {
  CallRpcbind(client, address, kDump, {},
              [done = std::move(done)](const Result<std::vector<std::byte>>& answer) mutable {
                done(RegistrationsIn(answer));
              });
}

void RpcbindDumpOfSocket(rpc::Client& client, const PortmapAddress& address,
                         std::move_only_function<void(Result<std::vector<portmap::Registration>>)> done) {
  client.Call(SocketOf(address), CallOf(kDump, {}),
              [done = std::move(done)](const Result<std::vector<std::byte>>& answer) mutable {
                done(RegistrationsIn(answer));
              });
}

void FindProgram(rpc::Client& client, const rpc::Address& to, std::uint32_t program, std::uint32_t version,
                 std::move_only_function<void(Result<rpc::Address>)> done, std::uint16_t port) {
  const bool datagram = to.transport == rpc::Address::Transport::kUdp;
  const bool v6 = to.host.is_v6();
  rpc::ReplyBuffer arguments(256);
  arguments.U32(program);
  arguments.U32(version);
  if (v6) {
    arguments.Text(portmap::NetidOf(to.host, datagram));
    arguments.Text("");
    arguments.Text("");
  } else {
    arguments.U32(datagram ? IPPROTO_UDP : IPPROTO_TCP);
    arguments.U32(0);
  }
  rpc::Address portmap = to;
  portmap.port = port;
  client.Call(portmap,
              {.program = kPortmapProgram,
               .version = v6 ? kRpcbindVersion4 : kPortmapVersion,
               .procedure = kGetAddress,
               .arguments = arguments.Bytes()},
              [v6, program, to = rpc::Address(to),
               done = std::move(done)](const Result<std::vector<std::byte>>& found) mutable {
                if (!found) return done(Fail(found.error()));
                rpc::XdrReader in(*found);
                std::uint32_t where = 0;
                if (v6) {
                  const auto parsed = portmap::ParseUniversalAddress(in.Text(kMaxText));
                  if (parsed) where = parsed->port;
                } else {
                  where = in.U32();
                }
                if (!in.ok() || where == 0 || where > 0xffff) {
                  return done(Fail(Errc::kNotSupported, "port 111 of " + to.host.to_string() +
                                                            " knows nothing of program " + std::to_string(program)));
                }
                to.port = static_cast<std::uint16_t>(where);
                done(std::move(to));
              });
}

bool RpcbindRuns(const PortmapAddress& address) {
  return Wait<std::vector<std::byte>>([&](rpc::Client& client, rpc::Client::Done done) {
           CallRpcbind(client, address, NULLPROC, {}, std::move(done));
         })
      .has_value();
}

Result<void> RpcbindSet(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                        const std::string& netid, const std::string& uaddr) {
  return Wait<void>([&](rpc::Client& client, PortmapDone done) {
    RpcbindSet(client, address, program, version, netid, uaddr, std::move(done));
  });
}

Result<std::vector<portmap::Registration>> RpcbindDumpOfSocket(const PortmapAddress& address) {
  using All = std::vector<portmap::Registration>;
  return Wait<All>([&](rpc::Client& client, std::move_only_function<void(Result<All>)> done) {
    RpcbindDumpOfSocket(client, address, std::move(done));
  });
}

Result<void> RpcbindUnset(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                          const std::string& netid) {
  return Wait<void>([&](rpc::Client& client, PortmapDone done) {
    RpcbindUnset(client, address, program, version, netid, std::move(done));
  });
}

}  // namespace strata
