// Garbage collection: what goes, what stays, and who may be at work meanwhile.
#include "store/pack/collect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "store/leases.h"
#include "store/pack/list_record.h"
#include "store/pack/stat.h"
#include "store/pack/verify.h"
#include "tests/store/pack/collect_testing.h"

namespace strata::store::pack {
namespace {

using ::testing::HasSubstr;

TEST_F(PackCollect, WhatNoNameReachesGoesAfterAnHourAndTheRestStays) {
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 10; ++seed) Name(*store, "n" + std::to_string(seed), Tree(*store, seed));
    for (std::uint64_t seed = 0; seed < 10; seed += 2) EXPECT_OK(store->roots()->Remove("n" + std::to_string(seed)));
  }
  const std::uint64_t before = Bytes();
  {
    const auto store = Open();
    const CollectReport young = MustCollect(*store);
    EXPECT_EQ(young.removed_packs + young.rewritten_packs, 0U);
    EXPECT_GT(young.young_bytes, 20000U);
    EXPECT_EQ(young.names, 5U);
  }
  EXPECT_EQ(Bytes(), before);
  Pass(2 * kHour);
  const auto store = Open();
  CollectOptions dry;
  dry.dry_run = true;
  const CollectReport planned = MustCollect(*store, dry);
  EXPECT_EQ(Bytes(), before);
  EXPECT_GT(planned.freed_bytes, 20000U);
  EXPECT_EQ(planned.live_bytes + planned.dead_bytes, before - 64 * FilesOf(path_, ".pack").size());
  const CollectReport done = MustCollect(*store);
  EXPECT_GE(done.freed_bytes, planned.freed_bytes);
  EXPECT_EQ(done.rewritten_packs + done.removed_packs, planned.rewritten_packs + planned.removed_packs);
  EXPECT_LT(Bytes(), before - 20000);
  for (std::uint64_t seed = 0; seed < 10; ++seed) ExpectTree(*store, seed, seed % 2 == 1);
  const auto verified = VerifyStore(store->engine());
  ASSERT_OK(verified);
  EXPECT_EQ(verified->problems, 0U);
  // There is nothing more to do.
  Pass(2 * kHour);
  const CollectReport again = MustCollect(*store);
  EXPECT_EQ(again.dead_records, 0U);
  // And another process sees the same.
  const auto other = Open();
  for (std::uint64_t seed = 0; seed < 10; ++seed) ExpectTree(*other, seed, seed % 2 == 1);
}

TEST_F(PackCollect, AStoreWithoutNamesBecomesEmpty) {
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 5; ++seed) Tree(*store, seed);
  }
  Pass(2 * kHour);
  {
    const auto store = Open();
    MustCollect(*store);
    ExpectTree(*store, 1, false);
    EXPECT_EQ(StatStore(store->engine())->UniqueBytes(), 0U);
  }
  EXPECT_TRUE(FilesOf(path_, ".pack").empty());
  EXPECT_TRUE(FilesOf(path_, ".index").empty());
}

// An index has one of them.
TEST_F(PackCollect, WhatTwoProcessesPutAtOnceGoesTwice) {
  {
    const auto one = Open(), other = Open();
    MustPut(*one, Noise(500, 1));
    MustPut(*other, Noise(500, 1));
  }
  EXPECT_GT(Bytes(), 2 * 500U) << "each has put it";
  Pass(2 * kHour);
  const CollectReport report = MustCollect(*Open());
  EXPECT_EQ(report.removed_packs, 2U);
  EXPECT_EQ(report.rewritten_packs, 0U);
  EXPECT_TRUE(FilesOf(path_, ".pack").empty());
}

