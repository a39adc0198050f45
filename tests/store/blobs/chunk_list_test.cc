#include "store/blobs/chunk_list.h"

#include <castore.pb.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "store/blobs/blob_service.h"
#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

using ::testing::HasSubstr;

ChunkMeta Chunk(std::string_view content, std::uint64_t size) { return {Digest::Of(AsBytes(content)), size}; }

ChunkList SomeChunks() {
  return {Chunk("a", 1), Chunk("b", 127), Chunk("c", 128), Chunk("a", 262144), Chunk("d", kMaxChunkBytes)};
}

std::string WhyRefused(std::string_view message) {
  const auto parsed = ParseChunkList(AsBytes(message));
  if (parsed) return "it was taken";
  EXPECT_EQ(parsed.error().code(), Errc::kInvalid);
  return std::string(parsed.error().message());
}

tvix::castore::v1::StatBlobResponse ProtoOf(const ChunkList& chunks) {
  tvix::castore::v1::StatBlobResponse response;
  for (const ChunkMeta& chunk : chunks) {
    auto* meta = response.add_chunks();
    meta->set_digest(std::string(AsText(chunk.digest.bytes)));
    meta->set_size(chunk.size);
  }
  return response;
}

TEST(ChunkList, IsWrittenAndReadAsLibprotobufDoes) {
  for (const ChunkList& chunks : {ChunkList(), ChunkList{Chunk("a", 300)}, SomeChunks()}) {
    const std::string theirs = ProtoOf(chunks).SerializeAsString();
    EXPECT_EQ(AsText(EncodeChunkList(chunks)), theirs);
    EXPECT_EQ(ParseChunkList(AsBytes(theirs)).value(), chunks);
  }
}

TEST(ChunkList, CA27_TheMessagesOfAStoreAreRead) {
  STRATA_FIXTURE(blobs, "blobs.json");
  const std::filesystem::path folder = FixturePath("store/blobs/b3");
  std::size_t lists = 0;
  for (const auto& [digest, blob] : blobs.items()) {
    std::ifstream in(folder / digest.substr(0, 4) / digest, std::ios::binary);
    ASSERT_TRUE(in) << digest;
    const std::string bytes(std::istreambuf_iterator<char>(in), {});
    const auto parsed = ParseChunkList(AsBytes(bytes));
    ASSERT_TRUE(parsed) << parsed.error().ToString();
    EXPECT_EQ(AsText(EncodeChunkList(*parsed)), bytes);
    if (parsed->empty()) continue;
    ++lists;
    ASSERT_EQ(parsed->size(), blob["chunks"].size());
    for (std::size_t i = 0; i < parsed->size(); ++i) {
      EXPECT_EQ((*parsed)[i].digest.Hex(), blob["chunks"][i]["digest"].get<std::string>());
      EXPECT_EQ((*parsed)[i].size, blob["chunks"][i]["size"].get<std::uint64_t>());
    }
    EXPECT_EQ(TotalSize(*parsed), blob["size"].get<std::uint64_t>());
  }
  EXPECT_GT(lists, 0);
}

TEST(ChunkList, WhatIsNotKnownIsPassedOver) {
  auto message = ProtoOf(SomeChunks());
  message.set_bao("whatever it may be");
  const std::string bytes = "\x08\x01" + message.SerializeAsString() + std::string("\x78\x00", 2);
  EXPECT_EQ(ParseChunkList(AsBytes(bytes)).value(), SomeChunks());
}

TEST(ChunkList, CA5_AChunkHasADigestOf32Bytes) {
  auto message = ProtoOf(SomeChunks());
  message.mutable_chunks(2)->set_digest(std::string(31, 'x'));
  EXPECT_THAT(WhyRefused(message.SerializeAsString()), HasSubstr("chunk 2: InvalidDigestLen(31)"));
  message.mutable_chunks(1)->clear_digest();
  EXPECT_THAT(WhyRefused(message.SerializeAsString()), HasSubstr("chunk 1: InvalidDigestLen(0)"));
}

TEST(ChunkList, AChunkWithoutBytesOrOfTooManyIsRefused) {
  auto message = ProtoOf(SomeChunks());
  message.mutable_chunks(4)->set_size(kMaxChunkBytes + 1);
  EXPECT_THAT(WhyRefused(message.SerializeAsString()), HasSubstr("chunk 4 has 16777217 bytes"));
  message.mutable_chunks(4)->set_size(UINT64_MAX);
  EXPECT_THAT(WhyRefused(message.SerializeAsString()), HasSubstr("chunk 4 has 18446744073709551615 bytes"));
  message.mutable_chunks(0)->set_size(0);
  EXPECT_THAT(WhyRefused(message.SerializeAsString()), HasSubstr("chunk 0 has no bytes"));
}

TEST(ChunkList, WhatIsNoMessageIsRefused) {
  const std::string whole = ProtoOf(SomeChunks()).SerializeAsString();
  const std::string first = ProtoOf({SomeChunks()[0]}).SerializeAsString();
  for (std::size_t size = 1; size < first.size(); ++size) {
    EXPECT_THAT(WhyRefused(whole.substr(0, size)), HasSubstr("refused")) << size;
  }
  EXPECT_THAT(WhyRefused("\x10\x01"), HasSubstr("not a StatBlobResponse"));         // a number where a chunk belongs
  EXPECT_THAT(WhyRefused("\x12\x02\x0a\x05"), HasSubstr("chunk 0 is no message"));  // past its end
}

TEST(ChunkList, AMessageThatIsTooLargeIsNotLookedAt) {
  // Memory that must not be touched.
  constexpr std::size_t kSize = kMaxChunkListBytes + 1;
  void* const memory = mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  EXPECT_THAT(WhyRefused({static_cast<const char*>(memory), kSize}), HasSubstr("the most are"));
  munmap(memory, kSize);
}

}  // namespace
}  // namespace strata::store
