// What each Layer promises, run on all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/vfs/layer/layer_testing.h"

namespace strata::vfs {
namespace {

using ::testing::UnorderedElementsAre;

struct Backend {
  std::string name;
  bool host = false;
  std::size_t max_cached_nodes = 200'000;
  std::size_t max_open_files = 256;
  bool avoid_openat2 = false;
};

class LayerContract : public ::testing::TestWithParam<Backend> {
 protected:
  void Fill(const std::vector<MemoryEntry>& entries) {
    entries_ = entries;
    if (GetParam().host) WriteTree(folder_.path(), entries);
  }
  // Each call a layer that remembers nothing of the one before.
  std::unique_ptr<Layer> Open() {
    if (!GetParam().host) {
      auto layer = MakeMemoryLayer(entries_);
      EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
      return layer ? std::move(*layer) : nullptr;
    }
    HostLayerOptions options;
    options.markers.files = true;
    options.max_cached_nodes = GetParam().max_cached_nodes;
    options.max_open_files = GetParam().max_open_files;
    options.avoid_openat2 = GetParam().avoid_openat2;
    return OpenFolder(folder_.path(), options);
  }

  TempFolder folder_;
  std::vector<MemoryEntry> entries_;
};

const std::string kOddName = "\xff\x01 \n*.wh.";
const std::string kLongName(255, 'n');

std::vector<MemoryEntry> Tree() {
  return {MemoryFile("a", "alpha"),
          MemoryFile("d/b", "beta", 0600),
          MemoryFile("d/e/c", std::string(10'000, 'c') + "end"),
          MemoryFile("d/e/empty", ""),
          MemoryDirectory("d/e/nothing", 0700),
          MemoryDirectory("x/y/z/w"),
          MemoryFile("x/y/z/w/deep", "deep"),
          MemoryFile("x/y/" + kOddName, "odd"),
          MemoryFile("x/" + kLongName, "long"),
          MemorySymlink("s", "../../etc/passwd"),
          MemorySymlink("x/to-d", "../d"),
          MemoryLink("x/y/link-to-b", "d/b"),
          MemorySpecial("x/fifo", FileType::kFifo)};
}

TEST_P(LayerContract, AWalkShowsTheTreeAsItWasMade) {
  Fill(Tree());
  auto layer = Open();
  const auto nodes = WalkLayer(*layer);
  EXPECT_EQ(nodes.size(), entries_.size() + 6);  // "", d, d/e, x, x/y, x/y/z beside those named
  for (const MemoryEntry& entry : entries_) {
    const auto at = nodes.find(entry.path);
    ASSERT_NE(at, nodes.end()) << entry.path;
    const LayerStat& stat = at->second;
    EXPECT_EQ(stat.attributes.type, entry.type) << entry.path;
    EXPECT_FALSE(stat.whiteout || stat.opaque);
    if (!entry.link_to.empty()) continue;
    EXPECT_EQ(stat.attributes.mode, entry.mode) << entry.path;
    if (entry.type == FileType::kRegular) {
      EXPECT_EQ(stat.attributes.size, entry.content.size());
      EXPECT_EQ(ReadFromLayer(*layer, stat.node, 0, 20'000), entry.content);
    }
    if (entry.type == FileType::kSymlink) {
      EXPECT_EQ(stat.attributes.size, entry.content.size());
      EXPECT_EQ(layer->ReadLink(kBackground, stat.node), entry.content);
    }
  }
}

TEST_P(LayerContract, TheRootIsADirectoryOfNoName) {
  Fill(Tree());
  auto layer = Open();
  EXPECT_EQ(layer->Root().parent, 0u);
  auto root = layer->Stat(kBackground, layer->Root());
  ASSERT_TRUE(root);
  EXPECT_EQ(root->node, layer->Root());
  EXPECT_EQ(root->attributes.type, FileType::kDirectory);
  EXPECT_EQ(layer->PathOf(kBackground, layer->Root()), "");
  EXPECT_NE(layer->Describe(), "");
}

TEST_P(LayerContract, IdsAreUniqueInRangeAndOutliveTheLayerObject) {
  Fill(Tree());
  std::map<std::string, LayerStat> first, second;
  {
    auto layer = Open();
    first = WalkLayer(*layer);
  }
  auto layer = Open();
  second = WalkLayer(*layer);
  ASSERT_EQ(first.size(), second.size());
  std::set<std::uint64_t> ids;
  for (const auto& [path, stat] : first) {
    EXPECT_NE(stat.node.id, 0u);
    EXPECT_EQ(stat.node.id >> kLayerIdBits, 0u);
    EXPECT_EQ(stat.attributes.ino.value, stat.node.id);
    EXPECT_EQ(stat.node, second[path].node) << path;
    EXPECT_EQ(stat.generation, second[path].generation) << path;
    ids.insert(stat.node.id);
  }
  EXPECT_EQ(ids.size(), first.size() - 1) << "all but the two links of one file";
}

TEST_P(LayerContract, LinksOfAFileShareAnIdAndHaveNoParent) {
  Fill(Tree());
  auto layer = Open();
  auto one = FindInLayer(*layer, "d/b"), other = FindInLayer(*layer, "x/y/link-to-b");
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->node, other->node);
  EXPECT_EQ(one->attributes.nlink, 2u);
  EXPECT_EQ(one->node.parent, 0u);
  EXPECT_EQ(ReadFromLayer(*layer, other->node, 0, 100), "beta");
  auto path = layer->PathOf(kBackground, one->node);
  ASSERT_TRUE(path);
  EXPECT_THAT((std::vector<std::string>{"d/b", "x/y/link-to-b"}), ::testing::Contains(*path));
}

TEST_P(LayerContract, PathOfIsTheInverseOfLookup) {
  Fill(Tree());
  auto layer = Open();
  for (const auto& [path, stat] : WalkLayer(*layer)) {
    auto found = layer->PathOf(kBackground, stat.node);
    ASSERT_TRUE(found) << path;
    EXPECT_EQ(FindInLayer(*layer, *found)->node.id, stat.node.id) << path;
    if (stat.attributes.type == FileType::kDirectory || stat.attributes.nlink == 1) {
      EXPECT_EQ(*found, path);
    }
  }
}

// As after a restart: all that is left of a node is its id, and perhaps its parent's.
TEST_P(LayerContract, EachNodeIsFoundAgainByALayerThatNeverSawIt) {
  Fill(Tree());
  std::map<std::string, LayerStat> nodes;
  {
    auto layer = Open();
    nodes = WalkLayer(*layer);
  }
  for (const bool with_parent : {true, false}) {
    auto layer = Open();
    for (const auto& [path, stat] : nodes) {
      const LayerNode node{stat.node.id, with_parent ? stat.node.parent : 0};
      auto again = layer->Stat(kBackground, node);
      ASSERT_TRUE(again) << path << ": " << again.error().ToString();
      EXPECT_EQ(again->node, stat.node) << path;
      EXPECT_EQ(again->attributes.size, stat.attributes.size) << path;
      EXPECT_EQ(again->generation, stat.generation) << path;
      auto fresh = Open();
      auto where = fresh->PathOf(kBackground, node);
      ASSERT_TRUE(where) << path;
      EXPECT_EQ(FindInLayer(*fresh, *where)->node.id, node.id) << path;
      auto reader = Open();
      if (stat.attributes.type == FileType::kRegular) {
        auto content = ReadFromLayer(*reader, node, 0, 1 << 20);
        ASSERT_TRUE(content) << path;
        EXPECT_EQ(content->size(), stat.attributes.size) << path;
      } else if (stat.attributes.type == FileType::kDirectory) {
        EXPECT_TRUE(reader->ReadDirectory(kBackground, node, [](const LayerEntry&) { return true; })) << path;
        EXPECT_EQ(reader->Lookup(kBackground, node, "no such name").error().code(), Errc::kNotFound) << path;
      }
    }
  }
}

TEST_P(LayerContract, WhatIsNotThereIsNotFoundAndWhatIsNoDirectoryHoldsNothing) {
  Fill(Tree());
  auto layer = Open();
  EXPECT_EQ(layer->Lookup(kBackground, layer->Root(), "missing").error().code(), Errc::kNotFound);
  EXPECT_EQ(layer->Lookup(kBackground, layer->Root(), std::string(255, 'z')).error().code(), Errc::kNotFound);
  for (const char* path : {"a", "s", "x/fifo"}) {
    const LayerNode node = FindInLayer(*layer, path)->node;
    EXPECT_EQ(layer->Lookup(kBackground, node, "b").error().code(), Errc::kNotDirectory) << path;
    EXPECT_EQ(layer->ReadDirectory(kBackground, node, [](const LayerEntry&) { return true; }).error().code(),
              Errc::kNotDirectory);
  }
}

TEST_P(LayerContract, AnIdThatNeverWasIsStale) {
  Fill(Tree());
  auto layer = Open();
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1} << 53, (std::uint64_t{1} << 54) + 77}) {
    for (const std::uint64_t parent : {std::uint64_t{0}, layer->Root().id, id, std::uint64_t{1} << 52}) {
      const LayerNode node{id, parent};
      EXPECT_EQ(layer->Stat(kBackground, node).error().code(), Errc::kStale) << id << ' ' << parent;
      EXPECT_EQ(layer->PathOf(kBackground, node).error().code(), Errc::kStale);
      EXPECT_EQ(SizeOfRead(*layer, node, 0, 4, true, nullptr).error().code(), Errc::kStale);
      EXPECT_EQ(layer->ReadLink(kBackground, node).error().code(), Errc::kStale);
      EXPECT_EQ(layer->Lookup(kBackground, node, "a").error().code(), Errc::kStale);
    }
  }
}

TEST_P(LayerContract, ReadsBeginAnywhereAndEndWithTheFile) {
  Fill(Tree());
  auto layer = Open();
  const LayerNode node = FindInLayer(*layer, "d/e/c")->node;
  EXPECT_EQ(ReadFromLayer(*layer, node, 9'998, 4), "ccen");
  EXPECT_EQ(ReadFromLayer(*layer, node, 10'000, 100), "end");
  EXPECT_EQ(ReadFromLayer(*layer, node, 10'003, 100), "");
  EXPECT_EQ(ReadFromLayer(*layer, node, 1 << 30, 100), "");
  for (const std::uint64_t far : {0x7fff'ffff'ffff'fffeULL, 0x7fff'ffff'ffff'ffffULL, 0xffff'ffff'ffff'ffffULL}) {
    EXPECT_EQ(ReadFromLayer(*layer, node, far, 100), "") << far;
  }
  EXPECT_EQ(ReadFromLayer(*layer, node, 0, 0), "");
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "d/e/empty")->node, 0, 10), "");
}

TEST_P(LayerContract, OnlyFilesAreReadAndOnlySymlinksHaveATarget) {
  Fill(Tree());
  auto layer = Open();
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "d")->node, 0, 10).error().code(), Errc::kIsDirectory);
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "s")->node, 0, 10).error().code(), Errc::kInvalid);
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "x/fifo")->node, 0, 10).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer->ReadLink(kBackground, FindInLayer(*layer, "a")->node).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer->ReadLink(kBackground, FindInLayer(*layer, "d")->node).error().code(), Errc::kInvalid);
}

