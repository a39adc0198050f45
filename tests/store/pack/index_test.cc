// Index files: written in one pass, found by one page as a rule, merged, and never believed unchecked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "store/pack/index_file.h"
#include "store/pack/index_writer.h"
#include "tests/store/pack/one_file_env.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {
namespace {

Digest NumberedDigest(std::uint64_t i) {
  std::array<std::byte, 8> bytes{};
  StoreLe(bytes.data(), i);
  return Digest::Of(bytes);
}

IndexEntry EntryOf(std::uint64_t i, PackId pack = PackId(1)) {
  return {NumberedDigest(i),
          {.pack = pack,
           .offset = static_cast<std::uint32_t>(64 + 100 * i),
           .stored = 10,
           .raw = 20,
           .kind = i % 3 == 0 ? RecordKind::kDirectory : RecordKind::kChunk,
           .method = Method::kZstd}};
}

std::vector<PackRange> RangeOf(PackId pack, std::uint32_t begin = 64, std::uint32_t end = 1 << 30) {
  return {{.pack = pack, .begin = begin, .end = end, .records = 1, .newest = 7}};
}

std::vector<Location> Find(const IndexFile& index, const Digest& digest) {
  IndexFile::FoundList found;
  const auto looked = index.Find(true, digest, found);
  EXPECT_TRUE(looked) << looked.error().ToString();
  std::vector<Location> locations;
  for (const IndexFile::Found& one : found) locations.push_back(one.location);
  return locations;
}

std::shared_ptr<IndexFile> MustOpenIndex(const std::string& path, std::uint64_t filter_bytes = 1 << 20) {
  auto index = IndexFile::Open(Env::System(), path, filter_bytes);
  EXPECT_TRUE(index) << index.error().ToString();
  return index ? *std::move(index) : nullptr;
}

TEST(PackIndex, WhatWasWrittenIsFoundAndNothingElse) {
  for (const std::uint64_t count : {0U, 1U, 84U, 85U, 86U, 1000U, 20000U}) {
    const QuickFolder folder;
    std::vector<IndexEntry> entries;
    for (std::uint64_t i = 0; i < count; ++i) entries.push_back(EntryOf(i));
    ASSERT_OK(WriteIndex(Env::System(), folder / "i", 9, RangeOf(PackId(1)), entries));
    const auto index = MustOpenIndex(folder / "i");
    EXPECT_EQ(index->entries(), count);
    EXPECT_EQ(index->id(), 9U);
    ASSERT_EQ(index->ranges().size(), 1U);
    EXPECT_EQ(index->ranges()[0], RangeOf(PackId(1))[0]);
    std::uint64_t held = 0;
    for (std::uint64_t i = 0; i < count + 2000; ++i) {
      const auto found = Find(*index, NumberedDigest(i));
      if (i < count) {
        ASSERT_TRUE(index->MayHold(NumberedDigest(i)));
        ASSERT_EQ(found, std::vector<Location>{EntryOf(i).location}) << i;
      } else {
        ASSERT_TRUE(found.empty()) << i;
        held += index->MayHold(NumberedDigest(i)) ? 1 : 0;
      }
    }
    EXPECT_LT(held, 40U) << "of 2000 the filter is wrong of one in a hundred";
  }
}

TEST(PackIndex, WithoutItsFilterItIsAskedEachTime) {
  const QuickFolder folder;
  std::vector<IndexEntry> entries;
  for (std::uint64_t i = 0; i < 500; ++i) entries.push_back(EntryOf(i));
  ASSERT_OK(WriteIndex(Env::System(), folder / "i", 9, RangeOf(PackId(1)), entries));
  const auto index = MustOpenIndex(folder / "i", 10);
  EXPECT_EQ(index->filter_bytes(), 0U);
  EXPECT_TRUE(index->MayHold(NumberedDigest(1000)));
  EXPECT_EQ(Find(*index, NumberedDigest(3)).size(), 1U);
}

// Who puts blobs can choose some bits of their digests, and so fill many pages in a row.
TEST(PackIndex, DigestsThatAllBelongOnOnePageAreFoundInFewReads) {
  const QuickFolder folder;
  std::vector<IndexEntry> entries;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    IndexEntry entry = EntryOf(i);
    for (std::size_t k = 0; k < 4; ++k) entry.digest.bytes[k] = std::byte{0x80};
    entries.push_back(entry);
  }
  entries.push_back(EntryOf(5000));
  ASSERT_OK(WriteIndex(Env::System(), folder / "i", 9, RangeOf(PackId(1)), entries));
  const auto index = MustOpenIndex(folder / "i");
  for (const IndexEntry& entry : entries) {
    ASSERT_EQ(Find(*index, entry.digest), std::vector<Location>{entry.location});
    Digest other = entry.digest;
    other.bytes[31] ^= std::byte{1};
    ASSERT_TRUE(Find(*index, other).empty());
  }
}