TEST_F(PackCollect, TheCopyOfWhatLivesIsKeptAndNotMultiplied) {
  {
    const auto one = Open(), other = Open();
    for (const auto& store : {one, other}) {
      MustPut(*store, Noise(500, 1));
      MustPut(*store, Noise(5000, store == one ? 2 : 3));
    }
    EXPECT_OK(one->roots()->Set(
        "n", {.node = Node::OfFile(Digest::Of(AsBytes(Noise(500, 1))), 500), .attributes = {}, .set = {}}));
  }
  for (int turn = 0; turn < 2; ++turn) {
    Pass(2 * kHour);
    MustCollect(*Open());
    EXPECT_EQ(Get(*Open(), Digest::Of(AsBytes(Noise(500, 1)))), Noise(500, 1));
  }
  EXPECT_LT(Bytes(), 2 * 600U) << "what is dead beside it goes, and no more copies are made";
}

TEST_F(PackCollect, TheAttributesOfANameStay) {
  {
    const auto store = Open();
    const Digest attributes = MustPut(*store, "attributes");
    EXPECT_OK(store->roots()->Set("n", {.node = Node::OfSymlink("x"), .attributes = attributes, .set = {}}));
    MustPut(*store, "garbage");
  }
  Pass(2 * kHour);
  const auto store = Open();
  MustCollect(*store);
  EXPECT_EQ(Get(*store, Digest::Of(AsBytes("attributes"))), "attributes");
  EXPECT_EQ(Get(*store, Digest::Of(AsBytes("garbage"))), "(none)");
}

// CA-67
TEST_F(PackCollect, WhatALeaseHoldsStaysAndGoesWhenItHasEnded) {
  Digest tree;
  {
    const auto store = Open();
    tree = Tree(*store, 1).digest();
    ASSERT_OK(store->Sync());
  }
  ASSERT_OK(Lease::Take(env_, path_ + "/leases",
                        {.id = "w", .holder = "", .items = {{.kind = LeaseItem::Kind::kDirectory, .digest = tree}}}));
  Pass(20 * kHour);
  {
    const auto store = Open();
    EXPECT_EQ(MustCollect(*store).leases, 1U);
    ExpectTree(*store, 1, true);
  }
  Pass(10 * kHour);
  const auto store = Open();
  EXPECT_EQ(MustCollect(*store).leases, 0U);
  ExpectTree(*store, 1, false);
}

// CA-67
TEST_F(PackCollect, WhatWasPutSinceTheOldestLeaseBeganStays) {
  const auto lease = Lease::Take(env_, path_ + "-", {.id = "w", .holder = "", .items = {}});
  EXPECT_FALSE(lease) << "there is no such folder";
  Open();
  const auto held = Lease::Take(env_, path_ + "/leases", {.id = "w", .holder = "", .items = {}});
  ASSERT_OK(held);
  {
    Tree(*Open(), 1);
  }
  Pass(5 * kHour);
  ExpectTree(*Open(), 1, true);
  EXPECT_GT(MustCollect(*Open()).young_bytes, 0U);
  ExpectTree(*Open(), 1, true);
  ASSERT_OK((*held)->Release());
  EXPECT_GT(MustCollect(*Open()).freed_bytes, 0U);
  ExpectTree(*Open(), 1, false);
}

TEST_F(PackCollect, ALeaseThatDoesNotCheckStopsIt) {
  {
    Tree(*Open(), 1);
  }
  Pass(2 * kHour);
  Spill(path_ + "/leases/w", "nonsense");
  const auto report = CollectGarbage(Open()->engine());
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().ToString(), HasSubstr("leases/w"));
  ExpectTree(*Open(), 1, true);
}

TEST_F(PackCollect, ANameThatDoesNotCheckStopsIt) {
  {
    const auto store = Open();
    Name(*store, "n", Tree(*store, 1));
  }
  Pass(2 * kHour);
  Spill(path_ + "/roots/n", "nonsense");
  const auto report = CollectGarbage(Open()->engine());
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().ToString(), HasSubstr("roots/n"));
  ExpectTree(*Open(), 1, true);
}

