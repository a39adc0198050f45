#include "store/leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::store {
namespace {

constexpr std::int64_t kHour = 3600LL * 1'000'000'000;
const LeaseItem kTree{.kind = LeaseItem::Kind::kDirectory, .digest = Digest::OfEmpty()};
const LeaseItem kBlob{.kind = LeaseItem::Kind::kBlob, .digest = Digest::Of(AsBytes("x"))};

std::string ReadFileOf(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Leases : public ::testing::Test {
 protected:
  Leases() { env_.SetClock(Time{1'700'000'000LL * 1'000'000'000}); }
  void Pass(std::int64_t ns) { env_.SetClock(Time{env_.Now().ns + ns}); }
  std::unique_ptr<Lease> Take(const std::string& id, std::vector<LeaseItem> items = {}) {
    auto lease = Lease::Take(env_, folder_.path(), {.id = id, .holder = "a test", .items = std::move(items)});
    EXPECT_TRUE(lease) << lease.error().ToString();
    return lease ? *std::move(lease) : nullptr;
  }
  LeaseState Only() {
    const auto leases = ReadLeases(env_, folder_.path());
    EXPECT_TRUE(leases) << leases.error().ToString();
    EXPECT_EQ(leases->size(), 1U);
    return leases->empty() ? LeaseState() : leases->front();
  }

  TempFolder folder_;
  FaultEnv env_;
};

TEST_F(Leases, CA67_ALeaseSaysWhatItHolds) {
  const auto lease = Take("import-7", {kTree});
  ASSERT_TRUE(lease->Hold(kBlob));
  const LeaseState state = Only();
  EXPECT_EQ(state.id, "import-7");
  EXPECT_EQ(state.holder, "a test");
  EXPECT_EQ(state.times.since, env_.Now());
  EXPECT_EQ(state.times.renewed, env_.Now());
  EXPECT_THAT(state.items, ::testing::ElementsAre(kTree, kBlob));
  EXPECT_TRUE(state.held);
  EXPECT_FALSE(state.ended);
}

TEST_F(Leases, CA67_ItEndsADayAfterItWasRenewedLast) {
  Take("l");
  Pass(24 * kHour);
  EXPECT_FALSE(Only().ended);
  Pass(1);
  EXPECT_TRUE(Only().ended);
  {
    const auto lease = Take("l");
    Pass(20 * kHour);
    ASSERT_TRUE(lease->Renew());
  }
  Pass(20 * kHour);
  EXPECT_FALSE(Only().ended);
  Pass(5 * kHour);
  EXPECT_TRUE(Only().ended);
  ASSERT_TRUE(RemoveEndedLeases(env_, folder_.path()));
  EXPECT_TRUE(ReadLeases(env_, folder_.path())->empty());
}

TEST_F(Leases, OneThatAProcessHasDoesNotEnd) {
  const auto lease = Take("l");
  Pass(1000 * kHour);
  EXPECT_FALSE(Only().ended);
  ASSERT_TRUE(RemoveEndedLeases(env_, folder_.path()));
  EXPECT_EQ(Only().id, "l");
}

TEST_F(Leases, OneMayLastForEverOrAsLongAsItSays) {
  ASSERT_TRUE(Lease::Take(env_, folder_.path(), {.id = "ever", .holder = "", .lasts = 0, .items = {}}));
  Pass(1'000'000 * kHour);
  EXPECT_FALSE(Only().ended);
  ASSERT_TRUE(Take("ever")->Renew(std::nullopt, kHour));
  Pass(2 * kHour);
  EXPECT_TRUE(Only().ended);
}

TEST_F(Leases, OneIsHadByOneProcessAtATimeAndGoesWhenItIsReleased) {
  const auto lease = Take("l");
  EXPECT_EQ(Lease::Take(env_, folder_.path(), {.id = "l", .holder = "", .items = {}}).error().code(), Errc::kBusy);
  ASSERT_TRUE(lease->Release());
  EXPECT_TRUE(ReadLeases(env_, folder_.path())->empty());
  EXPECT_NE(Take("")->id(), Take("")->id()) << "without a name each has its own";
}

TEST_F(Leases, AnIdThatIsNoNameIsRefused) {
  for (const char* id : {"../x", "a/b", ".hidden", "x.new", "a b", "\n"}) {
    const auto lease = Lease::Take(env_, folder_.path(), {.id = id, .holder = "", .items = {}});
    ASSERT_FALSE(lease) << id;
    EXPECT_EQ(lease.error().code(), Errc::kInvalid);
  }
}

TEST_F(Leases, APowerLossLeavesWhatWasSaidToBeDurable) {
  {
    const auto lease = Take("l", {kTree});
    ASSERT_TRUE(lease->Hold(kBlob));
    ASSERT_TRUE(lease->Hold(kTree, false));
  }
  env_.PowerLoss();
  EXPECT_THAT(Only().items, ::testing::ElementsAre(kTree, kBlob));
}

TEST_F(Leases, AfterAStopAtAnyStepALeaseIsThereWholeOrNotAtAll) {
  for (const int keep : {0, 500, 1000}) {
    for (int steps = 1;; ++steps) {
      SCOPED_TRACE(::testing::Message() << keep << ", " << steps);
      const TempFolder folder;
      FaultEnv env;
      env.StopAfter(steps);
      std::size_t promised = 0;
      {
        const auto lease = Lease::Take(env, folder.path(), {.id = "l", .holder = "", .items = {kTree}});
        if (lease) promised = 1;
        if (lease && (*lease)->Hold(kBlob)) promised = 2;
        if (lease) (void)(*lease)->Renew();
      }
      const bool stopped = env.stopped();
      env.PowerLoss(static_cast<std::uint32_t>(steps), keep);
      const auto leases = ReadLeases(env, folder.path());
      ASSERT_TRUE(leases) << leases.error().ToString();
      ASSERT_GE(leases->empty() ? 0 : leases->front().items.size(), promised);
      ASSERT_TRUE(RemoveEndedLeases(env, folder.path()));
      if (!stopped) break;
    }
  }
}

TEST_F(Leases, AFlippedByteIsSeen) {
  Take("l", {kTree, kBlob, kTree});
  const std::string whole = ReadFileOf(folder_ / "l");
  const auto sound = DecodeLease(AsBytes(whole));
  ASSERT_TRUE(sound);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    const auto lease = DecodeLease(AsBytes(flipped));
    if (!lease) continue;
    // What is left may lack the last item, which a crash may have cut.
    ASSERT_EQ(lease->holder, sound->holder) << at;
    ASSERT_EQ(lease->times, sound->times) << at;
    ASSERT_GE(lease->items.size(), 2U) << at;
    for (std::size_t i = 0; i < lease->items.size(); ++i) ASSERT_EQ(lease->items[i], sound->items[i]) << at;
  }
}

TEST_F(Leases, OneThatDoesNotCheckIsAnErrorAndNotPassedOver) {
  Take("l", {kTree, kBlob});
  std::ofstream(folder_ / "l", std::ios::binary | std::ios::trunc) << "nonsense";
  const auto leases = ReadLeases(env_, folder_.path());
  ASSERT_FALSE(leases);
  EXPECT_EQ(leases.error().code(), Errc::kCorrupt);
  EXPECT_THAT(std::string(leases.error().message()), ::testing::HasSubstr("/l: "));
}

}  // namespace
}  // namespace strata::store
