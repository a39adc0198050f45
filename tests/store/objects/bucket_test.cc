// Every bucket keeps one contract; the one in a folder also survives crashes.
#include "store/objects/bucket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/objects/folder_bucket.h"
#include "store/objects/memory_bucket.h"
#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::store {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kLimit = 1 << 20;

// "-" where there is none.
std::string ContentOf(ObjectBucket& bucket, const std::string& key) {
  const auto bytes = bucket.Get({}, key, kLimit);
  if (!bytes) return bytes.error().ToString();
  return *bytes ? std::string(AsText(**bytes)) : "-";
}

std::vector<std::string> KeysIn(ObjectBucket& bucket, const std::string& folder) {
  std::vector<std::string> keys;
  const auto listed = bucket.List({}, folder, [&](std::string_view key) {
    keys.emplace_back(key);
    return true;
  });
  EXPECT_TRUE(listed.has_value()) << listed.error().ToString();
  return keys;
}

std::unique_ptr<FolderBucket> OpenFolder(const std::string& folder, FolderBucket::Options options = {.create = true},
                                         Env& env = Env::System()) {
  auto bucket = FolderBucket::Open(env, folder, options);
  EXPECT_TRUE(bucket.has_value()) << bucket.error().ToString();
  return bucket ? std::move(*bucket) : nullptr;
}

std::size_t FilesBelow(const std::string& folder) {
  if (!fs::exists(folder)) return 0;
  return static_cast<std::size_t>(std::ranges::count_if(fs::recursive_directory_iterator(folder),
                                                        [](const auto& entry) { return entry.is_regular_file(); }));
}

// Counts what is synced.
class CountingEnv final : public Env {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    return system_.Open(path, mode);
  }
  Result<void> CreateDirectory(const std::string& path) override { return system_.CreateDirectory(path); }
  Result<std::vector<std::string>> ListDirectory(const std::string& path) override {
    return system_.ListDirectory(path);
  }
  Result<void> Rename(const std::string& from, const std::string& to) override { return system_.Rename(from, to); }
  Result<void> Remove(const std::string& path) override { return system_.Remove(path); }
  Result<void> SyncDirectory(const std::string& path) override {
    ++directory_syncs;
    return system_.SyncDirectory(path);
  }
  Result<void> SyncFileSystem(const std::string& path) override {
    ++file_system_syncs;
    return system_.SyncFileSystem(path);
  }
  Result<Space> SpaceOf(const std::string& path) override { return system_.SpaceOf(path); }
  Time Now() override { return system_.Now(); }
  std::int64_t MonotonicNs() override { return system_.MonotonicNs(); }
  void Random(MutableByteSpan out) override { system_.Random(out); }

  int directory_syncs = 0, file_system_syncs = 0;

 private:
  Env& system_ = Env::System();
};

class Bucket : public ::testing::TestWithParam<const char*> {
 protected:
  Bucket() {
    if (GetParam() == std::string("memory")) {
      bucket_ = std::make_unique<MemoryBucket>();
    } else {
      bucket_ = OpenFolder(folder_ / "store");
    }
  }
  ObjectBucket& bucket() { return *bucket_; }

 private:
  TempFolder folder_;
  std::unique_ptr<ObjectBucket> bucket_;
};

INSTANTIATE_TEST_SUITE_P(Every, Bucket, ::testing::Values("memory", "folder"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Bucket, WhatIsPutIsThereAtOnceAndAfterASync) {
  EXPECT_EQ(ContentOf(bucket(), "a/b"), "-");
  EXPECT_FALSE(bucket().Has({}, "a/b").value());
  ASSERT_TRUE(bucket().PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("one")));
  EXPECT_EQ(ContentOf(bucket(), "a/b"), "one");
  EXPECT_TRUE(bucket().Has({}, "a/b").value());
  ASSERT_TRUE(bucket().Sync());
  EXPECT_EQ(ContentOf(bucket(), "a/b"), "one");
  EXPECT_TRUE(bucket().Has({}, "a/b").value());
  EXPECT_FALSE(bucket().Has({}, "a/c").value());
}

