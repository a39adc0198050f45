// Layers merged: overlay X1, X2, X3, X4, X13, X17 and X18, and numbers that are computed.
#include "vfs/layer/lower_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/vfs/layer/layer_testing.h"
#include "vfs/layer/memory_layer.h"
#include "vfs/string_sink.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr SipHashKey kKey{0x0123456789abcdef, 0xfedcba9876543210};

std::unique_ptr<Layer> Make(const std::vector<MemoryEntry>& entries) {
  auto layer = MakeMemoryLayer(entries);
  EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
  return layer ? std::move(*layer) : nullptr;
}

// Highest first.
LowerTree Tree(const std::vector<std::vector<MemoryEntry>>& layers) {
  std::vector<std::unique_ptr<Layer>> made;
  for (const auto& entries : layers) made.push_back(Make(entries));
  return LowerTree(std::move(made), kKey);
}

Result<LowerFound> Find(LowerTree& tree, std::string_view path) {
  auto found = tree.Root(kBackground);
  while (found && !path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    found = tree.Lookup(kBackground, found->node, name);
  }
  return found;
}

std::string ReadAll(LowerTree& tree, std::string_view path) {
  auto found = Find(tree, path);
  if (!found) return std::string("!") + std::string(ErrcName(found.error().code()));
  StringSink sink;
  auto size = tree.Read(kBackground, found->node, 0, 64, nullptr, sink);
  if (!size) return std::string("!") + std::string(ErrcName(size.error().code()));
  return sink.data;
}

std::set<std::string> Names(LowerTree& tree, std::string_view path) {
  auto found = Find(tree, path);
  if (!found) return {"!" + std::string(ErrcName(found.error().code()))};
  auto listing = tree.List(kBackground, found->node);
  if (!listing) return {"!" + std::string(ErrcName(listing.error().code()))};
  std::set<std::string> names;
  for (const auto& item : listing->items) EXPECT_TRUE(names.emplace(listing->Name(item)).second) << listing->Name(item);
  return names;
}

Errc CodeOf(LowerTree& tree, std::string_view path) {
  auto found = Find(tree, path);
  return found ? Errc::kServerFault : found.error().code();
}

TEST(LowerTreeTest, X1AWhiteoutHidesTheNameInLowerLayersOnly) {
  auto tree = Tree({{MemoryFile("d/top", "1")},
                    {MemoryWhiteout("d/a"), MemoryWhiteout("d/b"), MemoryFile("d/b", "same layer")},
                    {MemoryFile("d/a", "low"), MemoryFile("d/b", "low"), MemoryFile("d/c", "low")}});
  EXPECT_EQ(CodeOf(tree, "d/a"), Errc::kNotFound);
  EXPECT_EQ(ReadAll(tree, "d/b"), "same layer");
  EXPECT_EQ(ReadAll(tree, "d/c"), "low");
  EXPECT_THAT(Names(tree, "d"), UnorderedElementsAre("top", "b", "c"));
}

TEST(LowerTreeTest, X1AnEntryAboveAWhiteoutShows) {
  auto tree = Tree({{MemoryFile("a", "high")}, {MemoryWhiteout("a")}, {MemoryFile("a", "low")}});
  EXPECT_EQ(ReadAll(tree, "a"), "high");
  EXPECT_THAT(Names(tree, ""), UnorderedElementsAre("a"));
}

TEST(LowerTreeTest, X1ADirectoryBesideAWhiteoutOfItsNameHidesTheLowerOne) {
  auto tree = Tree({{MemoryFile("d/new", "n"), MemoryWhiteout("d")}, {MemoryFile("d/old", "o")}});
  EXPECT_THAT(Names(tree, "d"), UnorderedElementsAre("new"));
  EXPECT_EQ(CodeOf(tree, "d/old"), Errc::kNotFound);
}

