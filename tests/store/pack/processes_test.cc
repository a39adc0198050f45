// Several processes at once, and such as are killed in the middle of what they do.
#include <gtest/gtest.h>

#include <filesystem>

#include "store/pack/collect.h"
#include "store/pack/stat.h"
#include "tests/store/pack/child.h"

namespace strata::store::pack {
namespace {

PackStoreOptions ProcessOptions() {
  PackStoreOptions options = SmallOptions();
  options.pack_bytes = 32 << 10;
  return options;
}

TEST(PackProcesses, TwoThatPutTheSameAtOnceBothHaveIt) {
  const QuickFolder folder;
  MustOpen(Env::System(), folder / "s", ProcessOptions());
  const auto work = [&](const Child::Say& say) {
    const auto store = PackStore::Open(Env::System(), folder / "s", ProcessOptions());
    if (!store) return false;
    say(0);
    for (std::uint64_t i = 0; i < 200; ++i) {
      if (!(*store)->blobs()->Put(AsBytes(Noise(300 + 10 * i, i)))) return false;
      if (i % 50 == 49 && !(*store)->Sync()) return false;
      if (i % 70 == 69 && !(*store)->engine().PublishIndexes()) return false;
    }
    return (*store)->Sync().has_value();
  };
  Child one(work), other(work);
  ASSERT_TRUE(one.Next());
  ASSERT_TRUE(other.Next());
  EXPECT_TRUE(one.End());
  EXPECT_TRUE(other.End());
  const auto store = MustOpen(Env::System(), folder / "s", ProcessOptions());
  for (std::uint64_t i = 0; i < 200; ++i) {
    const std::string blob = Noise(300 + 10 * i, i);
    ASSERT_EQ(Get(*store, Digest::Of(AsBytes(blob))), blob) << i;
  }
  ExpectSound(*store);
}

TEST(PackProcesses, WhatAKilledOneHadSyncedIsThere) {
  const QuickFolder folder;
  std::uint32_t promised = 0;  // blobs
  std::uint32_t random = 1;
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    {
      Child child([&](const Child::Say& say) {
        const auto store = PackStore::Open(Env::System(), folder / "s", ProcessOptions());
        if (!store) return false;
        for (std::uint32_t i = promised;; ++i) {
          if (!(*store)->blobs()->Put(AsBytes(Noise(2000, i)))) return false;
          if (!(*store)->Sync()) return false;
          say(i + 1);
          if (i % 5 == 4 && !(*store)->engine().PublishIndexes()) return false;
        }
      });
      random = random * 1103515245 + 12345;
      const std::uint32_t until = promised + 1 + (random >> 16) % 12;
      while (promised < until) {
        const auto next = child.Next();
        ASSERT_TRUE(next) << "it ended by itself";
        promised = *next;
      }
      child.Kill();
    }
    const auto store = MustOpen(Env::System(), folder / "s", ProcessOptions());
    for (std::uint32_t i = 0; i < promised; ++i)
      ASSERT_EQ(Get(*store, Digest::Of(AsBytes(Noise(2000, i)))), Noise(2000, i));
    ExpectSound(*store);
  }
}

TEST(PackProcesses, ACollectionThatIsKilledLosesNothingThatIsNamed) {
  const QuickFolder folder;
  const auto put = [&](std::uint64_t seed, bool named) {
    const auto store = MustOpen(Env::System(), folder / "s", ProcessOptions());
    for (std::uint64_t i = 0; i < 4; ++i) MustPut(*store, Noise(3000, 1000 * seed + i + 10));
    const Digest blob = MustPut(*store, Noise(3000, seed));
    const Directory tree = DirectoryOf({{"f", Node::OfFile(blob, 3000)}});
    ASSERT_OK(store->directories()->Put(tree));
    if (!named) return;
    ASSERT_OK(store->roots()->Set("n" + std::to_string(seed),
                                  {.node = Node::OfDirectory(tree.digest(), 1), .attributes = {}, .set = {}}));
  };
  std::uint32_t random = 7;
  for (std::uint64_t round = 0; round < 15; ++round) {
    SCOPED_TRACE(round);
    for (std::uint64_t i = 0; i < 3; ++i) put(3 * round + i, i == 0);
    ForgetLeases(folder / "s");
    {
      Child child([&](const Child::Say& say) {
        const auto store = PackStore::Open(Env::System(), folder / "s", ProcessOptions());
        if (!store) return false;
        CollectOptions options;
        options.grace_ns = -3600LL * 1'000'000'000;  // what was put just now is old enough
        options.least_dead = 0.01;
        options.progress = [&](std::string_view, std::uint64_t, std::uint64_t) {
          say(1);
          return true;
        };
        return CollectGarbage((*store)->engine(), options).has_value();
      });
      random = random * 1103515245 + 12345;
      std::uint32_t steps = (random >> 16) % 25;
      while (steps > 0 && child.Next()) --steps;
      if (steps == 0) {
        child.Kill();
      } else {
        EXPECT_TRUE(child.End());
      }
    }
    const auto store = MustOpen(Env::System(), folder / "s", ProcessOptions());
    ExpectNamesWhole(*store);
    for (std::uint64_t seed = 0; seed <= 3 * round; seed += 3) {
      ASSERT_EQ(Get(*store, Digest::Of(AsBytes(Noise(3000, seed)))), Noise(3000, seed));
    }
    ExpectSound(*store);
  }
  // One that is not killed makes an end of it.
  ForgetLeases(folder / "s");
  const auto store = MustOpen(Env::System(), folder / "s", ProcessOptions());
  CollectOptions options;
  options.grace_ns = -3600LL * 1'000'000'000;
  options.least_dead = 0.01;
  ASSERT_OK(CollectGarbage(store->engine(), options));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "s/condemned"));
  EXPECT_EQ(Get(*store, Digest::Of(AsBytes(Noise(3000, 1)))), "(none)");
  EXPECT_EQ(Get(*store, Digest::Of(AsBytes(Noise(3000, 3)))), Noise(3000, 3));
}

}  // namespace
}  // namespace strata::store::pack
