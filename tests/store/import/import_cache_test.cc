#include "store/import/import_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"
#include "tests/store/import/import_testing.h"

namespace strata::store {
namespace {

FileState StateNumber(std::uint64_t number) {
  return {.device = 1, .inode = number, .size = number * 3, .mtime = Time{77}, .ctime = Time{88}};
}
Digest DigestNumber(std::uint64_t number) { return Digest::Of(AsBytes(std::to_string(number))); }

std::unique_ptr<ImportCache> MustOpenCache(const std::string& path, std::uint64_t most = ImportCache::kMostBytes) {
  auto cache = ImportCache::Open(Env::System(), path, most);
  if (!cache) ADD_FAILURE() << cache.error().ToString();
  return cache ? std::move(*cache) : nullptr;
}

TEST(ImportCache, RemembersAcrossOpenings) {
  TempFolder folder;
  for (const std::uint64_t round : {0, 1, 2}) {
    const auto cache = MustOpenCache(folder / "cache");
    for (std::uint64_t i = 0; i < 3; ++i) {
      EXPECT_EQ(cache->Find(StateNumber(i)), i < round ? std::optional(DigestNumber(i)) : std::nullopt);
    }
    cache->Put(StateNumber(round), DigestNumber(round));
  }
}

TEST(ImportCache, KnowsAFileByAllOfItsState) {
  TempFolder folder;
  const auto cache = MustOpenCache(folder / "cache");
  const FileState state = StateNumber(5);
  cache->Put(state, DigestNumber(5));
  for (int part = 0; part < 5; ++part) {
    FileState other = state;
    if (part == 0) ++other.device;
    if (part == 1) ++other.inode;
    if (part == 2) ++other.size;
    if (part == 3) ++other.mtime.ns;
    if (part == 4) ++other.ctime.ns;
    EXPECT_EQ(cache->Find(other), std::nullopt) << part;
  }
  cache->Put(state, DigestNumber(6));
  EXPECT_EQ(cache->Find(state), DigestNumber(6));
}

TEST(ImportCache, GrowsWithWhatIsPutAndNotBeyondItsBound) {
  TempFolder folder;
  constexpr std::uint64_t kFiles = 30'000;
  const auto found = [&](ImportCache& cache) {
    std::uint64_t count = 0;
    for (std::uint64_t i = 0; i < kFiles; ++i) {
      const auto digest = cache.Find(StateNumber(i));
      EXPECT_EQ(digest.value_or(DigestNumber(i)), DigestNumber(i));
      count += digest.has_value();
    }
    return count;
  };
  {
    const auto cache = MustOpenCache(folder / "cache");
    EXPECT_EQ(cache->slots(), 2048U);
    for (std::uint64_t i = 0; i < kFiles; ++i) cache->Put(StateNumber(i), DigestNumber(i));
    EXPECT_GE(cache->slots(), kFiles);
    EXPECT_GT(found(*cache), kFiles * 9 / 10);
  }
  // What made room is put again by the next import, and then all are there.
  {
    const auto cache = MustOpenCache(folder / "cache");
    for (std::uint64_t i = 0; i < kFiles; ++i) {
      if (!cache->Find(StateNumber(i))) cache->Put(StateNumber(i), DigestNumber(i));
    }
    EXPECT_GT(found(*cache), kFiles * 99 / 100);
  }
  constexpr std::uint64_t kMost = 300 << 10;
  const auto small = MustOpenCache(folder / "small", kMost);
  for (std::uint64_t i = 0; i < kFiles; ++i) small->Put(StateNumber(i), DigestNumber(i));
  EXPECT_LE(std::filesystem::file_size(folder / "small"), kMost);
  // A part of what was put first is kept, so that the same import the next time finds it.
  std::uint64_t early = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) early += small->Find(StateNumber(i)).has_value();
  EXPECT_GT(early, 1900U);
}

TEST(ImportCache, ForgetsWhatWasNotUsedForLongest) {
  TempFolder folder;
  constexpr std::uint64_t kMost = 140 << 10;  // 2,048 slots
  const auto import = [&](std::uint64_t first, std::uint64_t count) {
    const auto cache = MustOpenCache(folder / "cache", kMost);
    std::uint64_t hits = 0;
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (cache->Find(StateNumber(i))) {
        ++hits;
      } else {
        cache->Put(StateNumber(i), DigestNumber(i));
      }
    }
    return hits;
  };
  import(0, 1000);        // old
  import(100'000, 3000);  // takes its place
  for (int i = 0; i < 6; ++i) EXPECT_GT(import(100'000, 1500), 1200U);
  EXPECT_LT(import(0, 1000), 400U);
}

TEST(ImportCache, SlotsThatDoNotCheckAreFree) {
  TempFolder folder;
  MustOpenCache(folder / "cache")->Put(StateNumber(1), DigestNumber(1));
  std::string bytes = ReadTestFile(folder / "cache");
  for (std::size_t at = 4096; at < bytes.size(); ++at) bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
  WriteTestFile(folder / "cache", bytes);
  EXPECT_EQ(MustOpenCache(folder / "cache")->Find(StateNumber(1)), std::nullopt);
  for (const std::string& content : {std::string("no cache"), std::string(5000, '\xff'), bytes.substr(0, 20)}) {
    WriteTestFile(folder / "cache", content);
    const auto cache = MustOpenCache(folder / "cache");
    EXPECT_EQ(cache->Find(StateNumber(1)), std::nullopt);
    cache->Put(StateNumber(1), DigestNumber(1));
    EXPECT_EQ(cache->Find(StateNumber(1)), DigestNumber(1));
  }
}

TEST(ImportCache, IsReadOnlyWhereAnotherProcessWrites) {
  TempFolder folder;
  const auto writer = MustOpenCache(folder / "cache");
  writer->Put(StateNumber(1), DigestNumber(1));
  const auto reader = MustOpenCache(folder / "cache");
  EXPECT_EQ(reader->Find(StateNumber(1)), DigestNumber(1));
  reader->Put(StateNumber(2), DigestNumber(2));
  EXPECT_EQ(reader->Find(StateNumber(2)), std::nullopt);
}

TEST(ImportCache, MayBeUsedBySeveralThreads) {
  TempFolder folder;
  const auto cache = MustOpenCache(folder / "cache");
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = t; i < 8000; i += 4) {
        cache->Put(StateNumber(i), DigestNumber(i));
        EXPECT_EQ(cache->Find(StateNumber(i / 2)).value_or(DigestNumber(i / 2)), DigestNumber(i / 2));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(cache->slots(), 8000U);
}

TEST(ImportCache, AStateIsSettledOnceTheClockHasTicked) {
  FileState state{.device = 1, .inode = 2, .size = 3, .mtime = Time{5'000'000'001}, .ctime = Time{4'000'000'000}};
  EXPECT_FALSE(IsSettled(state, Time{5'000'000'001}));
  EXPECT_FALSE(IsSettled(state, Time{5'010'000'000}));
  EXPECT_TRUE(IsSettled(state, Time{5'100'000'000}));
  EXPECT_FALSE(IsSettled(state, Time{4'000'000'000}));  // in the future
  state.mtime = Time{5'000'000'000};                    // a file system of whole seconds, or of two
  EXPECT_FALSE(IsSettled(state, Time{6'900'000'000}));
  EXPECT_TRUE(IsSettled(state, Time{7'100'000'000}));
}

}  // namespace
}  // namespace strata::store