TEST(LowerTreeTest, X2AWhiteoutAtAnAncestorCutsOffTheWholeSubtree) {
  auto tree = Tree({{MemoryWhiteout("a")}, {MemoryFile("a/b/c", "low")}});
  EXPECT_EQ(CodeOf(tree, "a"), Errc::kNotFound);
  EXPECT_EQ(CodeOf(tree, "a/b/c"), Errc::kNotFound);
  // A layer above the whiteout starts anew.
  auto again = Tree({{MemoryFile("a/b/x", "high")}, {MemoryWhiteout("a")}, {MemoryFile("a/b/c", "low")}});
  EXPECT_THAT(Names(again, "a/b"), UnorderedElementsAre("x"));
}

TEST(LowerTreeTest, X2AFileAtAnAncestorCutsOffTheWholeSubtree) {
  auto tree = Tree({{MemoryFile("a/z", "high")}, {MemoryFile("a/b", "file")}, {MemoryFile("a/b/c", "low")}});
  EXPECT_EQ(ReadAll(tree, "a/b"), "file");
  EXPECT_EQ(CodeOf(tree, "a/b/c"), Errc::kNotDirectory);
}

TEST(LowerTreeTest, X3AFileAboveADirectoryHidesItAndADirectoryAboveAFileDoesNotMerge) {
  auto tree = Tree({{MemoryFile("f", "file"), MemoryFile("d/x", "1")},
                    {MemoryFile("f/below", "no"), MemoryFile("d", "no")},
                    {MemoryFile("d/y", "cut off by the file between")}});
  EXPECT_EQ(ReadAll(tree, "f"), "file");
  EXPECT_THAT(Names(tree, "d"), UnorderedElementsAre("x"));
  EXPECT_EQ(CodeOf(tree, "d/y"), Errc::kNotFound);
}

TEST(LowerTreeTest, X4AnOpaqueDirectoryHidesThoseBelowIt) {
  auto tree =
      Tree({{MemoryFile("d/1", "")}, {MemoryOpaqueDirectory("d"), MemoryFile("d/2", "")}, {MemoryFile("d/3", "")}});
  EXPECT_THAT(Names(tree, "d"), UnorderedElementsAre("1", "2"));
  auto found = Find(tree, "d");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->node.sources.size(), 2u);
}

TEST(LowerTreeTest, AnOpaqueRootHidesAllLayersBelow) {
  auto tree = Tree({{MemoryFile("1", "")}, {MemoryOpaqueDirectory(""), MemoryFile("2", "")}, {MemoryFile("3", "")}});
  EXPECT_THAT(Names(tree, ""), UnorderedElementsAre("1", "2"));
}

TEST(LowerTreeTest, ADirectoryThatHoldsOnlyWhiteoutsIsEmpty) {
  auto tree = Tree({{MemoryWhiteout("d/a"), MemoryWhiteout("d/b")}, {MemoryFile("d/a", ""), MemoryFile("d/b", "")}});
  EXPECT_THAT(Names(tree, "d"), IsEmpty());
}

TEST(LowerTreeTest, X13ListingsAndLookupsGiveTheSameNumbers) {
  auto tree = Tree({{MemoryFile("d/x/1", ""), MemoryOpaqueDirectory("d/o"), MemoryFile("d/f", "")},
                    {MemoryFile("d/x/2", ""), MemoryFile("d/o/2", ""), MemoryWhiteout("d/w")},
                    {MemoryFile("d/x/3", ""), MemoryDirectory("d/o"), MemoryDirectory("d/w"), MemoryDirectory("d/f"),
                     MemoryFile("d/g", ""), MemoryLink("d/h", "d/g")}});
  auto directory = Find(tree, "d");
  ASSERT_TRUE(directory);
  auto listing = tree.List(kBackground, directory->node);
  ASSERT_TRUE(listing);
  EXPECT_EQ(listing->items.size(), 5u);
  for (const auto& item : listing->items) {
    auto found = tree.Lookup(kBackground, directory->node, listing->Name(item));
    ASSERT_TRUE(found) << listing->Name(item);
    EXPECT_EQ(found->node.number, item.number) << listing->Name(item);
    EXPECT_EQ(found->attributes.ino, item.number);
    EXPECT_EQ(found->attributes.type, item.type);
    EXPECT_TRUE(LowerTree::IsLower(item.number));
    auto stat = tree.Stat(kBackground, found->node);
    ASSERT_TRUE(stat);
    EXPECT_EQ(stat->attributes, found->attributes);
    EXPECT_EQ(stat->node.number, found->node.number);
    EXPECT_EQ(stat->node.sources, found->node.sources);
  }
  EXPECT_EQ(Find(tree, "d/g")->node.number, Find(tree, "d/h")->node.number);
  EXPECT_EQ(Find(tree, "d/x")->node.sources.size(), 3u);
}

