// Syncs that fail: whoever is told that something is durable has it after the machine has stopped, in whichever of
// several processes the sync failed, and though the system goes on to read what it has dropped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "store/pack/collect.h"
#include "store/pack/verify.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {
namespace {

using ::testing::HasSubstr;

class PackSync : public ::testing::Test {
 protected:
  PackSync() {
    options_.threads = 1;
    Anew();
  }
  // Another folder, and another machine.
  void Anew() {
    env_ = std::make_unique<FaultEnv>();
    env_->SetFailedSyncsDrop(true);
    folder_ = std::make_unique<QuickFolder>();
    path_ = *folder_ / "s";
  }
  std::shared_ptr<PackStore> Open() { return MustOpen(*env_, path_, options_); }
  std::vector<std::string> Marks() const { return FilesOf(path_, ".unsynced"); }

  // Some blobs, one of several chunks, and a directory.
  Result<void> PutSome(PackStore& store, std::uint64_t seed) {
    for (const std::string& blob : BlobsOf(seed)) STRATA_TRY(store.blobs()->Put(AsBytes(blob)));
    STRATA_TRY(store.directories()->Put(TreeOf(seed)));
    return {};
  }
  static std::vector<std::string> BlobsOf(std::uint64_t seed) {
    return {Words(100, seed), Noise(700, seed), Noise(5000, seed)};
  }
  static Directory TreeOf(std::uint64_t seed) {
    std::vector<std::pair<std::string, Node>> entries;
    for (const std::string& blob : BlobsOf(seed)) {
      entries.emplace_back("f" + std::to_string(entries.size()), Node::OfFile(Digest::Of(AsBytes(blob)), blob.size()));
    }
    return DirectoryOf(entries);
  }
  void ExpectSome(PackStore& store, std::uint64_t seed) {
    for (const std::string& blob : BlobsOf(seed)) EXPECT_EQ(Get(store, Digest::Of(AsBytes(blob))), blob);
    const auto tree = store.directories()->Get({}, TreeOf(seed).digest());
    EXPECT_TRUE(tree && *tree);
  }
  static bool HasAll(PackStore& store, std::uint64_t seed) {
    return std::ranges::all_of(BlobsOf(seed), [&](const std::string& blob) {
      return store.blobs()->Has({}, Digest::Of(AsBytes(blob))).value();
    });
  }
  static void Flush(PackStore& store) {
    for (const PackClass each : {PackClass::kData, PackClass::kDirectories}) {
      EXPECT_OK(store.engine().appender(each).Flush());
    }
  }

