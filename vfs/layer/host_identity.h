// How the files of a host folder are numbered: which id a node has, and when a directory's own record of it can be
// believed.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "vfs/layer/host_files.h"

namespace strata::vfs::host {

// Ids below this are inode numbers of the root folder's device; from here to kFirstFreeId, hashes of a device and an
// inode number.
inline constexpr std::uint64_t kFirstHashedId = std::uint64_t{1} << 54;

class Identity {
 public:
  // `root_status` and `root` are the folder's; reads the table of mounts once. A device mounted within the folder is
  // told by the place of its mount, so that its ids survive a restart of the host. One that is mounted later is told by
  // its number.
  Identity(int root, const FileStatus& root_status);
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;

  std::uint64_t IdOf(const FileStatus& status) const;
  // The id that an entry's record says, where a listing alone tells it. It does where the file system's records are
  // those of stat, and nothing is mounted within the folder. 0: stat must say. A record tells of what lies under a
  // mount, not of what is mounted.
  std::uint64_t IdOf(const RawEntry& entry) const {
    return records_hold_.load(std::memory_order_relaxed) && entry.ino < kFirstHashedId ? entry.ino : 0;
  }
  // To be called before a listing: notices what was mounted or unmounted since.
  void Refresh();
  // Whether the file lies in memory alone.
  bool MemoryBacked(const FileStatus& status) const { return memory_backed_ && DeviceOf(status) == device_; }

 private:
  struct Mount {
    std::uint64_t device;
    std::string place;  // within the folder
  };
  // Those within the folder.
  std::vector<Mount> ReadMounts() const;

  std::uint64_t device_;
  UniqueFd table_;  // /proc/thread-self/mountinfo, whose poll tells of changes; none: records are never believed
  std::string folder_;
  bool memory_backed_ = false;
  std::atomic<bool> records_hold_ = false;
  std::map<std::uint64_t, std::string> places_;  // device -> place, as when the folder was opened
};

// 32 bits of the time of birth, 0 where the file system knows none.
std::uint32_t GenerationOf(const FileStatus& status);

}  // namespace strata::vfs::host
