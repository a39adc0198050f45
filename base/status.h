// Status and Result: how every room reports failure. No exception crosses a room.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace strata {

// What went wrong, in the terms of errno(3) and of RFC 1813's nfsstat3, whichever has the word.
enum class Errc : std::uint8_t {
  kPermission,    // EPERM: not the owner
  kNotFound,      // ENOENT
  kIo,            // EIO
  kNoDevice,      // ENXIO
  kAccess,        // EACCES: mode bits or export rules forbid it
  kExists,        // EEXIST
  kCrossDevice,   // EXDEV
  kNotDirectory,  // ENOTDIR
  kIsDirectory,   // EISDIR
  kInvalid,       // EINVAL
  kFileTooBig,    // EFBIG
  kNoSpace,       // ENOSPC
  kReadOnly,      // EROFS
  kTooManyLinks,  // EMLINK
  kNameTooLong,   // ENAMETOOLONG
  kNotEmpty,      // ENOTEMPTY
  kQuota,         // EDQUOT
  kStale,         // ESTALE: the object is gone for ever
  kBadHandle,     // a handle that this server never gave out
  kNotSync,       // SETATTR guard does not match
  kBadCookie,     // a directory cookie that cannot have been given
  kNotSupported,  // EOPNOTSUPP
  kTooSmall,      // the reply cannot hold one entry
  kServerFault,   // a fault of ours
  kBadType,       // MKNOD of a type that is not supported
  kJukebox,       // try again later
  kWouldBlock,    // the call must wait for disk and OpContext::may_block is false; never leaves the server
  kCorrupt,       // bytes on disk do not check
  kBusy,          // in use by another process
};

// The symbol of `code` as errno(3) spells it, such as "ENOENT"; for logs and command line messages.
std::string_view ErrcName(Errc code);
// A few words on `code`, such as "no such file or directory".
std::string_view ErrcText(Errc code);
// The Errc nearest to an errno value; kIo for those without a counterpart.
Errc ErrcFromErrno(int err);

// An error: a code and, where something can be said, a message with what was being done, to what, and what to do next.
// A Status without a message costs no allocation: the hot path returns those.
class [[nodiscard]] Status {
 public:
  explicit Status(Errc code) : code_(code) {}
  Status(Errc code, std::string message);

  // From errno: the message is "WHAT: strerror".
  static Status FromErrno(int err, std::string_view what);

  Errc code() const { return code_; }
  // The disk or the quota is full: what was done before stands, and more can be done once there is room.
  bool IsOutOfSpace() const { return code_ == Errc::kNoSpace || code_ == Errc::kQuota; }
  // Never empty: ErrcText where no message was given.
  std::string_view message() const;
  // "message (ENOENT)".
  std::string ToString() const;
  // The same code with "context: " before the message.
  Status WithContext(std::string_view context) const;

 private:
  Errc code_;
  std::shared_ptr<const std::string> message_;
};

template <typename T>
using Result = std::expected<T, Status>;

inline std::unexpected<Status> Fail(Errc code) { return std::unexpected(Status(code)); }
inline std::unexpected<Status> Fail(Errc code, std::string message) {
  return std::unexpected(Status(code, std::move(message)));
}
inline std::unexpected<Status> Fail(Status status) { return std::unexpected(std::move(status)); }

// Returns the Status of a failed Result from the enclosing function; else goes on.
#define STRATA_TRY(expression)                                       \
  do {                                                               \
    if (auto strata_try_result = (expression); !strata_try_result) { \
      return std::unexpected(std::move(strata_try_result.error()));  \
    }                                                                \
  } while (false)

#define STRATA_CONCAT_INNER(a, b) a##b
#define STRATA_CONCAT(a, b) STRATA_CONCAT_INNER(a, b)
// `STRATA_ASSIGN(auto x, Call());` declares x from a Result or returns its Status.
#define STRATA_ASSIGN(declaration, expression) \
  STRATA_ASSIGN_INNER(STRATA_CONCAT(strata_assign_, __LINE__), declaration, expression)
#define STRATA_ASSIGN_INNER(temporary, declaration, expression)         \
  auto temporary = (expression);                                        \
  if (!temporary) return std::unexpected(std::move(temporary.error())); \
  declaration = std::move(*temporary)

}  // namespace strata
