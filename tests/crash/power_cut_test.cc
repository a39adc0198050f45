// The power goes, at random instants, under several clients; the machine boots again on the same disk (guest.h) and
// everything that was answered as durable is there: FILE_SYNC writes, COMMITs, and in the strict mode every change of
// the name space. What was not may be lost, but only from the end.
//   STRATA_SEED=N          repeats a run as far as the machine's timing allows
//   STRATA_CRASH_CUTS=N    so many cuts for each durability
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <random>

#include "tests/base/seed.h"
#include "tests/base/temp_folder.h"
#include "tests/crash/guest.h"
#include "tests/crash/load.h"

namespace strata::crash {
namespace {

constexpr int kCutsOfDisk = 20;  // then a new one: a workspace grows with what is written to it

class PowerCut : public ::testing::Test {
 protected:
  PowerCut() {
    seed_ = SeedOfRun();
    random_.seed(seed_);
  }
  void NewDisk() {
    folder_ = std::make_unique<TempFolder>();
    load_.reset();
    const std::string layer = *folder_ / "layer";
    FillLayer(layer, ++seed_);
    guest_ = std::make_unique<Guest>(*folder_ / "guest", layer);
    ASSERT_TRUE(guest_->has_disk()) << guest_->said();
    load_ =
        std::make_unique<Load>(LoadOptions{.seed = seed_, .relaxed = options_.durability == "relaxed", .power = true});
  }
  void Boot() { ASSERT_TRUE(guest_->Boot(options_)) << "it does not serve again: " << guest_->said(); }
  void Cut() {
    crashed_ = Load::Now();
    guest_->Cut();
    load_->Disconnect();
    ++cuts_;
  }
  // Connects, and verifies after a crash, and sends what was not answered again; again if the server is killed
  // meanwhile.
  void Resume(Crash crash) {
    for (int tries = 0; tries < 20; ++tries) {
      ASSERT_TRUE(load_->Connect(guest_->address(), Guest::kPort, 30)) << Report();
      Load::Outcome outcome = load_->Verify(crash, crashed_, true);
      if (outcome == Load::Outcome::kGood) {
        crash = Crash::kProcess;
        outcome = load_->SendAgain();
      }
      ASSERT_NE(outcome, Load::Outcome::kWrong) << Report();
      if (outcome == Load::Outcome::kGood) return;
      ++kills_;
      if (crash == Crash::kProcess) crashed_ = Load::Now();
    }
    FAIL() << "the server was killed 20 times before it could be looked at\n" << Report();
  }
  // Load for so many seconds.
  void Run(double seconds, bool stable) {
    const double until = Load::Now() + seconds;
    for (;;) {
      const Load::Outcome outcome = load_->Run(until, stable);
      ASSERT_NE(outcome, Load::Outcome::kWrong) << Report();
      if (outcome == Load::Outcome::kGood) return;
      ASSERT_TRUE(options_.kills) << "the connection ended by itself\n" << Report();
      ++kills_;
      crashed_ = Load::Now();
      ASSERT_NO_FATAL_FAILURE(Resume(Crash::kProcess));
    }
  }
  void First() {
    ASSERT_NO_FATAL_FAILURE(NewDisk());
    ASSERT_NO_FATAL_FAILURE(Boot());
    ASSERT_TRUE(load_->Connect(guest_->address(), Guest::kPort, 30)) << Report();
    ASSERT_TRUE(load_->Prepare()) << Report();
  }
  std::string Report() {
    guest_->Cut();
    return "after " + std::to_string(cuts_) + " power cuts:\n" + load_->Report() + guest_->said();
  }
  double Between(double least, double most) { return std::uniform_real_distribution<double>(least, most)(random_); }

  std::uint64_t seed_ = 0;
  std::mt19937_64 random_;
  GuestOptions options_;
  std::unique_ptr<TempFolder> folder_;
  std::unique_ptr<Guest> guest_;
  std::unique_ptr<Load> load_;
  std::uint64_t cuts_ = 0, while_starting_ = 0, kills_ = 0;
  double crashed_ = 0;
};

class PowerCutWithDurability : public PowerCut, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Durability, PowerCutWithDurability, ::testing::Values("strict", "relaxed"),
                         [](const auto& info) { return info.param; });

TEST_P(PowerCutWithDurability, WhateverWasAnsweredAsDurableIsThereAfterEachCut) {
  const bool relaxed = GetParam() == std::string("relaxed");
  const std::uint64_t wanted = NumberFromEnvironment("STRATA_CRASH_CUTS", relaxed ? 6 : 14);
  options_.durability = GetParam();
  Figures sum;
  while (cuts_ < wanted) {
    options_.kills = options_.writes_early = false;
    ASSERT_NO_FATAL_FAILURE(First());
    for (int of_disk = 0; of_disk < kCutsOfDisk && cuts_ < wanted; ++of_disk) {
      // Without a stable call nothing but the interval makes the relaxed mode sync.
      ASSERT_NO_FATAL_FAILURE(
          Run(Between(0.05, options_.kills || relaxed ? 2.5 : 0.8), !relaxed || random_() % 2 == 0));
      Cut();
      options_.kills = random_() % 3 == 0;
      options_.writes_early = random_() % 2 == 0;
      if (of_disk % 4 == 2) {  // again, before or just after it serves
        guest_->BootAndCut(options_, Between(0.8, 2.5));
        ++cuts_, ++while_starting_;
      }
      ASSERT_NO_FATAL_FAILURE(Boot());
      ASSERT_NO_FATAL_FAILURE(Resume(Crash::kPower));
    }
    guest_->Cut();
    sum.acknowledged += load_->figures().acknowledged;
    sum.records += load_->figures().records;
    sum.blocks += load_->figures().blocks;
    sum.repeated += load_->figures().repeated;
    sum.repeated_done += load_->figures().repeated_done;
    sum.lost_unpromised += load_->figures().lost_unpromised;
  }
  ASSERT_GT(sum.acknowledged, 20 * cuts_) << "too few calls were answered to show anything";
  std::printf(
      "%s: power cuts survived %ju (%ju while starting), and %ju kills between them, calls acknowledged %ju, records "
      "checked %ju "
      "(%ju blocks), retransmissions answered %ju (%ju executed before), lost of what was promised: 0 "
      "(of what was not: %ju)\n",
      GetParam(), cuts_, while_starting_, kills_, sum.acknowledged, sum.records, sum.blocks, sum.repeated,
      sum.repeated_done, sum.lost_unpromised);
}

// Without this the others would show nothing.
TEST_F(PowerCut, AServerThatDoesNotSyncIsCaught) {
  ASSERT_NO_FATAL_FAILURE(First());
  ASSERT_NO_FATAL_FAILURE(Run(0.2, true));
  Cut();
  options_.syncs = false;
  ASSERT_NO_FATAL_FAILURE(Boot());
  ASSERT_NO_FATAL_FAILURE(Resume(Crash::kPower));
  ASSERT_NO_FATAL_FAILURE(Run(0.5, true));
  Cut();
  options_.syncs = true;
  ASSERT_NO_FATAL_FAILURE(Boot());
  ASSERT_TRUE(load_->Connect(guest_->address(), Guest::kPort, 30)) << Report();
  EXPECT_EQ(load_->Verify(Crash::kPower, crashed_, true), Load::Outcome::kWrong);
  guest_->Cut();
  EXPECT_THAT(load_->wrong(), ::testing::Contains(::testing::HasSubstr("these were LOST")));
  std::printf("a server that does not sync: %zu objects are not as they were promised\n", load_->wrong().size());
}

}  // namespace
}  // namespace strata::crash
