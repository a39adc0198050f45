// A layer at a sub-directory: its ids, how it is found again, and how it takes part in a merge.
#include "vfs/layer/at_layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/vfs/layer/layer_testing.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/layer/opener.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr SipHashKey kMergedKey{1, 2};

std::unique_ptr<Layer> Memory(const std::vector<MemoryEntry>& entries) {
  auto layer = MakeMemoryLayer(entries);
  EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
  return layer ? std::move(*layer) : nullptr;
}

std::unique_ptr<Layer> At(std::unique_ptr<Layer> inner, std::string_view at) {
  auto layer = PlaceLayerAt(std::move(inner), at);
  EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
  return layer ? std::move(*layer) : nullptr;
}

std::vector<MemoryEntry> Entries() {
  return {MemoryFile("a", "alpha"), MemoryFile("d/b", "beta", 0600), MemoryFile("d/e/c", "gamma"),
          MemorySymlink("s", "d/b"), MemoryLink("d/link", "a")};
}

class AtLayerTest : public ::testing::TestWithParam<bool> {
 protected:
  // Each call a layer that remembers nothing of the one before.
  std::unique_ptr<Layer> Inner() {
    if (!GetParam()) return Memory(Entries());
    if (!written_) WriteTree(folder_.path(), Entries());
    written_ = true;
    return OpenFolder(folder_.path());
  }
  std::unique_ptr<Layer> Open() { return At(Inner(), "/p/q"); }

