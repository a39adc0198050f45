// What each Layer promises, as a suite of tests: a program that includes this instantiates LayerContract with the
// layers that it has.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/vfs/layer/layer_testing.h"

namespace strata::vfs {

// A kind of layer.
struct LayerBackend {
  // Opens the layer, each time one that remembers nothing of those before.
  using Opener = std::function<std::unique_ptr<Layer>()>;

  std::string name;
  // A layer that holds the entries.
  std::function<Opener(const std::vector<MemoryEntry>& entries)> make;
  // Modes, hard links and special files are kept. Where they are not, a file or symlink has the mode 0444, a directory,
  // or a file that is executable for its owner, 0555.
  bool keeps_all = true;
  bool waits_for_disk = false;

  std::uint32_t ModeOf(const MemoryEntry& entry) const {
    if (keeps_all) return entry.mode;
    const bool executable = entry.type == FileType::kRegular && (entry.mode & 0100) != 0;
    return entry.type == FileType::kDirectory || executable ? 0555 : 0444;
  }
};
inline void PrintTo(const LayerBackend& backend, std::ostream* out) { *out << backend.name; }

class LayerContract : public ::testing::TestWithParam<LayerBackend> {
 public:
  static std::string Name(const ::testing::TestParamInfo<LayerBackend>& info) { return info.param.name; }

 protected:
  void Fill(const std::vector<MemoryEntry>& entries) {
    entries_ = entries;
    opener_ = GetParam().make(entries);
  }
  std::unique_ptr<Layer> Open() { return opener_(); }

  // With links and special files where the backend keeps them.
  std::vector<MemoryEntry> Tree() const;

  std::vector<MemoryEntry> entries_;

 private:
  LayerBackend::Opener opener_;
};

inline std::string OddName() { return "\xff\x01 \n*.wh."; }
inline std::string LongName() { return std::string(255, 'n'); }

inline std::vector<MemoryEntry> LayerContract::Tree() const {
  std::vector<MemoryEntry> tree = {MemoryFile("a", "alpha"),
                                   MemoryFile("d/b", "beta", 0600),
                                   MemoryFile("d/e/c", std::string(10'000, 'c') + "end"),
                                   MemoryFile("d/e/empty", ""),
                                   MemoryDirectory("d/e/nothing", 0700),
                                   MemoryDirectory("x/y/z/w"),
                                   MemoryFile("x/y/z/w/deep", "deep"),
                                   MemoryFile("x/y/" + OddName(), "odd"),
                                   MemoryFile("x/" + LongName(), "long"),
                                   MemorySymlink("s", "../../etc/passwd"),
                                   MemoryFile("x/run", "#!", 0755),
                                   MemorySymlink("x/to-d", "../d")};
  if (GetParam().keeps_all) {
    tree.push_back(MemoryLink("x/y/link-to-b", "d/b"));
    tree.push_back(MemorySpecial("x/fifo", FileType::kFifo));
  }
  return tree;
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
    EXPECT_EQ(stat.attributes.mode, GetParam().ModeOf(entry)) << entry.path;
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
  const std::size_t shared = GetParam().keeps_all ? 1 : 0;
  EXPECT_EQ(ids.size(), first.size() - shared) << "all but the two links of one file";
}

TEST_P(LayerContract, LinksOfAFileShareAnIdAndHaveNoParent) {
  if (!GetParam().keeps_all) GTEST_SKIP() << "it keeps no links";
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
  std::vector<std::string> paths{"a", "s"};
  if (GetParam().keeps_all) paths.push_back("x/fifo");
  for (const std::string& path : paths) {
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
      EXPECT_EQ(layer->ReadDirectory(kBackground, node, [](const LayerEntry&) { return true; }).error().code(),
                Errc::kStale);
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
  if (GetParam().keeps_all) {
    const LayerNode fifo = FindInLayer(*layer, "x/fifo")->node;
    EXPECT_EQ(ReadFromLayer(*layer, fifo, 0, 10).error().code(), Errc::kInvalid);
    EXPECT_EQ(layer->ReadLink(kBackground, fifo).error().code(), Errc::kInvalid);
  }
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

// Every method: what lies in memory is told at once, and no disk is asked by who may not wait.
TEST_P(LayerContract, WhoMayNotWaitIsToldWhatMemoryHoldsAndAsksNoDisk) {
  Fill(Tree());
  std::map<std::string, LayerStat> nodes;
  {
    auto other = Open();
    nodes = WalkLayer(*other);
  }
  auto layer = Open();
  constexpr OpContext kAtOnce{.credentials = {}, .may_block = false};
  // The second time of a layer that has just been asked for all of it.
  for (const bool warm : {false, true}) {
    if (warm) WalkLayer(*layer);
    for (const auto& [path, stat] : nodes) {
      SCOPED_TRACE(path);
      const LayerNode node = stat.node;
      const auto code = [](const auto& result) { return result ? std::optional<Errc>() : result.error().code(); };
      const auto expect = [&](std::optional<Errc> got) {
        EXPECT_EQ(got, GetParam().waits_for_disk ? std::optional(Errc::kWouldBlock) : std::nullopt);
      };
      expect(code(layer->Stat(kAtOnce, node)));
      expect(code(layer->PathOf(kAtOnce, node)));
      expect(code(layer->ListXattr(kAtOnce, node)));
      EXPECT_EQ(code(layer->GetXattr(kAtOnce, node, "user.none")),
                GetParam().waits_for_disk ? Errc::kWouldBlock : Errc::kNotFound);
      switch (stat.attributes.type) {
        case FileType::kDirectory:
          expect(code(layer->ReadDirectory(kAtOnce, node, [](const LayerEntry&) { return true; })));
          EXPECT_EQ(code(layer->Lookup(kAtOnce, node, "none")),
                    GetParam().waits_for_disk ? Errc::kWouldBlock : Errc::kNotFound);
          break;
        case FileType::kSymlink:
          expect(code(layer->ReadLink(kAtOnce, node)));
          break;
        case FileType::kRegular:
          expect(code(SizeOfRead(*layer, node, 0, 100, false, nullptr)));
          break;
        default:
          break;
      }
    }
  }
}

TEST_P(LayerContract, AVisitorStopsAListing) {
  Fill(Tree());
  auto layer = Open();
  int visits = 0;
  EXPECT_TRUE(layer->ReadDirectory(kBackground, layer->Root(), [&](const LayerEntry&) { return ++visits < 2; }));
  EXPECT_EQ(visits, 2);
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

}  // namespace strata::vfs
