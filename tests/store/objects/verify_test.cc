// Verification of a store of objects: each kind of damage is found, and named.
#include "store/objects/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "store/objects/folder_bucket.h"
#include "store/objects/layout.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/object_blobs.h"
#include "store/objects/object_directories.h"
#include "store/objects/object_roots.h"
#include "store/objects/stat.h"
#include "store/objects/zstd.h"
#include "tests/base/temp_folder.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/fixtures.h"
#include "tests/store/objects/objects_testing.h"

namespace strata::store {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using What = pack::Problem::What;

struct Verified {
  pack::VerifyReport report;
  std::vector<pack::Problem> problems;

  std::vector<What> Whats() const {
    std::vector<What> whats;
    for (const pack::Problem& problem : problems) whats.push_back(problem.what);
    return whats;
  }
  std::string Messages() const {
    std::string all;
    for (const pack::Problem& problem : problems) all += problem.message + '\n';
    return all;
  }
};

Verified Verify(const std::shared_ptr<ObjectBucket>& bucket, pack::VerifyOptions options = {}) {
  Verified verified;
  options.told = [&](const pack::Problem& problem) { verified.problems.push_back(problem); };
  ObjectDirectories directories(Env::System(), bucket, {});
  const auto report = VerifyObjects(bucket, directories, options);
  EXPECT_TRUE(report.has_value()) << report.error().ToString();
  verified.report = report.value_or(pack::VerifyReport());
  EXPECT_EQ(verified.report.problems, verified.problems.size());
  return verified;
}

std::vector<std::string> KeysOf(ObjectBucket& bucket) {
  std::vector<std::string> keys;
  for (const char* folder : {"blobs", "chunks", "dirs", "roots"}) {
    EXPECT_TRUE(bucket
                    .List({}, folder,
                          [&](std::string_view key) {
                            keys.emplace_back(key);
                            return true;
                          })
                    .has_value());
  }
  return keys;
}

// The store that tvix wrote, of trees of both eras, in memory; null where the fixtures are missing.
std::shared_ptr<MemoryBucket> CopyOfTvixStore() {
  const std::string path = FixturePath("tvix/store");
  if (path.empty()) return nullptr;
  const auto theirs = FolderBucket::Open(Env::System(), path, {.read_only = true}).value();
  auto copy = std::make_shared<MemoryBucket>();
  for (const std::string& key : KeysOf(*theirs)) PutRaw(*copy, key, GetRaw(*theirs, key));
  return copy;
}

TEST(VerifyObjects, AStoreThatTvixWroteIsSoundInBothEras) {
  const auto bucket = CopyOfTvixStore();
  if (!bucket) GTEST_SKIP() << "the fixtures are missing (../shared/fixtures/castore/tvix/store)";
  const Verified verified = Verify(bucket);
  EXPECT_THAT(verified.Messages(), IsEmpty());
  EXPECT_EQ(verified.report.records, KeysOf(*bucket).size());
  EXPECT_GT(verified.report.bytes, 200'000u);
  EXPECT_FALSE(verified.report.stopped);
}

// Whether an object says something else than it did: a flipped bit of a frame's header may say nothing.
bool SaysTheSame(const std::string& key, ByteSpan before, ByteSpan after) {
  if (key.starts_with("blobs/")) return false;
  const auto was = ZstdDecompress(before, 1 << 24), is = ZstdDecompress(after, 1 << 24);
  return is.has_value() && *was == *is;
}

TEST(VerifyObjects, EachObjectOfATvixStoreThatIsFlippedOrCutIsFound) {
  const auto sound = CopyOfTvixStore();
  if (!sound) GTEST_SKIP() << "the fixtures are missing (../shared/fixtures/castore/tvix/store)";
  // All of one kind at once: what is found of the one hides nothing of the other.
  for (const char* folder : {"chunks/", "blobs/", "dirs/"}) {
    for (const int way : {0, 1, 2, 3}) {
      SCOPED_TRACE(folder + std::to_string(way));
      const auto bucket = CopyOfTvixStore();
      std::vector<std::string> damaged;
      for (const std::string& key : KeysOf(*sound)) {
        const std::vector<std::byte> before = GetRaw(*sound, key);
        if (!key.starts_with(folder) || before.empty()) continue;
        std::vector<std::byte> after = before;
        if (way == 3) {
          after.pop_back();
        } else {
          after[(before.size() - 1) * static_cast<std::size_t>(way) / 2] ^= std::byte{1};
        }
        if (SaysTheSame(key, before, after)) continue;
        PutRaw(*bucket, key, after);
        damaged.push_back(key);
      }
      ASSERT_GE(damaged.size(), 5u);
      const Verified verified = Verify(bucket);
      EXPECT_GE(verified.problems.size(), damaged.size());
      const std::string messages = verified.Messages();
      for (const std::string& key : damaged) EXPECT_TRUE(messages.contains(key)) << key;
    }
  }
}

TEST(VerifyObjects, AnObjectOfATvixStoreThatIsRemovedIsFound) {
  const auto bucket = CopyOfTvixStore();
  if (!bucket) GTEST_SKIP() << "the fixtures are missing (../shared/fixtures/castore/tvix/store)";
  const std::vector<std::string> keys = KeysOf(*bucket);
  int found = 0;
  // Some of them, one by one.
  for (std::size_t i = 0; i < keys.size(); i += 4) {
    const std::string& key = keys[i];
    SCOPED_TRACE(key);
    const std::vector<std::byte> sound = GetRaw(*bucket, key);
    ASSERT_TRUE(bucket->Remove(key).value());
    const Verified verified = Verify(bucket);
    // No name leads to a tree here, so that none is missed. A blob of one chunk is had by that alone.
    if (key.starts_with("dirs/") || (key.starts_with("blobs/") && sound.empty())) {
      ASSERT_THAT(verified.Messages(), IsEmpty());
    } else {
      ASSERT_THAT(verified.Whats(), ::testing::Contains(What::kMissing));
      ASSERT_THAT(verified.Messages(), HasSubstr(key));
      ++found;
    }
    PutRaw(*bucket, key, sound);
  }
  EXPECT_GT(found, 30);
  EXPECT_THAT(Verify(bucket).Messages(), IsEmpty());
}

// A name "project" of a tree {a: a small file, deep: {big: a file of several chunks}}, with attributes.
class VerifyNamed : public ::testing::Test {
 protected:
  VerifyNamed() {
    small_ = blobs_->Put(AsBytes("small")).value();
    big_content_ = MakeInput("noise", 50'000, 1);
    big_ = blobs_->Put(big_content_).value();
    attributes_ = blobs_->Put(AsBytes("attributes")).value();
    chunks_ = blobs_->Chunks({}, big_).value().value();
    deep_ = MakeDirectory({{"big", Node::OfFile(big_, big_content_.size())}});
    top_ = MakeDirectory({{"a", Node::OfFile(small_, 5)}, {"deep", NodeTo(deep_)}});
    PutTree({deep_, top_});
    SetName("project", {NodeTo(top_), attributes_, Time{1}});
  }

  void PutTree(const std::vector<Directory>& leaves_first) {
    ObjectDirectories directories(Env::System(), bucket_, {});
    const auto putter = directories.PutMany().value();
    for (const Directory& directory : leaves_first) ASSERT_TRUE(putter->Put(directory).has_value());
    ASSERT_TRUE(putter->Close().has_value());
  }
  void SetName(const std::string& name, const Root& root) {
    ASSERT_TRUE(ObjectRoots(bucket_).Set(name, root).has_value());
  }
  void Flip(const std::string& key) {
    std::vector<std::byte> bytes = GetRaw(*bucket_, key);
    ASSERT_FALSE(bytes.empty());
    bytes.back() ^= std::byte{0x55};
    PutRaw(*bucket_, key, bytes);
  }
  void Drop(const std::string& key) { ASSERT_TRUE(bucket_->Remove(key).value()); }

  const std::shared_ptr<MemoryBucket> bucket_ = std::make_shared<MemoryBucket>();
  const std::shared_ptr<ObjectBlobs> blobs_ = ObjectBlobs::Make(bucket_, ChunkSizes::OfAverage(4096)).value();
  std::vector<std::byte> big_content_;
  Digest small_, big_, attributes_;
  ChunkList chunks_;
  Directory deep_, top_;
};

TEST_F(VerifyNamed, WhatIsSoundIsSound) {
  const Verified verified = Verify(bucket_);
  EXPECT_THAT(verified.Messages(), IsEmpty());
  // Chunks of three blobs, their lists, a closure. (The name is none that is named by a digest.)
  EXPECT_EQ(verified.report.records, chunks_.size() + 2 + 3 + 1);
}

TEST_F(VerifyNamed, ADamagedChunkIsNamedWithThePathOfItsFile) {
  Flip(ChunkKey(chunks_[2].digest));
  const Verified verified = Verify(bucket_);
  ASSERT_THAT(verified.Whats(), ElementsAre(What::kDamagedRecord));
  EXPECT_EQ(verified.problems[0].digest, chunks_[2].digest);
  EXPECT_THAT(verified.Messages(), AllOf(HasSubstr(chunks_[2].digest.Text()), HasSubstr(ChunkKey(chunks_[2].digest)),
                                         HasSubstr("(the name project reaches it as deep/big)")));
}

TEST_F(VerifyNamed, AMissingChunkIsNamedWithThePathOfItsFile) {
  Drop(ChunkKey(chunks_[1].digest));
  Drop(ChunkKey(small_));
  const Verified verified = Verify(bucket_);
  ASSERT_THAT(verified.Whats(), ElementsAre(What::kMissing, What::kMissing));
  EXPECT_THAT(verified.Messages(),
              AllOf(HasSubstr(ChunkKey(chunks_[1].digest)), HasSubstr("(the name project reaches it as deep/big)"),
                    HasSubstr(ChunkKey(small_)), HasSubstr("(the name project reaches it as a)")));
}

TEST_F(VerifyNamed, AMissingBlobIsNamedOnceWithThePathOfItsFile) {
  Drop(BlobKey(big_));
  PutTree({deep_});  // another tree that has it
  const Verified verified = Verify(bucket_);
  ASSERT_THAT(verified.Whats(), ElementsAre(What::kMissing));
  EXPECT_THAT(verified.Messages(), AllOf(HasSubstr(BlobKey(big_)), HasSubstr("of the tree"),
                                         HasSubstr("(the name project reaches it as deep/big)")));
}

TEST_F(VerifyNamed, AListThatSaysWhatIsNotSoIsFound) {
  ChunkList swapped = chunks_;
  std::swap(swapped[0], swapped[1]);
  PutRaw(*bucket_, BlobKey(big_), EncodeChunkList(swapped));
  EXPECT_THAT(Verify(bucket_).Whats(), ElementsAre(What::kWrongBlob));
  EXPECT_THAT(Verify(bucket_).Messages(), AllOf(HasSubstr("make another blob"), HasSubstr("reaches it as deep/big")));
  ChunkList lying = chunks_;
  ++lying[3].size;
  PutRaw(*bucket_, BlobKey(big_), EncodeChunkList(lying));
  EXPECT_THAT(Verify(bucket_).Whats(), ElementsAre(What::kDamagedRecord));
  EXPECT_THAT(Verify(bucket_).Messages(), HasSubstr("says that the chunk " + chunks_[3].digest.Text() + " has " +
                                                    std::to_string(lying[3].size) + " bytes"));
  PutRaw(*bucket_, BlobKey(big_), AsBytes("no message"));
  EXPECT_THAT(Verify(bucket_).Whats(), ElementsAre(What::kDamagedRecord));
  EXPECT_THAT(Verify(bucket_).Messages(), AllOf(HasSubstr(BlobKey(big_)), HasSubstr("reaches it as deep/big")));
  // Without reading blobs the lists are still looked through.
  EXPECT_THAT(Verify(bucket_, {.blobs = false}).Whats(), ElementsAre(What::kDamagedRecord));
  PutRaw(*bucket_, BlobKey(big_), EncodeChunkList(swapped));
  EXPECT_THAT(Verify(bucket_, {.blobs = false}).Whats(), IsEmpty());
}

TEST_F(VerifyNamed, ADamagedTreeIsNamedWithItsName) {
  const std::string key = DirectoryKey(top_.digest());
  Flip(key);
  EXPECT_THAT(Verify(bucket_).Whats(), ElementsAre(What::kDamagedRecord));
  EXPECT_THAT(Verify(bucket_).Messages(), AllOf(HasSubstr(key), HasSubstr("(the name project stands for it)")));
  // A child that is missing, a directory that nobody names, and another root.
  using Frames = std::vector<std::vector<std::byte>>;
  const Frames child_missing(1, BytesOf(top_)), other_root(1, BytesOf(deep_));
  for (const Frames& frames :
       {child_missing, Frames{BytesOf(top_), BytesOf(deep_), BytesOf(DirectoryD())}, other_root}) {
    PutRaw(*bucket_, key, ClosureObject(frames));
    EXPECT_THAT(Verify(bucket_).Whats(), ElementsAre(What::kDamagedRecord));
    EXPECT_THAT(Verify(bucket_).Messages(), HasSubstr(key));
  }
  Drop(key);
  EXPECT_THAT(Verify(bucket_).Whats(), ElementsAre(What::kMissing));
  EXPECT_THAT(Verify(bucket_).Messages(), AllOf(HasSubstr(key), HasSubstr("the name project stands for it")));
  EXPECT_THAT(Verify(bucket_, {.reached = false}).Whats(), IsEmpty());
}

TEST_F(VerifyNamed, ADamagedNameAndWhatNamesLeadTo) {
  SetName("file", {Node::OfFile(Digest::Of(AsBytes("never put")), 9), std::nullopt, Time{1}});
  SetName("link", {Node::OfSymlink("anywhere"), std::nullopt, Time{1}});
  Drop(BlobKey(attributes_));
  Drop(ChunkKey(attributes_));
  PutRaw(*bucket_, RootKey("odd"), AsBytes("no name's message"));
  const Verified verified = Verify(bucket_);
  EXPECT_THAT(verified.Whats(), ::testing::UnorderedElementsAre(What::kMissing, What::kMissing, What::kDamagedName));
  EXPECT_THAT(verified.Messages(),
              AllOf(HasSubstr("the name file"), HasSubstr("(the name file reaches it)"),
                    HasSubstr("(the name project reaches it as its attributes)"), HasSubstr("roots/odd")));
}

TEST_F(VerifyNamed, AnObjectInTheWrongPlaceIsFoundAndOtherFilesAreNot) {
  const std::string hex = small_.Hex();
  PutRaw(*bucket_, "chunks/b3/0000/" + hex, GetRaw(*bucket_, ChunkKey(small_)));
  PutRaw(*bucket_, "chunks/b3/0000/README", AsBytes("not ours"));
  PutRaw(*bucket_, "chunks/.DS_Store", AsBytes("not ours"));
  const Verified verified = Verify(bucket_);
  EXPECT_THAT(verified.Whats(), ElementsAre(What::kDamagedRecord));
  EXPECT_THAT(verified.Messages(), AllOf(HasSubstr("chunks/b3/0000/" + hex), HasSubstr("nobody looks for it")));
}

TEST_F(VerifyNamed, ItStopsWhenItIsTold) {
  int steps = 0;
  const Verified verified =
      Verify(bucket_, {.progress = [&](std::string_view, std::uint64_t done, std::uint64_t total) {
               EXPECT_TRUE(total == 0 || done <= total);
               return ++steps < 5;
             }});
  EXPECT_TRUE(verified.report.stopped);
  EXPECT_EQ(verified.report.records, 4u);
}

// A disk that cannot read one object.
class BrokenBucket final : public ObjectBucket {
 public:
  BrokenBucket(std::shared_ptr<ObjectBucket> bucket, std::string broken)
      : bucket_(std::move(bucket)), broken_(std::move(broken)) {}
  Result<std::unique_ptr<ObjectReader>> Open(const Waiting& waiting, const std::string& key) override {
    if (key == broken_) return Fail(Errc::kIo, "read: Input/output error");
    return bucket_->Open(waiting, key);
  }
  Result<bool> Has(const Waiting& waiting, const std::string& key) override { return bucket_->Has(waiting, key); }
  Result<void> List(const Waiting& waiting, const std::string& folder,
                    const std::function<bool(std::string_view key)>& visit) override {
    return bucket_->List(waiting, folder, visit);
  }
  std::string Describe() const override { return "broken"; }

 private:
  const std::shared_ptr<ObjectBucket> bucket_;
  const std::string broken_;
};

TEST_F(VerifyNamed, WhatTheDiskCannotReadIsAFindingAndTheRestIsRead) {
  for (const std::string& key :
       {ChunkKey(chunks_[0].digest), BlobKey(big_), DirectoryKey(top_.digest()), RootKey("project")}) {
    const Verified verified = Verify(std::make_shared<BrokenBucket>(bucket_, key));
    EXPECT_EQ(verified.problems.size(), 1u) << key << '\n' << verified.Messages();
    EXPECT_THAT(verified.Messages(), AllOf(HasSubstr(key), HasSubstr("Input/output error")));
  }
}

TEST_F(VerifyNamed, StatCountsWhatIsThere) {
  ObjectDirectories directories(Env::System(), bucket_, {});
  ObjectRoots roots(bucket_);
  const auto stat = StatObjects(*bucket_, directories, roots, {.logical = true, .step = {}});
  ASSERT_TRUE(stat.has_value()) << stat.error().ToString();
  using pack::RecordKind;
  EXPECT_EQ(stat->Of(RecordKind::kChunk).records, chunks_.size() + 2);
  EXPECT_EQ(stat->Of(RecordKind::kChunk).raw, big_content_.size() + 5 + 10);
  EXPECT_EQ(stat->Of(RecordKind::kList).records, 3u);
  EXPECT_EQ(stat->Of(RecordKind::kDirectory).records, 2u);
  EXPECT_EQ(stat->Of(RecordKind::kDirectory).raw, top_.canonical().size() + deep_.canonical().size());
  EXPECT_EQ(stat->names, 1u);
  EXPECT_EQ(stat->logical_files, 2u);
  EXPECT_EQ(stat->logical_bytes, big_content_.size() + 5);
  EXPECT_EQ(stat->packs, 0u);
}

TEST(StatObjects, ChunksThatDoNotSayHowLongTheyAreAreRead) {
  STRATA_FIXTURE(expected, "tvix/store.json");
  const auto bucket = CopyOfTvixStore();
  ASSERT_NE(bucket, nullptr);
  ObjectDirectories directories(Env::System(), bucket, {});
  ObjectRoots roots(bucket);
  const auto stat = StatObjects(*bucket, directories, roots);
  ASSERT_TRUE(stat.has_value());
  std::uint64_t raw = 0, chunks = 0;
  for (const std::string& key : KeysOf(*bucket)) {
    if (!key.starts_with("chunks/")) continue;
    ++chunks;
    raw += ZstdDecompress(GetRaw(*bucket, key), 1 << 24).value().size();
  }
  EXPECT_EQ(stat->Of(pack::RecordKind::kChunk).records, chunks);
  EXPECT_EQ(stat->Of(pack::RecordKind::kChunk).raw, raw);
}

TEST(FolderBucketList, KeysComeInTheOrderOfTheirBytesAFolderAtATime) {
  TempFolder folder;
  const auto bucket = FolderBucket::Open(Env::System(), folder / "b", {.create = true}).value();
  const std::vector<std::string> keys = {"x/a-b", "x/a/b", "x/a/c/d", "x/a0", "x/b"};
  for (const std::string& key : {keys[3], keys[0], keys[4]}) {
    ASSERT_TRUE(bucket->PutIfAbsent(key, ObjectRank::kChunk, AsBytes("1")).has_value());
  }
  ASSERT_TRUE(bucket->Sync().has_value());
  // Staged, in between and at the end, and one over another.
  for (const std::string& key : {keys[2], keys[1], keys[0]}) {
    ASSERT_TRUE(bucket->Replace(key, ObjectRank::kChunk, AsBytes("2")).has_value());
  }
  ASSERT_TRUE(bucket->PutIfAbsent("x/z", ObjectRank::kChunk, AsBytes("2")).has_value());
  for (std::size_t most = 1; most <= 7; ++most) {
    std::vector<std::string> listed;
    ASSERT_TRUE(bucket
                    ->List({}, "x",
                           [&](std::string_view key) {
                             listed.emplace_back(key);
                             return listed.size() < most;
                           })
                    .has_value());
    std::vector<std::string> all = keys;
    all.emplace_back("x/z");
    all.resize(std::min(most, all.size()));
    EXPECT_EQ(listed, all);
  }
}

}  // namespace
}  // namespace strata::store