TEST(LowerTreeTest, X13NumbersStayWhenALayerIsPutOnTop) {
  const std::vector<MemoryEntry> low{MemoryFile("d/f", "x"), MemoryFile("d/e/g", "y")};
  auto before = Tree({low});
  auto after = Tree({{MemoryFile("d/e/new", "z"), MemoryFile("other", "")}, low});
  for (const char* path : {"", "d", "d/f", "d/e", "d/e/g"}) {
    auto a = Find(before, path), b = Find(after, path);
    ASSERT_TRUE(a && b) << path;
    EXPECT_EQ(a->node.number, b->node.number) << path;
    EXPECT_EQ(a->node.locator, b->node.locator) << path;
  }
  EXPECT_EQ(Find(before, "")->node.number, kRootInode);
}

TEST(LowerTreeTest, X17ListingsAreOrderedByTheKeyedHashOfTheName) {
  auto tree = Tree({{MemoryFile("a", ""), MemoryFile("b", ""), MemoryFile("c", "")},
                    {MemoryFile("d", ""), MemoryFile("b", ""), MemoryDirectory("e")}});
  auto listing = tree.List(kBackground, tree.Root(kBackground)->node);
  ASSERT_TRUE(listing);
  ASSERT_EQ(listing->items.size(), 5u);
  for (std::size_t i = 0; i < listing->items.size(); ++i) {
    const auto& item = listing->items[i];
    EXPECT_EQ(item.hash, NameHash(kKey, listing->Name(item)));
    EXPECT_GE(item.hash, kFirstNameHash);
    EXPECT_EQ(item.hash >> 63, 0u);
    if (i > 0) {
      EXPECT_LT(listing->items[i - 1].hash, item.hash);
    }
  }
}

// A layer that lists nothing, as one whose directory is gone.
class SilentLayer : public Layer {
 public:
  explicit SilentLayer(Errc code) : code_(code) {}
  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return {1, 0}; }
  Result<LayerStat> Stat(const OpContext&, const LayerNode& node) override {
    LayerStat stat;
    stat.node = node;
    stat.attributes.type = FileType::kDirectory;
    return stat;
  }
  Result<LayerStat> Lookup(const OpContext&, const LayerNode&, std::string_view) override { return Fail(code_); }
  Result<void> ReadDirectory(const OpContext&, const LayerNode&,
                             const std::function<bool(const LayerEntry&)>&) override {
    return Fail(code_);
  }
  Result<std::size_t> Read(const OpContext&, const LayerNode&, std::uint64_t, std::size_t, const LayerVersion*,
                           ReadSink&) override {
    return Fail(code_);
  }
  Result<std::string> ReadLink(const OpContext&, const LayerNode&) override { return Fail(code_); }
  Result<std::string> PathOf(const OpContext&, const LayerNode&) override { return Fail(code_); }
  std::string Describe() const override { return "silent"; }

 private:
  const LayerTraits traits_;
  Errc code_;
};

LowerTree SilentTree(Errc first, Errc second) {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::make_unique<SilentLayer>(first));
  layers.push_back(std::make_unique<SilentLayer>(second));
  return LowerTree(std::move(layers), kKey);
}

