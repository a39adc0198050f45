// IndexScan: all rows of an index in the order of their keys, one at a time. A check of the whole reads it, in memory
// that does not grow with the index.
#pragma once

#include <optional>
#include <string>

#include "store/index/index.h"

namespace strata::store {

// Each Next goes through its table once, independently of the others; nothing at the end. The Index must outlive it.
// Not thread-safe.
class IndexScan {
 public:
  struct Entry {
    InodeNumber directory;
    IndexEntry entry;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  struct FileExtent {
    InodeNumber ino;
    Extent extent;
    friend bool operator==(const FileExtent&, const FileExtent&) = default;
  };
  // What a directory has of its own.
  struct Names {
    InodeNumber directory;
    std::uint64_t entries = 0;         // whiteouts are none
    std::uint64_t subdirectories = 0;  // of the entries
  };

  virtual ~IndexScan() = default;
  virtual Result<std::optional<IndexInode>> NextInode() = 0;       // by number
  virtual Result<std::optional<Entry>> NextEntry() = 0;            // by directory, hash, name
  virtual Result<std::optional<FileExtent>> NextExtent() = 0;      // by inode, offset; kCorrupt where two overlap
  virtual Result<std::optional<LivingSegment>> NextSegment() = 0;  // by number
  virtual Result<std::optional<Entry>> NextLink() = 0;   // the entries that are no whiteouts, by what they lead to
  virtual Result<std::optional<Names>> NextNames() = 0;  // of each directory that has any, by number
};

}  // namespace strata::store
