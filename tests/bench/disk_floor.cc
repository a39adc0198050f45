#include "tests/bench/disk_floor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/bench/support.h"

namespace nfsbench {
namespace {

// Seen in the positions of a journal: the records of CREATE and of WRITE 4 KiB together, for names of ten bytes.
constexpr std::size_t kRecord = 4480;
constexpr off_t kFileBytes = 256 << 20;

// How far the file is made before it is appended to, which is not timed.
enum class Ahead : std::uint8_t {
  kNothing,  // each append makes the file longer
  kWritten,  // its blocks were written, so that an append changes nothing but them: what no append can beat
};

// An unlinked file.
int MakeFile(const std::string& path, Ahead ahead) {
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) Die("disk: %s: %s", path.c_str(), std::strerror(errno));
  unlink(path.c_str());
  const std::size_t piece = 1 << 20;
  for (off_t at = 0; ahead == Ahead::kWritten && at < kFileBytes; at += static_cast<off_t>(piece)) {
    if (pwrite(fd, Payload().data(), piece, at) != static_cast<ssize_t>(piece))
      Die("disk: write: %s", std::strerror(errno));
  }
  if (fsync(fd) != 0) Die("disk: fsync: %s", std::strerror(errno));
  return fd;
}

// Records a second.
double Append(const std::string& path, Ahead ahead, int batch, double seconds) {
  std::uint64_t records = 0, spent = 0;
  while (static_cast<double>(spent) < seconds * 1e9) {
    const int fd = MakeFile(path, ahead);
    const auto room = static_cast<off_t>(kRecord) * batch;
    const std::uint64_t begin = NowNs();
    std::uint64_t now = begin;
    for (off_t offset = 0; offset + room <= kFileBytes && static_cast<double>(spent + (now - begin)) < seconds * 1e9;) {
      for (int i = 0; i < batch; ++i, ++records, offset += static_cast<off_t>(kRecord)) {
        if (pwrite(fd, Payload().data(), kRecord, offset) != static_cast<ssize_t>(kRecord))
          Die("disk: write: %s", std::strerror(errno));
      }
      if (fdatasync(fd) != 0) Die("disk: fdatasync: %s", std::strerror(errno));
      now = NowNs();
    }
    spent += now - begin;
    close(fd);
  }
  return static_cast<double>(records) / (static_cast<double>(spent) * 1e-9);
}

}  // namespace

int DiskFloorMain(const std::vector<std::string>& arguments) {
  if (arguments.empty()) Die("disk: wants a folder");
  double seconds = 2;
  if (arguments.size() == 3 && arguments[1] == "--secs") seconds = std::atof(arguments[2].c_str());
  const std::string path = arguments[0] + "/nfsbench-disk." + std::to_string(getpid());
  struct Loop {
    const char* metric;
    Ahead ahead;
    int batch;
  };
  for (const Loop& loop :
       {Loop{"append_fdatasync_1", Ahead::kWritten, 1}, Loop{"append_fdatasync_64", Ahead::kWritten, 64},
        Loop{"append_longer_fdatasync_32", Ahead::kNothing, 32},
        Loop{"append_longer_fdatasync_64", Ahead::kNothing, 64}}) {
    std::printf(
        "{\"metric\":\"%s\",\"server\":\"disk\",\"unit\":\"records/"
        "s\",\"median\":%.1f,\"depth\":%d,\"record_bytes\":%zu,\"errors\":0}\n",
        loop.metric, Append(path, loop.ahead, loop.batch, seconds), loop.batch, kRecord);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace nfsbench
