// A near store with a bound before a far one.
#include "store/pack/near_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "store/castore/memory_directories.h"
#include "store/castore/near_directories.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/object_directories.h"
#include "store/open.h"
#include "tests/store/blobs/blob_service_contract.h"
#include "tests/store/castore/castore_testing.h"
#include "tests/store/castore/directory_service_contract.h"
#include "tests/store/pack/near_testing.h"

namespace strata::store::pack {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kBound = 8 << 20, kPackOfBound = kBound / 32;
constexpr std::size_t kBlob = 32 << 10;
constexpr std::size_t kBlobsInBound = kBound / kBlob;

class NearCacheTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_ / "near"; }
  std::shared_ptr<NearCache> OpenIt(Env& env = Env::System()) { return MustOpenNear(env, path(), kBound); }
  std::shared_ptr<NearBlobs> Before(NearCache& cache) { return NearBlobs::Make(cache.blobs(), far_); }
  Digest PutFar(std::uint64_t seed) { return far_->Put(AsBytes(Noise(kBlob, seed))).value(); }
  void ExpectReads(BlobService& blobs, std::uint64_t seed) {
    const std::string content = Noise(kBlob, seed);
    ASSERT_TRUE(ReadWhole(blobs, Digest::Of(AsBytes(content))) == content) << "blob " << seed;
  }

  const QuickFolder folder_;
  const std::shared_ptr<CountedFar> far_ = std::make_shared<CountedFar>();
};

TEST_F(NearCacheTest, TheBoundIsKeptToAPackWhileTenTimesAsMuchIsRead) {
  const auto cache = OpenIt();
  const auto blobs = Before(*cache);
  std::uint64_t most = 0;
  for (std::uint64_t i = 0; i < 10 * kBlobsInBound; ++i) {
    PutFar(i);
    ASSERT_NO_FATAL_FAILURE(ExpectReads(*blobs, i));
    most = std::max(most, BytesOfPacks(path()));
  }
  EXPECT_LE(most, kBound + kPackOfBound);
  EXPECT_GE(most, kBound / 2) << "it keeps less than it may";
  ASSERT_OK(cache->Tidy());
  EXPECT_LE(BytesOfPacks(path()), kBound);
  // It still takes what comes.
  const int opens = far_->opens();
  PutFar(1'000'000);
  ExpectReads(*blobs, 1'000'000);
  ExpectReads(*blobs, 1'000'000);
  EXPECT_EQ(far_->opens(), opens + 1);
}

TEST_F(NearCacheTest, WhatWasReadOnceIsNearAlsoAfterItIsOpenedAnew) {
  constexpr std::uint64_t kBlobs = kBlobsInBound / 2;
  {
    const auto cache = OpenIt();
    const auto blobs = Before(*cache);
    for (std::uint64_t i = 0; i < kBlobs; ++i) PutFar(i);
    for (int round = 0; round < 2; ++round) {
      for (std::uint64_t i = 0; i < kBlobs; ++i) ExpectReads(*blobs, i);
    }
    EXPECT_EQ(far_->opens(), static_cast<int>(kBlobs));
  }
  const auto cache = OpenIt();
  const auto blobs = Before(*cache);
  for (std::uint64_t i = 0; i < kBlobs; ++i) ExpectReads(*blobs, i);
  EXPECT_EQ(far_->opens(), static_cast<int>(kBlobs));
}

TEST_F(NearCacheTest, WhatWasDroppedComesFromFarAgainAndWhatIsInUseStays) {
  const auto cache = OpenIt();
  const auto blobs = Before(*cache);
  const Digest used = PutFar(0), unused = PutFar(1);
  ExpectReads(*blobs, 0);
  ExpectReads(*blobs, 1);
  for (std::uint64_t i = 2; i < 4 * kBlobsInBound; ++i) {
    PutFar(i);
    ExpectReads(*blobs, i);
    if (i % 4 != 0) continue;
    ASSERT_OK(cache->Tidy());
    ExpectReads(*blobs, 0);
  }
  EXPECT_EQ(far_->OpensOf(used), 1);
  EXPECT_FALSE(cache->blobs()->Has({}, unused).value());
  ExpectReads(*blobs, 1);
  EXPECT_EQ(far_->OpensOf(unused), 2);
}

