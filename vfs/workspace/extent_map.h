// ExtentMap: which bytes of a file lie where in the journal.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <optional>

#include "base/extent.h"

namespace strata::vfs {

// Extents do not overlap. Not thread-safe: guarded by its inode's lock.
class ExtentMap {
 public:
  // What it lies over is cut or dropped.
  void Insert(const Extent& extent);
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
    Lsn record;
  };
  static Extent Whole(std::uint64_t offset, const Piece& piece) {
    return {offset, piece.length, piece.position, piece.record};
  }
  void Add(const Extent& extent) {
    extents_.emplace(extent.offset, Piece{extent.length, extent.position, extent.record});
  }

  absl::btree_map<std::uint64_t, Piece> extents_;  // by offset
  std::uint64_t bytes_ = 0;                        // sum of lengths
};

}  // namespace strata::vfs
