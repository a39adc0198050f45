// What a layer brings into memory before it is asked for: what follows in a file that is read in order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"
#include "tests/vfs/layer/castore/slow_blobs.h"
#include "vfs/layer/castore/background.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr std::size_t kChunk = SlowBlobs::kChunk;
constexpr OpContext kAtOnceOnly{.credentials = {}, .may_block = false};

std::string ContentOf(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class CastoreAhead : public ::testing::Test {
 protected:
  CastoreAhead() {
    for (int i = 0; i < 3; ++i) {
      contents_.push_back(ContentOf(64 * kChunk + 100, static_cast<std::uint32_t>(i)));
      files_.push_back(slow_->PutFile(contents_.back()));
    }
    root_ = store_.PutDirectory({{"a", files_[0]}, {"b", files_[1]}, {"c", files_[2]}});
  }
  ~CastoreAhead() override { slow_->Release(); }
  void Open(const AheadOptions& ahead) {
    layer_ = OpenWith(slow_, store_.directories, {.node = root_, .attributes = std::nullopt}, {.ahead = ahead});
    for (const char* name : {"a", "b", "c"}) nodes_.push_back(FindInLayer(*layer_, name)->node);
  }
  // A READ as the server runs it: at once, and where that is not to be had by one that may wait. Whether it was at
  // once.
  bool Read(int file, std::size_t offset, std::size_t length) {
    StringSink sink;
    auto got = layer_->Read(kAtOnceOnly, nodes_[static_cast<std::size_t>(file)], offset, length, nullptr, sink);
    const bool at_once = got.has_value();
    if (!got) {
      EXPECT_EQ(got.error().code(), Errc::kWouldBlock);
      got = layer_->Read(kBackground, nodes_[static_cast<std::size_t>(file)], offset, length, nullptr, sink);
    }
    EXPECT_TRUE(got) << (got ? "" : got.error().ToString());
    EXPECT_EQ(sink.data, contents_[static_cast<std::size_t>(file)].substr(offset, length));
    return at_once;
  }
  static std::vector<std::size_t> Chunks(std::size_t count) {
    std::vector<std::size_t> all(count);
    std::iota(all.begin(), all.end(), 0);
    return all;
  }

  std::shared_ptr<SlowBlobs> slow_ = std::make_shared<SlowBlobs>();
  MemoryStore store_;
  std::vector<std::string> contents_;
  std::vector<store::Node> files_;
  store::Node root_;
  std::unique_ptr<Layer> layer_;
  std::vector<LayerNode> nodes_;
};

TEST_F(CastoreAhead, WhatFollowsIsThereWhenItIsAskedFor) {
  Open({.bytes = 4 << 20, .threads = 2});
  EXPECT_FALSE(Read(0, 0, kChunk));
  EXPECT_FALSE(Read(0, kChunk, kChunk));
  for (std::size_t i = 2; i < 65; ++i) {
    ASSERT_TRUE(slow_->WaitForChunk(files_[0], i)) << "nobody has read it";
    EXPECT_TRUE(Read(0, i * kChunk, kChunk)) << "answered by the thread that asks: " << i;
  }
  layer_.reset();
  EXPECT_THAT(slow_->LoadsOf(files_[0]), ElementsAreArray(Chunks(65))) << "each once";
}

TEST_F(CastoreAhead, ReadsOfAnySizeAndOutOfTheirOrderAreFollowed) {
  for (const std::size_t size : {std::size_t{32} << 10, 3 * kChunk, std::size_t{1} << 20}) {
    slow_ = std::make_shared<SlowBlobs>();
    contents_ = {ContentOf(8 << 20, 9), contents_[1], contents_[2]};
    files_[0] = slow_->PutFile(contents_[0]);
    root_ = store_.PutDirectory({{"a", files_[0]}, {"b", files_[1]}, {"c", files_[2]}});
    nodes_.clear();
    Open({.bytes = 4 << 20, .threads = 2});
    // Two by two, the later one first.
    for (std::size_t offset = 0; offset < 6 << 20; offset += 2 * size) {
      Read(0, offset + size, size);
      Read(0, offset, size);
      if (offset < 4 * size || offset < 128 << 10) continue;
      ASSERT_TRUE(slow_->WaitForChunk(files_[0], (offset + 2 * size) / kChunk)) << size << ": beyond what was read";
    }
    layer_.reset();
  }
}

TEST_F(CastoreAhead, NoMoreIsUnreadThanTheBound) {
  constexpr std::size_t kBound = 2 << 20;
  Open({.bytes = kBound, .threads = 2});
  std::size_t most = 0;
  for (std::size_t i = 0; i < 65; ++i) {
    Read(0, i * kChunk, kChunk);
    // What is held to be far ahead, if anything is, is so by the time that somebody has to wait for it.
    if (i > 1) {
      ASSERT_TRUE(slow_->WaitForChunk(files_[0], std::min<std::size_t>(i + 1, 64)));
    }
    const std::size_t loaded = slow_->LoadsOf(files_[0]).back() + 1;
    most = std::max(most, loaded - std::min(loaded, i + 1));
  }
  EXPECT_GT(most, 1u);
  EXPECT_LE(most * kChunk, kBound / 2 + kChunk);
}

TEST_F(CastoreAhead, WhoReadsHereAndThereHasNothingBrought) {
  Open({.bytes = 4 << 20, .threads = 1});
  std::vector<std::size_t> read;
  for (const std::size_t i : {40, 3, 22, 60, 11, 50, 30, 6, 45, 18}) {
    EXPECT_FALSE(Read(0, i * kChunk + 100, 4096));
    read.push_back(i);
  }
  // One after another, so that what was to be done before is done once this one's is.
  EXPECT_FALSE(Read(1, 0, kChunk));
  EXPECT_FALSE(Read(1, kChunk, kChunk));
  ASSERT_TRUE(slow_->WaitForChunk(files_[1], 2));
  std::ranges::sort(read);
  EXPECT_THAT(slow_->LoadsOf(files_[0]), ElementsAreArray(read));
}

TEST_F(CastoreAhead, OfWhatIsInMemoryNothingIsBrought) {
  Open({.bytes = 4 << 20, .threads = 1});
  for (std::size_t i = 0; i < 65; ++i) {
    StringSink sink;
    ASSERT_TRUE(layer_->Read(kBackground, nodes_[0], 64 * kChunk - i * kChunk, kChunk, nullptr, sink)) << "backwards";
  }
  const std::size_t loads = slow_->loads().size();
  for (std::size_t i = 0; i < 65; ++i) EXPECT_TRUE(Read(0, i * kChunk, kChunk));
  layer_.reset();
  EXPECT_EQ(slow_->loads().size(), loads);
}

TEST_F(CastoreAhead, WithoutABoundNothingIsBrought) {
  Open({});
  for (std::size_t i = 0; i < 20; ++i) EXPECT_FALSE(Read(0, i * kChunk, kChunk));
  EXPECT_THAT(slow_->LoadsOf(files_[0]), ElementsAreArray(Chunks(20)));
}

TEST_F(CastoreAhead, WhatCannotBeBroughtIsDroppedAndTheReadSaysSo) {
  CapturedLog log;
  Open({.bytes = 4 << 20, .threads = 1});
  slow_->FailFrom(4);
  Read(0, 0, 2 * kChunk);
  Read(0, 2 * kChunk, 2 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(5));
  // Another one is brought once that has failed.
  Read(1, 0, 2 * kChunk);
  Read(1, 2 * kChunk, 2 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(10));
  EXPECT_THAT(log.lines(), IsEmpty()) << "nobody asked for it";
  StringSink sink;
  const auto read = layer_->Read(kBackground, nodes_[0], 4 * kChunk, kChunk, nullptr, sink);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::kIo);
  EXPECT_EQ(log.lines().size(), 1u);
  slow_->FailFrom(SIZE_MAX);
  for (std::size_t i = 4; i < 65; ++i) Read(0, i * kChunk, kChunk);
  EXPECT_EQ(log.lines().size(), 1u);
}