TEST_F(NearCacheTest, AnOpenReaderReadsOnWhenWhatItReadsIsDropped) {
  const auto cache = OpenIt();
  const auto blobs = Before(*cache);
  const Digest digest = PutFar(0);
  ExpectReads(*blobs, 0);
  const auto reader = blobs->Open({}, digest).value();
  ASSERT_NE(reader, nullptr);
  for (std::uint64_t i = 1; i < 3 * kBlobsInBound; ++i) {
    PutFar(i);
    ExpectReads(*blobs, i);
    if (i % 4 == 0) ASSERT_OK(cache->Tidy());
  }
  ASSERT_FALSE(cache->blobs()->Has({}, digest).value());
  EXPECT_TRUE(ReadAll(*reader).value() == Noise(kBlob, 0));
  EXPECT_EQ(far_->OpensOf(digest), 2);
}

TEST_F(NearCacheTest, ReadingWaitsForNoSync) {
  FaultEnv env;
  const auto cache = OpenIt(env);
  const auto blobs = Before(*cache);
  const int syncs = env.Count(FaultEnv::kSync) + env.Count(FaultEnv::kSyncDirectory);
  for (std::uint64_t i = 0; i < kPackOfBound / kBlob / 2; ++i) {
    PutFar(i);
    ExpectReads(*blobs, i);
  }
  EXPECT_EQ(env.Count(FaultEnv::kSync) + env.Count(FaultEnv::kSyncDirectory), syncs);
}

TEST_F(NearCacheTest, SyncsThatWaitHoldUpNobodyWhoReads) {
  FaultEnv env;
  const auto cache = OpenIt(env);
  Mutex mutex;
  CondVar changed;
  bool held = true, waits = false;
  env.OnSync([&] {
    const MutexLock lock(mutex);
    waits = true;
    changed.NotifyAll();
    while (held) changed.Wait(mutex);
  });
  const auto blobs = Before(*cache);
  for (std::uint64_t i = 0; i < 2 * kBlobsInBound; ++i) {
    PutFar(i);
    ASSERT_NO_FATAL_FAILURE(ExpectReads(*blobs, i));
    ASSERT_LE(BytesOfPacks(path()), kBound + kPackOfBound);
  }
  {
    // The keeper came to a sync, and has been there since.
    const MutexLock lock(mutex);
    while (!waits) changed.Wait(mutex);
    held = false;
    changed.NotifyAll();
  }
  ASSERT_OK(cache->Tidy());
  EXPECT_LE(BytesOfPacks(path()), kBound);
}

std::size_t OpenFilesThatAreGone(const std::string& folder) {
  std::size_t gone = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed;
    const std::string target = std::filesystem::read_symlink(entry.path(), closed).string();
    if (!closed && target.starts_with(folder) && target.ends_with(".pack (deleted)")) ++gone;
  }
  return gone;
}

TEST_F(NearCacheTest, TwoUseOneStoreAndLetGoOfWhatTheOtherDropped) {
  const auto one = OpenIt(), other = OpenIt();
  const auto by_one = Before(*one), by_other = Before(*other);
  PutFar(0);
  ExpectReads(*by_one, 0);
  ExpectReads(*by_other, 0);
  EXPECT_EQ(far_->opens(), 1) << "what the one has put the other finds";
  for (std::uint64_t i = 1; i < 4 * kBlobsInBound; ++i) {
    PutFar(i);
    ASSERT_NO_FATAL_FAILURE(ExpectReads(i % 2 == 0 ? *by_one : *by_other, i));
    ASSERT_NO_FATAL_FAILURE(ExpectReads(i % 2 == 0 ? *by_other : *by_one, i));
    ASSERT_LE(BytesOfPacks(path()), kBound + 2 * kPackOfBound);
    if (i % 4 != 0) continue;
    ASSERT_OK(one->Tidy());
    ASSERT_OK(other->Tidy());
  }
  // Each lets go the next time of what the other dropped meanwhile, until nobody has anything to drop.
  for (int turn = 0; turn < 2 || (turn < 10 && OpenFilesThatAreGone(path()) > 0); ++turn) {
    ASSERT_OK(one->Tidy());
    ASSERT_OK(other->Tidy());
  }
  EXPECT_LE(BytesOfPacks(path()), kBound + kPackOfBound);
  EXPECT_EQ(OpenFilesThatAreGone(path()), 0u);
  for (std::uint64_t i = 0; i < 4 * kBlobsInBound; i += 100) ExpectReads(*by_one, i);
}

