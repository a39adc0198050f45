#include "store/objects/directory_spill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"
#include "tests/store/castore/castore_testing.h"

namespace strata::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// One of a number of directories that differ, of `files` entries.
Directory Numbered(int number, int files = 1) {
  NamedNodes nodes;
  for (int i = 0; i < files; ++i) {
    nodes.emplace_back(std::to_string(i), Node::OfFile(Digest::OfEmpty(), static_cast<std::uint64_t>(number)));
  }
  return MakeDirectory(std::move(nodes));
}

TEST(SpillIndex, DigestsWithEqualBeginningsAreToldApart) {
  Digest one, other, third;
  other.bytes[31] = std::byte{1};
  third.bytes[0] = std::byte{1};  // follows the place where `other` goes
  SpillIndex index;
  EXPECT_THAT(index.Candidates(one), IsEmpty());
  index.Add(one, 10);
  index.Add(third, 30);
  index.Add(other, 20);
  EXPECT_THAT(index.Candidates(one), ElementsAre(10, 30, 20));
  EXPECT_THAT(index.Candidates(other), ElementsAre(10, 30, 20));
  EXPECT_THAT(index.Candidates(third), ElementsAre(30, 20));
  EXPECT_EQ(index.size(), 3u);
}

TEST(SpillFile, WhatIsAppendedIsReadFromMemoryAndFromTheFileAndAcrossBoth) {
  TempFolder folder;
  for (const std::string& place : {std::string(), folder.path()}) {
    SpillFile file(Env::System(), place);
    std::vector<std::byte> all;
    for (int i = 0; i < 100; ++i) {
      const std::vector<std::byte> piece(97'000, static_cast<std::byte>(i));
      ASSERT_TRUE(file.Append(piece).has_value());
      all.insert(all.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(file.size(), all.size());
    for (std::size_t offset = 0; offset + 150'000 <= all.size(); offset += 149'999) {
      std::vector<std::byte> read(150'000);
      ASSERT_TRUE(file.ReadAt(offset, read).has_value());
      EXPECT_EQ(std::memcmp(read.data(), all.data() + offset, read.size()), 0) << offset;
    }
    std::byte beyond[2];
    EXPECT_EQ(file.ReadAt(all.size() - 1, beyond).error().code(), Errc::kCorrupt);
    EXPECT_EQ(file.ReadAt(all.size() + 1, {}).error().code(), Errc::kCorrupt);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  }
}

TEST(DirectorySpill, AClosureShowsOnceItIsPublished) {
  DirectorySpill spill(Env::System(), {});
  SpillStage stage = spill.NewStage();
  EXPECT_TRUE(stage.Put(Numbered(1)).value());
  EXPECT_FALSE(stage.Put(Numbered(1)).value());
  const auto place = stage.Find(Numbered(1).digest()).value();
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(stage.Read(*place).value(), Numbered(1));
  EXPECT_EQ(spill.Get(Numbered(1).digest()).value(), std::nullopt);
  ASSERT_TRUE(spill.Publish(std::move(stage)).has_value());
  EXPECT_EQ(spill.Get(Numbered(1).digest()).value(), Numbered(1));
}

TEST(DirectorySpill, SmallAndLargeClosuresAndThoseThatOverlapAreFound) {
  TempFolder folder;
  DirectorySpill spill(Env::System(), {.folder = folder / "spill"});
  for (const int files : {1, 2'000, 1, 2'000}) {
    SpillStage stage = spill.NewStage();
    for (int number = 0; number < 100; ++number) ASSERT_TRUE(stage.Put(Numbered(number, files)).has_value());
    ASSERT_TRUE(stage.Put(Numbered(-files)).has_value());
    ASSERT_TRUE(spill.Publish(std::move(stage)).has_value());
  }
  EXPECT_EQ(spill.count(), 202u);
  for (const int files : {1, 2'000}) {
    EXPECT_EQ(spill.Get(Numbered(-files).digest()).value(), Numbered(-files));
    for (int number = 0; number < 100; ++number) {
      EXPECT_EQ(spill.Get(Numbered(number, files).digest()).value(), Numbered(number, files));
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder / "spill"));
}

TEST(DirectorySpill, ThreadsPublishAndReadAtOnce) {
  DirectorySpill spill(Env::System(), {});
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 50; ++i) {
        SpillStage stage = spill.NewStage();
        ASSERT_TRUE(stage.Put(Numbered(i)).has_value());
        ASSERT_TRUE(stage.Put(Numbered(1'000 * (thread + 1) + i)).has_value());
        ASSERT_TRUE(spill.Publish(std::move(stage)).has_value());
        ASSERT_EQ(spill.Get(Numbered(i).digest()).value(), Numbered(i));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(spill.count(), 250u);
}

TEST(DirectorySpill, WhatStaysInMemoryIsBounded) {
  DirectorySpill spill(Env::System(), {.folder = {}, .memory_bytes = 10'000});
  SpillStage large = spill.NewStage();
  EXPECT_EQ(large.Put(Numbered(1, 1'000)).error().code(), Errc::kNoSpace);
  for (int i = 0;; ++i) {
    ASSERT_LT(i, 10);
    SpillStage stage = spill.NewStage();
    ASSERT_TRUE(stage.Put(Numbered(i, 50)).has_value());
    if (auto published = spill.Publish(std::move(stage)); !published) {
      EXPECT_EQ(published.error().code(), Errc::kNoSpace);
      EXPECT_GE(i, 2);
      break;
    }
  }
  EXPECT_EQ(spill.Get(Numbered(0, 50).digest()).value(), Numbered(0, 50));
}

TEST(DirectorySpill, AFullDiskIsSaid) {
  TempFolder folder;
  FaultEnv env;
  DirectorySpill spill(env, {.folder = folder.path()});
  env.FailAfter(FaultEnv::kWrite, 0, Errc::kNoSpace);
  SpillStage stage = spill.NewStage();
  Result<bool> put = true;
  for (int i = 0; put && i < 1'000; ++i) put = stage.Put(Numbered(i, 1'000));
  ASSERT_FALSE(put.has_value());
  EXPECT_EQ(put.error().code(), Errc::kNoSpace);
}

}  // namespace
}  // namespace strata::store
