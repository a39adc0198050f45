// Inode: what a workspace has in memory of one object.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "base/inode_record.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/permissions.h"
#include "vfs/types.h"
#include "vfs/workspace/directory.h"
#include "vfs/workspace/extent_map.h"
#include "vfs/workspace/memory_budget.h"

namespace strata::vfs {

// Guarded by the lock of its number's stripe (InodeTable).
struct Inode {
  // The attributes. record.origin.sources is empty here: `lower` holds them.
  InodeRecord record;
  // Where layers hold it; null for what was made here. Of a file it stays after copy-up: unwritten data lies there.
  std::shared_ptr<const LowerNode> lower;
  std::unique_ptr<Directory> directory;  // of every directory, and of nothing else
  ExtentMap extents;                     // of a file of few, all are loaded with the inode
  std::uint64_t base_used = 0;           // bytes that the lower file holds on its disk
  Lsn changed;                           // the end of the last record that changed it; 0: none since it was loaded
  std::uint64_t shared = 0;              // LowerFound::shared
  std::size_t footprint = 0;             // bytes counted for it in the table
  bool upper = false;                    // the journal has a record of it
  bool removed = false;                  // for ever: its handle is stale
  std::uint64_t serial = 0;              // of this stay in memory
  // What is remembered of layers that may change: when they were asked (CLOCK_MONOTONIC, ns).
  std::int64_t asked = kForEver;
  std::uint64_t beneath_version = 0;  // of a directory: LowerFound::version then
  // It had changed so shortly before that the version may not tell of one more change.
  bool beneath_fresh = false;
  bool referenced = true;  // used since the evictor last looked

  // `asked` of what need not be asked for again: no layer has a part in it, or none that changes; or what it shows of
  // one is checked whenever that is read, as a file's bytes are.
  static constexpr std::int64_t kForEver = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kNotAsked = 0;

  bool is_directory() const { return record.type == FileType::kDirectory; }
  // Removing the last name of something ends it. A directory has one name.
  bool OnLastLink() const { return is_directory() || record.nlink <= 1; }
  ObjectId id() const { return {record.ino, record.generation, record.locator}; }
  Ownership ownership() const { return {record.mode, record.uid, record.gid}; }
  WccAttributes wcc() const { return {record.size, record.mtime, record.ctime}; }
  Attributes attributes() const;
  // The attributes are what a layer says, of an object that only layers hold; its type is set.
  void TakeOver(const Attributes& of_layer);
  // The state of the layer's file that its unwritten bytes are those of.
  LayerVersion base_version() const {
    if (upper) return {record.origin.size, record.origin.mtime, std::nullopt};
    return {record.size, record.mtime, record.ctime};
  }
  // Both sides of a change that has not happened yet.
  Change unchanged() const { return {wcc(), attributes()}; }
  // With the origin in place, as the journal takes it.
  InodeRecord FullRecord() const;
  // The ctime of a change that happens at `now`: later than the one before, also when the clock has stepped back.
  Time ChangeTime(Time now) const;
  // The mtime of a change of content at `now`: not the one before. It is `now`, or later by no more than changes within
  // one tick of the clock make it. A time that a client set, or that the clock showed before it stepped back, is left.
  Time ContentTime(Time now) const;
  std::size_t Footprint() const {
    return HeadFootprint() + extents.Footprint() + (directory ? directory->Footprint() : 0);
  }
  // What cannot be dropped once it is changed: without a directory's names and the extents of a file of many.
  std::size_t OwnFootprint() const {
    const bool stay = extents.count() <= kFewExtents && !extents.partial();
    return HeadFootprint() + (stay ? extents.Footprint() : 0);
  }

 private:
  std::size_t HeadFootprint() const;
};

// An upper's directory is shown with this size, which is that of one block.
inline constexpr std::uint64_t kDirectorySize = 4096;

}  // namespace strata::vfs