TEST_F(NearCacheTest, APackThatOthersMadeAndRemovedSinceTheLastLookIsLetGo) {
  const auto one = OpenIt(), other = OpenIt();
  const auto by_one = Before(*one), by_other = Before(*other);
  ASSERT_OK(one->Tidy());
  const Digest first = PutFar(0);
  ExpectReads(*by_other, 0);
  ASSERT_OK(other->Tidy());
  ExpectReads(*by_one, 0);  // it has the pack open now
  EXPECT_EQ(far_->opens(), 1);
  for (std::uint64_t i = 1; i < 4 * kBlobsInBound; ++i) {
    PutFar(i);
    ASSERT_NO_FATAL_FAILURE(ExpectReads(*by_other, i));
    if (i % 4 == 0) ASSERT_OK(other->Tidy());
  }
  ASSERT_FALSE(other->blobs()->Has({}, first).value());
  ASSERT_OK(one->Tidy());
  ASSERT_OK(other->Tidy());
  EXPECT_EQ(OpenFilesThatAreGone(path()), 0u);
}

TEST_F(NearCacheTest, ManyThreadsReadAtOnceWhatDoesNotFit) {
  const auto cache = OpenIt();
  const auto blobs = Before(*cache);
  for (std::uint64_t i = 0; i < 2 * kBlobsInBound; ++i) PutFar(i);
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < 2 * kBlobsInBound; ++i) {
        ExpectReads(*blobs, (i * 7 + thread * 13) % (2 * kBlobsInBound));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_OK(cache->Tidy());
  EXPECT_LE(BytesOfPacks(path()), kBound);
}

TEST_F(NearCacheTest, AFullDiskHidesNothing) {
  FaultEnv env;
  const auto cache = OpenIt(env);
  const auto blobs = Before(*cache);
  env.FailAfter(FaultEnv::kWrite, 0, Errc::kNoSpace, true);
  for (std::uint64_t i = 0; i < kBlobsInBound; ++i) {
    PutFar(i);
    ASSERT_NO_FATAL_FAILURE(ExpectReads(*blobs, i));
    ASSERT_NO_FATAL_FAILURE(ExpectReads(*blobs, i));
  }
  // There is room again, and it takes what comes.
  env.FailAfter(FaultEnv::kWrite, 1 << 30, Errc::kNoSpace);
  (void)cache->Tidy();
  ASSERT_OK(cache->Tidy());
  const Digest later = PutFar(1'000'000);
  ExpectReads(*blobs, 1'000'000);
  ExpectReads(*blobs, 1'000'000);
  EXPECT_EQ(far_->OpensOf(later), 1);
}

TEST_F(NearCacheTest, DamageHidesNothingAndIsMended) {
  constexpr std::uint64_t kBlobs = 20;
  {
    const auto cache = OpenIt();
    const auto blobs = Before(*cache);
    for (std::uint64_t i = 0; i < kBlobs; ++i) PutFar(i);
    for (std::uint64_t i = 0; i < kBlobs; ++i) ExpectReads(*blobs, i);
  }
  {
    // So that its records are known by an index, whatever becomes of their bytes.
    const auto store = MustOpen(Env::System(), path());
    ASSERT_OK(store->engine().catalog().PublishTails());
  }
  std::size_t damaged = 0;
  for (const std::string& file : FilesOf(path(), ".pack")) {
    std::string content = Slurp(file);
    for (std::size_t at = 5000; at < content.size(); at += 2 * kBlob) {
      content[at] = static_cast<char>(content[at] ^ 1);
      ++damaged;
    }
    Spill(file, content);
  }
  ASSERT_GE(damaged, 5u);
  const auto cache = OpenIt();
  const auto blobs = Before(*cache);
  for (std::uint64_t i = 0; i < kBlobs; ++i) ASSERT_NO_FATAL_FAILURE(ExpectReads(*blobs, i));
  EXPECT_EQ(far_->opens(), static_cast<int>(kBlobs + damaged));
  for (std::uint64_t i = 0; i < kBlobs; ++i) ASSERT_NO_FATAL_FAILURE(ExpectReads(*blobs, i));
  EXPECT_EQ(far_->opens(), static_cast<int>(kBlobs + damaged)) << "what was damaged was not put anew";
}

TEST_F(NearCacheTest, AStoreThatWasNotMadeForItIsLeftAlone) {
  const auto store = MustOpen(Env::System(), path());
  MustPut(*store, "to stay");
  ASSERT_OK(store->Sync());
  const auto refused = NearCache::Open(Env::System(), path(), {.bytes = kBound});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kNotEmpty);
  EXPECT_THAT(refused.error().ToString(), HasSubstr("not made to be a near one"));
  EXPECT_EQ(Get(*store, Digest::Of(AsBytes("to stay"))), "to stay");
}

