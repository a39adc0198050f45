// The keeper by a clock of the test's, over an index that can be made to fail.
#include "vfs/workspace/keeper.h"

#include <gtest/gtest.h>

#include <future>
#include <optional>

#include "journal/journal.h"
#include "tests/vfs/workspace/background_fakes.h"
#include "tests/vfs/workspace/harness.h"

namespace strata::vfs::testing {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::size_t kDirty = 1000;

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() {
    auto opened = journal::Journal::Open(env_, folder_.path() + "/journal", {.segment_size = 1 << 20});
    EXPECT_OK(opened);
    journal_ = std::move(*opened);
    keeper_.emplace(env_, *journal_, index_, Checkpointer(*journal_, index_, key_, copied_up_, {}, 1 << 20),
                    KeeperOptions{.checkpoint_bytes = 1 << 20,
                                  .checkpoint_records = 100,
                                  .dirty_bytes = kDirty,
                                  .quiet_ns = 2 * kSecondNs,
                                  .behind_ns = 10 * kSecondNs},
                    folder_.path());
  }
  void Change() {
    journal::Change change({journal::RecordKind::kWrite, Time{}, 0});
    ASSERT_OK(journal_->Append(change));
    keeper_->NoteRecord();
    keeper_->NoteChange();
  }
  void PassTime(std::int64_t ns) { env_.now_ns += ns; }

  TempFolder folder_;
  ManualEnv env_;
  FakeIndex index_;
  SipHashKey key_{};
  NumberFilter copied_up_;
  std::unique_ptr<journal::Journal> journal_;
  std::optional<Keeper> keeper_;
};

TEST_F(KeeperTest, WithNothingToDoTheIndexIsLeftAlone) {
  ASSERT_OK(keeper_->Checkpoint());
  const int commits = index_.commits, settled = index_.settled;
  for (int i = 0; i < 100; ++i) {
    PassTime(2 * kSecondNs);
    keeper_->Tick(false);
  }
  EXPECT_EQ(index_.commits, commits);
  EXPECT_EQ(index_.settled, settled);
  EXPECT_EQ(index_.reads, 0);
}

TEST_F(KeeperTest, WhenChangesHaveStoppedTheIndexIsBroughtUpToDate) {
  keeper_->Tick(false);
  Change();
  keeper_->Tick(false);
  EXPECT_TRUE(keeper_->behind()) << "it has just changed";
  PassTime(1 * kSecondNs);
  keeper_->Tick(false);
  EXPECT_TRUE(keeper_->behind());
  PassTime(1 * kSecondNs);
  keeper_->Tick(false);
  EXPECT_FALSE(keeper_->behind());
  EXPECT_EQ(keeper_->settled(), journal_->end());
}

TEST_F(KeeperTest, WhereChangesNeverStopTheIndexIsNeverFarBehind) {
  keeper_->Tick(false);
  for (int second = 0; second < 60; ++second) {
    Change();
    PassTime(kSecondNs);
    keeper_->Tick(false);
    EXPECT_GE(index_.commits, (second + 1) / 11) << "at second " << second;
    EXPECT_LE(index_.commits, second / 9 + 1) << "at second " << second;
  }
}

TEST_F(KeeperTest, ACheckpointIsDueByRecordsAndByWhatCannotBeDropped) {
  std::promise<void> committed;
  index_.on_commit = [&, told = false]() mutable {
    if (!std::exchange(told, true)) committed.set_value();
  };
  keeper_->Start();
  Change();
  EXPECT_EQ(index_.commits, 0);
  keeper_->NoteDirty(kDirty / 2);
  keeper_->NoteChange();
  EXPECT_EQ(committed.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
}

TEST_F(KeeperTest, WhoIsFarAheadWaitsAndGoesOn) {
  Change();
  keeper_->NoteDirty(kDirty + 1);
  EXPECT_TRUE(keeper_->FarBehind());
  keeper_->Start();
  EXPECT_OK(keeper_->AwaitRoom());
  EXPECT_FALSE(keeper_->FarBehind());
}

TEST_F(KeeperTest, WhoChangesVeryMuchWaitsBeforeOthersHaveTo) {
  Change();
  keeper_->NoteDirty(kDirty * 9 / 10);
  EXPECT_FALSE(keeper_->FarBehind());
  EXPECT_TRUE(keeper_->FarBehind(0.75));
  keeper_->Start();
  EXPECT_OK(keeper_->AwaitRoom(0.75));
  EXPECT_FALSE(keeper_->FarBehind(0.75));
}

TEST_F(KeeperTest, WhereTheIndexFailsChangesAreRefusedRatherThanHeldInMemory) {
  index_.failure = Errc::kCorrupt;
  Change();
  keeper_->Tick(true);
  EXPECT_FALSE(keeper_->FarBehind()) << "there is room for some";
  EXPECT_OK(keeper_->AwaitRoom());
  keeper_->NoteDirty(kDirty + 1);
  EXPECT_CODE(keeper_->AwaitRoom(), Errc::kIo);
  index_.failure = Errc::kNoSpace;
  keeper_->Tick(true);
  EXPECT_CODE(keeper_->AwaitRoom(), Errc::kNoSpace);
  index_.failure = std::nullopt;
  keeper_->Tick(true);
  EXPECT_OK(keeper_->AwaitRoom());
  EXPECT_FALSE(keeper_->FarBehind());
}

TEST_F(KeeperTest, WhatDoesNotFitIntoTheLastMomentIsLeftToTheNextStart) {
  for (int i = 0; i < 5000; ++i) Change();
  ASSERT_OK(keeper_->CloseWithin(std::chrono::nanoseconds(1)));
  EXPECT_TRUE(keeper_->behind());
  EXPECT_GT(keeper_->position().value, 0u) << "it did nothing at all";
  ASSERT_OK(keeper_->CloseWithin(std::chrono::seconds(60)));
  EXPECT_FALSE(keeper_->behind());
}

TEST_F(KeeperTest, SettlingTheIndexEndsWithTheLastMomentToo) {
  Change();
  index_.settles_for_ever = true;
  EXPECT_OK(keeper_->CloseWithin(std::chrono::milliseconds(20)));
  EXPECT_FALSE(keeper_->behind());
  EXPECT_EQ(keeper_->settled().value, 0u);
}

TEST_F(KeeperTest, NobodyWaitsForAKeeperThatHasStopped) {
  keeper_->Start();
  index_.failure = Errc::kIo;
  keeper_->NoteDirty(kDirty + 1);
  keeper_->Stop();
  EXPECT_OK(keeper_->AwaitRoom());
}

}  // namespace
}  // namespace strata::vfs::testing
