#include "vfs/extent_map.h"

#include <algorithm>

namespace strata::vfs {

void ExtentMap::Insert(std::uint64_t offset, std::uint64_t length, Lsn position) {
  if (length == 0) return;
  const std::uint64_t end = offset + length;
  auto next = extents_.lower_bound(offset);
  if (next != extents_.begin()) {
    auto previous = std::prev(next);
    const std::uint64_t previous_end = previous->first + previous->second.length;
    if (previous_end > offset) {
      const Piece old = previous->second;
      const std::uint64_t kept = offset - previous->first;
      previous->second.length = kept;
      bytes_ -= old.length - kept;
      if (previous_end > end) {  // the new extent lies within an old one, which becomes two
        const std::uint64_t skipped = end - previous->first;
        bytes_ += old.length - skipped;
        extents_.emplace(end, Piece{old.length - skipped, Lsn(old.position.value + skipped)});
      }
      next = extents_.lower_bound(offset);
    }
  }
  while (next != extents_.end() && next->first < end) {
    const std::uint64_t next_end = next->first + next->second.length;
    bytes_ -= next->second.length;
    if (next_end > end) {
      const std::uint64_t skipped = end - next->first;
      const Piece tail{next->second.length - skipped, Lsn(next->second.position.value + skipped)};
      extents_.erase(next);
      extents_.emplace(end, tail);
      bytes_ += tail.length;
      break;
    }
    next = extents_.erase(next);
  }
  extents_.emplace(offset, Piece{length, position});
  bytes_ += length;
}

void ExtentMap::Truncate(std::uint64_t size) {
  auto next = extents_.lower_bound(size);
  if (next != extents_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second.length > size) {
      const std::uint64_t kept = size - previous->first;
      bytes_ -= previous->second.length - kept;
      previous->second.length = kept;
    }
  }
  while (next != extents_.end()) {
    bytes_ -= next->second.length;
    next = extents_.erase(next);
  }
}

std::optional<ExtentMap::Extent> ExtentMap::FirstAt(std::uint64_t offset) const {
  auto next = extents_.upper_bound(offset);
  if (next != extents_.begin()) {
    auto previous = std::prev(next);
    const std::uint64_t end = previous->first + previous->second.length;
    if (end > offset) {
      const std::uint64_t skipped = offset - previous->first;
      return Extent{offset, previous->second.length - skipped, Lsn(previous->second.position.value + skipped)};
    }
  }
  if (next == extents_.end()) return std::nullopt;
  return Extent{next->first, next->second.length, next->second.position};
}

}  // namespace strata::vfs
