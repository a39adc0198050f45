// The services that need no disk and no net.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/blobs/bytes_reader.h"
#include "store/blobs/combined.h"
#include "store/blobs/memory.h"
#include "tests/store/blobs/blob_service_contract.h"
#include "tests/store/blobs/chunking_service.h"
#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

using ::testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(
    Simple, BlobServiceContract,
    ::testing::Values(
        BlobServiceMaker{"Memory", [] { return MadeBlobService{{}, std::make_shared<MemoryBlobService>(), {}}; }},
        BlobServiceMaker{"Chunking", [] { return MadeBlobService{{}, std::make_shared<ChunkingBlobService>(), {}}; }},
        BlobServiceMaker{
            "Combined",
            [] {
              return MadeBlobService{
                  {}, Combine(std::make_shared<MemoryBlobService>(), std::make_shared<ChunkingBlobService>()), {}};
            }}),
    BlobServiceMaker::Name);

// Implements what must be implemented alone.
class LeastBlobService final : public BlobService {
 public:
  Result<bool> Has(const Waiting&, const Digest& digest) override { return digest == Digest::OfEmpty(); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting&, const Digest&) override { return nullptr; }
  std::string Describe() const override { return "the least"; }
};

TEST(BlobService, ByDefaultItTakesNothing) {
  LeastBlobService service;
  const auto created = service.Create();
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code(), Errc::kReadOnly);
  EXPECT_THAT(std::string(created.error().message()), HasSubstr("the least"));
  EXPECT_EQ(service.Put(AsBytes("blob")).error().code(), Errc::kReadOnly);
  EXPECT_TRUE(service.Sync());
}

TEST(BlobService, CA21_ByDefaultABlobIsInOnePiece) {
  LeastBlobService service;
  EXPECT_EQ(service.Chunks({}, Digest::OfEmpty()).value().value(), ChunkList());
  EXPECT_FALSE(service.Chunks({}, Digest()).value());
}

// A blob of zeros that cannot be pinned but by reading.
class ZeroReader final : public BlobReader {
 public:
  explicit ZeroReader(std::uint64_t size) : size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> ReadAt(const Waiting&, std::uint64_t offset, MutableByteSpan out) override {
    largest = std::max(largest, out.size());
    return offset >= size_ ? 0 : std::min<std::uint64_t>(size_ - offset, out.size());
  }
  std::size_t largest = 0;

 private:
  const std::uint64_t size_;
};

TEST(BlobReader, APinByReadingTakesNoMoreMemoryThanAMiBWhateverIsAskedFor) {
  ZeroReader reader(UINT64_MAX);
  const BlobBytes pinned = reader.Pin({}, 5, SIZE_MAX).value();
  EXPECT_EQ(pinned.bytes.size(), 1 << 20);
  EXPECT_EQ(reader.largest, 1 << 20);
  EXPECT_EQ(reader.Pin({}, UINT64_MAX - 7, SIZE_MAX).value().bytes.size(), 7);
  EXPECT_EQ(reader.Pin({}, 0, 3).value().bytes.size(), 3);
  EXPECT_TRUE(reader.Pin({}, UINT64_MAX, 3).value().bytes.empty());
}

TEST(BlobReader, WhatLiesInMemoryIsPinnedWhereItLies) {
  const auto bytes = std::make_shared<const std::string>("content");
  const auto reader = ReadBytes({AsBytes(*bytes), bytes});
  const BlobBytes pinned = reader->Pin({}, 3, 100).value();
  EXPECT_EQ(AsText(pinned.bytes), "tent");
  EXPECT_EQ(pinned.bytes.data(), AsBytes(*bytes).data() + 3);
}

