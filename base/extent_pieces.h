// Extents of one file in order, none over another.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>

#include "base/extent.h"

namespace strata {

// An extent without its offset.
struct ExtentPiece {
  std::uint64_t length = 0;
  Lsn position;
  Lsn record;
};
using ExtentPieces = absl::btree_map<std::uint64_t, ExtentPiece>;  // by offset

inline Extent WholeExtent(std::uint64_t offset, const ExtentPiece& piece) {
  return {offset, piece.length, piece.position, piece.record};
}
inline void AddExtent(ExtentPieces& pieces, const Extent& extent) {
  pieces.emplace(extent.offset, ExtentPiece{extent.length, extent.position, extent.record});
}

// Removes what lies in [begin, end), cutting those that lie across. It returns how many bytes that is.
std::uint64_t CutExtents(ExtentPieces& pieces, std::uint64_t begin, std::uint64_t end);

}  // namespace strata
