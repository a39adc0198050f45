// All roots of a store as one layer: the rules of the specification that are those of the top, names that move, and a
// store that fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/vfs/layer/castore/roots_testing.h"
#include "vfs/layer/castore/roots_table.h"

namespace strata::vfs {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr OpContext kAtOnce{.credentials = {}, .may_block = false};
const auto kAllEntries = [](const LayerEntry&) { return true; };

class RootsLayerTest : public ::testing::Test {
 protected:
  RootsLayerTest() {
    const store::Node file = kept_.store.PutFile("deep");
    kept_.Set("tree", kept_.store.PutDirectory({{"a", kept_.store.PutDirectory({{"b", file}})}, {"f", file}}));
    kept_.Set("A", kept_.store.PutFile(std::string("\0\1", 2)));
    kept_.Set("run", kept_.store.PutFile("#!", true));
    kept_.Set("link", store::Node::OfSymlink("tree/f"));
  }
  void Open() { layer_ = kept_.Open(); }
  Result<LayerStat> Top(std::string_view name) { return layer_->Lookup(kBackground, layer_->Root(), name); }
  std::vector<std::string> List() {
    std::vector<std::string> names;
    EXPECT_TRUE(layer_->ReadDirectory(kBackground, layer_->Root(), [&](const LayerEntry& entry) {
      names.emplace_back(entry.name);
      return true;
    }));
    return names;
  }

