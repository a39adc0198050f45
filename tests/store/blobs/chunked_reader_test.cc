#include "store/blobs/chunked_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "store/blobs/bytes_reader.h"
#include "store/blobs/verifying_reader.h"
#include "tests/store/blobs/blob_service_contract.h"
#include "tests/store/blobs/chunking_service.h"
#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

using ::testing::HasSubstr;

class Chunked : public ::testing::Test {
 protected:
  // Of `content`, whose first chunks have `sizes`; the rest is another one.
  ChunkList PutPieces(ByteSpan content, const std::vector<std::size_t>& sizes) {
    ChunkList chunks;
    for (std::size_t i = 0; !content.empty(); ++i) {
      const std::size_t size = i < sizes.size() ? sizes[i] : content.size();
      chunks.push_back({service_->pieces().Put(content.first(size)).value(), size});
      content = content.subspan(size);
    }
    return chunks;
  }

  std::shared_ptr<BlobReader> Open(ByteSpan content, ChunkList chunks) {
    return OpenChunked(service_, Digest::Of(content), std::move(chunks)).value();
  }

  std::shared_ptr<ChunkingBlobService> service_ = std::make_shared<ChunkingBlobService>();
  const std::vector<std::byte> content_ = MakeInput("noise", 10'000, 1);
};

TEST_F(Chunked, CA24_EveryStretchOfASmallBlobIsRead) {
  const ByteSpan small = ByteSpan(content_).first(20);
  const auto reader = Open(small, PutPieces(small, {1, 2, 1, 7, 3}));
  EXPECT_EQ(reader->size(), 20);
  for (std::size_t offset = 0; offset <= 22; ++offset) {
    for (std::size_t length = 0; length <= 22; ++length) {
      std::vector<std::byte> out(length);
      const std::size_t there = offset > 20 ? 0 : std::min(length, 20 - offset);
      ASSERT_EQ(reader->ReadAt({}, offset, out).value(), there);
      ASSERT_TRUE(
          std::ranges::equal(ByteSpan(out).first(there), small.subspan(std::min<std::size_t>(offset, 20), there)));
      const BlobBytes pinned = reader->Pin({}, offset, length).value();
      ASSERT_EQ(pinned.bytes.empty(), there == 0);
      ASSERT_LE(pinned.bytes.size(), there);
      ASSERT_TRUE(
          std::ranges::equal(pinned.bytes, small.subspan(std::min<std::size_t>(offset, 20), pinned.bytes.size())));
    }
  }
}

TEST_F(Chunked, ReadingInOrderOpensEachChunkOnce) {
  const auto reader = Open(content_, PutPieces(content_, {2000, 3000, 1000}));
  EXPECT_EQ(service_->opened(), 0) << "before it is read";
  EXPECT_EQ(ReadAll(*reader, 100).value(), AsText(content_));
  EXPECT_EQ(service_->opened(), 4);
}

TEST_F(Chunked, CA24_AChunkThatIsMissingIsNamed) {
  ChunkList chunks = PutPieces(content_, {2000, 3000});
  const Digest missing = Digest::Of(AsBytes("missing"));
  chunks[1].digest = missing;
  const auto reader = Open(content_, chunks);
  std::vector<std::byte> out(100);
  EXPECT_EQ(reader->ReadAt({}, 0, out).value(), 100);
  EXPECT_EQ(reader->ReadAt({}, 6000, out).value(), 100);
  const auto read = reader->ReadAt({}, 1950, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::kNotFound);
  EXPECT_THAT(std::string(read.error().message()), HasSubstr("chunk not found"));
  EXPECT_THAT(std::string(read.error().message()), HasSubstr(missing.Text() + " at byte 2000"));
  EXPECT_EQ(reader->Pin({}, 2000, 1).error().code(), Errc::kNotFound);
}

TEST_F(Chunked, AChunkOfAnotherSizeThanTheListSaysIsCorrupt) {
  for (const std::uint64_t size : {1999, 2001}) {
    ChunkList chunks = PutPieces(content_, {2000, 3000});
    chunks[0].size = size;
    const auto reader = Open(content_, chunks);
    std::vector<std::byte> out(10);
    const auto read = reader->ReadAt({}, 0, out);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), Errc::kCorrupt);
  }
}