TEST(LowerTreeTest, X18WhereNoLayerListsItIsNotFound) {
  auto tree = SilentTree(Errc::kNotFound, Errc::kNotFound);
  EXPECT_EQ(tree.List(kBackground, tree.Root(kBackground)->node).error().code(), Errc::kNotFound);
  EXPECT_EQ(tree.Lookup(kBackground, tree.Root(kBackground)->node, "x").error().code(), Errc::kNotFound);
  auto gone = SilentTree(Errc::kStale, Errc::kStale);
  EXPECT_EQ(gone.List(kBackground, gone.Root(kBackground)->node).error().code(), Errc::kStale);
}

TEST(LowerTreeTest, X18AFaultOfOneLayerIsNotPassedOver) {
  auto tree = SilentTree(Errc::kNotFound, Errc::kIo);
  EXPECT_EQ(tree.List(kBackground, tree.Root(kBackground)->node).error().code(), Errc::kIo);
  EXPECT_EQ(tree.Lookup(kBackground, tree.Root(kBackground)->node, "x").error().code(), Errc::kIo);
  // Only not-found, not-a-directory and stale say something of the tree.
  auto odd = SilentTree(Errc::kInvalid, Errc::kNotFound);
  EXPECT_EQ(odd.List(kBackground, odd.Root(kBackground)->node).error().code(), Errc::kInvalid);
  EXPECT_EQ(odd.Lookup(kBackground, odd.Root(kBackground)->node, "x").error().code(), Errc::kInvalid);
}

TEST(LowerTreeTest, ResolveFindsEachNodeAgainFromItsNumberAndLocator) {
  auto tree = Tree({{MemoryFile("d/x/1", ""), MemoryFile("top", "")},
                    {MemoryFile("d/x/2", ""), MemoryFile("mid/a", "")},
                    {MemoryFile("d/x/3", ""), MemoryFile("g", ""), MemoryLink("d/h", "g"), MemorySymlink("s", "g")}});
  for (const char* path : {"d", "d/x", "d/x/1", "d/x/2", "d/x/3", "mid", "mid/a", "top", "s"}) {
    auto found = Find(tree, path);
    ASSERT_TRUE(found) << path;
    LowerNode parent;
    std::string name;
    auto again = tree.Resolve(kBackground, found->node.number, found->node.locator, &parent, &name);
    ASSERT_TRUE(again) << path << ": " << again.error().ToString();
    EXPECT_EQ(again->node.number, found->node.number);
    EXPECT_EQ(again->node.sources, found->node.sources);
    EXPECT_EQ(again->attributes, found->attributes);
    EXPECT_EQ(again->node.locator, parent.number.value) << path;
    EXPECT_EQ(tree.Lookup(kBackground, parent, name)->node.number, found->node.number) << path;
    EXPECT_TRUE(tree.Resolve(kBackground, found->node.number, 0, nullptr, nullptr)) << "without a locator: " << path;
  }
  EXPECT_EQ(tree.Resolve(kBackground, kRootInode, 0, nullptr, nullptr)->node.number, kRootInode);
}

TEST(LowerTreeTest, AnAgainNumberLeadsToItsNode) {
  auto tree =
      Tree({{MemoryFile("d/f", "f"), MemoryFile("d/g", "g"), MemoryLink("d/l", "d/g"), MemoryFile("d/e/x", "")}});
  std::set<InodeNumber> numbers;
  for (const char* path : {"d", "d/f", "d/g", "d/e", "d/e/x"}) {
    SCOPED_TRACE(path);
    auto found = Find(tree, path);
    ASSERT_TRUE(found);
    const LowerNode& node = found->node;
    const InodeNumber again = LowerTree::AgainNumber(node, found->attributes.type);
    EXPECT_TRUE(LowerTree::IsLower(again));
    EXPECT_EQ(LowerTree::OwnNumber(again), node.number);
    EXPECT_EQ(LowerTree::OwnNumber(node.number), node.number);
    EXPECT_TRUE(numbers.insert(node.number).second);
    EXPECT_TRUE(numbers.insert(again).second);
    auto resolved = tree.Resolve(kBackground, again, node.locator, nullptr, nullptr);
    ASSERT_TRUE(resolved);
    EXPECT_EQ(resolved->node.number, node.number);
    // Of another generation or type.
    for (const FileType type : {FileType::kFifo, FileType::kSocket}) {
      EXPECT_EQ(
          tree.Resolve(kBackground, LowerTree::AgainNumber(node, type), node.locator, nullptr, nullptr).error().code(),
          Errc::kStale);
    }
    LowerNode other = node;
    other.generation = Generation(7);
    EXPECT_TRUE(numbers.insert(LowerTree::AgainNumber(other, found->attributes.type)).second);
  }
}

