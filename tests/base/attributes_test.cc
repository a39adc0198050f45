#include "base/attributes.h"

#include <gtest/gtest.h>

#include <limits>

namespace strata {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

TEST(Time, IsMadeOfSecondsAndNanoseconds) {
  EXPECT_EQ(Time::From(0, 0).ns, 0);
  EXPECT_EQ(Time::From(1, 2).ns, 1'000'000'002);
  EXPECT_EQ(Time::From(-1, 999'999'999).ns, -1);
  EXPECT_EQ(Time::From(-2, 1).ns, -1'999'999'999);
}

TEST(Time, BeyondWhatItCanHoldIsTheNearest) {
  EXPECT_EQ(Time::From(kMost / 1'000'000'000, kMost % 1'000'000'000).ns, kMost);
  EXPECT_EQ(Time::From(kMost / 1'000'000'000, kMost % 1'000'000'000 + 1).ns, kMost);
  EXPECT_EQ(Time::From(kMost / 1'000'000'000 + 1, 0).ns, kMost);
  EXPECT_EQ(Time::From(kMost, 999'999'999).ns, kMost);
  EXPECT_EQ(Time::From(kLeast / 1'000'000'000 - 1, 1'000'000'000 + kLeast % 1'000'000'000).ns, kLeast);
  EXPECT_EQ(Time::From(kLeast / 1'000'000'000 - 1, 0).ns, kLeast);
  EXPECT_EQ(Time::From(kLeast, 0).ns, kLeast);
  EXPECT_EQ(Time{kMost}.Next().ns, kMost);
  EXPECT_EQ(Time{41}.Next().ns, 42);
}

}  // namespace
}  // namespace strata