  RootStore kept_;
  std::unique_ptr<Layer> layer_;
};

TEST_F(RootsLayerTest, T1_AStoreWithoutNamesIsServed) {
  RootStore none;
  const auto layer = none.Open();
  EXPECT_EQ(WalkLayer(*layer).size(), 1u);
  EXPECT_EQ(layer->Lookup(kBackground, layer->Root(), "a").error().code(), Errc::kNotFound);
}

TEST_F(RootsLayerTest, T2_CA58_WithoutListRootsTheTopIsNotListedAndNamesAreFound) {
  kept_.options.list_roots = false;
  Open();
  EXPECT_EQ(layer_->Traits().unlisted, layer_->Root().id);
  EXPECT_EQ(layer_->ReadDirectory(kBackground, layer_->Root(), kAllEntries).error().code(), Errc::kPermission);
  EXPECT_EQ(kept_.roots->lists, 0);
  EXPECT_EQ(ReadFromLayer(*layer_, FindInLayer(*layer_, "tree/a/b")->node, 0, 10), "deep");
  EXPECT_TRUE(layer_->ReadDirectory(kBackground, Top("tree")->node, kAllEntries)) << "all else is listed";
  EXPECT_EQ(Top("none").error().code(), Errc::kNotFound);
}

TEST_F(RootsLayerTest, T3_CA51_TheTopListsEachRootAsWhatItIs) {
  Open();
  EXPECT_EQ(layer_->Traits().unlisted, 0u);
  EXPECT_FALSE(layer_->Traits().immutable);
  std::map<std::string, FileType> types;
  EXPECT_TRUE(layer_->ReadDirectory(kBackground, layer_->Root(), [&](const LayerEntry& entry) {
    types[std::string(entry.name)] = entry.type;
    EXPECT_EQ(entry.node.parent, layer_->Root().id);
    EXPECT_EQ(Top(entry.name)->node, entry.node) << entry.name;
    return true;
  }));
  const std::map<std::string, FileType> expected{{"A", FileType::kRegular},
                                                 {"link", FileType::kSymlink},
                                                 {"run", FileType::kRegular},
                                                 {"tree", FileType::kDirectory}};
  EXPECT_EQ(types, expected);
  const Attributes top = layer_->Stat(kBackground, layer_->Root())->attributes;
  EXPECT_EQ(top.mode, 0555u);
  EXPECT_EQ(top.uid, 0u);
  const Attributes file = Top("A")->attributes;
  EXPECT_EQ(file.size, 2u);
  EXPECT_EQ(file.mode, 0444u);
  EXPECT_EQ(file.mtime.ns, 0);
  EXPECT_EQ(Top("run")->attributes.mode, 0555u);
}

TEST_F(RootsLayerTest, ARootThatIsAFileOrASymlinkIsThat) {
  Open();
  const LayerNode file = Top("A")->node, link = Top("link")->node;
  EXPECT_EQ(ReadFromLayer(*layer_, file, 0, 10), std::string("\0\1", 2));
  EXPECT_EQ(layer_->ReadLink(kBackground, link), "tree/f");
  EXPECT_EQ(layer_->PathOf(kBackground, file), "A");
  EXPECT_EQ(layer_->PathOf(kBackground, Bare(link.id)), "link");
  EXPECT_EQ(layer_->Lookup(kBackground, file, "x").error().code(), Errc::kNotDirectory);
  EXPECT_EQ(layer_->ReadDirectory(kBackground, link, kAllEntries).error().code(), Errc::kNotDirectory);
  EXPECT_EQ(ReadFromLayer(*layer_, link, 0, 1).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer_->ReadLink(kBackground, file).error().code(), Errc::kInvalid);
  EXPECT_THAT(*layer_->ListXattr(kBackground, file), ElementsAre("user.tvix.castore.blob.digest"));
  EXPECT_THAT(*layer_->ListXattr(kBackground, link), IsEmpty());
}

TEST_F(RootsLayerTest, TheTopIsADirectoryAndNothingElse) {
  Open();
  EXPECT_EQ(ReadFromLayer(*layer_, layer_->Root(), 0, 1).error().code(), Errc::kIsDirectory);
  EXPECT_EQ(layer_->ReadLink(kBackground, layer_->Root()).error().code(), Errc::kInvalid);
  EXPECT_THAT(*layer_->ListXattr(kBackground, layer_->Root()), IsEmpty()) << "CA-63: it has no digest";
  EXPECT_EQ(layer_->GetXattr(kBackground, layer_->Root(), "user.tvix.castore.directory.digest").error().code(),
            Errc::kNotFound);
}

TEST_F(RootsLayerTest, T19_CA50_ANameIsThatNameAlone) {
  const std::string right(32, '0');
  kept_.Set(right + "-test", kept_.store.PutFile("A"));
  for (const bool before : {true, false}) {
    if (before) Open();
    for (const std::string& wrong :
         {right + "-tes", right.substr(1) + "-test", right + "-test2", right + "-TEST", right, right + "-test/",
          std::string("."), std::string(".."), std::string(), std::string(256, 'a'), std::string("a\0b", 3)}) {
      EXPECT_EQ(Top(wrong).error().code(), Errc::kNotFound) << wrong;
    }
    EXPECT_TRUE(Top(right + "-test"));
  }
}

TEST_F(RootsLayerTest, CA49_TheEntriesOfOneDirectoryAreRoots) {
  const auto directory = store::Directory::Make({{"x", kept_.store.PutFile("x")}, {"y", store::Node::OfSymlink("x")}});
  kept_.roots = std::make_shared<HookedRoots>(std::make_shared<store::DirectoryRootNodes>(*directory));
  Open();
  EXPECT_THAT(List(), ElementsAre("x", "y"));
  EXPECT_EQ(ReadFromLayer(*layer_, Top("x")->node, 0, 9), "x");
}

TEST_F(RootsLayerTest, CA68_NumbersOutliveTheLayerWhateverIsAskedFirst) {
  Open();
  std::map<std::string, LayerStat> first;
  for (const auto& [path, stat] : WalkLayer(*layer_)) first[path] = stat;
  std::set<std::uint64_t> ids;
  for (const auto& [path, stat] : first) ids.insert(stat.node.id);
  EXPECT_EQ(ids.size(), first.size());
  // More names, which are seen before those.
  for (int i = 0; i < 20; ++i) kept_.Set("A" + std::to_string(i), kept_.store.PutFile(std::to_string(i)));
  Open();
  EXPECT_EQ(List().size(), 24u);
  for (const auto& [path, stat] : first) {
    EXPECT_EQ(FindInLayer(*layer_, path)->node, stat.node) << path;
    Open();
    EXPECT_EQ(layer_->PathOf(kBackground, Bare(stat.node.id)), path);
    EXPECT_EQ(layer_->Stat(kBackground, Bare(stat.node.id))->generation, stat.generation);
  }
}

TEST_F(RootsLayerTest, AServerWithTheSameHomeKnowsTheHandlesOfTheOther) {
  Open();
  const auto other = kept_.Open();
  const LayerNode b = FindInLayer(*layer_, "tree/a/b")->node;
  EXPECT_EQ(other->Stat(kAtOnce, Bare(b.id)).error().code(), Errc::kWouldBlock) << "the disk has to be asked";
  EXPECT_EQ(other->PathOf(kBackground, Bare(b.id)), "tree/a/b");
}

TEST_F(RootsLayerTest, ANameThatMovesLeadsElsewhereAndHandlesOfBeforeAreStale) {
  Open();
  const LayerNode old_root = Top("tree")->node, old_b = FindInLayer(*layer_, "tree/a/b")->node;
  const auto old_tree = (*kept_.names->Get({}, "tree"))->node;
  kept_.Set("tree", kept_.store.PutDirectory({{"new", kept_.store.PutFile("new")}}));
  EXPECT_TRUE(layer_->Stat(kBackground, old_b)) << "what was asked a moment ago is believed";
  kept_.env.Pass(kSecond);
  EXPECT_THAT(ErrorsOf(*layer_, old_b), Each(Errc::kStale));
  EXPECT_THAT(ErrorsOf(*layer_, Bare(old_root.id)), Each(Errc::kStale));
  const LayerStat now = *Top("tree");
  EXPECT_NE(now.node.id, old_root.id);
  EXPECT_EQ(ReadFromLayer(*layer_, FindInLayer(*layer_, "tree/new")->node, 0, 9), "new");
  // And back: the ids of then.
  kept_.Set("tree", old_tree);
  kept_.env.Pass(kSecond);
  EXPECT_EQ(Top("tree")->node, old_root);
  EXPECT_EQ(layer_->PathOf(kBackground, Bare(old_b.id)), "tree/a/b");
  EXPECT_EQ(layer_->Stat(kBackground, now.node).error().code(), Errc::kStale);
}

TEST_F(RootsLayerTest, OtherAttributesAreAnotherTree) {
  const std::vector<MemoryEntry> entries{MemoryFile("f", "f", 0640)};
  const store::Root with = StoreRoot(kept_.store, entries, Keep::kAll, store::SizeRule::kDocumented);
  kept_.Set("t", with.node);
  Open();
  const LayerStat plain = *FindInLayer(*layer_, "t/f");
  EXPECT_EQ(plain.attributes.mode, 0444u);
  kept_.Set("t", with.node, with.attributes);
  kept_.env.Pass(kSecond);
  const LayerStat owned = *FindInLayer(*layer_, "t/f");
  EXPECT_EQ(owned.attributes.mode, 0640u);
  EXPECT_NE(owned.node.id, plain.node.id);
  EXPECT_NE(owned.generation, plain.generation);
  EXPECT_EQ(layer_->Stat(kBackground, plain.node).error().code(), Errc::kStale);
}

TEST_F(RootsLayerTest, ANameThatIsRemovedIsGoneAndItsHandlesAreStale) {
  Open();
  const LayerNode b = FindInLayer(*layer_, "tree/a/b")->node;
  ASSERT_TRUE(kept_.names->Remove("tree"));
  kept_.env.Pass(kSecond);
  EXPECT_EQ(layer_->Stat(kBackground, b).error().code(), Errc::kStale);
  EXPECT_EQ(Top("tree").error().code(), Errc::kNotFound);
  EXPECT_THAT(List(), ElementsAre("A", "link", "run"));
  kept_.Set("tree", store::Node::OfSymlink("x"));
  EXPECT_EQ(Top("tree")->attributes.type, FileType::kSymlink) << "that it was not there is not remembered";
}

TEST_F(RootsLayerTest, TheTopsTimesGoOnSoThatClientsAskAgain) {
  Open();
  const auto mtime = [&] { return layer_->Stat(kBackground, layer_->Root())->attributes.mtime.ns; };
  const std::int64_t first = mtime();
  kept_.env.Pass(kSecond / 2);
  EXPECT_EQ(mtime(), first);
  kept_.env.Pass(kSecond / 2);
  EXPECT_EQ(mtime(), first + kSecond);
}

TEST_F(RootsLayerTest, WhatMemoryKnowsIsAnsweredWithoutAskingAnybody) {
  Open();
  const LayerNode b = FindInLayer(*layer_, "tree/a/b")->node;
  const int gets = kept_.roots->gets, reads = kept_.directories->gets, opens = kept_.env.opens;
  for (int i = 0; i < 100; ++i) {
    kept_.env.Pass(kSecond / 200);
    EXPECT_TRUE(layer_->Stat(kAtOnce, Bare(b.id)));
    EXPECT_TRUE(layer_->Lookup(kAtOnce, layer_->Root(), "tree"));
    EXPECT_TRUE(layer_->PathOf(kAtOnce, b));
    EXPECT_TRUE(layer_->Stat(kAtOnce, layer_->Root()));
  }
  EXPECT_EQ(kept_.roots->gets, gets);
  EXPECT_EQ(kept_.directories->gets, reads);
  EXPECT_EQ(kept_.env.opens, opens);
  kept_.env.Pass(kSecond);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(layer_->Stat(kAtOnce, Bare(b.id)));
  EXPECT_EQ(kept_.roots->gets, gets + 1) << "once a second, of each name that is used";
}

TEST_F(RootsLayerTest, AFirstLookMayNotBeMadeAtOnceSinceItIsWritten) {
  Open();
  EXPECT_EQ(layer_->Lookup(kAtOnce, layer_->Root(), "tree").error().code(), Errc::kWouldBlock);
  EXPECT_EQ(layer_->ReadDirectory(kAtOnce, layer_->Root(), kAllEntries).error().code(), Errc::kWouldBlock);
  EXPECT_EQ(kept_.env.opens, 1) << "only to look whether there is a table";
  EXPECT_EQ(layer_->Lookup(kAtOnce, layer_->Root(), "none").error().code(), Errc::kNotFound);
  ASSERT_TRUE(Top("tree"));
  EXPECT_TRUE(layer_->Lookup(kAtOnce, layer_->Root(), "tree"));
}

// ---- failures

TEST_F(RootsLayerTest, CA56_CA58_WhereTheNamesCannotBeHadLookingUpAndListingAreEioAndKnownTreesAreServed) {
  CapturedLog log;
  for (int code = 0; code <= static_cast<int>(Errc::kBusy); ++code) {
    const Errc error = static_cast<Errc>(code);
    if (error == Errc::kWouldBlock) continue;
    SCOPED_TRACE(ErrcName(error));
    kept_.roots->hook = nullptr;
    Open();
    const LayerNode b = FindInLayer(*layer_, "tree/a/b")->node;
    kept_.roots->hook = [error](const Waiting&) -> Result<void> { return Fail(error, "names are out"); };
    kept_.env.Pass(kSecond);
    EXPECT_EQ(Top("tree").error().code(), Errc::kIo);
    EXPECT_EQ(Top("none").error().code(), Errc::kIo) << "not that it is not there";
    const Errc listing = error == Errc::kAccess ? Errc::kPermission : Errc::kIo;
    EXPECT_EQ(layer_->ReadDirectory(kBackground, layer_->Root(), kAllEntries).error().code(), listing);
    EXPECT_EQ(ReadFromLayer(*layer_, Bare(b.id), 0, 9), "deep") << "it cannot have changed";
    EXPECT_TRUE(layer_->Stat(kBackground, layer_->Root()));
    // A new server knows it from nothing.
    EXPECT_EQ(kept_.Open()->Stat(kBackground, Bare(b.id)).error().code(), Errc::kIo);
    kept_.roots->hook = nullptr;
    EXPECT_TRUE(Top("tree"));
    EXPECT_EQ(List().size(), 4u);
  }
  EXPECT_THAT(log.lines().front(),
              AllOf(HasSubstr("path=/tree "), HasSubstr("names are out"), HasSubstr("layer=castore:@memory")));
}

TEST_F(RootsLayerTest, WhereNamesFailTheyAreAskedOnceASecond) {
  CapturedLog log;
  Open();
  const LayerNode b = FindInLayer(*layer_, "tree/a/b")->node;
  kept_.roots->hook = [](const Waiting&) -> Result<void> { return Fail(Errc::kIo, "out"); };
  kept_.env.Pass(kSecond);
  const int gets = kept_.roots->gets;
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(layer_->Stat(kBackground, b));
  EXPECT_EQ(kept_.roots->gets, gets + 1);
}

TEST_F(RootsLayerTest, WhatHasToBeWaitedForIsPassedOnAndNotLogged) {
  CapturedLog log;
  Open();
  const LayerNode b = FindInLayer(*layer_, "tree/a/b")->node;
  const auto on_its_way = std::make_shared<Fetch>("names");
  kept_.roots->hook = [&](const Waiting& waiting) -> Result<void> {
    if (waiting.fetch != nullptr) *waiting.fetch = on_its_way;
    return Fail(Errc::kWouldBlock);
  };
  kept_.env.Pass(kSecond);
  std::shared_ptr<Fetch> fetch;
  const OpContext fetching{.credentials = {}, .may_block = true, .fetch = &fetch};
  EXPECT_EQ(layer_->Stat(fetching, b).error().code(), Errc::kWouldBlock);
  EXPECT_EQ(fetch, on_its_way);
  fetch = nullptr;
  EXPECT_EQ(layer_->Lookup(fetching, layer_->Root(), "tree").error().code(), Errc::kWouldBlock);
  EXPECT_EQ(fetch, on_its_way);
  EXPECT_EQ(layer_->ReadDirectory(fetching, layer_->Root(), kAllEntries).error().code(), Errc::kWouldBlock);
  EXPECT_EQ(layer_->Stat(kAtOnce, b).error().code(), Errc::kWouldBlock);
  kept_.roots->hook = nullptr;
  EXPECT_TRUE(layer_->Stat(kAtOnce, b));
  EXPECT_THAT(log.lines(), IsEmpty());
}

TEST_F(RootsLayerTest, T21_ARootWhoseDirectoryIsMissingHasAStatusAndNoEntries) {
  CapturedLog log;
  kept_.Set("gone", store::Node::OfDirectory(store::Digest::Of(AsBytes("gone")), 3));
  Open();
  EXPECT_EQ(List().size(), 5u);
  const auto gone = Top("gone");
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->attributes.size, 3u);
  EXPECT_EQ(layer_->Lookup(kBackground, gone->node, "x").error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), HasSubstr("path=/gone "));
  EXPECT_EQ(layer_->Stat(kBackground, Bare(gone->node.id + 1)).error().code(), Errc::kIo);
  EXPECT_TRUE(FindInLayer(*layer_, "tree/a/b"));
}