TEST_F(Chunked, CA25_AListThatIsWholeButOfAnotherBlobIsFoundAtTheEndOfACompleteRead) {
  auto other = content_;
  other[9999] ^= std::byte{1};
  const auto reader = Open(content_, PutPieces(other, {2000, 3000}));
  std::vector<std::byte> out(5000);
  EXPECT_EQ(reader->ReadAt({}, 0, out).value(), 5000);
  // What is read elsewhere says nothing of the whole.
  EXPECT_EQ(reader->ReadAt({}, 9000, out).value(), 1000);
  const auto last = reader->ReadAt({}, 5000, out);
  ASSERT_FALSE(last);
  EXPECT_EQ(last.error().code(), Errc::kCorrupt);
  EXPECT_THAT(std::string(last.error().message()), HasSubstr(Digest::Of(content_).Text()));
  EXPECT_EQ(reader->ReadAt({}, 0, out).error().code(), Errc::kCorrupt) << "and every read from then on";
  EXPECT_EQ(reader->Pin({}, 0, 1).error().code(), Errc::kCorrupt);
}

TEST_F(Chunked, CA25_ReadsThatOverlapAndStandAsideDoNotHideAnotherBlob) {
  const std::vector<std::byte> other(content_.rbegin(), content_.rend());
  const auto reader = Open(content_, PutPieces(other, {2000, 3000}));
  std::vector<std::byte> out(4000);
  EXPECT_TRUE(reader->ReadAt({}, 4000, out));
  EXPECT_TRUE(reader->Pin({}, 0, 1500));
  EXPECT_TRUE(reader->ReadAt({}, 1000, out));
  EXPECT_TRUE(reader->ReadAt({}, 7000, out)) << "there is a gap before it";
  EXPECT_TRUE(reader->ReadAt({}, 2000, out));
  EXPECT_TRUE(reader->ReadAt({}, 3000, out)) << "up to 7000";
  EXPECT_EQ(reader->ReadAt({}, 6999, out).error().code(), Errc::kCorrupt);
}

TEST_F(Chunked, CA25_TheRightBlobIsReadToTheEndAgainAndAgain) {
  const auto reader = Open(content_, PutPieces(content_, {2000, 3000}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ReadAll(*reader, 777).value(), AsText(content_));
}

TEST_F(Chunked, ListsThatCannotBeOfABlobAreRefused) {
  const auto why = [&](ChunkList chunks) {
    const auto opened = OpenChunked(service_, Digest::Of(content_), std::move(chunks));
    if (opened) return std::string("it was taken");
    EXPECT_EQ(opened.error().code(), Errc::kInvalid);
    return std::string(opened.error().message());
  };
  const ChunkMeta some{Digest::OfEmpty(), 5};
  EXPECT_THAT(why({}), HasSubstr("empty"));
  EXPECT_THAT(why({some}), HasSubstr("one chunk"));
  EXPECT_THAT(why({some, {Digest::OfEmpty(), 0}}), HasSubstr("no bytes"));
  EXPECT_THAT(why({some, {Digest::OfEmpty(), UINT64_MAX - 4}}), HasSubstr("64 bits"));
  EXPECT_EQ(why({some, {Digest::OfEmpty(), UINT64_MAX - 5}}), "it was taken");
}

TEST_F(Chunked, OneChunkThatIsTheBlobItselfIsRead) {
  const auto reader = Open(content_, PutPieces(content_, {}));
  EXPECT_EQ(ReadAll(*reader).value(), AsText(content_));
}

TEST_F(Chunked, ChunksMayLieInChunksSomeLevelsDeep) {
  // Each level halves the chunk before it.
  const auto nest = [&](int levels) {
    std::size_t size = content_.size();
    for (int level = 0; level < levels; ++level, size /= 2) {
      const ByteSpan whole = ByteSpan(content_).first(size);
      const ByteSpan head = whole.first(size / 2), tail = whole.subspan(size / 2);
      ASSERT_TRUE(service_->pieces().Put(tail));
      if (level + 1 == levels) {
        ASSERT_TRUE(service_->pieces().Put(head));
      }
      service_->SetChunks(Digest::Of(whole), {{Digest::Of(head), head.size()}, {Digest::Of(tail), tail.size()}});
    }
  };
  nest(4);
  EXPECT_EQ(ReadAll(*service_->Open({}, Digest::Of(content_)).value()).value(), AsText(content_));
  nest(5);
  const auto deep = ReadAll(*service_->Open({}, Digest::Of(content_)).value());
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code(), Errc::kCorrupt);
  EXPECT_THAT(std::string(deep.error().message()), HasSubstr("deep"));
}

