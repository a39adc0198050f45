#include "base/recent.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>

namespace strata {
namespace {

using Kept = Recent<std::uint64_t, int>;

int CountKept(Kept& kept, std::uint64_t end) {
  int count = 0;
  for (std::uint64_t key = 0; key < end; ++key) count += kept.Get(key) ? 1 : 0;
  return count;
}

TEST(Recent, WhatIsUsedStaysAndTheBytesAreBounded) {
  Kept kept(1 << 20);
  for (std::uint64_t key = 0; key < 10'000; ++key) {
    kept.Put(key, std::make_shared<const int>(static_cast<int>(key)), 1000);
    EXPECT_TRUE(kept.Get(0)) << "it is used";
    ASSERT_EQ(*kept.Get(key), static_cast<int>(key));
  }
  const int count = CountKept(kept, 10'000);
  EXPECT_LE(count, 1049);
  EXPECT_GT(count, 500);
}

TEST(Recent, TheFirstOfTwoStays) {
  Kept kept(1 << 20);
  const auto one = std::make_shared<const int>(1), two = std::make_shared<const int>(2);
  EXPECT_EQ(kept.Put(7, one, 10), one);
  EXPECT_EQ(kept.Put(7, two, 10), one);
  kept.Drop(7, two);
  EXPECT_EQ(kept.Get(7), one) << "another one has its place";
  kept.Drop(7, one);
  EXPECT_EQ(kept.Get(7), nullptr);
  kept.Drop(7, one);
  EXPECT_EQ(kept.Put(7, two, 10), two);
}

TEST(Recent, WhatIsLargerThanTheBoundIsKeptAlone) {
  Kept kept(1 << 20);
  kept.Put(0, std::make_shared<const int>(0), 100);
  for (std::uint64_t key = 1; key < 20; ++key) {
    const auto value = kept.Put(key, std::make_shared<const int>(1), 8 << 20);
    EXPECT_EQ(kept.Get(key), value);
  }
  EXPECT_EQ(CountKept(kept, 20), 2) << "the last, and what is small";
  kept.Drop(19, kept.Get(19));
  EXPECT_EQ(CountKept(kept, 20), 1);
  // Those that a shard cannot hold, and all of it can.
  for (std::uint64_t key = 1; key < 20; ++key) kept.Put(key, std::make_shared<const int>(1), 300 << 10);
  EXPECT_EQ(CountKept(kept, 20), 1 + 3);
}

}  // namespace
}  // namespace strata
