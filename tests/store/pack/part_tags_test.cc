// Parts of chunks that were verified: they are read alone once the chunk has left memory, and never wrong ones.
#include "store/pack/part_tags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kPart = PartTags::kPart;

Location StoredRaw(const std::string& chunk) {
  const auto size = static_cast<std::uint32_t>(chunk.size());
  return {.pack = PackId(7), .offset = 64, .stored = size, .raw = size};
}

// The chunk's bytes from the beginning of the part that `offset` lies in.
ByteSpan FromPart(const PartTags::Chunk& tagged, const std::string& chunk, std::uint64_t offset) {
  return AsBytes(chunk).subspan(tagged.BeginOf(tagged.PartAt(offset)));
}

TEST(PartTags, PartsBeginWhereClientsReadWhateverTheChunkBeginsAt) {
  PartTags tags(Env::System(), 1 << 20);
  const std::string chunk = Noise(100'001, 1);
  const Digest digest = Digest::Of(AsBytes(chunk));
  for (const std::uint64_t begin : {0, 1, 4095, 4096, 12'345}) {
    SCOPED_TRACE(begin);
    tags.Add(digest, StoredRaw(chunk), begin, AsBytes(chunk));
    const auto tagged = tags.Find(digest, begin);
    ASSERT_TRUE(tagged);
    std::uint64_t end = 0;
    for (std::size_t part = 0; part < tagged->tags.size(); ++part) {
      ASSERT_EQ(tagged->BeginOf(part), end);
      end = tagged->EndOf(part);
      EXPECT_TRUE((begin + end) % kPart == 0 || end == chunk.size());
      EXPECT_EQ(tagged->PartAt(tagged->BeginOf(part)), part);
      EXPECT_EQ(tagged->PartAt(end - 1), part);
    }
    EXPECT_EQ(end, chunk.size());
    EXPECT_FALSE(tags.Find(digest, begin + 7)) << "its parts would begin elsewhere";
  }
}

TEST(PartTags, APartPassesOnlyWhereEachByteIsAsItWas) {
  PartTags tags(Env::System(), 1 << 20);
  std::string chunk = Noise(40'000, 2);
  const Digest digest = Digest::Of(AsBytes(chunk));
  tags.Add(digest, StoredRaw(chunk), 100, AsBytes(chunk));
  const auto tagged = tags.Find(digest, 100);
  ASSERT_TRUE(tagged);
  for (std::size_t at = 0; at < chunk.size(); at += 61) {
    const std::size_t part = tagged->PartAt(at);
    const auto bytes = FromPart(*tagged, chunk, at).first(tagged->EndOf(part) - tagged->BeginOf(part));
    ASSERT_TRUE(tags.Check(*tagged, part, bytes));
    chunk[at] = static_cast<char>(chunk[at] ^ (1 << at % 8));
    ASSERT_FALSE(tags.Check(*tagged, part, bytes)) << at;
    ASSERT_FALSE(tags.Check(*tagged, 0, AsBytes(chunk))) << at;
    chunk[at] = static_cast<char>(chunk[at] ^ (1 << at % 8));
  }
  EXPECT_TRUE(tags.Check(*tagged, 0, AsBytes(chunk)));
  EXPECT_FALSE(tags.Check(*tagged, 0, AsBytes(chunk).first(kPart - 101))) << "not a whole part";
  EXPECT_FALSE(tags.Check(*tagged, 1, AsBytes(chunk))) << "another part's bytes";
}

TEST(PartTags, TwoProcessesTagTheSameBytesDifferently) {
  const std::string chunk = Noise(40'000, 3);
  const Digest digest = Digest::Of(AsBytes(chunk));
  PartTags one(Env::System(), 1 << 20), other(Env::System(), 1 << 20);
  for (PartTags* tags : {&one, &other}) tags->Add(digest, StoredRaw(chunk), 0, AsBytes(chunk));
  EXPECT_NE(one.Find(digest, 0)->tags, other.Find(digest, 0)->tags);
}

TEST(PartTags, WhatIsSmallOrCompressedHasNoneAndAllStayWithinTheirBytes) {
  PartTags tags(Env::System(), 64 << 10);
  const std::string small = Noise(PartTags::kSmallest - 1, 4);
  tags.Add(Digest::Of(AsBytes(small)), StoredRaw(small), 0, AsBytes(small));
  EXPECT_FALSE(tags.Find(Digest::Of(AsBytes(small)), 0));
  const std::string large = Noise(PartTags::kSmallest, 5);
  Location compressed = StoredRaw(large);
  compressed.method = Method::kZstd;
  tags.Add(Digest::Of(AsBytes(large)), compressed, 0, AsBytes(large));
  EXPECT_FALSE(tags.Find(Digest::Of(AsBytes(large)), 0));
  std::vector<Digest> all;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const std::string chunk = Noise(PartTags::kSmallest, 100 + i);
    all.push_back(Digest::Of(AsBytes(chunk)));
    tags.Add(all.back(), StoredRaw(chunk), 0, AsBytes(chunk));
    ASSERT_TRUE(tags.Find(all.back(), 0));
  }
  const auto kept = std::ranges::count_if(all, [&](const Digest& digest) { return tags.Find(digest, 0) != nullptr; });
  EXPECT_LT(kept, 1000 * (8 * sizeof(std::uint64_t) + 100) / 100) << "64 KiB hold so many at most";
  EXPECT_LE(kept * (8 * sizeof(std::uint64_t)), 64U << 10);
  EXPECT_GT(kept, 100);
}

// A store with a blob of many chunks, more than its memory holds.
class PiecesOfChunks : public ::testing::Test {
 protected:
  static constexpr Waiting kNow{.may_block = false};

  void SetUp() override {
    PackStoreOptions options{.create = true, .average_chunk = 128 << 10, .threads = 1, .holder = "a test"};
    {
      const auto store = MustOpen(Env::System(), folder_ / "s", options);
      digest_ = MustPut(*store, blob_);
      ASSERT_OK(store->engine().PublishIndexes());
    }
    options.read_only = true;
    options.memory_bytes = 16 << 20;
    store_ = MustOpen(Env::System(), folder_ / "s", options);
    auto reader = store_->blobs()->Open({}, digest_);
    ASSERT_OK(reader);
    reader_ = *std::move(reader);
    ASSERT_EQ(Get(*store_, digest_), blob_);
  }

  std::string PackPath() const {
    const auto packs = FilesOf(folder_ / "s", ".pack");
    return *std::ranges::max_element(packs, {}, [](const auto& path) { return std::filesystem::file_size(path); });
  }
  // Changes the byte that the pack has of this one of the blob.
  void Damage(std::uint64_t offset) {
    std::string pack = Slurp(PackPath());
    const std::size_t at = pack.find(blob_.substr(offset, 64));
    ASSERT_NE(at, std::string::npos);
    pack[at] = static_cast<char>(pack[at] + 1);
    const auto file = Env::System().Open(PackPath(), OpenMode::kReadWrite);
    ASSERT_OK(file);
    const ByteSpan byte = AsBytes(pack).subspan(at, 1);
    ASSERT_OK((*file)->WriteAt(at, {&byte, 1}));
  }

  const QuickFolder folder_;
  const std::string blob_ = Noise(24 << 20, 11);
  Digest digest_;
  std::shared_ptr<PackStore> store_;
  std::shared_ptr<BlobReader> reader_;
};

TEST_F(PiecesOfChunks, AreReadByWhoMayNotWaitOnceTheChunkWasVerified) {
  // Of a store of 24 MiB at most 11 are in memory.
  for (std::uint64_t offset = 0; offset + 9000 < blob_.size(); offset += 70'001) {
    const auto piece = reader_->Pin(kNow, offset, 9000);
    ASSERT_OK(piece);
    ASSERT_EQ(AsText(piece->bytes), blob_.substr(offset, piece->bytes.size()));
    ASSERT_FALSE(piece->bytes.empty());
  }
  EXPECT_LT(store_->engine().cache().bytes(), 12U << 20);
}

TEST_F(PiecesOfChunks, ADamagedPartIsNeverGivenAndItsNeighboursAre) {
  // The first chunks have left memory by now.
  Damage(70'000);
  std::set<std::uint64_t> failed;
  for (std::uint64_t offset = 0; offset < 1 << 20; offset += kPart) {
    const auto piece = reader_->Pin({}, offset, kPart);
    if (piece) {
      EXPECT_EQ(AsText(piece->bytes), blob_.substr(offset, piece->bytes.size()));
    } else {
      EXPECT_EQ(piece.error().code(), Errc::kCorrupt);
      EXPECT_THAT(piece.error().ToString(), HasSubstr(PackPath()));
      failed.insert(offset);
    }
  }
  EXPECT_TRUE(failed.contains(70'000 / kPart * kPart));
  // What was read of its chunk before was right; from there on no part of it is trusted.
  EXPECT_LT(failed.size(), 100U);
}

TEST_F(PiecesOfChunks, APackThatWasCutIsFound) {
  std::filesystem::resize_file(PackPath(), 65'536);
  const auto piece = reader_->Pin({}, 300'000, kPart);
  ASSERT_FALSE(piece);
  EXPECT_EQ(piece.error().code(), Errc::kCorrupt);
}

TEST_F(PiecesOfChunks, WhatIsReadAgainAndAgainComesIntoMemory) {
  // A chunk that left it.
  int waits = 0;
  for (int i = 0; i < 32 * 300; ++i) {
    const std::uint64_t offset = 40'960 + i % 8 * kPart;
    const auto piece = reader_->Pin(kNow, offset, kPart);
    if (!piece) {
      ASSERT_EQ(piece.error().code(), Errc::kWouldBlock);
      ASSERT_OK(reader_->Pin({}, offset, kPart));
      ++waits;
    }
  }
  EXPECT_EQ(waits, 1) << "it is read as a whole once, and stays";
}

}  // namespace
}  // namespace strata::store::pack
