// The lean client: see client.h.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "tests/bench/client.h"
#include "tests/bench/send_queue.h"
#include "tests/bench/support.h"
#include "tests/bench/xdr.h"

namespace nfsbench {
namespace {

constexpr std::size_t kReceiveBuffer = 4u << 20;
constexpr std::size_t kReceiveRoom = 2u << 20;  // moved to the front when less is left
constexpr std::uint32_t kSpliceAbove = 16384;   // payloads larger than this are not copied
constexpr char kCookie[] = "cook";              // of NLM; the xid tells which reply is whose
constexpr std::uint32_t kNfsProgram = 100003, kNfsVersion = 3;
constexpr std::uint32_t kNlmProgram = 100021, kNlmVersion = 4;

class LeanClient : public Client {
 public:
  LeanClient(const std::string& host, int port);
  ~LeanClient() override { close(fd_); }
  int fd() const override { return fd_; }
  short events() override { return static_cast<short>(POLLIN | (queue_.empty() ? 0 : POLLOUT)); }
  void Send(const Call& call, std::uint32_t slot) override;
  void Flush() override {
    if (!queue_.Flush(fd_)) Die("send: %s", std::strerror(errno));
  }
  bool Service(short ready) override;

 private:
  struct Sent {
    std::uint32_t xid;
    std::uint32_t slot;
    Procedure procedure;
  };

  // Returns the number of bytes spliced in behind what was encoded.
  std::size_t EncodeArguments(const Call& call, Encoder& encoder);
  void OnRecord(const char* record, std::size_t length);

  int fd_;
  SendQueue queue_;
  std::vector<char> received_;
  std::size_t received_end_ = 0, received_begin_ = 0;
  std::string fragments_;  // of a record of several
  // By the low 16 bits of the xid. xids count up and are never used again on a connection: a server with a duplicate
  // request cache drops or repeats a call whose xid it has seen.
  std::vector<Sent> sent_;
  std::uint32_t xid_;
};

LeanClient::LeanClient(const std::string& host, int port) : received_(kReceiveBuffer), sent_(65536) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1)
    Die("the lean client needs a numeric IPv4 address, not %s", host.c_str());
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    Die("connecting to %s port %d: %s", host.c_str(), port, std::strerror(errno));
  }
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  static std::uint32_t seed = static_cast<std::uint32_t>(NowNs() >> 20);
  xid_ = (seed += 7919) << 16;
}

void LeanClient::Send(const Call& call, std::uint32_t slot) {
  ++xid_;
  sent_[xid_ & 0xffff] = {xid_, slot, call.procedure};
  Encoder encoder{queue_.buffer()};
  const std::size_t begin = queue_.BeginRecord();
  encoder.U32(xid_);
  const bool nlm = IsNlm(call.procedure);
  for (const std::uint32_t word :
       {0u, 2u, nlm ? kNlmProgram : kNfsProgram, nlm ? kNlmVersion : kNfsVersion, NumberOf(call.procedure)}) {
    encoder.U32(word);
  }
  // AUTH_SYS: root of machine "nfsbench", no supplementary groups; verifier AUTH_NONE.
  encoder.U32(1);
  encoder.U32(28);
  encoder.U32(0);
  encoder.Opaque("nfsbench");
  for (int i = 0; i < 5; ++i) encoder.U32(0);
  queue_.EndRecord(begin, EncodeArguments(call, encoder));
}

std::size_t LeanClient::EncodeArguments(const Call& call, Encoder& encoder) {
  const auto attributes = [&](std::uint32_t mode) {
    encoder.U32(1);
    encoder.U32(mode);
    for (int i = 0; i < 5; ++i) encoder.U32(0);
  };
  const auto lock = [&] {
    encoder.Opaque(kCallerName);
    encoder.PutHandle(*call.handle);
    encoder.Opaque(OwnerText(call.owner));
    encoder.U32(call.owner);
    encoder.U64(call.offset);
    encoder.U64(call.count);
  };
  if (call.procedure != Procedure::kNull && !IsNlm(call.procedure)) encoder.PutHandle(*call.handle);
  switch (call.procedure) {
    case Procedure::kNull:
    case Procedure::kGetattr:
    case Procedure::kFsinfo:
    case Procedure::kNlmNull:
      break;
    case Procedure::kLookup:
    case Procedure::kRemove:
    case Procedure::kRmdir:
      encoder.Opaque(call.name);
      break;
    case Procedure::kRead:
    case Procedure::kCommit:
      encoder.U64(call.offset);
      encoder.U32(call.count);
      break;
    case Procedure::kWrite:
      encoder.U64(call.offset);
      encoder.U32(call.count);
      encoder.U32(call.stable);
      if (call.count <= kSpliceAbove) {
        encoder.Opaque({call.data, call.count});
        break;
      }
      if (call.count % 4 != 0) Die("a large WRITE must be a multiple of 4 bytes");
      encoder.U32(call.count);
      queue_.Splice(call.data, call.count);
      return call.count;
    case Procedure::kCreate:
      encoder.Opaque(call.name);
      encoder.U32(0);  // UNCHECKED
      attributes(0644);
      break;
    case Procedure::kMkdir:
      encoder.Opaque(call.name);
      attributes(0755);
      break;
    case Procedure::kRename:
      encoder.Opaque(call.name);
      encoder.PutHandle(*call.to_directory);
      encoder.Opaque(call.to_name);
      break;
    case Procedure::kReaddir:
    case Procedure::kReaddirplus:
      encoder.U64(call.offset);
      encoder.out.append(call.verifier, 8);
      if (call.procedure == Procedure::kReaddirplus) encoder.U32(call.dircount);
      encoder.U32(call.count);
      break;
    case Procedure::kNlmLock:
      encoder.Opaque(kCookie);
      encoder.U32(1);  // it may wait
      encoder.U32(1);  // exclusive
      lock();
      encoder.U32(0);  // nothing is reclaimed
      encoder.U32(1);  // the state of the client's status monitor
      break;
    case Procedure::kNlmUnlock:
      encoder.Opaque(kCookie);
      lock();
      break;
  }
  return 0;
}

