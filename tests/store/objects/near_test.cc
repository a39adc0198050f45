// Near stores before far ones: of blobs, directories and names.
#include "store/blobs/near.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/blobs/memory.h"
#include "store/castore/combined_roots.h"
#include "store/castore/memory_directories.h"
#include "store/castore/near_directories.h"
#include "store/castore/simple_roots.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/object_blobs.h"
#include "store/objects/object_directories.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/fixtures.h"
#include "tests/store/objects/objects_testing.h"

namespace strata::store {
namespace {

using ::testing::ElementsAre;

// Another service, and how often blobs were opened that it had.
class CountingBlobs final : public BlobService {
 public:
  explicit CountingBlobs(std::shared_ptr<BlobService> blobs) : blobs_(std::move(blobs)) {}
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override { return blobs_->Has(waiting, digest); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    auto reader = blobs_->Open(waiting, digest);
    if (reader && *reader) ++opens;
    return reader;
  }
  Result<std::unique_ptr<BlobWriter>> Create() override { return blobs_->Create(); }
  Result<std::optional<ChunkList>> Chunks(const Waiting& waiting, const Digest& digest) override {
    return blobs_->Chunks(waiting, digest);
  }
  std::string Describe() const override { return "counting"; }

  std::atomic<int> opens = 0;