TEST_F(CastoreAhead, TheEndWaitsForWhatHasBegunAndNothingIsLeft) {
  Open({.bytes = 8 << 20, .threads = 2});
  slow_->HoldFrom(32);
  Read(0, 0, 16 * kChunk);
  Read(0, 16 * kChunk, 16 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(34)) << "by each thread one";
  std::thread end([this] { layer_.reset(); });
  slow_->Release();
  end.join();
  EXPECT_EQ(slow_.use_count(), 1) << "nothing holds the store any more";
}

TEST_F(CastoreAhead, FromFarManyAreOnTheirWayAndNoThreadWaits) {
  slow_->SetFar();
  slow_->HoldFrom(32);
  Open({.bytes = 16 << 20, .threads = 1});
  Read(0, 0, 16 * kChunk);
  Read(0, 16 * kChunk, 16 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(32 + 5)) << "the first of each piece";
  slow_->Release();
  ASSERT_TRUE(slow_->WaitForChunk(files_[0], 63));
  EXPECT_TRUE(Read(0, 32 * kChunk, 8 * kChunk));
}

TEST_F(CastoreAhead, WhatComesFromFarAfterTheEndFindsNobody) {
  slow_->SetFar();
  slow_->HoldFrom(32);
  Open({.bytes = 16 << 20, .threads = 1});
  Read(0, 0, 16 * kChunk);
  Read(0, 16 * kChunk, 16 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(32 + 5));
  layer_.reset();
  EXPECT_EQ(slow_.use_count(), 1) << "nothing holds the store any more";
  slow_->Release();
  EXPECT_EQ(slow_->loads().size(), 37u);
}

