// An answer that says "it is so" of something that another call has just made so: it leaves once that is durable, as
// the answer to that other call does.
#include <gtest/gtest.h>

#include "tests/vfs/faults/subject.h"

namespace strata::vfs::testing {
namespace {

class Promise : public ::testing::Test {
 protected:
  Promise() : subject_({}), client_(subject_) {
    EXPECT_OK(client_.WriteFile("settled", "x"));
    file_ = client_.IdOf("settled");
  }
  FileSystem& fs() { return subject_.fs(); }
  ObjectId root() { return fs().Root(); }
  Result<Entry> Create(CreateMode mode, const SetAttributes& set, Mutation& mutation) {
    return fs().Create({}, root(), "new", mode, set, kVerifier, mutation);
  }
  // The answer to `second` waits for what `first` waits for. Once that is durable it need not wait.
  void ExpectWaits(const Mutation& first, const std::function<void(Mutation&)>& call) {
    Mutation second;
    call(second);
    EXPECT_EQ(second.commitment, Commitment::kDurable);
    EXPECT_GE(second.lsn, first.lsn);
    EXPECT_OK(Settle(fs(), second));
    Mutation third;
    call(third);
    EXPECT_EQ(third.commitment, Commitment::kNone);
  }

  static constexpr CreateVerifier kVerifier{1, 2, 3};
  FaultySubject subject_{{}, QuietOptions()};
  Client client_;
  ObjectId file_;
};

TEST_F(Promise, OfACreateThatFindsTheFile) {
  for (const CreateMode mode : {CreateMode::kUnchecked, CreateMode::kExclusive}) {
    Mutation first;
    ASSERT_OK(Create(mode, {}, first));
    ASSERT_EQ(first.commitment, Commitment::kDurable);
    ExpectWaits(first, [&](Mutation& mutation) { EXPECT_OK(Create(mode, {}, mutation)); });
    ASSERT_OK(client_.Unlink("new"));
  }
}

TEST_F(Promise, OfACreateThatFindsTheFileIsKeptOverAPowerCut) {
  Mutation first, second;
  ASSERT_OK(Create(CreateMode::kUnchecked, {}, first));
  ASSERT_OK(Create(CreateMode::kUnchecked, {}, second));
  ASSERT_OK(Settle(fs(), second));
  subject_.env().PowerLoss();
  subject_.Restart();
  EXPECT_OK(client_.Stat("new"));
}

TEST_F(Promise, OfACreateThatFindsWhatWasLinkedOrRenamedThere) {
  Mutation first;
  ASSERT_OK(fs().Link({}, file_, root(), "new", nullptr, first));
  ExpectWaits(first, [&](Mutation& mutation) { EXPECT_OK(Create(CreateMode::kUnchecked, {}, mutation)); });
  ASSERT_OK(client_.Unlink("new"));
  Mutation second;
  ASSERT_OK(fs().Rename({}, root(), "settled", root(), "new", second));
  ExpectWaits(second, [&](Mutation& mutation) { EXPECT_OK(Create(CreateMode::kUnchecked, {}, mutation)); });
}

// Data that waits for a COMMIT is no affair of who opens the file.
TEST_F(Promise, OfACreateIsOfTheNameAndNotOfTheData) {
  Mutation written, created;
  ASSERT_OK(fs().Write({}, file_, 0, AsBytes("data"), Stability::kUnstable, written));
  ASSERT_OK(fs().Create({}, root(), "settled", CreateMode::kUnchecked, {}, {}, created));
  EXPECT_EQ(created.commitment, Commitment::kNone);
}

TEST_F(Promise, OfARenameOntoAnotherNameOfTheFile) {
  for (const bool back : {false, true}) {
    Mutation first;
    ASSERT_OK(fs().Link({}, file_, root(), "new", nullptr, first));
    ExpectWaits(first, [&](Mutation& mutation) {
      EXPECT_OK(fs().Rename({}, root(), back ? "new" : "settled", root(), back ? "settled" : "new", mutation));
    });
    ASSERT_OK(client_.Unlink("new"));
  }
}

TEST_F(Promise, OfAStableWriteOfNothing) {
  for (const Stability stability : {Stability::kDataSync, Stability::kFileSync}) {
    Mutation first, unstable;
    ASSERT_OK(fs().Write({}, file_, 0, AsBytes("data"), Stability::kUnstable, first));
    ASSERT_OK(fs().Write({}, file_, 0, {}, Stability::kUnstable, unstable));
    EXPECT_EQ(unstable.commitment, Commitment::kNone);
    ExpectWaits(first, [&](Mutation& mutation) { EXPECT_OK(fs().Write({}, file_, 0, {}, stability, mutation)); });
  }
}

TEST_F(Promise, OfACommit) {
  Mutation first;
  ASSERT_OK(fs().Write({}, file_, 0, AsBytes("data"), Stability::kUnstable, first));
  ExpectWaits(first, [&](Mutation& mutation) { EXPECT_OK(fs().Commit({}, file_, mutation)); });
}

// In the relaxed mode the first answer has not waited for the disk, nor does the second.
TEST_F(Promise, InTheRelaxedModeIsThatOfTheFirst) {
  WorkspaceOptions relaxed = QuietOptions();
  relaxed.durability = Durability::kRelaxed;
  relaxed.relaxed_interval_ns = 3'600'000'000'000;
  FaultySubject subject({}, relaxed);
  Mutation first, second;
  ASSERT_OK(subject.fs().Create({}, subject.fs().Root(), "new", CreateMode::kUnchecked, {}, {}, first));
  ASSERT_EQ(first.commitment, Commitment::kWritten);
  ASSERT_OK(subject.fs().Create({}, subject.fs().Root(), "new", CreateMode::kUnchecked, {}, {}, second));
  EXPECT_EQ(second.commitment, Commitment::kWritten);
}

}  // namespace
}  // namespace strata::vfs::testing
