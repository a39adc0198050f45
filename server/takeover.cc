#include "server/takeover.h"

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "base/log.h"

namespace strata {
namespace {

using control::Message;
using control::Type;

log::RateLimit refusals;

constexpr std::uint64_t kMagic = 0x6f656b6174727473;  // "strtakeo"
constexpr std::size_t kHelloBytes = 16;
// How long the running process waits for one that does not read, at each message.
constexpr std::chrono::seconds kSendLimit{30};

// The newest version that both speak, or why there is none.
Result<std::uint32_t> CommonVersion(const Message& hello) {
  const auto differ = [](std::string why) { return Fail(Errc::kNotSupported, std::move(why)); };
  if (hello.type != Type::kHello)
    return differ("this server does not know what it was asked; a newer version of it may");
  if (hello.body.size() < kHelloBytes || LoadLe<std::uint64_t>(hello.body.data()) != kMagic)
    return differ("it does not speak the takeover protocol");
  const auto low = LoadLe<std::uint32_t>(hello.body.data() + 8), high = LoadLe<std::uint32_t>(hello.body.data() + 12);
  if (low <= kTakeoverVersion && high >= kOldestTakeoverVersion) return std::min(high, kTakeoverVersion);
  return differ("the running server speaks versions " + std::to_string(kOldestTakeoverVersion) + " to " +
                std::to_string(kTakeoverVersion) + " of the takeover protocol, the new one " + std::to_string(low) +
                " to " + std::to_string(high) + "; stop the running one and start the new one instead");
}

}  // namespace

// -- The running process --

std::optional<TakeoverRequest> TakeoverRequest::From(control::Request asked) {
  TakeoverRequest request(std::move(asked.connection), asked.pid);
  const Result<std::uint32_t> version = CommonVersion(asked.first);
  if (version) {
    request.version_ = *version;
    return request;
  }
  if (refusals.Allow()) log::Warning("takeover_refused", {{"pid", asked.pid}, {"reason", version.error()}});
  request.Refuse(version.error());
  return std::nullopt;
}

bool TakeoverRequest::Gone() const {
  pollfd poll{connection_.fd(), POLLIN, 0};
  // It has nothing to say now.
  return ::poll(&poll, 1, 0) > 0;
}

void TakeoverRequest::Refuse(const Status& why) {
  connection_.Limit(kSendLimit);
  if (connection_) (void)connection_.SendText(Type::kRefused, why.message());
  connection_ = {};
}

Result<void> TakeoverRequest::HandOver(const Handover& handover, int give_up) {
  const Result<std::vector<std::byte>> state = EncodeHandover(handover, version_);
  if (!state) {
    Refuse(state.error());
    return Fail(state.error());
  }
  const auto send = [this](Type type, ByteSpan body, std::span<const int> with) {
    connection_.Limit(kSendLimit);
    return connection_.Send(type, body, with);
  };
  std::vector<int> descriptors;
  for (const rpc::HandedSocket& socket : handover.handed.sockets) descriptors.push_back(socket.socket.get());
  for (std::span<const int> rest(descriptors); !rest.empty();) {
    const std::size_t batch = std::min(rest.size(), control::kDescriptorsAtOnce);
    STRATA_TRY(send(Type::kDescriptors, {}, rest.first(batch)));
    rest = rest.subspan(batch);
  }
  for (ByteSpan rest(*state); !rest.empty();) {
    const std::size_t piece = std::min(rest.size(), control::kMaxMessage);
    STRATA_TRY(send(Type::kState, rest.first(piece), {}));
    rest = rest.subspan(piece);
  }
  STRATA_TRY(send(Type::kEnd, {}, {}));
  // However long the other takes to open the workspace: it may not be served by both.
  connection_.Limit(std::nullopt);
  pollfd waits[2] = {{connection_.fd(), POLLIN, 0}, {give_up, POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0) {
  }
  if (waits[0].revents == 0) return Fail(Errc::kBusy, "told to end while the new process was taking over");
  STRATA_ASSIGN(const Message last, connection_.Receive());
  if (last.type == Type::kServing) return {};
  return Fail(Errc::kIo,
              "the new process says: " + (last.type == Type::kFailed ? last.text() : "something unexpected"));
}

// -- The new process --

Result<Takeover> Takeover::Ask(const std::string& folder) {
  const std::string taking = "taking over the server of " + folder;
  // What it hands over has effects here, such as which socket file is removed in the end: so it has to be believed.
  Result<std::optional<control::Connection>> connection = control::Connect(folder);
  if (!connection && connection.error().code() == Errc::kPermission) {
    return Fail(Errc::kPermission, taking + ": " + std::string(connection.error().message()) +
                                       ", or stop it and start this one without --takeover");
  }
  if (!connection) return Fail(connection.error().WithContext(taking));
  if (!*connection) {
    return Fail(Errc::kNotFound,
                taking + ": no server that can be taken over runs there; leave --takeover out to start one");
  }
  // As many as the other may have.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  Takeover takeover(std::move(**connection));
  std::array<std::byte, kHelloBytes> hello;
  StoreLe(hello.data(), kMagic);
  StoreLe(hello.data() + 8, kOldestTakeoverVersion);
  StoreLe(hello.data() + 12, kTakeoverVersion);
  // Where it was refused before it spoke, the reason is there to be read all the same.
  (void)takeover.connection_.Send(Type::kHello, hello);
  std::vector<std::byte> state;
  std::vector<UniqueFd> descriptors;
  for (;;) {
    Result<Message> message = takeover.connection_.Receive();
    if (!message && message.error().code() == Errc::kIo && descriptors.empty()) {
      return Fail(Errc::kBusy, taking + ": it has ended, or another process takes it over just now; try again");
    }
    if (!message) return Fail(message.error().WithContext(taking));
    for (UniqueFd& descriptor : message->descriptors) descriptors.push_back(std::move(descriptor));
    if (message->type == Type::kRefused) return Fail(Errc::kNotSupported, taking + ": it refuses: " + message->text());
    if (message->type == Type::kEnd) break;
    if (message->type != Type::kState && message->type != Type::kDescriptors) {
      return Fail(Errc::kCorrupt, taking + ": it says something that this version does not know");
    }
    if (state.size() + message->body.size() > kMaxHandoverBytes || descriptors.size() > kMaxHandedSockets) {
      return Fail(Errc::kCorrupt, taking + ": it hands over more than can be");
    }
    state.insert(state.end(), message->body.begin(), message->body.end());
  }
  Result<Handover> decoded = DecodeHandover(state);
  if (!decoded) return Fail(decoded.error().WithContext(taking));
  takeover.handover_ = std::move(*decoded);
  if (const auto attached = AttachDescriptors(takeover.handover_, std::move(descriptors)); !attached) {
    return Fail(attached.error().WithContext(taking));
  }
  return takeover;
}

void Takeover::Serving() {
  // Where the old process is gone, this one is the only one left to serve.
  if (connection_ && !connection_.Send(Type::kServing)) log::Warning("taken_over_from_a_dead_process");
  connection_ = {};
}

void Takeover::Failed(const Status& why) {
  if (connection_) (void)connection_.SendText(Type::kFailed, why.message());
  connection_ = {};
}

}  // namespace strata
