#include "base/resident.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <charconv>

namespace strata {

std::uint64_t ResidentFileBytes() {
#if defined(__linux__)
  static const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::array<char, 128> text;
  const ssize_t size = fd < 0 ? -1 : ::pread(fd, text.data(), text.size(), 0);
  if (size <= 0) return 0;
  // "size resident shared ...", in pages.
  const char* const end = text.data() + size;
  const char* at = text.data();
  for (int space = 0; at != end && space < 2;) space += *at++ == ' ' ? 1 : 0;
  std::uint64_t pages = 0;
  std::from_chars(at, end, pages);
  return pages * page_bytes;
#else
  return 0;
#endif
}

bool CopyMapped(ByteSpan from, std::byte* to) {
  while (!from.empty()) {
    const iovec source{const_cast<std::byte*>(from.data()), from.size()};
    const iovec target{to, from.size()};
    const ssize_t size = ::process_vm_readv(::getpid(), &target, 1, &source, 1, 0);
    if (size <= 0) {
      mapping_faults.fetch_add(1);
      return false;
    }
    from = from.subspan(static_cast<std::size_t>(size));
    to += size;
  }
  return true;
}

}  // namespace strata
