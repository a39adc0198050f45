#include "base/env.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/unique_fd.h"

namespace strata {
namespace {

constexpr std::size_t kMaxPieces = 64;  // of one pwritev(2); far below IOV_MAX

class SystemMapping final : public Mapping {
 public:
  SystemMapping(void* address, std::size_t length) : address_(address), length_(length) {}
  SystemMapping(const SystemMapping&) = delete;
  SystemMapping& operator=(const SystemMapping&) = delete;
  ~SystemMapping() override { ::munmap(address_, length_); }
  ByteSpan bytes() const override { return {static_cast<const std::byte*>(address_), length_}; }
  // Of a shared file mapping nothing is lost: what it held lies in the page cache or in the file.
  void Release() const override { ::madvise(address_, length_, MADV_DONTNEED); }

 private:
  void* address_;
  std::size_t length_;
};

class SystemFile final : public File {
 public:
  SystemFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got > 0) {
        done += static_cast<std::size_t>(got);
      } else if (errno != EINTR) {
        return Failure("read");
      }
    }
    return done;
  }

  Result<std::size_t> ReadCached(std::uint64_t offset, MutableByteSpan out) override {
    const iovec vector{out.data(), out.size()};
    const ssize_t got = ::preadv2(fd_.get(), &vector, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (got == static_cast<ssize_t>(out.size())) return out.size();
    if (got < 0 && errno != EAGAIN && errno != EINTR) return ReadAt(offset, out);  // such as EOPNOTSUPP
    // A part is in memory, or nothing; or the file ends here, which who may wait will find.
    return Fail(Errc::kWouldBlock);
  }

  Result<void> WriteAt(std::uint64_t offset, std::span<const ByteSpan> pieces) override {
    std::size_t next = 0;     // the first piece not yet written in full
    std::size_t skipped = 0;  // how much of it is written
    while (true) {
      iovec vectors[kMaxPieces];
      int count = 0;
      for (std::size_t i = next; i < pieces.size() && count < static_cast<int>(kMaxPieces); ++i) {
        const ByteSpan piece = i == next ? pieces[i].subspan(skipped) : pieces[i];
        if (piece.empty()) continue;
        vectors[count++] = {const_cast<std::byte*>(piece.data()), piece.size()};
      }
      if (count == 0) return {};
      const ssize_t wrote = ::pwritev(fd_.get(), vectors, count, static_cast<off_t>(offset));
      if (wrote < 0) {
        if (errno == EINTR) continue;
        return Failure("write");
      }
      offset += static_cast<std::uint64_t>(wrote);
      skipped += static_cast<std::size_t>(wrote);
      while (next < pieces.size() && skipped >= pieces[next].size()) skipped -= pieces[next++].size();
    }
  }

  Result<void> Allocate(std::uint64_t offset, std::uint64_t length) override {
    int rc;
    do {
      rc = ::fallocate(fd_.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length));
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) return {};
    if (errno != EOPNOTSUPP && errno != ENOSYS) return Failure("allocate space in");
    STRATA_ASSIGN(const std::uint64_t size, Size());
    return size < offset + length ? Truncate(offset + length) : Result<void>{};
  }

  Result<void> Truncate(std::uint64_t size) override {
    int rc;
    do {
      rc = ::ftruncate(fd_.get(), static_cast<off_t>(size));
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) return Failure("set the size of");
    return {};
  }

  Result<std::uint64_t> Size() override {
    struct stat st;
    if (::fstat(fd_.get(), &st) != 0) return Failure("stat");
    return static_cast<std::uint64_t>(st.st_size);
  }

  Result<void> SyncData() override {
    if (::fdatasync(fd_.get()) != 0) return Failure("sync");
    return {};
  }

  Result<void> WriteBack(std::uint64_t offset, std::uint64_t length) override {
    constexpr unsigned kAll = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    if (::sync_file_range(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(length), kAll) != 0)
      return Failure("write back");
    return {};
  }

  Result<std::unique_ptr<Mapping>> Map(std::uint64_t length) override {
    void* address = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd_.get(), 0);
    if (address == MAP_FAILED) return Failure("map");
    return std::make_unique<SystemMapping>(address, length);
  }

  Result<void> Lock() override { return LockAs(LOCK_EX); }
  Result<void> LockShared() override { return LockAs(LOCK_SH); }
  void Unlock() override { ::flock(fd_.get(), LOCK_UN); }

 private:
  Result<void> LockAs(int operation) {
    int rc;
    do {
      rc = ::flock(fd_.get(), operation | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) return {};
    if (errno == EWOULDBLOCK) return Fail(Errc::kBusy, path_ + " is locked by another process");
    return Failure("lock");
  }

  std::unexpected<Status> Failure(std::string_view verb) const {
    return Fail(Status::FromErrno(errno, std::string(verb) + ' ' + path_));
  }

  const UniqueFd fd_;
  const std::string path_;
};

std::unexpected<Status> PathFailure(std::string_view verb, const std::string& path) {
  return Fail(Status::FromErrno(errno, std::string(verb) + ' ' + path));
}