TEST(CastoreBackground, WhatHasNotBegunIsDroppedAtTheEnd) {
  int worked = 0, done = 0;
  {
    castore::Background background(
        0, 100,
        [&](const Waiting&, castore::Piece&) -> Result<void> {
          ++worked;
          return {};
        },
        [&](const castore::Piece&, bool) { ++done; });
    EXPECT_TRUE(background.Add({.end = 60}));
    EXPECT_FALSE(background.Add({.end = 60})) << "of bytes, so many";
    EXPECT_TRUE(background.Add({.end = 40}));
    for (int i = 0; i < 1022; ++i) ASSERT_TRUE(background.Add({})) << i;
    EXPECT_FALSE(background.Add({})) << "of pieces, so many";
  }
  EXPECT_EQ(worked, 0);
  EXPECT_EQ(done, 0);
}

TEST(CastoreBackground, WhatComesAndIsGoneAgainEachTimeIsGivenUp) {
  Mutex mutex;
  CondVar changed;
  int worked = 0;
  bool done = false, well = true;
  castore::Background background(
      1, 100,
      [&](const Waiting& waiting, castore::Piece&) -> Result<void> {
        const MutexLock lock(mutex);
        ++worked;
        *waiting.fetch = std::make_shared<Fetch>("a");
        (*waiting.fetch)->Complete({});
        return Fail(Errc::kWouldBlock);
      },
      [&](const castore::Piece&, bool how) {
        const MutexLock lock(mutex);
        done = true;
        well = how;
        changed.NotifyAll();
      });
  ASSERT_TRUE(background.Add({.end = 100}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  const MutexLock lock(mutex);
  while (!done && changed.WaitUntil(mutex, deadline)) {
  }
  EXPECT_TRUE(done);
  EXPECT_FALSE(well);
  EXPECT_LE(worked, 10);
}

}  // namespace
}  // namespace strata::vfs
