// Old journal segments are given up: nothing that is seen changes by it, the journal stays small, and what is left of
// it still tells the whole volume.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/vfs/faults/subject.h"

namespace strata::vfs::testing {
namespace {

constexpr std::uint64_t kSegment = 128 << 10;

Tree Lower() {
  return {
      DirNode("dir"),
      FileNode("dir/deep", Pattern(70'000, 3)),
      FileNode("kept", Pattern(300'000, 1)),
      FileNode("gone", "x"),
      FileNode("other", Pattern(5000, 2)),
      DirNode("moved"),
      FileNode("moved/in", "in a layer's directory"),
      SymlinkNode("link", "dir/deep"),
  };
}

class History : public ::testing::Test {
 protected:
  std::uint64_t DiskBytes() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(subject_.folder() + "/journal")) {
      if (entry.path().extension() == ".seg") bytes += entry.file_size();
    }
    return bytes;
  }
  // Segments that are gone, or of which only the header is left.
  std::uint64_t GivenUp() {
    std::uint64_t held = 0;
    for (const auto& entry : std::filesystem::directory_iterator(subject_.folder() + "/journal")) {
      held += entry.path().extension() == ".seg" && entry.file_size() > 4096;
    }
    return subject_.workspace().journal_end().value / kSegment + 1 - held;
  }
  // Of every kind of thing, so that each lies in the first segments.
  void MakeSome() {
    ASSERT_OK(client_.MakeFile("file"));
    ASSERT_OK(client_.WriteAt("file", 0, Pattern(20'000, 9)));
    ASSERT_OK(client_.WriteAt("file", 5000, Pattern(700, 10)));
    ASSERT_OK(client_.LinkAt("file", "linked"));
    ASSERT_OK(client_.Mkdir("new"));
    ASSERT_OK(client_.MakeFile("new/inside"));
    ASSERT_OK(client_.WriteAt("new/inside", 100'000, "behind a hole"));
    ASSERT_OK(client_.Symlink("somewhere", "new/symlink"));
    ASSERT_OK(client_.Unlink("gone"));
    ASSERT_OK(client_.WriteAt("kept", 150'000, "copied up"));
    ASSERT_OK(client_.RenameAt("moved", "new/moved"));
    ASSERT_OK(client_.Unlink("new/moved/in"));
  }
  // Fills the journal with what is overwritten.
  void Churn(std::uint64_t bytes) {
    if (!client_.Exists("churn")) {
      ASSERT_OK(client_.MakeFile("churn"));
    }
    for (std::uint64_t done = 0; done < bytes; done += 30'000) {
      ASSERT_OK(client_.WriteAt("churn", random_() % 50'000, Pattern(30'000, random_())));
    }
  }

  FaultySubject subject_{{Lower()}, QuietOptions(), kSegment};
  Client client_{subject_};
  std::mt19937_64 random_{7};
};

TEST_F(History, TheJournalStaysSmallAndEverythingIsAsItWas) {
  MakeSome();
  for (int round = 0; round < 12; ++round) {
    ASSERT_NO_FATAL_FAILURE(Churn(1'000'000));
    const std::string before = TreeImage(subject_, true);
    ASSERT_OK(subject_.workspace().GiveUpHistory({}));
    EXPECT_EQ(TreeImage(subject_, true), before) << "round " << round;
    EXPECT_LT(DiskBytes(), 3'000'000u) << "round " << round;
  }
  EXPECT_GT(GivenUp(), 60u);
  const std::string before = TreeImage(subject_, true);
  subject_.Restart();
  EXPECT_EQ(TreeImage(subject_, true), before);
  EXPECT_EQ(TreeImage(subject_, true), before) << "read again";
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(subject_.index() + suffix);
  subject_.Restart();
  EXPECT_EQ(TreeImage(subject_, true), before) << "the rest of the journal does not tell all";
}

TEST_F(History, HandlesStayGoodAndThoseOfWhatWasRemovedStale) {
  MakeSome();
  const ObjectId file = client_.IdOf("file"), moved = client_.IdOf("new/moved");
  ASSERT_OK(client_.MakeFile("removed"));
  const ObjectId removed = client_.IdOf("removed");
  ASSERT_OK(client_.Unlink("removed"));
  ASSERT_NO_FATAL_FAILURE(Churn(3'000'000));
  ASSERT_OK(subject_.workspace().GiveUpHistory({}));
  ASSERT_GT(GivenUp(), 0u);
  for (int life = 0; life < 2; ++life) {
    EXPECT_OK(subject_.fs().GetAttributes({}, file));
    EXPECT_OK(subject_.fs().GetAttributes({}, moved));
    EXPECT_CODE(subject_.fs().GetAttributes({}, removed), Errc::kStale);
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(subject_.index() + suffix);
    subject_.Restart();
  }
}

TEST_F(History, KeepsWhatThePolicySays) {
  ASSERT_NO_FATAL_FAILURE(Churn(4'000'000));
  ASSERT_OK(subject_.workspace().GiveUpHistory({.all = true}));
  EXPECT_EQ(GivenUp(), 0u);
  ASSERT_OK(subject_.workspace().GiveUpHistory({.bytes = 100'000'000}));
  EXPECT_EQ(GivenUp(), 0u) << "there is no more than so much";
  ASSERT_OK(subject_.workspace().GiveUpHistory({.age_ns = 3600LL * 1'000'000'000}));
  EXPECT_EQ(GivenUp(), 0u) << "nothing is an hour old";
  ASSERT_OK(subject_.workspace().GiveUpHistory({.bytes = 2'000'000}));
  EXPECT_GT(GivenUp(), 0u);
  EXPECT_GT(DiskBytes(), 2'000'000u);
  ASSERT_OK(subject_.workspace().GiveUpHistory({}));
  EXPECT_LT(DiskBytes(), 1'500'000u);
}

TEST_F(History, WhatLivesIsNotMovedRoundAndRound) {
  for (int i = 0; i < 40; ++i) {
    ASSERT_OK(client_.MakeFile("f" + std::to_string(i)));
    ASSERT_OK(client_.WriteAt("f" + std::to_string(i), 0, Pattern(100'000, static_cast<std::uint64_t>(i))));
  }
  ASSERT_OK(subject_.workspace().Checkpoint());
  const Lsn end = subject_.workspace().journal_end();
  for (int i = 0; i < 3; ++i) ASSERT_OK(subject_.workspace().GiveUpHistory({}));
  EXPECT_EQ(GivenUp(), 0u) << "all of it lives";
  EXPECT_EQ(subject_.workspace().journal_end(), end) << "there was nothing to gain";
}

TEST_F(History, AReaderBesideKeepsWhatItMayStillLookUp) {
  MakeSome();
  ASSERT_NO_FATAL_FAILURE(Churn(1'000'000));
  ASSERT_OK(subject_.workspace().Checkpoint());
  const std::string before = TreeImage(subject_, false);
  {
    auto beside = subject_.OpenBeside();
    ASSERT_NE(beside, nullptr);
    ASSERT_NO_FATAL_FAILURE(Churn(3'000'000));
    ASSERT_OK(subject_.workspace().GiveUpHistory({}));
    Holding holding(*beside);
    EXPECT_EQ(TreeImage(holding, false), before);
  }
  ASSERT_OK(subject_.workspace().GiveUpHistory({}));
  EXPECT_GT(GivenUp(), 0u) << "nobody is in the way any more";
}

TEST_F(History, ReadersSeeTheirFilesWholeWhileSegmentsGo) {
  ASSERT_OK(client_.MakeFile("read"));
  const std::string content = Pattern(90'000, 77);
  ASSERT_OK(client_.WriteAt("read", 0, content));
  std::atomic<bool> ends{false};
  std::atomic<int> reads{0};
  std::thread reader([&] {
    Client client(subject_);
    while (!ends) {
      auto read = client.ReadFile("read");
      ASSERT_OK(read);
      ASSERT_EQ(*read, content);
      ++reads;
    }
  });
  for (int round = 0; round < 25; ++round) {
    ASSERT_NO_FATAL_FAILURE(Churn(700'000));
    ASSERT_OK(subject_.workspace().GiveUpHistory({}));
  }
  ends = true;
  reader.join();
  EXPECT_GT(GivenUp(), 20u);
  EXPECT_GT(reads.load(), 0);
}

TEST_F(History, AFullDiskLeavesAllAsItWas) {
  MakeSome();
  ASSERT_NO_FATAL_FAILURE(Churn(3'000'000));
  const std::string before = TreeImage(subject_, true);
  subject_.env().FailAfter(FaultEnv::kAllocate, 0, Errc::kNoSpace, true);
  (void)subject_.workspace().GiveUpHistory({});
  EXPECT_EQ(TreeImage(subject_, true), before);
  subject_.env().FailAfter(FaultEnv::kAllocate, 1 << 30, Errc::kNoSpace);
  ASSERT_OK(subject_.workspace().GiveUpHistory({}));
  EXPECT_EQ(TreeImage(subject_, true), before);
  EXPECT_GT(GivenUp(), 0u);
}

}  // namespace
}  // namespace strata::vfs::testing
