// ExportToFolder: makes each object new in a directory that it holds open, and never follows a symlink. A directory is
// open to its owner alone until all is in it; then come owner, mode and times.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <memory>
#include <utility>

#include "base/unique_fd.h"
#include "store/castore/names.h"
#include "store/export/export.h"
#include "store/export/export_progress.h"
#include "store/export/tree_walk.h"

namespace strata::store {
namespace {

constexpr std::uint32_t kFileMode = 0644, kDirectoryMode = 0755;

timespec TimespecOf(Time time) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t seconds = time.ns / kSecond, rest = time.ns % kSecond;
  if (rest < 0) {
    --seconds;
    rest += kSecond;
  }
  return {static_cast<time_t>(seconds), static_cast<long>(rest)};
}

class FolderExport final : public TreeVisitor {
 public:
  FolderExport(const ExportSource& source, const std::string& path, const ExportOptions& options)
      : source_(source), target_(path), options_(options), progress_(options, source.root) {}

  Result<ExportReport> Run() {
    if (source_.root.kind == NodeKind::kDirectory) STRATA_TRY(EnterTop());
    if (auto walked = WalkTree(source_, *this); !walked) {
      return Fail(walked.error().WithContext("exporting to " + target_ + ", which is incomplete now"));
    }
    return std::move(report_);
  }

  Result<void> Enter(const WalkedEntry& directory) override {
    progress_.Node();
    ++report_.directories;
    if (directory.depth == 0) return {};  // it is open already
    const int parent = open_.back().get();
    const std::string name(directory.name);
    if (::mkdirat(parent, name.c_str(), 0700) != 0) return Failure("making the folder", directory);
    UniqueFd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return Failure("opening the folder", directory);
    open_.push_back(std::move(fd));
    return {};
  }

  Result<void> Leave(const WalkedEntry& directory) override {
    STRATA_TRY(Finish(directory, open_.back().get(), kDirectoryMode));
    // One sync for all that was written to this file system.
    if (directory.depth == 0 && ::syncfs(open_.back().get()) != 0) return Failure("syncing", directory);
    open_.pop_back();
    return {};
  }

  Result<void> Visit(const WalkedEntry& entry) override {
    const int parent = open_.empty() ? AT_FDCWD : open_.back().get();
    const std::string name = open_.empty() ? target_ : std::string(entry.name);
    if (entry.special != nullptr) return Special(entry, parent, name);
    progress_.Node();
    if (!entry.link_to.empty()) return HardLink(entry, parent, name);
    if (entry.node.kind == NodeKind::kFile) return WriteFile(entry, parent, name);
    ++report_.symlinks;
    if (::symlinkat(entry.node.target.c_str(), parent, name.c_str()) != 0) return Failure("making the symlink", entry);
    return FinishByName(entry, parent, name);
  }

