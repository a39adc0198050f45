#include "tests/server/rpc/harness.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "server/rpc/buffer_pool.h"

namespace strata::rpc::testing {
namespace {

FakeProgram& Fake(Program& program) { return static_cast<FakeProgram&>(program); }

Outcome Owes(FakeVolume& volume, vfs::Commitment commitment, std::uint32_t lsn) {
  Outcome outcome;
  outcome.volume = &volume;
  outcome.commitment = commitment;
  outcome.lsn = Lsn{lsn};
  return outcome;
}

Outcome Echo(XdrReader& arguments, ReplyBuffer& reply) {
  const ByteSpan bytes = arguments.Opaque(kMaxRecordBytes);
  if (!arguments.Finished()) return Outcome::Garbage();
  reply.Opaque(bytes);
  return {};
}

void WriteFailed(ReplyBuffer& reply) { reply.U32(0xdead); }

bool PollFor(int fd, short events, std::chrono::milliseconds limit) {
  pollfd p{fd, events, 0};
  return ::poll(&p, 1, static_cast<int>(limit.count())) > 0;
}

}  // namespace

void Gate::Open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}
void Gate::Wait() {
  std::unique_lock lock(mutex_);
  ++arrivals_;
  changed_.notify_all();
  changed_.wait_for(lock, kLimit, [this] { return open_; });
}
bool Gate::WaitForArrivals(int count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kLimit, [&] { return arrivals_ >= count; });
}

Result<void> FakeVolume::Flush() {
  const std::lock_guard lock(mutex_);
  ++flushes_;
  if (fail_flushes_) return Fail(Errc::kIo);
  return {};
}
void FakeVolume::Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) {
  {
    const std::lock_guard lock(mutex_);
    lsns_.push_back(lsn.value);
    if (hold_) {
      held_.push_back(std::move(done));
      changed_.notify_all();
      return;
    }
  }
  done({});
}
void FakeVolume::HoldSyncs() {
  const std::lock_guard lock(mutex_);
  hold_ = true;
}
bool FakeVolume::WaitForSyncs(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kLimit, [&] { return held_.size() >= count; });
}
void FakeVolume::Release(bool success) {
  decltype(held_) held;
  {
    const std::lock_guard lock(mutex_);
    held = std::move(held_);
    held_.clear();
  }
  std::jthread([&] {
    for (auto& done : held) success ? done({}) : done(Fail(Errc::kIo));
  }).join();
}
void FakeVolume::FailFlushes(bool fail) {
  const std::lock_guard lock(mutex_);
  fail_flushes_ = fail;
}
int FakeVolume::flushes() const {
  const std::lock_guard lock(mutex_);
  return flushes_;
}
std::vector<std::uint64_t> FakeVolume::synced() const {
  const std::lock_guard lock(mutex_);
  return lsns_;
}

MappedFile::MappedFile(std::size_t size) : fd_(::memfd_create("cut", MFD_CLOEXEC)) {
  Cut(size);
  void* const at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd_, 0);
  EXPECT_NE(at, MAP_FAILED);
  bytes_ = {static_cast<const std::byte*>(at), size};
}
MappedFile::~MappedFile() {
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  ::close(fd_);
}
void MappedFile::Cut(std::size_t size) { EXPECT_EQ(::ftruncate(fd_, static_cast<off_t>(size)), 0); }

