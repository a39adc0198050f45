#include "vfs/workspace/pace.h"

#include <gtest/gtest.h>

#include <vector>

namespace strata::vfs {
namespace {

using std::chrono::nanoseconds;

// Works until the rests have come `times` times, or `steps` have been made.
std::vector<nanoseconds> RestsOf(double ease, std::size_t times, int steps) {
  std::vector<nanoseconds> rests;
  Pace pace([&] { return ease; }, [&](nanoseconds rest) { rests.push_back(rest); });
  volatile unsigned work = 0;
  for (int i = 0; i < steps && rests.size() < times; ++i) {
    for (int k = 0; k < 10'000; ++k) work = work + 1;
    pace.Step();
  }
  return rests;
}

TEST(Pace, RestsInProportionToItsWork) {
  for (const double ease : {0.5, 3.0}) {
    const auto rests = RestsOf(ease, 20, 10'000'000);
    ASSERT_EQ(rests.size(), 20u);
    for (const nanoseconds rest : rests) {
      EXPECT_GE(static_cast<double>(rest.count()), static_cast<double>(nanoseconds(Pace::kPiece).count()) * ease);
      EXPECT_LE(static_cast<double>(rest.count()), static_cast<double>(Pace::kLongestPiece.count()) * ease);
    }
  }
}

TEST(Pace, DoesNotRestInAHurry) { EXPECT_TRUE(RestsOf(0, 1, 10'000).empty()); }

}  // namespace
}  // namespace strata::vfs