TEST_P(Bucket, PutIfAbsentLeavesWhatIsThere) {
  for (const bool sync : {false, true}) {
    const std::string key = sync ? "k/synced" : "k/not";
    ASSERT_TRUE(bucket().PutIfAbsent(key, ObjectRank::kBlob, AsBytes("one")));
    if (sync) {
      ASSERT_TRUE(bucket().Sync());
    }
    ASSERT_TRUE(bucket().PutIfAbsent(key, ObjectRank::kBlob, AsBytes("two")));
    EXPECT_EQ(ContentOf(bucket(), key), "one");
    const auto writer = bucket().Create(key, ObjectRank::kBlob).value();
    ASSERT_TRUE(writer->Write(AsBytes("three")));
    ASSERT_TRUE(writer->Close());
    EXPECT_EQ(ContentOf(bucket(), key), "one");
  }
}

TEST_P(Bucket, ReplaceGoesOverWhatIsThere) {
  for (const char* content : {"one", "two", ""}) {
    ASSERT_TRUE(bucket().Replace("roots/x", ObjectRank::kRoot, AsBytes(content)));
    EXPECT_EQ(ContentOf(bucket(), "roots/x"), content);
  }
  ASSERT_TRUE(bucket().Sync());
  EXPECT_EQ(ContentOf(bucket(), "roots/x"), "");
  ASSERT_TRUE(bucket().Replace("roots/x", ObjectRank::kRoot, AsBytes("three")));
  EXPECT_EQ(ContentOf(bucket(), "roots/x"), "three");
}

TEST_P(Bucket, AWriterShowsNothingBeforeItsClose) {
  {
    const auto writer = bucket().Create("d/one", ObjectRank::kDirectory).value();
    ASSERT_TRUE(writer->Write(AsBytes("on")));
    ASSERT_TRUE(writer->Write(AsBytes("e")));
    EXPECT_EQ(ContentOf(bucket(), "d/one"), "-");
    ASSERT_TRUE(writer->Close());
    EXPECT_EQ(ContentOf(bucket(), "d/one"), "one");
    const auto dropped = bucket().Create("d/two", ObjectRank::kDirectory).value();
    ASSERT_TRUE(dropped->Write(AsBytes("two")));
  }
  ASSERT_TRUE(bucket().Sync());
  EXPECT_THAT(KeysIn(bucket(), "d"), ElementsAre("d/one"));
}

TEST_P(Bucket, KeysAreListedInTheOrderOfTheirBytesSyncedOrNot) {
  for (const char* key : {"roots/b", "roots/a.b", "roots/\xff", "roots/a"}) {
    ASSERT_TRUE(bucket().PutIfAbsent(key, ObjectRank::kRoot, {}));
  }
  ASSERT_TRUE(bucket().Sync());
  ASSERT_TRUE(bucket().PutIfAbsent("roots/B", ObjectRank::kRoot, {}));
  ASSERT_TRUE(bucket().PutIfAbsent("rootsx/c", ObjectRank::kRoot, {}));
  EXPECT_THAT(KeysIn(bucket(), "roots"), ElementsAre("roots/B", "roots/a", "roots/a.b", "roots/b", "roots/\xff"));
  EXPECT_THAT(KeysIn(bucket(), "none"), IsEmpty());
  int seen = 0;
  ASSERT_TRUE(bucket().List({}, "roots", [&](std::string_view) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
}

TEST_P(Bucket, WhatIsRemovedIsGone) {
  EXPECT_FALSE(bucket().Remove("roots/x").value());
  for (const bool sync : {false, true}) {
    ASSERT_TRUE(bucket().Replace("roots/x", ObjectRank::kRoot, AsBytes("one")));
    if (sync) {
      ASSERT_TRUE(bucket().Sync());
    }
    EXPECT_TRUE(bucket().Remove("roots/x").value());
    ASSERT_TRUE(bucket().Sync());
    EXPECT_EQ(ContentOf(bucket(), "roots/x"), "-");
  }
}

TEST_P(Bucket, AnObjectLongerThanWhatCanBeMeantIsNotRead) {
  ASSERT_TRUE(bucket().PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("12345")));
  EXPECT_TRUE(bucket().Get({}, "a/b", 5).value().has_value());
  const auto refused = bucket().Get({}, "a/b", 4);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Errc::kCorrupt);
  EXPECT_THAT(refused.error().ToString(), HasSubstr("a/b"));
}