TEST(BlobCursor, CA22_APlaceThatNoBlobHasIsNoPlace) {
  BlobCursor cursor(std::make_shared<ZeroReader>(UINT64_MAX));
  EXPECT_EQ(cursor.Seek(0, BlobCursor::Whence::kEnd).value(), UINT64_MAX);
  const auto beyond = cursor.Seek(1, BlobCursor::Whence::kCurrent);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code(), Errc::kInvalid);
  EXPECT_EQ(cursor.Seek(INT64_MIN, BlobCursor::Whence::kStart).error().code(), Errc::kInvalid);
  EXPECT_EQ(cursor.Seek(INT64_MIN, BlobCursor::Whence::kEnd).value(), UINT64_MAX - (1ULL << 63));
}

TEST(MemoryBlobService, BlobsBeyondTheLimitAreRefusedAndWhatIsDroppedGivesRoom) {
  MemoryBlobService service(1000);
  const auto content = MakeInput("noise", 600, 1), other = MakeInput("noise", 600, 2);
  {
    const auto writer = service.Create().value();
    ASSERT_TRUE(writer->Write(content));
    const auto refused = service.Put(other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::kNoSpace);
    EXPECT_EQ(writer->Write(other).error().code(), Errc::kNoSpace);
  }
  // The same again takes no more.
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(service.Put(ByteSpan(content).first(400)));
    const auto writer = service.Create().value();
    ASSERT_TRUE(writer->Write(ByteSpan(content).first(400)));
    ASSERT_TRUE(writer->Close());
  }
  ASSERT_TRUE(service.Put(other));
  EXPECT_EQ(service.Put(AsBytes("x")).error().code(), Errc::kNoSpace);
}

class Combined : public ::testing::Test {
 protected:
  std::shared_ptr<MemoryBlobService> local_ = std::make_shared<MemoryBlobService>();
  std::shared_ptr<ChunkingBlobService> remote_ = std::make_shared<ChunkingBlobService>();
  std::shared_ptr<BlobService> combined_ = Combine(local_, remote_);

  std::string Read(const Digest& digest) {
    const auto reader = combined_->Open({}, digest).value();
    return reader ? ReadAll(*reader).value() : "not there";
  }
};

TEST_F(Combined, CA32_WritesGoToTheLocalOneAlone) {
  const Digest digest = combined_->Put(AsBytes("content")).value();
  EXPECT_TRUE(local_->Has({}, digest).value());
  EXPECT_FALSE(remote_->Has({}, digest).value());
}

TEST_F(Combined, CA32_WhatIsLocalIsReadWithoutTheRemoteOne) {
  const auto content = MakeInput("noise", 100'000, 1);
  const Digest digest = local_->Put(content).value();
  ASSERT_TRUE(remote_->Put(content));
  EXPECT_EQ(Read(digest), AsText(content));
  EXPECT_EQ(remote_->opened(), 0);
  EXPECT_EQ(combined_->Chunks({}, digest).value().value(), ChunkList());
}

TEST_F(Combined, CA32_WhatIsRemoteIsReadByItsChunksOfWhichSomeAreLocal) {
  const auto content = MakeInput("noise", 100'000, 2);
  const Digest digest = remote_->Put(content).value();
  EXPECT_TRUE(combined_->Has({}, digest).value());
  const ChunkList chunks = combined_->Chunks({}, digest).value().value();
  ASSERT_GT(chunks.size(), 3);
  // Of the first, the local one is read.
  ASSERT_TRUE(local_->Put(ByteSpan(content).first(chunks[0].size)));
  EXPECT_EQ(Read(digest), AsText(content));
  EXPECT_EQ(remote_->opened(), chunks.size() - 1);
  EXPECT_FALSE(local_->Has({}, digest).value()) << "nothing is kept";
}

TEST_F(Combined, CA32_WhatIsRemoteInOnePieceIsReadThere) {
  const Digest digest = remote_->Put(AsBytes("small")).value();
  EXPECT_EQ(Read(digest), "small");
  // A list of one chunk says the same, and must not send anyone in circles.
  remote_->SetChunks(digest, {{digest, 5}});
  const auto circular = combined_->Open({}, digest);
  ASSERT_TRUE(circular);
  const auto read = ReadAll(**circular);
  EXPECT_FALSE(read) << "this remote one sends itself in circles";
}

}  // namespace
}  // namespace strata::store
