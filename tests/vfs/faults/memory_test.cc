// Memory goes with the cache's size, not with the tree.
#include <gtest/gtest.h>

#include "tests/vfs/faults/subject.h"

namespace strata::vfs::testing {
namespace {

constexpr std::size_t kBudget = 1 << 20;
// Beyond the budget: what a call has in its hands, and what a turn of the evictor leaves because it was just used.
constexpr std::size_t kBound = 3 * kBudget;
constexpr int kDirectories = 250, kFilesEach = 200;  // 50,000

std::string DirectoryName(int i) { return "directory-" + std::to_string(i); }
std::string FileName(int i) { return "a file with a name of some length " + std::to_string(i); }

WorkspaceOptions Small() {
  WorkspaceOptions options;
  options.durability = Durability::kRelaxed;
  options.memory_bytes = kBudget;
  // It is the memory that makes checkpoints due, and changes wait for them.
  options.checkpoint_bytes = options.checkpoint_records = ~0ULL >> 8;
  return options;
}

// Lists and looks up everything; the most that the caches held meanwhile.
std::size_t LookAtAll(FaultySubject& subject, std::size_t* files) {
  Client client(subject);
  std::size_t most = 0;
  *files = 0;
  for (int i = 0; i < kDirectories; ++i) {
    const ObjectId directory = client.IdOf(DirectoryName(i));
    auto listed = client.ListAll(directory);
    EXPECT_OK(listed);
    if (!listed) return 0;
    for (const Listed& one : *listed) {
      if (one.name.starts_with('.')) continue;
      EXPECT_OK(client.Get(one.id));
      ++*files;
      most = std::max(most, subject.workspace().cache_bytes());
    }
  }
  return most;
}

TEST(MemoryBudget, ItsSharesAddUpToTheWhole) {
  for (const std::size_t mebibytes : {16, 17, 256, 1000, 65536}) {
    const std::size_t whole = mebibytes << 20;
    const MemoryBudget b = MemoryBudget::Of(whole);
    const std::size_t sum =
        b.inodes + b.index_batch + b.index_written_pages + b.index_read_pages + b.journal_pages + b.host + b.server;
    EXPECT_LE(sum, whole) << mebibytes;
    EXPECT_GT(sum, whole / 10 * 9) << mebibytes;
    EXPECT_LE(b.dirty, b.inodes) << mebibytes;
    EXPECT_LE(b.name_filter, b.inodes) << mebibytes;
    EXPECT_LE(b.whole_directory_names * 256, b.inodes)
        << "a directory that is loaded whole is a small part of all: " << mebibytes;
  }
}

TEST(BoundedMemory, FiftyThousandFilesOfALayerAreLookedAtInASmallCache) {
  Tree tree;
  for (int i = 0; i < kDirectories; ++i) {
    tree.push_back(DirNode(DirectoryName(i)));
    for (int k = 0; k < kFilesEach; ++k) tree.push_back(FileNode(DirectoryName(i) + "/" + FileName(k), "x"));
  }
  FaultySubject subject({tree}, Small());
  for (int turn = 0; turn < 2; ++turn) {
    std::size_t files = 0;
    EXPECT_LE(LookAtAll(subject, &files), kBound);
    EXPECT_EQ(files, std::size_t{kDirectories} * kFilesEach);
  }
}

TEST(BoundedMemory, FiftyThousandFilesAreMadeAndLookedAtInASmallCache) {
  FaultySubject subject({}, Small(), 16 << 20);
  Client client(subject);
  std::size_t most = 0;
  for (int i = 0; i < kDirectories; ++i) {
    auto directory = client.Mkdir(DirectoryName(i));
    ASSERT_OK(directory);
    for (int k = 0; k < kFilesEach; ++k) {
      auto made = client.Create(*directory, FileName(k));
      ASSERT_OK(made);
      if (k % 50 == 0) {
        ASSERT_OK(client.Write(made->id, 0, "some data"));
      }
    }
    most = std::max(most, subject.workspace().cache_bytes());
  }
  // What is not in the index yet cannot be dropped, but changes wait before that is too much.
  EXPECT_LE(most, kBound);
  ASSERT_OK(subject.workspace().Checkpoint());
  std::size_t files = 0;
  LookAtAll(subject, &files);  // drops what the last checkpoint allows to
  EXPECT_LE(LookAtAll(subject, &files), kBound);
  EXPECT_EQ(files, std::size_t{kDirectories} * kFilesEach);
  EXPECT_EQ(client.ReadFile(DirectoryName(7) + "/" + FileName(50)).value_or("?"), "some data");

  subject.Restart();
  EXPECT_LE(LookAtAll(subject, &files), kBound);
  EXPECT_EQ(files, std::size_t{kDirectories} * kFilesEach);
}

TEST(BoundedMemory, AllFilesOfOneDirectoryComeAndGoInASmallCache) {
  constexpr int kFiles = 30'000;
  FaultySubject subject({}, Small(), 16 << 20);
  Client client(subject);
  auto directory = client.Mkdir("large");
  ASSERT_OK(directory);
  std::size_t most = 0;
  const auto look = [&] { most = std::max(most, subject.workspace().cache_bytes()); };
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_OK(client.Create(*directory, FileName(i)));
    look();
  }
  EXPECT_LE(most, kBound);
  for (int turn = 0; turn < 2; ++turn) {
    auto listed = client.ListAll(*directory, 1000, false);
    ASSERT_OK(listed);
    EXPECT_EQ(listed->size(), std::size_t{kFiles} + 2);
    for (int i = 0; i < kFiles; i += 7) {
      ASSERT_OK(client.Lookup(*directory, FileName(i))) << i;
      look();
    }
    EXPECT_CODE(client.Lookup(*directory, "nobody"), Errc::kNotFound);
    EXPECT_CODE(client.Rmdir("large"), Errc::kNotEmpty);
    if (turn == 0) subject.Restart();
  }
  // Another process sees the same, what is not in the index yet among it.
  ASSERT_OK(client.Remove(*directory, FileName(0)));
  ASSERT_OK(client.Create(*directory, "new"));
  {
    auto beside = subject.OpenBeside();
    ASSERT_NE(beside, nullptr);
    Holding holder(*beside);
    Client other(holder);
    EXPECT_CODE(other.Lookup(*directory, FileName(0)), Errc::kNotFound);
    EXPECT_OK(other.Lookup(*directory, FileName(1)));
    EXPECT_OK(other.Lookup(*directory, "new"));
    auto listed = other.ListAll(*directory, 1000, false);
    ASSERT_OK(listed);
    EXPECT_EQ(listed->size(), std::size_t{kFiles} + 2);
  }
  ASSERT_OK(client.Remove(*directory, "new"));
  for (int i = 1; i < kFiles; ++i) {
    ASSERT_OK(client.Remove(*directory, FileName(i)));
    look();
  }
  EXPECT_LE(most, kBound);
  EXPECT_OK(client.Rmdir("large"));
  EXPECT_FALSE(client.Exists("large"));
}

}  // namespace
}  // namespace strata::vfs::testing