  TempFolder folder_;
  bool written_ = false;
};
INSTANTIATE_TEST_SUITE_P(Over, AtLayerTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Host" : "Memory"; });

TEST_P(AtLayerTest, AllThatLiesInItKeepsItsIdAndTheMadeUpDirectoriesHaveIdsOfTheirOwn) {
  const auto inner = Inner(), layer = Open();
  const auto within = WalkLayer(*inner);
  auto nodes = WalkLayer(*layer);
  ASSERT_EQ(nodes.size(), within.size() + 2);
  std::set<std::uint64_t> ids;
  for (const auto& [path, stat] : nodes) ids.insert(stat.node.id);
  EXPECT_EQ(ids.size(), nodes.size() - 1) << "all but the two links of one file";
  for (const auto& [path, stat] : within) {
    const LayerStat& found = nodes[path.empty() ? "p/q" : "p/q/" + path];
    EXPECT_EQ(found.node.id, stat.node.id) << path;
    EXPECT_EQ(found.attributes, stat.attributes) << path;
    EXPECT_EQ(found.generation, stat.generation) << path;
    EXPECT_FALSE(found.made_up);
    if (!path.empty()) {
      EXPECT_EQ(found.node.parent, stat.node.parent) << path;
    }
  }
  EXPECT_EQ(nodes["p/q"].node.parent, nodes["p"].node.id);
  EXPECT_EQ(nodes["p"].node.parent, nodes[""].node.id);
  EXPECT_EQ(nodes[""].node, layer->Root());
  for (const char* path : {"", "p"}) {
    const LayerStat& stat = nodes[path];
    EXPECT_GE(stat.node.id, kFirstFreeId);
    EXPECT_EQ(stat.node.id >> kLayerIdBits, 0u);
    EXPECT_TRUE(stat.made_up);
    EXPECT_EQ(stat.attributes.ino.value, stat.node.id);
    EXPECT_EQ(stat.attributes.mode, 0755u);
    EXPECT_EQ(stat.attributes.uid + stat.attributes.gid, 0u);
    EXPECT_EQ(stat.attributes.nlink, 3u);
    EXPECT_EQ(stat.attributes.mtime, Time{});
  }
}

// As after a restart: all that is left of a node is its id, and perhaps its parent's.
TEST_P(AtLayerTest, EachNodeIsFoundAgainByALayerThatNeverSawIt) {
  const auto nodes = WalkLayer(*Open());
  for (const bool with_parent : {true, false}) {
    for (const auto& [path, stat] : nodes) {
      const LayerNode node{stat.node.id, with_parent ? stat.node.parent : 0};
      const auto layer = Open();
      const auto again = layer->Stat(kBackground, node);
      ASSERT_TRUE(again) << path << ": " << again.error().ToString();
      EXPECT_EQ(again->node, stat.node) << path;
      EXPECT_EQ(again->generation, stat.generation) << path;
      const auto where = Open()->PathOf(kBackground, node);
      ASSERT_TRUE(where) << path;
      EXPECT_EQ(FindInLayer(*layer, *where)->node.id, node.id) << path;
      if (stat.attributes.type == FileType::kDirectory) {
        EXPECT_EQ(*where, path);
        EXPECT_EQ(Open()->Lookup(kBackground, node, "none").error().code(), Errc::kNotFound) << path;
        EXPECT_TRUE(Open()->ReadDirectory(kBackground, node, [](const LayerEntry&) { return true; })) << path;
        EXPECT_EQ(ReadFromLayer(*layer, node, 0, 1).error().code(), Errc::kIsDirectory) << path;
        EXPECT_EQ(layer->ReadLink(kBackground, node).error().code(), Errc::kInvalid) << path;
      } else if (stat.attributes.type == FileType::kRegular) {
        EXPECT_EQ(ReadFromLayer(*Open(), node, 0, 100)->size(), stat.attributes.size) << path;
      } else {
        EXPECT_EQ(Open()->ReadLink(kBackground, node), "d/b");
      }
    }
  }
}

TEST_P(AtLayerTest, AnIdThatNeverWasIsStale) {
  const auto layer = Open();
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1} << 53, kFirstFreeId + 2, kFirstFreeId + 4095}) {
    for (const std::uint64_t parent : {std::uint64_t{0}, layer->Root().id, kFirstFreeId + 1, std::uint64_t{1}}) {
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

TEST(AtLayers, AMadeUpDirectoryOfAnotherPathIsAnotherOne) {
  const auto one = At(Memory({}), "/a/x"), other = At(Memory({}), "/b/x");
  EXPECT_EQ(FindInLayer(*one, "a")->node.id, FindInLayer(*other, "b")->node.id);
  EXPECT_NE(FindInLayer(*one, "a")->generation, FindInLayer(*other, "b")->generation);
  EXPECT_NE(FindInLayer(*one, "a")->generation, 0u);
  EXPECT_EQ(FindInLayer(*one, "")->generation, FindInLayer(*other, "")->generation);
}

TEST(AtLayers, AnythingMayLieThere) {
  const auto layer = At(Memory(Entries()), "/only");
  EXPECT_EQ(WalkLayer(*layer).count("only/d/e/c"), 1u);
  EXPECT_THAT(layer->Describe(), HasSubstr(" at /only"));
  EXPECT_TRUE(layer->Traits().immutable);
  EXPECT_EQ(At(Memory({MemoryFile("a", "")}), "")->Root(), (LayerNode{1, 0})) << "no place is the layer itself";
}

TEST(AtLayers, APlaceOfAnotherFormIsRefused) {
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "/n";
  for (const std::string& at : {std::string("a"), std::string("/"), std::string("/a/"), std::string("/a//b"),
                                std::string("/.."), std::string("/a/."), std::string("/a\0b", 4), many}) {
    const auto layer = PlaceLayerAt(Memory({}), at);
    ASSERT_FALSE(layer) << at;
    EXPECT_EQ(layer.error().code(), Errc::kInvalid) << at;
  }
  EXPECT_EQ(PlaceLayerAt(Memory({}), "/" + std::string(256, 'n')).error().code(), Errc::kNameTooLong);
  const auto twice = PlaceLayerAt(At(Memory({}), "/b"), "/a");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code(), Errc::kInvalid);
}

TEST(AtLayers, TheOpenerPutsALayerWhereItsSpecSays) {
  TempFolder folder;
  WriteTree(folder.path(), Entries());
  const auto opened = LayerOpeners::Default().Open({.path = folder.path(), .at = "/p/q"}, {.memory = 1 << 20});
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(ReadFromLayer(*opened->layer, FindInLayer(*opened->layer, "p/q/d/b")->node, 0, 10), "beta");
  EXPECT_TRUE(opened->resolution.empty());
}

// Merged; highest first.
class Merged {
 public:
  explicit Merged(std::vector<std::unique_ptr<Layer>> layers) : tree_(std::move(layers), kMergedKey) {}

  Result<LowerFound> Find(std::string_view path) {
    auto found = tree_.Root(kBackground);
    while (found && !path.empty()) {
      const std::string_view name = path.substr(0, path.find('/'));
      path.remove_prefix(std::min(path.size(), name.size() + 1));
      found = tree_.Lookup(kBackground, found->node, name);
    }
    return found;
  }
  std::vector<std::string> Names(std::string_view path) {
    const auto found = Find(path);
    if (!found) return {std::string(ErrcName(found.error().code()))};
    const auto listing = tree_.List(kBackground, found->node);
    if (!listing) return {std::string(ErrcName(listing.error().code()))};
    std::vector<std::string> names;
    for (const auto& item : listing->items) {
      const std::string_view name = listing->Name(item);
      names.emplace_back(name);
      EXPECT_EQ(tree_.Lookup(kBackground, found->node, name)->node.number, item.number) << name;
    }
    return names;
  }
  std::string Content(std::string_view path) {
    const auto found = Find(path);
    if (!found) return std::string(ErrcName(found.error().code()));
    StringSink sink;
    EXPECT_TRUE(tree_.Read(kBackground, found->node, 0, 100, nullptr, sink));
    return sink.data;
  }
  LowerTree& tree() { return tree_; }

 private:
  LowerTree tree_;
};

Merged Over(std::unique_ptr<Layer> upper, std::unique_ptr<Layer> lower) {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::move(upper));
  layers.push_back(std::move(lower));
  return Merged(std::move(layers));
}

