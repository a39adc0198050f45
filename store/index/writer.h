// The index's Writer. Effects are gathered in memory and each row is written once, at Commit. So a file that is
// created, touched five times and removed within one batch costs no row. A number above the highest that the database
// has seen has no rows there. So nothing of a new file is looked up before it is written.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "store/index/index.h"
#include "store/index/sqlite.h"

namespace strata::store {

// Numbers from here on are those of layers' nodes (vfs/lower_tree.h); the upper's own are below.
inline constexpr std::uint64_t kFirstLowerIno = std::uint64_t{1} << 55;

// The connection that writes, with its statements. Used by one Writer at a time.
struct WriteConnection {
  std::unique_ptr<Database> database;
  Statement begin, commit, rollback;
  Statement insert_inode, update_inode, touch_inode, delete_inode;
  Statement insert_entry, update_entry, delete_entry, delete_entries;
  Statement put_extent, shorten_extent, delete_extents, extents_before, all_extents;
  Statement add_used, sum_extents;
  Statement insert_segment, add_segment, delete_segment, delete_segments;
  Statement set_meta;

  static Result<std::unique_ptr<WriteConnection>> Make(std::unique_ptr<Database> database);
};

// The counts of the last commit.
class LastCounts {
 public:
  IndexCounts Get() const STRATA_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return counts_;
  }
  void Set(const IndexCounts& counts) STRATA_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    counts_ = counts;
  }

 private:
  mutable Mutex mutex_;
  IndexCounts counts_ STRATA_GUARDED_BY(mutex_);
};

// What the Writers of an Index share.
struct WriteState {
  std::unique_ptr<WriteConnection> connection;
  std::atomic<bool> busy = false;
  // Of the last commit; belongs to the Writer that lives.
  std::uint64_t highest_ino = 0;
  std::uint64_t segment_size = 0;  // in which `segments` counts; 0: nothing is counted there yet
  LastCounts counts;
  PageSequence sequence;
};

// Takes over `state.busy`, and gives it back when destroyed. `state` must outlive it.
std::unique_ptr<Index::Writer> MakeWriter(WriteState& state, std::uint64_t segment_size);

}  // namespace strata::store
