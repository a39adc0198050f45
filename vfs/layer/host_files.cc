#include "vfs/layer/host_files.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

namespace strata::vfs::host {
namespace {

constexpr unsigned kStatMask = STATX_BASIC_STATS | STATX_BTIME;
constexpr int kPlaceFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::size_t kListBuffer = 64 << 10;
constexpr std::size_t kLongestStep = 3500;  // of a path given to the kernel at once; its own limit is PATH_MAX, 4096

// A name as the kernel wants it, without an allocation for names that a file system can hold.
class CName {
 public:
  explicit CName(std::string_view name) {
    if (name.size() < small_.size()) {
      std::memcpy(small_.data(), name.data(), name.size());
      small_[name.size()] = '\0';
      text_ = small_.data();
    } else {
      large_ = name;
      text_ = large_.c_str();
    }
  }
  CName(const CName&) = delete;
  CName& operator=(const CName&) = delete;
  const char* get() const { return text_; }

 private:
  std::array<char, 384> small_;
  std::string large_;
  const char* text_;
};

// A symlink or a mount's border where a directory or file was looked for says how the tree is, as ENOTDIR does.
std::unexpected<Status> FailErrno() {
  return Fail(errno == ELOOP || errno == EXDEV ? Errc::kNotDirectory : ErrcFromErrno(errno));
}

int OpenAt2(int from, const char* path) {
  struct open_how how = {};
  how.flags = kPlaceFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, from, path, &how, sizeof how));
}

// Reading a layer shall not change its access times; only the owner may ask for that.
int OpenQuietly(int directory, const char* name, int flags) {
  const int fd = openat(directory, name, flags | O_NOATIME);
  return fd >= 0 || errno != EPERM ? fd : openat(directory, name, flags);
}

}  // namespace

FileType TypeOf(const FileStatus& status) { return TypeFromMode(status.stx_mode).value_or(FileType::kRegular); }

std::uint64_t DeviceOf(const FileStatus& status) { return makedev(status.stx_dev_major, status.stx_dev_minor); }

Result<FileStatus> StatAt(int directory, std::string_view name) {
  FileStatus status;
  if (statx(directory, CName(name).get(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kStatMask, &status) != 0)
    return FailErrno();
  return status;
}

Result<FileStatus> StatDescriptor(int fd) {
  FileStatus status;
  if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, kStatMask, &status) != 0) return FailErrno();
  return status;
}

Result<DescriptorRef> OpenFileAt(int directory, std::string_view name, bool memory_backed) {
  const int fd = OpenQuietly(directory, CName(name).get(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return FailErrno();
  return std::make_shared<const Descriptor>(fd, false, memory_backed);
}

Result<DescriptorRef> OpenReadableAt(int directory, std::string_view name) {
  const int fd = OpenQuietly(directory, CName(name).get(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return FailErrno();
  return std::make_shared<const Descriptor>(fd, true);
}

Result<DescriptorRef> OpenPlaceAt(int directory, std::string_view name) {
  const int fd = openat(directory, CName(name).get(), kPlaceFlags);
  if (fd < 0) return FailErrno();
  return std::make_shared<const Descriptor>(fd, true);
}

Result<void> ForEachEntry(int directory, const std::function<bool(const RawEntry&)>& visit) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(kListBuffer);
  for (;;) {
    const ssize_t got = getdents64(directory, buffer.get(), kListBuffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno();
    if (got == 0) return {};
    constexpr std::size_t kNameAt = offsetof(struct dirent64, d_name);
    for (std::size_t at = 0, end = static_cast<std::size_t>(got); at + kNameAt < end;) {
      RawEntry entry;
      std::uint16_t length;
      std::memcpy(&entry.ino, &buffer[at + offsetof(struct dirent64, d_ino)], sizeof entry.ino);
      std::memcpy(&length, &buffer[at + offsetof(struct dirent64, d_reclen)], sizeof length);
      std::memcpy(&entry.type, &buffer[at + offsetof(struct dirent64, d_type)], sizeof entry.type);
      if (length <= kNameAt || length > end - at) return Fail(Errc::kIo);
      const char* name = &buffer[at + kNameAt];
      entry.name = {name, strnlen(name, length - kNameAt)};
      at += length;
      if (entry.name.empty() || entry.name == "." || entry.name == "..") continue;
      if (!visit(entry)) return {};
    }
  }
}

Result<std::string> ReadLinkAt(int directory, std::string_view name) {
  std::array<char, 4096 + 1> target;
  const ssize_t size = readlinkat(directory, CName(name).get(), target.data(), target.size());
  if (size < 0) return FailErrno();
  if (static_cast<std::size_t>(size) == target.size()) return Fail(Errc::kNameTooLong);
  return std::string(target.data(), static_cast<std::size_t>(size));
}

Result<Folder> Folder::Open(const std::string& path, bool avoid_openat2) {
  const int fd = open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Fail(Status::FromErrno(errno, "layer folder " + path));
  auto root = std::make_shared<const Descriptor>(fd, true);
  // A kernel before 5.6 lacks openat2, and some sandboxes refuse it.
  bool uses_openat2 = false;
  if (!avoid_openat2) {
    const UniqueFd probe(OpenAt2(fd, "."));
    uses_openat2 = static_cast<bool>(probe);
  }
  if (auto readable = OpenReadableAt(fd, "."); !readable) {
    return Fail(readable.error().WithContext("layer folder " + path + " cannot be listed"));
  }
  return Folder(std::move(root), uses_openat2);
}

Result<DescriptorRef> Folder::Step(int from, std::string_view path) const {
  if (uses_openat2_) {
    const int fd = OpenAt2(from, std::string(path).c_str());
    if (fd < 0) return FailErrno();
    return std::make_shared<const Descriptor>(fd, true);
  }
  DescriptorRef at;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    if (name.empty() || name == "." || name == "..") return Fail(Errc::kInvalid);
    STRATA_ASSIGN(at, OpenPlaceAt(at ? at->fd() : from, name));
  }
  if (!at) return Fail(Errc::kInvalid);
  return at;
}

Result<DescriptorRef> Folder::OpenPlace(std::string_view path) const {
  DescriptorRef at = root_;
  while (!path.empty()) {
    std::size_t size = path.size();
    if (size > kLongestStep) {
      const std::size_t slash = path.rfind('/', kLongestStep);
      size = slash == std::string_view::npos ? path.find('/') : slash;
      size = std::min(size, path.size());
    }
    STRATA_ASSIGN(at, Step(at->fd(), path.substr(0, size)));
    path.remove_prefix(std::min(path.size(), size + 1));
  }
  return at;
}

}  // namespace strata::vfs::host
