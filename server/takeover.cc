#include "server/takeover.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/log.h"

namespace strata {
namespace {

log::RateLimit refusals;

enum class Type : std::uint32_t { kHello = 1, kRefused, kDescriptors, kState, kEnd, kServing, kFailed };

constexpr std::uint64_t kMagic = 0x6f656b6174727473;  // "strtakeo"
constexpr const char* kName = "control";
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kHelloBytes = 16;
constexpr std::size_t kMaxMessage = 1 << 20;
// SCM_MAX_FD is 253.
constexpr std::size_t kDescriptorsAtOnce = 250;
constexpr int kWaiting = 16;
// How long the running process waits for one that asks and then says nothing, and for one that does not read.
constexpr timeval kHelloLimit{5, 0}, kSendLimit{30, 0};

struct Message {
  Type type{};
  std::vector<std::byte> body;
  std::vector<UniqueFd> descriptors;

  std::string text() const { return std::string(AsText(body)); }
};

Result<void> SendMessage(int fd, Type type, ByteSpan body = {}, std::span<const int> descriptors = {}) {
  std::array<std::byte, kHeaderBytes> header;
  StoreLe(header.data(), static_cast<std::uint32_t>(type));
  StoreLe(header.data() + 4, static_cast<std::uint32_t>(body.size()));
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kDescriptorsAtOnce)> control{};
  for (std::size_t sent = 0; sent < kHeaderBytes + body.size();) {
    const ByteSpan head = sent < kHeaderBytes ? ByteSpan(header).subspan(sent) : ByteSpan();
    const ByteSpan rest = body.subspan(sent < kHeaderBytes ? 0 : sent - kHeaderBytes);
    iovec pieces[2] = {{const_cast<std::byte*>(head.data()), head.size()},
                       {const_cast<std::byte*>(rest.data()), rest.size()}};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    if (sent == 0 && !descriptors.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
      cmsghdr* const rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
      std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
    }
    const ssize_t n = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      return Fail(Status::FromErrno(errno, "sending to the other server process"));
    }
  }
  return {};
}

Result<void> SendText(int fd, Type type, std::string_view text) {
  return SendMessage(fd, type, AsBytes(text.substr(0, kMaxMessage)));
}

void CollectDescriptors(msghdr& message, std::vector<UniqueFd>& into) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (at->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(at) + i * sizeof fd, sizeof fd);
      into.emplace_back(fd);
    }
  }
}

Result<void> ReceiveAll(int fd, MutableByteSpan into, std::vector<UniqueFd>& descriptors) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 253)> control;
  while (!into.empty()) {
    iovec piece{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(Status::FromErrno(errno, "hearing from the other server process"));
    if (n == 0) return Fail(Errc::kIo, "the other server process has ended");
    CollectDescriptors(message, descriptors);
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      return Fail(Errc::kNoSpace,
                  "this process may not have as many open files as the other; raise its limit (ulimit -n)");
    }
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<Message> ReceiveMessage(int fd) {
  Message message;
  std::array<std::byte, kHeaderBytes> header;
  STRATA_TRY(ReceiveAll(fd, header, message.descriptors));
  message.type = static_cast<Type>(LoadLe<std::uint32_t>(header.data()));
  const auto size = LoadLe<std::uint32_t>(header.data() + 4);
  if (size > kMaxMessage) return Fail(Errc::kCorrupt, "the other process speaks no takeover protocol");
  message.body.resize(size);
  STRATA_TRY(ReceiveAll(fd, message.body, message.descriptors));
  return message;
}

void Limit(int fd, int option, const timeval& limit) { ::setsockopt(fd, SOL_SOCKET, option, &limit, sizeof limit); }

// The address of `control` in the folder, however long the folder's path is. Good while `folder` is open.
sockaddr_un ControlAddress(int folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, kName);
  return address;
}

Result<UniqueFd> OpenFolder(const std::string& folder) {
  UniqueFd opened(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return Fail(Status::FromErrno(errno, folder));
  return opened;
}

Result<UniqueFd> MakeSocket() {
  UniqueFd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!made) return Fail(Status::FromErrno(errno, "making a socket"));
  return made;
}

// Whether the process at the other end, which `who` gets, may be believed: root's, or of the same user.
bool MayBelieve(int fd, ucred* who) {
  socklen_t size = sizeof *who;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &size) == 0 && (who->uid == 0 || who->uid == ::geteuid());
}

// Where the other speaks none of our versions: says which.
std::optional<std::string> VersionsDiffer(const Message& hello) {
  if (hello.type != Type::kHello || hello.body.size() < kHelloBytes ||
      LoadLe<std::uint64_t>(hello.body.data()) != kMagic)
    return "it does not speak the takeover protocol";
  const auto low = LoadLe<std::uint32_t>(hello.body.data() + 8), high = LoadLe<std::uint32_t>(hello.body.data() + 12);
  if (low <= kTakeoverVersion && kTakeoverVersion <= high) return std::nullopt;
  return "the running server speaks version " + std::to_string(kTakeoverVersion) +
         " of the takeover protocol, the new one " + std::to_string(low) + " to " + std::to_string(high) +
         "; stop the running one and start the new one instead";
}

}  // namespace

// -- The running process --

Result<TakeoverPoint> TakeoverPoint::Listen(const std::string& folder) {
  STRATA_ASSIGN(UniqueFd opened, OpenFolder(folder));
  STRATA_ASSIGN(UniqueFd socket, MakeSocket());
  const sockaddr_un address = ControlAddress(opened.get());
  ::unlinkat(opened.get(), kName, 0);
  // The file gets the socket's mode: there is no moment at which others may connect.
  ::fchmod(socket.get(), 0600);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), kWaiting) != 0) {
    return Fail(Status::FromErrno(errno, "listening on " + folder + "/" + kName));
  }
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  return TakeoverPoint(std::move(opened), std::move(socket));
}