MemoryEntry Owned(MemoryEntry entry, std::uint32_t uid, Time mtime) {
  entry.uid = uid;
  entry.mtime = mtime;
  return entry;
}

TEST(AtLayerMerge, AboveOthersItsDirectoriesMergeAndTheirsTellTheAttributes) {
  Merged merged = Over(At(Memory({MemoryFile("plugin", "above"), MemoryFile("shared", "above")}), "/app/plugins"),
                       Memory({Owned(MemoryDirectory("", 0700), 5, Time{30}),
                               Owned(MemoryDirectory("app", 0710), 7, Time{20}), MemoryFile("app/main", ""),
                               MemoryFile("app/plugins/shared", "below"), MemoryFile("app/plugins/old", "below")}));
  EXPECT_THAT(merged.Names(""), ElementsAre("app"));
  EXPECT_THAT(merged.Names("app"), UnorderedElementsAre("main", "plugins"));
  EXPECT_THAT(merged.Names("app/plugins"), UnorderedElementsAre("plugin", "shared", "old"));
  EXPECT_EQ(merged.Content("app/plugins/shared"), "above");
  for (const auto& [path, uid, mode, time] :
       {std::tuple{"", 5u, 0700u, Time{30}}, std::tuple{"app", 7u, 0710u, Time{20}}}) {
    const auto found = merged.Find(path);
    EXPECT_EQ(found->attributes.uid, uid) << path;
    EXPECT_EQ(found->attributes.mode, mode) << path;
    EXPECT_EQ(found->attributes.mtime, time) << path;
    EXPECT_EQ(found->attributes.nlink, 1u) << "as of every merged directory";
    EXPECT_EQ(merged.tree().Stat(kBackground, found->node)->attributes, found->attributes) << path;
  }
}

TEST(AtLayerMerge, BeneathOthersItIsMergedAsAnyLayer) {
  Merged merged = Over(Memory({Owned(MemoryDirectory("app", 0710), 7, Time{20}), MemoryFile("app/plugins/new", "")}),
                       At(Memory({MemoryFile("plugin", "below")}), "/app/plugins"));
  EXPECT_THAT(merged.Names("app/plugins"), UnorderedElementsAre("new", "plugin"));
  EXPECT_EQ(merged.Find("app")->attributes.uid, 7u);
  EXPECT_EQ(merged.Content("app/plugins/plugin"), "below");
}

