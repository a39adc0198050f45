#include "store/import/record_sorter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <tuple>

#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::store {
namespace {

using Kept = std::tuple<std::string, std::uint64_t, std::string>;

std::vector<Kept> MakeRecords(std::uint32_t seed, std::size_t count) {
  std::mt19937 random(seed);
  std::vector<Kept> records;
  for (std::size_t i = 0; i < count; ++i) {
    // Few names, so that many have a beginning in common and some come several times.
    std::string key = "d" + std::to_string(random() % 7);
    for (std::uint32_t depth = random() % 4; depth > 0; --depth)
      key += std::string(1, '\0') + std::to_string(random() % 40);
    records.emplace_back(std::move(key), i, std::string(random() % 60, static_cast<char>(random())));
  }
  return records;
}

std::vector<Kept> ReadAllRecords(RecordSorter& sorter) {
  auto stream = sorter.Read();
  if (!stream) {
    ADD_FAILURE() << stream.error().ToString();
    return {};
  }
  std::vector<Kept> records;
  for (SortedRecord record;;) {
    const auto more = (*stream)->Next(record);
    if (!more) {
      ADD_FAILURE() << more.error().ToString();
      return {};
    }
    if (!*more) return records;
    records.emplace_back(record.key, record.order, record.payload);
  }
}

class SorterMemory : public testing::TestWithParam<std::size_t> {};

TEST_P(SorterMemory, GivesAllRecordsInOrderAsOftenAsTheyAreRead) {
  TempFolder folder;
  RecordSorter sorter(Env::System(), folder.path(), GetParam());
  std::vector<Kept> records = MakeRecords(3, 20'000);
  for (const auto& [key, order, payload] : records) ASSERT_TRUE(sorter.Add(key, order, payload));
  std::ranges::sort(records);
  EXPECT_EQ(ReadAllRecords(sorter), records);
  EXPECT_EQ(ReadAllRecords(sorter), records);
  EXPECT_EQ(sorter.count(), records.size());
  EXPECT_EQ(sorter.spilled() > 0, GetParam() < 1 << 20);
}

// 1 KiB makes more than a thousand runs, so that levels are merged.
INSTANTIATE_TEST_SUITE_P(Memory, SorterMemory, testing::Values(1 << 10, 8 << 10, 100 << 10, 64 << 20));

TEST(RecordSorter, TakesRecordsLargerThanItsMemory) {
  TempFolder folder;
  RecordSorter sorter(Env::System(), folder.path(), 1000);
  const std::string large(300'000, 'p');
  for (const char* key : {"c", "a", "b"}) ASSERT_TRUE(sorter.Add(key, 1, large));
  const std::vector<Kept> all = ReadAllRecords(sorter);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0], Kept("a", 1, large));
  EXPECT_EQ(all[2], Kept("c", 1, large));
  const std::string too_large(RecordSorter::kMaxRecordBytes, 'p');
  EXPECT_EQ(sorter.Add("d", 1, too_large).error().code(), Errc::kFileTooBig);
}

TEST(RecordSorter, LeavesNoFileBehind) {
  TempFolder folder;
  RecordSorter sorter(Env::System(), folder.path(), 1000);
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_TRUE(sorter.Add("key", i, "payload"));
  EXPECT_GT(sorter.spilled(), 0U);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(RecordSorter, SaysWhereThereIsNoRoom) {
  TempFolder folder;
  FaultEnv env;
  env.FailAfter(FaultEnv::kWrite, 2, Errc::kNoSpace, true);
  RecordSorter sorter(env, folder.path(), 1000);
  Result<void> added{};
  for (std::uint64_t i = 0; added && i < 1000; ++i) added = sorter.Add("key", i, std::string(100, 'x'));
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code(), Errc::kNoSpace);
  EXPECT_NE(added.error().message().find(folder.path()), std::string::npos) << added.error().ToString();
  EXPECT_NE(added.error().message().find("TMPDIR"), std::string::npos);
}

// A disk that gives back something else must not end in another tree.
TEST(RecordSorter, NoticesBytesThatChangedOnTheDisk) {
  TempFolder folder;
  class Changing final : public Env {
   public:
    Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
      auto file = Env::System().Open(path, mode);
      if (file) last = file->get();
      return file;
    }
    Result<void> CreateDirectory(const std::string& path) override { return Env::System().CreateDirectory(path); }
    Result<std::vector<std::string>> ListDirectory(const std::string& path) override {
      return Env::System().ListDirectory(path);
    }
    Result<void> Rename(const std::string& from, const std::string& to) override {
      return Env::System().Rename(from, to);
    }
    Result<void> Remove(const std::string& path) override { return Env::System().Remove(path); }
    Result<void> SyncDirectory(const std::string& path) override { return Env::System().SyncDirectory(path); }
    Result<Space> SpaceOf(const std::string& path) override { return Env::System().SpaceOf(path); }
    Time Now() override { return Env::System().Now(); }
    std::int64_t MonotonicNs() override { return Env::System().MonotonicNs(); }
    void Random(MutableByteSpan out) override { Env::System().Random(out); }
    File* last = nullptr;
  };
  for (const std::uint64_t damaged : {0, 5, 9, 200}) {
    Changing env;
    RecordSorter sorter(env, folder.path(), 2000);
    for (std::uint64_t i = 0; i < 30; ++i) ASSERT_TRUE(sorter.Add("key" + std::to_string(i), i, std::string(50, 'x')));
    ASSERT_NE(env.last, nullptr);
    std::byte byte;
    ASSERT_TRUE(env.last->ReadAt(damaged, MutableByteSpan(&byte, 1)));
    byte ^= std::byte{0x20};
    const ByteSpan pieces[] = {ByteSpan(&byte, 1)};
    ASSERT_TRUE(env.last->WriteAt(damaged, pieces));
    Result<void> read{};
    auto stream = sorter.Read();
    if (!stream) read = Fail(stream.error());
    for (SortedRecord record; read;) {
      const auto more = (*stream)->Next(record);
      if (!more) read = Fail(more.error());
      if (more && !*more) break;
    }
    ASSERT_FALSE(read) << damaged;
    EXPECT_EQ(read.error().code(), Errc::kCorrupt);
  }
}

}  // namespace
}  // namespace strata::store
