// The room that is kept for what frees room, and the sync that nobody asks for.
#include "journal/reserve.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

constexpr std::uint64_t kSegment = 256 << 10;
constexpr std::uint64_t kReserved = kSegment;  // at most two segments

// A disk of which the test says how much is left, and a clock that it moves.
class SmallDisk final : public Env {
 public:
  explicit SmallDisk(std::uint64_t free) : free_(free) {}

  std::uint64_t free() const { return free_; }
  void SetFree(std::uint64_t bytes) { free_ = bytes; }
  void Pass(std::chrono::nanoseconds time) { now_ += time.count(); }
  int allocations() const { return allocations_; }
  int refused() const { return refused_; }
  int questions() const { return questions_; }  // how much there is

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    STRATA_ASSIGN(auto file, base_.Open(path, mode));
    return std::make_unique<DiskFile>(*this, std::move(file));
  }
  Result<void> Remove(const std::string& path) override {
    std::error_code none;
    const auto size = std::filesystem::file_size(path, none);
    STRATA_TRY(base_.Remove(path));
    if (!none) free_ += size;
    return {};
  }
  Result<void> CreateDirectory(const std::string& path) override { return base_.CreateDirectory(path); }
  Result<std::vector<std::string>> ListDirectory(const std::string& path) override { return base_.ListDirectory(path); }
  Result<void> Rename(const std::string& from, const std::string& to) override { return base_.Rename(from, to); }
  Result<void> SyncDirectory(const std::string& path) override { return base_.SyncDirectory(path); }
  Result<Space> SpaceOf(const std::string&) override {
    ++questions_;
    return Space{.available = free_};
  }
  Time Now() override { return base_.Now(); }
  std::int64_t MonotonicNs() override { return now_; }
  void Random(MutableByteSpan out) override { base_.Random(out); }

 private:
  class DiskFile final : public File {
   public:
    DiskFile(SmallDisk& disk, std::unique_ptr<File> file) : disk_(disk), file_(std::move(file)) {}
    Result<std::size_t> ReadAt(std::uint64_t offset, MutableByteSpan out) override {
      return file_->ReadAt(offset, out);
    }
    Result<void> WriteAt(std::uint64_t offset, std::span<const ByteSpan> pieces) override {
      return file_->WriteAt(offset, pieces);
    }
    Result<void> Allocate(std::uint64_t offset, std::uint64_t length) override {
      ++disk_.allocations_;
      STRATA_ASSIGN(const std::uint64_t size, file_->Size());
      const std::uint64_t grows = offset + length > size ? offset + length - size : 0;
      if (grows > disk_.free_) {
        ++disk_.refused_;
        return Fail(Errc::kNoSpace, "the disk of the test is full");
      }
      disk_.free_ -= grows;
      return file_->Allocate(offset, length);
    }
    Result<void> Truncate(std::uint64_t size) override { return file_->Truncate(size); }
    Result<std::uint64_t> Size() override { return file_->Size(); }
    Result<void> SyncData() override { return file_->SyncData(); }
    Result<std::unique_ptr<Mapping>> Map(std::uint64_t length) override { return file_->Map(length); }
    Result<void> Lock() override { return file_->Lock(); }

   private:
    SmallDisk& disk_;
    const std::unique_ptr<File> file_;
  };

  Env& base_ = Env::System();
  std::uint64_t free_;
  std::int64_t now_ = 1;
  int allocations_ = 0, refused_ = 0, questions_ = 0;
};

JournalOptions WithReserve() {
  JournalOptions options = Options(kSegment);
  options.reserve_bytes = kReserved;
  return options;
}

Result<Appended> AppendKilobyte(Journal& journal, Room room) {
  return journal.Append(AsBytes("head"), AsBytes(std::string(1000, 'p')), room);
}

void Fill(Journal& journal) {
  for (int i = 0; i < 10'000; ++i) {
    if (auto appended = AppendKilobyte(journal, Room::kOrdinary); !appended) {
      EXPECT_EQ(appended.error().code(), Errc::kNoSpace);
      return;
    }
  }
  FAIL() << "the disk is never full";
}

