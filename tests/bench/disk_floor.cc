#include "tests/bench/disk_floor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/bench/support.h"

namespace nfsbench {
namespace {
constexpr std::size_t kRecord = 4096;
constexpr off_t kPreallocated = 256 << 20;
}  // namespace

int DiskFloorMain(const std::vector<std::string>& arguments) {
  if (arguments.empty()) Die("disk: wants a folder");
  double seconds = 2;
  if (arguments.size() == 3 && arguments[1] == "--secs") seconds = std::atof(arguments[2].c_str());
  const std::string path = arguments[0] + "/nfsbench-disk." + std::to_string(getpid());
  for (const int batch : {1, 64}) {
    const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) Die("disk: %s: %s", path.c_str(), std::strerror(errno));
    unlink(path.c_str());
    if (posix_fallocate(fd, 0, kPreallocated) != 0 || fsync(fd) != 0)
      Die("disk: preallocating: %s", std::strerror(errno));
    std::uint64_t records = 0;
    off_t offset = 0;
    const std::uint64_t begin = NowNs();
    while (static_cast<double>(NowNs() - begin) < seconds * 1e9) {
      for (int i = 0; i < batch; ++i, ++records, offset = (offset + static_cast<off_t>(kRecord)) % kPreallocated) {
        if (pwrite(fd, Payload().data(), kRecord, offset) != static_cast<ssize_t>(kRecord))
          Die("disk: write: %s", std::strerror(errno));
      }
      if (fdatasync(fd) != 0) Die("disk: fdatasync: %s", std::strerror(errno));
    }
    const double wall = static_cast<double>(NowNs() - begin) * 1e-9;
    std::printf(
        "{\"metric\":\"append4k_fdatasync_%d\",\"server\":\"disk\",\"unit\":\"records/"
        "s\",\"median\":%.1f,\"depth\":%d}\n",
        batch, static_cast<double>(records) / wall, batch);
    close(fd);
  }
  return 0;
}

}  // namespace nfsbench
