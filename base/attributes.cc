#include "base/attributes.h"

#include <sys/stat.h>

namespace strata {

Time Time::From(std::int64_t seconds, std::uint32_t nanoseconds) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t ns = 0;
  // Before 1970 the least Time is reached within a second: towards it, what counts are the nanoseconds that are
  // missing.
  const bool before = seconds < 0;
  const std::int64_t part = before ? nanoseconds - kSecond : nanoseconds;
  if (__builtin_mul_overflow(before ? seconds + 1 : seconds, kSecond, &ns) || __builtin_add_overflow(ns, part, &ns)) {
    ns = before ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
  }
  return Time{ns};
}

std::uint32_t TypeBits(FileType type) {
  switch (type) {
    case FileType::kRegular:
      return S_IFREG;
    case FileType::kDirectory:
      return S_IFDIR;
    case FileType::kBlockDevice:
      return S_IFBLK;
    case FileType::kCharacterDevice:
      return S_IFCHR;
    case FileType::kSymlink:
      return S_IFLNK;
    case FileType::kSocket:
      return S_IFSOCK;
    case FileType::kFifo:
      return S_IFIFO;
  }
  return 0;
}

std::optional<FileType> TypeFromMode(std::uint32_t st_mode) {
  switch (st_mode & S_IFMT) {
    case S_IFREG:
      return FileType::kRegular;
    case S_IFDIR:
      return FileType::kDirectory;
    case S_IFBLK:
      return FileType::kBlockDevice;
    case S_IFCHR:
      return FileType::kCharacterDevice;
    case S_IFLNK:
      return FileType::kSymlink;
    case S_IFSOCK:
      return FileType::kSocket;
    case S_IFIFO:
      return FileType::kFifo;
    default:
      return std::nullopt;
  }
}

}  // namespace strata
