#include "server/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace strata::control {
namespace {

using std::chrono::steady_clock;

log::RateLimit refusals;

constexpr const char* kName = "control";
constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kMostDescriptors = 253;  // SCM_MAX_FD
constexpr int kWaiting = 16;
// How long the server waits for one that connects and then says nothing.
constexpr std::chrono::seconds kFirstLimit{5};

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

// The address of `control` in the folder, however long the folder's path is. Good while `folder` is open.
sockaddr_un AddressIn(int folder) {
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

}  // namespace

// -- Messages --

void Connection::Limit(std::optional<std::chrono::milliseconds> time) {
  deadline_.reset();
  if (time) deadline_ = steady_clock::now() + *time;
}

Result<void> Connection::Await(short events) {
  pollfd poll{fd(), events, 0};
  for (;;) {
    int timeout = -1;
    if (deadline_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline_ - steady_clock::now());
      timeout = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    const int ready = ::poll(&poll, 1, timeout);
    if (ready > 0) return {};
    if (ready == 0) {
      return Fail(Errc::kIo,
                  (events & POLLIN) != 0 ? "the other process says nothing" : "the other process takes nothing");
    }
    if (errno != EINTR) return Fail(Status::FromErrno(errno, "waiting for the other process"));
  }
}

Result<void> Connection::Send(Type type, ByteSpan body, std::span<const int> descriptors) {
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
    const ssize_t n = ::sendmsg(fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      STRATA_TRY(Await(POLLOUT));
    } else if (errno != EINTR) {
      return Fail(Status::FromErrno(errno, "sending to the other process"));
    }
  }
  return {};
}

Result<void> Connection::SendText(Type type, std::string_view text) {
  return Send(type, AsBytes(text.substr(0, kMaxMessage)));
}

Result<void> Connection::ReceiveAll(MutableByteSpan into, std::vector<UniqueFd>& descriptors) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostDescriptors)> control;
  while (!into.empty()) {
    iovec piece{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(fd(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
      STRATA_TRY(Await(POLLIN));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Fail(Status::FromErrno(errno, "hearing from the other process"));
    if (n == 0) return Fail(Errc::kIo, "the other process has ended");
    CollectDescriptors(message, descriptors);
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      return Fail(Errc::kNoSpace,
                  "this process may not have as many open files as the other; raise its limit (ulimit -n)");
    }
    into = into.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<Message> Connection::Receive() {
  Message message;
  std::array<std::byte, kHeaderBytes> header;
  STRATA_TRY(ReceiveAll(header, message.descriptors));
  message.type = static_cast<Type>(LoadLe<std::uint32_t>(header.data()));
  const auto size = LoadLe<std::uint32_t>(header.data() + 4);
  if (size > kMaxMessage) return Fail(Errc::kCorrupt, "the other process does not speak the control socket's protocol");
  message.body.resize(size);
  STRATA_TRY(ReceiveAll(message.body, message.descriptors));
  return message;
}

// -- The server's end --

Result<Point> Point::Listen(const std::string& folder) {
  STRATA_ASSIGN(UniqueFd opened, OpenFolder(folder));
  STRATA_ASSIGN(UniqueFd socket, MakeSocket());
  const sockaddr_un address = AddressIn(opened.get());
  ::unlinkat(opened.get(), kName, 0);
  // The file gets the socket's mode: there is no moment at which others may connect.
  ::fchmod(socket.get(), 0600);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), kWaiting) != 0) {
    return Fail(Status::FromErrno(errno, "listening on " + folder + "/" + kName));
  }
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  return Point(std::move(opened), std::move(socket));
}

Point::~Point() {
  if (folder_) ::unlinkat(folder_.get(), kName, 0);
}

std::optional<Request> Point::Accept() {
  UniqueFd accepted(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted) return std::nullopt;
  ucred who{};
  const bool may = MayBelieve(accepted.get(), &who);
  Connection connection(std::move(accepted));
  connection.Limit(kFirstLimit);
  const auto refuse = [&](std::string_view why) {
    if (refusals.Allow()) log::Warning("control_refused", {{"pid", who.pid}, {"uid", who.uid}, {"reason", why}});
    (void)connection.SendText(Type::kRefused, why);
    return std::nullopt;
  };
  if (!may) return refuse("only root and the user who runs the server may speak with it");
  Result<Message> first = connection.Receive();
  if (!first) return refuse(first.error().message());
  return Request{.connection = std::move(connection), .pid = who.pid, .first = std::move(*first)};
}

// -- The other end --

Result<std::optional<Connection>> Connect(const std::string& folder) {
  STRATA_ASSIGN(const UniqueFd opened, OpenFolder(folder));
  STRATA_ASSIGN(UniqueFd socket, MakeSocket());
  const sockaddr_un address = AddressIn(opened.get());
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::nullopt;
    return Fail(Status::FromErrno(errno, folder + "/" + kName));
  }
  if (ucred who{}; !MayBelieve(socket.get(), &who)) {
    return Fail(Errc::kPermission, "it runs as user " + std::to_string(who.uid) + "; run this as that user");
  }
  return Connection(std::move(socket));
}

}  // namespace strata::control
