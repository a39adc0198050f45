// An index file: where the records of some stretches of packs lie, sorted by digest. It is derived: whatever becomes of
// one, the packs tell the same. Grammar: docs/formats/pack.md.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/env.h"
#include "base/status.h"
#include "store/digest.h"
#include "store/pack/filter.h"
#include "store/pack/format.h"

namespace strata::store::pack {

inline constexpr std::uint16_t kIndexVersion = 1;
inline constexpr std::size_t kIndexPageBytes = 4096;
inline constexpr std::size_t kIndexEntryBytes = 48;
inline constexpr std::size_t kIndexPageEntries = 85;
// An entry names its pack by 16 bits.
inline constexpr std::size_t kMaxIndexRanges = 65535;

// A stretch of a pack, all of whose records an index has.
struct PackRange {
  PackId pack;
  std::uint32_t begin = 0, end = 0;
  std::uint32_t records = 0;
  std::uint32_t newest = 0;  // RecordHeader::time, the latest of them
  friend bool operator==(const PackRange&, const PackRange&) = default;
};

struct IndexEntry {
  Digest digest;
  Location location;
};

struct IndexHeader {
  std::uint64_t id = 0;
  std::uint32_t ranges = 0;
  std::uint64_t entries = 0;
  std::uint64_t home_pages = 0;  // among which digests are spread
  std::uint64_t pages = 0;       // with those behind, which take what found its page full
  std::uint64_t filter_blocks = 0;
  std::uint32_t ranges_crc = 0;
  std::uint32_t filter_crc = 0;

  std::uint64_t RangesOffset() const { return kIndexPageBytes; }
  std::uint64_t FilterOffset() const;
  std::uint64_t PagesOffset() const;
  std::uint64_t FileBytes() const { return PagesOffset() + pages * kIndexPageBytes; }
};

std::array<std::byte, kIndexPageBytes> EncodeIndexHeader(const IndexHeader& header);
// Sizes are checked against each other and for what can be, not against a file's.
HeaderState DecodeIndexHeader(ByteSpan bytes, IndexHeader& header);
std::vector<std::byte> EncodeRanges(std::span<const PackRange> ranges);
// kCorrupt where a range cannot be, or a pack comes twice.
Result<std::vector<PackRange>> DecodeRanges(ByteSpan bytes, std::size_t count);

// One page of entries. Checked when read: a sealed page's bytes are sorted entries whose packs exist in the table.
struct IndexPage {
  alignas(8) std::array<std::byte, kIndexPageBytes> bytes{};

  std::size_t count() const { return LoadLe<std::uint16_t>(bytes.data() + kIndexPageEntries * kIndexEntryBytes); }
  bool full() const { return count() == kIndexPageEntries; }
  Digest DigestAt(std::size_t i) const;
  // `ranges`: the index's, of which the entry says its pack.
  Location LocationAt(std::size_t i, std::span<const PackRange> ranges) const;
  void Put(std::size_t i, const Digest& digest, std::uint16_t slot, const Location& location);
  void Seal(std::size_t count, std::uint64_t index, std::uint64_t page);
  // kCorrupt unless it checks. `ranges`: how many there are.
  Result<void> Check(std::uint64_t index, std::uint64_t page, std::size_t ranges) const;
  // The first entry that is not less than `digest`.
  std::size_t LowerBound(const Digest& digest) const;
};

// The page on which a digest belongs, of `home_pages`; never less for a greater digest.
inline std::uint64_t HomePage(const Digest& digest, std::uint64_t home_pages) {
  std::uint64_t first = 0;
  for (std::size_t i = 0; i < 4; ++i) first = first << 8 | static_cast<std::uint64_t>(digest.bytes[i]);
  return first * home_pages >> 32;
}

// Thread-safe.
class IndexFile {
 public:
  // kCorrupt where header, stretches or filter do not check. A filter of more than `filter_bytes` is left out.
  static Result<std::shared_ptr<IndexFile>> Open(Env& env, const std::string& path, std::uint64_t filter_bytes);

  std::uint64_t id() const { return header_.id; }
  std::uint64_t entries() const { return header_.entries; }
  std::uint64_t pages() const { return header_.pages; }
  std::span<const PackRange> ranges() const { return ranges_; }
  const std::string& path() const { return path_; }
  std::size_t filter_bytes() const { return filter_.bytes().size(); }
  // False: it does not hold it.
  bool MayHold(const Digest& digest) const { return filter_.MayHold(digest); }

  struct Found {
    std::size_t range = 0;
    Location location;
    std::uint64_t place = 0;  // page * kIndexPageEntries + entry: its number, below Places()
  };
  using FoundList = absl::InlinedVector<Found, 2>;
  // All that it has of a digest: usually one. kWouldBlock where a page is not in memory and `may_block` is false.
  // kCorrupt: damaged() from then on.
  Result<void> Find(bool may_block, const Digest& digest, FoundList& found) const;
  std::uint64_t Places() const { return header_.pages * kIndexPageEntries; }
  Result<void> ReadPage(bool may_block, std::uint64_t page, IndexPage& out) const;
  // A page that does not check was met.
  bool damaged() const { return damaged_.load(std::memory_order_relaxed); }

 private:
  IndexFile(std::unique_ptr<File> file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  const std::unique_ptr<File> file_;
  const std::string path_;
  IndexHeader header_;
  std::vector<PackRange> ranges_;
  DigestFilter filter_;
  mutable std::atomic<bool> damaged_{false};
};

// Walks over the entries of an index in their order. Its memory is one page.
class IndexCursor {
 public:
  explicit IndexCursor(const IndexFile& file) : file_(file) {}

  // False behind the last.
  Result<bool> Next();
  const IndexEntry& entry() const { return entry_; }
  std::size_t range() const { return range_; }
  std::uint64_t place() const { return (page_ - 1) * kIndexPageEntries + at_ - 1; }

 private:
  const IndexFile& file_;
  IndexPage bytes_;
  std::uint64_t page_ = 0;  // the next to be read
  std::size_t at_ = 0;      // the next entry of the one before
  IndexEntry entry_;
  std::size_t range_ = 0;
};

}  // namespace strata::store::pack
