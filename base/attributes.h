// What is known of a file object, in the terms of stat(2) and RFC 1813 section 2.5 (fattr3).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "base/ids.h"

namespace strata {

enum class FileType : std::uint8_t {
  kRegular = 1,
  kDirectory = 2,
  kBlockDevice = 3,
  kCharacterDevice = 4,
  kSymlink = 5,
  kSocket = 6,
  kFifo = 7,
};

// The type bits of st_mode, as S_IFMT has them.
std::uint32_t TypeBits(FileType type);
// The type in st_mode's bits; nothing for bits that name no type.
std::optional<FileType> TypeFromMode(std::uint32_t st_mode);

// A point of time: nanoseconds since 1970-01-01 00:00 UTC.
struct Time {
  std::int64_t ns = 0;
  // `nanoseconds` is below one second. Before 1677 and after 2262 there is no Time: the nearest is given.
  static Time From(std::int64_t seconds, std::uint32_t nanoseconds);
  // The least later one; the last has none.
  constexpr Time Next() const { return Time{ns == std::numeric_limits<std::int64_t>::max() ? ns : ns + 1}; }
  friend constexpr auto operator<=>(const Time&, const Time&) = default;
};

struct DeviceNumber {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  friend constexpr bool operator==(const DeviceNumber&, const DeviceNumber&) = default;
};

inline constexpr std::uint32_t kModeMask = 07777;  // what a mode can hold; its bits: vfs/permissions.h

struct Attributes {
  FileType type = FileType::kRegular;
  std::uint32_t mode = 0;   // permission bits, kModeMask
  std::uint32_t nlink = 1;  // of a directory: 2 + its sub-directories
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;  // bytes
  std::uint64_t used = 0;  // bytes really held
  DeviceNumber rdev;
  InodeNumber ino;
  Time atime;
  Time mtime;
  Time ctime;

  friend bool operator==(const Attributes&, const Attributes&) = default;
};

// The part of the attributes that RFC 1813 calls wcc_attr: enough to see that an object changed.
struct WccAttributes {
  std::uint64_t size = 0;
  Time mtime;
  Time ctime;
  friend bool operator==(const WccAttributes&, const WccAttributes&) = default;
};

}  // namespace strata
