// The segment that is made ahead of need.
#include "journal/spare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <random>
#include <thread>

#include "journal/segment.h"
#include "tests/journal/journal_util.h"

namespace strata::journal {
namespace {

constexpr std::uint64_t kSize = 4 << 20;
constexpr std::uint64_t kLargeSegment = 8 << 20;

// What another thread brings about, within a long time.
template <typename Condition>
bool Eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::unique_ptr<File> TakeEventually(SpareSegment& spare, const std::string& path) {
  std::unique_ptr<File> file;
  EXPECT_TRUE(Eventually([&] { return (file = spare.Take(path)) != nullptr; }));
  return file;
}

bool Exists(const std::string& path) { return std::filesystem::exists(path); }

TEST(SpareSegment, IsAFileOfWrittenZerosUnderTheNameItIsTakenBy) {
  TempFolder folder;
  SpareSegment spare(Env::System(), folder.path(), kSize);
  EXPECT_EQ(spare.Take(folder / "early"), nullptr);
  for (const char* name : {"one", "two"}) {
    spare.Make();
    spare.Make();
    const auto file = TakeEventually(spare, folder / name);
    ASSERT_TRUE(file);
    EXPECT_FALSE(Exists(folder / "spare"));
    const std::string content = Slurp(folder / name);
    EXPECT_EQ(content.size(), kSize);
    EXPECT_TRUE(std::ranges::all_of(content, [](char c) { return c == 0; }));
    const ByteSpan piece[] = {AsBytes("written")};
    ASSERT_TRUE(file->WriteAt(5, piece));
    EXPECT_EQ(Slurp(folder / name).substr(5, 7), "written") << "it is the file that is open";
  }
  EXPECT_EQ(spare.Take(folder / "three"), nullptr) << "nobody asked for another";
}

TEST(SpareSegment, GivesItsSpaceBack) {
  TempFolder folder;
  {
    SpareSegment spare(Env::System(), folder.path(), kSize);
    EXPECT_FALSE(spare.Drop());
    for (int i = 0; i < 20; ++i) {
      spare.Make();
      if (i % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(i));
      EXPECT_TRUE(spare.Drop());
      EXPECT_FALSE(Exists(folder / "spare"));
      spare.Make();
      EXPECT_FALSE(spare.Drop()) << "it is not made again at once";
      EXPECT_EQ(spare.Take(folder / "none"), nullptr);
    }
    spare.Make();
    EXPECT_TRUE(TakeEventually(spare, folder / "kept"));
    spare.Make();
  }
  EXPECT_FALSE(Exists(folder / "spare")) << "who ends removes it, made or not";
  EXPECT_TRUE(Exists(folder / "kept"));
}

TEST(SpareSegment, IsDurableOnceItCanBeTaken) {
  TempFolder folder;
  FaultEnv env;
  SpareSegment spare(env, folder.path(), kSize);
  spare.Make();
  ASSERT_TRUE(TakeEventually(spare, folder / "taken"));
  ASSERT_TRUE(env.SyncDirectory(folder.path()));
  env.PowerLoss();
  const std::string content = Slurp(folder / "taken");
  EXPECT_EQ(content.size(), kSize);
  EXPECT_TRUE(std::ranges::all_of(content, [](char c) { return c == 0; }));
}

// A disk that takes its time for each piece.
TEST(SpareSegment, LeavesTheDiskToOthersForAsLongAsItUsesIt) {
  constexpr auto kTaken = std::chrono::milliseconds(20);
  TempFolder folder;
  FaultEnv env;
  std::vector<std::chrono::steady_clock::time_point> begins;
  env.OnSync([&] {
    begins.push_back(std::chrono::steady_clock::now());
    std::this_thread::sleep_for(kTaken);
  });
  SpareSegment spare(env, folder.path(), kSize);
  spare.Make();
  ASSERT_TRUE(TakeEventually(spare, folder / "taken"));
  ASSERT_GE(begins.size(), kSize >> 20) << "it is written in pieces";
  for (std::size_t i = 1; i < begins.size(); ++i) EXPECT_GE(begins[i] - begins[i - 1], 2 * kTaken);
}

TEST(SpareSegment, LeavesNothingWhereItCannotBeMade) {
  for (const FaultEnv::Call call : {FaultEnv::kOpen, FaultEnv::kAllocate, FaultEnv::kWrite, FaultEnv::kSync}) {
    TempFolder folder;
    FaultEnv env;
    SpareSegment spare(env, folder.path(), kSize);
    env.FailAfter(call, 0, Errc::kNoSpace);
    spare.Make();
    ASSERT_TRUE(Eventually([&] { return env.Count(FaultEnv::kRemove) > 0; }));
    EXPECT_FALSE(Exists(folder / "spare"));
    EXPECT_EQ(spare.Take(folder / "taken"), nullptr);
    // There may be space later.
    EXPECT_TRUE(Eventually([&] {
      spare.Make();
      return spare.Take(folder / "taken") != nullptr;
    }));
  }
}

// Appends records of 60,000 bytes, each durable by itself, until `segment` is begun.
void FillUntil(Journal& journal, std::uint64_t segment, std::vector<Written>& records) {
  while (journal.end().value / kLargeSegment < segment) {
    records.push_back(
        {"head " + std::to_string(records.size()), std::string(60'000, static_cast<char>('a' + records.size() % 26))});
    MustAppend(journal, records.back());
    ASSERT_TRUE(journal.SyncAndWait(journal.end()));
  }
}

TEST(SpareSegment, IsWhatAJournalOfSmallSyncedRecordsGoesOnIn) {
  TempFolder folder;
  std::vector<Written> records;
  {
    FaultEnv env;
    auto journal = MustOpen(env, folder / "j", Options(kLargeSegment));
    // Before it comes to the end of each segment, the next one is there.
    for (std::uint64_t segment = 0; segment < 3; ++segment) {
      while (journal->end().value - segment * kLargeSegment < kLargeSegment - (1 << 20)) {
        records.push_back({"head", std::string(60'000, static_cast<char>('a' + records.size() % 26))});
        MustAppend(*journal, records.back());
        ASSERT_TRUE(journal->SyncAndWait(journal->end()));
      }
      ASSERT_TRUE(Eventually([&] {
        return Exists(folder / "j/spare") && std::filesystem::file_size(folder / "j/spare") == kLargeSegment;
      }));
      const int renamed = env.Count(FaultEnv::kRename);
      FillUntil(*journal, segment + 1, records);
      // It may still have been being filled; then the journal went on without it.
      EXPECT_LE(env.Count(FaultEnv::kRename), renamed + 1);
    }
    EXPECT_GE(env.Count(FaultEnv::kRename), 1);
    EXPECT_GE(journal->disk_bytes(), 3 * kLargeSegment);
  }
  EXPECT_FALSE(Exists(folder / "j/spare"));
  Spill(folder / "j/spare", "of a process that was killed");
  auto journal = MustOpen(Env::System(), folder / "j", Options(kLargeSegment));
  EXPECT_FALSE(Exists(folder / "j/spare"));
  const ReadBack found = ReadAll(*journal);
  EXPECT_FALSE(found.error);
  EXPECT_TRUE(found.records == records);
}

TEST(SpareSegment, IsNotMadeWhereSyncsAreFewForTheBytes) {
  TempFolder folder;
  auto journal = MustOpen(Env::System(), folder / "j", Options(kLargeSegment));
  const std::string payload(1 << 20, 'p');
  for (int i = 0; i < 30; ++i) {
    MustAppend(*journal, {"head", payload});
    if (i % 4 == 3) {
      ASSERT_TRUE(journal->SyncAndWait(journal->end()));
    }
    EXPECT_FALSE(Exists(folder / "j/spare"));
  }
}

TEST(SpareSegment, IsGivenUpForWantOfSpace) {
  TempFolder folder;
  FaultEnv env;
  auto journal = MustOpen(env, folder / "j", Options(kLargeSegment));
  std::vector<Written> records;
  const auto append = [&] {
    records.push_back({"head", std::string(60'000, static_cast<char>('a' + records.size() % 26))});
    MustAppend(*journal, records.back());
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
  };
  while (journal->end().value < kLargeSegment * 5 / 16) append();
  ASSERT_TRUE(Eventually(
      [&] { return Exists(folder / "j/spare") && std::filesystem::file_size(folder / "j/spare") == kLargeSegment; }));
  // The first segment has to grow, and its disk is full.
  const std::string first = folder / ("j/" + SegmentName(0));
  const std::uint64_t allocated = std::filesystem::file_size(first);
  ASSERT_LT(allocated, kLargeSegment);
  env.FailAfter(FaultEnv::kAllocate, 0, Errc::kNoSpace, true);
  std::optional<Status> failed;
  while (!failed) {
    const Written record{"head", std::string(60'000, static_cast<char>('a' + records.size() % 26))};
    if (auto appended = journal->Append(AsBytes(record.head), AsBytes(record.payload)); !appended)
      failed = appended.error();
    else
      records.push_back(record);
    ASSERT_TRUE(journal->SyncAndWait(journal->end()));
  }
  EXPECT_EQ(failed->code(), Errc::kNoSpace);
  EXPECT_FALSE(Exists(folder / "j/spare"));
  env.FailAfter(FaultEnv::kAllocate, 1'000'000, Errc::kIo);
  append();
  append();
  EXPECT_GT(std::filesystem::file_size(first), allocated);
  EXPECT_FALSE(Exists(folder / "j/spare")) << "not before the next segment";
  EXPECT_TRUE(ReadAll(*journal).records == records);
}

TEST(SpareSegment, LosesNothingDurableWhenThePowerGoes) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  TempFolder folder;
  FaultEnv env;
  std::vector<Written> records;
  for (std::uint64_t life = 0; life < 4; ++life) {
    std::size_t durable = 0;
    {
      auto journal = MustOpen(env, folder / "j", Options(kLargeSegment));
      ASSERT_TRUE(journal);
      FillUntil(*journal, life + 1, records);
      durable = records.size();
      for (std::uint32_t i = random() % 8; i > 0; --i) {
        records.push_back(Sample(random() % 100));
        MustAppend(*journal, records.back());
      }
      if (random() % 2 == 0) {
        ASSERT_TRUE(journal->Flush());
      }
      env.PowerLoss(random(), static_cast<int>(random() % 3) * 450);
    }
    auto check = MustOpen(env, folder / "j", Options(kLargeSegment, true));
    ASSERT_TRUE(check);
    const ReadBack left = ReadAll(*check);
    ASSERT_FALSE(left.error) << left.error->ToString();
    ASSERT_GE(left.records.size(), durable);
    records.resize(left.records.size());
    ASSERT_TRUE(left.records == records);
  }
}

}  // namespace
}  // namespace strata::journal