 private:
  // Where the root is a directory: a new one, or an empty one that is there.
  Result<void> EnterTop() {
    if (::mkdir(target_.c_str(), 0700) != 0 && errno != EEXIST) {
      return Fail(Status::FromErrno(errno, "making the folder " + target_));
    }
    UniqueFd fd(::open(target_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
      return Fail(Status::FromErrno(errno, "opening " + target_ + " as the folder to export to"));
    }
    UniqueFd copy(::openat(fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(copy ? ::fdopendir(copy.get()) : nullptr, ::closedir);
    if (!stream) return Fail(Status::FromErrno(errno, "listing " + target_));
    (void)copy.Give();
    while (const dirent* const entry = ::readdir(stream.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") {
        return Fail(Errc::kNotEmpty, target_ + " is not empty (it holds " + QuoteName(name) +
                                         "); export to a folder that is, or that is not there yet");
      }
    }
    if (::fchmod(fd.get(), 0700) != 0) return Fail(Status::FromErrno(errno, "closing " + target_ + " to others"));
    open_.push_back(std::move(fd));
    return {};
  }

  Result<void> WriteFile(const WalkedEntry& file, int parent, const std::string& name) {
    const UniqueFd fd(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return Failure("making the file", file);
    STRATA_TRY(ReadFile(source_, file, [&](ByteSpan piece) -> Result<void> {
      progress_.Bytes(piece.size());
      while (!piece.empty()) {
        const ssize_t wrote = ::write(fd.get(), piece.data(), piece.size());
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return Failure("writing", file);
        piece = piece.subspan(static_cast<std::size_t>(wrote));
      }
      return {};
    }));
    ++report_.files;
    report_.bytes += file.node.size;
    STRATA_TRY(Finish(file, fd.get(), file.node.executable ? kDirectoryMode : kFileMode));
    if (file.depth == 0 && ::fsync(fd.get()) != 0) return Failure("syncing", file);
    return {};
  }

  // The first name was made here, and lies in folders that nobody else may enter yet.
  Result<void> HardLink(const WalkedEntry& entry, int parent, const std::string& name) {
    STRATA_ASSIGN(const UniqueFd folder, OpenFolderOf(entry));
    const std::string first(entry.link_to.substr(entry.link_to.rfind('/') + 1));
    if (::linkat(folder.get(), first.c_str(), parent, name.c_str(), 0) != 0)
      return Failure("making the hard link", entry);
    ++report_.hard_links;
    return {};
  }

  // That of entry.link_to, step by step.
  Result<UniqueFd> OpenFolderOf(const WalkedEntry& entry) {
    UniqueFd at(::openat(open_.front().get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::string_view rest = entry.link_to;
    for (std::size_t slash = rest.find('/'); at && slash != std::string_view::npos; slash = rest.find('/')) {
      at = UniqueFd(::openat(at.get(), std::string(rest.substr(0, slash)).c_str(),
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      rest.remove_prefix(slash + 1);
    }
    if (!at) return std::unexpected(Failure("finding the first name of the hard link", entry).error());
    return at;
  }

  Result<void> Special(const WalkedEntry& entry, int parent, const std::string& name) {
    mode_t type = S_IFIFO;
    dev_t device = 0;
    if (entry.special->type == FileType::kSocket) type = S_IFSOCK;
    if (entry.special->type == FileType::kBlockDevice) type = S_IFBLK;
    if (entry.special->type == FileType::kCharacterDevice) type = S_IFCHR;
    if (type == S_IFBLK || type == S_IFCHR) device = makedev(entry.special->device.major, entry.special->device.minor);
    if (::mknodat(parent, name.c_str(), type | 0600, device) == 0) {
      ++report_.specials;
      return FinishByName(entry, parent, name);
    }
    if (!options_.skip_unsupported) {
      const int error = errno;
      return Fail(
          Status(ErrcFromErrno(error),
                 std::string(Status::FromErrno(error, "making the device, fifo or socket " + Shown(entry)).message()) +
                     "; only the superuser may make devices; to leave such out: --skip-unsupported"));
    }
    ++report_.skipped;
    if (report_.skipped_names.size() < ExportReport::kMostNames) report_.skipped_names.emplace_back(entry.path);
    return {};
  }

  bool SetsOwners(const NodeAttributes& attributes) {
    if (superuser_) return true;
    if (attributes.uid != ::geteuid() || attributes.gid != ::getegid()) report_.owners_left = true;
    return false;
  }

  // Owner before mode: a change of the owner takes the set-user-ID bit away.
  Result<void> Finish(const WalkedEntry& entry, int fd, std::uint32_t plain_mode) {
    NodeAttributes attributes;
    attributes.mode = plain_mode;
    if (entry.attributes) {
      attributes = *entry.attributes;
      if (SetsOwners(attributes) && ::fchown(fd, attributes.uid, attributes.gid) != 0)
        return Failure("setting the owner of", entry);
      for (const Xattr& xattr : attributes.xattrs) {
        if (::fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) != 0) {
          return XattrFailure(xattr, entry);
        }
      }
    }
    if (::fchmod(fd, attributes.mode) != 0) return Failure("setting the mode of", entry);
    const timespec times[] = {TimespecOf(attributes.mtime), TimespecOf(attributes.mtime)};
    if (::futimens(fd, times) != 0) return Failure("setting the times of", entry);
    return {};
  }

  // Of what cannot be opened for this. Nobody else may change names in the folder meanwhile.
  Result<void> FinishByName(const WalkedEntry& entry, int parent, const std::string& name) {
    NodeAttributes attributes;
    if (entry.attributes) {
      attributes = *entry.attributes;
      if (SetsOwners(attributes) &&
          ::fchownat(parent, name.c_str(), attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0) {
        return Failure("setting the owner of", entry);
      }
      const std::string path = parent == AT_FDCWD ? name : "/proc/self/fd/" + std::to_string(parent) + "/" + name;
      for (const Xattr& xattr : attributes.xattrs) {
        if (::lsetxattr(path.c_str(), xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) != 0) {
          return XattrFailure(xattr, entry);
        }
      }
      if (entry.special != nullptr && ::fchmodat(parent, name.c_str(), attributes.mode, 0) != 0) {
        return Failure("setting the mode of", entry);
      }
    }
    const timespec times[] = {TimespecOf(attributes.mtime), TimespecOf(attributes.mtime)};
    if (::utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
      return Failure("setting the times of", entry);
    return {};
  }

  std::string Shown(const WalkedEntry& entry) const {
    return entry.path.empty() ? target_ : target_ + "/" + std::string(entry.path);
  }
  Result<void> Failure(std::string_view doing, const WalkedEntry& entry) const {
    return Fail(Status::FromErrno(errno, std::string(doing) + " " + Shown(entry)));
  }
  // What a file system does not have is left out where the user says so.
  Result<void> XattrFailure(const Xattr& xattr, const WalkedEntry& entry) {
    const int error = errno;
    if (options_.skip_unsupported) {
      ++report_.skipped;
      if (report_.skipped_names.size() < ExportReport::kMostNames) {
        report_.skipped_names.push_back(std::string(entry.path) + " (" + xattr.name + ")");
      }
      return {};
    }
    return Fail(Status(
        ErrcFromErrno(error),
        std::string(Status::FromErrno(error, "setting the extended attribute " + xattr.name + " of " + Shown(entry))
                        .message()) +
            "; to leave out what the target cannot hold: --skip-unsupported"));
  }

  const ExportSource& source_;
  const std::string target_;
  const ExportOptions& options_;
  const bool superuser_ = ::geteuid() == 0;
  ExportReport report_;
  ProgressOfExport progress_;
  std::vector<UniqueFd> open_;  // the folders above what is being made
};

}  // namespace

Result<ExportReport> ExportToFolder(const ExportSource& source, const std::string& path, const ExportOptions& options) {
  return FolderExport(source, path, options).Run();
}

}  // namespace strata::store