TEST(AtLayerMerge, TwoAtDifferentPlacesStandSideBySide) {
  Merged merged = Over(At(Memory({MemoryFile("f", "one")}), "/v/a"), At(Memory({MemoryFile("f", "two")}), "/v/b/c"));
  EXPECT_THAT(merged.Names("v"), UnorderedElementsAre("a", "b"));
  EXPECT_EQ(merged.Content("v/a/f"), "one");
  EXPECT_EQ(merged.Content("v/b/c/f"), "two");
  EXPECT_EQ(merged.Find("v")->attributes.mode, 0755u);
}

TEST(AtLayerMerge, X1WhiteoutsOfLayersAboveActOnIt) {
  const auto below = [] { return At(Memory({MemoryFile("f", ""), MemoryFile("g", "")}), "/app/plugins"); };
  EXPECT_THAT(Over(Memory({MemoryWhiteout("app/plugins/f")}), below()).Names("app/plugins"), ElementsAre("g"));
  EXPECT_THAT(Over(Memory({MemoryWhiteout("app/plugins")}), below()).Names("app"), IsEmpty());
  EXPECT_THAT(Over(Memory({MemoryWhiteout("app")}), below()).Names(""), IsEmpty());
  EXPECT_THAT(Over(Memory({MemoryOpaqueDirectory("app")}), below()).Names("app"), IsEmpty());
  EXPECT_THAT(Over(Memory({MemoryFile("app", "a file")}), below()).Names(""), ElementsAre("app"));
}

TEST(AtLayerMerge, X1X4ItsOwnWhiteoutsAndMarksActOnLayersBelow) {
  const auto below = [] {
    return Memory({MemoryFile("app/plugins/f", ""), MemoryFile("app/plugins/g", ""), MemoryFile("app/x", "")});
  };
  Merged deleted = Over(At(Memory({MemoryWhiteout("f")}), "/app/plugins"), below());
  EXPECT_THAT(deleted.Names("app/plugins"), ElementsAre("g"));
  Merged opaque = Over(At(Memory({MemoryOpaqueDirectory(""), MemoryFile("h", "")}), "/app/plugins"), below());
  EXPECT_THAT(opaque.Names("app/plugins"), ElementsAre("h"));
  EXPECT_THAT(opaque.Names("app"), UnorderedElementsAre("plugins", "x")) << "what is made up hides nothing";
}

TEST(AtLayerMerge, X3AFileOfALayerBelowIsHiddenByAMadeUpDirectory) {
  Merged merged = Over(At(Memory({MemoryFile("f", "shown")}), "/app/plugins"), Memory({MemoryFile("app", "hidden")}));
  EXPECT_EQ(merged.Content("app/plugins/f"), "shown");
}

TEST(AtLayerMerge, X13EachNodeIsFoundAgainFromItsNumberAndLocator) {
  const auto make = [] {
    return Over(At(Memory(Entries()), "/app/plugins"),
                Memory({MemoryFile("app/main", "m"), MemoryFile("app/plugins/d/below", "b")}));
  };
  Merged first = make();
  for (const char* path : {"app", "app/plugins", "app/plugins/a", "app/plugins/d", "app/plugins/d/b", "app/plugins/d/e",
                           "app/plugins/d/below", "app/main", "app/plugins/s"}) {
    const auto found = first.Find(path);
    ASSERT_TRUE(found) << path;
    for (const std::uint64_t locator : {found->node.locator, std::uint64_t{0}}) {
      Merged other = make();
      LowerNode parent;
      std::string name;
      const auto again = other.tree().Resolve(kBackground, found->node.number, locator, &parent, &name);
      ASSERT_TRUE(again) << path << ": " << again.error().ToString();
      EXPECT_EQ(again->node.number, found->node.number) << path;
      EXPECT_EQ(again->node.locator, found->node.locator) << path;
      EXPECT_EQ(again->node.sources, found->node.sources) << path;
      EXPECT_EQ(again->attributes, found->attributes) << path;
      if (std::string_view(path) != "app/plugins/a") {
        EXPECT_EQ(name, std::string_view(path).substr(std::string_view(path).rfind('/') + 1)) << path;
      }
    }
  }
}

}  // namespace
}  // namespace strata::vfs