TEST(JournalReserve, IsRoomForWhatFreesRoomAlone) {
  TempFolder folder;
  SmallDisk disk(1 << 20);
  auto journal = MustOpen(disk, folder / "j", WithReserve());
  const std::string file = folder / "j/reserve";
  EXPECT_EQ(std::filesystem::file_size(file), kReserved);
  EXPECT_EQ(journal->missing_reserve(), 0u);
  Fill(*journal);
  EXPECT_TRUE(std::filesystem::exists(file)) << "ordinary appends do not eat it";
  std::size_t in_reserve = 0;
  while (journal->missing_reserve() == 0) {
    ASSERT_TRUE(AppendKilobyte(*journal, Room::kReserve));
    ++in_reserve;
  }
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_EQ(journal->missing_reserve(), kReserved);
  for (std::size_t i = 0; i < 100; ++i) ASSERT_TRUE(AppendKilobyte(*journal, Room::kReserve));
  // What is left of the reserve's room is not for ordinary appends.
  ASSERT_GT(disk.free(), 4 * kSmallSegment);
  Fill(*journal);
  EXPECT_GT(disk.free(), 4 * kSmallSegment);
  journal->RestoreReserve();
  EXPECT_EQ(journal->missing_reserve(), kReserved) << "there is no room for it";

  // Room comes, and the reserve is made again before anything ordinary is written.
  disk.SetFree(kReserved + 4 * kSmallSegment);
  disk.Pass(std::chrono::seconds(1));
  while (journal->missing_reserve() != 0) ASSERT_TRUE(AppendKilobyte(*journal, Room::kOrdinary));
  EXPECT_EQ(std::filesystem::file_size(file), kReserved);
  Fill(*journal);
  EXPECT_EQ(journal->missing_reserve(), 0u);
  const std::size_t records = ReadAll(*journal).records.size();
  journal.reset();
  EXPECT_EQ(ReadAll(*MustOpen(disk, folder / "j", WithReserve())).records.size(), records);
}

// A file system may take as long to refuse room as to give it: a tmpfs allocates all that there is, and frees it.
TEST(SegmentsOnATightDisk, AskForNoMoreThanThereIs) {
  TempFolder folder;
  SmallDisk disk(9 << 20);
  auto journal = MustOpen(disk, folder / "j", Options(16 << 20));
  const auto append = [&] { return journal->Append(AsBytes("head"), AsBytes(std::string(1000, 'p'))); };
  for (int i = 0; i < 8000; ++i) ASSERT_TRUE(append()) << i;
  EXPECT_EQ(disk.refused(), 0);
  EXPECT_LT(disk.allocations(), 300);
  while (append()) {
  }
  EXPECT_LT(disk.free(), 4000u) << "all of it is used";
  EXPECT_LT(disk.refused(), 100);
}

TEST(JournalReserve, IsNotTriedForAtEveryAppend) {
  TempFolder folder;
  SmallDisk disk(1 << 20);
  auto journal = MustOpen(disk, folder / "j", WithReserve());
  Fill(*journal);
  ASSERT_TRUE(journal->GiveReserveUp());
  EXPECT_FALSE(journal->GiveReserveUp());
  disk.SetFree(kReserved / 2);
  Fill(*journal);
  const int allocations = disk.allocations(), questions = disk.questions();
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(AppendKilobyte(*journal, Room::kOrdinary));
  EXPECT_EQ(disk.questions(), questions);
  disk.Pass(std::chrono::milliseconds(101));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(AppendKilobyte(*journal, Room::kOrdinary));
  EXPECT_EQ(disk.questions(), questions + 1);
  EXPECT_EQ(disk.allocations(), allocations) << "there is no room for it";
}