TEST_F(RootsLayerTest, ARootWhoseAttributesAreMissingIsEioAndAllElseIsServed) {
  CapturedLog log;
  const store::Digest nothing = store::Digest::Of(AsBytes("nothing"));
  kept_.Set("t", kept_.store.PutDirectory({{"x", kept_.store.PutFile("")}}), nothing);
  Open();
  EXPECT_EQ(List().size(), 5u);
  EXPECT_EQ(Top("t").error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), AllOf(HasSubstr("path=/t "), HasSubstr(nothing.Text()), HasSubstr("hooked:blobs")));
  EXPECT_TRUE(FindInLayer(*layer_, "tree/a/b"));
}

TEST_F(RootsLayerTest, CA68_ARootThatIsLargerThanAnyTreeIsRefusedAndNotListed) {
  CapturedLog log;
  for (const std::uint64_t size : {kMostNodesOfRoot, std::uint64_t{1} << 54, ~std::uint64_t{0}}) {
    kept_.Set("large", store::Node::OfDirectory(store::Digest::Of(AsBytes("large")), size));
    kept_.env.Pass(kSecond);
    Open();
    EXPECT_EQ(Top("large").error().code(), Errc::kIo);
    EXPECT_THAT(log.lines().back(), AllOf(HasSubstr("path=/large "), HasSubstr("set the name anew")));
    EXPECT_THAT(List(), ElementsAre("A", "link", "run", "tree"));
  }
  kept_.Set("large", store::Node::OfDirectory(store::Digest::Of(AsBytes("large")), kMostNodesOfRoot - 1));
  Open();
  EXPECT_TRUE(Top("large"));
}