TEST_F(NearCacheTest, NobodyPutsIntoItWhatIsToStay) {
  OpenIt();
  const std::string address = "pack:" + path();
  const auto refused = OpenStore(Env::System(), address, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().ToString(), HasSubstr("is a near store"));
  EXPECT_TRUE(OpenStore(Env::System(), address, {.read_only = true}));
  const auto small = OpenStore(Env::System(), address, {.near_bytes = kLeastNearBytes - 1});
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code(), Errc::kInvalid);
  const auto wrong = OpenStore(Env::System(), "memory://", {.near_bytes = kBound});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().ToString(), HasSubstr("only a pack store"));
}

TEST_F(NearCacheTest, AStoreIsPutBeforeAnother) {
  const Store near = OpenStore(Env::System(), "pack:" + path(), {.near_bytes = kBound}).value();
  const Store far = OpenStore(Env::System(), "memory://", {}).value();
  const Store both = PutNear(near, far);
  const Digest digest = both.blobs->Put(AsBytes("content")).value();
  EXPECT_TRUE(far.blobs->Has({}, digest).value());
  EXPECT_FALSE(near.blobs->Has({}, digest).value());
  EXPECT_EQ(ReadWhole(*both.blobs, digest), "content");
  EXPECT_TRUE(near.blobs->Has({}, digest).value());
  EXPECT_EQ(both.roots, far.roots);
}

// Directories of their own names, some hundred bytes each, that do not compress.
Directory SomeDirectory(std::uint64_t seed) {
  std::vector<std::pair<std::string, Node>> entries;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const std::string name = std::to_string(100 + i);
    entries.emplace_back(name, Node::OfFile(Digest::Of(AsBytes(Noise(64, seed * 100 + i))), 64));
  }
  return DirectoryOf(entries);
}

