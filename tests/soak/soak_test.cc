// The real server for a while, with everything on that runs in the background: on a disk of 1 GiB that fills and
// empties, under clients that change it in every way, killed and ended now and then. README.md says what must hold at
// every second of it.
//   STRATA_SOAK_SECONDS=N   so many seconds for both durabilities together (default 60)
//   STRATA_SEED=N           repeats a run as far as the machine's timing allows
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <ostream>

#include "tests/base/seed.h"
#include "tests/soak/rig.h"

namespace strata::soak {
namespace {

class Soak : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Durability, Soak, ::testing::Values("strict", "relaxed"),
                         [](const auto& info) { return info.param; });

TEST_P(Soak, WhatIsPromisedHoldsAtEverySecond) {
  const double until = Now() + static_cast<double>(NumberFromEnvironment("STRATA_SOAK_SECONDS", 60)) / 2;
  Rig rig({.durability = GetParam(), .seed = SeedOfRun()});
  if (const std::string why = rig.Mount(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_EQ(rig.Prepare(), "");
  for (bool oldest = true; !rig.findings().hopeless(); oldest = !oldest) {
    rig.Phase([](Bulk& bulk) { bulk.Churn(Now() + 5); }, 1.5);
    rig.Quiet("after changes");
    rig.FillAndEmpty(oldest);
    if (Now() > until - 6) break;
    rig.Quiet("after the disk was filled and emptied");
  }
  rig.Phase([](Bulk& bulk) { bulk.Remove(1, false); }, 0);
  rig.Quiet("after everything was removed");
  const std::string end = rig.findings().hopeless() ? "" : rig.Finish();
  EXPECT_EQ(end, "") << rig.errors();
  const std::string broken = rig.findings().Report();
  std::printf("%s: %s; broken: %s\n", GetParam(), rig.Figures().c_str(), broken.empty() ? "0" : "see below");
  EXPECT_TRUE(broken.empty()) << broken << rig.errors().substr(0, 4000);
}

// Without these the soak would show nothing: each breaks the server in one way, which must be found.
struct Break {
  const char* what;
  Invariant invariant;
  const char* durability = "strict";
};
void PrintTo(const Break& broken, std::ostream* out) { *out << broken.what; }
class BrokenServer : public ::testing::TestWithParam<Break> {};
INSTANTIATE_TEST_SUITE_P(
    ThatNow, BrokenServer,
    ::testing::Values(Break{"hoards", Invariant::kSpaceComesBack}, Break{"fills", Invariant::kFullDiskEmpties},
                      Break{"syncs_late", Invariant::kDurableInTime, "relaxed"}, Break{"swells", Invariant::kMemory},
                      Break{"opens", Invariant::kHandles}, Break{"maps", Invariant::kHandles},
                      Break{"spins", Invariant::kIdle}, Break{"reads", Invariant::kIdle},
                      Break{"stalls", Invariant::kNoCallWaits}, Break{"lingers", Invariant::kEndsInTime},
                      Break{"loses", Invariant::kNothingLost}, Break{"forgets", Invariant::kLocksHold}),
    [](const auto& info) { return info.param.what; });

TEST_P(BrokenServer, IsFound) {
  const Invariant invariant = GetParam().invariant;
  const bool fills = invariant == Invariant::kFullDiskEmpties;
  Rig rig({.durability = GetParam().durability,
           .seed = SeedOfRun(),
           .disk_size = fills ? "500m" : "2g",
           .broken = fills ? "hoards" : GetParam().what,
           .quiet_limit = 2,
           .idle_seconds = 2,
           .space_limit = 2});
  if (const std::string why = rig.Mount(); !why.empty()) GTEST_SKIP() << why;
  ASSERT_EQ(rig.Prepare(), "");
  if (fills) rig.FillAndEmpty(false);
  // To idle, it must have cleaned up first.
  const double churned = invariant == Invariant::kIdle ? 0.2 : 1.5;
  for (int tries = 0; tries < 10 && !rig.findings().Has(invariant) && !rig.findings().hopeless(); ++tries) {
    rig.Phase([&](Bulk& bulk) { bulk.Churn(Now() + churned); }, 0);
    if (invariant == Invariant::kSpaceComesBack || invariant == Invariant::kIdle) rig.Quiet("broken");
    if (invariant == Invariant::kEndsInTime) rig.EndAndStart(SIGTERM);
    if (invariant == Invariant::kNothingLost || invariant == Invariant::kLocksHold) rig.EndAndStart(SIGKILL);
  }
  EXPECT_TRUE(rig.findings().Has(invariant)) << rig.findings().Report() << rig.errors();
}

}  // namespace
}  // namespace strata::soak
