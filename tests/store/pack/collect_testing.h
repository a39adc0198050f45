// A store of packs whose clock the test moves, and trees in it.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/pack/collect.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {

inline constexpr std::int64_t kHour = 3600LL * 1'000'000'000;

class PackCollect : public ::testing::Test {
 protected:
  PackCollect() {
    env_.SetClock(Time{1'700'000'000LL * 1'000'000'000});
    options_.pack_bytes = 8192;
  }
  void Pass(std::int64_t ns) { env_.SetClock(Time{env_.Now().ns + ns}); }
  std::shared_ptr<PackStore> Open() { return MustOpen(env_, path_, options_); }

  // A directory of a small blob and one of several chunks, all its own.
  Directory Tree(PackStore& store, std::uint64_t seed) {
    std::vector<std::pair<std::string, Node>> entries;
    for (const std::string& blob : {Words(200, seed), Noise(5000, seed)}) {
      entries.emplace_back("f" + std::to_string(entries.size()), Node::OfFile(MustPut(store, blob), blob.size()));
    }
    const Directory directory = DirectoryOf(entries);
    EXPECT_OK(store.directories()->Put(directory));
    return directory;
  }
  void Name(PackStore& store, const std::string& name, const Directory& directory) {
    EXPECT_OK(
        store.roots()->Set(name, {.node = Node::OfDirectory(directory.digest(), 2), .attributes = {}, .set = {}}));
  }
  void ExpectTree(PackStore& store, std::uint64_t seed, bool there) {
    for (const std::string& blob : {Words(200, seed), Noise(5000, seed)}) {
      EXPECT_EQ(Get(store, Digest::Of(AsBytes(blob))), there ? blob : "(none)") << seed;
    }
  }
  CollectReport MustCollect(PackStore& store, const CollectOptions& options = {}) {
    const auto report = CollectGarbage(store.engine(), options);
    EXPECT_TRUE(report) << report.error().ToString();
    return report.value_or(CollectReport{});
  }
  std::uint64_t Bytes() const {
    std::uint64_t sum = 0;
    for (const std::string& path : FilesOf(path_, ".pack")) sum += std::filesystem::file_size(path);
    return sum;
  }

  QuickFolder folder_;
  const std::string path_ = folder_ / "s";
  FaultEnv env_;
  PackStoreOptions options_ = SmallOptions();
};

}  // namespace strata::store::pack