TEST_P(Bucket, NoKeyLeadsOutOfIt) {
  for (const std::string& key :
       {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"), std::string("../a"),
        std::string("a/../b"), std::string("a/."), std::string("a\0b", 3), std::string(256, 'a'), std::string("..")}) {
    EXPECT_EQ(CheckObjectKey(key).error().code(), Errc::kInvalid) << key;
    EXPECT_FALSE(bucket().PutIfAbsent(key, ObjectRank::kChunk, {}).has_value()) << key;
    EXPECT_FALSE(bucket().Create(key, ObjectRank::kChunk).has_value()) << key;
    EXPECT_FALSE(bucket().Replace(key, ObjectRank::kChunk, {}).has_value()) << key;
  }
  EXPECT_TRUE(CheckObjectKey("a/..b/...").has_value());
}

TEST_P(Bucket, ManyThreadsPutTheSameObjectsAtOnce) {
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const std::string key = "chunks/" + std::to_string(i);
        ASSERT_TRUE(bucket().PutIfAbsent(key, ObjectRank::kChunk, AsBytes(key)).has_value());
        ASSERT_EQ(ContentOf(bucket(), key), key);
        if (i % 16 == 0) {
          ASSERT_TRUE(bucket().Sync().has_value());
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_TRUE(bucket().Sync());
  EXPECT_EQ(KeysIn(bucket(), "chunks").size(), 50u);
}

TEST(FolderBucket, ALocalDiskIsNotAskedOfWhoMayNotBlock) {
  TempFolder folder;
  const auto bucket = OpenFolder(folder / "store");
  const Waiting waiting{.may_block = false};
  EXPECT_EQ(bucket->Open(waiting, "a").error().code(), Errc::kWouldBlock);
  EXPECT_EQ(bucket->Has(waiting, "a").error().code(), Errc::kWouldBlock);
  EXPECT_EQ(bucket->Get(waiting, "a", 1).error().code(), Errc::kWouldBlock);
}

TEST(FolderBucket, AMissingFolderIsMadeOnlyWhereThatIsWanted) {
  TempFolder folder;
  for (const FolderBucket::Options options :
       {FolderBucket::Options{}, FolderBucket::Options{.create = true, .read_only = true}}) {
    const auto refused = FolderBucket::Open(Env::System(), folder / "store", options);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code(), Errc::kNotFound);
    EXPECT_THAT(refused.error().ToString(), HasSubstr("mkdir " + folder / "store"));
  }
  EXPECT_FALSE(fs::exists(folder / "store"));
  EXPECT_NE(OpenFolder(folder / "store"), nullptr);
}

TEST(FolderBucket, OneThatIsReadOnlyWritesNothing) {
  TempFolder folder;
  const auto bucket = OpenFolder(folder.path(), {.read_only = true});
  EXPECT_EQ(bucket->PutIfAbsent("a", ObjectRank::kChunk, {}).error().code(), Errc::kReadOnly);
  EXPECT_EQ(bucket->Replace("a", ObjectRank::kChunk, {}).error().code(), Errc::kReadOnly);
  EXPECT_EQ(bucket->Create("a", ObjectRank::kChunk).error().code(), Errc::kReadOnly);
  EXPECT_EQ(bucket->Remove("a").error().code(), Errc::kReadOnly);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(FolderBucket, TheFolderOfWhatIsBeingWrittenTakesNoObject) {
  TempFolder folder;
  const auto bucket = OpenFolder(folder.path());
  EXPECT_EQ(bucket->PutIfAbsent("tmp/a", ObjectRank::kChunk, {}).error().code(), Errc::kInvalid);
}

TEST(FolderBucket, OthersSeeAnObjectOnceItIsSynced) {
  TempFolder folder;
  const auto one = OpenFolder(folder.path()), other = OpenFolder(folder.path());
  ASSERT_TRUE(one->PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("x")));
  EXPECT_EQ(ContentOf(*other, "a/b"), "-");
  ASSERT_TRUE(one->Sync());
  EXPECT_EQ(ContentOf(*other, "a/b"), "x");
}