TEST_F(Chunked, ListsThatLeadInCirclesEnd) {
  const Digest one = Digest::Of(AsBytes("one")), other = Digest::Of(AsBytes("other"));
  service_->SetChunks(one, {{other, 10}, {Digest::OfEmpty(), 10}});
  service_->SetChunks(other, {{one, 20}, {Digest::OfEmpty(), 10}});
  const auto read = ReadAll(*service_->Open({}, one).value());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::kCorrupt);
  // Sizes that fit at each turn, by a list of one.
  service_->SetChunks(one, {{one, 10}});
  const auto itself = ReadAll(*service_->Open({}, one).value());
  ASSERT_FALSE(itself);
  EXPECT_EQ(itself.error().code(), Errc::kCorrupt);
}

// Answers each chunk at first with something that is to be waited for.
class FetchingBlobService final : public BlobService {
 public:
  explicit FetchingBlobService(std::shared_ptr<BlobService> source) : source_(std::move(source)) {}
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override { return source_->Has(waiting, digest); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    auto& fetch = fetches[digest];
    if (!fetch) {
      fetch = std::make_shared<Fetch>(digest.Hex());
      *waiting.fetch = fetch;
      return Fail(Errc::kWouldBlock);
    }
    return source_->Open(waiting, digest);
  }
  std::string Describe() const override { return "far away"; }
  std::map<Digest, std::shared_ptr<Fetch>> fetches;

 private:
  const std::shared_ptr<BlobService> source_;
};

TEST_F(Chunked, WhoMayNotWaitIsToldForWhatAndComesAgain) {
  const auto far = std::make_shared<FetchingBlobService>(service_);
  const auto reader = OpenChunked(far, Digest::Of(content_), PutPieces(content_, {1000, 1000, 1000, 1000})).value();
  std::shared_ptr<Fetch> fetch;
  const Waiting waiting{.may_block = false, .fetch = &fetch};
  std::vector<std::byte> out(content_.size());
  std::size_t waits = 0;
  while (true) {
    const auto read = reader->ReadAt(waiting, 0, out);
    if (read) {
      EXPECT_EQ(*read, content_.size());
      break;
    }
    ASSERT_EQ(read.error().code(), Errc::kWouldBlock);
    ASSERT_NE(fetch, nullptr);
    EXPECT_FALSE(fetch->done());
    fetch->Complete({});
    fetch = nullptr;
    ASSERT_LE(++waits, 5);
  }
  EXPECT_EQ(waits, 5);
  EXPECT_EQ(AsText(out), AsText(content_))
      << "and the digest of the whole is right, though it was read in several calls";
}

TEST(VerifyInOrder, AnEmptyBlobIsKnownAtOnce) {
  std::vector<std::byte> out(1);
  EXPECT_EQ(VerifyInOrder(ReadBytes({}), Digest::OfEmpty())->ReadAt({}, 0, out).value(), 0);
  EXPECT_EQ(VerifyInOrder(ReadBytes({}), Digest())->ReadAt({}, 0, out).error().code(), Errc::kCorrupt);
}

}  // namespace
}  // namespace strata::store
