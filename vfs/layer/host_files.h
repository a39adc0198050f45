// The system calls by which a host folder is read, all relative to its root. Nothing here follows a symlink or leaves
// the folder. Failures carry a code and no message: they are common (a name that is not there), and their caller knows
// more.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/attributes.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace strata::vfs::host {

using FileStatus = struct statx;

// An open descriptor, closed when the last that uses it lets go: a cache may drop it while it is read from.
class Descriptor {
 public:
  // `memory_backed`: reading never waits for a disk.
  Descriptor(int fd, bool directory, bool memory_backed = false)
      : fd_(fd), directory_(directory), memory_backed_(memory_backed) {}
  int fd() const { return fd_.get(); }
  bool directory() const { return directory_; }
  bool memory_backed() const { return memory_backed_; }

 private:
  const UniqueFd fd_;
  const bool directory_;
  const bool memory_backed_;
};
using DescriptorRef = std::shared_ptr<const Descriptor>;

FileType TypeOf(const FileStatus& status);
inline bool IsDirectory(const FileStatus& status) { return S_ISDIR(status.stx_mode); }
std::uint64_t DeviceOf(const FileStatus& status);

// Of the name itself, never of what a symlink points to; mounts are seen, automounts are not triggered. `name` has no
// '/'.
Result<FileStatus> StatAt(int directory, std::string_view name);
Result<FileStatus> StatDescriptor(int fd);

// A file for reading, without waiting for a fifo's writer, without a symlink, and without an access time where that is
// allowed.
Result<DescriptorRef> OpenFileAt(int directory, std::string_view name, bool memory_backed);
// A directory whose entries and extended attributes can be read; `name` may be ".".
Result<DescriptorRef> OpenReadableAt(int directory, std::string_view name);
// A directory to start from; needs no read permission.
Result<DescriptorRef> OpenPlaceAt(int directory, std::string_view name);

struct RawEntry {
  std::string_view name;
  std::uint64_t ino = 0;
  unsigned char type = 0;  // DT_*
};
// Each entry of a directory from OpenReadableAt but "." and "..", until `visit` says false. Once for a descriptor.
Result<void> ForEachEntry(int directory, const std::function<bool(const RawEntry&)>& visit);

Result<std::string> ReadLinkAt(int directory, std::string_view name);

// The folder's root, and paths from it.
class Folder {
 public:
  // With a message. `avoid_openat2`: as on a kernel that lacks it.
  static Result<Folder> Open(const std::string& path, bool avoid_openat2);

  const DescriptorRef& root() const { return root_; }
  bool uses_openat2() const { return uses_openat2_; }
  // As OpenPlaceAt, of names separated by '/', "" for the root; of any length.
  Result<DescriptorRef> OpenPlace(std::string_view path) const;

 private:
  Folder(DescriptorRef root, bool uses_openat2) : root_(std::move(root)), uses_openat2_(uses_openat2) {}
  Result<DescriptorRef> Step(int from, std::string_view path) const;

  DescriptorRef root_;
  bool uses_openat2_;
};

}  // namespace strata::vfs::host
