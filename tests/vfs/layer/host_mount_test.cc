// Other file systems within a layer's folder. The test makes a mount name space of its own, which its thread keeps to
// its end.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "tests/vfs/layer/layer_testing.h"

namespace strata::vfs {
namespace {

// What keeps this process from mounting; empty where nothing does.
std::string EnterMountNamespace() {
  if (unshare(CLONE_NEWNS) != 0) return std::string("unshare: ") + strerror(errno);
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return std::string("mount: ") + strerror(errno);
  return {};
}

void CheckMounts(const TempFolder& folder, std::string& skipped) {
  WriteTree(folder.path(), {MemoryFile("f", "root"), MemoryDirectory("d/m"), MemoryFile("d/g", "root too")});
  skipped = EnterMountNamespace();
  if (skipped.empty() && mount("strata", (folder / "d/m").c_str(), "tmpfs", 0, nullptr) != 0) {
    skipped = std::string("mount of a tmpfs: ") + strerror(errno);
  }
  if (!skipped.empty()) return;
  WriteTree(folder / "d/m", {MemoryFile("inner", "mounted"), MemoryFile("e/f", "deeper"), MemoryDirectory("e/h")});

  std::map<std::string, LayerStat> nodes;
  {
    auto layer = OpenFolder(folder.path());
    nodes = WalkLayer(*layer);  // which also compares the ids of listings with those of lookups
  }
  EXPECT_EQ(nodes.size(), 9u);
  std::set<std::uint64_t> ids;
  for (const auto& [path, stat] : nodes) {
    EXPECT_TRUE(ids.insert(stat.node.id).second) << path;
    const bool mounted = path.starts_with("d/m");
    EXPECT_EQ(stat.node.id >> 54, mounted ? 1u : 0u) << path;
    struct stat host;
    ASSERT_EQ(lstat((folder / path).c_str(), &host), 0);
    if (!mounted) {
      EXPECT_EQ(stat.node.id, host.st_ino) << path;
    }
  }
  HostLayerOptions tiny;
  tiny.max_cached_nodes = tiny.max_open_files = 1;
  auto layer = OpenFolder(folder.path(), tiny);
  for (const auto& [path, stat] : nodes) {
    EXPECT_EQ(layer->PathOf(kBackground, {stat.node.id, 0}), path);
    EXPECT_EQ(layer->PathOf(kBackground, stat.node), path);
  }
  EXPECT_EQ(ReadFromLayer(*layer, nodes.at("d/m/e/f").node, 0, 100), "deeper");

  layer.reset();  // whose descriptor would keep the mount busy
  ASSERT_EQ(umount((folder / "d/m").c_str()), 0) << strerror(errno);
  layer = OpenFolder(folder.path(), tiny);
  EXPECT_EQ(layer->Stat(kBackground, nodes.at("d/m/inner").node).error().code(), Errc::kStale);
  EXPECT_EQ(WalkLayer(*layer).size(), 5u);
}

void CheckLateMount(const TempFolder& folder, std::string& skipped) {
  WriteTree(folder.path(), {MemoryFile("f", "root"), MemoryFile("d/m/covered", "")});
  skipped = EnterMountNamespace();
  if (!skipped.empty()) return;
  auto layer = OpenFolder(folder.path());
  const auto before = WalkLayer(*layer);
  EXPECT_EQ(before.size(), 5u);
  if (mount("strata", (folder / "d/m").c_str(), "tmpfs", 0, nullptr) != 0) {
    skipped = std::string("mount of a tmpfs: ") + strerror(errno);
    return;
  }
  WriteFile(folder / "d/m/inner", "mounted");
  const auto after = WalkLayer(*layer);
  EXPECT_EQ(after.size(), 5u);
  EXPECT_NE(after.at("d/m").node.id, before.at("d/m").node.id);
  EXPECT_EQ(layer->PathOf(kBackground, {after.at("d/m/inner").node.id, 0}), "d/m/inner");
}

TEST(HostMountTest, AMountWithinTheFolderIsPartOfItWithIdsOfItsOwn) {
  TempFolder folder;
  std::string skipped;
  std::thread([&] { CheckMounts(folder, skipped); }).join();
  if (!skipped.empty()) GTEST_SKIP() << skipped;
}

TEST(HostMountTest, WhatIsMountedLaterIsNoticed) {
  TempFolder folder;
  std::string skipped;
  std::thread([&] { CheckLateMount(folder, skipped); }).join();
  if (!skipped.empty()) GTEST_SKIP() << skipped;
}

}  // namespace
}  // namespace strata::vfs
