#include "server/rpc/client.h"

#include <netinet/in.h>
#include <rpc/rpc.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <optional>
#include <unordered_set>
#include <utility>

#include "server/rpc/record_reader.h"
#include "server/rpc/reply_buffer.h"
#include "server/rpc/xdr.h"

namespace strata::rpc {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;

constexpr std::chrono::milliseconds kFirstResend{300};  // of a datagram; then twice as long each time

std::uint32_t RandomXid() {
  std::uint32_t xid = 0;
  (void)::getrandom(&xid, sizeof xid, 0);
  return xid;
}

// The call's record, with its mark.
std::vector<std::byte> RecordOf(std::uint32_t xid, const OutgoingCall& call) {
  constexpr std::uint32_t kHeaderBytes = 40;
  ReplyBuffer out(1024);
  out.U32(kLastFragment | static_cast<std::uint32_t>(kHeaderBytes + call.arguments.size()));
  for (const std::uint32_t word : {xid, static_cast<std::uint32_t>(CALL), std::uint32_t{RPC_MSG_VERSION}, call.program,
                                   call.version, call.procedure, 0U, 0U, 0U, 0U}) {
    out.U32(word);
  }
  out.Raw(call.arguments);
  return out.Bytes();
}

// Nothing where it is the reply to another call.
std::optional<Result<std::vector<std::byte>>> Parse(ByteSpan reply, std::uint32_t xid) {
  XdrReader in(reply);
  if (in.U32() != xid || in.U32() != REPLY || !in.ok()) return std::nullopt;
  if (in.U32() != MSG_ACCEPTED) return Fail(Errc::kIo, "the call is denied");
  in.U32();
  in.Opaque(MAX_AUTH_BYTES);
  const std::uint32_t status = in.U32();
  if (!in.ok()) return Fail(Errc::kIo, "the reply does not decode");
  if (status == PROG_UNAVAIL || status == PROG_MISMATCH || status == PROC_UNAVAIL) {
    return Fail(Errc::kNotSupported, "the program is not served there");
  }
  if (status != SUCCESS) return Fail(Errc::kIo, "the call failed with RPC status " + std::to_string(status));
  const ByteSpan rest = in.rest();
  return std::vector<std::byte>(rest.begin(), rest.end());
}

Status Unreachable(const boost::system::error_code& error) {
  const bool nobody =
      error == asio::error::connection_refused || error == boost::system::errc::no_such_file_or_directory;
  return Status(nobody ? Errc::kNotFound : Errc::kIo, error.message());
}

// Binds to the address to call from, and where `low` to a free port below 1024. Where that cannot be, the system
// chooses.
void Bind(int socket, const Address& to, bool low) {
  const auto any = to.host.is_v6() ? asio::ip::address(asio::ip::address_v6::any()) : asio::ip::address_v4::any();
  asio::ip::address from = to.from.is_v6() == to.host.is_v6() ? to.from : any;
  const auto bind = [&](std::uint16_t port) {
    const tcp::endpoint endpoint(from, port);
    return ::bind(socket, endpoint.data(), static_cast<socklen_t>(endpoint.size())) == 0;
  };
  // Each call begins somewhere else, since a port that was just used may not be free for the same address.
  static std::atomic<unsigned> next{0};
  constexpr unsigned kLowest = 600, kPorts = 1024 - kLowest;
  for (unsigned tries = 0; low && tries < kPorts; ++tries) {
    if (bind(static_cast<std::uint16_t>(kLowest + next.fetch_add(1) % kPorts))) return;
    if (errno == EADDRNOTAVAIL && from != any) {
      from = any;  // this machine has lost that address; a low port it has yet
    } else if (errno != EADDRINUSE) {
      break;
    }
  }
  if (from != any) (void)bind(0);
}

}  // namespace

struct Client::State {
  explicit State(asio::io_context& the_context) : context(the_context) {}
  asio::io_context& context;
  std::unordered_set<std::shared_ptr<One>> under_way;
  std::deque<std::shared_ptr<One>> waiting;
  void StartNext();
  // Not from within the end of another: a row of calls that fail at once would nest as deep as it is long.
  static void StartLater(const std::shared_ptr<State>& state) {
    asio::post(state->context, [weak = std::weak_ptr<State>(state)] {
      if (const auto alive = weak.lock()) alive->StartNext();
    });
  }
};

// One call, from its start to its end.
class Client::One : public std::enable_shared_from_this<One> {
 public:
  One(std::shared_ptr<State> state, const Address& to, const OutgoingCall& call, Done done)
      : state_(std::move(state)),
        to_(to),
        xid_(RandomXid()),
        privileged_(call.privileged_port),
        one_way_(call.one_way),
        record_(RecordOf(xid_, call)),
        done_(std::move(done)),
        stream_(state_->context),
        datagram_(state_->context),
        deadline_(state_->context, std::chrono::steady_clock::now() + call.timeout),
        resend_(state_->context) {}