FakeProgram::FakeProgram() : own_file_(4 << 20, std::byte{'f'}), procedures_(15) {
  const auto set = [this](std::uint32_t number, auto handler) {
    procedures_[number].number = number;
    procedures_[number].handler = handler;
    procedures_[number].failure = WriteFailed;
  };
  set(kNull, [](Program&, const Call&, XdrReader& arguments, ReplyBuffer&) {
    return arguments.Finished() ? Outcome{} : Outcome::Garbage();
  });
  set(kEcho, [](Program&, const Call&, XdrReader& arguments, ReplyBuffer& reply) { return Echo(arguments, reply); });
  set(kBlocking, [](Program& program, const Call& call, XdrReader& arguments, ReplyBuffer& reply) {
    reply.U32(0xbad);  // dropped when it blocks
    if (!call.may_block) return Outcome::WouldBlock();
    reply.Rewind(reply.size() - 4);
    Fake(program).gate.Wait();
    return Echo(arguments, reply);
  });
  set(kSizedBlocking, procedures_[kBlocking].handler);
  procedures_[kSizedBlocking].largest_reply = 1 << 20;
  set(kCached, [](Program& program, const Call&, XdrReader& arguments, ReplyBuffer& reply) {
    arguments.U32();
    if (!arguments.Finished()) return Outcome::Garbage();
    reply.U32(static_cast<std::uint32_t>(++Fake(program).runs));
    return Outcome{};
  });
  set(kCachedBlocking, [](Program& program, const Call& call, XdrReader& arguments, ReplyBuffer& reply) {
    arguments.U32();
    if (!arguments.Finished()) return Outcome::Garbage();
    if (!call.may_block) return Outcome::WouldBlock();
    Fake(program).gate.Wait();
    reply.U32(static_cast<std::uint32_t>(++Fake(program).runs));
    return Outcome{};
  });
  set(kWritten, [](Program& program, const Call&, XdrReader& arguments, ReplyBuffer& reply) {
    const std::uint32_t word = arguments.U32();
    if (!arguments.Finished()) return Outcome::Garbage();
    ++Fake(program).runs;
    reply.U32(word);
    return Owes(Fake(program).volume, vfs::Commitment::kWritten, 0);
  });
  set(kDurable, [](Program& program, const Call&, XdrReader& arguments, ReplyBuffer& reply) {
    const std::uint32_t word = arguments.U32();
    if (!arguments.Finished()) return Outcome::Garbage();
    ++Fake(program).runs;
    reply.U32(word);
    return Owes(word >= 1000 ? Fake(program).other_volume : Fake(program).volume, vfs::Commitment::kDurable, word);
  });
  set(kBlockingDurable, [](Program& program, const Call& call, XdrReader& arguments, ReplyBuffer& reply) {
    const std::uint32_t word = arguments.U32();
    if (!call.may_block) return Outcome::WouldBlock();
    reply.U32(word);
    return Owes(Fake(program).volume, vfs::Commitment::kDurable, word);
  });
  set(kBig, [](Program& program, const Call&, XdrReader& arguments, ReplyBuffer& reply) {
    const std::uint32_t size = arguments.U32();
    if (!arguments.Finished() || size > Fake(program).file.size()) return Outcome::Garbage();
    reply.U32(size);
    reply.Reference(Fake(program).file.first(size), nullptr);
    reply.Pad(size);
    return Outcome{};
  });
  set(kAlways, [](Program&, const Call& call, XdrReader&, ReplyBuffer& reply) {
    reply.Bool(call.may_block);
    return Outcome{};
  });
  set(kWhoAmI, [](Program&, const Call& call, XdrReader&, ReplyBuffer& reply) {
    reply.Bool(call.anonymous);
    reply.U32(call.credentials.uid);
    reply.U32(call.credentials.gid);
    for (std::uint32_t i = 0; i < call.credentials.group_count; ++i) reply.U32(call.credentials.groups[i]);
    return Outcome{};
  });
  set(kFetching, [](Program& program, const Call& call, XdrReader& arguments, ReplyBuffer& reply) {
    const std::uint32_t word = arguments.U32();
    return arguments.Finished() ? Fake(program).fetching(call, word, reply) : Outcome::Garbage();
  });
  set(kCachedFetching, procedures_[kFetching].handler);
  procedures_[kFetching].failure = nullptr;
  for (const std::uint32_t cached : {kCached, kCachedBlocking, kWritten, kDurable, kCachedFetching})
    procedures_[cached].cached = true;
  procedures_[kAlways].always_blocks = true;
  file = own_file_;
}

