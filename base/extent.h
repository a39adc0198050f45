// Extent: bytes of a file that lie in the journal.
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace strata {

// Bytes [offset, offset + length) of a file are the journal's payload bytes from `position` on, in the record that
// begins at `record`.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  Lsn position;
  Lsn record;

  std::uint64_t end() const { return offset + length; }
  // What is left of it from `from` (within it) on.
  Extent From(std::uint64_t from) const { return {from, end() - from, Lsn(position.value + (from - offset)), record}; }
  friend bool operator==(const Extent&, const Extent&) = default;
};

}  // namespace strata