  void Await() {
    deadline_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->End(Fail(Errc::kIo, "no answer in time"));
    });
  }

  void Start() {
    if (to_.transport == Address::Transport::kUdp) return StartDatagram();
    boost::system::error_code error;
    if (to_.transport == Address::Transport::kUnix) {
      if (to_.path.size() >= sizeof(sockaddr_un::sun_path)) return End(Fail(Errc::kInvalid, "the path is too long"));
      return Connect(asio::local::stream_protocol::endpoint(to_.path));
    }
    const tcp::endpoint endpoint(to_.host, to_.port);
    stream_.open(asio::generic::stream_protocol(endpoint.protocol()), error);
    if (error) return End(std::unexpected(Unreachable(error)));
    Bind(stream_.native_handle(), to_, privileged_);
    Connect(endpoint);
  }

  void End(Result<std::vector<std::byte>> result) {
    if (!done_) return;
    Done done = std::exchange(done_, nullptr);
    boost::system::error_code ignored;
    stream_.close(ignored);
    datagram_.close(ignored);
    deadline_.cancel();
    resend_.cancel();
    const std::shared_ptr<One> self = shared_from_this();
    std::erase(state_->waiting, self);
    const bool was_under_way = state_->under_way.erase(self) > 0;
    done(std::move(result));
    if (was_under_way) State::StartLater(state_);
  }

 private:
  bool ended() const { return !done_; }

  template <typename Endpoint>
  void Connect(const Endpoint& endpoint) {
    stream_.async_connect(asio::generic::stream_protocol::endpoint(endpoint),
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (self->ended()) return;
                            if (error) return self->End(std::unexpected(Unreachable(error)));
                            self->SendRecord();
                          });
  }

  void SendRecord() {
    asio::async_write(stream_, asio::buffer(record_),
                      [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                        if (self->ended()) return;
                        if (error) return self->End(std::unexpected(Unreachable(error)));
                        if (self->one_way_) return self->End(std::vector<std::byte>());
                        self->ReadMark();
                      });
  }

  void ReadMark() {
    asio::async_read(stream_, asio::buffer(mark_),
                     [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                       if (self->ended()) return;
                       if (error) return self->End(Fail(Errc::kIo, "the connection ended before the answer came"));
                       const std::uint32_t mark = LoadBe32(self->mark_.data());
                       const std::size_t size = mark & ~kLastFragment;
                       // Nobody sends so little in several fragments.
                       if ((mark & kLastFragment) == 0 || size > kMaxReply) {
                         return self->End(Fail(Errc::kIo, "the answer is too long"));
                       }
                       self->reply_.resize(size);
                       self->ReadReply();
                     });
  }

  void ReadReply() {
    asio::async_read(stream_, asio::buffer(reply_),
                     [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                       if (self->ended()) return;
                       if (error) return self->End(Fail(Errc::kIo, "the connection ended within the answer"));
                       if (auto result = Parse(self->reply_, self->xid_)) return self->End(std::move(*result));
                       self->ReadMark();
                     });
  }

  void StartDatagram() {
    boost::system::error_code error;
    const udp::endpoint endpoint(to_.host, to_.port);
    datagram_.open(endpoint.protocol(), error);
    if (!error) Bind(datagram_.native_handle(), to_, privileged_);
    // Connected: what comes from elsewhere is not seen.
    if (!error) datagram_.connect(endpoint, error);
    if (error) return End(std::unexpected(Unreachable(error)));
    reply_.resize(kMaxReply);
    Receive();
    Send(kFirstResend);
  }

  void Send(std::chrono::milliseconds again) {
    boost::system::error_code error;
    datagram_.send(asio::buffer(record_) + kRecordMarkBytes, 0, error);
    if (error == asio::error::connection_refused) return End(std::unexpected(Unreachable(error)));
    if (one_way_) return End(std::vector<std::byte>());
    resend_.expires_after(again);
    resend_.async_wait([self = shared_from_this(), again](boost::system::error_code stopped) {
      if (!stopped && !self->ended()) self->Send(2 * again);
    });
  }

  void Receive() {
    datagram_.async_receive(asio::buffer(reply_),
                            [self = shared_from_this()](boost::system::error_code error, std::size_t size) {
                              if (self->ended()) return;
                              if (error) return self->End(std::unexpected(Unreachable(error)));
                              if (auto result = Parse(ByteSpan(self->reply_).first(size), self->xid_)) {
                                return self->End(std::move(*result));
                              }
                              self->Receive();
                            });
  }

  const std::shared_ptr<State> state_;
  const Address to_;
  const std::uint32_t xid_;
  const bool privileged_, one_way_;
  const std::vector<std::byte> record_;
  Done done_;
  asio::generic::stream_protocol::socket stream_;
  udp::socket datagram_;
  asio::steady_timer deadline_, resend_;
  std::array<std::byte, kRecordMarkBytes> mark_{};
  std::vector<std::byte> reply_;
};

void Client::State::StartNext() {
  while (under_way.size() < kMaxAtOnce && !waiting.empty()) {
    std::shared_ptr<One> next = std::move(waiting.front());
    waiting.pop_front();
    under_way.insert(next);
    next->Start();
  }
}

Client::Client(asio::io_context& context) : state_(std::make_shared<State>(context)) {}

Client::~Client() {
  // Whoever hears of the end of one may ask for another.
  while (!state_->waiting.empty() || !state_->under_way.empty()) {
    const std::shared_ptr<One> one = state_->waiting.empty() ? *state_->under_way.begin() : state_->waiting.front();
    one->End(Fail(Errc::kIo, "the server ends"));
  }
}

void Client::Call(const Address& to, OutgoingCall call, Done done) {
  if (state_->waiting.size() >= kMaxWaiting) {
    asio::post(state_->context,
               [done = std::move(done)]() mutable { done(Fail(Errc::kBusy, "too many calls are under way")); });
    return;
  }
  const auto one = std::make_shared<One>(state_, to, call, std::move(done));
  one->Await();
  state_->waiting.push_back(one);
  State::StartLater(state_);
}

}  // namespace strata::rpc
