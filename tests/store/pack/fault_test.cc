// A machine that stops, a process that dies, a disk that is full or fails: at every step of a workload that puts,
// syncs, names, makes indexes, merges them and collects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "store/pack/closure_walk.h"
#include "store/pack/collect.h"
#include "store/pack/verify.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {
namespace {

constexpr std::int64_t kLaterHour = 3600LL * 1'000'000'000;

PackStoreOptions FaultOptions() {
  PackStoreOptions options = SmallOptions();
  options.pack_bytes = 4096;
  options.average_chunk = 512;
  options.threads = 1;
  return options;
}

// What was promised so far: by a Sync or Set that returned.
struct Promise {
  std::map<Digest, std::string> blobs;
  std::map<std::string, Digest> names;
  std::set<std::string> unnamed;  // a name that may be either way, as its change did not return
};

// A tree of two files and a directory, all of its own.
Result<Digest> PutTree(PackStore& store, std::uint64_t seed, std::map<Digest, std::string>& blobs) {
  const std::string small = Words(60, seed), large = Noise(2000, seed);
  std::vector<std::pair<std::string, Node>> entries;
  for (const std::string& blob : {small, large}) {
    STRATA_ASSIGN(const Digest digest, store.blobs()->Put(AsBytes(blob)));
    blobs[digest] = blob;
    entries.emplace_back("f" + std::to_string(entries.size()), Node::OfFile(digest, blob.size()));
  }
  STRATA_ASSIGN(const Directory inner, Directory::Make(entries));
  STRATA_TRY(store.directories()->Put(inner));
  STRATA_ASSIGN(const Directory outer, Directory::Make({{"d", Node::OfDirectory(inner.digest(), 2)}}));
  STRATA_TRY(store.directories()->Put(outer));
  return outer.digest();
}

// Until it is done or something fails.
Result<void> Work(FaultEnv& env, const std::string& path, Promise& promise) {
  for (std::uint64_t round = 0; round < 4; ++round) {
    STRATA_ASSIGN(const auto store, PackStore::Open(env, path, FaultOptions()));
    std::map<Digest, std::string> blobs;
    STRATA_ASSIGN(const Digest root, PutTree(*store, round, blobs));
    STRATA_TRY(store->Sync());
    promise.blobs.insert(blobs.begin(), blobs.end());
    const std::string name = "n" + std::to_string(round % 2);
    promise.unnamed.insert(name);
    STRATA_TRY(store->roots()->Set(name, {.node = Node::OfDirectory(root, 3), .attributes = {}, .set = {}}));
    promise.unnamed.erase(name);
    promise.names[name] = root;
    STRATA_TRY(store->engine().PublishIndexes());
    STRATA_TRY(store->engine().catalog().Merge(round == 2));
  }
  // Two hours later the trees that lost their names go, and the rest is rewritten.
  env.SetClock(Time{env.Now().ns + 2 * kLaterHour});
  {
    STRATA_ASSIGN(const auto store, PackStore::Open(env, path, FaultOptions()));
    for (auto at = promise.blobs.begin(); at != promise.blobs.end();) {
      const bool named = at->second == Words(60, 2) || at->second == Words(60, 3) || at->second == Noise(2000, 2) ||
                         at->second == Noise(2000, 3);
      at = named ? std::next(at) : promise.blobs.erase(at);
    }
    CollectOptions options;
    options.least_dead = 0.01;
    STRATA_TRY(CollectGarbage(store->engine(), options));
  }
  STRATA_ASSIGN(const auto store, PackStore::Open(env, path, FaultOptions()));
  STRATA_TRY(store->roots()->Remove("n0"));
  promise.names.erase("n0");
  return {};
}

// What was promised is there, all names lead to what is whole, and it goes on.
void Check(FaultEnv& env, const std::string& path, const Promise& promise) {
  const auto opened = PackStore::Open(env, path, FaultOptions());
  ASSERT_OK(opened);
  PackStore& store = **opened;
  for (const auto& [digest, blob] : promise.blobs) ASSERT_EQ(Get(store, digest), blob);
  for (const auto& [name, digest] : promise.names) {
    if (promise.unnamed.contains(name)) continue;
    const auto root = store.roots()->Get({}, name);
    ASSERT_OK(root);
    if (name == "n0" && !*root) continue;  // a removal that did not return
    ASSERT_TRUE(*root) << name;
    ASSERT_EQ((*root)->node.digest, digest) << name;
  }
  std::vector<std::string> told;
  VerifyOptions verify;
  verify.told = [&](const Problem& problem) {
    // Bytes that were never promised may be there in part.
    if (problem.what != Problem::What::kLostBytes && problem.what != Problem::What::kDamagedRecord) {
      told.push_back(problem.message);
    }
  };
  const auto report = VerifyStore(store.engine(), verify);
  ASSERT_OK(report);
  ASSERT_THAT(told, ::testing::IsEmpty());
  ClosureWalk walk(store.engine());
  ASSERT_OK(
      store.roots()->List({}, [&](std::string_view, const Root& root) { return walk.AddRoot(root).has_value(); }));
  ASSERT_OK(walk.CheckWhole());
  // All of it can be put again, and is then whole.
  std::map<Digest, std::string> blobs;
  for (std::uint64_t seed = 0; seed < 5; ++seed) ASSERT_OK(PutTree(store, seed, blobs));
  ASSERT_OK(store.Sync());
  for (const auto& [digest, blob] : blobs) {
    ASSERT_EQ(Get(store, digest), blob);
    ASSERT_TRUE(store.blobs()->Has({}, digest).value());
  }
}

// `kept`: how many in a thousand of the changes that were not synced reach the disk: 1000 is the death of the process.
class PackFaults : public ::testing::TestWithParam<int> {};

TEST_P(PackFaults, AfterAStopAtAnyStepWhatWasPromisedIsThere) {
  for (int steps = 1;; ++steps) {
    SCOPED_TRACE(steps);
    const QuickFolder folder;
    FaultEnv env;
    env.SetClock(Time{1'700'000'000LL * 1'000'000'000});
    env.StopAfter(steps);
    Promise promise;
    const auto worked = Work(env, folder / "s", promise);
    const bool stopped = env.stopped();
    ASSERT_TRUE(worked || stopped) << worked.error().ToString();
    env.PowerLoss(static_cast<std::uint32_t>(steps), GetParam());
    Check(env, folder / "s", promise);
    if (HasFatalFailure() || !stopped) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Kept, PackFaults, ::testing::Values(0, 500, 1000));

TEST(PackFaults, AFullDiskLosesNothingAndItGoesOnWhenThereIsRoom) {
  for (const auto code : {Errc::kNoSpace, Errc::kQuota}) {
    const QuickFolder folder;
    FaultEnv env;
    PackStoreOptions options = FaultOptions();
    options.memory_bytes = 1;
    options.pack_bytes = 1 << 20;
    std::map<Digest, std::string> synced, put;
    {
      const auto store = MustOpen(env, folder / "s", options);
      for (std::uint64_t i = 0; i < 20; ++i) synced[MustPut(*store, Noise(1000, i))] = Noise(1000, i);
      ASSERT_OK(store->Sync());
      env.FailAfter(FaultEnv::kWrite, 0, code, true);
      // The buffers take some before it is noticed.
      std::optional<Status> full;
      std::uint64_t i = 100;
      for (; i < 2000 && !full; ++i) {
        const auto digest = store->blobs()->Put(AsBytes(Noise(1000, i)));
        if (digest) {
          put[*digest] = Noise(1000, i);
        } else {
          full = digest.error();
        }
      }
      ASSERT_TRUE(full);
      EXPECT_EQ(full->code(), code);
      EXPECT_EQ(store->Sync().error().code(), code);
      for (const auto& [digest, blob] : synced) ASSERT_EQ(Get(*store, digest), blob);
      // There is room again: what was put before is not lost.
      env.FailAfter(FaultEnv::kWrite, 1 << 30, code);
      put[MustPut(*store, "room")] = "room";
      ASSERT_OK(store->Sync());
      for (const auto& [digest, blob] : put) ASSERT_EQ(Get(*store, digest), blob);
    }
    env.PowerLoss();
    const auto store = MustOpen(env, folder / "s", options);
    for (const auto* all : {&synced, &put}) {
      for (const auto& [digest, blob] : *all) ASSERT_EQ(Get(*store, digest), blob);
    }
  }
}

TEST(PackFaults, AFullDiskForANewPackOrAnIndexLosesNothing) {
  const QuickFolder folder;
  FaultEnv env;
  std::map<Digest, std::string> put;
  const auto store = MustOpen(env, folder / "s", FaultOptions());
  for (std::uint64_t i = 0; i < 3; ++i) put[MustPut(*store, Noise(500, i))] = Noise(500, i);
  ASSERT_OK(store->Sync());
  env.FailAfter(FaultEnv::kOpen, 0, Errc::kNoSpace, true);
  EXPECT_EQ(store->engine().PublishIndexes().error().code(), Errc::kNoSpace);
  std::optional<Status> full;
  for (std::uint64_t i = 10; i < 100 && !full; ++i) {
    const auto digest = store->blobs()->Put(AsBytes(Noise(500, i)));
    if (digest) put[*digest] = Noise(500, i);
    if (!digest) full = digest.error();
  }
  ASSERT_TRUE(full);
  EXPECT_EQ(full->code(), Errc::kNoSpace);
  env.FailAfter(FaultEnv::kOpen, 1 << 30, Errc::kNoSpace);
  ASSERT_OK(store->engine().PublishIndexes());
  MustPut(*store, Noise(500, 500));
  ASSERT_OK(store->Sync());
  for (const auto& [digest, blob] : put) ASSERT_EQ(Get(*store, digest), blob);
}

// A crash may leave a list without all of its chunks. It is then as if the blob were not there, so that it is put
// again.
TEST(PackFaults, AListWithoutItsChunksIsNoBlob) {
  const QuickFolder folder;
  FaultEnv env;
  PackStoreOptions options = FaultOptions();
  options.pack_bytes = 1024;  // the chunks lie in other packs than the list
  const std::string blob = Noise(6000, 1);
  {
    const auto store = MustOpen(env, folder / "s", options);
    MustPut(*store, blob);
  }
  std::string chunk_pack;
  {
    const auto store = MustOpen(env, folder / "s", options);
    const auto chunks = store->blobs()->Chunks({}, Digest::Of(AsBytes(blob)));
    ASSERT_OK(chunks);
    const auto places = store->engine().Find({}, PackClass::kData, (**chunks)[0].digest);
    ASSERT_OK(places);
    chunk_pack = store->engine().files().PathOf((*places)[0].location.pack);
  }
  std::filesystem::remove(chunk_pack);
  const auto store = MustOpen(env, folder / "s", options);
  EXPECT_FALSE(store->blobs()->Has({}, Digest::Of(AsBytes(blob))).value());
  MustPut(*store, blob);
  EXPECT_TRUE(store->blobs()->Has({}, Digest::Of(AsBytes(blob))).value());
  EXPECT_EQ(Get(*store, Digest::Of(AsBytes(blob))), blob);
}

// One that another process put may not be durable yet, and that process may never make it so.
TEST(PackFaults, ASyncMakesDurableWhatItFoundInThePacksOfOthers) {
  const QuickFolder folder;
  FaultEnv env;
  Digest digest;
  {
    const auto one = MustOpen(env, folder / "s", FaultOptions());
    digest = MustPut(*one, "shared");
    ASSERT_OK(one->engine().appender(PackClass::kData).Flush());
    const auto other = MustOpen(env, folder / "s", FaultOptions());
    MustPut(*other, "shared");
    ASSERT_OK(other->Sync());
    EXPECT_EQ(FilesOf(folder / "s", ".pack").size(), 1U);
  }
  env.PowerLoss();
  EXPECT_EQ(Get(*MustOpen(env, folder / "s", FaultOptions()), digest), "shared");
}

}  // namespace
}  // namespace strata::store::pack
