#include "tests/store/blobs/blob_service_contract.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tests/store/fixtures.h"

namespace strata::store {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(BlobServiceContract);

Result<std::string> ReadAll(BlobReader& reader, std::size_t piece) {
  std::string all;
  std::vector<std::byte> buffer(piece);
  while (true) {
    STRATA_ASSIGN(const std::size_t got, reader.ReadAt({}, all.size(), buffer));
    if (got == 0) return all;
    all += AsText(ByteSpan(buffer).first(got));
  }
}

Digest BlobServiceContract::Write(ByteSpan content, std::size_t piece) {
  auto writer = service().Create();
  EXPECT_TRUE(writer) << writer.error().ToString();
  if (!writer) return {};
  for (; !content.empty(); content = content.subspan(std::min(piece, content.size()))) {
    const auto written = (*writer)->Write(content.first(std::min(piece, content.size())));
    EXPECT_TRUE(written) << written.error().ToString();
  }
  const auto digest = (*writer)->Close();
  EXPECT_TRUE(digest) << digest.error().ToString();
  return digest.value_or(Digest());
}

void BlobServiceContract::ExpectHas(const Digest& digest, ByteSpan content) {
  EXPECT_EQ(digest, Digest::Of(content));
  EXPECT_TRUE(service().Has(waiting_, digest).value());
  const auto reader = service().Open(waiting_, digest);
  ASSERT_TRUE(reader) << reader.error().ToString();
  ASSERT_NE(*reader, nullptr);
  EXPECT_EQ((*reader)->size(), content.size());
  const auto all = ReadAll(**reader);
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_TRUE(*all == AsText(content)) << "other bytes than were put";
}

void BlobServiceContract::ExpectHasNot(const Digest& digest) {
  const auto has = service().Has(waiting_, digest);
  ASSERT_TRUE(has) << has.error().ToString();
  EXPECT_FALSE(*has);
  const auto reader = service().Open(waiting_, digest);
  ASSERT_TRUE(reader) << reader.error().ToString();
  EXPECT_EQ(*reader, nullptr);
  const auto chunks = service().Chunks(waiting_, digest);
  ASSERT_TRUE(chunks) << chunks.error().ToString();
  EXPECT_FALSE(chunks->has_value());
}

// As texts: std::ranges::equal goes byte by byte, which takes seconds where tests are not optimised.
static bool Same(ByteSpan a, ByteSpan b) { return AsText(a) == AsText(b); }

// What lies in [offset, offset + length) of `content`.
static ByteSpan PartOf(ByteSpan content, std::uint64_t offset, std::size_t length) {
  if (offset >= content.size()) return {};
  const ByteSpan rest = content.subspan(static_cast<std::size_t>(offset));
  return rest.first(std::min(length, rest.size()));
}

// Sizes around those of a chunk, by default.
static std::vector<std::size_t> BlobSizes() { return {0, 1, 2, 4095, 131072, 262145, 524289, 3'000'000}; }

TEST_P(BlobServiceContract, CA20_CA21_WhatIsNotKnownIsNotThere) { ExpectHasNot(Digest::Of(AsBytes("unknown"))); }

TEST_P(BlobServiceContract, CA20_WhatWasPutIsRead) {
  for (const std::size_t size : BlobSizes()) {
    SCOPED_TRACE(size);
    const auto content = MakeInput("noise", size, size);
    const auto digest = service().Put(content);
    ASSERT_TRUE(digest) << digest.error().ToString();
    ExpectHas(*digest, content);
  }
}

TEST_P(BlobServiceContract, CA19_TheBlobsOfTheSpecification) {
  const std::byte a[] = {std::byte{0}, std::byte{1}};
  EXPECT_EQ(service().Put(a).value().Hex(), "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63");
  const auto b = MakeInput("count", 255 * 4096, 0);
  const Digest digest = service().Put(b).value();
  EXPECT_EQ(digest.Hex(), "a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2");
  ExpectHas(digest, b);
}

TEST_P(BlobServiceContract, CA23_WhatWasWrittenInPiecesIsRead) {
  for (const std::size_t size : BlobSizes()) {
    for (const std::size_t piece : {std::size_t{1000}, std::size_t{1} << 20}) {
      SCOPED_TRACE(std::to_string(size) + " in pieces of " + std::to_string(piece));
      const auto content = MakeInput(size % 2 == 0 ? "noise" : "text", size, size + piece);
      ExpectHas(Write(content, piece), content);
    }
  }
}

TEST_P(BlobServiceContract, CA23_NothingIsVisibleBeforeTheEnd) {
  const auto content = MakeInput("noise", 3'000'000, 1);
  const Digest digest = Digest::Of(content);
  {
    const auto writer = service().Create();
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->Write(content));
    ExpectHasNot(digest);
  }
  // The writer went without an end.
  ExpectHasNot(digest);
  ExpectHas(Write(content, 1 << 20), content);
}