TEST(FolderBucket, OfTwoWhoPutOneObjectAtOnceOneWins) {
  TempFolder folder;
  const auto one = OpenFolder(folder.path()), other = OpenFolder(folder.path());
  ASSERT_TRUE(one->PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("same")));
  ASSERT_TRUE(other->PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("same")));
  ASSERT_TRUE(one->Sync());
  ASSERT_TRUE(other->Sync());
  EXPECT_EQ(ContentOf(*one, "a/b"), "same");
  EXPECT_EQ(FilesBelow(folder.path()), 1u);
}

TEST(FolderBucket, WhatWasNotSyncedIsSyncedAtTheEnd) {
  TempFolder folder;
  ASSERT_TRUE(OpenFolder(folder.path())->PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("x")));
  EXPECT_EQ(ContentOf(*OpenFolder(folder.path()), "a/b"), "x");
  EXPECT_EQ(FilesBelow(folder / "tmp"), 0u);
}

TEST(FolderBucket, ManyObjectsAreSyncedTogether) {
  TempFolder folder;
  CountingEnv env;
  const auto bucket = OpenFolder(folder.path(), {.create = true}, env);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(bucket->PutIfAbsent("chunks/" + std::to_string(i), ObjectRank::kChunk, AsBytes("x")));
  }
  ASSERT_TRUE(bucket->PutIfAbsent("roots/a", ObjectRank::kRoot, AsBytes("x")));
  ASSERT_TRUE(bucket->Sync());
  EXPECT_EQ(env.file_system_syncs, 3);  // the bytes, the names of chunks, the names of roots
  EXPECT_EQ(env.directory_syncs, 0);
  EXPECT_EQ(KeysIn(*bucket, "chunks").size(), 100u);
}

TEST(FolderBucket, TheNameOfAnObjectThatAnotherPutIsMadeDurableToo) {
  TempFolder folder;
  ASSERT_TRUE(OpenFolder(folder.path())->PutIfAbsent("chunks/1", ObjectRank::kChunk, AsBytes("x")));
  CountingEnv env;
  const auto bucket = OpenFolder(folder.path(), {.create = true}, env);
  ASSERT_TRUE(bucket->PutIfAbsent("chunks/1", ObjectRank::kChunk, AsBytes("x")));
  EXPECT_EQ(env.directory_syncs, 0);
  ASSERT_TRUE(bucket->Sync());
  EXPECT_EQ(env.directory_syncs, 1);
  ASSERT_TRUE(bucket->Sync());
  EXPECT_EQ(env.directory_syncs, 1);
}

TEST(FolderBucket, WhatACrashLeftStagedIsRemovedADayLater) {
  TempFolder folder;
  const auto seconds = Env::System().Now().ns / 1'000'000'000;
  fs::create_directory(folder / "tmp");
  const std::string old = folder / "tmp/" + std::to_string(seconds - 90'000) + "-0123456789abcdef";
  const std::string fresh = folder / "tmp/" + std::to_string(seconds - 3'600) + "-0123456789abcdef";
  for (const std::string& name : {old, fresh, folder / "tmp/other"}) std::ofstream(name) << "x";
  OpenFolder(folder.path());
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(fresh));
  EXPECT_TRUE(fs::exists(folder / "tmp/other"));
}

TEST(FolderBucket, AFullDiskLeavesNothingBehindAndGoesOnWhenThereIsRoom) {
  TempFolder folder;
  FaultEnv env;
  const auto bucket = OpenFolder(folder.path(), {.create = true}, env);
  env.FailAfter(FaultEnv::kWrite, 0, Errc::kNoSpace);
  EXPECT_EQ(bucket->PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("x")).error().code(), Errc::kNoSpace);
  EXPECT_EQ(FilesBelow(folder.path()), 0u);
  ASSERT_TRUE(bucket->PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("x")));
  EXPECT_TRUE(bucket->Sync().has_value());
}

