// A store for a while: trees are imported, read through servers, lose their names and are collected, all at once, and
// whoever works is killed now and then. README.md, "The store's soak", says what must hold.
//   STRATA_SOAK_SECONDS=N   so many seconds of work (default 6)
//   STRATA_SEED=N           repeats a run as far as the machine's timing allows
#include <gtest/gtest.h>

#include <cstdio>
#include <ostream>

#include "tests/base/seed.h"
#include "tests/soak/store_rig.h"

namespace strata::soak {
namespace {

TEST(StoreSoak, ImportsCollectionsAndServersLeaveEachOtherAlone) {
  StoreRig rig({.seed = SeedOfRun()});
  ASSERT_EQ(rig.Prepare(), "");
  const auto seconds = static_cast<double>(NumberFromEnvironment("STRATA_SOAK_SECONDS", 6));
  for (double done = 0; done < seconds && rig.Report().empty(); done += 6) {
    rig.Work(6);
    rig.Quiet();
  }
  const std::string end = rig.Report().empty() ? rig.Finish() : "";
  std::printf("%s\n", rig.Figures().c_str());
  EXPECT_EQ(end, "");
  EXPECT_EQ(rig.Report(), "");
}

// Without these the soak would show nothing: each of them must be found.
struct BrokenStore {
  const char* what;
  StoreInvariant invariant;
  StoreRigOptions options;
};
void PrintTo(const BrokenStore& broken, std::ostream* out) { *out << broken.what; }
class BrokenStores : public ::testing::TestWithParam<BrokenStore> {};
INSTANTIATE_TEST_SUITE_P(
    ThatNow, BrokenStores,
    ::testing::Values(BrokenStore{"lose_packs", StoreInvariant::kNothingLost, {.loses_packs = true}},
                      BrokenStore{"are_not_collected", StoreInvariant::kSpaceComesBack, {.collects = false}}),
    [](const auto& info) { return info.param.what; });

TEST_P(BrokenStores, AreFound) {
  StoreRigOptions options = GetParam().options;
  options.seed = SeedOfRun();
  StoreRig rig(options);
  ASSERT_EQ(rig.Prepare(), "");
  for (int tries = 0; tries < 6 && !rig.Broken(GetParam().invariant); ++tries) {
    rig.Work(1.5);
    rig.Quiet();
  }
  EXPECT_TRUE(rig.Broken(GetParam().invariant)) << rig.Figures();
}

}  // namespace
}  // namespace strata::soak