  std::unique_ptr<FaultEnv> env_;
  std::unique_ptr<QuickFolder> folder_;
  std::string path_;
  PackStoreOptions options_ = SmallOptions();
};

TEST_F(PackSync, AfterAFailedSyncNothingIsPutOrPromisedAndReadingGoesOn) {
  for (const auto call : {FaultEnv::kSync, FaultEnv::kSyncDirectory}) {
    SCOPED_TRACE(call);
    Anew();
    const auto store = Open();
    const Digest before = MustPut(*store, "before");
    if (call == FaultEnv::kSync) ASSERT_OK(store->Sync());
    const Digest lost = MustPut(*store, "lost");
    ASSERT_OK(store->directories()->Put(DirectoryOf({{"f", Node::OfFile(lost, 4)}})));
    env_->FailAfter(call, 0, Errc::kIo);
    const auto synced = store->Sync();
    ASSERT_FALSE(synced);
    EXPECT_EQ(synced.error().code(), Errc::kIo);
    const std::string why = synced.error().ToString();
    EXPECT_THAT(why, HasSubstr(path_ + "/packs"));
    EXPECT_THAT(why, HasSubstr("open the store anew"));
    // The disk does all that it is asked for again.
    EXPECT_EQ(store->Sync().error().ToString(), why);
    EXPECT_EQ(store->blobs()->Put(AsBytes("more")).error().ToString(), why);
    EXPECT_EQ(store->blobs()->Put(AsBytes("before")).error().ToString(), why);
    EXPECT_EQ(store->blobs()->Create().error().ToString(), why);
    EXPECT_EQ(store->directories()->Put(Directory()).error().ToString(), why);
    EXPECT_EQ(store->roots()->Set("n", {}).error().ToString(), why);
    EXPECT_EQ(store->engine().PublishIndexes().error().ToString(), why);
    EXPECT_EQ(CollectGarbage(store->engine()).error().ToString(), why);
    EXPECT_FALSE(store->blobs()->Has({}, lost).value());
    EXPECT_FALSE(store->directories()->Get({}, DirectoryOf({{"f", Node::OfFile(lost, 4)}}).digest()).value());
    if (call == FaultEnv::kSync) {
      EXPECT_EQ(Get(*store, before), "before");
      EXPECT_TRUE(store->blobs()->Has({}, before).value());
    }
    EXPECT_FALSE(Marks().empty());
  }
}

TEST_F(PackSync, WhoeverOpensTheStoreAnewPutsItAgain) {
  auto failing = Open();
  ASSERT_OK(PutSome(*failing, 1));
  ASSERT_OK(failing->Sync());
  ASSERT_OK(PutSome(*failing, 2));
  env_->FailAfter(FaultEnv::kSync, 0, Errc::kIo);
  ASSERT_FALSE(failing->Sync());
  // While it is open, and so has its packs, and when it is not.
  auto other = Open();
  EXPECT_FALSE(HasAll(*other, 2));
  ASSERT_OK(PutSome(*other, 2));
  ASSERT_OK(other->Sync());
  EXPECT_EQ(Marks().size(), 1U);
  failing.reset();
  auto store = Open();
  ASSERT_OK(PutSome(*store, 2));
  ASSERT_OK(PutSome(*store, 3));
  ASSERT_OK(store->Sync());
  EXPECT_TRUE(Marks().empty()) << "the pack was taken over, and written anew";
  env_->PowerLoss();
  for (auto* old : {&store, &other}) old->reset();
  const auto after = Open();
  for (const std::uint64_t seed : {1, 2, 3}) ExpectSome(*after, seed);
}

TEST_F(PackSync, ACollectionWritesAnewWhatItPutsIntoAnIndex) {
  {
    const auto store = Open();
    ASSERT_OK(PutSome(*store, 1));
    env_->FailAfter(FaultEnv::kSync, 0, Errc::kIo);
    ASSERT_FALSE(store->Sync());
    // The pack is not theirs yet: no index promises anything of it.
    const auto other = Open();
    ASSERT_OK(other->engine().catalog().PublishTails());
    EXPECT_EQ(Marks().size(), 1U);
    EXPECT_FALSE(HasAll(*other, 1));
  }
  const auto other = Open();
  ASSERT_OK(other->engine().catalog().PublishTails());
  EXPECT_TRUE(Marks().empty());
  EXPECT_TRUE(HasAll(*other, 1));
  const std::string mark = path_ + "/packs/0123456789abcdef.unsynced";
  Spill(mark, "");
  ASSERT_OK(CollectGarbage(other->engine()));
  EXPECT_FALSE(std::filesystem::exists(mark)) << "its pack is gone";
  env_->PowerLoss();
  const auto after = Open();
  for (const std::string& blob : BlobsOf(1)) EXPECT_EQ(Get(*after, Digest::Of(AsBytes(blob))), blob);
}

// The system tells a file of a failure once: the sync that comes later would hear of nothing.
TEST_F(PackSync, AFailureToWriteBackEarlyEndsWritingToo) {
  options_.average_chunk = 256 << 10;
  options_.pack_bytes = 1 << 30;
  const auto store = Open();
  const Digest before = MustPut(*store, "before");
  ASSERT_OK(store->Sync());
  // The store writes back by itself as well.
  env_->FailAfter(FaultEnv::kSync, 0, Errc::kIo);
  bool all = true;
  for (std::uint64_t i = 0; all && i < 10; ++i) all = store->blobs()->Put(AsBytes(Noise(2 << 20, i))).has_value();
  if (all) {
    (void)store->engine().appender(PackClass::kData).Flush();
    (void)store->engine().appender(PackClass::kData).WriteBack();
  }
  const auto synced = store->Sync();
  ASSERT_FALSE(synced);
  EXPECT_THAT(synced.error().ToString(), HasSubstr("write back"));
  EXPECT_EQ(Get(*store, before), "before");
}

// Who made the pack had not synced its name.
TEST_F(PackSync, TheNameOfAPackThatIsTakenOverIsMadeDurable) {
  {
    const auto store = Open();
    ASSERT_OK(PutSome(*store, 1));
  }
  {
    const auto store = Open();
    ASSERT_OK(PutSome(*store, 2));
    EXPECT_EQ(FilesOf(path_, ".pack").size(), 2U);
    ASSERT_OK(store->Sync());
  }
  env_->PowerLoss();
  ExpectSome(*Open(), 2);
}

TEST_F(PackSync, WhoReliesOnWhatAnotherCouldNotSyncHearsOfIt) {
  const auto one = Open();
  ASSERT_OK(PutSome(*one, 1));
  Flush(*one);
  const auto other = Open();
  ASSERT_OK(PutSome(*other, 1));
  EXPECT_EQ(FilesOf(path_, ".pack").size(), 2U) << "it was found";
  env_->FailAfter(FaultEnv::kSync, 0, Errc::kIo);
  ASSERT_FALSE(one->Sync());
  const auto synced = other->Sync();
  ASSERT_FALSE(synced);
  EXPECT_THAT(synced.error().ToString(), HasSubstr("another process"));
  EXPECT_FALSE(other->Sync());
  EXPECT_FALSE(other->blobs()->Put(AsBytes("more")));
}

// However many syncs of several processes that put the same go well before one fails.
TEST_F(PackSync, WhereASyncFailsWhoeverIsToldThatSomethingIsDurableHasIt) {
  int failed = 0, promised = 0;
  for (const auto call : {FaultEnv::kSync, FaultEnv::kSyncDirectory}) {
    for (const bool ends : {false, true}) {
      for (int nth = 0; nth < 10; ++nth) {
        SCOPED_TRACE(testing::Message() << call << ", it " << (ends ? "ends" : "lives") << ", sync " << nth);
        Anew();
        std::map<std::uint64_t, bool> durable;
        {
          auto one = Open();
          ASSERT_OK(PutSome(*one, 1));
          ASSERT_OK(one->Sync());
          ASSERT_OK(PutSome(*one, 2));
          Flush(*one);
          const auto other = Open();
          ASSERT_OK(PutSome(*other, 2));
          env_->FailAfter(call, nth, Errc::kIo);
          const auto sync = [&](PackStore& store, std::initializer_list<std::uint64_t> seeds) {
            Result<void> done;
            for (const std::uint64_t seed : seeds) {
              if (done) done = PutSome(store, seed);
            }
            if (done) done = store.Sync();
            for (const std::uint64_t seed : seeds) durable[seed] = durable[seed] || done.has_value();
            failed += done ? 0 : 1;
          };
          sync(*one, {2, 3});
          if (ends) one.reset();
          sync(*other, {2, 4});
          sync(*Open(), {2, 3, 5});
          const auto indexing = Open();
          (void)indexing->engine().catalog().PublishTails();
          sync(*indexing, {2, 3, 4, 5, 6});
        }
        env_->PowerLoss();
        const auto after = Open();
        ExpectSome(*after, 1);
        for (const auto& [seed, there] : durable) {
          promised += there ? 1 : 0;
          if (there) ExpectSome(*after, seed);
        }
        // And all can be put.
        for (std::uint64_t seed = 1; seed < 7; ++seed) ASSERT_OK(PutSome(*after, seed));
        ASSERT_OK(after->Sync());
        for (std::uint64_t seed = 1; seed < 7; ++seed) ExpectSome(*after, seed);
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GT(failed, 20);
  EXPECT_GT(promised, 100);
}

}  // namespace
}  // namespace strata::store::pack
