// A store of named trees in memory, and the layer over all of them.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tests/vfs/layer/castore/castore_testing.h"
#include "vfs/layer/castore/roots_layer.h"

namespace strata::vfs {

// Names of another service, after a hook that may answer in its place.
class HookedRoots final : public store::RootNodes {
 public:
  explicit HookedRoots(std::shared_ptr<store::RootNodes> inner) : inner_(std::move(inner)) {}
  Result<std::optional<store::Root>> Get(const Waiting& waiting, std::string_view name) override {
    ++gets;
    if (hook) STRATA_TRY(hook(waiting));
    return inner_->Get(waiting, name);
  }
  Result<void> List(const Waiting& waiting,
                    const std::function<bool(std::string_view name, const store::Root& root)>& visit) override {
    ++lists;
    if (hook) STRATA_TRY(hook(waiting));
    return inner_->List(waiting, visit);
  }

  std::function<Result<void>(const Waiting&)> hook;
  std::atomic<int> gets{0}, lists{0};

 private:
  const std::shared_ptr<store::RootNodes> inner_;
};

// The clock is the test's.
class ClockedEnv final : public Env {
 public:
  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    ++opens;
    return base_.Open(path, mode);
  }
  Result<void> CreateDirectory(const std::string& path) override { return base_.CreateDirectory(path); }
  Result<std::vector<std::string>> ListDirectory(const std::string& path) override { return base_.ListDirectory(path); }
  Result<void> Rename(const std::string& from, const std::string& to) override { return base_.Rename(from, to); }
  Result<void> Remove(const std::string& path) override { return base_.Remove(path); }
  Result<void> SyncDirectory(const std::string& path) override { return base_.SyncDirectory(path); }
  Result<Space> SpaceOf(const std::string& path) override { return base_.SpaceOf(path); }
  Time Now() override { return Time{1'700'000'000'000'000'000 + now_ns}; }
  std::int64_t MonotonicNs() override { return now_ns; }
  void Random(MutableByteSpan out) override { base_.Random(out); }

  void Pass(std::int64_t ns) { now_ns += ns; }
  std::atomic<std::int64_t> now_ns{1'000'000'000'000};
  std::atomic<int> opens{0};

 private:
  Env& base_ = Env::System();
};

// What is served: names, a store, and a home that outlives the layer.
struct RootStore {
  MemoryStore store;
  std::shared_ptr<store::MemoryRootNodes> names = std::make_shared<store::MemoryRootNodes>();
  std::shared_ptr<HookedRoots> roots = std::make_shared<HookedRoots>(names);
  std::shared_ptr<HookedDirectories> directories = std::make_shared<HookedDirectories>(store.directories);
  std::shared_ptr<HookedBlobs> blobs = std::make_shared<HookedBlobs>(store.blobs);
  TempFolder home{FolderInMemory()};
  ClockedEnv env;
  RootsOptions options{.trees = {.description = "castore:@memory"}, .home = home.path(), .list_roots = true};

  void Set(const std::string& name, const store::Node& node, std::optional<store::Digest> attributes = std::nullopt) {
    const auto set = names->Set(name, {.node = node, .attributes = attributes});
    EXPECT_TRUE(set) << (set ? "" : set.error().ToString());
  }
  std::unique_ptr<Layer> Open() {
    auto layer = OpenRootsLayer(env, blobs, directories, roots, options);
    EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
    return layer ? std::move(*layer) : nullptr;
  }
};

}  // namespace strata::vfs
