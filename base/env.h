// The operating system as Strata's own files see it: files, sync, clock, random. Everything that the journal and the
// workspace keep goes through an Env, so that a test can fail the nth call, lose what was not synced, and stop time.
// (The index's SQLite file goes through SQLite's own VFS, and layers are read directly: they are never written.)
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/attributes.h"
#include "base/bytes.h"
#include "base/status.h"

namespace strata {

// A read-only shared mapping of a file's beginning; unmapped when destroyed. Bytes written to the file later through
// File::WriteAt show in it. Bytes beyond the file's end must not be touched.
class Mapping {
 public:
  virtual ~Mapping() = default;
  virtual ByteSpan bytes() const = 0;
  // The pages leave this process's memory (they may stay in the page cache) and come back when they are touched.
  virtual void Release() const {}
};

// An open file. Thread-safe: calls at different offsets may run side by side.
class File {
 public:
  virtual ~File() = default;
  // Reads until `out` is full or the file ends; the number of bytes read.
  virtual Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) = 0;
  // As ReadAt, but kWouldBlock where the disk would have to be asked. (Where the system cannot tell, it is asked.)
  virtual Result<std::size_t> ReadCached(std::uint64_t offset, MutableByteSpan out) { return ReadAt(offset, out); }
  // Writes all pieces, one after the other, from `offset` on; on an error an unknown part of them is written.
  virtual Result<void> WriteAt(std::uint64_t offset, std::span<const ByteSpan> pieces) = 0;
  // Makes sure that [offset, offset + length) can be written without running out of space, and that the file reaches
  // its end. kNoSpace where it cannot be. Where the file system has no fallocate, only the size is set.
  virtual Result<void> Allocate(std::uint64_t offset, std::uint64_t length) = 0;
  virtual Result<void> Truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> Size() = 0;
  // fdatasync(2).
  virtual Result<void> SyncData() = 0;
  // Waits until the disk has taken what was written to [offset, offset + length). It may be in the disk's cache alone:
  // only SyncData makes it durable.
  virtual Result<void> WriteBack([[maybe_unused]] std::uint64_t offset, [[maybe_unused]] std::uint64_t length) {
    return SyncData();
  }
  // Maps [0, length), which may reach past the file's present end.
  virtual Result<std::unique_ptr<Mapping>> Map(std::uint64_t length) = 0;
  // flock(2), exclusive, without waiting: kBusy if another process holds it. Held until the File is destroyed.
  virtual Result<void> Lock() = 0;
  // The same, beside others that do so.
  virtual Result<void> LockShared() { return {}; }
  virtual void Unlock() {}
};

enum class OpenMode : std::uint8_t {
  kRead,            // must exist
  kReadWrite,       // must exist
  kCreate,          // read and write, made if missing
  kCreateExclusive  // read and write, must not exist
};

class Env {
 public:
  virtual ~Env() = default;
  // The real one.
  static Env& System();

  // New files get mode 0600.
  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  // mkdir(2) with mode 0700; no error if it is a directory already.
  virtual Result<void> CreateDirectory(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> ListDirectory(const std::string& path) = 0;
  virtual Result<void> Rename(const std::string& from, const std::string& to) = 0;
  // Each of two files gets the other's name, at once. kNotSupported where the file system cannot.
  virtual Result<void> Exchange(const std::string& one, const std::string& other) {
    return Fail(Errc::kNotSupported, "exchange the names of " + one + " and " + other);
  }
  virtual Result<void> Remove(const std::string& path) = 0;
  // Makes the entries of a directory durable.
  virtual Result<void> SyncDirectory(const std::string& path) = 0;
  // Makes durable all that was written to the file system that holds the directory `path`, names too: for many files at
  // once. kNotSupported where that cannot be asked for.
  virtual Result<void> SyncFileSystem(const std::string& path) {
    return Fail(Errc::kNotSupported, "sync the file system of " + path);
  }
  // Bytes in all, free, and free to this process, of the file system that holds `path`.
  struct Space {
    std::uint64_t total = 0, free = 0, available = 0, files = 0, free_files = 0;
  };
  virtual Result<Space> SpaceOf(const std::string& path) = 0;

  virtual Time Now() = 0;                  // CLOCK_REALTIME
  virtual std::int64_t MonotonicNs() = 0;  // CLOCK_MONOTONIC
  // Fills `out` with cryptographically strong random bytes.
  virtual void Random(MutableByteSpan out) = 0;
};

// The folder that holds `path`; "." for a name alone.
std::string DirectoryOf(const std::string& path);
// Reads a whole file of at most `limit` bytes; kFileTooBig beyond.
Result<std::string> ReadWholeFile(Env& env, const std::string& path, std::size_t limit);
// Makes `to` hold what `from` holds, synced; over what it held.
Result<void> CopyFile(Env& env, const std::string& from, const std::string& to);
// Replaces a file so that a crash leaves the old or the new content, never a mixture: writes PATH.new, syncs, renames,
// syncs the directory.
Result<void> ReplaceFile(Env& env, const std::string& path, std::string_view content);

}  // namespace strata