TEST_F(RootsLayerTest, CA68_ARootThatIsLargerThanItsRangeIsRefused) {
  CapturedLog log;
  const store::Root with = StoreRoot(kept_.store, {MemorySpecial("null", FileType::kCharacterDevice, {1, 3})},
                                     Keep::kAll, store::SizeRule::kDocumented);
  kept_.Set("dev", with.node, with.attributes);
  Open();
  ASSERT_TRUE(Top("dev"));
  // As another program may have written it.
  layer_ = nullptr;
  auto table = castore::RootsTable::Open(Env::System(), kept_.home.path());
  castore::RootRange range;
  for (std::uint64_t id = 2; const auto* found = (*table)->OwnerOf(id); id += found->ids) {
    if (found->name == "dev") range = *found;
  }
  ASSERT_EQ(range.name, "dev");
  EXPECT_GT(range.ids, 1u << 20);
  range.ids = 1;
  std::string bytes(AsText(castore::roots_format::EncodeHeader()));
  bytes += AsText(castore::roots_format::EncodeFrame(bytes.size(), {&range, 1}));
  std::ofstream(kept_.home / "roots.table", std::ios::binary | std::ios::trunc) << bytes;
  Open();
  EXPECT_EQ(Top("dev").error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), AllOf(HasSubstr("path=/dev "), HasSubstr("only 1 numbers")));
  EXPECT_TRUE(Top("tree"));
}

