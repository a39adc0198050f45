// The control socket: the AF_UNIX stream socket `control` in the folder of a workspace that is served. Other processes
// of the machine speak with the server there: one that takes it over (server/takeover.h).
//
// A message is u32 type, u32 size, then so many bytes, all little-endian. Sizes are bounded. The first message of a
// connection tells what it is about. What is sent is believed only by root and by the user who runs the server
// (SO_PEERCRED; the socket file's mode is 0600).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace strata::control {

// Other versions of strata know these numbers: they stay.
enum class Type : std::uint32_t {
  kHello = 1,
  kRefused = 2,  // to anything: why not, in words
  kDescriptors = 3,
  kState = 4,
  kEnd = 5,
  kServing = 6,
  kFailed = 7,
  kLockRequest = 16,
  kLockPage = 17,
  kLockEnd = 18,
};

// Of one body.
inline constexpr std::size_t kMaxMessage = 1 << 20;
// Of one message; SCM_MAX_FD is 253.
inline constexpr std::size_t kDescriptorsAtOnce = 250;

struct Message {
  Type type{};
  std::vector<std::byte> body;
  std::vector<UniqueFd> descriptors;

  std::string text() const { return std::string(AsText(body)); }
};

// One end of an exchange. Not thread-safe.
class Connection {
 public:
  Connection() = default;
  explicit Connection(UniqueFd socket) : socket_(std::move(socket)) {}

  explicit operator bool() const { return static_cast<bool>(socket_); }
  int fd() const { return socket_.get(); }
  // What is sent and received from now on has so long, all together; then it fails (kIo). Nothing: as long as it takes.
  void Limit(std::optional<std::chrono::milliseconds> time);
  Result<void> Send(Type type, ByteSpan body = {}, std::span<const int> descriptors = {});
  // Cut to what fits in.
  Result<void> SendText(Type type, std::string_view text);
  Result<Message> Receive();

 private:
  // Waits for what poll(2) calls so.
  Result<void> Await(short events);
  Result<void> ReceiveAll(MutableByteSpan into, std::vector<UniqueFd>& descriptors);

  UniqueFd socket_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
};

// Who connected, and what it said first.
struct Request {
  Connection connection;
  pid_t pid = 0;
  Message first;
};

// The server's ear. To be made while the workspace is held, so that no other process of this folder has one, and
// destroyed before the workspace is closed. Not thread-safe.
class Point {
 public:
  // Binds `control` in the folder, in place of what a dead process left there.
  static Result<Point> Listen(const std::string& folder);
  Point(Point&&) = default;
  Point& operator=(Point&&) = default;
  // Removes the file.
  ~Point();

  // Can be read when someone connects.
  int fd() const { return socket_.get(); }
  // Who connects; nothing where they went away or may not, which they are told. Waits up to 5 s for them to speak.
  std::optional<Request> Accept();

 private:
  Point(UniqueFd folder, UniqueFd socket) : folder_(std::move(folder)), socket_(std::move(socket)) {}

  UniqueFd folder_;
  UniqueFd socket_;
};

// To the server of the workspace in `folder`; nothing where none listens there. kPermission where it is not to be
// believed.
Result<std::optional<Connection>> Connect(const std::string& folder);

}  // namespace strata::control
