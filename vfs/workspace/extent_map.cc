#include "vfs/workspace/extent_map.h"

#include <algorithm>

namespace strata::vfs {

void ExtentMap::Insert(const Extent& extent) {
  if (extent.length == 0) return;
  const std::uint64_t end = extent.end();
  if (part_) {
    Count& count = part_->count;
    const std::uint64_t counted_from = std::max(extent.offset, count.from);
    const std::uint64_t counted_to = std::min(end, count.reached);
    if (counted_from < counted_to) count.bytes += counted_to - counted_from - Covered(counted_from, counted_to);
    // The extent itself says all that is known of what was read within it.
    for (auto read = part_->read.lower_bound(extent.offset); read != part_->read.end() && read->second.end <= end;) {
      read = part_->read.erase(read);
    }
  }
  bytes_ += extent.length - CutExtents(extents_, extent.offset, end);
  AddExtent(extents_, extent);
}

void ExtentMap::Truncate(std::uint64_t size, Lsn end) {
  truncated_ = end;
  if (part_) {
    const Count& count = part_->count;
    if (size == 0) {
      bytes_ = 0;
    } else if (count.from == 0) {
      bytes_ = count.bytes;
    } else {
      bytes_ -= count.bytes;
    }
    part_->count = {};
    part_->empty_from = std::min(part_->empty_from, size);
    CutRead(size);
  }
  const std::uint64_t removed = CutExtents(extents_, size, std::numeric_limits<std::uint64_t>::max());
  if (!part_) bytes_ -= removed;
}

std::optional<Extent> ExtentMap::FirstAt(std::uint64_t offset) const {
  auto next = extents_.upper_bound(offset);
  if (next != extents_.begin()) {
    auto previous = std::prev(next);
    const Extent extent = WholeExtent(previous->first, previous->second);
    if (extent.end() > offset) return extent.From(offset);
  }
  if (next == extents_.end()) return std::nullopt;
  return WholeExtent(next->first, next->second);
}

void ExtentMap::MakePartial(std::uint64_t bytes) {
  part_ = std::make_unique<Part>();
  bytes_ = bytes;
}

std::uint64_t ExtentMap::FindUnknown(std::uint64_t from, std::uint64_t to) {
  while (from < to && from < part_->empty_from) {
    auto read = part_->read.upper_bound(from);
    if (read != part_->read.begin() && std::prev(read)->second.end > from) {
      std::prev(read)->second.referenced = true;
      from = std::prev(read)->second.end;
      continue;
    }
    const auto extent = FirstAt(from);
    if (!extent || extent->offset != from) return from;
    from = extent->end();
  }
  return to;
}

template <typename Visit>
void ExtentMap::VisitGaps(std::uint64_t from, std::uint64_t to, Visit visit) const {
  while (from < to) {
    const auto extent = FirstAt(from);
    const std::uint64_t until = extent ? std::min(extent->offset, to) : to;
    if (from < until) visit(from, until);
    if (!extent) return;
    from = extent->end();
  }
}

std::uint64_t ExtentMap::Covered(std::uint64_t from, std::uint64_t to) const {
  std::uint64_t covered = to - from;
  VisitGaps(from, to, [&](std::uint64_t gap, std::uint64_t until) { covered -= until - gap; });
  return covered;
}

void ExtentMap::Fill(std::span<const Extent> rows, std::uint64_t from, std::uint64_t until) {
  if (!part_ || from >= until) return;
  const std::uint64_t limit = std::min(until, part_->empty_from);
  for (const Extent& row : rows) {
    const std::uint64_t begin = std::max(row.offset, from), end = std::min(row.end(), limit);
    for (std::uint64_t at = begin; at < end;) {
      const auto extent = FirstAt(at);
      const std::uint64_t stop = extent ? std::min(extent->offset, end) : end;
      if (at < stop) {
        Extent part = row.From(at);
        part.length = stop - at;
        AddExtent(extents_, part);
      }
      at = extent ? std::max(stop, extent->end()) : end;
    }
  }
  auto& read = part_->read;
  auto at = read.upper_bound(from);
  if (at != read.begin() && std::prev(at)->second.end > from) --at;
  while (at != read.end() && at->first < until) {
    from = std::min(from, at->first);
    until = std::max(until, at->second.end);
    at = read.erase(at);
  }
  read.emplace(from, Read{until, true});
}

void ExtentMap::CutRead(std::uint64_t size) {
  auto& read = part_->read;
  auto at = read.lower_bound(size);
  if (at != read.begin()) std::prev(at)->second.end = std::min(std::prev(at)->second.end, size);
  read.erase(at, read.end());
}

void ExtentMap::ShedRead(std::size_t limit, Shed& shed) {
  auto at = part_->read.lower_bound(part_->shed_read_from);
  for (; at != part_->read.end() && limit > 0; --limit) {
    if (std::exchange(at->second.referenced, false)) {
      shed.more = true;
      ++at;
    } else {
      ++shed.dropped;
      at = part_->read.erase(at);
    }
  }
  part_->shed_read_from = at == part_->read.end() ? 0 : at->first;
  shed.more |= at != part_->read.end();
}

ExtentMap::Shed ExtentMap::ShedExtents(Lsn checkpoint, std::size_t limit) {
  Shed shed;
  if (!part_) {
    // What was cut off the index would show again.
    if (truncated_ > checkpoint) return shed;
    part_ = std::make_unique<Part>();
    part_->read.emplace(0, Read{kEnd, false});
    shed.newest = truncated_;
  } else if (part_->empty_from != kEnd && truncated_ <= checkpoint) {
    part_->empty_from = kEnd;
    shed.newest = truncated_;
  }
  ShedRead(limit, shed);
  auto at = extents_.lower_bound(part_->shed_from);
  // What reaches behind the last truncation stays for as long as that says what is known there.
  const auto through = [&] { return at == extents_.end() || at->first + at->second.length > part_->empty_from; };
  for (; !through() && limit > 0; --limit) {
    // The first stretch that was read and ends behind the extent's beginning.
    auto read = part_->read.upper_bound(at->first);
    if (read != part_->read.begin() && std::prev(read)->second.end > at->first) --read;
    if (read != part_->read.end() && read->first < at->first + at->second.length) {
      at = extents_.lower_bound(read->second.end);
    } else if (at->second.record >= checkpoint) {
      ++at;
    } else {
      shed.newest = std::max(shed.newest, Lsn(at->second.record.value + 1));
      ++shed.dropped;
      at = extents_.erase(at);
    }
  }
  part_->shed_from = through() ? 0 : at->first;
  shed.more |= !through();
  return shed;
}

const ExtentMap::Count& ExtentMap::CountOf(std::uint64_t from, std::uint64_t to) {
  Count& count = part_->count;
  if (!count.IsOf(from, to)) count = {from, to, from, 0};
  return count;
}

void ExtentMap::GoOnCounting(std::span<const Extent> rows, std::uint64_t until) {
  Count& count = part_->count;
  until = std::min(until, count.to);
  if (until <= count.reached) return;
  count.bytes += Covered(count.reached, until);
  for (const Extent& row : rows) {
    const std::uint64_t from = std::max(row.offset, count.reached);
    const std::uint64_t to = std::min({row.end(), until, part_->empty_from});
    VisitGaps(from, to, [&](std::uint64_t gap, std::uint64_t end) { count.bytes += end - gap; });
  }
  count.reached = until;
}

std::pair<std::uint64_t, std::uint64_t> ExtentMap::CountedFor(std::uint64_t size, std::uint64_t file_size) {
  if (size <= file_size / 2) return {0, size};
  return {size, kEnd};
}

}  // namespace strata::vfs
