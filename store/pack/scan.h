// Reading a pack from one record to the next, over whatever is damaged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "store/pack/format.h"

namespace strata::store::pack {

// What is between the records: bytes that are none, or a record whose stored bytes do not check (its header then says
// which). Where no record follows, it may be what a crash left of the last writing.
struct Damage {
  std::uint64_t begin = 0, end = 0;
  std::optional<RecordHeader> header;
};

class PackScan {
 public:
  enum class Depth : std::uint8_t {
    kHeaders,  // stored bytes are not looked at
    kStored,   // and checked
  };
  enum class Found : std::uint8_t { kRecord, kDamage, kEnd };

  // Scans [begin, end) of a pack; `end` at most its size. The file must outlive this.
  PackScan(File& file, PackId pack, std::uint64_t begin, std::uint64_t end, Depth depth);

  // Goes on to the next record or damage. What is damaged costs no more time than its length.
  Result<Found> Next();
  // Of the record that was found.
  const RecordHeader& header() const { return header_; }
  std::uint64_t offset() const { return offset_; }
  Location location() const;
  // Of the damage that was found.
  const Damage& damage() const { return damage_; }
  // Where the last record that is sound ends.
  std::uint64_t sound_end() const { return sound_end_; }

 private:
  // The bytes from `offset` on, at least `size` of them where [begin, end) has as many.
  Result<ByteSpan> Window(std::uint64_t offset, std::size_t size);
  // The first place from `from` on where a header checks; the end where there is none.
  Result<std::uint64_t> FindRecord(std::uint64_t from);
  Result<bool> StoredChecks();

  File& file_;
  const PackId pack_;
  const std::uint64_t end_;
  const Depth depth_;
  std::uint64_t next_;
  std::uint64_t sound_end_;
  std::uint64_t offset_ = 0;
  RecordHeader header_;
  Damage damage_;
  std::vector<std::byte> window_;
  std::uint64_t window_begin_ = 0;
  std::size_t window_size_ = 0;
};

}  // namespace strata::store::pack