TEST_F(RootsLayerTest, WithAttributesDevicesAndLinksAreNumberedWithinTheRange) {
  const std::vector<MemoryEntry> entries{MemoryFile("a/f", "f"), MemoryLink("b/g", "a/f"),
                                         MemorySpecial("a/null", FileType::kCharacterDevice, {1, 3}),
                                         MemorySpecial("z", FileType::kFifo)};
  for (const auto rule : {store::SizeRule::kDocumented, store::SizeRule::kDoubled}) {
    const store::Root root = StoreRoot(kept_.store, entries, Keep::kAll, rule);
    kept_.Set(rule == store::SizeRule::kDoubled ? "doubled" : "documented", root.node, root.attributes);
  }
  Open();
  std::set<std::uint64_t> ids;
  const auto nodes = WalkLayer(*layer_);
  for (const auto& [path, stat] : nodes) ids.insert(stat.node.id);
  EXPECT_EQ(nodes.size(), 1u + 3 + 4 + 2 * 7);
  EXPECT_EQ(ids.size(), nodes.size() - 2) << "two names of a file, twice";
  EXPECT_EQ(nodes.at("doubled/a/f").node, nodes.at("doubled/b/g").node);
  EXPECT_EQ(nodes.at("doubled/b/g").attributes.nlink, 2u);
  EXPECT_EQ(nodes.at("documented/a/null").attributes.rdev, (DeviceNumber{1, 3}));
  Open();
  for (const auto& [path, stat] : nodes) {
    const auto found = layer_->Stat(kBackground, Bare(stat.node.id));
    ASSERT_TRUE(found) << path;
    if (!path.empty()) {
      EXPECT_EQ(found->attributes, stat.attributes) << path;
    }
  }
}