TakeoverPoint::~TakeoverPoint() {
  if (folder_) ::unlinkat(folder_.get(), kName, 0);
}

std::optional<TakeoverRequest> TakeoverPoint::Accept() {
  UniqueFd connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return std::nullopt;
  Limit(connection.get(), SO_RCVTIMEO, kHelloLimit);
  Limit(connection.get(), SO_SNDTIMEO, kSendLimit);
  ucred who{};
  const bool may = MayBelieve(connection.get(), &who);
  TakeoverRequest request(std::move(connection), who.pid);
  if (!may) {
    if (refusals.Allow())
      log::Warning("takeover_refused", {{"pid", who.pid}, {"uid", who.uid}, {"reason", "this user may not"}});
    request.Refuse(Status(Errc::kPermission, "only root and the user who runs the server may take it over"));
    return std::nullopt;
  }
  const Result<Message> hello = ReceiveMessage(request.connection_.get());
  const std::optional<std::string> differ =
      hello ? VersionsDiffer(*hello) : std::optional<std::string>(hello.error().message());
  if (differ) {
    if (refusals.Allow()) log::Warning("takeover_refused", {{"pid", who.pid}, {"reason", *differ}});
    request.Refuse(Status(Errc::kNotSupported, *differ));
    return std::nullopt;
  }
  return request;
}

bool TakeoverRequest::Gone() const {
  pollfd poll{connection_.get(), POLLIN, 0};
  // It has nothing to say now.
  return ::poll(&poll, 1, 0) > 0;
}

void TakeoverRequest::Refuse(const Status& why) {
  if (connection_) (void)SendText(connection_.get(), Type::kRefused, why.message());
  connection_ = {};
}

Result<void> TakeoverRequest::HandOver(const Handover& handover, int give_up) {
  const int fd = connection_.get();
  const Result<std::vector<std::byte>> state = EncodeHandover(handover);
  if (!state) {
    Refuse(state.error());
    return Fail(state.error());
  }
  std::vector<int> descriptors;
  for (const rpc::HandedSocket& socket : handover.handed.sockets) descriptors.push_back(socket.socket.get());
  for (std::span<const int> rest(descriptors); !rest.empty();) {
    const std::size_t batch = std::min(rest.size(), kDescriptorsAtOnce);
    STRATA_TRY(SendMessage(fd, Type::kDescriptors, {}, rest.first(batch)));
    rest = rest.subspan(batch);
  }
  for (ByteSpan rest(*state); !rest.empty();) {
    const std::size_t piece = std::min(rest.size(), kMaxMessage);
    STRATA_TRY(SendMessage(fd, Type::kState, rest.first(piece)));
    rest = rest.subspan(piece);
  }
  STRATA_TRY(SendMessage(fd, Type::kEnd));
  // However long the other takes to open the workspace: it may not be served by both.
  Limit(fd, SO_RCVTIMEO, {});
  pollfd waits[2] = {{fd, POLLIN, 0}, {give_up, POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0) {
  }
  if (waits[0].revents == 0) return Fail(Errc::kBusy, "told to end while the new process was taking over");
  STRATA_ASSIGN(const Message last, ReceiveMessage(fd));
  if (last.type == Type::kServing) return {};
  return Fail(Errc::kIo,
              "the new process says: " + (last.type == Type::kFailed ? last.text() : "something unexpected"));
}

// -- The new process --

Result<Takeover> Takeover::Ask(const std::string& folder) {
  const std::string taking = "taking over the server of " + folder;
  STRATA_ASSIGN(const UniqueFd opened, OpenFolder(folder));
  STRATA_ASSIGN(UniqueFd connection, MakeSocket());
  const sockaddr_un address = ControlAddress(opened.get());
  if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ECONNREFUSED) {
      return Fail(Errc::kNotFound,
                  taking + ": no server that can be taken over runs there; leave --takeover out to start one");
    }
    return Fail(Status::FromErrno(error, taking));
  }
  // What it hands over has effects here, such as which socket file is removed in the end.
  if (ucred who{}; !MayBelieve(connection.get(), &who)) {
    return Fail(Errc::kPermission, taking + ": it runs as user " + std::to_string(who.uid) +
                                       "; run this as that user, or stop it and start this one without --takeover");
  }
  // As many as the other may have.
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  Takeover takeover(std::move(connection));
  const int fd = takeover.connection_.get();
  std::array<std::byte, kHelloBytes> hello;
  StoreLe(hello.data(), kMagic);
  StoreLe(hello.data() + 8, kTakeoverVersion);
  StoreLe(hello.data() + 12, kTakeoverVersion);
  // Where it was refused before it spoke, the reason is there to be read all the same.
  (void)SendMessage(fd, Type::kHello, hello);
  std::vector<std::byte> state;
  std::vector<UniqueFd> descriptors;
  for (;;) {
    Result<Message> message = ReceiveMessage(fd);
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
  if (connection_ && !SendMessage(connection_.get(), Type::kServing)) log::Warning("taken_over_from_a_dead_process");
  connection_ = {};
}

void Takeover::Failed(const Status& why) {
  if (connection_) (void)SendText(connection_.get(), Type::kFailed, why.message());
  connection_ = {};
}

}  // namespace strata
