#include "vfs/workspace/name_filter.h"

#include <gtest/gtest.h>

#include <random>

namespace strata::vfs {
namespace {

constexpr std::size_t kNames = 200'000;

std::vector<std::uint64_t> Hashes(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> hashes(kNames);
  for (std::uint64_t& hash : hashes) hash = random() >> 1;
  return hashes;
}

TEST(NameFilter, HoldsAllThatWasAddedAndHardlyAnythingElse) {
  NameFilter filter(16 << 20);
  const auto added = Hashes(1);
  EXPECT_TRUE(filter.MayHold(added[0])) << "it is not complete yet";
  for (const std::uint64_t hash : added) filter.Add(hash);
  filter.SetComplete();
  for (const std::uint64_t hash : added) ASSERT_TRUE(filter.MayHold(hash));
  std::size_t wrong = 0;
  for (const std::uint64_t hash : Hashes(2)) wrong += filter.MayHold(hash);
  EXPECT_LT(wrong, kNames / 50);
  EXPECT_LT(filter.Footprint(), kNames * 8);
}

TEST(NameFilter, HoldsEverythingOnceItWouldBeTooLarge) {
  NameFilter filter(64 << 10);
  filter.SetComplete();
  const auto added = Hashes(1);
  for (std::size_t i = 0; i < 1000; ++i) filter.Add(added[i]);
  EXPECT_FALSE(filter.MayHold(Hashes(2)[0]));
  for (const std::uint64_t hash : added) filter.Add(hash);
  EXPECT_TRUE(filter.MayHold(Hashes(2)[0]));
  EXPECT_LT(filter.Footprint(), 80u << 10);
}

}  // namespace
}  // namespace strata::vfs