TEST(FolderBucket, AfterASyncThatFailedItTakesNothingMore) {
  TempFolder folder;
  FaultEnv env;
  {
    const auto bucket = OpenFolder(folder.path(), {.create = true}, env);
    ASSERT_TRUE(bucket->PutIfAbsent("a/b", ObjectRank::kChunk, AsBytes("x")));
    env.FailAfter(FaultEnv::kSync, 0, Errc::kIo);
    EXPECT_EQ(bucket->Sync().error().code(), Errc::kIo);
    EXPECT_EQ(bucket->Sync().error().code(), Errc::kIo);
    const auto refused = bucket->PutIfAbsent("a/c", ObjectRank::kChunk, AsBytes("x"));
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error().ToString(), HasSubstr("open it anew"));
  }
  EXPECT_EQ(FilesBelow(folder.path()), 0u);
}

// Stops the machine at every step of a workload, with nothing or some of what was not synced on the disk: what Sync
// returned for is there, nothing is there in half, and nothing without what has a lower rank.
TEST(FolderBucket, ACrashAtAnyStepLeavesNoHalfObject) {
  int steps = 0;
  for (bool finished = false; !finished; ++steps) {
    for (const int keep : {0, 500}) {
      TempFolder folder;
      FaultEnv env;
      bool first_synced = false;
      {
        const auto bucket = OpenFolder(folder / "s", {.create = true}, env);
        env.StopAfter(steps);
        first_synced = bucket->PutIfAbsent("chunks/1", ObjectRank::kChunk, AsBytes("chunk 1")).has_value() &&
                       bucket->PutIfAbsent("blobs/1", ObjectRank::kBlob, AsBytes("blob 1")).has_value() &&
                       bucket->Sync().has_value();
        (void)bucket->PutIfAbsent("chunks/2", ObjectRank::kChunk, AsBytes(std::string(2000, '2')));
        (void)bucket->PutIfAbsent("blobs/2", ObjectRank::kBlob, AsBytes("blob 2"));
        (void)bucket->Replace("roots/a", ObjectRank::kRoot, AsBytes("root a"));
        (void)bucket->Sync();
        finished = !env.stopped();
      }
      env.PowerLoss(static_cast<std::uint32_t>(steps), keep);
      const auto bucket = OpenFolder(folder / "s", {.create = true});
      const std::string chunk1 = ContentOf(*bucket, "chunks/1"), blob1 = ContentOf(*bucket, "blobs/1");
      const std::string chunk2 = ContentOf(*bucket, "chunks/2"), blob2 = ContentOf(*bucket, "blobs/2");
      const std::string root = ContentOf(*bucket, "roots/a");
      SCOPED_TRACE(steps);
      EXPECT_TRUE(chunk1 == "-" || chunk1 == "chunk 1") << chunk1;
      EXPECT_TRUE(blob1 == "-" || (blob1 == "blob 1" && chunk1 != "-")) << blob1;
      EXPECT_TRUE(chunk2 == "-" || chunk2 == std::string(2000, '2')) << chunk2;
      EXPECT_TRUE(blob2 == "-" || (blob2 == "blob 2" && chunk2 != "-")) << blob2;
      EXPECT_TRUE(root == "-" || (root == "root a" && blob2 != "-")) << root;
      if (first_synced) {
        EXPECT_EQ(chunk1 + blob1, "chunk 1blob 1");
      }
      if (finished) {
        EXPECT_EQ(root, "root a");
      }
    }
  }
  EXPECT_GT(steps, 10);
}

}  // namespace
}  // namespace strata::store
