#include "store/blobs/chunk_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

namespace strata::store {
namespace {

BlobBytes Bytes(std::size_t size, char fill = 'x') {
  const auto text = std::make_shared<std::string>(size, fill);
  return {AsBytes(*text), text};
}

Digest Named(int i) { return Digest::Of(AsBytes("chunk " + std::to_string(i))); }

TEST(ChunkCache, WhatWasLoadedIsThereTheNextTime) {
  ChunkCache cache(1 << 20);
  int loads = 0;
  for (int i = 0; i < 3; ++i) {
    const auto chunk = cache.Get({}, Named(1), [&]() -> Result<BlobBytes> {
      ++loads;
      return Bytes(100, 'a');
    });
    ASSERT_TRUE(chunk);
    EXPECT_EQ(AsText(chunk->bytes), std::string(100, 'a'));
  }
  EXPECT_EQ(loads, 1);
  EXPECT_EQ(cache.hits(), 2U);
  EXPECT_EQ(cache.misses(), 1U);
  EXPECT_TRUE(cache.Find(Named(1)));
  EXPECT_FALSE(cache.Find(Named(2)));
}

TEST(ChunkCache, ItStaysWithinItsBound) {
  ChunkCache cache(1 << 20);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(cache.Get({}, Named(i), []() -> Result<BlobBytes> { return Bytes(10000); }));
    ASSERT_LE(cache.bytes(), 1U << 20);
  }
  EXPECT_GT(cache.bytes(), 1U << 19);
}

TEST(ChunkCache, WhatIsUsedStaysLongerThanWhatIsNot) {
  ChunkCache cache(1 << 20);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(cache.Get({}, Named(-1), []() -> Result<BlobBytes> { return Bytes(10000); }));
    ASSERT_TRUE(cache.Get({}, Named(i), []() -> Result<BlobBytes> { return Bytes(10000); }));
  }
  EXPECT_GT(cache.hits(), 2900U);
}

TEST(ChunkCache, WhatIsPinnedIsNotDroppedAndTheBoundHoldsAllTheSame) {
  ChunkCache cache(200000);
  std::vector<BlobBytes> pinned;
  for (int i = 0; i < 50; ++i) {
    const auto chunk =
        cache.Get({}, Named(i), [&]() -> Result<BlobBytes> { return Bytes(10000, static_cast<char>(i)); });
    ASSERT_TRUE(chunk);
    pinned.push_back(*chunk);
  }
  EXPECT_LE(cache.bytes(), 200000U);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(AsText(pinned[static_cast<std::size_t>(i)].bytes), std::string(10000, static_cast<char>(i)));
  }
  int kept = 0;
  for (int i = 0; i < 50; ++i) kept += cache.Find(Named(i)) ? 1 : 0;
  EXPECT_GE(kept, 15);
  pinned.clear();
  for (int i = 100; i < 200; ++i) {
    ASSERT_TRUE(cache.Get({}, Named(i), []() -> Result<BlobBytes> { return Bytes(10000); }));
  }
  EXPECT_TRUE(cache.Find(Named(199)));
}

TEST(ChunkCache, OneThatIsLargerThanTheCacheIsGivenAndNotKept) {
  ChunkCache cache(1000);
  ASSERT_TRUE(cache.Get({}, Named(1), []() -> Result<BlobBytes> { return Bytes(5000); }));
  EXPECT_EQ(cache.bytes(), 0U);
}

TEST(ChunkCache, OfManyWhoWantOneAtOnceOneLoadsIt) {
  ChunkCache cache(1 << 20);
  std::atomic<int> loads = 0;
  std::latch loading(1), go(1);
  std::vector<std::thread> threads;
  const auto get = [&] {
    const auto chunk = cache.Get({}, Named(1), [&]() -> Result<BlobBytes> {
      ++loads;
      loading.count_down();
      go.wait();
      return Bytes(100);
    });
    EXPECT_TRUE(chunk);
  };
  threads.emplace_back(get);
  loading.wait();
  for (int i = 0; i < 4; ++i) threads.emplace_back(get);
  // Who may not wait is told so at once, also while it is being loaded.
  const auto now = cache.Get({.may_block = false}, Named(1), []() -> Result<BlobBytes> {
    ADD_FAILURE() << "it is being loaded already";
    return Bytes(1);
  });
  ASSERT_FALSE(now);
  EXPECT_EQ(now.error().code(), Errc::kWouldBlock);
  go.count_down();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(loads, 1);
}

TEST(ChunkCache, AFailureIsGivenToThoseWhoWaitAndNotRemembered) {
  ChunkCache cache(1 << 20);
  const auto failed = cache.Get({}, Named(1), []() -> Result<BlobBytes> { return Fail(Errc::kCorrupt, "damaged"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "damaged");
  EXPECT_TRUE(cache.Get({}, Named(1), []() -> Result<BlobBytes> { return Bytes(10); }));
}

// That one may not wait says nothing to another who may.
TEST(ChunkCache, WhoMayWaitIsNotToldThatItWouldBlock) {
  ChunkCache cache(1 << 20);
  std::latch loading(1), go(1);
  std::thread first([&] {
    const auto chunk = cache.Get({.may_block = false}, Named(1), [&]() -> Result<BlobBytes> {
      loading.count_down();
      go.wait();
      return Fail(Errc::kWouldBlock);
    });
    EXPECT_FALSE(chunk);
  });
  loading.wait();
  std::thread second([&] { EXPECT_TRUE(cache.Get({}, Named(1), []() -> Result<BlobBytes> { return Bytes(10); })); });
  go.count_down();
  first.join();
  second.join();
}

TEST(ChunkCache, ManyThreadsGetTheRightBytes) {
  ChunkCache cache(300000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const int which = (i * 7 + t * 13) % 100;
        const auto chunk =
            cache.Get({}, Named(which), [&]() -> Result<BlobBytes> { return Bytes(5000, static_cast<char>(which)); });
        ASSERT_TRUE(chunk);
        ASSERT_EQ(chunk->bytes.size(), 5000U);
        ASSERT_EQ(chunk->bytes[i % 5000], static_cast<std::byte>(which));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(cache.bytes(), 300000U);
}

}  // namespace
}  // namespace strata::store
