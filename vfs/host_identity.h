// How the files of a host folder are numbered: which id a node has, and when a directory's own record of it can be believed.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "vfs/host_files.h"

namespace strata::vfs::host {

// Ids below this are inode numbers of the root folder's device; at or above, hashes of a device and an inode number.
inline constexpr std::uint64_t kFirstHashedId = std::uint64_t{1} << 54;

class Identity {
 public:
  // `root_status` and `root` are the folder's; reads the table of mounts once. A device mounted within the folder is told by the
  // place of its mount, so that its ids survive a restart of the host; one that is mounted later, by its number.
  Identity(int root, const FileStatus& root_status);

  std::uint64_t IdOf(const FileStatus& status) const;
  // The id that an entry's record says, where a listing alone tells it: the file system's records are those of stat, and nothing
  // was mounted within the folder when it was opened. 0: stat must say.
  std::uint64_t IdOf(const RawEntry& entry) const {
    return records_hold_ && entry.ino < kFirstHashedId ? entry.ino : 0;
  }
  // Whether the file lies in memory alone.
  bool MemoryBacked(const FileStatus& status) const { return memory_backed_ && DeviceOf(status) == device_; }

 private:
  void ReadMounts(const std::string& table, const std::string& folder);

  std::uint64_t device_;
  bool records_hold_ = false;
  bool memory_backed_ = false;
  std::map<std::uint64_t, std::string> mounts_;  // device -> place within the folder
};

// 32 bits of the time of birth, 0 where the file system knows none.
std::uint32_t GenerationOf(const FileStatus& status);

}  // namespace strata::vfs::host