TEST_P(BlobServiceContract, CA23_AWriterEndsOnceAndSaysTheSameAgain) {
  const auto writer = service().Create();
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->Write(AsBytes("some content")));
  const auto digest = (*writer)->Close();
  ASSERT_TRUE(digest);
  EXPECT_EQ((*writer)->Close().value(), *digest);
  const auto late = (*writer)->Write(AsBytes("more"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code(), Errc::kInvalid);
  EXPECT_TRUE(late.error().message().contains("already closed"));
  EXPECT_EQ((*writer)->Close().value(), *digest);
  ExpectHas(*digest, AsBytes("some content"));
}

TEST_P(BlobServiceContract, CA23_TheSameContentTwiceIsOneBlob) {
  const auto content = MakeInput("noise", 700'000, 2);
  const Digest digest = service().Put(content).value();
  EXPECT_EQ(service().Put(content).value(), digest);
  EXPECT_EQ(Write(content, 5000), digest);
  ExpectHas(digest, content);
}

TEST_P(BlobServiceContract, WritersSideBySideDoNotMix) {
  const auto one = MakeInput("noise", 600'000, 3), other = MakeInput("noise", 600'000, 4);
  const auto a = service().Create(), b = service().Create(), c = service().Create();
  ASSERT_TRUE(a && b && c);
  for (std::size_t at = 0; at < one.size(); at += 10'000) {
    ASSERT_TRUE((*a)->Write(ByteSpan(one).subspan(at, 10'000)));
    ASSERT_TRUE((*b)->Write(ByteSpan(other).subspan(at, 10'000)));
    ASSERT_TRUE((*c)->Write(ByteSpan(one).subspan(at, 10'000)));
  }
  ExpectHas((*a)->Close().value(), one);
  ExpectHas((*b)->Close().value(), other);
  ExpectHas((*c)->Close().value(), one);
}

TEST_P(BlobServiceContract, CA22_ReadsAnywhereGiveWhatIsThere) {
  for (const std::size_t size : {std::size_t{10}, std::size_t{300'000}, std::size_t{2'000'000}}) {
    const auto content = MakeInput("noise", size, size);
    const auto reader = service().Open(waiting_, service().Put(content).value()).value();
    ASSERT_NE(reader, nullptr);
    std::mt19937_64 random(size);
    std::vector<std::byte> buffer(600'000);
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t offset = random() % (size + 10);
      const std::size_t length = random() % (i % 2 == 0 ? 100 : buffer.size());
      const ByteSpan there = PartOf(content, offset, length);
      const auto got = reader->ReadAt(waiting_, offset, MutableByteSpan(buffer).first(length));
      ASSERT_TRUE(got) << got.error().ToString();
      ASSERT_TRUE(Same(ByteSpan(buffer).first(*got), there)) << length << " bytes from " << offset;
      const auto pinned = reader->Pin(waiting_, offset, length);
      ASSERT_TRUE(pinned) << pinned.error().ToString();
      ASSERT_EQ(pinned->bytes.empty(), there.empty());
      ASSERT_TRUE(Same(pinned->bytes, PartOf(there, 0, pinned->bytes.size())));
      ASSERT_LE(pinned->bytes.size(), there.size());
    }
    EXPECT_EQ(reader->ReadAt(waiting_, UINT64_MAX, buffer).value(), 0);
    EXPECT_TRUE(reader->Pin(waiting_, UINT64_MAX, 10).value().bytes.empty());
  }
}

TEST_P(BlobServiceContract, WhatIsPinnedOutlivesTheReader) {
  const auto content = MakeInput("noise", 300'000, 5);
  auto reader = service().Open(waiting_, service().Put(content).value()).value();
  ASSERT_NE(reader, nullptr);
  const BlobBytes pinned = reader->Pin(waiting_, 1000, 100'000).value();
  ASSERT_FALSE(pinned.bytes.empty());
  reader.reset();
  ASSERT_TRUE(service().Put(MakeInput("noise", 300'000, 6)));
  EXPECT_TRUE(Same(pinned.bytes, ByteSpan(content).subspan(1000, pinned.bytes.size())));
}

TEST_P(BlobServiceContract, CA22_ACursorSeeksForwardsAndBack) {
  const auto content = MakeInput("noise", 1'000'000, 7);
  BlobCursor cursor(service().Open(waiting_, service().Put(content).value()).value());
  std::vector<std::byte> buffer(10);
  const auto expect_read = [&](std::size_t at, std::size_t length) {
    SCOPED_TRACE(at);
    ASSERT_EQ(cursor.Read(waiting_, buffer).value(), length);
    EXPECT_TRUE(Same(ByteSpan(buffer).first(length), ByteSpan(content).subspan(at, length)));
  };
  expect_read(0, 10);
  expect_read(10, 10);
  EXPECT_EQ(cursor.Seek(5, BlobCursor::Whence::kCurrent).value(), 25);
  expect_read(25, 10);
  EXPECT_EQ(cursor.Seek(500'000, BlobCursor::Whence::kStart).value(), 500'000);
  expect_read(500'000, 10);
  EXPECT_EQ(cursor.Seek(-20, BlobCursor::Whence::kCurrent).value(), 499'990);
  expect_read(499'990, 10);
  EXPECT_EQ(cursor.Seek(-4, BlobCursor::Whence::kEnd).value(), 999'996);
  expect_read(999'996, 4);
  EXPECT_EQ(cursor.Seek(0, BlobCursor::Whence::kEnd).value(), 1'000'000);
  EXPECT_EQ(cursor.Read(waiting_, buffer).value(), 0);
  EXPECT_EQ(cursor.Seek(7, BlobCursor::Whence::kEnd).value(), 1'000'007);
  EXPECT_EQ(cursor.Read(waiting_, buffer).value(), 0);
  EXPECT_EQ(cursor.Seek(-1, BlobCursor::Whence::kStart).error().code(), Errc::kInvalid);
  EXPECT_EQ(cursor.Seek(-1'000'008, BlobCursor::Whence::kCurrent).error().code(), Errc::kInvalid);
  EXPECT_EQ(cursor.Seek(-1'000'007, BlobCursor::Whence::kCurrent).value(), 0);
  expect_read(0, 10);
}

TEST_P(BlobServiceContract, CA21_TheChunksAreThePiecesOfTheBlob) {
  for (const std::size_t size : BlobSizes()) {
    SCOPED_TRACE(size);
    const auto content = MakeInput("noise", size, size + 1);
    const Digest digest = service().Put(content).value();
    const auto chunks = service().Chunks(waiting_, digest).value();
    ASSERT_TRUE(chunks);
    if (chunks->empty()) continue;
    EXPECT_EQ(TotalSize(*chunks), size);
    ByteSpan rest = content;
    for (const ChunkMeta& chunk : *chunks) {
      ASSERT_LE(chunk.size, rest.size());
      ExpectHas(chunk.digest, rest.first(chunk.size));
      rest = rest.subspan(chunk.size);
    }
  }
}

TEST_P(BlobServiceContract, ManyThreadsPutAndReadTheSameAndOtherBlobs) {
  constexpr int kThreads = 4, kRounds = 20;
  const auto shared = MakeInput("noise", 300'000, 8);
  const Digest digest = Digest::Of(shared);
  std::atomic<int> sound = 0;
  const auto reads_back = [&](const Digest& wanted, ByteSpan content) {
    const auto reader = service().Open(waiting_, wanted);
    if (!reader || *reader == nullptr) return false;
    const auto all = ReadAll(**reader);
    return all && *all == AsText(content);
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int round = 0; round < kRounds; ++round) {
        const auto own = MakeInput("noise", 1000 + round, static_cast<std::uint64_t>(thread * 100 + round));
        const auto a = service().Put(shared), b = service().Put(own);
        if (a && b && *a == digest && reads_back(*a, shared) && reads_back(*b, own)) ++sound;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sound, kThreads * kRounds);
}

TEST_P(BlobServiceContract, ManyThreadsReadByOneReader) {
  const auto content = MakeInput("noise", 2'000'000, 9);
  const auto reader = service().Open(waiting_, service().Put(content).value()).value();
  ASSERT_NE(reader, nullptr);
  constexpr int kThreads = 4;
  std::atomic<int> sound = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      // Two in order, two anywhere.
      std::mt19937_64 random(static_cast<std::uint64_t>(thread));
      std::vector<std::byte> buffer(50'000);
      bool same = true;
      for (std::size_t i = 0; i < content.size() / buffer.size(); ++i) {
        const std::size_t offset = thread < 2 ? i * buffer.size() : random() % (content.size() - buffer.size());
        const auto got = reader->ReadAt(waiting_, offset, buffer);
        same = same && got && *got == buffer.size() && Same(buffer, ByteSpan(content).subspan(offset, buffer.size()));
      }
      if (same) ++sound;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sound, kThreads);
}

TEST_P(BlobServiceContract, WhatWasSyncedIsThereWhenItIsOpenedAnew) {
  const auto small = MakeInput("noise", 100, 10), large = MakeInput("noise", 2'000'000, 11);
  const Digest a = service().Put(small).value(), b = service().Put(large).value();
  const auto synced = service().Sync();
  ASSERT_TRUE(synced) << synced.error().ToString();
  EXPECT_FALSE(service().Describe().empty());
  if (made_.reopen) {
    made_.service.reset();
    made_.service = made_.reopen();
    ASSERT_NE(made_.service, nullptr);
  }
  ExpectHas(a, small);
  ExpectHas(b, large);
}

}  // namespace strata::store