TEST(JournalReserve, ComesBackWhereTheDiskWouldStillHaveRoom) {
  TempFolder folder;
  SmallDisk disk(1 << 20);
  auto journal = MustOpen(disk, folder / "j", WithReserve());
  ASSERT_TRUE(journal->GiveReserveUp());
  disk.SetFree(kReserved);
  journal->RestoreReserve();
  EXPECT_EQ(journal->missing_reserve(), kReserved);
  disk.SetFree(2 * kReserved);
  journal->RestoreReserve();
  EXPECT_EQ(journal->missing_reserve(), 0u);
  EXPECT_EQ(disk.free(), kReserved);
  journal->RestoreReserve();
  EXPECT_EQ(disk.free(), kReserved);
}

TEST(JournalReserve, IsTakenOverAndLeftAloneByReaders) {
  TempFolder folder;
  SmallDisk disk(1 << 20);
  const std::string file = folder / "j/reserve";
  MustAppend(*MustOpen(disk, folder / "j", WithReserve()), Sample(1));
  ASSERT_EQ(std::filesystem::file_size(file), kReserved);
  {
    JournalOptions reader = WithReserve();
    reader.read_only = true;
    reader.reserve_bytes = 2 * kReserved;
    auto journal = MustOpen(disk, folder / "j", reader);
    EXPECT_EQ(std::filesystem::file_size(file), kReserved);
    EXPECT_FALSE(journal->GiveReserveUp());
    EXPECT_EQ(journal->missing_reserve(), 0u);
  }
  disk.SetFree(0);
  auto journal = MustOpen(disk, folder / "j", WithReserve());
  EXPECT_EQ(journal->missing_reserve(), 0u) << "it is there";
  journal.reset();
  JournalOptions larger = WithReserve();
  larger.reserve_bytes = 2 * kReserved;
  journal = MustOpen(disk, folder / "j", larger);
  ASSERT_TRUE(journal) << "also without room for it";
  EXPECT_EQ(journal->missing_reserve(), 2 * kReserved);
  EXPECT_FALSE(std::filesystem::exists(file));
  journal.reset();
  disk.SetFree(1 << 20);
  journal = MustOpen(disk, folder / "j", larger);
  EXPECT_EQ(std::filesystem::file_size(file), 2 * kReserved);
  journal.reset();
  journal = MustOpen(disk, folder / "j");
  EXPECT_FALSE(std::filesystem::exists(file)) << "nobody wants one any more";
}

TEST(JournalSyncsByItself, WithinItsInterval) {
  TempFolder folder;
  FaultEnv env;
  JournalOptions options = Options();
  options.sync_interval_ns = 20'000'000;
  auto journal = MustOpen(env, folder / "j", options);
  for (std::uint32_t i = 0; i < 10; ++i) {
    const Lsn end = MustAppend(*journal, Sample(i)).end;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (journal->durable() < end && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
    ASSERT_GE(journal->durable(), end);
  }
  EXPECT_LE(env.Count(FaultEnv::kSync), 12) << "and not more often than that";
}

TEST(JournalSyncsByItself, AlsoWhatComesDuringASync) {
  TempFolder folder;
  FaultEnv env;
  JournalOptions options = Options(1 << 20);
  options.sync_interval_ns = 1'000'000;
  auto journal = MustOpen(env, folder / "j", options);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (std::uint32_t i = 0; i < 2000; ++i) MustAppend(*journal, Sample(i % 50));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Lsn end = journal->end();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (journal->durable() < end && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  EXPECT_EQ(journal->durable(), end);
}

TEST(JournalSyncsByItself, WhatNobodyAsksForOnceItIsMuch) {
  TempFolder folder;
  FaultEnv env;
  auto journal = MustOpen(env, folder / "j", Options(64 << 20));
  const auto at_start = env.Count(FaultEnv::kSync);
  const Written record{"head", std::string(1 << 20, 'x')};
  Lsn end;
  for (int i = 0; i < 20; ++i) end = MustAppend(*journal, record).end;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  constexpr std::uint64_t kMost = 9 << 20;  // with the record that goes beyond
  while (end.value - journal->durable().value > kMost && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
  }
  EXPECT_LE(end.value - journal->durable().value, kMost);
  EXPECT_LE(env.Count(FaultEnv::kSync) - at_start, 3) << "not for each record";
}

}  // namespace
}  // namespace strata::journal
