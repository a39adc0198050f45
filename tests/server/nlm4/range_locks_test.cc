// The ranges of one file against a plain array of bytes, and what is known of them by name.
#include "server/nlm4/range_locks.h"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace strata::nlm4 {
namespace {

constexpr OwnerId kA = 1, kB = 2, kC = 3;

std::string Show(const RangeLocks& locks) {
  std::string all;
  locks.ForEach([&](const RangeLock& lock) {
    all += (all.empty() ? "" : " ") + std::to_string(lock.owner) + (lock.exclusive ? "W" : "R") +
           std::to_string(lock.range.first) + "-" +
           (lock.range.last == Range::kEnd ? "end" : std::to_string(lock.range.last));
  });
  return all;
}

TEST(RangeLocks, SplitAndMergeAsPosixDoes) {
  RangeLocks locks;
  locks.Lock({{10, 19}, true, kA});
  locks.Lock({{20, 29}, true, kA});
  EXPECT_EQ(Show(locks), "1W10-29") << "what touches is one";
  locks.Lock({{14, 15}, false, kA});
  EXPECT_EQ(Show(locks), "1W10-13 1R14-15 1W16-29") << "one in the middle leaves three";
  locks.Lock({{14, 15}, true, kA});
  EXPECT_EQ(Show(locks), "1W10-29");
  locks.Unlock({12, 12}, kA);
  EXPECT_EQ(Show(locks), "1W10-11 1W13-29");
  locks.Unlock({0, 10}, kA);
  EXPECT_EQ(Show(locks), "1W11-11 1W13-29");
  locks.Lock({{0, Range::kEnd}, false, kA});
  EXPECT_EQ(Show(locks), "1R0-end") << "a weaker one takes a stronger one's place";
  locks.Unlock({5, 9}, kA);
  EXPECT_EQ(Show(locks), "1R0-4 1R10-end");
  locks.Unlock({0, Range::kEnd}, kB);
  EXPECT_EQ(locks.size(), 2u) << "nobody gives up what is another's";
  locks.Unlock({0, Range::kEnd}, kA);
  EXPECT_TRUE(locks.empty());
}

TEST(RangeLocks, SharedOnesOverlapAndExclusiveOnesDoNot) {
  RangeLocks locks;
  locks.Lock({{0, 99}, false, kA});
  EXPECT_EQ(locks.Conflict({50, 60}, false, kB), nullptr);
  locks.Lock({{50, 150}, false, kB});
  ASSERT_NE(locks.Conflict({140, 141}, true, kA), nullptr);
  EXPECT_EQ(locks.Conflict({140, 141}, true, kA)->owner, kB);
  EXPECT_EQ(locks.Conflict({140, 141}, true, kB), nullptr) << "nobody is in the own way";
  EXPECT_EQ(locks.Conflict({0, Range::kEnd}, true, kC)->owner, kA) << "the one that begins first";
  EXPECT_EQ(locks.Conflict({151, Range::kEnd}, true, kC), nullptr);
  locks.Unlock({0, Range::kEnd}, kA);
  locks.Lock({{0, 99}, true, kB});
  EXPECT_EQ(locks.Conflict({99, 99}, false, kC)->range, (Range{0, 99}));
  EXPECT_EQ(locks.Conflict({100, 100}, false, kC), nullptr);
}

TEST(RangeLocks, TheLastByteOfAll) {
  RangeLocks locks;
  locks.Lock({{Range::kEnd, Range::kEnd}, true, kA});
  EXPECT_NE(locks.Conflict({0, Range::kEnd}, false, kB), nullptr);
  EXPECT_EQ(locks.Conflict({0, Range::kEnd - 1}, true, kB), nullptr);
  locks.Lock({{0, Range::kEnd - 1}, true, kA});
  EXPECT_EQ(Show(locks), "1W0-end");
  locks.Unlock({Range::kEnd, Range::kEnd}, kA);
  EXPECT_EQ(Show(locks), "1W0-" + std::to_string(Range::kEnd - 1));
}

TEST(RangeLocks, KeepTheTimeOfTheEarliest) {
  RangeLocks locks;
  locks.Lock({{0, 4}, true, kA, 100});
  locks.Lock({{5, 9}, true, kA, 200});
  locks.ForEach([](const RangeLock& lock) { EXPECT_EQ(lock.since_ns, 100); });
  locks.Lock({{3, 6}, true, kA, 300});
  locks.ForEach([](const RangeLock& lock) { EXPECT_EQ(lock.since_ns, 100); });
}

// Each byte has, of each owner, nothing, R or W.
class Plain {
 public:
  static constexpr int kBytes = 64, kOwners = 5;
  std::array<std::array<char, kOwners + 1>, kBytes> at{};

  bool Conflicts(const Range& range, bool exclusive, OwnerId owner) const {
    for (std::uint64_t i = range.first; i <= std::min<std::uint64_t>(range.last, kBytes - 1); ++i) {
      for (OwnerId other = 1; other <= kOwners; ++other) {
        if (other != owner && at[i][other] != 0 && (exclusive || at[i][other] == 'W')) return true;
      }
    }
    return false;
  }
  void Set(const Range& range, OwnerId owner, char to) {
    for (std::uint64_t i = range.first; i <= std::min<std::uint64_t>(range.last, kBytes - 1); ++i) at[i][owner] = to;
  }
};

TEST(RangeLocks, AreWhatAnArrayOfBytesSays) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    RangeLocks locks;
    Plain plain;
    for (int step = 0; step < 2000; ++step) {
      Range range{random() % Plain::kBytes, 0};
      range.last = std::min<std::uint64_t>(Plain::kBytes - 1, range.first + random() % 12);
      const auto owner = static_cast<OwnerId>(1 + random() % Plain::kOwners);
      const bool exclusive = random() % 3 == 0;
      const std::size_t before = locks.size();
      if (random() % 3 == 0) {
        locks.Unlock(range, owner);
        plain.Set(range, owner, 0);
      } else {
        const RangeLock* conflict = locks.Conflict(range, exclusive, owner);
        ASSERT_EQ(conflict != nullptr, plain.Conflicts(range, exclusive, owner)) << "seed " << seed << " step " << step;
        if (conflict != nullptr) continue;
        locks.Lock({range, exclusive, owner});
        plain.Set(range, owner, exclusive ? 'W' : 'R');
        ASSERT_TRUE(locks.Holds(range, exclusive, owner));
      }
      ASSERT_LE(locks.size(), before + RangeLocks::kMostAdded);
      Plain seen;
      std::optional<RangeLock> last;
      locks.ForEach([&](const RangeLock& lock) {
        seen.Set(lock.range, lock.owner, lock.exclusive ? 'W' : 'R');
        if (last && last->owner == lock.owner) {
          EXPECT_LT(last->range.last, lock.range.first);
          EXPECT_FALSE(last->range.last + 1 == lock.range.first && last->exclusive == lock.exclusive) << "not merged";
        }
        last = lock;
      });
      ASSERT_EQ(seen.at, plain.at) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace strata::nlm4
