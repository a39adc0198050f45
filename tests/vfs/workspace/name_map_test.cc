#include "vfs/workspace/name_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace strata::vfs {
namespace {

NameSlot SlotTo(std::uint64_t ino) {
  NameSlot slot;
  slot.ino = InodeNumber(ino);
  return slot;
}

TEST(NameMap, IsInTheOrderOfHashesAndThenOfNames) {
  NameMap names;
  names.Set(7, "b", SlotTo(1));
  names.Set(7, "a", SlotTo(2));
  names.Set(3, "z", SlotTo(3));
  names.Set(9, "", SlotTo(4));
  std::vector<std::string> seen;
  for (const NameMap::Item& item : names) seen.emplace_back(item.name());
  EXPECT_EQ(seen, (std::vector<std::string>{"z", "a", "b", ""}));
  EXPECT_EQ(names.From(4)->name(), "a");
  EXPECT_TRUE(names.From(10) == names.end());
  ASSERT_NE(names.Find(7, "b"), nullptr);
  EXPECT_EQ(names.Find(7, "b")->ino, InodeNumber(1));
  EXPECT_EQ(names.Find(7, "c"), nullptr) << "its hash is there, the name is not";
  EXPECT_EQ(names.Find(8, "b"), nullptr);
}

// Against a map of the standard library, with hashes that meet often.
TEST(NameMap, HoldsWhatWasSetLast) {
  NameMap names;
  std::map<std::pair<std::uint64_t, std::string>, std::uint64_t> expected;
  std::mt19937 random(5);
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    const std::uint64_t hash = random() % 50;
    const std::string name(random() % 8 * random() % 40, static_cast<char>('a' + random() % 3));
    if (random() % 3 == 0) {
      names.Erase(hash, name);
      expected.erase({hash, name});
    } else {
      names.Set(hash, name, SlotTo(i));
      expected[{hash, name}] = i;
    }
  }
  ASSERT_EQ(names.size(), expected.size());
  auto at = expected.begin();
  std::size_t bytes = 0;
  for (const NameMap::Item& item : names) {
    EXPECT_EQ(item.hash(), at->first.first);
    EXPECT_EQ(item.name(), at->first.second);
    EXPECT_EQ(item.slot().ino.value, at->second);
    bytes += NameMap::Footprint(item.name());
    ++at;
  }
  EXPECT_EQ(names.Footprint(), bytes);
  for (auto one = names.begin(); one != names.end();) one = names.Erase(one);
  EXPECT_EQ(names.Footprint(), 0u);
}

}  // namespace
}  // namespace strata::vfs
