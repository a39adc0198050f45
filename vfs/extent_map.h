// ExtentMap: which bytes of a file lie where in the journal.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <optional>

#include "base/ids.h"

namespace strata::vfs {

// Extents do not overlap. Not thread-safe: guarded by its inode's lock.
class ExtentMap {
 public:
  struct Extent {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    Lsn position;  // of the first byte
  };

  // Bytes [offset, offset + length) now lie at `position`; what they lay over before is cut or dropped.
  void Insert(std::uint64_t offset, std::uint64_t length, Lsn position);
  // Drops everything at and beyond `size`.
  void Truncate(std::uint64_t size);
  // The part at or after `offset` of the first extent that ends beyond `offset`.
  std::optional<Extent> FirstAt(std::uint64_t offset) const;

  std::uint64_t bytes() const { return bytes_; }
  std::size_t count() const { return extents_.size(); }
  // Bytes of memory that one extent takes.
  static constexpr std::size_t kExtentFootprint = 48;

 private:
  struct Piece {
    std::uint64_t length;
    Lsn position;
  };
  absl::btree_map<std::uint64_t, Piece> extents_;  // by offset
  std::uint64_t bytes_ = 0;                        // sum of lengths
};

}  // namespace strata::vfs
