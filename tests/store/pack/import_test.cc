// Imports into a pack store: onto a disk that is full, several at once, killed, and beside collections and readers of
// other processes.
#include "store/import/import.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "store/pack/collect.h"
#include "tests/store/pack/child.h"

namespace strata::store::pack {
namespace {

PackStoreOptions ImportingOptions() {
  PackStoreOptions options = SmallOptions();
  options.pack_bytes = 16 << 10;
  options.threads = 1;
  return options;
}

// A folder of a few files and folders, all its own.
std::string MakeSource(const QuickFolder& folder, std::uint64_t seed) {
  const std::string root = folder / ("source" + std::to_string(seed));
  for (std::uint64_t i = 0; i < 3; ++i) {
    const std::string inner = root + "/d" + std::to_string(i);
    std::filesystem::create_directories(inner);
    Spill(inner + "/small", Words(100 + i, 100 * seed + i));
    Spill(inner + "/large", Noise(3000 + 2000 * i, 100 * seed + i));
  }
  std::filesystem::create_symlink("d0/small", root + "/link");
  return root;
}

Result<Root> ImportInto(BlobService& blobs, PackStore& store, const std::string& source) {
  ImportOptions options;
  options.jobs = 1;
  STRATA_ASSIGN(const ImportReport report, ImportPath(Env::System(), {blobs, *store.directories()}, source, options));
  return Root{.node = report.root, .attributes = {}, .set = {}};
}

Result<void> ImportAs(PackStore& store, const std::string& source, const std::string& name) {
  const auto work = store.Work();
  STRATA_ASSIGN(const Root root, ImportInto(*store.blobs(), store, source));
  return store.roots()->Set(name, root);
}

TEST(PackImport, OntoADiskThatIsFullAtAnyWriteItFailsAndGoesOnOnceThereIsRoom) {
  const QuickFolder sources;
  const std::string source = MakeSource(sources, 1);
  int refused = 0;
  for (const bool forever : {false, true}) {
    bool fired = true;
    for (int nth = 0; fired; ++nth) {
      SCOPED_TRACE(testing::Message() << (forever ? "from write " : "write ") << nth);
      const QuickFolder folder;
      FaultEnv env;
      {
        const auto store = MustOpen(env, folder / "s", ImportingOptions());
        const int before = env.Count(FaultEnv::kWrite);
        env.SetTornWrite(static_cast<std::size_t>(nth) * 37 % 200);
        env.FailAfter(FaultEnv::kWrite, nth, Errc::kNoSpace, forever);
        const auto first = ImportAs(*store, source, "first");
        fired = env.Count(FaultEnv::kWrite) - before > nth;
        if (!first) {
          ++refused;
          ASSERT_EQ(first.error().code(), Errc::kNoSpace) << first.error().ToString();
        } else {
          ASSERT_TRUE(!fired || !forever);
        }
        env.FailAfter(FaultEnv::kWrite, 1 << 30, Errc::kNoSpace);
        ASSERT_OK(ImportAs(*store, source, "second"));
        ExpectNamesWhole(*store);
        ExpectSound(*store);
      }
      env.PowerLoss();
      const auto store = MustOpen(env, folder / "s", ImportingOptions());
      ExpectNamesWhole(*store);
      ASSERT_TRUE(store->roots()->Get({}, "second").value());
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(refused, 8);
}

TEST(PackImport, TwoOfTheSameTreeAtOnceBothAreWhole) {
  const QuickFolder folder;
  std::vector<std::string> sources;
  for (std::uint64_t seed = 0; seed < 8; ++seed) sources.push_back(MakeSource(folder, seed));
  const auto work = [&](const Child::Say& say) {
    const auto store = PackStore::Open(Env::System(), folder / "s", ImportingOptions());
    if (!store) return false;
    say(0);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      if (!ImportAs(**store, sources[i], "n" + std::to_string(i) + "." + std::to_string(::getpid()))) return false;
    }
    return true;
  };
  Child one(work), other(work);
  ASSERT_TRUE(one.Next());
  ASSERT_TRUE(other.Next());
  EXPECT_TRUE(one.End());
  EXPECT_TRUE(other.End());
  const auto store = MustOpen(Env::System(), folder / "s", ImportingOptions());
  ExpectNamesWhole(*store);
  ExpectSound(*store);
  std::map<std::string, int> digests;
  ASSERT_OK(store->roots()->List({}, [&](std::string_view, const Root& root) {
    ++digests[root.node.digest.Text()];
    return true;
  }));
  EXPECT_EQ(digests.size(), sources.size());
  for (const auto& [digest, names] : digests) EXPECT_EQ(names, 2) << digest;
}

// Says a 0 for each blob that an import puts.
class TellingBlobs final : public BlobService {
 public:
  TellingBlobs(std::shared_ptr<BlobService> blobs, const Child::Say& say) : blobs_(std::move(blobs)), say_(say) {}
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override { return blobs_->Has(waiting, digest); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    return blobs_->Open(waiting, digest);
  }
  Result<std::unique_ptr<BlobWriter>> Create() override {
    say_(0);
    return blobs_->Create();
  }
  Result<Digest> Put(ByteSpan blob) override {
    say_(0);
    return blobs_->Put(blob);
  }
  Result<void> Sync() override { return blobs_->Sync(); }
  std::string Describe() const override { return blobs_->Describe(); }

 private:
  const std::shared_ptr<BlobService> blobs_;
  const Child::Say& say_;
};

TEST(PackImport, WhatWasNamedIsWholeWheneverAnImportIsKilled) {
  const QuickFolder folder;
  std::vector<std::string> sources;
  for (std::uint64_t seed = 0; seed < 40; ++seed) sources.push_back(MakeSource(folder, seed));
  std::uint32_t named = 0;
  std::uint32_t random = 3;
  int within = 0;  // kills in the middle of an import, as far as it said
  for (int round = 0; round < 20 && named + 3 < sources.size(); ++round) {
    SCOPED_TRACE(round);
    {
      Child child([&](const Child::Say& say) {
        const auto store = PackStore::Open(Env::System(), folder / "s", ImportingOptions());
        if (!store) return false;
        TellingBlobs blobs((*store)->blobs(), say);
        for (std::uint32_t i = named; i < sources.size(); ++i) {
          const auto work = (*store)->Work();
          const auto root = ImportInto(blobs, **store, sources[i]);
          if (!root || !(*store)->roots()->Set("n" + std::to_string(i), *root)) return false;
          say(i + 1);
          if (i % 3 == 2 && !(*store)->engine().PublishIndexes()) return false;
        }
        return true;
      });
      random = random * 1103515245 + 12345;
      std::uint32_t last = 0;
      for (std::uint32_t left = 1 + (random >> 16) % 14; left > 0; --left) {
        const auto next = child.Next();
        ASSERT_TRUE(next) << "it ended by itself";
        last = *next;
        if (last > 0) named = last;
      }
      within += last == 0 ? 1 : 0;
      child.Kill();
      while (const auto next = child.Next()) named = std::max(named, *next);
    }
    const auto store = MustOpen(Env::System(), folder / "s", ImportingOptions());
    for (std::uint32_t i = 0; i < named; ++i) {
      ASSERT_TRUE(store->roots()->Get({}, "n" + std::to_string(i)).value()) << i;
    }
    ExpectNamesWhole(*store);
    ExpectSound(*store);
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(within, 5);
  // It is gone on with.
  const auto store = MustOpen(Env::System(), folder / "s", ImportingOptions());
  for (std::size_t i = 0; i < sources.size(); ++i) ASSERT_OK(ImportAs(*store, sources[i], "m" + std::to_string(i)));
  ExpectNamesWhole(*store);
}

TEST(PackImport, BesideACollectionAndAReaderOfOtherProcessesNothingThatIsNamedGoes) {
  const QuickFolder folder;
  std::vector<std::string> sources;
  for (std::uint64_t seed = 0; seed < 6; ++seed) sources.push_back(MakeSource(folder, seed));
  {
    // All of it is garbage but the first.
    const auto store = MustOpen(Env::System(), folder / "s", ImportingOptions());
    for (std::size_t i = 0; i < sources.size(); ++i) ASSERT_OK(ImportAs(*store, sources[i], "n" + std::to_string(i)));
    for (std::size_t i = 1; i < sources.size(); ++i) ASSERT_OK(store->roots()->Remove("n" + std::to_string(i)));
  }
  ForgetLeases(folder / "s");
  Child collector([&](const Child::Say& say) {
    CollectOptions options;
    options.grace_ns = -3600LL * 1'000'000'000;  // what no lease holds is old enough
    options.least_dead = 0.01;
    for (int i = 0; i < 15; ++i) {
      const auto store = PackStore::Open(Env::System(), folder / "s", ImportingOptions());
      if (!store) return false;
      const auto report = CollectGarbage((*store)->engine(), options);
      if (!report) return false;
      say(static_cast<std::uint32_t>(report->freed_bytes));
    }
    return true;
  });
  const auto freed = collector.Next();
  ASSERT_TRUE(freed);
  EXPECT_GT(*freed, 20'000U);
  Child importer([&](const Child::Say& say) {
    say(0);
    for (std::size_t round = 0; round < 24; ++round) {
      const auto store = PackStore::Open(Env::System(), folder / "s", ImportingOptions());
      const std::size_t i = 1 + round % (sources.size() - 1);
      const std::string name = "n" + std::to_string(i);
      if (!store || !ImportAs(**store, sources[i], name)) return false;
      ClosureWalk walk((*store)->engine());
      const auto root = (*store)->roots()->Get({}, name);
      if (!root || !*root || !walk.AddRoot(**root) || !walk.CheckWhole()) return false;
      if (round % 2 == 1 && !(*store)->roots()->Remove(name)) return false;
    }
    return true;
  });
  Child reader([&](const Child::Say& say) {
    PackStoreOptions options = ImportingOptions();
    options.read_only = true;
    const auto store = PackStore::Open(Env::System(), folder / "s", options);
    if (!store) return false;
    say(0);
    for (int i = 0; i < 300; ++i) {
      const std::string blob = Noise(3000 + 2000 * (i % 3), i % 3);
      if (Get(**store, Digest::Of(AsBytes(blob))) != blob) return false;
    }
    return true;
  });
  for (Child* child : {&importer, &reader}) ASSERT_TRUE(child->Next());
  EXPECT_TRUE(reader.End());
  EXPECT_TRUE(collector.End());
  EXPECT_TRUE(importer.End());
  const auto store = MustOpen(Env::System(), folder / "s", ImportingOptions());
  ExpectNamesWhole(*store);
  ExpectSound(*store);
  ASSERT_TRUE(store->roots()->Get({}, "n0").value());
}

}  // namespace
}  // namespace strata::store::pack