 private:
  const std::shared_ptr<BlobService> blobs_;
};

std::vector<std::byte> WholeOf(BlobService& blobs, const Digest& digest) {
  const auto reader = blobs.Open({}, digest);
  EXPECT_TRUE(reader.has_value() && *reader) << (reader ? "none" : reader.error().ToString());
  if (!reader || !*reader) return {};
  std::vector<std::byte> bytes((*reader)->size());
  EXPECT_EQ((*reader)->ReadAt({}, 0, bytes).value(), bytes.size());
  return bytes;
}

class NearBlobsTest : public ::testing::Test {
 protected:
  std::shared_ptr<ObjectBlobs> objects_ =
      ObjectBlobs::Make(std::make_shared<MemoryBucket>(), ChunkSizes::OfAverage(4096)).value();
  std::shared_ptr<CountingBlobs> far_ = std::make_shared<CountingBlobs>(objects_);
  std::shared_ptr<MemoryBlobService> near_ = std::make_shared<MemoryBlobService>();
  std::shared_ptr<NearBlobs> blobs_ = NearBlobs::Make(near_, far_);
  std::vector<std::byte> content_ = MakeInput("noise", 50'000, 1);
  Digest digest_ = objects_->Put(content_).value();
};

TEST_F(NearBlobsTest, WhatWasReadOnceIsNear) {
  EXPECT_EQ(WholeOf(*blobs_, digest_), content_);
  const int chunks = static_cast<int>(objects_->Chunks({}, digest_).value()->size());
  EXPECT_EQ(far_->opens, chunks);
  EXPECT_EQ(WholeOf(*blobs_, digest_), content_);
  EXPECT_EQ(far_->opens, chunks);
  const ChunkList list = objects_->Chunks({}, digest_).value().value();
  for (const ChunkMeta& chunk : list) EXPECT_TRUE(near_->Has({}, chunk.digest).value());
}

TEST_F(NearBlobsTest, OnlyTheChunksThatAreReadAreTaken) {
  const auto reader = blobs_->Open({}, digest_).value();
  std::byte byte[1];
  ASSERT_TRUE(reader->ReadAt({}, 30'000, byte).has_value());
  EXPECT_EQ(byte[0], content_[30'000]);
  EXPECT_EQ(far_->opens, 1);
}

TEST_F(NearBlobsTest, ManyWhoWantTheSameWaitForOneRead) {
  const Digest small = objects_->Put(AsBytes("small")).value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(AsText(WholeOf(*blobs_, small)), "small"); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(far_->opens, 1);
}

TEST_F(NearBlobsTest, ANearStoreThatIsFullDoesNotHideTheBlob) {
  const auto blobs = NearBlobs::Make(std::make_shared<MemoryBlobService>(1), far_);
  EXPECT_EQ(WholeOf(*blobs, digest_), content_);
}

TEST_F(NearBlobsTest, WhatIsPutGoesToTheFarStore) {
  const Digest digest = blobs_->Put(AsBytes("put")).value();
  EXPECT_TRUE(objects_->Has({}, digest).value());
  EXPECT_FALSE(near_->Has({}, digest).value());
  EXPECT_EQ(blobs_->Open({}, Digest::Of(AsBytes("none"))).value(), nullptr);
  EXPECT_FALSE(blobs_->Has({}, Digest::Of(AsBytes("none"))).value());
  EXPECT_EQ(blobs_->Chunks({}, Digest::Of(AsBytes("none"))).value(), std::nullopt);
}

void PutAll(DirectoryService& service, const std::vector<Directory>& leaves_first) {
  const auto putter = service.PutMany().value();
  for (const Directory& directory : leaves_first) ASSERT_TRUE(putter->Put(directory).has_value());
  ASSERT_TRUE(putter->Close().has_value());
}

TEST(NearDirectories, AsACacheTheNearOneTakesTheTree) {
  const auto near = std::make_shared<MemoryDirectoryService>(), far = std::make_shared<MemoryDirectoryService>();
  PutAll(*far, {DirectoryA(), DirectoryB(), DirectoryD()});
  const auto both = PutBefore(near, far, NearRole::kCache);
  EXPECT_EQ(both->Get({}, DirectoryD().digest()).value(), DirectoryD());
  for (const Directory& directory : {DirectoryA(), DirectoryB(), DirectoryD()}) {
    EXPECT_EQ(near->Get({}, directory.digest()).value(), directory);
  }
  EXPECT_EQ(both->Get({}, WithKeep().digest()).value(), std::nullopt);
  PutAll(*both, {WithKeep()});
  EXPECT_EQ(near->Get({}, WithKeep().digest()).value(), std::nullopt);
  EXPECT_EQ(far->Get({}, WithKeep().digest()).value(), WithKeep());
}

TEST(NearDirectories, AsACacheOfAnObjectStoreItTakesTheClosureAsItIsRead) {
  const auto near = std::make_shared<MemoryDirectoryService>();
  const auto far = std::make_shared<ObjectDirectories>(Env::System(), std::make_shared<MemoryBucket>(), SpillOptions());
  PutAll(*far, {DirectoryA(), DirectoryB(), DirectoryD()});
  const auto both = PutBefore(near, far, NearRole::kCache);
  EXPECT_EQ(Recursive(*both, DirectoryD().digest())->size(), 3u);
  EXPECT_EQ(near->Get({}, DirectoryA().digest()).value(), DirectoryA());
}

TEST(NearDirectories, ANearOneThatRefusesIsPassedOver) {
  const auto far = std::make_shared<MemoryDirectoryService>();
  PutAll(*far, {DirectoryA(), DirectoryB(), DirectoryD()});
  const auto both = PutBefore(std::make_shared<MemoryDirectoryService>(1), far, NearRole::kCache);
  EXPECT_EQ(Recursive(*both, DirectoryD().digest())->size(), 3u);
}

TEST(NearDirectories, CA32_CombinedNothingIsCopiedAndWhatIsPutGoesNear) {
  const auto near = std::make_shared<MemoryDirectoryService>(), far = std::make_shared<MemoryDirectoryService>();
  PutAll(*far, {DirectoryA(), DirectoryB()});
  const auto both = PutBefore(near, far, NearRole::kCombined);
  EXPECT_EQ(Recursive(*both, DirectoryB().digest())->size(), 2u);
  EXPECT_EQ(near->Get({}, DirectoryB().digest()).value(), std::nullopt);
  PutAll(*both, {WithKeep()});
  EXPECT_EQ(near->Get({}, WithKeep().digest()).value(), WithKeep());
  EXPECT_EQ(far->Get({}, WithKeep().digest()).value(), std::nullopt);
}

Root RootTo(const Directory& directory) { return {NodeTo(directory), std::nullopt, Time{1}}; }

std::vector<std::string> NamesIn(RootNodes& roots, std::size_t most = 100) {
  std::vector<std::string> names;
  EXPECT_TRUE(roots
                  .List({},
                        [&](std::string_view name, const Root&) {
                          names.emplace_back(name);
                          return names.size() < most;
                        })
                  .has_value());
  return names;
}

TEST(CombinedRoots, ANameIsWhatTheNearOneSaysOfIt) {
  const auto near = std::make_shared<MemoryRootNodes>(), far = std::make_shared<MemoryRootNodes>();
  for (const char* name : {"b", "d"}) ASSERT_TRUE(near->Set(name, RootTo(DirectoryB())).has_value());
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(far->Set(name, RootTo(DirectoryA())).has_value());
  CombinedRoots both(near, far);
  EXPECT_THAT(NamesIn(both), ElementsAre("a", "b", "c", "d"));
  for (std::size_t most = 1; most <= 4; ++most) EXPECT_EQ(NamesIn(both, most).size(), most);
  EXPECT_EQ(both.Get({}, "b").value(), RootTo(DirectoryB()));
  EXPECT_EQ(both.Get({}, "a").value(), RootTo(DirectoryA()));
  EXPECT_EQ(both.Get({}, "e").value(), std::nullopt);
  ASSERT_TRUE(both.Set("a", RootTo(DirectoryB())).has_value());
  EXPECT_EQ(far->Get({}, "a").value(), RootTo(DirectoryA()));
  EXPECT_EQ(both.Get({}, "a").value(), RootTo(DirectoryB()));
  ASSERT_TRUE(both.Remove("b").has_value());
  EXPECT_EQ(both.Get({}, "b").value(), RootTo(DirectoryA()));
}

TEST(NoRoots, HasNoNamesAndTakesNone) {
  NoRoots roots("composition:/x.json#y");
  EXPECT_EQ(roots.Get({}, "a").value(), std::nullopt);
  EXPECT_TRUE(NamesIn(roots).empty());
  const auto refused = roots.Set("a", RootTo(DirectoryA()));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Errc::kReadOnly);
  EXPECT_THAT(refused.error().ToString(), testing::HasSubstr("composition:/x.json#y"));
}

}  // namespace
}  // namespace strata::store
