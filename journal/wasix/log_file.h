// LogFile: the file of a WASIX journal: appending to it, making that durable, and reading data from it.
//
// Appending copies small records into a buffer, and Flush writes that in one call. A large write's data goes from the
// caller's memory. Wasmer takes no lock on its journals and writes where it believes the end to be. So before each
// write the file must be as long as this process left it. Where it is not, nothing is written any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "journal/change_log.h"
#include "journal/committer.h"
#include "journal/wasix/entries.h"

namespace strata::journal::wasix {

struct LogFileOptions {
  bool read_only = false;  // takes no lock and writes nothing
  // Bytes of the mapped file that reading may hold in this process's memory, about.
  std::uint64_t mapped_bytes = 64 << 20;
  // Told once, from any thread, when no more can be appended; must not use the file.
  std::function<void(const Status&)> on_failure = {};
  // What was appended is synced within it though nobody asks; 0 for not.
  std::int64_t sync_interval_ns = 0;
};

// Thread-safe, but for what is called first.
class LogFile {
 public:
  // Opens the file, and makes it unless it is only read. kNotFound where it is only read and does not exist; kBusy
  // where another process appends to it; kCorrupt for what is no WASIX journal, such as a file of 1 to 7 bytes.
  static Result<std::unique_ptr<LogFile>> Open(Env& env, const std::string& path, const LogFileOptions& options);
  // Writes and syncs what was appended.
  ~LogFile();

  // The file as it was opened, for who reads its records: they lie before end().
  File& file() { return *file_; }
  // Behind the last record; of one that is not appended to, the file's size when it was opened.
  std::uint64_t end() const { return end_.load(std::memory_order_acquire); }
  std::uint64_t durable() const { return committer_ ? committer_->durable() : end(); }
  bool failed() const { return failure_.failed(); }

  // Records are appended from `records_end` on, where the last whole one ends: at most end(). What lies behind is a
  // torn tail: it is kept as PATH.torn.RECORDS_END and cut off first. All of the file is durable then. To be called
  // once, before what follows. kReadOnly where the file is only read.
  Result<void> StartAppending(std::uint64_t records_end);

  struct Place {
    std::uint64_t begin = 0;  // of the first header
    std::uint64_t end = 0;    // behind the last record
    std::uint64_t data = 0;   // of the last write: the position of its data; 0 where there was none
  };
  // Appends records side by side. kNoSpace, kQuota: nothing was appended, and may be later. Any other error of a write
  // or a sync is the end of appending.
  Result<Place> Append(std::span<const Entry> entries) STRATA_EXCLUDES(mutex_);
  // Hands what was appended to the operating system.
  Result<void> Flush() STRATA_EXCLUDES(mutex_);
  // Calls `done` once all before `position` is durable, or the file has failed. From the committer's thread, or at
  // once.
  void Sync(std::uint64_t position, Committer::Done done);

  // `length` bytes of what was appended or found, flushed first if need be. Few bytes are better copied: `unmapped`.
  // kIo where the file is shorter than it was.
  Result<PinnedBytes> Data(std::uint64_t position, std::uint64_t length) STRATA_EXCLUDES(mutex_, map_mutex_);
  // Copies what Data gave `unmapped` for. kWouldBlock where the disk would have to be asked and `may_block` is false.
  Result<void> Copy(std::uint64_t position, MutableByteSpan out, bool may_block);
  // Lets the pages that were read through the mapping leave this process's memory.
  void ReleasePages() STRATA_EXCLUDES(map_mutex_);

 private:
  LogFile(Env& env, std::string path, const LogFileOptions& options, std::unique_ptr<File> file, std::uint64_t size);
  // Keeps what lies from `end` on in a file of its own.
  Result<void> KeepTail(std::uint64_t end, std::uint64_t size);
  // Writes the buffer, and `more` behind it.
  Result<void> WriteOut(std::span<const ByteSpan> more) STRATA_REQUIRES(mutex_);
  Result<void> CheckLength() STRATA_REQUIRES(mutex_);
  Result<void> AppendOne(const Entry& entry, Place& place, std::uint64_t& position) STRATA_REQUIRES(mutex_);
  Result<std::uint64_t> CommitAll() STRATA_EXCLUDES(mutex_);
  Result<std::shared_ptr<const Mapping>> MappingUpTo(std::uint64_t end) STRATA_EXCLUDES(map_mutex_);

  Env& env_;
  const std::string path_;
  const LogFileOptions options_;
  const std::unique_ptr<File> file_;
  FailureLatch failure_;

  Mutex mutex_;
  std::vector<std::byte> buffer_ STRATA_GUARDED_BY(mutex_);  // from written_ on
  std::atomic<std::uint64_t> written_;
  std::atomic<std::uint64_t> end_;

  Mutex map_mutex_;
  std::shared_ptr<const Mapping> mapping_ STRATA_GUARDED_BY(map_mutex_);
  std::uint64_t mapped_end_ STRATA_GUARDED_BY(map_mutex_) = 0;
  std::uint64_t touched_ STRATA_GUARDED_BY(map_mutex_) = 0;  // bytes, since pages were let go

  std::unique_ptr<Committer> committer_;  // the last: its thread ends first
};

}  // namespace strata::journal::wasix