class SystemEnv final : public Env {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    int flags = O_CLOEXEC;
    switch (mode) {
      case OpenMode::kRead:
        flags |= O_RDONLY;
        break;
      case OpenMode::kReadWrite:
        flags |= O_RDWR;
        break;
      case OpenMode::kCreate:
        flags |= O_RDWR | O_CREAT;
        break;
      case OpenMode::kCreateExclusive:
        flags |= O_RDWR | O_CREAT | O_EXCL;
        break;
    }
    int fd;
    do {
      fd = ::open(path.c_str(), flags, 0600);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return PathFailure("open", path);
    return std::make_unique<SystemFile>(UniqueFd(fd), path);
  }

  Result<void> CreateDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) == 0) return {};
    const int err = errno;
    struct stat st;
    if (err == EEXIST && ::stat(path.c_str(), &st) == 0) {
      if (S_ISDIR(st.st_mode)) return {};
      return Fail(Errc::kNotDirectory, "make directory " + path + ": something else bears the name");
    }
    errno = err;
    return PathFailure("make directory", path);
  }

  Result<std::vector<std::string>> ListDirectory(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
    if (!stream) return PathFailure("list", path);
    std::vector<std::string> names;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return PathFailure("list", path);
    return names;
  }

  Result<void> Rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) return PathFailure("rename to " + to, from);
    return {};
  }

  Result<void> Exchange(const std::string& one, const std::string& other) override {
    if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0) return {};
    if (errno == EINVAL || errno == ENOSYS) return Env::Exchange(one, other);
    return PathFailure("exchange names with " + other, one);
  }

  Result<void> Remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return PathFailure("remove", path);
    return {};
  }

  Result<void> SyncDirectory(const std::string& path) override {
    const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return PathFailure("open directory", path);
    if (::fsync(directory.get()) != 0) return PathFailure("sync directory", path);
    return {};
  }

  Result<void> SyncFileSystem(const std::string& path) override {
    const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return PathFailure("open directory", path);
    if (::syncfs(directory.get()) != 0) return PathFailure("sync the file system of", path);
    return {};
  }

  Result<Space> SpaceOf(const std::string& path) override {
    struct statvfs st;
    if (::statvfs(path.c_str(), &st) != 0) return PathFailure("statvfs", path);
    const std::uint64_t block = st.f_frsize;
    return Space{.total = st.f_blocks * block,
                 .free = st.f_bfree * block,
                 .available = st.f_bavail * block,
                 .files = st.f_files,
                 .free_files = st.f_ffree};
  }

  Time Now() override { return Time{Clock(CLOCK_REALTIME)}; }
  std::int64_t MonotonicNs() override { return Clock(CLOCK_MONOTONIC); }

  void Random(MutableByteSpan out) override {
    while (!out.empty()) {
      const ssize_t got = ::getrandom(out.data(), std::min<std::size_t>(out.size(), 256), 0);
      if (got > 0) {
        out = out.subspan(static_cast<std::size_t>(got));
      } else if (errno != EINTR) {
        // Cannot happen on Linux 3.17 or later. Keys must never be guessable, so there is nothing to go on with.
        std::perror("getrandom");
        std::abort();
      }
    }
  }

 private:
  static std::int64_t Clock(clockid_t id) {
    timespec now;
    ::clock_gettime(id, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  }
};

}  // namespace

Env& Env::System() {
  static SystemEnv env;
  return env;
}

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> ReadWholeFile(Env& env, const std::string& path, std::size_t limit) {
  STRATA_ASSIGN(const std::unique_ptr<File> file, env.Open(path, OpenMode::kRead));
  STRATA_ASSIGN(const std::uint64_t size, file->Size());
  if (size > limit) {
    return Fail(Errc::kFileTooBig,
                path + " holds " + std::to_string(size) + " bytes; at most " + std::to_string(limit) + " are expected");
  }
  std::string content(size, '\0');
  STRATA_ASSIGN(const std::size_t got,
                file->ReadAt(0, std::as_writable_bytes(std::span(content.data(), content.size()))));
  content.resize(got);
  return content;
}

Result<void> CopyFile(Env& env, const std::string& from, const std::string& to) {
  STRATA_ASSIGN(const auto source, env.Open(from, OpenMode::kRead));
  STRATA_ASSIGN(const auto copy, env.Open(to, OpenMode::kCreate));
  STRATA_TRY(copy->Truncate(0));
  std::vector<std::byte> bytes(1 << 20);
  for (std::uint64_t at = 0;;) {
    STRATA_ASSIGN(const std::size_t got, source->ReadAt(at, bytes));
    if (got == 0) break;
    const ByteSpan pieces[] = {ByteSpan(bytes).first(got)};
    STRATA_TRY(copy->WriteAt(at, pieces));
    at += got;
  }
  return copy->SyncData();
}

Result<void> ReplaceFile(Env& env, const std::string& path, std::string_view content) {
  const std::string fresh = path + ".new";
  {
    STRATA_ASSIGN(const std::unique_ptr<File> file, env.Open(fresh, OpenMode::kCreate));
    STRATA_TRY(file->Truncate(0));
    const ByteSpan pieces[] = {AsBytes(content)};
    STRATA_TRY(file->WriteAt(0, pieces));
    STRATA_TRY(file->SyncData());
  }
  STRATA_TRY(env.Rename(fresh, path));
  return env.SyncDirectory(DirectoryOf(path));
}

}  // namespace strata
