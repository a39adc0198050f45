// The cleaner over a real journal, and an index and a volume that are what the test says: which segments go, when, and
// what is written anew for it.
#include "vfs/workspace/cleaner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "journal/format.h"
#include "journal/journal.h"
#include "tests/vfs/workspace/background_fakes.h"
#include "tests/vfs/workspace/harness.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kSegment = 64 << 10;
constexpr std::uint64_t kPayload = 8000;

// Remembers what was to be moved; everything the records say lives unless `dead` is set.
class FakeVolume final : public Cleaner::Volume {
 public:
  std::vector<std::uint64_t> moved_inodes, moved_data;  // by number
  std::set<std::uint64_t> living;                       // whose data lives
  int with_tombstones = 0, requests = 0;
  std::function<void()> meanwhile = [] {};  // what clients do while something is moved
  bool truncations_move = true;

  explicit FakeVolume(journal::Journal& journal) : journal_(journal) {}

  Result<void> MoveInode(InodeNumber ino, Cleaner::What what) override {
    moved_inodes.push_back(ino.value);
    with_tombstones += what == Cleaner::What::kLivingAndGone;
    meanwhile();
    return {};
  }
  Result<void> MoveEntry(InodeNumber, std::string_view, Cleaner::What) override { return {}; }
  Result<bool> MoveTruncation(InodeNumber, std::uint64_t) override { return truncations_move; }
  Result<bool> DataLives(const journal::RecordView&, const journal::DataEffect& effect) override {
    return living.contains(effect.ino.value);
  }
  Result<void> MoveData(const journal::RecordView& record, const journal::DataEffect& effect) override {
    moved_data.push_back(effect.ino.value);
    journal::Change change({journal::RecordKind::kMove, Time{}, 0});
    change.Add(journal::DataEffect{effect.ino, effect.offset, effect.length, 0});
    change.payload = record.payload.first(effect.length);
    STRATA_TRY(Append(change));
    return {};
  }
  Result<void> MoveRequest(const journal::RequestEffect&) override {
    ++requests;
    return {};
  }
  Result<Lsn> LogBegin(Lsn begin) override {
    journal::Change change({journal::RecordKind::kMove, Time{}, 0});
    change.Add(journal::BeginEffect{begin});
    STRATA_ASSIGN(const journal::Appended appended, Append(change));
    return appended.end;
  }
  std::uint64_t moved_bytes() const override { return moved_bytes_; }

 private:
  Result<journal::Appended> Append(journal::Change& change) {
    change.room = journal::Room::kReserve;
    STRATA_ASSIGN(const journal::Appended appended, journal_.Append(change));
    moved_bytes_ += appended.end.value - appended.begin.value;
    return appended;
  }

  std::uint64_t moved_bytes_ = 0;
  journal::Journal& journal_;
};

class LargestBegin final : public journal::SomeEffects {
 public:
  using SomeEffects::On;
  Lsn begin{};
  Result<void> On(const journal::BeginEffect& effect) override {
    begin = std::max(begin, effect.begin);
    return {};
  }
};

class CleanerTest : public ::testing::Test {
 protected:
  CleanerTest() {
    auto opened = journal::Journal::Open(env_, folder_.path() + "/journal", {.segment_size = kSegment});
    EXPECT_OK(opened);
    journal_ = std::move(*opened);
    Make();
  }
  void Make() {
    keeper_.emplace(env_, *journal_, index_, Checkpointer(*journal_, index_, key_, copied_up_, {}, 1 << 20),
                    KeeperOptions{.checkpoint_bytes = ~0ULL, .checkpoint_records = ~0ULL, .dirty_bytes = 1 << 30},
                    folder_.path());
    volume_.emplace(*journal_);
    cleaner_.emplace(env_, *journal_, index_, *keeper_, *volume_, folder_.path());
  }
  // A record with file data of `ino`; the segment that it lies in.
  std::uint64_t Write(std::uint64_t ino, bool truncates = false) {
    journal::Change change({journal::RecordKind::kWrite, Time{}, 0});
    change.Add(journal::TouchEffect{InodeNumber(ino), 1, 0, 0644, {}, {}});
    if (truncates) change.Add(journal::TruncateEffect{InodeNumber(ino), 0});
    change.Add(journal::DataEffect{InodeNumber(ino), 0, kPayload, 0});
    const std::string data(kPayload, 'x');
    change.payload = AsBytes(data);
    auto appended = journal_->Append(change);
    EXPECT_OK(appended);
    return appended->begin.value / kSegment;
  }
  // Fills whole segments up to and with `last`; each with data of the inode 100 + its index.
  void FillUpTo(std::uint64_t last, bool truncates = false) {
    const std::uint64_t record = kPayload + 200;  // about, and more than it is
    for (std::uint64_t segment = 0; segment <= last;) {
      const std::uint64_t left = kSegment - journal_->end().value % kSegment;
      segment = journal_->end().value / kSegment + (left < record);
      if (segment <= last || left < record) Write(100 + segment, truncates);
    }
    ASSERT_OK(keeper_->Checkpoint());
  }
  // In segment `segment` so much lives.
  void SetLiving(std::uint64_t segment, std::uint64_t bytes) {
    index_.segments.push_back({segment, bytes});
    index_.counts.data += bytes;
    volume_->living.insert(100 + segment);
  }
  std::uint64_t first() const { return journal_->begin().value / kSegment; }

