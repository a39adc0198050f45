// ImportCache: the digests of files that were imported before, so that what has not changed is not read again. A
// bounded file of our own (docs/formats/import-cache.md), for one user and any number of stores. It is only ever a
// hint: what cannot be read is not known, and a digest is believed only where the store has it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/hash.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/digest.h"

namespace strata::store {

// What says that a file is the same as it was.
struct FileState {
  std::uint64_t device = 0, inode = 0, size = 0;
  Time mtime, ctime;
  friend bool operator==(const FileState&, const FileState&) = default;
};

// Whether a file in this state, seen at `now` and read after that, could not be changed again without a change of the
// state: a file system's clock moves in ticks, and a change within the tick of the last one does not show. (git calls
// entries for which that is not so racily clean.)
bool IsSettled(const FileState& state, Time now);

// Thread-safe.
class ImportCache {
 public:
  // 1 GiB, for some 15 million files.
  static constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;

  // Opens the file, or makes a new one where there is none or it does not check. Where another process writes to it, it
  // is only read. It grows as it fills, to `most_bytes` at most; then what was not used for longest goes.
  static Result<std::unique_ptr<ImportCache>> Open(Env& env, const std::string& path,
                                                   std::uint64_t most_bytes = kMostBytes);

  std::optional<Digest> Find(const FileState& state) STRATA_EXCLUDES(mutex_);
  void Put(const FileState& state, const Digest& digest) STRATA_EXCLUDES(mutex_);

  // For tests: how many files the table has room for now.
  std::uint64_t slots() const STRATA_EXCLUDES(mutex_);

 private:
  struct Table;
  struct Key;
  ImportCache(Env& env, std::string path, std::uint64_t most_bytes);
  Result<std::shared_ptr<Table>> OpenTable();
  Result<std::shared_ptr<Table>> MakeTable(const std::string& path, unsigned bits, std::uint32_t generation,
                                           const SipHashKey& key);
  void Grow(const std::shared_ptr<Table>& from);
  std::shared_ptr<Table> table() const STRATA_EXCLUDES(mutex_);

  Env& env_;
  const std::string path_;
  const std::uint64_t most_bytes_;
  mutable Mutex mutex_;
  std::shared_ptr<Table> table_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t overflows_ STRATA_GUARDED_BY(mutex_) = 0;  // of the present table: entries that had to make room
  bool growing_ STRATA_GUARDED_BY(mutex_) = false;
};

}  // namespace strata::store
