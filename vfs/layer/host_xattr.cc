#include "vfs/layer/host_xattr.h"

#include <linux/limits.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <expected>

namespace strata::vfs::host {
namespace {

// There is no listxattrat(2) before Linux 6.13.
std::string PathThrough(int directory, std::string_view name) {
  std::string path = "/proc/self/fd/" + std::to_string(directory);
  if (name.empty()) return path + "/.";
  return path.append("/").append(name);
}

// What `call(buffer, size)` gives, however much that is by then; else errno.
template <typename Call>
std::expected<std::string, int> Whole(Call call, std::size_t most) {
  std::string value(256, '\0');
  for (;;) {
    const ssize_t size = call(value.data(), value.size());
    if (size >= 0) {
      value.resize(static_cast<std::size_t>(size));
      return value;
    }
    if (errno != ERANGE || value.size() >= most) return std::unexpected(errno);
    value.resize(std::min(most, value.size() * 16));
  }
}

Status FailureOf(int error) {
  // The file was there when it was located.
  return Status(error == ENOENT ? Errc::kStale : ErrcFromErrno(error));
}

}  // namespace

bool IsOverlayAttribute(std::string_view attribute) {
  return attribute.starts_with("trusted.overlay.") || attribute.starts_with("user.overlay.");
}

Result<std::vector<std::string>> ListXattrAt(int directory, std::string_view name) {
  const std::string path = PathThrough(directory, name);
  const auto list =
      Whole([&](char* to, std::size_t size) { return llistxattr(path.c_str(), to, size); }, XATTR_LIST_MAX);
  std::vector<std::string> names;
  if (!list && list.error() == ENOTSUP) return names;
  if (!list) return Fail(FailureOf(list.error()));
  for (std::size_t at = 0; at < list->size();) {
    const std::string_view one = list->c_str() + at;
    at += one.size() + 1;
    if (!IsOverlayAttribute(one)) names.emplace_back(one);
  }
  std::ranges::sort(names);
  return names;
}

Result<std::string> GetXattrAt(int directory, std::string_view name, std::string_view attribute) {
  if (attribute.empty() || attribute.size() > XATTR_NAME_MAX || attribute.find('\0') != attribute.npos ||
      IsOverlayAttribute(attribute)) {
    return Fail(Errc::kNotFound);
  }
  const std::string path = PathThrough(directory, name);
  const std::string wanted(attribute);
  auto value = Whole([&](char* to, std::size_t size) { return lgetxattr(path.c_str(), wanted.c_str(), to, size); },
                     XATTR_SIZE_MAX);
  if (value) return *std::move(value);
  // EINVAL: of a name that no attribute has, such as "user.".
  if (value.error() == ENODATA || value.error() == ENOTSUP || value.error() == EINVAL) return Fail(Errc::kNotFound);
  return Fail(FailureOf(value.error()));
}

}  // namespace strata::vfs::host