TEST_F(PackCollect, WhereSomethingIsMissingNothingGoesUnlessThatIsAskedFor) {
  {
    const auto store = Open();
    Tree(*store, 2);
    // A name may be set before what it stands for is there.
    EXPECT_OK(store->roots()->Set(
        "n", {.node = Node::OfDirectory(Digest::Of(AsBytes("none")), 2), .attributes = {}, .set = {}}));
  }
  Pass(2 * kHour);
  const auto store = Open();
  std::vector<std::string> told;
  CollectOptions options;
  options.told = [&](const Problem& problem) { told.push_back(problem.message); };
  const auto report = CollectGarbage(store->engine(), options);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), Errc::kCorrupt);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0], HasSubstr(Digest::Of(AsBytes("none")).Text()));
  ExpectTree(*store, 2, true);
  options.despite_damage = true;
  EXPECT_EQ(MustCollect(*store, options).problems, 1U);
  ExpectTree(*store, 2, false);
}

TEST_F(PackCollect, APackWhoseLiveRecordsAreDamagedIsLeftAsItIs) {
  options_.pack_bytes = 1 << 20;
  {
    const auto store = Open();
    Name(*store, "n", Tree(*store, 1));
    Tree(*store, 2);
    ASSERT_OK(store->engine().PublishIndexes());
  }
  std::string path;
  for (const std::string& pack : FilesOf(path_, ".pack")) {
    if (Slurp(pack)[10] == 0) path = pack;
  }
  for (const std::size_t at : {kPackHeaderBytes + 3, kPackHeaderBytes + kRecordHeaderBytes + 3}) {
    const std::string whole = Slurp(path);
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    Spill(path, damaged);
    Pass(2 * kHour);
    const auto store = Open();
    CollectOptions options;
    options.least_dead = 0.01;
    const CollectReport report = MustCollect(*store, options);
    EXPECT_EQ(report.problems, 1U) << at;
    EXPECT_EQ(Slurp(path), damaged);
    Spill(path, whole);
  }
}

TEST_F(PackCollect, OneRunsAtATime) {
  const auto store = Open();
  Tree(*store, 1);
  CollectOptions options;
  bool refused = false;
  options.progress = [&](std::string_view, std::uint64_t, std::uint64_t) {
    const auto second = CollectGarbage(Open()->engine());
    refused = !second && second.error().code() == Errc::kBusy;
    return true;
  };
  Pass(2 * kHour);
  {
    const auto other = Open();
  }
  store->roots()
      ->Set("n", {.node = Node::OfDirectory(Tree(*store, 3).digest(), 2), .attributes = {}, .set = {}})
      .value();
  for (std::uint64_t seed = 10; seed < 40; ++seed) Tree(*store, seed);
  MustCollect(*store, options);
  // Whether it was called depends on how much there was to do.
  if (options.progress("", 0, 0)) {
    EXPECT_FALSE(refused) << "it is over: the second runs";
  }
}

TEST_F(PackCollect, StoppedItLeavesAStoreThatIsWhole) {
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      const Directory tree = Tree(*store, seed);
      if (seed % 3 == 0) Name(*store, "n" + std::to_string(seed), tree);
    }
  }
  Pass(2 * kHour);
  for (int calls = 0; calls < 40; ++calls) {
    const auto store = Open();
    CollectOptions options;
    options.least_dead = 0.01;
    int left = calls;
    options.progress = [&](std::string_view, std::uint64_t, std::uint64_t) { return left-- > 0; };
    const auto report = CollectGarbage(store->engine(), options);
    for (std::uint64_t seed = 0; seed < 12; seed += 3) ExpectTree(*store, seed, true);
    EXPECT_TRUE(std::filesystem::is_empty(path_ + "/condemned"));
    if (report) break;
    EXPECT_EQ(report.error().code(), Errc::kInvalid);
    ASSERT_LT(calls, 39);
  }
}