TEST_F(RootsLayerTest, ATreeThatIsOpenedAgainGoesOnWithWhatIsKeptOfIt) {
  constexpr int kCount = 20;
  kept_.options.trees.memory_bytes = 64 << 10;  // of trees that are open, for seven
  for (int i = 0; i < kCount; ++i) {
    const store::Root root = StoreRoot(kept_.store, {MemoryFile("a/b/f" + std::to_string(i), "f", 0640)}, Keep::kAll,
                                       i % 2 == 0 ? store::SizeRule::kDocumented : store::SizeRule::kDoubled);
    kept_.Set("t" + std::to_string(i), root.node, root.attributes);
  }
  Open();
  std::vector<LayerNode> inner;
  for (int i = 0; i < kCount; ++i) inner.push_back(FindInLayer(*layer_, "t" + std::to_string(i) + "/a")->node);
  const int opens = kept_.blobs->opens;
  for (int i = 0; i < kCount; ++i) {
    const auto b = layer_->Lookup(kBackground, inner[static_cast<std::size_t>(i)], "b");
    ASSERT_TRUE(b) << i << ' ' << b.error().ToString();
    const auto file = layer_->Lookup(kBackground, b->node, "f" + std::to_string(i));
    ASSERT_TRUE(file) << i;
    EXPECT_EQ(file->attributes.mode, 0640u);
  }
  EXPECT_GT(kept_.blobs->opens, opens + kCount / 2) << "their attributes were opened again";
}