  TempFolder folder_;
  ManualEnv env_;
  FakeIndex index_;
  SipHashKey key_{};
  NumberFilter copied_up_;
  std::unique_ptr<journal::Journal> journal_;
  std::optional<Keeper> keeper_;
  std::optional<FakeVolume> volume_;
  std::optional<Cleaner> cleaner_;
};

TEST_F(CleanerTest, WhatIsDeadGoesButForSomeSegments) {
  FillUpTo(19);
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GE(first(), 14u);
  EXPECT_LE(first(), 17u) << "some dead weight is borne";
  EXPECT_LE(journal_->held_bytes(), 5 * kSegment + kSegment / 2);
  EXPECT_THAT(volume_->moved_data, IsEmpty());
}

TEST_F(CleanerTest, SegmentsThatGoTogetherTakeOneCheckpoint) {
  FillUpTo(19);
  const int commits = index_.commits;
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GE(first(), 14u);
  EXPECT_LE(index_.commits - commits, 2);
}

TEST_F(CleanerTest, SegmentsThatGoTogetherHaveBeenMovedWhole) {
  FillUpTo(19);
  for (std::uint64_t segment = 0; segment < 19; ++segment) SetLiving(segment, kPayload);
  env_.available = 4 * kSegment;
  std::optional<std::size_t> moved;  // when the first checkpoint was made
  index_.on_commit = [&] {
    if (moved) return;
    EXPECT_EQ(first(), 0u) << "before the first checkpoint nothing goes";
    moved = volume_->moved_data.size();
  };
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GT(moved.value_or(0), 1u) << "more than one segment had been moved by then";
  std::set<std::uint64_t> anew(volume_->moved_data.begin(), volume_->moved_data.end());
  for (std::uint64_t segment = 0; segment < 19; ++segment) {
    const bool gone = segment < first() || journal_->IsGivenUp(segment);
    EXPECT_TRUE(!gone || anew.contains(100 + segment)) << segment;
  }
  EXPECT_GT(first(), 0u);
}

// A process was killed after it had said so, and before it gave anything up.
TEST_F(CleanerTest, WhereTheJournalMayBeginIsNeverTakenBack) {
  FillUpTo(9);
  ASSERT_OK(volume_->LogBegin(Lsn(3 * kSegment)));
  const std::uint64_t said_in = journal_->end().value / kSegment;
  FillUpTo(19);
  for (std::uint64_t segment = 0; segment < 19; ++segment) {
    if (segment != said_in) SetLiving(segment, kSegment - kSegment / 4);
  }
  env_.available = 4 * kSegment;
  ASSERT_OK(cleaner_->Clean({}));
  ASSERT_TRUE(journal_->IsGivenUp(said_in));
  LargestBegin visitor;
  for (auto record = journal_->NextHead(journal_->begin()); record && *record;
       record = journal_->NextHead((*record)->end)) {
    ASSERT_OK((*record)->Visit(visitor));
  }
  EXPECT_GE(visitor.begin, Lsn(3 * kSegment)) << "the index says more than the journal";
}

TEST_F(CleanerTest, NothingIsReadOrWrittenWhereThereIsNothingToGain) {
  FillUpTo(2);
  const Lsn end = journal_->end();
  const int commits = index_.commits;
  for (int i = 0; i < 100; ++i) ASSERT_OK(cleaner_->Clean({}));
  EXPECT_EQ(journal_->end(), end);
  EXPECT_EQ(index_.commits, commits);
  EXPECT_EQ(index_.reads, 0);
  EXPECT_EQ(first(), 0u);
}

TEST_F(CleanerTest, ADiskThatFillsUpGetsBackWhatIsDead) {
  FillUpTo(2);
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_EQ(first(), 0u) << "it is few segments";
  env_.available = kSegment;
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GE(first(), 1u);
}

TEST_F(CleanerTest, WhereRoomIsShortEachSegmentMakesSomeBeforeTheNextTakesAny) {
  FillUpTo(9);
  env_.available = kSegment;
  const int commits = index_.commits;
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GE(first(), 5u);
  EXPECT_GE(index_.commits - commits, static_cast<int>(first()));
}

// What lives beside file data is known as an average alone.
TEST_F(CleanerTest, OnAFullDiskThereIsAlwaysASegmentThatPays) {
  journal::JournalOptions options{.segment_size = kSegment};
  options.reserve_bytes = kSegment;
  cleaner_.reset(), volume_.reset(), keeper_.reset(), journal_.reset();
  auto opened = journal::Journal::Open(env_, folder_.path() + "/journal", options);
  ASSERT_OK(opened);
  journal_ = std::move(*opened);
  Make();
  FillUpTo(9);
  index_.counts.inodes = 1000;
  env_.available = 100;
  ASSERT_TRUE(journal_->GiveReserveUp());
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GT(first(), 0u);
}