TEST(PackIndex, ADigestMayHaveSeveralPlaces) {
  const QuickFolder folder;
  std::vector<IndexEntry> entries;
  for (std::uint64_t i = 0; i < 300; ++i) {
    entries.push_back({NumberedDigest(1), EntryOf(i).location});
    entries.push_back(EntryOf(i + 1000));
  }
  ASSERT_OK(WriteIndex(Env::System(), folder / "i", 9, RangeOf(PackId(1)), entries));
  EXPECT_EQ(Find(*MustOpenIndex(folder / "i"), NumberedDigest(1)).size(), 300U);
}

TEST(PackIndex, ACursorGivesAllInOrder) {
  const QuickFolder folder;
  std::vector<IndexEntry> entries;
  for (std::uint64_t i = 0; i < 3000; ++i) entries.push_back(EntryOf(i));
  ASSERT_OK(WriteIndex(Env::System(), folder / "i", 9, RangeOf(PackId(1)), entries));
  const auto index = MustOpenIndex(folder / "i");
  IndexCursor cursor(*index);
  for (const IndexEntry& entry : entries) {
    ASSERT_TRUE(cursor.Next().value());
    ASSERT_EQ(cursor.entry().digest, entry.digest);
    ASSERT_EQ(cursor.entry().location, entry.location);
    IndexFile::FoundList found;
    ASSERT_OK(index->Find(true, entry.digest, found));
    ASSERT_EQ(found[0].place, cursor.place());
    ASSERT_LT(cursor.place(), index->Places());
  }
  EXPECT_FALSE(cursor.Next().value());
}

TEST(PackIndex, SeveralBecomeOneWithoutWhatIsGoneAndWhatIsTwice) {
  const QuickFolder folder;
  std::vector<std::shared_ptr<IndexFile>> sources;
  for (std::uint64_t k = 0; k < 4; ++k) {
    std::vector<IndexEntry> entries;
    for (std::uint64_t i = 0; i < 400; ++i) entries.push_back(EntryOf(i * 4 + k, PackId(k)));
    // The same as another has, and a second place of it.
    if (k == 1) entries.push_back(EntryOf(0, PackId(1)));
    auto ranges = RangeOf(PackId(k));
    if (k == 2) {
      ranges.push_back(RangeOf(PackId(1), 64, 1 << 30)[0]);
      entries.push_back(EntryOf(1, PackId(1)));
    }
    ASSERT_OK(WriteIndex(Env::System(), folder / std::to_string(k), k, std::move(ranges), entries));
    sources.push_back(MustOpenIndex(folder / std::to_string(k)));
  }
  const auto merged =
      MergeIndexes(Env::System(), folder / "m", 77, sources, [](PackId pack) { return pack != PackId(3); });
  ASSERT_OK(merged);
  EXPECT_EQ(merged->entries, 1201U);
  EXPECT_EQ(merged->dropped, 401U);
  const auto index = MustOpenIndex(folder / "m");
  EXPECT_EQ(index->ranges().size(), 3U);
  for (std::uint64_t i = 0; i < 1600; ++i) {
    const auto found = Find(*index, NumberedDigest(i));
    if (i % 4 == 3) {
      ASSERT_TRUE(found.empty());
    } else {
      ASSERT_EQ(found.size(), i == 0 ? 2U : 1U) << i;
      ASSERT_EQ(found[0], EntryOf(i, PackId(i % 4)).location);
    }
  }
}

TEST(PackIndex, StretchesThatMeetAreOneInWhateverOrderTheyCome) {
  using Stretches = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
  const QuickFolder folder;
  const auto merge = [&](const Stretches& stretches) {
    std::vector<std::shared_ptr<IndexFile>> sources;
    std::vector<IndexEntry> none;
    for (const auto& [begin, end] : stretches) {
      const std::string path = folder / std::to_string(sources.size());
      std::filesystem::remove(path);
      EXPECT_OK(WriteIndex(Env::System(), path, 1, RangeOf(PackId(1), begin, end), none));
      sources.push_back(MustOpenIndex(path));
    }
    std::filesystem::remove(folder / "m");
    EXPECT_OK(MergeIndexes(Env::System(), folder / "m", 1, sources, [](PackId) { return true; }));
    const auto index = MustOpenIndex(folder / "m");
    Stretches merged;
    for (const PackRange& range : index->ranges()) merged.emplace_back(range.begin, range.end);
    return merged;
  };
  EXPECT_EQ(merge({{64, 1000}, {1000, 2000}}), (Stretches{{64, 2000}}));
  EXPECT_EQ(merge({{64, 1000}, {500, 2000}}), (Stretches{{64, 2000}}));
  EXPECT_EQ(merge({{64, 1000}, {100, 200}}), (Stretches{{64, 1000}}));
  EXPECT_EQ(merge({{64, 1000}, {1001, 1100}}), (Stretches{{64, 1000}, {1001, 1100}}));
  EXPECT_EQ(merge({{2000, 3000}, {64, 1000}, {3000, 4000}, {1000, 2000}}), (Stretches{{64, 4000}}));
  EXPECT_EQ(merge({{64, 1000}, {2000, 3000}, {1000, 2000}}), (Stretches{{64, 3000}}));
}

