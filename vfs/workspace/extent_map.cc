#include "vfs/workspace/extent_map.h"

#include <algorithm>

namespace strata::vfs {

void ExtentMap::Insert(const Extent& extent) {
  if (extent.length == 0) return;
  const std::uint64_t end = extent.end();
  auto next = extents_.lower_bound(extent.offset);
  if (next != extents_.begin()) {
    auto previous = std::prev(next);
    const Extent old = Whole(previous->first, previous->second);
    if (old.end() > extent.offset) {
      previous->second.length = extent.offset - old.offset;
      bytes_ -= old.length - previous->second.length;
      if (old.end() > end) {  // the new extent lies within an old one, which becomes two
        const Extent tail = old.From(end);
        bytes_ += tail.length;
        Add(tail);
      }
      next = extents_.lower_bound(extent.offset);
    }
  }
  while (next != extents_.end() && next->first < end) {
    const Extent old = Whole(next->first, next->second);
    bytes_ -= old.length;
    next = extents_.erase(next);
    if (old.end() > end) {
      const Extent tail = old.From(end);
      bytes_ += tail.length;
      Add(tail);
      break;
    }
  }
  Add(extent);
  bytes_ += extent.length;
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

std::optional<Extent> ExtentMap::FirstAt(std::uint64_t offset) const {
  auto next = extents_.upper_bound(offset);
  if (next != extents_.begin()) {
    auto previous = std::prev(next);
    const Extent extent = Whole(previous->first, previous->second);
    if (extent.end() > offset) return extent.From(offset);
  }
  if (next == extents_.end()) return std::nullopt;
  return Whole(next->first, next->second);
}

}  // namespace strata::vfs
