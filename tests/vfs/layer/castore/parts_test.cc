// The parts of a castore layer by themselves: what is kept, and the arithmetic of numbers.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"
#include "vfs/layer/castore/numbered_directory.h"
#include "vfs/layer/castore/recent.h"

namespace strata::vfs::castore {
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

TEST(NumberedDirectory, OffsetsAndTheirInverseAgreeWithCounting) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const bool half = round % 2 == 0;
    NamedNodes entries;
    for (std::uint32_t i = random() % 12; i > 0; --i) {
      const std::string name = "n" + std::to_string(i);
      const std::uint64_t size = random() % 5 * (half ? 2 : 1);
      entries.emplace_back(
          name, random() % 2 == 0 ? store::Node::OfDirectory(store::Digest(), size) : store::Node::OfSymlink("t"));
    }
    const auto directory = store::Directory::Make(std::move(entries));
    ASSERT_TRUE(directory);
    const auto rule = half ? store::SizeRule::kDoubled : store::SizeRule::kDocumented;
    const auto made = NumberedDirectory::Make(*directory, directory->Size(rule), half ? Span::kHalf : Span::kDense);
    ASSERT_TRUE(made);
    std::uint64_t offset = 1;
    for (std::size_t i = 0; i < directory->count(); ++i) {
      EXPECT_EQ(made->OffsetOf(i), offset);
      const auto entry = directory->At(i);
      const std::uint64_t beneath = entry.kind == store::NodeKind::kDirectory ? entry.size / (half ? 2 : 1) : 0;
      for (std::uint64_t at = 0; at <= beneath; ++at) EXPECT_EQ(made->IndexAt(offset + at), i);
      offset += 1 + beneath;
    }
    EXPECT_EQ(made->IndexAt(offset), directory->count());
    EXPECT_EQ(made->IndexAt(0), directory->count());
    EXPECT_EQ(made->IndexAt(~std::uint64_t{0}), directory->count());
    for (const std::uint64_t other : {directory->Size(rule) + 1, std::uint64_t{1} << 54}) {
      EXPECT_EQ(NumberedDirectory::Make(*directory, other, half ? Span::kHalf : Span::kDense).error().code(),
                Errc::kCorrupt);
    }
  }
}

}  // namespace
}  // namespace strata::vfs::castore