TEST_P(LayerContract, AReadThatMayNotWaitGivesAllOrSaysSo) {
  Fill(Tree());
  auto layer = Open();
  const LayerNode node = FindInLayer(*layer, "d/e/c")->node;
  std::string waited = *ReadFromLayer(*layer, node, 0, 20'000);
  StringSink sink;
  const auto got = layer->Read({.credentials = {}, .may_block = false}, node, 0, 20'000, nullptr, sink);
  if (got) {
    EXPECT_EQ(sink.data, waited);
  } else {
    EXPECT_EQ(got.error().code(), Errc::kWouldBlock);
  }
}

TEST_P(LayerContract, AVisitorStopsAListing) {
  Fill(Tree());
  auto layer = Open();
  int visits = 0;
  EXPECT_TRUE(layer->ReadDirectory(kBackground, layer->Root(), [&](const LayerEntry&) { return ++visits < 2; }));
  EXPECT_EQ(visits, 2);
}

TEST_P(LayerContract, X1MarkersAreWhiteoutsAndOpaqueDirectories) {
  Fill({MemoryFile("d/kept", ""), MemoryWhiteout("d/gone"), MemoryWhiteout("d/both"), MemoryFile("d/both", "here"),
        MemoryOpaqueDirectory("d/o"), MemoryFile("d/o/in", ""), MemoryDirectory("d/plain"), MemoryDirectory("d/beside"),
        MemoryWhiteout("d/beside")});
  auto layer = Open();
  const LayerNode directory = FindInLayer(*layer, "d")->node;
  std::multiset<std::string> listed;
  EXPECT_TRUE(layer->ReadDirectory(kBackground, directory, [&](const LayerEntry& entry) {
    listed.insert((entry.whiteout ? "-" : "+") + std::string(entry.name));
    return true;
  }));
  EXPECT_THAT(listed, UnorderedElementsAre("+kept", "-gone", "+both", "-both", "+o", "+plain", "+beside", "-beside"));
  EXPECT_TRUE(layer->Lookup(kBackground, directory, "gone")->whiteout);
  EXPECT_FALSE(layer->Lookup(kBackground, directory, "both")->whiteout);
  EXPECT_EQ(ReadFromLayer(*layer, layer->Lookup(kBackground, directory, "both")->node, 0, 10), "here");
  EXPECT_TRUE(layer->Lookup(kBackground, directory, "o")->opaque);
  EXPECT_FALSE(layer->Lookup(kBackground, directory, "plain")->opaque);
  EXPECT_TRUE(layer->Lookup(kBackground, directory, "beside")->opaque) << "beside a whiteout of its name";
  for (const char* name : {"o", "plain", "beside", "kept"}) {
    auto found = layer->Lookup(kBackground, directory, name);
    auto stat = layer->Stat(kBackground, found->node);
    ASSERT_TRUE(stat) << name;
    EXPECT_EQ(stat->attributes, found->attributes) << name;
  }
  WalkLayer(*layer);
}

TEST_P(LayerContract, ThreadsMayUseItAtOnce) {
  Fill(Tree());
  auto layer = Open();
  std::map<std::string, LayerStat> nodes;
  {
    auto other = Open();
    nodes = WalkLayer(*other);
  }
  std::atomic<int> faults = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 5; ++round) {
        for (const auto& [path, stat] : nodes) {
          const LayerNode node{stat.node.id, (t + round) % 2 == 0 ? 0 : stat.node.parent};
          auto again = layer->Stat(kBackground, node);
          if (!again || again->node.id != stat.node.id || again->attributes.size != stat.attributes.size) ++faults;
          auto found = FindInLayer(*layer, path);
          if (!found || found->node != stat.node) ++faults;
          if (stat.attributes.type != FileType::kRegular) continue;
          auto content = ReadFromLayer(*layer, node, 0, 1 << 16);
          if (!content || content->size() != stat.attributes.size) ++faults;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, 0);
}

INSTANTIATE_TEST_SUITE_P(Layers, LayerContract,
                         ::testing::Values(Backend{"Memory"}, Backend{"Host", true},
                                           Backend{"HostThatRemembersOneNode", true, 1, 1},
                                           Backend{"HostWithoutOpenat2", true, 200'000, 256, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace strata::vfs
