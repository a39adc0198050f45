#include "store/pack/index_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "base/hash.h"

namespace strata::store::pack {
namespace {

constexpr std::string_view kIndexMagic = "STRATAI\n";
constexpr std::size_t kRangeBytes = 24;
constexpr std::size_t kHeaderUsed = 128;
// Enough for 10^11 entries, and no sum of sizes overflows.
constexpr std::uint64_t kMaxPages = 1ULL << 31;

std::uint64_t RoundUp(std::uint64_t bytes) { return (bytes + kIndexPageBytes - 1) / kIndexPageBytes * kIndexPageBytes; }

std::uint32_t PageCrc(std::uint64_t index, std::uint64_t page, ByteSpan bytes) {
  std::array<std::byte, 16> name{};
  StoreLe(name.data(), index);
  StoreLe(name.data() + 8, page);
  return Crc32c(bytes.first(kIndexPageBytes - 4), Crc32c(name));
}

std::size_t SlotAt(const IndexPage& page, std::size_t i) {
  return LoadLe<std::uint16_t>(page.bytes.data() + i * kIndexEntryBytes + 44);
}

}  // namespace

std::uint64_t IndexHeader::FilterOffset() const {
  return RangesOffset() + RoundUp(std::uint64_t{ranges} * kRangeBytes);
}
std::uint64_t IndexHeader::PagesOffset() const {
  return FilterOffset() + RoundUp(filter_blocks * DigestFilter::kBlockBytes);
}

std::array<std::byte, kIndexPageBytes> EncodeIndexHeader(const IndexHeader& header) {
  std::array<std::byte, kIndexPageBytes> bytes{};
  std::ranges::copy(AsBytes(kIndexMagic), bytes.begin());
  StoreLe(bytes.data() + 8, kIndexVersion);
  StoreLe(bytes.data() + 12, header.ranges);
  StoreLe(bytes.data() + 16, header.id);
  StoreLe(bytes.data() + 24, header.entries);
  StoreLe(bytes.data() + 32, header.home_pages);
  StoreLe(bytes.data() + 40, header.pages);
  StoreLe(bytes.data() + 48, header.filter_blocks);
  StoreLe(bytes.data() + 56, header.ranges_crc);
  StoreLe(bytes.data() + 60, header.filter_crc);
  StoreLe(bytes.data() + kHeaderUsed - 4, Crc32c(ByteSpan(bytes).first(kHeaderUsed - 4)));
  return bytes;
}

HeaderState DecodeIndexHeader(ByteSpan bytes, IndexHeader& header) {
  if (bytes.size() < kHeaderUsed || AsText(bytes.first(8)) != kIndexMagic ||
      LoadLe<std::uint32_t>(bytes.data() + kHeaderUsed - 4) != Crc32c(bytes.first(kHeaderUsed - 4))) {
    return HeaderState::kInvalid;
  }
  const auto version = LoadLe<std::uint16_t>(bytes.data() + 8);
  if (version > kIndexVersion) return HeaderState::kNewer;
  header.ranges = LoadLe<std::uint32_t>(bytes.data() + 12);
  header.id = LoadLe<std::uint64_t>(bytes.data() + 16);
  header.entries = LoadLe<std::uint64_t>(bytes.data() + 24);
  header.home_pages = LoadLe<std::uint64_t>(bytes.data() + 32);
  header.pages = LoadLe<std::uint64_t>(bytes.data() + 40);
  header.filter_blocks = LoadLe<std::uint64_t>(bytes.data() + 48);
  header.ranges_crc = LoadLe<std::uint32_t>(bytes.data() + 56);
  header.filter_crc = LoadLe<std::uint32_t>(bytes.data() + 60);
  const bool sound = version != 0 && header.ranges <= kMaxIndexRanges && header.home_pages != 0 &&
                     header.home_pages <= header.pages && header.pages <= kMaxPages &&
                     header.entries <= header.pages * kIndexPageEntries && header.filter_blocks != 0 &&
                     header.filter_blocks <= kMaxPages * kIndexPageEntries;
  return sound ? HeaderState::kValid : HeaderState::kInvalid;
}

std::vector<std::byte> EncodeRanges(std::span<const PackRange> ranges) {
  std::vector<std::byte> bytes(ranges.size() * kRangeBytes);
  std::byte* at = bytes.data();
  for (const PackRange& range : ranges) {
    StoreLe(at, range.pack.value);
    StoreLe(at + 8, range.begin);
    StoreLe(at + 12, range.end);
    StoreLe(at + 16, range.records);
    StoreLe(at + 20, range.newest);
    at += kRangeBytes;
  }
  return bytes;
}

Result<std::vector<PackRange>> DecodeRanges(ByteSpan bytes, std::size_t count) {
  ByteReader reader(bytes);
  std::vector<PackRange> ranges;
  if (bytes.size() != count * kRangeBytes) return Fail(Errc::kCorrupt, "a table of packs of another size");
  ranges.reserve(count);
  absl::flat_hash_set<std::pair<PackId, std::uint32_t>> seen;
  for (std::size_t i = 0; i < count; ++i) {
    PackRange range;
    range.pack = PackId(reader.Read<std::uint64_t>());
    range.begin = reader.Read<std::uint32_t>();
    range.end = reader.Read<std::uint32_t>();
    range.records = reader.Read<std::uint32_t>();
    range.newest = reader.Read<std::uint32_t>();
    if (range.begin < kPackHeaderBytes || range.begin > range.end || !seen.emplace(range.pack, range.begin).second) {
      return Fail(Errc::kCorrupt, "a table of packs that cannot be");
    }
    ranges.push_back(range);
  }
  return ranges;
}

Digest IndexPage::DigestAt(std::size_t i) const {
  Digest digest;
  std::memcpy(digest.bytes.data(), bytes.data() + i * kIndexEntryBytes, Digest::kSize);
  return digest;
}

Location IndexPage::LocationAt(std::size_t i, std::span<const PackRange> ranges) const {
  const std::byte* const at = bytes.data() + i * kIndexEntryBytes + Digest::kSize;
  return {.pack = ranges[SlotAt(*this, i)].pack,
          .offset = LoadLe<std::uint32_t>(at),
          .stored = LoadLe<std::uint32_t>(at + 4),
          .raw = LoadLe<std::uint32_t>(at + 8),
          .kind = static_cast<RecordKind>(LoadLe<std::uint8_t>(at + 14)),
          .method = static_cast<Method>(LoadLe<std::uint8_t>(at + 15))};
}

void IndexPage::Put(std::size_t i, const Digest& digest, std::uint16_t slot, const Location& location) {
  std::byte* const at = bytes.data() + i * kIndexEntryBytes;
  std::memcpy(at, digest.bytes.data(), Digest::kSize);
  StoreLe(at + 32, location.offset);
  StoreLe(at + 36, location.stored);
  StoreLe(at + 40, location.raw);
  StoreLe(at + 44, slot);
  StoreLe(at + 46, static_cast<std::uint8_t>(location.kind));
  StoreLe(at + 47, static_cast<std::uint8_t>(location.method));
}

void IndexPage::Seal(std::size_t count, std::uint64_t index, std::uint64_t page) {
  std::byte* const tail = bytes.data() + kIndexPageEntries * kIndexEntryBytes;
  std::memset(bytes.data() + count * kIndexEntryBytes, 0, kIndexPageBytes - count * kIndexEntryBytes);
  StoreLe(tail, static_cast<std::uint16_t>(count));
  StoreLe(bytes.data() + kIndexPageBytes - 4, PageCrc(index, page, bytes));
}

Result<void> IndexPage::Check(std::uint64_t index, std::uint64_t page, std::size_t ranges) const {
  const auto bad = [&](const char* what) {
    return Fail(Errc::kCorrupt, "page " + std::to_string(page) + " of the index " + what);
  };
  if (LoadLe<std::uint32_t>(bytes.data() + kIndexPageBytes - 4) != PageCrc(index, page, bytes)) {
    return bad("does not check");
  }
  if (count() > kIndexPageEntries) return bad("has more entries than fit");
  // The checksum says that we wrote it. What would be read beyond its bounds is looked at all the same.
  for (std::size_t i = 0; i < count(); ++i) {
    if (SlotAt(*this, i) >= ranges) return bad("names a pack that the index does not have");
  }
  return {};
}

std::size_t IndexPage::LowerBound(const Digest& digest) const {
  std::size_t low = 0, high = count();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (std::memcmp(bytes.data() + middle * kIndexEntryBytes, digest.bytes.data(), Digest::kSize) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

Result<std::shared_ptr<IndexFile>> IndexFile::Open(Env& env, const std::string& path, std::uint64_t filter_bytes) {
  STRATA_ASSIGN(auto file, env.Open(path, OpenMode::kRead));
  std::shared_ptr<IndexFile> index(new IndexFile(std::move(file), path));
  const auto corrupt = [&](const char* what) { return Fail(Errc::kCorrupt, path + ": " + what); };
  std::array<std::byte, kHeaderUsed> head{};
  STRATA_ASSIGN(const std::size_t got, index->file_->ReadAt(0, head));
  switch (DecodeIndexHeader(ByteSpan(head).first(got), index->header_)) {
    case HeaderState::kValid:
      break;
    case HeaderState::kNewer:
      return Fail(Errc::kNotSupported, path + " is of a newer version; use the program that wrote it");
    case HeaderState::kInvalid:
      return corrupt("its header does not check");
  }
  const IndexHeader& header = index->header_;
  STRATA_ASSIGN(const std::uint64_t size, index->file_->Size());
  if (size < header.FileBytes()) return corrupt("it is shorter than it says");
  std::vector<std::byte> table(std::size_t{header.ranges} * kRangeBytes);
  STRATA_ASSIGN(const std::size_t table_got, index->file_->ReadAt(header.RangesOffset(), table));
  if (table_got != table.size() || Crc32c(table) != header.ranges_crc) return corrupt("its packs do not check");
  STRATA_ASSIGN(index->ranges_, DecodeRanges(table, header.ranges));
  if (header.filter_blocks * DigestFilter::kBlockBytes > filter_bytes) return index;
  DigestFilter filter(header.filter_blocks);
  STRATA_ASSIGN(const std::size_t filter_got, index->file_->ReadAt(header.FilterOffset(), filter.mutable_bytes()));
  if (filter_got != filter.bytes().size() || Crc32c(filter.bytes()) != header.filter_crc) {
    return corrupt("its filter does not check");
  }
  index->filter_ = std::move(filter);
  return index;
}

Result<void> IndexFile::ReadPage(bool may_block, std::uint64_t page, IndexPage& out) const {
  const std::uint64_t offset = header_.PagesOffset() + page * kIndexPageBytes;
  STRATA_ASSIGN(const std::size_t got,
                may_block ? file_->ReadAt(offset, out.bytes) : file_->ReadCached(offset, out.bytes));
  const Result<void> checked =
      got == kIndexPageBytes ? out.Check(header_.id, page, ranges_.size()) : Fail(Errc::kCorrupt, "its end is missing");
  if (checked) return {};
  damaged_.store(true, std::memory_order_relaxed);
  return Fail(checked.error().WithContext(path_));
}

Result<void> IndexFile::Find(bool may_block, const Digest& digest, FoundList& found) const {
  // Entries lie on their home page or, where that is full, on the next that has room. So all pages between are full,
  // and their last entries are less. A page that is not so ends the search: the first one is found by doubling steps,
  // since who can choose digests can fill many pages in a row.
  IndexPage page;
  const auto ends = [&](const IndexPage& at) {
    return !at.full() || std::memcmp(at.bytes.data() + (kIndexPageEntries - 1) * kIndexEntryBytes, digest.bytes.data(),
                                     Digest::kSize) >= 0;
  };
  std::uint64_t low = HomePage(digest, header_.home_pages), high = low;
  STRATA_TRY(ReadPage(may_block, low, page));
  if (!ends(page)) {
    for (std::uint64_t step = 1;; step *= 2) {
      high = low + step;
      if (high >= header_.pages) {
        high = header_.pages;
        break;
      }
      STRATA_TRY(ReadPage(may_block, high, page));
      if (ends(page)) break;
      low = high;
    }
    while (high - low > 1) {
      const std::uint64_t middle = low + (high - low) / 2;
      STRATA_TRY(ReadPage(may_block, middle, page));
      (ends(page) ? high : low) = middle;
    }
    if (high == header_.pages) return {};
    STRATA_TRY(ReadPage(may_block, high, page));
  }
  for (std::size_t at = page.LowerBound(digest);; ++at) {
    if (at == page.count()) {
      if (!page.full() || ++high == header_.pages) return {};
      STRATA_TRY(ReadPage(may_block, high, page));
      at = 0;
      if (page.count() == 0) return {};
    }
    if (page.DigestAt(at) != digest) return {};
    found.push_back({SlotAt(page, at), page.LocationAt(at, ranges_), high * kIndexPageEntries + at});
  }
}

Result<bool> IndexCursor::Next() {
  while (page_ == 0 || at_ == bytes_.count()) {
    if (page_ == file_.pages()) return false;
    STRATA_TRY(file_.ReadPage(true, page_, bytes_));
    ++page_;
    at_ = 0;
  }
  entry_ = {bytes_.DigestAt(at_), bytes_.LocationAt(at_, file_.ranges())};
  range_ = SlotAt(bytes_, at_);
  ++at_;
  return true;
}

}  // namespace strata::store::pack
