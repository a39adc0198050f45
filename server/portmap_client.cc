#include "server/portmap_client.h"

#include <netinet/in.h>
#include <rpc/rpc.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/unique_fd.h"
#include "server/rpc/record_reader.h"
#include "server/rpc/reply_buffer.h"
#include "server/rpc/xdr.h"

namespace strata {
namespace {

constexpr std::uint32_t kRpcbindProgram = 100000;
constexpr std::uint32_t kRpcbindVersion = 3;
constexpr std::uint32_t kSet = 1, kUnset = 2;
constexpr timeval kTimeout{2, 0};
constexpr std::size_t kMaxReply = 4096;

bool Connect(const UniqueFd& socket, const void* address, std::size_t size) {
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kTimeout, sizeof kTimeout);
  return ::connect(socket.get(), static_cast<const sockaddr*>(address), static_cast<socklen_t>(size)) == 0;
}

// By the socket file, since rpcbind sees there who we are; else by loopback, from a privileged port where we may.
Result<UniqueFd> Connect(const PortmapAddress& where) {
  sockaddr_un path{};
  path.sun_family = AF_UNIX;
  if (where.socket_path.size() < sizeof path.sun_path) {
    std::memcpy(path.sun_path, where.socket_path.data(), where.socket_path.size());
    UniqueFd local(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (Connect(local, &path, sizeof path)) return local;
  }
  sockaddr_in loopback{};
  loopback.sin_family = AF_INET;
  loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  loopback.sin_port = htons(where.port);
  UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::bindresvport(tcp.get(), nullptr);
  if (Connect(tcp, &loopback, sizeof loopback)) return tcp;
  return Fail(
      Status::FromErrno(errno, "connecting to rpcbind on port " + std::to_string(where.port)).WithContext("portmap"));
}

bool SendAll(int fd, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

bool ReceiveAll(int fd, MutableByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (got <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

// The answer of a procedure whose result is one bool.
Result<bool> CallBool(const PortmapAddress& where, std::uint32_t procedure, ByteSpan arguments) {
  STRATA_ASSIGN(const UniqueFd socket, Connect(where));
  constexpr std::uint32_t kXid = 1;  // the connection carries this call alone
  rpc::ReplyBuffer call;
  constexpr std::size_t kHeader = 40;
  call.U32(rpc::kLastFragment | static_cast<std::uint32_t>(kHeader + arguments.size()));
  for (const std::uint32_t word :
       {kXid, static_cast<std::uint32_t>(CALL), std::uint32_t{2}, kRpcbindProgram, kRpcbindVersion, procedure,
        std::uint32_t{0}, std::uint32_t{0}, std::uint32_t{0}, std::uint32_t{0}}) {
    call.U32(word);
  }
  call.Raw(arguments);
  std::vector<std::byte> bytes;
  call.CopyTo(0, bytes);
  std::byte mark[4];
  if (!SendAll(socket.get(), bytes) || !ReceiveAll(socket.get(), mark))
    return Fail(Errc::kIo, "rpcbind does not answer");
  const std::uint32_t size = rpc::LoadBe32(mark) & ~rpc::kLastFragment;
  if (size > kMaxReply) return Fail(Errc::kIo, "rpcbind's answer is too long");
  std::vector<std::byte> reply(size);
  if (!ReceiveAll(socket.get(), reply)) return Fail(Errc::kIo, "rpcbind does not answer");
  rpc::XdrReader reader(reply);
  const bool accepted = reader.U32() == kXid && reader.U32() == REPLY && reader.U32() == MSG_ACCEPTED;
  reader.U32();
  reader.Opaque(kMaxReply);
  if (!accepted || reader.U32() != SUCCESS) return Fail(Errc::kIo, "rpcbind denies the call");
  if (procedure == NULLPROC) return true;
  const bool answer = reader.Bool();
  if (!reader.ok()) return Fail(Errc::kIo, "rpcbind's answer does not decode");
  return answer;
}

std::vector<std::byte> MappingArguments(std::uint32_t program, std::uint32_t version, const std::string& netid,
                                        const std::string& uaddr) {
  rpc::ReplyBuffer out;
  out.U32(program);
  out.U32(version);
  out.Text(netid);
  out.Text(uaddr);
  out.Text(::geteuid() == 0 ? "superuser" : std::to_string(::geteuid()));
  std::vector<std::byte> bytes;
  out.CopyTo(0, bytes);
  return bytes;
}

}  // namespace

bool RpcbindRuns(const PortmapAddress& address) { return CallBool(address, NULLPROC, {}).has_value(); }

Result<void> RpcbindSet(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                        const std::string& netid, const std::string& uaddr) {
  STRATA_ASSIGN(const bool done, CallBool(address, kSet, MappingArguments(program, version, netid, uaddr)));
  if (!done)
    return Fail(Errc::kExists, "rpcbind refuses program " + std::to_string(program) + " on " + netid +
                                   ": another server may be registered");
  return {};
}

Result<void> RpcbindUnset(const PortmapAddress& address, std::uint32_t program, std::uint32_t version,
                          const std::string& netid) {
  STRATA_ASSIGN(const bool done, CallBool(address, kUnset, MappingArguments(program, version, netid, "")));
  if (!done) return Fail(Errc::kNotFound, "rpcbind has no program " + std::to_string(program) + " on " + netid);
  return {};
}

}  // namespace strata
