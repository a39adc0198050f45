// Numbers (spec castore CA-68): each node has one, the same after a restart, found again from itself alone; whatever
// the sizes in the tree say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"

namespace strata::vfs {
namespace {

using store::SizeRule;

constexpr std::uint64_t kIdLimit = std::uint64_t{1} << 54;

// Random trees, in which sub-trees occur again at other places.
class TreeMaker {
 public:
  TreeMaker(MemoryStore& store, std::uint32_t seed, SizeRule rule) : store_(store), random_(seed), rule_(rule) {}

  store::Node Make(int depth) {
    NamedNodes entries;
    std::set<std::string> names;
    const std::uint32_t count = Below(depth == 0 ? 2 : 7);
    while (entries.size() < count) {
      const std::string name = Name();
      if (!names.insert(name).second) continue;
      entries.emplace_back(name, Child(depth));
    }
    made_.push_back(store_.PutDirectory(std::move(entries), rule_));
    return made_.back();
  }

 private:
  std::uint32_t Below(std::uint32_t limit) { return random_() % limit; }
  std::string Name() {
    std::string name(1 + Below(3), 'a');
    for (char& c : name) c = "ab\xff-.x"[Below(6)];
    return name == "." || name == ".." ? "dots" : name;
  }
  store::Node Child(int depth) {
    const std::uint32_t kind = Below(8);
    if (kind == 0) return store::Node::OfSymlink("t");
    if (kind == 1 && !made_.empty()) return made_[Below(static_cast<std::uint32_t>(made_.size()))];
    if (depth > 0 && kind < 5) return Make(depth - 1);
    return store_.PutFile(std::string(Below(4), 'f'), Below(2) == 0);
  }