bool LeanClient::Service(short ready) {
  if ((ready & POLLOUT) != 0) Flush();
  if ((ready & (POLLIN | POLLHUP | POLLERR)) == 0) return true;
  const ssize_t got = recv(fd_, received_.data() + received_end_, received_.size() - received_end_, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  received_end_ += static_cast<std::size_t>(got);
  while (received_end_ - received_begin_ >= 4) {
    std::uint32_t mark;
    std::memcpy(&mark, &received_[received_begin_], 4);
    mark = be32toh(mark);
    const std::size_t length = mark & 0x7fffffff;
    if (length + 4 > received_.size()) Die("a reply's fragment of %zu bytes", length);
    if (received_end_ - received_begin_ < length + 4) break;
    const char* fragment = &received_[received_begin_ + 4];
    received_begin_ += length + 4;
    const bool last = (mark & 0x80000000u) != 0;
    if (last && fragments_.empty()) {
      OnRecord(fragment, length);
      continue;
    }
    fragments_.append(fragment, length);
    if (!last) continue;
    OnRecord(fragments_.data(), fragments_.size());
    fragments_.clear();
  }
  if (received_begin_ == received_end_) {
    received_begin_ = received_end_ = 0;
  } else if (received_begin_ > 0 && received_.size() - received_end_ < kReceiveRoom) {
    std::memmove(received_.data(), &received_[received_begin_], received_end_ - received_begin_);
    received_end_ -= received_begin_;
    received_begin_ = 0;
  }
  return true;
}

void DecodeResult(Procedure procedure, Decoder& decoder, Reply& reply) {
  switch (procedure) {
    case Procedure::kLookup:
      decoder.GetHandle(reply.handle);
      break;
    case Procedure::kCreate:
    case Procedure::kMkdir:
      if (decoder.U32() != 0) decoder.GetHandle(reply.handle);
      break;
    case Procedure::kRead:
      decoder.SkipAttributes();
      reply.count = decoder.U32();
      reply.eof = decoder.U32() != 0;
      if (decoder.U32() != reply.count) decoder.bad = true;
      decoder.Skip(reply.count);
      break;
    case Procedure::kWrite:
      decoder.SkipWcc();
      reply.count = decoder.U32();
      reply.committed = decoder.U32();
      decoder.Raw(reply.verifier, 8);
      break;
    case Procedure::kCommit:
      decoder.SkipWcc();
      decoder.Raw(reply.verifier, 8);
      break;
    case Procedure::kReaddir:
    case Procedure::kReaddirplus:
      decoder.SkipAttributes();
      decoder.Raw(reply.verifier, 8);
      while (!decoder.bad && decoder.U32() != 0) {
        decoder.Skip(8);
        decoder.SkipOpaque();
        reply.cookie = decoder.U64();
        ++reply.entries;
        if (procedure == Procedure::kReaddir) continue;
        decoder.SkipAttributes();
        if (decoder.U32() != 0) decoder.SkipOpaque();
      }
      reply.eof = decoder.U32() != 0;
      break;
    case Procedure::kFsinfo:
      decoder.SkipAttributes();
      reply.rtmax = decoder.U32();
      decoder.Skip(8);
      reply.wtmax = decoder.U32();
      decoder.Skip(8);
      reply.dtpref = decoder.U32();
      break;
    default:
      break;
  }
}

void LeanClient::OnRecord(const char* record, std::size_t length) {
  Decoder decoder{record, record + length};
  const std::uint32_t xid = decoder.U32();
  const Sent call = sent_[xid & 0xffff];
  if (call.xid != xid) Die("a reply of unknown xid %08x", xid);
  Reply reply;
  reply.accepted = decoder.U32() == 1 && decoder.U32() == 0;
  decoder.U32();
  decoder.SkipOpaque();
  if (decoder.U32() != 0) reply.accepted = false;
  if (reply.accepted && NumberOf(call.procedure) != 0) {
    if (IsNlm(call.procedure)) decoder.SkipOpaque();  // the cookie
    reply.status = decoder.U32();
    if (reply.status == 0) DecodeResult(call.procedure, decoder, reply);
  }
  if (decoder.bad) reply.accepted = false;
  on_reply(call.slot, reply);
}

}  // namespace

std::unique_ptr<Client> MakeLeanClient(const std::string& host, int port) {
  return std::make_unique<LeanClient>(host, port);
}

}  // namespace nfsbench