TEST(LowerTreeTest, LargeIdsAndTheRootHaveNoAgainNumber) {
  LowerNode node;
  for (const std::uint64_t id : {std::uint64_t{1} << 40, std::uint64_t{1} << 54}) {
    node.number = InodeNumber(std::uint64_t{1} << kLayerIdBits | id);
    EXPECT_EQ(LowerTree::AgainNumber(node, FileType::kRegular), kNoInode);
  }
  node.number = kRootInode;
  EXPECT_EQ(LowerTree::AgainNumber(node, FileType::kDirectory), kNoInode);
}

TEST(LowerTreeTest, ResolveOfWhatTheLayersNoLongerShowIsStale) {
  const std::vector<MemoryEntry> low{MemoryFile("d/f", "x"), MemoryDirectory("e")};
  auto before = Tree({low});
  auto file = Find(before, "d/f")->node, directory = Find(before, "e")->node;
  auto after = Tree({{MemoryWhiteout("d"), MemoryFile("e", "a file now")}, low});
  EXPECT_EQ(after.Resolve(kBackground, file.number, file.locator, nullptr, nullptr).error().code(), Errc::kStale);
  EXPECT_EQ(after.Resolve(kBackground, directory.number, directory.locator, nullptr, nullptr).error().code(),
            Errc::kStale);
  for (const std::uint64_t number :
       {std::uint64_t{2}, std::uint64_t{1} << 63, (std::uint64_t{9} << kLayerIdBits) | 1,
        (std::uint64_t{1} << kLayerIdBits) | 999, (std::uint64_t{1} << kLayerIdBits) | 1}) {
    EXPECT_EQ(after.Resolve(kBackground, InodeNumber(number), 0, nullptr, nullptr).error().code(), Errc::kStale)
        << number;
  }
}

TEST(LowerTreeTest, ResolveFindsTheLinkThatStillShows) {
  const std::vector<MemoryEntry> low{MemoryFile("a/f", "x"), MemoryLink("b/c/g", "a/f")};
  auto before = Tree({low});
  auto file = Find(before, "a/f")->node;
  EXPECT_EQ(file.locator, 0u);
  auto after = Tree({{MemoryWhiteout("a")}, low});
  std::string name;
  auto found = after.Resolve(kBackground, file.number, file.locator, nullptr, &name);
  ASSERT_TRUE(found);
  EXPECT_EQ(name, "g");
}

TEST(LowerTreeTest, NoLayersIsNotFoundAndTooManyIsSaid) {
  LowerTree none({}, kKey);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.Root(kBackground).error().code(), Errc::kNotFound);
  std::vector<std::vector<MemoryEntry>> many(kMaxLayers, std::vector<MemoryEntry>{MemoryFile("f", "")});
  auto most = Tree(many);
  EXPECT_EQ(Find(most, "f")->node.number.value >> 63, 0u);
  EXPECT_TRUE(most.Resolve(kBackground, Find(most, "f")->node.number, 1, nullptr, nullptr));
  many.emplace_back();
  auto tree = Tree(many);
  EXPECT_EQ(tree.Root(kBackground).error().code(), Errc::kInvalid);
}

TEST(LowerTreeTest, AMergedDirectoryDoesNotCountItsLinks) {
  auto tree =
      Tree({{MemoryDirectory("d/a"), MemoryDirectory("d/b")}, {MemoryDirectory("d/b"), MemoryDirectory("d/c")}});
  EXPECT_EQ(Find(tree, "d")->attributes.nlink, 1u);
  EXPECT_EQ(Find(tree, "d/c")->attributes.nlink, 2u);
}