TestServer::TestServer(TransportOptions options) : dispatcher({&program}), transport(Transport::Create(options)) {}
void TestServer::Stop() {
  program.gate.Open();
  transport->Stop();
}

std::uint32_t Reply::Word(std::size_t index) const {
  if (results.size() < 4 * (index + 1)) {
    ADD_FAILURE() << "the reply has " << results.size() << " bytes";
    return ~0u;
  }
  return LoadBe32(results.data() + 4 * index);
}

Client::Client(TestServer& server, const std::string& address, std::uint16_t port, ByteSpan waiting) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    ADD_FAILURE() << "socketpair: " << std::strerror(errno);
    return;
  }
  fd_ = ends[0];
  Send(waiting);
  Peer peer;
  peer.address = boost::asio::ip::make_address(address);
  peer.port = port;
  server.transport->Adopt(ends[1], peer, server.dispatcher);
}

Client::Client(std::uint16_t tcp_port) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(tcp_port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    ADD_FAILURE() << "connect: " << std::strerror(errno);
}

Client::~Client() { Close(); }

void Client::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Client::Send(ByteSpan bytes) {
  while (!bytes.empty()) {
    if (!PollFor(fd_, POLLOUT, kLimit)) {
      ADD_FAILURE() << "the server does not read";
      return;
    }
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return;  // closed: the test sees it by what it receives
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

std::size_t Client::SendSome(ByteSpan bytes) {
  const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

bool Client::Readable(std::chrono::milliseconds limit) { return PollFor(fd_, POLLIN, limit); }

bool Client::Ended() {
  std::byte one;
  return PollFor(fd_, POLLIN, kLimit) && ::recv(fd_, &one, 1, 0) <= 0;
}

std::optional<Reply> Client::Receive() {
  Bytes record;
  for (bool last = false; !last;) {
    const auto take = [&](std::size_t size) {
      const std::size_t at = record.size();
      record.resize(at + size);
      for (std::size_t got = 0; got < size;) {
        if (!PollFor(fd_, POLLIN, kLimit)) return false;
        const ssize_t n = ::recv(fd_, record.data() + at + got, size - got, 0);
        if (n <= 0) return false;
        got += static_cast<std::size_t>(n);
      }
      return true;
    };
    if (!take(4)) return std::nullopt;
    const std::uint32_t mark = LoadBe32(record.data() + record.size() - 4);
    record.resize(record.size() - 4);
    last = (mark >> 31) != 0;
    if ((mark & 0x7fffffff) > (8 << 20) || !take(mark & 0x7fffffff)) return std::nullopt;
  }
  // Someone else's decoder.
  rpc_msg message{};
  message.acpted_rply.ar_results.where = nullptr;
  message.acpted_rply.ar_results.proc = reinterpret_cast<xdrproc_t>(reinterpret_cast<void (*)()>(xdr_void));
  XDR xdr;
  xdrmem_create(&xdr, reinterpret_cast<char*>(record.data()), static_cast<u_int>(record.size()), XDR_DECODE);
  Reply reply;
  if (!xdr_replymsg(&xdr, &message)) {
    ADD_FAILURE() << "a reply of " << record.size() << " bytes does not decode";
    return std::nullopt;
  }
  reply.xid = message.rm_xid;
  reply.accepted = message.rm_reply.rp_stat == MSG_ACCEPTED;
  if (reply.accepted) {
    const accepted_reply& accepted = message.acpted_rply;
    EXPECT_EQ(accepted.ar_verf.oa_flavor, AUTH_NONE);
    EXPECT_EQ(accepted.ar_verf.oa_length, 0u);
    reply.status = accepted.ar_stat;
    if (reply.status == PROG_MISMATCH) {
      reply.low = static_cast<std::uint32_t>(accepted.ar_vers.low);
      reply.high = static_cast<std::uint32_t>(accepted.ar_vers.high);
    }
  } else {
    const rejected_reply& rejected = message.rjcted_rply;
    reply.status = rejected.rj_stat;
    if (rejected.rj_stat == RPC_MISMATCH) {
      reply.low = static_cast<std::uint32_t>(rejected.rj_vers.low);
      reply.high = static_cast<std::uint32_t>(rejected.rj_vers.high);
    } else {
      reply.auth = rejected.rj_why;
    }
  }
  reply.results.assign(record.begin() + xdr_getpos(&xdr), record.end());
  return reply;
}

Bytes Joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Bytes Words(std::initializer_list<std::uint32_t> words) {
  Bytes bytes;
  for (const std::uint32_t word : words) {
    bytes.resize(bytes.size() + 4);
    StoreBe32(bytes.data() + bytes.size() - 4, word);
  }
  return bytes;
}

Bytes OpaqueOf(std::size_t size, unsigned char fill) {
  Bytes bytes = Words({static_cast<std::uint32_t>(size)});
  bytes.resize(4 + size, std::byte{fill});
  bytes.resize(4 + XdrPadded(size));
  return bytes;
}

namespace {

Bytes EncodeCall(std::uint32_t xid, std::uint32_t program, std::uint32_t version, std::uint32_t procedure,
                 std::uint32_t flavor, ByteSpan credentials, ByteSpan arguments) {
  rpc_msg message{};
  message.rm_xid = xid;
  message.rm_direction = CALL;
  message.rm_call.cb_rpcvers = RPC_MSG_VERSION;
  message.rm_call.cb_prog = program;
  message.rm_call.cb_vers = version;
  message.rm_call.cb_proc = procedure;
  message.rm_call.cb_cred.oa_flavor = static_cast<enum_t>(flavor);
  message.rm_call.cb_cred.oa_base = const_cast<char*>(reinterpret_cast<const char*>(credentials.data()));
  message.rm_call.cb_cred.oa_length = static_cast<u_int>(credentials.size());
  message.rm_call.cb_verf.oa_flavor = AUTH_NONE;
  Bytes bytes(1024);
  XDR xdr;
  xdrmem_create(&xdr, reinterpret_cast<char*>(bytes.data()), static_cast<u_int>(bytes.size()), XDR_ENCODE);
  EXPECT_TRUE(xdr_callmsg(&xdr, &message));
  bytes.resize(xdr_getpos(&xdr));
  bytes.insert(bytes.end(), arguments.begin(), arguments.end());
  return bytes;
}

}  // namespace

Bytes Message(std::uint32_t xid, std::uint32_t procedure, ByteSpan arguments, std::uint32_t version,
              std::uint32_t program) {
  const Bytes credentials = AuthSys("client", 1000, 100, {4, 24});
  return EncodeCall(xid, program, version, procedure, AUTH_SYS, credentials, arguments);
}

Bytes MessageWithCredentials(std::uint32_t xid, std::uint32_t procedure, std::uint32_t flavor, ByteSpan credentials) {
  return EncodeCall(xid, FakeProgram::kNumber, 3, procedure, flavor, credentials, {});
}

// By hand where libtirpc would refuse it: the limits are what is tested.
Bytes AuthSys(const std::string& machine, std::uint32_t uid, std::uint32_t gid,
              const std::vector<std::uint32_t>& groups) {
  Bytes bytes = Words({12345, static_cast<std::uint32_t>(machine.size())});
  for (const char c : machine) bytes.push_back(static_cast<std::byte>(c));
  bytes.resize(XdrPadded(bytes.size()));
  bytes = Joined({bytes, Words({uid, gid, static_cast<std::uint32_t>(groups.size())})});
  for (const std::uint32_t group : groups) bytes = Joined({bytes, Words({group})});
  return bytes;
}

Bytes Mark(std::uint32_t size, bool last) { return Words({size | (last ? 0x8000'0000u : 0u)}); }

Bytes Record(ByteSpan message) {
  Bytes bytes = Mark(static_cast<std::uint32_t>(message.size()), true);
  bytes.insert(bytes.end(), message.begin(), message.end());
  return bytes;
}

bool Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace strata::rpc::testing
