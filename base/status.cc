#include "base/status.h"

#include <cerrno>
#include <cstring>

namespace strata {
namespace {

struct ErrcRow {
  Errc code;
  int err;
  std::string_view name;
  std::string_view text;
};

// In the order of Errc; held by a static_assert below.
constexpr ErrcRow kRows[] = {
    {Errc::kPermission, EPERM, "EPERM", "operation not permitted"},
    {Errc::kNotFound, ENOENT, "ENOENT", "no such file or directory"},
    {Errc::kIo, EIO, "EIO", "input/output error"},
    {Errc::kNoDevice, ENXIO, "ENXIO", "no such device or address"},
    {Errc::kAccess, EACCES, "EACCES", "permission denied"},
    {Errc::kExists, EEXIST, "EEXIST", "file exists"},
    {Errc::kCrossDevice, EXDEV, "EXDEV", "cross-device link"},
    {Errc::kNotDirectory, ENOTDIR, "ENOTDIR", "not a directory"},
    {Errc::kIsDirectory, EISDIR, "EISDIR", "is a directory"},
    {Errc::kInvalid, EINVAL, "EINVAL", "invalid argument"},
    {Errc::kFileTooBig, EFBIG, "EFBIG", "file too large"},
    {Errc::kNoSpace, ENOSPC, "ENOSPC", "no space left on device"},
    {Errc::kReadOnly, EROFS, "EROFS", "read-only file system"},
    {Errc::kTooManyLinks, EMLINK, "EMLINK", "too many links"},
    {Errc::kNameTooLong, ENAMETOOLONG, "ENAMETOOLONG", "file name too long"},
    {Errc::kNotEmpty, ENOTEMPTY, "ENOTEMPTY", "directory not empty"},
    {Errc::kQuota, EDQUOT, "EDQUOT", "disk quota exceeded"},
    {Errc::kStale, ESTALE, "ESTALE", "stale file handle"},
    {Errc::kBadHandle, EBADF, "EBADHANDLE", "not a handle of this server"},
    {Errc::kNotSync, EAGAIN, "ENOTSYNC", "the object changed in the meantime"},
    {Errc::kBadCookie, EINVAL, "EBADCOOKIE", "not a directory cookie of this server"},
    {Errc::kNotSupported, EOPNOTSUPP, "EOPNOTSUPP", "operation not supported"},
    {Errc::kTooSmall, ERANGE, "ETOOSMALL", "the reply is too small to hold one entry"},
    {Errc::kServerFault, EFAULT, "ESERVERFAULT", "internal fault"},
    {Errc::kBadType, EINVAL, "EBADTYPE", "file type not supported"},
    {Errc::kJukebox, EAGAIN, "EJUKEBOX", "not ready yet, try again"},
    {Errc::kWouldBlock, EWOULDBLOCK, "EWOULDBLOCK", "would block"},
    {Errc::kCorrupt, EBADMSG, "ECORRUPT", "data on disk does not check"},
    {Errc::kBusy, EBUSY, "EBUSY", "in use"},
};

constexpr bool InOrder() {
  for (std::size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<std::size_t>(kRows[i].code) != i) return false;
  }
  return true;
}
static_assert(InOrder());

const ErrcRow& Row(Errc code) { return kRows[static_cast<std::size_t>(code)]; }

}  // namespace

std::string_view ErrcName(Errc code) { return Row(code).name; }
std::string_view ErrcText(Errc code) { return Row(code).text; }

Errc ErrcFromErrno(int err) {
  switch (err) {
    case EINVAL:
    case ELOOP:
      return Errc::kInvalid;
    case EAGAIN:
      return Errc::kWouldBlock;
    case ENOTSUP:
    case ENOSYS:
      return Errc::kNotSupported;
    case ENODEV:
      return Errc::kNoDevice;
    default:
      break;
  }
  for (const ErrcRow& row : kRows) {
    if (row.err == err && row.code < Errc::kBadHandle) return row.code;
  }
  return err == EBUSY ? Errc::kBusy : Errc::kIo;
}

Status::Status(Errc code, std::string message)
    : code_(code), message_(std::make_shared<const std::string>(std::move(message))) {}

Status Status::FromErrno(int err, std::string_view what) {
  char buffer[128];
  std::string message(what);
  message += ": ";
  message += strerror_r(err, buffer, sizeof buffer);
  return Status(ErrcFromErrno(err), std::move(message));
}

std::string_view Status::message() const { return message_ ? std::string_view(*message_) : ErrcText(code_); }

std::string Status::ToString() const {
  std::string text(message());
  text += " (";
  text += ErrcName(code_);
  text += ')';
  return text;
}

Status Status::WithContext(std::string_view context) const {
  std::string text(context);
  text += ": ";
  text += message();
  return Status(code_, std::move(text));
}

}  // namespace strata