TEST(LowerTreeTest, ReadAndReadLinkGoToTheHighestLayer) {
  auto tree = Tree({{MemorySymlink("s", "high")}, {MemorySymlink("s", "low"), MemoryFile("f", "data")}});
  EXPECT_EQ(tree.ReadLink(kBackground, Find(tree, "s")->node), "high");
  EXPECT_EQ(ReadAll(tree, "f"), "data");
  EXPECT_EQ(ReadAll(tree, ""), "!EISDIR");
}

// 200,000 entries in one layer and, beside them, some hundred in another.
TEST(LowerTreeTest, ALargeDirectoryIsListedWholeInOrderAndInLittleMemory) {
  constexpr int kEntries = 200'000;
  constexpr int kUpper = 500;
  std::vector<MemoryEntry> low, high;
  std::size_t name_bytes = 0;
  for (int i = 0; i < kEntries; ++i) {
    low.push_back(MemoryFile("d/entry-" + std::to_string(i), ""));
    name_bytes += low.back().path.size() - 2;
  }
  for (int i = 0; i < kUpper; ++i) high.push_back(MemoryFile("d/entry-" + std::to_string(i * 7), ""));
  for (const bool merged : {false, true}) {
    auto tree = merged ? Tree({high, low}) : Tree({low});
    auto directory = Find(tree, "d");
    ASSERT_TRUE(directory);
    auto listing = tree.List(kBackground, directory->node);
    ASSERT_TRUE(listing);
    ASSERT_EQ(listing->items.size(), static_cast<std::size_t>(kEntries));
    EXPECT_LE(listing->Footprint(), 1024 + (sizeof(LowerListing::Item) * kEntries + name_bytes) * 9 / 8 + 64 * 64);
    std::vector<bool> seen(kEntries);
    for (std::size_t i = 0; i < listing->items.size(); ++i) {
      if (i > 0) {
        ASSERT_LT(listing->items[i - 1].hash, listing->items[i].hash);
      }
      const int number = std::stoi(std::string(listing->Name(listing->items[i]).substr(6)));
      ASSERT_FALSE(seen[number]);
      seen[number] = true;
    }
  }
}

TEST(MemoryLayerTest, BadListsAreRefusedWithThePath) {
  const auto code = [](std::vector<MemoryEntry> entries) {
    auto layer = MakeMemoryLayer(entries);
    return layer ? Errc::kServerFault : layer.error().code();
  };
  EXPECT_EQ(code({MemoryFile("a", ""), MemoryFile("a", "")}), Errc::kExists);
  EXPECT_EQ(code({MemoryFile("a", ""), MemoryFile("a/b", "")}), Errc::kNotDirectory);
  EXPECT_EQ(code({MemoryFile("a//b", "")}), Errc::kInvalid);
  EXPECT_EQ(code({MemoryFile("../b", "")}), Errc::kInvalid);
  EXPECT_EQ(code({MemoryLink("a", "b")}), Errc::kNotFound);
  EXPECT_EQ(code({MemoryWhiteout("")}), Errc::kInvalid);
  EXPECT_THAT(std::string(MakeMemoryLayer(std::vector{MemoryFile("x/../b", "")}).error().message()),
              ::testing::HasSubstr("x/../b"));
}

TEST(MemoryLayerTest, ReadsMayBeToldToBlock) {
  MemoryLayerOptions options;
  options.reads_block = true;
  auto layer = MakeMemoryLayer(std::vector{MemoryFile("a", "abc")}, options);
  ASSERT_TRUE(layer);
  auto node = (*layer)->Lookup(kBackground, (*layer)->Root(), "a")->node;
  EXPECT_EQ(SizeOfRead(**layer, node, 0, 8, false, nullptr).error().code(), Errc::kWouldBlock);
  EXPECT_EQ(SizeOfRead(**layer, node, 0, 8, true, nullptr), 3u);
}

}  // namespace
}  // namespace strata::vfs
