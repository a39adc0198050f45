#include "store/index/index.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "store/index/page_check.h"
#include "tests/base/temp_folder.h"
#include "tests/store/index_testing.h"

namespace strata::store {
namespace {

InodeRecord FullInode(std::uint64_t ino) {
  InodeRecord inode = Inode(ino, 1ULL << 62);
  inode.generation = Generation(0xffffffffu);
  inode.locator = 0xffff'ffff'ffff'ffffULL;
  inode.type = FileType::kSymlink;
  inode.mode = 07777;
  inode.uid = 0xfffffffeu;
  inode.gid = 4;
  inode.rdev = {0xffffffffu, 0xfffffffeu};
  inode.atime.ns = -1;
  inode.mtime.ns = 2;
  inode.ctime.ns = 3;
  inode.parent = InodeNumber(9);
  inode.opaque = true;
  inode.base_size = 77;
  inode.create_verifier = {0, 0, 0, 0, 0, 0, 0, 1};
  inode.origin = {.sources = {{1, 2, 3}, {4, 5, 6}}, .size = 12, .mtime = {-34}};
  inode.symlink_target = std::string("a\0b", 3);
  return inode;
}

IndexEntry Entry(std::uint64_t hash, std::string name, std::uint64_t ino) {
  return {
      .name = std::move(name), .hash = hash, .whiteout = false, .ino = InodeNumber(ino), .type = FileType::kRegular};
}

std::vector<std::string> Names(Index& index, std::uint64_t directory) {
  std::vector<std::string> names;
  EXPECT_TRUE(
      index.LoadEntries(InodeNumber(directory), 0, ~0ULL, [&](const IndexEntry& e) { names.push_back(e.name); }));
  return names;
}

std::vector<Extent> Extents(Index& index, std::uint64_t ino) {
  std::vector<Extent> extents;
  EXPECT_EQ(index.LoadExtents(InodeNumber(ino), 0, 1ULL << 62, ~0ULL, extents).value_or(0), 1ULL << 62);
  return extents;
}

TEST(Index, GivesBackWhatWasPutAlsoAfterReopening) {
  TempFolder folder;
  const IndexEntry whiteout{
      .name = "gone", .hash = 20, .whiteout = true, .ino = kNoInode, .type = FileType::kDirectory};
  {
    auto index = MustOpen(folder / "index");
    EXPECT_EQ(index->LastCheckpoint().value().lsn, Lsn(0));
    InOneBatch(*index, 100, [&](Index::Writer& w) {
      ASSERT_TRUE(w.PutInode(FullInode(5)));
      ASSERT_TRUE(w.PutInode(Inode(6)));
      ASSERT_TRUE(w.PutEntry(kRootInode, Entry((1ULL << 63) - 1, "last", 5)));
      ASSERT_TRUE(w.PutEntry(kRootInode, Entry(20, "b", 6)));
      ASSERT_TRUE(w.PutEntry(kRootInode, Entry(20, "a", 6)));
      ASSERT_TRUE(w.PutEntry(kRootInode, whiteout));
      ASSERT_TRUE(w.PutExtent(InodeNumber(6), {10, 20, Lsn(1ULL << 62), Lsn(9)}));
      ASSERT_TRUE(w.PutExtent(InodeNumber(6), {0, 10, Lsn(7), Lsn(3)}));
    });
  }
  for (const IndexMode mode : {IndexMode::kReadWrite, IndexMode::kReadOnly}) {
    auto index = MustOpen(folder / "index", mode);
    EXPECT_EQ(index->LoadInode(InodeNumber(5)).value(), FullInode(5));
    EXPECT_EQ(index->LoadInode(InodeNumber(6)).value(), Inode(6));
    EXPECT_EQ(index->LoadInode(InodeNumber(7)).value(), std::nullopt);
    EXPECT_EQ(Names(*index, 1), (std::vector<std::string>{"a", "b", "gone", "last"}));
    EXPECT_EQ(index->LoadEntry(kRootInode, 20, "gone").value(), whiteout);
    EXPECT_EQ(index->LoadEntry(kRootInode, 21, "gone").value(), std::nullopt);
    EXPECT_EQ(Extents(*index, 6), (std::vector<Extent>{{0, 10, Lsn(7), Lsn(3)}, {10, 20, Lsn(1ULL << 62), Lsn(9)}}));
    EXPECT_EQ(index->Counts().inodes, 2u);
    EXPECT_EQ(index->LastCheckpoint().value().lsn, Lsn(100));
    EXPECT_EQ(index->LastCheckpoint().value().highest_ino, InodeNumber(6));
    EXPECT_TRUE(index->Check());
    std::size_t visited = 0;
    EXPECT_TRUE(index->VisitInodes([&](const InodeRecord& inode) {
      EXPECT_TRUE(index->LoadInode(inode.ino).value() == inode);
      ++visited;
    }));
    EXPECT_EQ(visited, 2u);
  }
}

TEST(Index, ShowsNothingOfABatchBeforeItsCommitNorOfOneGivenUp) {
  TempFolder folder;
  auto index = MustOpen(folder / "index");
  {
    auto writer = index->Begin(kSegment);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->PutInode(Inode(2)));
    EXPECT_EQ(index->LoadInode(InodeNumber(2)).value(), std::nullopt);
    auto second = index->Begin(kSegment);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Errc::kBusy);
  }
  EXPECT_EQ(index->LoadInode(InodeNumber(2)).value(), std::nullopt);
  EXPECT_EQ(index->LastCheckpoint().value().highest_ino, InodeNumber(0));
  auto writer = index->Begin(kSegment);
  ASSERT_TRUE(writer);
  EXPECT_TRUE((*writer)->Commit({.lsn = Lsn(1)}));
  EXPECT_EQ((*writer)->Commit({.lsn = Lsn(2)}).error().code(), Errc::kInvalid);
}