  MemoryStore& store_;
  std::mt19937 random_;
  const SizeRule rule_;
  std::vector<store::Node> made_;
};

// What the tree is, by a walk of its own: paths in pre-order.
void Enumerate(MemoryStore& store, const store::Node& node, const std::string& path,
               std::vector<std::pair<std::string, store::Node>>& all) {
  all.emplace_back(path, node);
  if (node.kind != store::NodeKind::kDirectory) return;
  const auto directory = store.directories->Get({}, node.digest);
  ASSERT_TRUE(directory && *directory);
  for (std::size_t i = 0; i < (*directory)->count(); ++i) {
    const auto entry = (*directory)->At(i);
    Enumerate(store, entry.node(), path.empty() ? std::string(entry.name) : path + '/' + std::string(entry.name), all);
  }
}

class CastoreNumbers : public ::testing::TestWithParam<std::tuple<SizeRule, int>> {};

TEST_P(CastoreNumbers, CA68_EachNodeOfARandomTreeHasItsNumber) {
  const auto [rule, seed] = GetParam();
  SCOPED_TRACE("seed " + std::to_string(seed));
  MemoryStore store;
  const store::Node root = TreeMaker(store, static_cast<std::uint32_t>(seed), rule).Make(5);
  std::vector<std::pair<std::string, store::Node>> all;
  Enumerate(store, root, "", all);
  const auto nodes = WalkLayer(*OpenNode(store, root));
  ASSERT_EQ(nodes.size(), all.size());

  std::map<std::uint64_t, std::string> by_id;
  std::uint64_t before = 0;
  for (const auto& [path, node] : all) {
    const LayerStat& stat = nodes.at(path);
    EXPECT_GT(stat.node.id, before) << "numbers go up in pre-order: " << path;
    before = stat.node.id;
    by_id[stat.node.id] = path;
    EXPECT_EQ(stat.attributes.ino.value, stat.node.id);
    const std::size_t slash = path.rfind('/');
    const std::string above = slash == std::string::npos ? "" : path.substr(0, slash);
    EXPECT_EQ(stat.node.parent, path.empty() ? 0 : nodes.at(above).node.id) << path;
  }
  ASSERT_EQ(by_id.size(), all.size()) << "each its own";
  const std::uint64_t last = by_id.rbegin()->first;
  if (rule == SizeRule::kDocumented) {
    EXPECT_EQ(last, all.size()) << "dense";
  }
  EXPECT_LE(last, root.size + 1);

  // By layers that never saw anything, one of which remembers next to nothing: from the bare number, and with a parent
  // that is right, wrong or nothing.
  std::mt19937 random(static_cast<std::uint32_t>(seed));
  for (const std::size_t memory : {std::size_t{16} << 20, std::size_t{8}}) {
    const auto layer = OpenNode(store, root, {.memory_bytes = memory});
    for (std::uint64_t id = 0; id <= root.size + 3; ++id) {
      const auto known = by_id.find(id);
      const std::uint64_t parents[] = {0, id == 0 ? 0 : random() % id, random() % (root.size + 3), id,
                                       ~std::uint64_t{0}};
      for (const std::uint64_t parent : parents) {
        const auto stat = layer->Stat(kBackground, {id, parent});
        if (known == by_id.end()) {
          ASSERT_FALSE(stat) << id;
          EXPECT_EQ(stat.error().code(), Errc::kStale) << id;
          continue;
        }
        ASSERT_TRUE(stat) << id << ' ' << stat.error().ToString();
        EXPECT_EQ(stat->node, nodes.at(known->second).node);
        EXPECT_EQ(stat->attributes, nodes.at(known->second).attributes);
      }
      if (known != by_id.end()) {
        EXPECT_EQ(layer->PathOf(kBackground, Bare(id)), known->second);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Trees, CastoreNumbers,
                         ::testing::Combine(::testing::Values(SizeRule::kDocumented, SizeRule::kDoubled),
                                            ::testing::Range(1, 13)));

// With attributes numbers are dense by either rule, since the attributes go by them.
TEST(CastoreNumbersOfAttributes, CA68_TheyAreDenseByBothRules) {
  std::vector<MemoryEntry> entries;
  std::mt19937 random(7);
  for (int i = 0; i < 60; ++i) {
    std::string path;
    for (int depth = static_cast<int>(random() % 5); depth >= 0; --depth)
      path += "abcdef"[random() % 6] + std::string("/");
    MemoryEntry file = MemoryFile(path + "f" + std::to_string(i), std::string(random() % 5, 'x'));
    file.mtime.ns = i * 1'000'000'007LL;
    entries.push_back(file);
  }
  std::map<std::string, LayerStat> first;
  for (const SizeRule rule : {SizeRule::kDocumented, SizeRule::kDoubled}) {
    const StoredTree tree = StoreTree(entries, Keep::kAll, rule);
    const auto nodes = WalkLayer(*OpenStored(tree));
    std::set<std::uint64_t> ids;
    for (const auto& [path, stat] : nodes) ids.insert(stat.node.id);
    EXPECT_EQ(ids.size(), nodes.size());
    EXPECT_EQ(*ids.begin(), 1u);
    EXPECT_EQ(*ids.rbegin(), nodes.size());
    for (const MemoryEntry& entry : entries) EXPECT_EQ(nodes.at(entry.path).attributes.mtime, entry.mtime);
    if (first.empty()) first = nodes;
    for (const auto& [path, stat] : first) EXPECT_EQ(nodes.at(path).node, stat.node) << path;
    const auto layer = OpenStored(tree, {.memory_bytes = 8});
    for (const auto& [path, stat] : nodes) EXPECT_EQ(layer->PathOf(kBackground, Bare(stat.node.id)), path);
  }
}

TEST(CastoreNumbersOfSharing, CA68_ASubtreeThatIsThereAThousandTimesHasAThousandPlaces) {
  MemoryStore store;
  store::Node node = store.PutDirectory({{"f", store.PutFile("f")}});
  NamedNodes copies;
  for (int i = 0; i < 10; ++i) copies.emplace_back(std::to_string(i), node);
  for (int level = 0; level < 2; ++level) {
    node = store.PutDirectory(copies);
    for (auto& [name, copy] : copies) copy = node;
  }
  node = store.PutDirectory(copies);
  EXPECT_EQ(node.size, 10u + 100 + 1000 + 1000);
  const auto directories = std::make_shared<HookedDirectories>(store.directories);
  const auto layer = OpenWith(store.blobs, directories, {.node = node, .attributes = std::nullopt});
  std::set<std::uint64_t> ids;
  for (std::uint64_t id = 1; id <= node.size + 1; ++id) {
    const auto path = layer->PathOf(kBackground, Bare(id));
    ASSERT_TRUE(path) << id;
    EXPECT_EQ(FindInLayer(*layer, *path)->node.id, id);
    ids.insert(id);
  }
  EXPECT_EQ(layer->PathOf(kBackground, Bare(node.size + 1)), "9/9/9/f");
}

TEST(CastoreNumbersOfSharing, CA68_ATreeOfMoreNodesThanMemoryCouldHoldIsServed) {
  // 2^50 leaves, in 50 directories.
  MemoryStore store;
  store::Node node = store.PutDirectory({{"f", store.PutFile("f")}});
  for (int level = 0; level < 50; ++level) node = store.PutDirectory({{"0", node}, {"1", node}});
  ASSERT_LT(node.size, kIdLimit);
  const auto layer = OpenNode(store, node);
  std::string path;
  for (int level = 0; level < 50; ++level) path += level % 3 == 0 ? "1/" : "0/";
  path += "f";
  const auto found = FindInLayer(*layer, path);
  ASSERT_TRUE(found);
  EXPECT_EQ(OpenNode(store, node)->PathOf(kBackground, Bare(found->node.id)), path);
  EXPECT_TRUE(layer->Stat(kBackground, Bare(node.size + 1)));
  EXPECT_EQ(layer->Stat(kBackground, Bare(node.size + 2)).error().code(), Errc::kStale);
}

TEST(CastoreNumbersOfLarge, ADirectoryOf100000EntriesIsListedAndFound) {
  constexpr int kCount = 100'000;
  MemoryStore store;
  NamedNodes entries;
  const store::Node file = store.PutFile("f"), directory = store.PutDirectory({{"f", file}});
  for (int i = 0; i < kCount; ++i) entries.emplace_back("n" + std::to_string(i), i % 10 == 0 ? directory : file);
  const store::Node large = store.PutDirectory(std::move(entries));
  const store::Node root = store.PutDirectory({{"large", large}, {"z", file}});
  const auto layer = OpenNode(store, root, {.memory_bytes = 1 << 20});
  const LayerNode node = FindInLayer(*layer, "large")->node;
  const OpContext at_once{.credentials = {}, .may_block = false};
  EXPECT_EQ(layer->Lookup(at_once, node, "n5").error().code(), Errc::kWouldBlock) << "reading it takes long";
  std::map<std::string, LayerNode> listed;
  ASSERT_TRUE(layer->ReadDirectory(kBackground, node, [&](const LayerEntry& entry) {
    EXPECT_TRUE(listed.emplace(entry.name, entry.node).second);
    return true;
  }));
  EXPECT_EQ(listed.size(), static_cast<std::size_t>(kCount));
  EXPECT_EQ(layer->ReadDirectory(at_once, node, [](const LayerEntry&) { return true; }).error().code(),
            Errc::kWouldBlock);
  for (int i = 0; i < kCount; i += 997) {
    const std::string name = "n" + std::to_string(i);
    const auto found = layer->Lookup(at_once, node, name);
    ASSERT_TRUE(found) << name << ": it is in memory, though it is larger than all else may be";
    EXPECT_EQ(found->node, listed[name]);
    EXPECT_EQ(layer->PathOf(kBackground, Bare(found->node.id)), "large/" + name);
  }
  EXPECT_EQ(layer->Lookup(at_once, node, "n100000").error().code(), Errc::kNotFound);
  EXPECT_EQ(FindInLayer(*layer, "z")->node.id, large.size + 3);
}

TEST(CastoreNumbersOfLarge, ATreeOf3000LevelsIsServedToItsEnd) {
  constexpr int kLevels = 3000;
  MemoryStore store;
  store::Node node = store.PutFile("deep");
  for (int level = 0; level < kLevels; ++level) node = store.PutDirectory({{"a", store.PutFile("")}, {"d", node}});
  for (const std::size_t memory : {std::size_t{16} << 20, std::size_t{8}}) {
    const auto layer = OpenNode(store, node, {.memory_bytes = memory});
    const auto deep = layer->Stat(kBackground, Bare(node.size + 1));
    ASSERT_TRUE(deep);
    EXPECT_EQ(ReadFromLayer(*layer, deep->node, 0, 100), "deep");
    auto path = layer->PathOf(kBackground, deep->node);
    ASSERT_TRUE(path);
    EXPECT_EQ(path->size(), 2u * kLevels - 1);
    EXPECT_EQ(FindInLayer(*layer, *path)->node, deep->node);
  }
}

// ---- sizes that are not what they should be

// {bad: a directory whose edge says `size`, ok: {f}, z: a file}.
struct BadEdge {
  explicit BadEdge(std::uint64_t size) {
    const store::Node file = store.PutFile("f");
    const store::Node bad = store.PutDirectorySized({{"x", file}, {"y", store.PutDirectory({{"f", file}})}}, size);
    root = store.PutDirectory({{"bad", bad}, {"ok", store.PutDirectory({{"f", file}})}, {"z", file}});
  }
  MemoryStore store;
  store::Node root;
};

TEST(CastoreSizes, CA68_AnEdgeThatSaysAnotherSizeIsAnErrorThereAndNowhereElse) {
  // 3 by the documented rule. Too small a one would give the numbers of ok to what lies in bad.
  for (const std::uint64_t size : {0ULL, 1ULL, 2ULL, 4ULL, 6ULL, 100ULL, 1ULL << 40, (1ULL << 53) - 1}) {
    SCOPED_TRACE(size);
    BadEdge tree(size);
    const auto layer = OpenNode(tree.store, tree.root);
    const auto bad = FindInLayer(*layer, "bad");
    ASSERT_TRUE(bad);
    EXPECT_EQ(bad->attributes.size, size);
    EXPECT_EQ(layer->Lookup(kBackground, bad->node, "x").error().code(), Errc::kIo);
    EXPECT_EQ(layer->ReadDirectory(kBackground, bad->node, [](const LayerEntry&) { return true; }).error().code(),
              Errc::kIo);
    const auto f = FindInLayer(*layer, "ok/f"), z = FindInLayer(*layer, "z");
    ASSERT_TRUE(f && z);
    EXPECT_EQ(ReadFromLayer(*layer, f->node, 0, 10), "f");
    const auto fresh = OpenNode(tree.store, tree.root);
    EXPECT_EQ(fresh->PathOf(kBackground, Bare(f->node.id)), "ok/f");
    EXPECT_EQ(fresh->PathOf(kBackground, Bare(z->node.id)), "z");
    // What would lie in it cannot be told.
    if (size > 0) {
      EXPECT_EQ(fresh->Stat(kBackground, Bare(bad->node.id + 1)).error().code(), Errc::kIo);
    }
  }
  // By either rule (CA-70).
  for (const std::uint64_t size : {3ULL, 5ULL}) {
    BadEdge tree(size);
    const auto layer = OpenNode(tree.store, tree.root);
    EXPECT_TRUE(FindInLayer(*layer, "bad/y/f")) << size;
    EXPECT_EQ(WalkLayer(*layer).size(), 8u);
  }
}

TEST(CastoreSizes, CA68_SizesNearTheLastNumberAreRefused) {
  for (const std::uint64_t size :
       {kIdLimit - 1, kIdLimit, kIdLimit + 1, std::uint64_t{1} << 63, ~std::uint64_t{0} - 4}) {
    SCOPED_TRACE(size);
    BadEdge tree(size);
    // Of the root itself: 4 more, which the documented rule makes of it.
    auto opened = OpenCastoreLayer(tree.store.blobs, tree.store.directories, tree.root, std::nullopt, {});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Errc::kIo);
  }
  MemoryStore store;
  for (const std::uint64_t size : {kIdLimit, ~std::uint64_t{0} - 1, ~std::uint64_t{0}}) {
    store::Node root = store.PutDirectory({{"f", store.PutFile("f")}});
    root.size = size;
    EXPECT_EQ(OpenCastoreLayer(store.blobs, store.directories, root, std::nullopt, {}).error().code(), Errc::kIo);
  }
}

TEST(CastoreSizes, CA68_TheLargestTreeThatIsNumberedIsServed) {
  // Its last node's id is the last.
  BadEdge tree(kIdLimit - 6);
  ASSERT_EQ(tree.root.size, kIdLimit - 2);
  const auto layer = OpenNode(tree.store, tree.root);
  const auto z = FindInLayer(*layer, "z");
  ASSERT_TRUE(z);
  EXPECT_EQ(z->node.id, kIdLimit - 1);
  EXPECT_EQ(OpenNode(tree.store, tree.root)->PathOf(kBackground, Bare(z->node.id)), "z");
  EXPECT_EQ(layer->Stat(kBackground, Bare(kIdLimit)).error().code(), Errc::kStale);
}

TEST(CastoreSizes, CA70_ATreeOfBothErasIsServedWithoutAttributes) {
  MemoryStore store;
  const store::Node file = store.PutFile("f");
  const store::Node old = store.PutDirectory({{"f", file}, {"g", file}}, SizeRule::kDocumented);
  const store::Node now = store.PutDirectory({{"o", old}, {"f", file}}, SizeRule::kDoubled);
  const store::Node root = store.PutDirectory({{"a", old}, {"b", now}, {"c", file}}, SizeRule::kDocumented);
  const auto nodes = WalkLayer(*OpenNode(store, root));
  EXPECT_EQ(nodes.size(), 10u);
  std::set<std::uint64_t> ids;
  const auto layer = OpenNode(store, root);
  for (const auto& [path, stat] : nodes) {
    ids.insert(stat.node.id);
    EXPECT_EQ(layer->PathOf(kBackground, Bare(stat.node.id)), path);
  }
  EXPECT_EQ(ids.size(), nodes.size());
}

}  // namespace
}  // namespace strata::vfs