TEST_F(NearCacheTest, DirectoriesTakeHalfAndAreDroppedByWhoOpensItAlone) {
  constexpr std::uint64_t kLeast = kLeastNearBytes;
  std::uint64_t taken = 0;
  {
    const auto cache = MustOpenNear(Env::System(), path(), kLeast);
    for (; taken < 10'000; ++taken) {
      const auto put = cache->directories()->Put(SomeDirectory(taken));
      if (taken % 16 == 0) ASSERT_OK(cache->Tidy());
      if (put) continue;
      EXPECT_EQ(put.error().code(), Errc::kNoSpace);
      break;
    }
    ASSERT_GT(taken, 100u);
    ASSERT_LT(taken, 10'000u);
    EXPECT_LE(BytesOfPacks(path()), kLeast / 2 + kLeast / 8);
    // Chunks do not drive them out, and one who opens it too leaves them.
    const auto blobs = NearBlobs::Make(cache->blobs(), far_);
    for (std::uint64_t i = 0; i < 4 * kLeast / kBlob; ++i) {
      PutFar(i);
      ExpectReads(*blobs, i);
      ASSERT_OK(cache->Tidy());
    }
    const auto other = MustOpenNear(Env::System(), path(), kLeast / 4 * 4);
    for (std::uint64_t i = 0; i < taken; ++i) {
      ASSERT_EQ(other->directories()->Get({}, SomeDirectory(i).digest()).value(), SomeDirectory(i)) << i;
    }
  }
  {
    // Alone, and within half: they stay.
    const auto cache = MustOpenNear(Env::System(), path(), 2 * kLeast);
    EXPECT_EQ(cache->directories()->Get({}, SomeDirectory(0).digest()).value(), SomeDirectory(0));
    for (std::uint64_t i = taken; i < taken + 400; ++i) ASSERT_OK(cache->directories()->Put(SomeDirectory(i)));
  }
  const auto cache = MustOpenNear(Env::System(), path(), kLeast);
  EXPECT_EQ(cache->directories()->Get({}, SomeDirectory(0).digest()).value(), std::nullopt);
  EXPECT_OK(cache->directories()->Put(SomeDirectory(0)));
  EXPECT_EQ(cache->directories()->Get({}, SomeDirectory(0).digest()).value(), SomeDirectory(0));
}

TEST_F(NearCacheTest, ATreeOfAnObjectStoreIsWholeWhateverTheNearStoreHasLost) {
  const auto bucket = std::make_shared<MemoryBucket>();
  {
    ObjectDirectories far(Env::System(), bucket, SpillOptions());
    const auto putter = far.PutMany().value();
    for (const Directory& directory : {DirectoryA(), DirectoryB(), DirectoryD()}) ASSERT_OK(putter->Put(directory));
    ASSERT_OK(putter->Close());
  }
  for (const bool removed : {true, false}) {
    SCOPED_TRACE(removed ? "removed" : "damaged");
    std::filesystem::remove_all(path());
    const auto cache = OpenIt();
    const auto both =
        PutBefore(cache->directories(), std::make_shared<ObjectDirectories>(Env::System(), bucket, SpillOptions()),
                  NearRole::kCache);
    ASSERT_EQ(both->Get({}, DirectoryD().digest()).value(), DirectoryD());
    ASSERT_EQ(cache->directories()->Get({}, DirectoryB().digest()).value(), DirectoryB());
    ASSERT_OK(cache->Tidy());
    for (const std::string& file : FilesOf(path(), ".pack")) {
      if (removed) {
        std::filesystem::remove(file);
        continue;
      }
      // From behind the header on, so that no record of it checks.
      std::string content = Slurp(file);
      for (std::size_t at = 64; at < content.size(); ++at) content[at] = static_cast<char>(content[at] ^ 1);
      Spill(file, content);
    }
    EXPECT_EQ(both->Get({}, DirectoryB().digest()).value(), DirectoryB());
    EXPECT_EQ(both->Get({}, DirectoryA().digest()).value(), DirectoryA());
  }
}

// A near store of directories of which each call fails.
class FailingDirectories final : public DirectoryService {
 public:
  Result<std::optional<Directory>> Get(const Waiting&, const Digest&) override { return Fail(Errc::kIo, "broken"); }
  Result<Digest> Put(const Directory&) override { return Fail(Errc::kIo, "broken"); }
  Result<void> Sync() override { return Fail(Errc::kIo, "broken"); }
  std::string Describe() const override { return "broken"; }
};

TEST(FailingNear, DirectoriesComeFromFar) {
  const auto far = std::make_shared<MemoryDirectoryService>();
  ASSERT_OK(far->Put(DirectoryA()));
  const auto both = PutBefore(std::make_shared<FailingDirectories>(), far, NearRole::kCache);
  EXPECT_EQ(both->Get({}, DirectoryA().digest()).value(), DirectoryA());
  EXPECT_EQ(both->Get({}, DirectoryB().digest()).value(), std::nullopt);
  EXPECT_OK(both->Sync());
  // Where the near one has its own, its failures are failures.
  const auto combined = PutBefore(std::make_shared<FailingDirectories>(), far, NearRole::kCombined);
  EXPECT_FALSE(combined->Get({}, DirectoryA().digest()));
}

class FailingBlobs final : public BlobService {
 public:
  Result<bool> Has(const Waiting&, const Digest&) override { return Fail(Errc::kIo, "broken"); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting&, const Digest&) override { return Fail(Errc::kIo, "broken"); }
  Result<Digest> Put(ByteSpan) override { return Fail(Errc::kIo, "broken"); }
  Result<void> Sync() override { return Fail(Errc::kIo, "broken"); }
  std::string Describe() const override { return "broken"; }
};

TEST(FailingNear, BlobsComeFromFar) {
  const auto far = std::make_shared<MemoryBlobService>();
  const auto both = NearBlobs::Make(std::make_shared<FailingBlobs>(), far);
  const Digest digest = far->Put(AsBytes("content")).value();
  EXPECT_EQ(ReadWhole(*both, digest), "content");
  EXPECT_TRUE(both->Has({}, digest).value());
  EXPECT_TRUE(both->Chunks({}, digest).value().has_value());
  EXPECT_EQ(ReadWhole(*both, Digest::Of(AsBytes("none"))), "(none)");
  EXPECT_OK(both->Sync());
}

struct NearGround {
  QuickFolder folder;
  std::shared_ptr<NearCache> cache = MustOpenNear(Env::System(), folder / "near", 64 << 20);
};

INSTANTIATE_TEST_SUITE_P(BoundedNear, BlobServiceContract,
                         ::testing::Values(BlobServiceMaker{
                             "BeforeMemory",
                             [] {
                               const auto ground = std::make_shared<NearGround>();
                               return MadeBlobService{
                                   ground,
                                   NearBlobs::Make(ground->cache->blobs(), std::make_shared<MemoryBlobService>()),
                                   {}};
                             }}),
                         BlobServiceMaker::Name);

INSTANTIATE_TEST_SUITE_P(BoundedNear, DirectoryServiceContract,
                         ::testing::Values(DirectoryServiceMaker{
                             "BeforeMemory",
                             [] {
                               const auto ground = std::make_shared<NearGround>();
                               return MadeDirectoryService{
                                   ground,
                                   PutBefore(ground->cache->directories(), std::make_shared<MemoryDirectoryService>(),
                                             NearRole::kCache),
                                   {}};
                             }}),
                         DirectoryServiceMaker::Name);

}  // namespace
}  // namespace strata::store::pack
