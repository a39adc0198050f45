// The index's Writer. Effects are gathered in memory and each row is written once, at Commit: a file that is created,
// touched five times and removed within one batch costs no row. A number above the highest that the database has seen
// has no rows there, so that nothing of a new file is looked up before it is written.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
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
  Statement put_entry, delete_entry, delete_entries;
  Statement put_extent, shorten_extent, delete_extents, delete_extents_from, delete_all_extents, extent_before;
  Statement set_meta;

  static Result<std::unique_ptr<WriteConnection>> Make(std::unique_ptr<Database> database);
};

// What the Writers of an Index share.
struct WriteState {
  std::unique_ptr<WriteConnection> connection;
  std::atomic<bool> busy = false;
  // Of the last commit; belongs to the Writer that lives.
  std::uint64_t highest_ino = 0;
  std::int64_t inode_count = 0;
  PageSequence sequence;
};

// Takes over `state.busy`, and gives it back when destroyed. `state` must outlive it.
std::unique_ptr<Index::Writer> MakeWriter(WriteState& state);

}  // namespace strata::store
