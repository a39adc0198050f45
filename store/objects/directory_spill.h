// Directories of closures, by digest, in temporary files and not in memory (CA-69). Memory: 17 to 40 bytes for each
// directory, and what is not yet in a file, at most a few MiB. Gone with the process: the files have no names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "base/env.h"
#include "base/mutex.h"
#include "store/castore/directory.h"
#include "store/digest.h"

namespace strata::store {

// Where spilled directories go.
struct SpillOptions {
  // The folder for the temporary files; empty: they stay in memory.
  std::string folder;
  // Of directories that stay in memory, all together.
  std::uint64_t memory_bytes = 64 << 20;
};

// Bytes that are appended and read again. Appending is for one thread; reading for any, of what was appended before.
class SpillFile {
 public:
  // `folder` empty: in memory.
  SpillFile(Env& env, std::string folder) : env_(env), folder_(std::move(folder)) {}

  Result<void> Append(ByteSpan bytes) STRATA_EXCLUDES(mutex_);
  // kCorrupt where there are fewer bytes.
  Result<void> ReadAt(std::uint64_t offset, MutableByteSpan out) STRATA_EXCLUDES(mutex_);
  std::uint64_t size() const STRATA_EXCLUDES(mutex_);
  // Leaves nothing in memory, but where it stays there.
  Result<void> Seal() STRATA_EXCLUDES(mutex_);

 private:
  Result<void> WriteOut() STRATA_REQUIRES(mutex_);

  Env& env_;
  const std::string folder_;
  mutable Mutex mutex_;
  std::shared_ptr<File> file_ STRATA_GUARDED_BY(mutex_);  // once there is more than stays in memory
  std::uint64_t written_ STRATA_GUARDED_BY(mutex_) = 0;
  std::vector<std::byte> tail_ STRATA_GUARDED_BY(mutex_);  // what follows `written_`
};

// The place of a directory: which of a list of files, and where in it.
using SpillPlace = std::uint64_t;

// Where a directory may be, by the first eight bytes of its digest; the record at a place has the whole.
class SpillIndex {
 public:
  using Places = absl::InlinedVector<SpillPlace, 2>;

  // All places of which one has it, if any has: seldom more than one.
  Places Candidates(const Digest& digest) const;
  // The caller has seen that it is not there.
  void Add(const Digest& digest, SpillPlace place);
  std::size_t size() const { return places_.size(); }

  // By the prefix, or where that is taken the next number that is free.
  absl::flat_hash_map<std::uint64_t, SpillPlace>& places() { return places_; }
  const absl::flat_hash_map<std::uint64_t, SpillPlace>& places() const { return places_; }

 private:
  absl::flat_hash_map<std::uint64_t, SpillPlace> places_;
};

// One closure while it is read or put together. Not thread-safe.
class SpillStage {
 public:
  SpillStage(Env& env, const SpillOptions& options);

  // Whether it was not there. kNoSpace where it may not grow.
  Result<bool> Put(const Directory& directory);
  Result<std::optional<SpillPlace>> Find(const Digest& digest);
  Result<Directory> Read(SpillPlace place);
  std::size_t count() const { return index_.size(); }
  std::uint64_t bytes() const { return file_->size(); }

 private:
  friend class DirectorySpill;
  const std::uint64_t limit_;  // bytes
  std::shared_ptr<SpillFile> file_;
  SpillIndex index_;
};

// The directories of all closures that were read whole. Thread-safe.
class DirectorySpill {
 public:
  DirectorySpill(Env& env, SpillOptions options) : env_(env), options_(std::move(options)) {}

  SpillStage NewStage() const { return SpillStage(env_, options_); }
  // Shows what was staged. kNoSpace beyond what may be held.
  Result<void> Publish(SpillStage stage) STRATA_EXCLUDES(mutex_);
  Result<std::optional<Directory>> Get(const Digest& digest) STRATA_EXCLUDES(mutex_);
  std::size_t count() const STRATA_EXCLUDES(mutex_);

 private:
  // Makes the places of `stage` those of file `number`, where it begins at `base`.
  Result<void> Merge(const SpillStage& stage, std::uint64_t number, std::uint64_t base) STRATA_REQUIRES(mutex_);

  Env& env_;
  const SpillOptions options_;
  mutable Mutex mutex_;
  // The first takes small closures, one after the other; a large one stays in its own.
  std::vector<std::shared_ptr<SpillFile>> files_ STRATA_GUARDED_BY(mutex_);
  SpillIndex index_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
