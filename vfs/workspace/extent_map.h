// ExtentMap: which bytes of a file lie where in the journal.
//
// Of a file of few extents all are here: what no extent covers are the layer's bytes or zeros. Of one of many
// (`partial`) some are here, and for others the index is asked, a stretch of the file at a time. What is here is newer
// than what the index says. Known is then:
// - what an extent here covers;
// - each stretch that was read of the index (Fill), until it is given up;
// - everything behind the last truncation, until the index knows of that.
// What the index does not know yet is never given up: an extent says by its record whether the index has it.
#pragma once

#include <absl/container/btree_map.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>

#include "base/extent_pieces.h"

namespace strata::vfs {

// Extents do not overlap. Not thread-safe: guarded by its inode's lock.
class ExtentMap {
 public:
  static constexpr std::uint64_t kEnd = std::numeric_limits<std::int64_t>::max();  // no file reaches beyond

  // What it lies over is cut or dropped. All of that must be known.
  void Insert(const Extent& extent);
  // Drops everything at and beyond `size`, by the record that ends at `end`. Of a partial one what is left must have
  // been counted (CountOf), unless it is nothing.
  void Truncate(std::uint64_t size, Lsn end);
  // The part at or after `offset` of the first extent here that ends beyond `offset`.
  std::optional<Extent> FirstAt(std::uint64_t offset) const;

  // Of all extents of the file, here or not.
  std::uint64_t bytes() const { return bytes_; }
  // Of those here.
  std::size_t count() const { return extents_.size(); }
  std::size_t Footprint() const {
    return extents_.size() * kExtentFootprint + (part_ ? sizeof(Part) + part_->read.size() * kReadFootprint : 0);
  }
  // Bytes of memory that one extent takes.
  static constexpr std::size_t kExtentFootprint = 48;

  // Of one that is empty: nothing is known, and all extents of the file are `bytes`.
  void MakePartial(std::uint64_t bytes);
  bool partial() const { return part_ != nullptr; }
  // The first byte of [from, to) that is not known; `to` where all are. What was read for it counts as used.
  std::uint64_t KnownUntil(std::uint64_t from, std::uint64_t to) { return part_ ? FindUnknown(from, to) : to; }
  // `rows` are all extents that the index holds of [from, until), in order; the first and the last may lie across.
  void Fill(std::span<const Extent> rows, std::uint64_t from, std::uint64_t until);

  // Gives up extents that the index has (its position is `checkpoint`) and what was read and not used lately, looking
  // at no more than `limit` here, from where it stopped the last time. It is partial then.
  struct Shed {
    std::size_t dropped = 0;
    bool more = false;  // what it did not come to, or what is given up the next time unless it is used
    Lsn newest;         // as InodeTable::DroppedSince compares: beyond the last change that was given up
  };
  Shed ShedExtents(Lsn checkpoint, std::size_t limit);

  // Counts the bytes that the extents of a partial one have within a range, whatever changes meanwhile and without
  // having all here: what lies before `reached` is counted, and counted anew as it changes.
  struct Count {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::uint64_t reached = 0;
    std::uint64_t bytes = 0;
    bool IsOf(std::uint64_t range_from, std::uint64_t range_to) const { return from == range_from && to == range_to; }
    bool done() const { return reached >= to; }
  };
  // The one of a range; begun if none is under way, instead of one of another range.
  const Count& CountOf(std::uint64_t from, std::uint64_t to);
  // `rows` as for Fill, from `reached` on.
  void GoOnCounting(std::span<const Extent> rows, std::uint64_t until);
  // What has to be counted before a truncation to `size` of a file of `file_size` bytes: the smaller part.
  static std::pair<std::uint64_t, std::uint64_t> CountedFor(std::uint64_t size, std::uint64_t file_size);

 private:
  struct Read {
    std::uint64_t end;
    bool referenced;
  };
  // What there is of a partial one only.
  struct Part {
    absl::btree_map<std::uint64_t, Read> read;  // by the stretch's beginning; they do not overlap
    std::uint64_t empty_from = kEnd;            // from here on all that there is is here
    Count count;
    std::uint64_t shed_from = 0, shed_read_from = 0;
  };
  static constexpr std::size_t kReadFootprint = 40;

  std::uint64_t FindUnknown(std::uint64_t from, std::uint64_t to);
  // Calls visit(from, until) for each stretch of [from, to) that no extent here covers.
  template <typename Visit>
  void VisitGaps(std::uint64_t from, std::uint64_t to, Visit visit) const;
  // Bytes of [from, to) that extents here cover.
  std::uint64_t Covered(std::uint64_t from, std::uint64_t to) const;
  void CutRead(std::uint64_t size);
  void ShedRead(std::size_t limit, Shed& shed);

  ExtentPieces extents_;
  std::uint64_t bytes_ = 0;     // sum of lengths
  Lsn truncated_;               // the end of the last record that truncated it
  std::unique_ptr<Part> part_;  // null: all are here
};

}  // namespace strata::vfs