// An import finds what is garbage, so far, and relies on it.
TEST_F(PackCollect, WhatAnImportFoundStays) {
  {
    Tree(*Open(), 1);
  }
  Pass(5 * kHour);
  const std::uint64_t before = Bytes();
  const auto importer = Open();
  const Directory tree = Tree(*importer, 1);
  ASSERT_OK(importer->Sync());
  EXPECT_EQ(Bytes(), before) << "nothing was put again";
  const auto collector = Open();
  const CollectReport report = MustCollect(*collector);
  EXPECT_GT(report.used_bytes + report.young_bytes, 0U);
  EXPECT_EQ(report.freed_bytes, 0U);
  Name(*importer, "n", tree);
  Pass(5 * kHour);
  MustCollect(*collector);
  ExpectTree(*importer, 1, true);
}

// What is found in a pack while that is condemned is put again.
TEST_F(PackCollect, WhatIsCondemnedIsNotReliedOn) {
  options_.pack_bytes = 1 << 20;
  {
    const auto store = Open();
    MustPut(*store, Noise(500, 1));
    ASSERT_OK(store->engine().PublishIndexes());
  }
  const auto view = Open()->engine().catalog().view();
  ASSERT_EQ(view->packs.size(), 1U);
  const PackId pack = view->packs.begin()->first;
  Spill(path_ + "/condemned/" + Hex16(pack.value), "");
  const Digest digest = Digest::Of(AsBytes(Noise(500, 1)));
  {
    // The collection that left the mark is over: it says nothing.
    const auto store = Open();
    EXPECT_TRUE(store->blobs()->Has({}, digest).value());
  }
  const auto lock = env_.Open(path_ + "/gc.lock", OpenMode::kCreate);
  ASSERT_OK(lock);
  ASSERT_OK((*lock)->Lock());
  const auto store = Open();
  EXPECT_FALSE(store->blobs()->Has({}, digest).value());
  EXPECT_EQ(Get(*store, digest), Noise(500, 1)) << "it is read all the same";
  // The pack is held by this store once it appends: so that another has to be made.
  MustPut(*store, Noise(500, 1));
  ASSERT_OK(store->Sync());
  EXPECT_TRUE(store->blobs()->Has({}, digest).value());
}

TEST_F(PackCollect, ANameThatIsSetWhileACollectionRemovesSomeOfItIsRefused) {
  Directory tree;
  {
    const auto store = Open();
    tree = Tree(*store, 1);
    ASSERT_OK(store->engine().PublishIndexes());
  }
  Pass(5 * kHour);
  const auto namer = Open();
  const auto collector = Open();
  std::thread naming;
  CollectOptions options;
  std::atomic<bool> condemned = false;
  Result<void> set;
  options.progress = [&](std::string_view, std::uint64_t, std::uint64_t) {
    if (!condemned && !std::filesystem::is_empty(path_ + "/condemned")) {
      condemned = true;
      naming = std::thread([&] {
        set = namer->roots()->Set("n", {.node = Node::OfDirectory(tree.digest(), 2), .attributes = {}, .set = {}});
      });
      // The collection has read the names before it; it goes on once the name is there.
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (!std::filesystem::exists(path_ + "/roots/n") && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
      }
    }
    return true;
  };
  // Something lives in the pack, so that there is a step while it is condemned.
  {
    const auto store = Open();
    Name(*store, "other", Tree(*store, 7));
  }
  Pass(5 * kHour);
  MustCollect(*collector, options);
  ASSERT_TRUE(naming.joinable()) << "nothing was rewritten";
  naming.join();
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code(), Errc::kNotFound);
  EXPECT_THAT(set.error().ToString(), HasSubstr("import it again"));
  const auto root = namer->roots()->Get({}, "n");
  ASSERT_OK(root);
  EXPECT_FALSE(root->has_value());
  ExpectTree(*Open(), 1, false);
}

