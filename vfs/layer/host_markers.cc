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
std::optional<char> OverlayAttribute(int fd, const char* trusted, const char* user) {
  for (const char* name : {trusted, user}) {
    std::array<char, 256> value{};
    const ssize_t size = fgetxattr(fd, name, value.data(), value.size());
    if (size >= 0) return size == 0 ? '\0' : value[0];
    if (errno == ERANGE) return '\0';
  }
  return std::nullopt;
}

}  // namespace

bool IsDeviceWhiteout(const FileStatus& status) {
  return S_ISCHR(status.stx_mode) && status.stx_rdev_major == 0 && status.stx_rdev_minor == 0;
}

bool HasWhiteoutFile(int directory, std::string_view name) {
  std::string marker(kWhiteoutPrefix);
  marker += name;
  const auto status = StatAt(directory, marker);
  return status && S_ISREG(status->stx_mode);
}

DirectoryMarks ReadMarks(int readable, const MarkerStyles& styles) {
  DirectoryMarks marks;
  if (styles.xattr) {
    const auto opaque = OverlayAttribute(readable, "trusted.overlay.opaque", "user.overlay.opaque");
    marks.opaque = opaque == 'y';
    marks.whiteouts_by_attribute = opaque == 'x';
    marks.redirected = OverlayAttribute(readable, "trusted.overlay.redirect", "user.overlay.redirect").has_value();
  }
  if (styles.files && !marks.opaque) {
    const auto status = StatAt(readable, kOpaqueName);
    marks.opaque = status && S_ISREG(status->stx_mode);
  }
  return marks;
}

DirectoryMarks ReadMarks(int directory, std::string_view name, const MarkerStyles& styles) {
  if (!styles.files && !styles.xattr) return {};
  if (auto readable = OpenReadableAt(directory, name)) return ReadMarks((*readable)->fd(), styles);
  // Without read permission a name may still be looked up.
  MarkerStyles without = styles;
  without.xattr = false;
  const auto place = OpenPlaceAt(directory, name);
  return place ? ReadMarks((*place)->fd(), without) : DirectoryMarks();
}

bool HasWhiteoutAttribute(int directory, std::string_view name) {
  const auto file = OpenFileAt(directory, name, false);
  return file && OverlayAttribute((*file)->fd(), "trusted.overlay.whiteout", "user.overlay.whiteout").has_value();
}

bool IsMetadataCopy(int file) {
  return OverlayAttribute(file, "trusted.overlay.metacopy", "user.overlay.metacopy").has_value();
}

}  // namespace strata::vfs::host
