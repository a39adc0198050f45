// The index's write-ahead log: who reads beside the writer, and what a process leaves that dies.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "tests/base/temp_folder.h"
#include "tests/store/index_testing.h"

namespace strata::store {
namespace {

TEST(Index, LetsOthersReadWhileBatchesAreWrittenAndShowsEachTheStateThatItWasOpenedOn) {
  TempFolder folder;
  auto index = MustOpen(folder / "index");
  auto viewer = MustOpen(folder / "index", IndexMode::kReadOnly);
  EXPECT_EQ(viewer->Begin(kSegment).error().code(), Errc::kReadOnly);
  std::atomic<bool> stop = false;
  std::uint64_t seen = 0;
  std::thread reader([&] {
    while (!stop) {
      const auto later = Index::Open(folder / "index", IndexMode::kReadOnly, kVolume);
      ASSERT_TRUE(later) << later.error().ToString();
      const auto checkpoint = (*later)->LastCheckpoint();
      ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
      EXPECT_GE(checkpoint->lsn.value, seen);
      seen = checkpoint->lsn.value;
      const auto inode = (*later)->LoadInode(kRootInode);
      ASSERT_TRUE(inode);
      EXPECT_EQ(*inode ? (*inode)->size : 0, seen);
      std::uint64_t visited = 0;
      ASSERT_TRUE((*later)->VisitInodes([&](const InodeRecord& record) { visited = record.size; }));
      EXPECT_EQ(visited, seen);
    }
  });
  for (std::uint64_t i = 1; i <= 100; ++i) {
    InOneBatch(*index, i, [&](Index::Writer& w) { ASSERT_TRUE(w.PutInode(Inode(1, i))); });
  }
  stop = true;
  reader.join();
  EXPECT_EQ(viewer->LastCheckpoint().value().lsn, Lsn(0));
  EXPECT_FALSE(viewer->LoadInode(kRootInode).value());
  EXPECT_EQ(MustOpen(folder / "index", IndexMode::kReadOnly)->LastCheckpoint().value().lsn, Lsn(100));
}

// Rows enough for more pages than any cache here holds.
void FillBatch(Index& index, std::uint64_t lsn, std::uint64_t inodes = 500) {
  InOneBatch(index, lsn, [&](Index::Writer& w) {
    for (std::uint64_t i = 1; i <= inodes; ++i) ASSERT_TRUE(w.PutInode(Inode(i, lsn)));
  });
}

constexpr std::uint64_t kImpatientBytes = 256 << 10;

std::unique_ptr<Index> MustOpenImpatient(const std::string& path) {
  auto index = Index::Open(path, IndexMode::kReadOnly, kVolume, {.written_pages = 1, .read_pages = 1},
                           {.log_bytes = kImpatientBytes, .time = std::chrono::milliseconds(20)});
  EXPECT_TRUE(index) << index.error().ToString();
  return index ? std::move(*index) : nullptr;
}

std::uint64_t LogBytes(const std::string& path) { return std::filesystem::file_size(path + "-wal"); }

// Batches until the log can be emptied, or its size is `most`.
void WriteUntilSettled(Index& index, const std::string& path, std::uint64_t& lsn, std::uint64_t most) {
  for (bool settled = false; !settled;) {
    FillBatch(index, ++lsn);
    auto done = index.Settle();
    ASSERT_TRUE(done) << done.error().ToString();
    settled = *done;
    ASSERT_LT(LogBytes(path), most) << "a reader kept the log from being emptied";
  }
}

TEST(Index, AReaderBesideTheWriterShowsItsStateForEverAndIsInTheWayOfTheLogForAShortTimeOnly) {
  TempFolder folder;
  const std::string path = folder / "index";
  auto index = MustOpen(path);
  std::uint64_t lsn = 1;
  FillBatch(*index, lsn);
  for (const bool settled : {false, true}) {
    SCOPED_TRACE(settled ? "opened on an empty log" : "opened on a log");
    if (settled) {
      ASSERT_TRUE(index->Settle().value());
    }
    const std::uint64_t opened = lsn;
    auto reader = MustOpenImpatient(path);
    // It reads all the time.
    std::jthread reading([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        std::vector<std::uint64_t> sizes;
        const auto visited = reader->VisitInodes([&](const InodeRecord& inode) { sizes.push_back(inode.size); });
        ASSERT_TRUE(visited) << visited.error().ToString();
        ASSERT_EQ(sizes, std::vector<std::uint64_t>(500, opened));
        ASSERT_EQ(reader->LoadInode(InodeNumber(77)).value()->size, opened);
      }
    });
    WriteUntilSettled(*index, path, lsn, 32 << 20);
    EXPECT_EQ(LogBytes(path), 0u);
    for (int i = 0; i < 20; ++i) {
      FillBatch(*index, ++lsn);
      ASSERT_TRUE(index->Settle().value());
    }
    reading = std::jthread();
    EXPECT_EQ(reader->LastCheckpoint().value().lsn, Lsn(opened));
  }
}

TEST(Index, AReaderThatCannotCopyWhatItSeesSaysSoAndIsNotInTheWayEither) {
  TempFolder folder;
  const std::string path = folder / "index";
  auto index = MustOpen(path);
  std::uint64_t lsn = 1;
  FillBatch(*index, lsn, 5000);
  int ready[2], end[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(end), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // No file may grow.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit none{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &none);
    auto reader = MustOpenImpatient(path);
    char byte = 0;
    if (!reader || !reader->LoadInode(InodeNumber(1)) || ::write(ready[1], "r", 1) != 1) ::_exit(1);
    if (::read(end[0], &byte, 1) != 1) ::_exit(2);
    const auto found = reader->LoadInode(InodeNumber(1));
    const bool told =
        !found && found.error().code() == Errc::kIo && found.error().message().find("TMPDIR") != std::string_view::npos;
    const bool ended = told && !reader->VisitInodes([](const InodeRecord&) {});
    reader.reset();
    ::_exit(ended ? 0 : 3);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  WriteUntilSettled(*index, path, lsn, 64 << 20);
  ASSERT_EQ(::write(end[1], "e", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(Index, SettlingEndsWhenItIsToldToAndIsDoneAllTheSameByTheNext) {
  TempFolder folder;
  const std::string path = folder / "index";
  auto index = MustOpen(path);
  FillBatch(*index, 1, 5000);
  std::uint64_t pages = 0;
  const auto count = [&] { ++pages; };
  // Asked at the beginning, after each page, and before the sync.
  std::uint64_t whole = 0;
  {
    const std::string copy = folder / "copy";
    auto other = MustOpen(copy);
    FillBatch(*other, 1, 5000);
    ASSERT_TRUE(other->Settle(count).value());
    whole = std::exchange(pages, 0);
  }
  ASSERT_GT(whole, 30u);
  for (const std::uint64_t most : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{20}, whole - 1}) {
    SCOPED_TRACE(most);
    pages = 0;
    const auto settled = index->Settle(count, [&] { return pages >= most; });
    ASSERT_TRUE(settled) << settled.error().ToString();
    EXPECT_FALSE(*settled);
    EXPECT_EQ(pages, most);
    EXPECT_GT(LogBytes(path), 0u);
    EXPECT_EQ(index->LoadInode(InodeNumber(5000)).value()->size, 1u);
    FillBatch(*index, 1, 5000);
  }
  ASSERT_TRUE(index->Settle(count, [] { return false; }).value());
  EXPECT_EQ(LogBytes(path), 0u);
  index.reset();
  EXPECT_TRUE(MustOpen(path, IndexMode::kInspect)->Check());
}

// A limit: who reads the mapped index of the log where its file was cut gets a signal (docs/durability.md).
TEST(Index, IsWholeAfterItsProcessDiedOfItsSharedMemoryBeingCut) {
  TempFolder folder;
  const std::string path = folder / "index";
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGBUS, SIG_DFL);  // the sanitizer reports it otherwise
    auto index = MustOpen(path);
    FillBatch(*index, 1);
    if (!index->Settle()) ::_exit(1);
    FillBatch(*index, 2);
    std::filesystem::resize_file(path + "-shm", 0);
    (void)index->LoadInode(InodeNumber(1));
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS) << status;
  auto index = MustOpen(path);
  EXPECT_EQ(index->LastCheckpoint().value().lsn, Lsn(2));
  EXPECT_EQ(index->LoadInode(InodeNumber(500)).value()->size, 2u);
  EXPECT_TRUE(index->Check());
  FillBatch(*index, 3);
  EXPECT_TRUE(index->Settle().value());
}

}  // namespace
}  // namespace strata::store
