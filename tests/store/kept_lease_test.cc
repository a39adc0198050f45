#include "store/kept_lease.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/base/temp_folder.h"

namespace strata::store {
namespace {

LeaseState OnlyLease(const std::string& folder) {
  const auto leases = ReadLeases(Env::System(), folder);
  EXPECT_TRUE(leases && leases->size() == 1);
  return leases && leases->size() == 1 ? leases->front() : LeaseState();
}

// CA-67: it ends a day after the last renewal, and a server may have run for longer before it is killed.
TEST(KeptLease, IsRenewedForAsLongAsItLives) {
  TempFolder folder;
  auto taken = Lease::Take(Env::System(), folder.path(), {.id = "w", .holder = "a test", .items = {}});
  ASSERT_TRUE(taken.has_value()) << taken.error().ToString();
  const Time first = OnlyLease(folder.path()).times.renewed;
  {
    const KeptLease kept(*std::move(taken), std::chrono::milliseconds(1));
    while (OnlyLease(folder.path()).times.renewed <= first.Next()) std::this_thread::yield();
  }
  const LeaseState after = OnlyLease(folder.path());
  EXPECT_FALSE(after.held);
  EXPECT_FALSE(after.ended);
}

TEST(KeptLease, EndsAtOnceHoweverLongItWouldWait) {
  TempFolder folder;
  auto taken = Lease::Take(Env::System(), folder.path(), {.id = "w", .holder = "a test", .items = {}});
  ASSERT_TRUE(taken.has_value()) << taken.error().ToString();
  const KeptLease kept(*std::move(taken));
}

}  // namespace
}  // namespace strata::store