TEST(Index, RemembersTheHighestNumberOfPurgedInodesButNotThoseOfLayers) {
  TempFolder folder;
  const std::uint64_t lower = (1ULL << 55) + 5;
  {
    auto index = MustOpen(folder / "index");
    InOneBatch(*index, 1, [&](Index::Writer& w) {
      ASSERT_TRUE(w.PutInode(Inode(10)));
      ASSERT_TRUE(w.PutInode(Inode(900)));
      ASSERT_TRUE(w.Purge(InodeNumber(900)));  // made and purged in one batch
      ASSERT_TRUE(w.PutInode(Inode(lower)));
    });
    InOneBatch(*index, 2, [&](Index::Writer& w) { ASSERT_TRUE(w.Purge(InodeNumber(10))); });
    EXPECT_EQ(index->Counts().inodes, 1u);
  }
  auto index = MustOpen(folder / "index");
  EXPECT_EQ(index->LastCheckpoint().value().highest_ino, InodeNumber(900));
  EXPECT_EQ(index->LoadInode(InodeNumber(lower)).value(), Inode(lower));
}

TEST(Index, IsWholeAfterItsProcessWasKilledAmidCommits) {
  TempFolder folder;
  for (const int commits : {1, 17, 60}) {
    int pipe_ends[2];
    ASSERT_EQ(::pipe(pipe_ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe_ends[0]);
      auto index = Index::Open(folder / "index", IndexMode::kReadWrite, kVolume);
      if (!index) ::_exit(1);
      std::uint64_t i = (*index)->LastCheckpoint()->lsn.value;
      while (true) {
        ++i;
        auto writer = (*index)->Begin(kSegment);
        if (!writer) ::_exit(2);
        for (std::uint64_t k = 1; k <= 50; ++k) {
          (void)(*writer)->PutInode(Inode(i * 50 + k, i));
          (void)(*writer)->PutEntry(kRootInode, Entry(100 + i * 50 + k, "n" + std::to_string(i * 50 + k), i * 50 + k));
        }
        (void)(*writer)->PutInode(Inode(1, i));
        if (!(*writer)->Commit({.lsn = Lsn(i)})) ::_exit(3);
        if (::write(pipe_ends[1], "x", 1) != 1) ::_exit(4);
      }
    }
    ::close(pipe_ends[1]);
    for (int done = 0; done < commits; ++done) {
      char byte;
      ASSERT_EQ(::read(pipe_ends[0], &byte, 1), 1);
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    ::close(pipe_ends[0]);

    auto index = MustOpen(folder / "index");
    ASSERT_TRUE(index);
    EXPECT_TRUE(index->Check());
    const std::uint64_t reached = index->LastCheckpoint().value().lsn.value;
    EXPECT_GE(reached, static_cast<std::uint64_t>(commits));
    EXPECT_EQ(index->LoadInode(kRootInode).value()->size, reached);
    EXPECT_EQ(index->Counts().inodes, reached * 50 + 1);
    EXPECT_EQ(Names(*index, 1).size(), reached * 50);
  }
}

TEST(Index, CountsWhatLivesAndInWhichSegmentsOfTheJournal) {
  TempFolder folder;
  auto index = MustOpen(folder / "index");
  using Segments = std::vector<LivingSegment>;
  InOneBatch(*index, 1, [&](Index::Writer& w) {
    ASSERT_TRUE(w.PutInode(Inode(2)));
    ASSERT_TRUE(w.PutInode(Inode(3)));
    ASSERT_TRUE(w.PutEntry(kRootInode, Entry(20, "a", 2)));
    ASSERT_TRUE(w.PutExtent(InodeNumber(2), {0, 100, Lsn(10), Lsn(1)}));
    ASSERT_TRUE(w.PutExtent(InodeNumber(2), {100, 100, Lsn(5010), Lsn(5001)}));
    ASSERT_TRUE(w.PutExtent(InodeNumber(3), {0, 7, Lsn(3010), Lsn(3001)}));
  });
  EXPECT_EQ(index->Counts(), (IndexCounts{.inodes = 2, .entries = 1, .extents = 3, .data = 207}));
  EXPECT_EQ(index->LivingIn(0, ~0ULL).value(), (Segments{{0, 100}, {3, 7}, {5, 100}}));
  EXPECT_EQ(index->LivingIn(1, 3).value(), (Segments{{3, 7}}));
  EXPECT_EQ(index->LoadInode(InodeNumber(2)).value()->used, 200u);
  const std::uint64_t living = index->LivingBytes();
  EXPECT_GT(living, 207u);
  // An entry that is there already, and data that lies over both extents of the file.
  InOneBatch(*index, 2, [&](Index::Writer& w) {
    ASSERT_TRUE(w.PutEntry(kRootInode, Entry(20, "a", 3)));
    ASSERT_TRUE(w.PutExtent(InodeNumber(2), {50, 100, Lsn(7010), Lsn(7001)}));
    ASSERT_TRUE(w.Purge(InodeNumber(3)));
  });
  EXPECT_EQ(index->Counts(), (IndexCounts{.inodes = 1, .entries = 1, .extents = 3, .data = 200}));
  EXPECT_EQ(index->LivingIn(0, ~0ULL).value(), (Segments{{0, 50}, {5, 50}, {7, 100}}));
  EXPECT_LT(index->LivingBytes(), living);
  InOneBatch(*index, 3, [&](Index::Writer& w) { ASSERT_TRUE(w.Truncate(InodeNumber(2), 60)); });
  EXPECT_EQ(index->LivingIn(0, ~0ULL).value(), (Segments{{0, 50}, {7, 10}}));
  EXPECT_EQ(index->LoadInode(InodeNumber(2)).value()->used, 60u);
  index.reset();
  for (const IndexMode mode : {IndexMode::kReadWrite, IndexMode::kReadOnly}) {
    index = MustOpen(folder / "index", mode);
    EXPECT_EQ(index->Counts(), (IndexCounts{.inodes = 1, .entries = 1, .extents = 2, .data = 60}));
    EXPECT_EQ(index->LivingIn(0, ~0ULL).value(), (Segments{{0, 50}, {7, 10}}));
  }
}

TEST(Index, DropsTheExtentsOfALargeFileAFewAtATime) {
  TempFolder folder;
  auto index = MustOpen(folder / "index");
  constexpr std::uint64_t kExtents = 20'000;
  InOneBatch(*index, 1, [&](Index::Writer& w) {
    ASSERT_TRUE(w.PutInode(Inode(2)));
    for (std::uint64_t i = 0; i < kExtents; ++i) {
      ASSERT_TRUE(w.PutExtent(InodeNumber(2), {i * 10, 5, Lsn(1 + i * 10), Lsn(i * 10)}));
    }
  });
  EXPECT_EQ(index->Counts().extents, kExtents);
  InOneBatch(*index, 2, [&](Index::Writer& w) {
    ASSERT_TRUE(w.PutExtent(InodeNumber(2), {12, 150'000, Lsn(900'001), Lsn(900'000)}));
  });
  EXPECT_EQ(index->Counts().extents, 5002u);
  EXPECT_EQ(index->LoadInode(InodeNumber(2)).value()->used, 7 + 150'000 + 3 + 4998 * 5u);
  InOneBatch(*index, 3, [&](Index::Writer& w) { ASSERT_TRUE(w.Truncate(InodeNumber(2), 13)); });
  EXPECT_EQ(
      Extents(*index, 2),
      (std::vector<Extent>{{0, 5, Lsn(1), Lsn(0)}, {10, 2, Lsn(11), Lsn(10)}, {12, 1, Lsn(900'001), Lsn(900'000)}}));
  InOneBatch(*index, 4, [&](Index::Writer& w) { ASSERT_TRUE(w.Purge(InodeNumber(2))); });
  EXPECT_EQ(index->Counts(), IndexCounts{});
  EXPECT_TRUE(index->LivingIn(0, ~0ULL).value().empty());
}

TEST(Index, BringsOneOfVersion1UpToDateWhereItMayWrite) {
  TempFolder folder;
  const std::string path = folder / "index";
  InOneBatch(*MustOpen(path), 1, [&](Index::Writer& w) {
    ASSERT_TRUE(w.PutInode(Inode(2)));
    ASSERT_TRUE(w.PutEntry(kRootInode, Entry(20, "a", 2)));
    ASSERT_TRUE(w.PutExtent(InodeNumber(2), {0, 100, Lsn(10), Lsn(1)}));
    ASSERT_TRUE(w.PutExtent(InodeNumber(2), {100, 100, Lsn(5010), Lsn(5001)}));
  });
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE, CheckedVfs()), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw,
                         "ALTER TABLE inodes DROP COLUMN used; DROP TABLE segments; DELETE FROM meta WHERE key IN "
                         "('entries', 'extents', 'data', 'segment_size'); PRAGMA user_version = 1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(raw);
  for (const IndexMode mode : {IndexMode::kReadOnly, IndexMode::kInspect}) {
    const auto refused = Index::Open(path, mode, kVolume);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::kNotSupported);
  }
  auto index = MustOpen(path);
  ASSERT_TRUE(index);
  EXPECT_EQ(index->LastCheckpoint().value().lsn, Lsn(1));
  EXPECT_EQ(index->Counts(), (IndexCounts{.inodes = 1, .entries = 1, .extents = 2, .data = 200}));
  EXPECT_EQ(index->LoadInode(InodeNumber(2)).value()->used, 200u);
  InOneBatch(*index, 2, [&](Index::Writer& w) { ASSERT_TRUE(w.Truncate(InodeNumber(2), 150)); });
  EXPECT_EQ(index->LivingIn(0, ~0ULL).value(), (std::vector<LivingSegment>{{0, 100}, {5, 50}}));
  EXPECT_TRUE(index->Settle().value());
  EXPECT_TRUE(MustOpen(path, IndexMode::kReadOnly)->Check());
}

TEST(Index, RefusesAnotherVolumeANewerVersionAndOtherFiles) {
  TempFolder folder;
  const std::string path = folder / "index";
  MustOpen(path).reset();
  EXPECT_EQ(Index::Open(path, IndexMode::kReadWrite, 7).error().code(), Errc::kCorrupt);
  EXPECT_EQ(Index::Open(folder / "none", IndexMode::kReadOnly, kVolume).error().code(), Errc::kNotFound);

  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE, CheckedVfs()), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "PRAGMA user_version = 3", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(raw);
  EXPECT_EQ(Index::Open(path, IndexMode::kReadWrite, kVolume).error().code(), Errc::kNotSupported);

  std::ofstream(folder / "text") << std::string(10'000, 'x');
  EXPECT_EQ(Index::Open(folder / "text", IndexMode::kReadWrite, kVolume).error().code(), Errc::kCorrupt);
  const std::string other = folder / "other";
  ASSERT_EQ(sqlite3_open(other.c_str(), &raw), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(raw, "CREATE TABLE t (a)", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(raw);
  EXPECT_EQ(Index::Open(other, IndexMode::kReadWrite, kVolume).error().code(), Errc::kCorrupt);
}

TEST(Index, ReportsADamagedFileAndNeverCrashesOnIt) {
  TempFolder folder;
  const std::string path = folder / "index";
  {
    auto index = MustOpen(path);
    InOneBatch(*index, 5, [&](Index::Writer& w) {
      for (std::uint64_t i = 2; i < 800; ++i) {
        ASSERT_TRUE(w.PutInode(FullInode(i)));
        ASSERT_TRUE(w.PutEntry(kRootInode, Entry(100 + i, "name" + std::to_string(i), i)));
        ASSERT_TRUE(w.PutExtent(InodeNumber(i), {0, 10, Lsn(i), Lsn(i - 1)}));
      }
    });
  }
  std::ifstream in(path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(whole.size(), 40'000u);
  int reported = 0;
  for (std::size_t page = 0; page * 4096 < whole.size(); ++page) {
    std::string damaged = whole;
    damaged.replace(page * 4096, 512, 512, '\x5a');
    std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
    auto index = Index::Open(path, IndexMode::kReadOnly, kVolume);
    if (!index) {
      EXPECT_EQ(index.error().code(), Errc::kCorrupt) << index.error().ToString();
      ++reported;
      continue;
    }
    for (std::uint64_t i = 2; i < 800; ++i) {
      if (auto inode = (*index)->LoadInode(InodeNumber(i)); !inode) {
        EXPECT_EQ(inode.error().code(), Errc::kCorrupt);
      }
    }
    (void)(*index)->LoadEntries(kRootInode, 0, ~0ULL, [](const IndexEntry&) {});
    auto checked = (*index)->Check();
    if (!checked) {
      EXPECT_EQ(checked.error().code(), Errc::kCorrupt);
      ++reported;
    }
  }
  EXPECT_EQ(reported, static_cast<int>((whole.size() + 4095) / 4096));
}

// The log is read up to where it is damaged. Had part of it been brought into the file before, pages of two states
// would mix.
TEST(Index, FindsALogThatWasDamagedAfterPartOfItWasBroughtIntoTheFile) {
  TempFolder folder;
  const std::string path = folder / "index", copy = folder / "copy";
  constexpr std::uint64_t kBatches = 20, kInodes = 2000;
  const auto batch_of = [](std::uint64_t ino) { return (ino - 2) / (kInodes / kBatches) + 1; };
  {
    auto index = MustOpen(path);
    InOneBatch(*index, 1, [&](Index::Writer& w) {
      for (std::uint64_t i = 2; i < 2 + kInodes; ++i) ASSERT_TRUE(w.PutInode(FullInode(i)));
    });
    ASSERT_TRUE(index->Settle().value());
    for (std::uint64_t batch = 1; batch <= kBatches; ++batch) {
      InOneBatch(*index, 1 + batch, [&](Index::Writer& w) {
        for (std::uint64_t i = 2; i < 2 + kInodes; ++i) {
          if (batch_of(i) != batch) continue;
          ASSERT_TRUE(w.Touch(InodeNumber(i), 1, 777, 0600, {1}, {2}));
        }
      });
    }
    std::filesystem::copy_file(path + "-wal", folder / "wal");
    EXPECT_TRUE(index->Settle().value());
    EXPECT_EQ(std::filesystem::file_size(path + "-wal"), 0u) << "a settled index needs no log";
    std::filesystem::copy_file(path, copy);
  }
  std::ifstream in(folder / "wal", std::ios::binary);
  std::string log{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(log.size(), 200'000u);
  log[log.size() / 2] = static_cast<char>(log[log.size() / 2] ^ 1);
  std::ofstream(copy + "-wal", std::ios::binary) << log;
  auto index = Index::Open(copy, IndexMode::kReadWrite, kVolume);
  ASSERT_TRUE(index) << index.error().ToString();
  const std::uint64_t seen = (*index)->LastCheckpoint()->lsn.value - 1;
  ASSERT_GT(seen, 2u);
  ASSERT_LT(seen, kBatches - 2);
  int found = 0;
  for (std::uint64_t i = 2; i < 2 + kInodes; ++i) {
    auto inode = (*index)->LoadInode(InodeNumber(i));
    if (inode) {
      ASSERT_TRUE(*inode);
      EXPECT_EQ((*inode)->size == 777, batch_of(i) <= seen) << "a state that never was";
    } else {
      EXPECT_EQ(inode.error().code(), Errc::kCorrupt);
      ++found;
    }
  }
  EXPECT_GT(found, 0);
}

TEST(Index, NeverGivesAWrongRowForAFlippedBit) {
  TempFolder folder;
  const std::string path = folder / "index";
  {
    auto index = MustOpen(path);
    InOneBatch(*index, 5, [&](Index::Writer& w) {
      for (std::uint64_t i = 2; i < 60; ++i) {
        ASSERT_TRUE(w.PutInode(FullInode(i)));
        ASSERT_TRUE(w.PutEntry(kRootInode, Entry(100 + i, "name" + std::to_string(i), i)));
      }
    });
  }
  std::ifstream in(path, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(in), {}};
  int reported = 0, flips = 0;
  for (std::size_t at = 0; at < content.size(); at += 41, ++flips) {
    content[at] = static_cast<char>(content[at] ^ (1 << at % 8));
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    content[at] = static_cast<char>(content[at] ^ (1 << at % 8));
    auto index = Index::Open(path, IndexMode::kReadOnly, kVolume);
    bool found = !index;
    if (index) {
      for (std::uint64_t i = 2; i < 60; ++i) {
        auto inode = (*index)->LoadInode(InodeNumber(i));
        found |= !inode;
        if (inode) {
          EXPECT_EQ(*inode, FullInode(i)) << "byte " << at;
        }
      }
      std::uint64_t next = 2;
      found |= !(*index)->LoadEntries(kRootInode, 0, ~0ULL, [&](const IndexEntry& entry) {
        EXPECT_EQ(entry, Entry(100 + next, "name" + std::to_string(next), next)) << "byte " << at;
        ++next;
      });
      found |= !(*index)->Check();
    }
    reported += found;
  }
  EXPECT_EQ(reported, flips) << "a flip that nobody sees";
}

}  // namespace
}  // namespace strata::store