TEST_F(PackCollect, ReadersOfPacksThatGoLookAgain) {
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      const Directory tree = Tree(*store, seed);
      if (seed % 2 == 0) Name(*store, "n" + std::to_string(seed), tree);
    }
  }
  Pass(2 * kHour);
  PackStoreOptions reading = options_;
  reading.read_only = true;
  const auto reader = MustOpen(env_, path_, reading);
  const auto open = reader->blobs()->Open({}, Digest::Of(AsBytes(Noise(5000, 2))));
  ASSERT_OK(open);
  CollectOptions options;
  options.least_dead = 0.01;
  EXPECT_GT(MustCollect(*Open(), options).rewritten_packs, 0U);
  std::string all(5000, '\0');
  ASSERT_OK((*open)->ReadAt({}, 0, std::as_writable_bytes(std::span(all.data(), all.size()))));
  EXPECT_EQ(all, Noise(5000, 2));
  for (std::uint64_t seed = 0; seed < 12; ++seed) ExpectTree(*reader, seed, seed % 2 == 0);
}

// One that had looked at it all before another collected.
TEST_F(PackCollect, WhoHadTheStoreOpenFindsNothingOfWhatWentAndAllOfTheRest) {
  std::vector<Digest> trees;
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      const Directory tree = Tree(*store, seed);
      trees.push_back(tree.digest());
      if (seed % 4 == 0) Name(*store, "n" + std::to_string(seed), tree);
    }
  }
  Pass(2 * kHour);
  PackStoreOptions reading = options_;
  reading.read_only = true;
  const auto reader = MustOpen(env_, path_, reading);
  const auto writer = Open();
  for (PackStore* store : {reader.get(), writer.get()}) {
    for (std::uint64_t seed = 0; seed < 12; ++seed) ExpectTree(*store, seed, true);
  }
  CollectOptions options;
  options.least_dead = 0.01;
  const auto collector = Open();
  MustCollect(*collector, options);
  for (PackStore* store : {reader.get(), writer.get(), collector.get()}) {
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      const bool there = seed % 4 == 0;
      for (const std::string& blob : {Words(200, seed), Noise(5000, seed)}) {
        const Digest digest = Digest::Of(AsBytes(blob));
        EXPECT_EQ(store->blobs()->Has({}, digest).value(), there) << seed;
        EXPECT_EQ(store->blobs()->Open({}, digest).value() != nullptr, there) << seed;
        EXPECT_EQ(store->blobs()->Chunks({}, digest).value().has_value(), there) << seed;
      }
      EXPECT_EQ(store->directories()->Get({}, trees[seed]).value().has_value(), there) << seed;
      ExpectTree(*store, seed, there);
    }
  }
  // And takes it again.
  Name(*writer, "again", Tree(*writer, 1));
  for (PackStore* store : {reader.get(), writer.get(), collector.get()}) ExpectTree(*store, 1, true);
}

// A collection removes packs: it may leave a list of chunks that are gone, where much else lives beside it.
TEST_F(PackCollect, AListThatOutlivedItsChunksIsNoBlob) {
  options_.pack_bytes = 4096;
  options_.threads = 1;  // the chunks lie in their order
  const std::string blob = Noise(9000, 1);
  const Digest digest = Digest::Of(AsBytes(blob));
  {
    const auto store = Open();
    MustPut(*store, blob);
    const Directory tree = DirectoryOf({{"f", Node::OfFile(MustPut(*store, Noise(600, 2)), 600)}});
    ASSERT_OK(store->directories()->Put(tree));
    Name(*store, "n", tree);
  }
  Pass(2 * kHour);
  const auto store = Open();
  CollectOptions options;
  options.least_dead = 0.9;
  EXPECT_GT(MustCollect(*store, options).removed_packs, 0U);
  const auto places = store->engine().Find({}, PackClass::kData, digest);
  ASSERT_OK(places);
  ASSERT_FALSE(places->empty()) << "the list is there";
  for (const auto& each : {store, Open()}) {
    EXPECT_EQ(each->blobs()->Open({}, digest).value(), nullptr);
    EXPECT_FALSE(each->blobs()->Has({}, digest).value());
    EXPECT_FALSE(each->blobs()->Chunks({}, digest).value());
  }
  EXPECT_EQ(MustPut(*store, blob), digest);
  EXPECT_EQ(Get(*store, digest), blob);
}

