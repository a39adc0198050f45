// The bytes of packs, as docs/formats/pack.md has them.
#include "store/pack/format.h"

#include <gtest/gtest.h>

#include "base/hash.h"
#include "store/pack/layout.h"
#include "store/pack/list_record.h"
#include "store/pack/scan.h"
#include "tests/base/hex.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {
namespace {

const PackHeader kHeader{
    .pack_class = PackClass::kData, .id = PackId(0x0123456789abcdef), .created = Time{1'700'000'000'000'000'000}};

TEST(PackFormat, TheHeaderOfAPackIsTheseBytes) {
  EXPECT_EQ(ToHex(EncodePackHeader(kHeader)),
            "535452415441500a0100000000000000efcdab896745230100002a36fe9c9717" + std::string(56, '0') + "be2443dd");
  PackHeader header;
  ASSERT_EQ(DecodePackHeader(EncodePackHeader(kHeader), header), HeaderState::kValid);
  EXPECT_EQ(header.pack_class, kHeader.pack_class);
  EXPECT_EQ(header.id, kHeader.id);
  EXPECT_EQ(header.created, kHeader.created);
}

TEST(PackFormat, ARecordIsTheseBytes) {
  const std::string content = "hello";
  RecordHeader header{.kind = RecordKind::kChunk,
                      .method = Method::kRaw,
                      .raw = 5,
                      .stored = 5,
                      .time = 1'700'000'000,
                      .stored_crc = Crc32c(AsBytes(content)),
                      .digest = Digest::Of(AsBytes(content))};
  std::array<std::byte, kRecordHeaderBytes> bytes{};
  EncodeRecordHeader(header, kHeader.id, kPackHeaderBytes, bytes.data());
  EXPECT_EQ(ToHex(bytes),
            "53545052010000000500000005000000"
            "00f15365"
            "4cbb719a"
            "00000000"
            "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"
            "808832f0");
  const auto decoded = DecodeRecordHeader(bytes, kHeader.id, kPackHeaderBytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->digest, header.digest);
  EXPECT_EQ(decoded->time, header.time);
  EXPECT_FALSE(DecodeRecordHeader(bytes, kHeader.id, kPackHeaderBytes + 1)) << "elsewhere it is none";
  EXPECT_FALSE(DecodeRecordHeader(bytes, PackId(1), kPackHeaderBytes)) << "nor in another pack";
}

TEST(PackFormat, AFlippedBitOfAHeaderIsSeen) {
  const auto whole = EncodePackHeader(kHeader);
  RecordHeader record{.raw = 5, .stored = 5, .digest = Digest::OfEmpty()};
  std::array<std::byte, kRecordHeaderBytes> record_bytes{};
  EncodeRecordHeader(record, kHeader.id, 64, record_bytes.data());
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    auto flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    PackHeader header;
    EXPECT_EQ(DecodePackHeader(flipped, header), HeaderState::kInvalid) << bit;
    auto flipped_record = record_bytes;
    flipped_record[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(DecodeRecordHeader(flipped_record, kHeader.id, 64)) << bit;
  }
}

TEST(PackFormat, SizesThatCannotBeAreRefused) {
  EXPECT_TRUE(SizesAreValid(RecordKind::kChunk, Method::kRaw, 0, 0));
  EXPECT_FALSE(SizesAreValid(RecordKind::kChunk, Method::kRaw, 5, 4));
  EXPECT_TRUE(SizesAreValid(RecordKind::kChunk, Method::kZstd, 5, 4));
  EXPECT_FALSE(SizesAreValid(RecordKind::kChunk, Method::kZstd, 5, 5));
  EXPECT_FALSE(SizesAreValid(RecordKind::kChunk, Method::kRaw, kMaxChunkBytes + 1, kMaxChunkBytes + 1));
  EXPECT_TRUE(SizesAreValid(RecordKind::kDirectory, Method::kRaw, kMaxChunkBytes + 1, kMaxChunkBytes + 1));
  EXPECT_FALSE(SizesAreValid(RecordKind::kDirectory, Method::kZstd, kMaxDirectoryBytes + 1, 10));
  EXPECT_FALSE(SizesAreValid(static_cast<RecordKind>(0), Method::kRaw, 1, 1));
  EXPECT_FALSE(SizesAreValid(static_cast<RecordKind>(5), Method::kRaw, 1, 1));
  EXPECT_FALSE(SizesAreValid(RecordKind::kChunk, static_cast<Method>(2), 1, 1));
}

TEST(PackFormat, AChunkListIsTheseBytes) {
  const ChunkList chunks{{Digest::OfEmpty(), 3}, {Digest::Of(AsBytes("x")), 0x0102030405}};
  const ChunkList small{{Digest::OfEmpty(), 3}, {Digest::Of(AsBytes("x")), 7}};
  EXPECT_EQ(ToHex(EncodeList(true, small)).substr(0, 32), "01000000020000000a00000000000000");
  EXPECT_EQ(ToHex(EncodeList(false, small)).substr(0, 8), "00000000");
  EXPECT_EQ(ToHex(EncodeList(false, small)).substr(32, 80), Digest::OfEmpty().Hex() + "0300000000000000");
  const auto parts = ParseList(EncodeList(true, chunks));
  ASSERT_OK(parts);
  EXPECT_TRUE(parts->of_parts);
  EXPECT_EQ(parts->size, 0x0102030408U);
  EXPECT_EQ(parts->entries, chunks);
  EXPECT_FALSE(ParseList(EncodeList(false, chunks))) << "no chunk is so large";
}

TEST(PackFormat, AChunkListThatCannotBeIsRefused) {
  const ChunkList chunks{{Digest::OfEmpty(), 3}, {Digest::Of(AsBytes("x")), 7}};
  const std::vector<std::byte> whole = EncodeList(false, chunks);
  ASSERT_OK(ParseList(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(ParseList(ByteSpan(whole).first(size))) << size;
  const auto with = [&](std::size_t at, std::uint8_t value) {
    std::vector<std::byte> bytes = whole;
    bytes[at] = std::byte{value};
    return ParseList(bytes);
  };
  EXPECT_FALSE(with(0, 2)) << "parts of parts";
  EXPECT_FALSE(with(4, 1)) << "fewer entries";
  EXPECT_FALSE(with(8, 9)) << "another sum";
  EXPECT_FALSE(with(8, 11)) << "another sum";
  EXPECT_FALSE(with(16 + 32, 0)) << "an entry without bytes";
  EXPECT_FALSE(with(16 + 32 + 7, 0xff)) << "a sum that overflows";
  EXPECT_FALSE(ParseList(EncodeList(false, {})));
}

TEST(PackFormat, NamesOfFilesAreReadAsTheyAreWritten) {
  EXPECT_EQ(PackFileName(PackId(0xff)), "00000000000000ff.pack");
  EXPECT_EQ(ParsePackFileName("00000000000000ff.pack"), PackId(0xff));
  EXPECT_EQ(ParseIndexFileName(IndexFileName(~std::uint64_t{0})), ~std::uint64_t{0});
  for (const char* name : {"ff.pack", "00000000000000FF.pack", "00000000000000ff.index", "00000000000000ff.pack.new",
                           "0000000000000-ff.pack", ".pack", ""}) {
    EXPECT_FALSE(ParsePackFileName(name)) << name;
  }
}

TEST(PackFormat, AStoresFormatIsTheseBytes) {
  EXPECT_EQ(ToHex(EncodeStoreFormat({.pack_bytes = 512 << 20})).substr(0, 48),
            "535452415441530a01000000000000000000002000000000");
  EXPECT_EQ(DecodeStoreFormat(EncodeStoreFormat({.pack_bytes = 512 << 20})).value().pack_bytes, 512U << 20);
  EXPECT_FALSE(DecodeStoreFormat(EncodeStoreFormat({.pack_bytes = 0})));
  EXPECT_FALSE(DecodeStoreFormat(EncodeStoreFormat({.pack_bytes = ~std::uint64_t{0}})));
  auto bytes = EncodeStoreFormat({.pack_bytes = 512 << 20});
  bytes[20] ^= std::byte{1};
  EXPECT_EQ(DecodeStoreFormat(bytes).error().code(), Errc::kCorrupt);
}

// Content that is itself a pack, record for record, is never read as records.
TEST(PackFormat, APackWithinAPackIsContent) {
  const QuickFolder folder;
  std::string inner;
  {
    const auto store = MustOpen(Env::System(), folder / "one");
    for (std::uint64_t i = 0; i < 5; ++i) MustPut(*store, Noise(100, i));
    ASSERT_OK(store->Sync());
    inner = Slurp(FilesOf(folder / "one", ".pack")[0]);
  }
  ASSERT_LT(inner.size(), 1024U);
  {
    const auto store = MustOpen(Env::System(), folder / "two");
    MustPut(*store, inner);
    ASSERT_OK(store->Sync());
  }
  // Its own header is lost, so that what follows is searched.
  const std::string path = FilesOf(folder / "two", ".pack")[0];
  std::string outer = Slurp(path);
  ASSERT_NE(outer.find("STRATAP", 64), std::string::npos) << "it was compressed: the test needs content that is not";
  outer[kPackHeaderBytes + 9] ^= 1;
  Spill(path, outer);
  const auto store = MustOpen(Env::System(), folder / "two");
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(Get(*store, Digest::Of(AsBytes(Noise(100, i)))), "(none)");
}

}  // namespace
}  // namespace strata::store::pack