TEST(PackIndex, OfAPackWithStretchesApartAllIsFoundAndMergedAgain) {
  const QuickFolder folder;
  const auto with = [&](const std::string& name, std::uint32_t begin, std::uint32_t end, std::uint64_t i) {
    std::vector<IndexEntry> entries = {EntryOf(i, PackId(1))};
    EXPECT_OK(WriteIndex(Env::System(), folder / name, 1, RangeOf(PackId(1), begin, end), entries));
    return MustOpenIndex(folder / name);
  };
  const auto merge = [&](const std::string& name, const std::vector<std::shared_ptr<IndexFile>>& sources) {
    EXPECT_OK(MergeIndexes(Env::System(), folder / name, 1, sources, [](PackId) { return true; }));
    return MustOpenIndex(folder / name);
  };
  const auto apart = merge("apart", {with("c", 3000, 4000, 3), with("a", 64, 1000, 1)});
  ASSERT_EQ(apart->ranges().size(), 2U);
  const auto whole = merge("whole", {with("b", 1000, 3000, 2), apart});
  ASSERT_EQ(whole->ranges().size(), 1U);
  for (const auto& index : {apart, whole}) {
    for (const std::uint64_t i : {1, 3}) ASSERT_EQ(Find(*index, NumberedDigest(i)).size(), 1U);
  }
  EXPECT_EQ(Find(*whole, NumberedDigest(2)).size(), 1U);
}

TEST(PackIndex, AFlippedByteIsSeenAndNoWrongPlaceIsGiven) {
  const QuickFolder folder;
  std::vector<IndexEntry> entries;
  for (std::uint64_t i = 0; i < 100; ++i) entries.push_back(EntryOf(i));
  ASSERT_OK(WriteIndex(Env::System(), folder / "i", 9, RangeOf(PackId(1)), entries));
  std::string bytes = Slurp(folder / "i");
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const char whole = bytes[at];
    bytes[at] = static_cast<char>(whole ^ (1 << (at % 8)));
    OneFileEnv env(AsBytes(bytes));
    const auto index = IndexFile::Open(env, "f", 1 << 20);
    if (!index) {
      ASSERT_EQ(index.error().code(), Errc::kCorrupt) << at;
      bytes[at] = whole;
      continue;
    }
    for (std::size_t i = at % 10; i < entries.size(); i += 10) {
      const IndexEntry& entry = entries[i];
      if (!(*index)->MayHold(entry.digest)) FAIL() << at;
      IndexFile::FoundList found;
      const auto looked = (*index)->Find(true, entry.digest, found);
      if (!looked) {
        ASSERT_EQ(looked.error().code(), Errc::kCorrupt) << at;
        ASSERT_TRUE((*index)->damaged());
        continue;
      }
      ASSERT_EQ(found.size(), 1U) << at;
      ASSERT_EQ(found[0].location, entry.location) << at;
    }
    bytes[at] = whole;
  }
}

TEST(PackIndex, TheHeaderOfAnIndexIsTheseBytes) {
  const auto bytes = EncodeIndexHeader({.id = 0x0123456789abcdef,
                                        .ranges = 2,
                                        .entries = 5,
                                        .home_pages = 1,
                                        .pages = 1,
                                        .filter_blocks = 1,
                                        .ranges_crc = 0x11223344,
                                        .filter_crc = 0x55667788});
  std::string text;
  for (const std::byte byte : ByteSpan(bytes).first(64)) {
    text += "0123456789abcdef"[static_cast<unsigned>(byte) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned>(byte) & 15];
  }
  EXPECT_EQ(text,
            "535452415441490a0100000002000000efcdab89674523010500000000000000"
            "0100000000000000010000000000000001000000000000004433221188776655");
}

TEST(PackIndex, ATableOfPacksThatCannotBeIsRefused) {
  const std::vector<PackRange> twice{RangeOf(PackId(1))[0], RangeOf(PackId(1))[0]};
  EXPECT_FALSE(DecodeRanges(EncodeRanges(twice), 2));
  const std::vector<PackRange> backwards = RangeOf(PackId(1), 1000, 64);
  EXPECT_FALSE(DecodeRanges(EncodeRanges(backwards), 1));
  const std::vector<PackRange> header = RangeOf(PackId(1), 0, 64);
  EXPECT_FALSE(DecodeRanges(EncodeRanges(header), 1));
  EXPECT_FALSE(DecodeRanges(EncodeRanges(RangeOf(PackId(1))), 2));
}

}  // namespace
}  // namespace strata::store::pack