// The system's, and somebody who cleans up at the worst of times: what was made last is removed before it is locked,
// and what is made then is locked, and removed later.
class CleaningEnv final : public Env {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    if (mode != OpenMode::kCreateExclusive) return base_.Open(path, mode);
    if (cleaner_) EXPECT_OK(base_.Remove(path));
    cleaner_.reset();
    auto file = base_.Open(path, mode);
    if (++made_ == 1) EXPECT_OK(base_.Remove(path));
    if (made_ == 2) {
      cleaner_ = base_.Open(path, OpenMode::kReadWrite).value();
      EXPECT_OK(cleaner_->Lock());
    }
    return file;
  }
  Result<void> CreateDirectory(const std::string& path) override { return base_.CreateDirectory(path); }
  Result<std::vector<std::string>> ListDirectory(const std::string& path) override { return base_.ListDirectory(path); }
  Result<void> Rename(const std::string& from, const std::string& to) override { return base_.Rename(from, to); }
  Result<void> Remove(const std::string& path) override { return base_.Remove(path); }
  Result<void> SyncDirectory(const std::string& path) override { return base_.SyncDirectory(path); }
  Result<Space> SpaceOf(const std::string& path) override { return base_.SpaceOf(path); }
  Time Now() override { return base_.Now(); }
  std::int64_t MonotonicNs() override { return base_.MonotonicNs(); }
  void Random(MutableByteSpan out) override { base_.Random(out); }
  int made() const { return made_; }

 private:
  Env& base_ = Env::System();
  std::unique_ptr<File> cleaner_;
  int made_ = 0;
};

TEST_F(PackCollect, WhatIsCleanedUpBeforeItIsLockedIsMadeAgain) {
  CleaningEnv env;
  std::filesystem::create_directory(path_);
  const auto lease = Lease::Take(env, path_, {.id = "w", .holder = "", .items = {}});
  ASSERT_OK(lease);
  EXPECT_EQ(env.made(), 3);
  const auto leases = ReadLeases(env, path_);
  ASSERT_OK(leases);
  ASSERT_EQ(leases->size(), 1U);
  EXPECT_TRUE((*leases)[0].held);
}

TEST_F(PackCollect, BesideAnImportAndAReaderNothingThatIsNamedGoes) {
  {
    const auto store = Open();
    for (std::uint64_t seed = 0; seed < 10; ++seed) Tree(*store, seed);
    Name(*store, "base", Tree(*store, 100));
  }
  Pass(2 * kHour);
  std::atomic<bool> stop = false;
  std::atomic<int> collections = 0;
  std::thread collecting([&] {
    while (!stop) {
      const auto store = Open();
      CollectOptions options;
      options.least_dead = 0.01;
      const auto report = CollectGarbage(store->engine(), options);
      EXPECT_TRUE(report || report.error().code() == Errc::kBusy) << report.error().ToString();
      ++collections;
    }
  });
  std::thread reading([&] {
    const auto store = Open();
    while (!stop) ExpectTree(*store, 100, true);
  });
  // Each round finds some garbage and some that is new, and names it.
  int rounds = 0;
  while (rounds < 30 || collections < 3) {
    const auto store = Open();
    const std::uint64_t seed = static_cast<std::uint64_t>(rounds) % 20;
    const Directory tree = Tree(*store, seed);
    const auto set = store->roots()->Set("n" + std::to_string(seed),
                                         {.node = Node::OfDirectory(tree.digest(), 2), .attributes = {}, .set = {}});
    ASSERT_TRUE(set) << set.error().ToString();
    ExpectTree(*store, seed, true);
    if (rounds % 3 == 2) EXPECT_OK(store->roots()->Remove("n" + std::to_string(seed)));
    ++rounds;
  }
  stop = true;
  collecting.join();
  reading.join();
  const auto store = Open();
  const auto report = VerifyStore(store->engine());
  ASSERT_OK(report);
  EXPECT_EQ(report->problems, 0U);
  ExpectTree(*store, 100, true);
}

}  // namespace
}  // namespace strata::store::pack
