#include "vfs/layer/host_markers.h"

#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>

namespace strata::vfs::host {
namespace {

// The first byte of the attribute, '\0' if it is empty; of the privileged name or else of the one that any user may
// set.
Result<std::optional<char>> OverlayAttribute(int fd, const char* trusted, const char* user) {
  for (const char* name : {trusted, user}) {
    std::array<char, 256> value{};
    const ssize_t size = fgetxattr(fd, name, value.data(), value.size());
    if (size >= 0) return size == 0 ? '\0' : value[0];
    if (errno == ERANGE) return '\0';
    if (errno != ENODATA && errno != ENOTSUP && errno != EPERM) return Fail(ErrcFromErrno(errno));
  }
  return std::nullopt;
}

// A marker file beside or within what it marks.
Result<bool> HasRegularFile(int directory, std::string_view name) {
  const auto status = StatAt(directory, name);
  if (status) return S_ISREG(status->stx_mode);
  const Errc code = status.error().code();
  // A name that this file system cannot hold, it does not hold.
  if (IsAbsence(code) || code == Errc::kNameTooLong || code == Errc::kInvalid) return false;
  return Fail(status.error());
}

}  // namespace

bool IsDeviceWhiteout(const FileStatus& status) {
  return S_ISCHR(status.stx_mode) && status.stx_rdev_major == 0 && status.stx_rdev_minor == 0;
}

Result<bool> HasWhiteoutFile(int directory, std::string_view name) {
  std::string marker(kWhiteoutPrefix);
  marker += name;
  return HasRegularFile(directory, marker);
}

Result<DirectoryMarks> ReadMarks(int readable, const MarkerStyles& styles) {
  DirectoryMarks marks;
  if (styles.xattr) {
    STRATA_ASSIGN(const auto opaque, OverlayAttribute(readable, "trusted.overlay.opaque", "user.overlay.opaque"));
    marks.opaque = opaque == 'y';
    marks.whiteouts_by_attribute = opaque == 'x';
    STRATA_ASSIGN(const auto redirect, OverlayAttribute(readable, "trusted.overlay.redirect", "user.overlay.redirect"));
    marks.redirected = redirect.has_value();
  }
  if (styles.files && !marks.opaque) {
    STRATA_ASSIGN(marks.opaque, HasRegularFile(readable, kOpaqueName));
  }
  return marks;
}

Result<DirectoryMarks> ReadMarks(int directory, std::string_view name, const MarkerStyles& styles) {
  if (!styles.files && !styles.xattr) return DirectoryMarks();
  const auto readable = OpenReadableAt(directory, name);
  if (readable) return ReadMarks((*readable)->fd(), styles);
  if (readable.error().code() != Errc::kAccess) return Fail(readable.error());
  // Without read permission a name may still be looked up.
  MarkerStyles without = styles;
  without.xattr = false;
  STRATA_ASSIGN(const DescriptorRef place, OpenPlaceAt(directory, name));
  return ReadMarks(place->fd(), without);
}

Result<bool> HasWhiteoutAttribute(int directory, std::string_view name) {
  const auto file = OpenFileAt(directory, name, false);
  if (!file && file.error().code() == Errc::kAccess) return false;
  if (!file) return Fail(file.error());
  STRATA_ASSIGN(const auto whiteout,
                OverlayAttribute((*file)->fd(), "trusted.overlay.whiteout", "user.overlay.whiteout"));
  return whiteout.has_value();
}

Result<bool> IsMetadataCopy(int file) {
  STRATA_ASSIGN(const auto copy, OverlayAttribute(file, "trusted.overlay.metacopy", "user.overlay.metacopy"));
  return copy.has_value();
}

}  // namespace strata::vfs::host
