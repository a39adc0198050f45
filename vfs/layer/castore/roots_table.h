// RootsTable: which ids the roots of a store have, kept in the volume's home (docs/formats/roots.md), so that handles
// outlive the server and servers that share the home give the same ones. Thread-safe.
//
// What a name leads to has its own ids: a name that is moved gets others. An id is given out once it is on disk, and
// never again for something else. Several processes may add at once: `roots.lock` is held meanwhile.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "vfs/layer/castore/roots_format.h"

namespace strata::vfs::castore {

class RootsTable {
 public:
  // At most so many ranges are kept: some 60 MiB of memory.
  static constexpr std::size_t kMostRanges = 1 << 19;

  // `folder`: exists. The file is made when the first range is added. kCorrupt where it is damaged, with what to do.
  // What an earlier process had not written to its end is cut.
  static Result<std::unique_ptr<RootsTable>> Open(Env& env, const std::string& folder);

  // Null: it has none. The range stays where it is.
  const RootRange* Find(std::string_view name, const store::Digest& key) const STRATA_EXCLUDES(mutex_);
  // That which holds the id; null for none.
  const RootRange* OwnerOf(std::uint64_t id) const STRATA_EXCLUDES(mutex_);
  // Takes over what other processes have added. Reads the disk.
  Result<void> Refresh() STRATA_EXCLUDES(write_mutex_, mutex_);
  // Gives each that has none yet a range of `ids` (RootRange::first is not looked at). On disk when it returns; after a
  // failure some may have theirs. kNoSpace where ids or ranges are used up, with what to do.
  Result<void> Add(std::span<const RootRange> wanted) STRATA_EXCLUDES(write_mutex_, mutex_);
  std::size_t size() const STRATA_EXCLUDES(mutex_);

 private:
  using Key = std::pair<std::string_view, store::Digest>;

  RootsTable(Env& env, const std::string& folder);
  Result<std::unique_ptr<File>> Lock();
  // Opens the file if it is there; false: it is not.
  Result<bool> OpenFile() STRATA_REQUIRES(write_mutex_);
  // With roots.lock held: makes it, and its header.
  Result<void> MakeFile() STRATA_REQUIRES(write_mutex_);
  // Takes over what the file has beyond `end_`. `locked`: with roots.lock held, so that what is no frame was not
  // written to its end, and is cut.
  Result<void> ReadOn(bool locked) STRATA_REQUIRES(write_mutex_) STRATA_EXCLUDES(mutex_);
  Result<void> Cut(ByteSpan rest, std::uint64_t size) STRATA_REQUIRES(write_mutex_);
  Result<void> Append(std::span<const RootRange> ranges) STRATA_REQUIRES(write_mutex_) STRATA_EXCLUDES(mutex_);
  Result<void> Take(std::vector<RootRange> ranges) STRATA_REQUIRES(write_mutex_) STRATA_EXCLUDES(mutex_);
  Result<void> CheckRoom(const RootRange& wanted, std::uint64_t first, std::size_t count) const;
  Status Because(const Status& error, std::string_view doing) const;
  Status Damaged(std::string_view what) const;

  Env& env_;
  const std::string folder_, path_;
  Mutex write_mutex_;  // before mutex_; held over reads and writes of the disk
  std::unique_ptr<File> file_ STRATA_GUARDED_BY(write_mutex_);
  std::uint64_t end_ STRATA_GUARDED_BY(write_mutex_) = 0;  // in the file, of what was taken over
  bool failed_ STRATA_GUARDED_BY(write_mutex_) = false;    // the file may hold what is not on disk
  std::uint64_t next_id_ STRATA_GUARDED_BY(write_mutex_) = roots_format::kFirstId;
  mutable Mutex mutex_;
  std::deque<RootRange> ranges_ STRATA_GUARDED_BY(mutex_);  // by their ids; only added to, so that they stay in place
  absl::flat_hash_map<Key, const RootRange*> by_key_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::vfs::castore
