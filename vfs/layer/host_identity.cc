#include "vfs/layer/host_identity.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <utility>

#include "base/hash.h"
#include "vfs/layer.h"

namespace strata::vfs::host {
namespace {

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

// File systems whose directories record the inode numbers that stat gives. Not so overlayfs (layers), btrfs
// (subvolumes) and NFS.
bool RecordsAreTrue(std::uint64_t magic) {
  return magic == EXT4_SUPER_MAGIC || magic == XFS_SUPER_MAGIC || magic == TMPFS_MAGIC || magic == F2FS_SUPER_MAGIC;
}

// "\040" and its like, as /proc/self/mountinfo writes spaces, are one byte.
std::string Unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](std::size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::string PathOfDescriptor(int fd) {
  std::array<char, 4097> path;
  const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
  return size <= 0 || static_cast<std::size_t>(size) >= path.size() ? std::string() : std::string(path.data(), size);
}

}  // namespace

Identity::Identity(int root, const FileStatus& root_status) : device_(DeviceOf(root_status)) {
  struct statfs file_system;
  if (fstatfs(root, &file_system) != 0) return;
  const auto magic = static_cast<std::uint32_t>(file_system.f_type);
  memory_backed_ = magic == TMPFS_MAGIC || magic == RAMFS_MAGIC;
  folder_ = PathOfDescriptor(root);
  if (folder_.empty()) return;
  if (folder_ == "/") folder_.clear();
  table_ = UniqueFd(open("/proc/thread-self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!table_) return;
  Refresh();  // takes note of the table as it is now
  const std::vector<Mount> mounts = ReadMounts();
  for (const Mount& mount : mounts) {
    const auto [at, fresh] = places_.try_emplace(mount.device, mount.place);
    if (!fresh && std::pair(mount.place.size(), mount.place) < std::pair(at->second.size(), at->second)) {
      at->second = mount.place;
    }
  }
  if (!RecordsAreTrue(magic)) table_ = UniqueFd();
  records_hold_ = table_ && mounts.empty();
}

void Identity::Refresh() {
  if (!table_) return;
  struct pollfd changed = {table_.get(), POLLPRI, 0};
  if (poll(&changed, 1, 0) > 0 && (changed.revents & (POLLPRI | POLLERR)) != 0) records_hold_ = ReadMounts().empty();
}

// proc(5): ID PARENT MAJOR:MINOR ROOT MOUNT-POINT ...
std::vector<Identity::Mount> Identity::ReadMounts() const {
  std::string table;
  std::array<char, 16384> piece;
  for (ssize_t got = 0;
       (got = pread(table_.get(), piece.data(), piece.size(), static_cast<off_t>(table.size()))) > 0;) {
    table.append(piece.data(), static_cast<std::size_t>(got));
  }
  std::vector<Mount> mounts;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    if (!(fields >> id >> parent >> device >> root >> point)) continue;
    point = Unescape(point);
    if (point.size() <= folder_.size() + 1 || !point.starts_with(folder_) || point[folder_.size()] != '/') continue;
    unsigned major = 0, minor = 0;
    char colon = 0;
    std::istringstream(device) >> major >> colon >> minor;
    mounts.push_back({makedev(major, minor), point.substr(folder_.size() + 1)});
  }
  return mounts;
}

std::uint64_t Identity::IdOf(const FileStatus& status) const {
  const std::uint64_t device = DeviceOf(status);
  if (device == device_ && status.stx_ino != 0 && status.stx_ino < kFirstHashedId) return status.stx_ino;
  // The numbers of the folder's own device are the same whatever its device is called.
  std::string place = device == device_ ? std::string() : '#' + std::to_string(device);
  if (const auto mount = places_.find(device); device != device_ && mount != places_.end()) place = '/' + mount->second;
  const SipHashKey key{status.stx_ino, 0x7374726174612e68};
  const std::uint64_t id = kFirstHashedId | (SipHash24(key, AsBytes(place)) & (kFirstHashedId - 1));
  return id < kFirstFreeId ? id : id - kFirstFreeId + kFirstHashedId;
}

std::uint32_t GenerationOf(const FileStatus& status) {
  if ((status.stx_mask & STATX_BTIME) == 0) return 0;
  std::uint64_t mixed = static_cast<std::uint64_t>(status.stx_btime.tv_sec) * 1'000'000'000 + status.stx_btime.tv_nsec;
  mixed = (mixed ^ (mixed >> 31)) * 0x9e3779b97f4a7c15;
  const auto generation = static_cast<std::uint32_t>(mixed >> 32);
  return generation == 0 ? 1 : generation;
}

}  // namespace strata::vfs::host
