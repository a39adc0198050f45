#include "store/import/host_file.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <utility>

#include "store/import/import.h"
#include "store/import/large_file_reader.h"

namespace strata::store {
namespace {

constexpr std::size_t kBufferBytes =
    kStreamFrom + 1;  // one more than what is read whole: whether a file has grown shows
constexpr int kAttempts = 3;
constexpr std::size_t kMaxXattrNames = 64 << 10;  // XATTR_LIST_MAX

Status Failure(int error, std::string_view doing, const HostPlace& place) {
  return Status::FromErrno(error, std::string(doing) + " " + place.shown);
}

// Labels belong to the policy of the host, other names of system.* are views of what is kept anyway.
bool IsKept(std::string_view name) {
  if (name == "security.selinux") return false;
  return !name.starts_with("system.") || name.starts_with("system.posix_acl_");
}

Result<std::vector<Xattr>> ReadXattrs(const HostPlace& place, int fd) {
  // There is no llistxattrat(2): /proc leads to the entry of the open directory.
  const bool by_path = fd < 0;
  std::string path = place.name;
  if (by_path && place.directory >= 0) path = "/proc/self/fd/" + std::to_string(place.directory) + "/" + place.name;
  std::string names(1024, '\0');
  ssize_t size = 0;
  for (;;) {
    size =
        by_path ? ::llistxattr(path.c_str(), names.data(), names.size()) : ::flistxattr(fd, names.data(), names.size());
    if (size >= 0) break;
    if (errno == EOPNOTSUPP) return std::vector<Xattr>();
    if (errno != ERANGE || names.size() >= kMaxXattrNames) {
      return Fail(Failure(errno, "listing the extended attributes of", place));
    }
    names.resize(kMaxXattrNames);
  }
  std::vector<Xattr> xattrs;
  for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    if (!IsKept(name)) continue;
    std::string value(256, '\0');
    for (;;) {
      const ssize_t got = by_path ? ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size())
                                  : ::fgetxattr(fd, name.c_str(), value.data(), value.size());
      if (got >= 0) {
        value.resize(static_cast<std::size_t>(got));
        xattrs.push_back({name, std::move(value)});
        break;
      }
      if (errno == ENODATA) break;  // removed since
      if (errno != ERANGE || value.size() >= kMaxXattrNames) {
        return Fail(Failure(errno, "reading the extended attribute " + name + " of", place));
      }
      value.resize(kMaxXattrNames);
    }
  }
  std::ranges::sort(xattrs);
  return xattrs;
}

Result<std::size_t> ReadFully(int fd, MutableByteSpan out, const HostPlace& place) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(fd, out.data() + done, out.size() - done);
    if (got == 0) break;
    if (got > 0) {
      done += static_cast<std::size_t>(got);
    } else if (errno != EINTR) {
      return Fail(Failure(errno, "reading", place));
    }
  }
  return done;
}

Result<ByteSpan> ReadPiece(int fd, const BufferPool::Lease& lease, const HostPlace& place) {
  const MutableByteSpan buffer = lease.bytes().first(kStreamFrom);
  STRATA_ASSIGN(const std::size_t got, ReadFully(fd, buffer, place));
  return buffer.first(got);
}

Result<UniqueFd> OpenHostFile(const HostPlace& place) {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  // Reading is not to change the times of what is read, where that can be had: of one's own files.
  UniqueFd fd(::openat(place.directory, place.name.c_str(), kFlags | O_NOATIME));
  if (!fd && errno == EPERM) fd = UniqueFd(::openat(place.directory, place.name.c_str(), kFlags));
  if (!fd) return Fail(Failure(errno, "opening", place));
  return fd;
}

bool SameState(const struct stat& a, const struct stat& b) { return StateOfHost(a) == StateOfHost(b); }

}  // namespace

BufferPool::Lease BufferPool::Take() {
  {
    const MutexLock lock(mutex_);
    if (!free_.empty()) {
      std::unique_ptr<std::byte[]> buffer = std::move(free_.back());
      free_.pop_back();
      return {*this, std::move(buffer)};
    }
  }
  return {*this, std::make_unique_for_overwrite<std::byte[]>(kBufferBytes)};
}

BufferPool::Lease::~Lease() {
  const MutexLock lock(pool_.mutex_);
  pool_.free_.push_back(std::move(buffer_));
}

MutableByteSpan BufferPool::Lease::bytes() const { return {buffer_.get(), kBufferBytes}; }

Result<struct stat> StatHost(const HostPlace& place) {
  struct stat st;
  if (::fstatat(place.directory, place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT && place.directory != AT_FDCWD) {
      return Fail(Errc::kNotFound, place.shown + " vanished while its folder was imported; import it again");
    }
    return Fail(Failure(errno, "looking at", place));
  }
  return st;
}