TEST_F(RootsLayerTest, ATableThatCannotBeWrittenIsEioForNewRootsAndKnownOnesAreServed) {
  CapturedLog log;
  Open();
  const LayerNode b = FindInLayer(*layer_, "tree/a/b")->node;
  // A folder of the name is no file.
  std::filesystem::remove(kept_.home / "roots.lock");
  std::filesystem::create_directory(kept_.home / "roots.lock");
  EXPECT_EQ(Top("A").error().code(), Errc::kIo);
  EXPECT_THAT(log.lines().back(), AllOf(HasSubstr("roots.table"), HasSubstr("look after its disk")));
  EXPECT_EQ(layer_->ReadDirectory(kBackground, layer_->Root(), kAllEntries).error().code(), Errc::kIo);
  EXPECT_EQ(ReadFromLayer(*layer_, b, 0, 9), "deep");
  std::filesystem::remove(kept_.home / "roots.lock");
  EXPECT_TRUE(Top("A"));
}

TEST_F(RootsLayerTest, NamesThatNoDirectoryCouldHoldAreNotListed) {
  class Odd final : public store::RootNodes {
   public:
    Result<std::optional<store::Root>> Get(const Waiting&, std::string_view) override { return std::nullopt; }
    Result<void> List(const Waiting&, const std::function<bool(std::string_view, const store::Root&)>& visit) override {
      for (const std::string_view name : {".", "..", "a/b", "", "ok"}) {
        visit(name, {.node = store::Node::OfSymlink("t"), .attributes = std::nullopt});
      }
      return {};
    }
  };
  kept_.roots = std::make_shared<HookedRoots>(std::make_shared<Odd>());
  Open();
  EXPECT_THAT(List(), ElementsAre("ok"));
}

TEST_F(RootsLayerTest, ManyRootsAreListedAndFound) {
  constexpr int kCount = 20'000;
  for (int i = 0; i < kCount; ++i) kept_.Set("n" + std::to_string(i), store::Node::OfSymlink(std::to_string(i)));
  Open();
  EXPECT_EQ(List().size(), kCount + 4u);
  Open();
  std::set<std::uint64_t> ids;
  EXPECT_TRUE(layer_->ReadDirectory(kAtOnce, layer_->Root(), [&](const LayerEntry& entry) {
    return ids.insert(entry.node.id).second;
  })) << "nothing is new";
  EXPECT_EQ(ids.size(), kCount + 4u);
  for (int i = 0; i < kCount; i += 1999) {
    const auto found = Top("n" + std::to_string(i));
    ASSERT_TRUE(found);
    EXPECT_EQ(layer_->ReadLink(kBackground, Bare(found->node.id)), std::to_string(i));
  }
}

TEST_F(RootsLayerTest, ThreadsLookWhileNamesMove) {
  kept_.options.recheck_after_ns = 0;
  Open();
  const store::Node one = kept_.store.PutDirectory({{"f", kept_.store.PutFile("one")}});
  const store::Node two = kept_.store.PutDirectory({{"e", kept_.store.PutFile("")}, {"f", kept_.store.PutFile("two")}});
  kept_.Set("moving", one);
  std::atomic<int> faults{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (!done) {
        const auto found = FindInLayer(*layer_, "moving/f");
        if (!found && found.error().code() != Errc::kStale && found.error().code() != Errc::kNotFound) ++faults;
        if (!found) continue;
        const auto text = ReadFromLayer(*layer_, found->node, 0, 9);
        if (!text && text.error().code() != Errc::kStale) ++faults;
        if (text && *text != "one" && *text != "two") ++faults;
        if (!FindInLayer(*layer_, "tree/a/b")) ++faults;
      }
    });
  }
  for (int i = 0; i < 200; ++i) kept_.Set("moving", i % 2 == 0 ? two : one);
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, 0);
}

}  // namespace
}  // namespace strata::vfs
