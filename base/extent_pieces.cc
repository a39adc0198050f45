#include "base/extent_pieces.h"

#include <iterator>

namespace strata {

std::uint64_t CutExtents(ExtentPieces& pieces, std::uint64_t begin, std::uint64_t end) {
  std::uint64_t removed = 0;
  auto at = pieces.lower_bound(begin);
  if (at != pieces.begin()) {
    const auto before = std::prev(at);
    const Extent old = WholeExtent(before->first, before->second);
    if (old.end() > begin) {
      before->second.length = begin - old.offset;
      if (old.end() > end) {  // the range lies within one, which becomes two
        AddExtent(pieces, old.From(end));
        return end - begin;
      }
      removed = old.end() - begin;
    }
  }
  auto stop = at;
  Extent tail;
  for (; stop != pieces.end() && stop->first < end; ++stop) {
    const Extent old = WholeExtent(stop->first, stop->second);
    removed += old.length;
    if (old.end() > end) tail = old.From(end);
  }
  pieces.erase(at, stop);
  if (tail.length > 0) AddExtent(pieces, tail);
  return removed - tail.length;
}

}  // namespace strata