Result<std::string> ReadHostLink(const HostPlace& place) {
  std::array<char, 4097> target;
  const ssize_t size = ::readlinkat(place.directory, place.name.c_str(), target.data(), target.size());
  if (size < 0) return Fail(Failure(errno, "reading the symlink", place));
  return std::string(target.data(), static_cast<std::size_t>(size));
}

FileState StateOfHost(const struct stat& st) {
  return {st.st_dev, st.st_ino, static_cast<std::uint64_t>(st.st_size),
          Time::From(st.st_mtim.tv_sec, static_cast<std::uint32_t>(st.st_mtim.tv_nsec)),
          Time::From(st.st_ctim.tv_sec, static_cast<std::uint32_t>(st.st_ctim.tv_nsec))};
}

Result<NodeAttributes> AttributesOfHost(const struct stat& st, const HostPlace& place, int fd, bool with_xattrs) {
  NodeAttributes attributes;
  attributes.mode = st.st_mode & kModeMask;
  attributes.uid = st.st_uid;
  attributes.gid = st.st_gid;
  attributes.mtime = Time::From(st.st_mtim.tv_sec, static_cast<std::uint32_t>(st.st_mtim.tv_nsec));
  if (with_xattrs) {
    STRATA_ASSIGN(attributes.xattrs, ReadXattrs(place, fd));
  }
  return attributes;
}

Result<ReadHostFile> PutHostFile(Env& env, const HostPlace& place, BlobSink& sink, ImportCache* cache,
                                 BufferPool& buffers, const std::function<void(std::int64_t)>& grew) {
  ReadHostFile file;
  const auto finish = [&](const Digest& digest) {
    file.node = Node::OfFile(digest, static_cast<std::uint64_t>(file.st.st_size), (file.st.st_mode & S_IXUSR) != 0);
    return file;
  };
  if (cache != nullptr) {
    STRATA_ASSIGN(file.st, StatHost(place));
    if (const auto known = S_ISREG(file.st.st_mode) ? cache->Find(StateOfHost(file.st)) : std::nullopt) {
      STRATA_ASSIGN(const bool has, sink.Has(*known));
      if (has) {
        grew(file.st.st_size);
        file.cached = true;
        return finish(*known);
      }
    }
  }
  STRATA_ASSIGN(const UniqueFd fd, OpenHostFile(place));
  const BufferPool::Lease lease = buffers.Take();
  std::uint64_t wanted = 0, got = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Time looked = env.Now();
    if (::lseek(fd.get(), 0, SEEK_SET) != 0 || ::fstat(fd.get(), &file.st) != 0)
      return Fail(Failure(errno, "looking at", place));
    if (!S_ISREG(file.st.st_mode))
      return Fail(Errc::kBusy,
                  place.shown + " became something other than a file while its folder was imported; import it again");
    wanted = static_cast<std::uint64_t>(file.st.st_size);
    got = 0;
    Result<Digest> digest = Fail(Errc::kBusy);
    if (wanted < kStreamFrom) {
      STRATA_ASSIGN(got, ReadFully(fd.get(), lease.bytes().first(wanted + 1), place));
      if (got == wanted) {
        digest = sink.Put(ByteSpan(lease.bytes()).first(got));
        if (!digest) return Fail(digest.error().WithContext("storing " + place.shown));
      }
      grew(static_cast<std::int64_t>(got));
    } else {
      std::optional<LargeFileReader> ahead;
      if (wanted >= kReadAheadFrom) ahead.emplace(fd.get(), place.shown);
      digest = sink.PutStream([&]() -> Result<ByteSpan> {
        STRATA_ASSIGN(const ByteSpan piece, ahead ? ahead->Next() : ReadPiece(fd.get(), lease, place));
        got += piece.size();
        grew(static_cast<std::int64_t>(piece.size()));
        if (got > wanted) return Fail(Errc::kBusy);  // it grows, perhaps for ever
        return piece;
      });
      if (!digest && digest.error().code() != Errc::kBusy)
        return Fail(digest.error().WithContext("storing " + place.shown));
    }
    struct stat after;
    if (::fstat(fd.get(), &after) != 0) return Fail(Failure(errno, "looking at", place));
    if (digest && got == wanted && SameState(file.st, after)) {
      if (cache != nullptr && IsSettled(StateOfHost(file.st), looked)) cache->Put(StateOfHost(file.st), *digest);
      return finish(*digest);
    }
    grew(-static_cast<std::int64_t>(got));
  }
  const std::string what = got != wanted ? "unexpected size for " + place.shown + " wanted: " + std::to_string(wanted) +
                                               " got: " + std::to_string(got)
                                         : place.shown + " was changed while it was read";
  return Fail(Errc::kBusy, what + ", also when it was read again; stop what writes to it, or import a copy");
}

}  // namespace strata::store