TEST_F(CleanerTest, TheSegmentWithTheLeastThatLivesGoesFirst) {
  FillUpTo(19);
  for (std::uint64_t segment = 0; segment < 10; ++segment) SetLiving(segment, kSegment - kSegment / 4);
  env_.available = 4 * kSegment;
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_FALSE(journal_->IsGivenUp(0)) << "most of it lives";
  EXPECT_EQ(first(), 0u);
  EXPECT_TRUE(journal_->IsGivenUp(15));
  EXPECT_GT(index_.LastCheckpoint()->record.value / kSegment, 15u) << "the index has to find the record that it names";
  EXPECT_THAT(volume_->moved_data, IsEmpty());
  EXPECT_GT(volume_->with_tombstones, 0) << "what is gone has to be said again: something of it may lie before";
}

TEST_F(CleanerTest, WhatLivesInASegmentIsMovedBeforeItGoes) {
  FillUpTo(9);
  SetLiving(0, kPayload);
  env_.available = 0;
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GT(first(), 0u);
  ASSERT_FALSE(volume_->moved_data.empty());
  for (const std::uint64_t ino : volume_->moved_data) EXPECT_EQ(ino, 100u);
}

TEST_F(CleanerTest, AReaderKeepsWhatItMayLookUpAndNothingIsMovedTwice) {
  FillUpTo(9);
  SetLiving(0, kPayload);
  env_.available = 0;
  index_.reader_in_the_way = true;
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_EQ(first(), 0u);
  EXPECT_TRUE(journal_->Next(Lsn(0)));
  const std::size_t moved = volume_->moved_inodes.size() + volume_->moved_data.size();
  for (int i = 0; i < 5; ++i) ASSERT_OK(cleaner_->Clean({}));
  EXPECT_EQ(volume_->moved_inodes.size() + volume_->moved_data.size(), moved);
  index_.reader_in_the_way = false;
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GT(first(), 0u);
}

TEST_F(CleanerTest, WhatCouldNotBeGivenUpIsTriedAgain) {
  FillUpTo(19);
  for (std::uint64_t segment = 0; segment < 10; ++segment) SetLiving(segment, kSegment - kSegment / 4);
  env_.available = 4 * kSegment;
  std::filesystem::path gone;  // the file of one of those that were moved
  index_.on_commit = [&] {
    if (!gone.empty()) return;
    gone = folder_.path() + "/journal/" + journal::SegmentName(12);
    std::filesystem::rename(gone, gone.string() + ".away");
  };
  ASSERT_FALSE(cleaner_->Clean({}));
  ASSERT_FALSE(journal_->IsGivenUp(12));
  std::filesystem::rename(gone.string() + ".away", gone);
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_TRUE(journal_->IsGivenUp(12));
}

TEST_F(CleanerTest, WhatClientsWriteMeanwhileIsNotTakenForWhatWasMoved) {
  FillUpTo(9);
  SetLiving(0, kPayload);
  env_.available = 0;
  std::vector<store::LivingSegment> written;  // which the index does not know of before a checkpoint
  volume_->meanwhile = [&] {
    for (const Lsn before = journal_->end(); journal_->end().value - before.value <= kSegment;) {
      const std::uint64_t at = journal_->end().value;
      const std::uint64_t segment = Write(1000);
      written.push_back({segment, journal_->end().value - at});
    }
  };
  index_.on_commit = [&] {
    for (const store::LivingSegment& row : std::exchange(written, {})) SetLiving(row.segment, row.bytes);
  };
  ASSERT_OK(cleaner_->Clean({}));
  EXPECT_GE(first(), 8u) << "it must not have been taken for futile";
}

TEST_F(CleanerTest, WhatCannotBeWrittenAnewStaysUntilItIsTheFirst) {
  FillUpTo(9, true);
  volume_->truncations_move = false;
  SetLiving(0, kSegment - kSegment / 8);
  env_.available = 0;
  ASSERT_OK(cleaner_->Clean({}));
  for (std::uint64_t segment = first(); segment < 9; ++segment) {
    EXPECT_FALSE(journal_->IsGivenUp(segment)) << segment;
  }
}

TEST_F(CleanerTest, ThePolicyIsKeptOnAFullDiskToo) {
  FillUpTo(9);
  env_.available = 0;
  ASSERT_OK(cleaner_->Clean({.all = true}));
  EXPECT_EQ(first(), 0u);
  ASSERT_OK(cleaner_->Clean({.age_ns = 3600'000'000'000}));
  EXPECT_EQ(first(), 0u);
  ASSERT_OK(cleaner_->Clean({.bytes = 4 * kSegment}));
  EXPECT_GT(first(), 0u);
  EXPECT_GE(journal_->held_bytes(), 4 * kSegment);
}

TEST_F(CleanerTest, ItsThreadCleansAndEndsAtOnce) {
  FillUpTo(9);
  env_.available = 0;
  cleaner_->Start({});
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (first() == 0 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_GT(first(), 0u);
  cleaner_->Stop();
}

}  // namespace
}  // namespace strata::vfs::testing
