// NumberedDirectory: where the entries of a castore directory, and all that lies beneath them, stand in the pre-order
// of a tree (spec castore CA-68). The edges alone tell: nothing beneath is read.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "store/castore/directory.h"

namespace strata::vfs::castore {

// How many numbers a tree takes for each that the sizes of its edges count (CA-14).
enum class Span : std::uint8_t {
  kUnknown,
  kLoose,  // as many as the size says, by either rule: some stay unused where sizes are doubled
  kDense,  // as many as the documented size says, which it must be
  kHalf,   // half as many as the doubled size says, which it must be: dense too
};

class NumberedDirectory {
 public:
  // kCorrupt unless the directory may hang on an edge of this size: with one that is too small two files would bear one
  // number. An edge of 2^54 and more is kCorrupt too. `span` is known.
  static Result<NumberedDirectory> Make(store::Directory directory, std::uint64_t edge_size, Span span);

  const store::Directory& directory() const { return directory_; }
  // By how much the number of the entry at `index` is greater than the directory's own.
  std::uint64_t OffsetOf(std::size_t index) const;
  // The index of the entry that lies at the offset (not 0), or beneath which it lies; count() where there is none.
  std::size_t IndexAt(std::uint64_t offset) const;
  // Bytes of memory held.
  std::size_t Footprint() const;

 private:
  // One for each entry that is a directory.
  struct Subtree {
    std::uint32_t index = 0;
    std::uint64_t begin = 0;  // the entry's offset
    std::uint64_t size = 0;   // of what lies beneath it
  };

  store::Directory directory_;
  std::vector<Subtree> subtrees_;
};

}  // namespace strata::vfs::castore
