// The rules of the specification that are a layer's (spec castore 10 and 12), by their numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kA{"\0\1", 2};
constexpr std::string_view kElsewhere = "/nix/store/somewhereelse";
constexpr std::string_view kNameOfA = "00000000000000000000000000000000-test";
constexpr std::string_view kNameOfKeep = "22222222222222222222222222222222-test";
constexpr std::string_view kNameOfCompl = "33333333333333333333333333333333-test";

// 255 values, 4096 times (CA-19).
std::string BlobB() {
  std::string text;
  for (int round = 0; round < 4096; ++round) {
    for (int value = 0; value < 255; ++value) text += static_cast<char>(value);
  }
  return text;
}

// A tree that holds, under their names, what the upstream tests have as roots.
class CastoreRules : public ::testing::Test {
 protected:
  CastoreRules() {
    const store::Node empty = store_.PutFile("");
    with_keep_ = store_.PutDirectory({{".keep", empty}});
    const store::Node elsewhere = store::Node::OfSymlink(std::string(kElsewhere));
    const store::Node complicated = store_.PutDirectory({{".keep", empty}, {"aa", elsewhere}, {"keep", with_keep_}});
    root_ =
        store_.PutDirectory({{std::string(kNameOfA), store_.PutFile(kA)},
                             {"11111111111111111111111111111111-test", store::Node::OfSymlink(std::string(kNameOfA))},
                             {std::string(kNameOfKeep), with_keep_},
                             {std::string(kNameOfCompl), complicated},
                             {"44444444444444444444444444444444-test", elsewhere},
                             {"55555555555555555555555555555555-test", store_.PutFile(BlobB())},
                             {"66666666666666666666666666666666-test", store_.PutFile("Hello World!", true)}});
    layer_ = OpenNode(store_, root_, {.description = "castore:rules@memory"});
  }

  static std::string Path(char digit, std::string_view rest = "") {
    return std::string(32, digit) + "-test" + std::string(rest);
  }
  LayerStat At(const std::string& path) {
    auto found = FindInLayer(*layer_, path);
    EXPECT_TRUE(found) << path << ": " << (found ? "" : found.error().ToString());
    return found.value_or(LayerStat());
  }
  std::vector<std::string> List(const LayerNode& directory) {
    std::vector<std::string> lines;
    EXPECT_TRUE(layer_->ReadDirectory(kBackground, directory, [&](const LayerEntry& entry) {
      const char* kind = entry.type == FileType::kDirectory ? "d " : entry.type == FileType::kSymlink ? "l " : "f ";
      lines.push_back(kind + std::string(entry.name));
      return true;
    }));
    return lines;
  }

  MemoryStore store_;
  store::Node with_keep_, root_;
  std::unique_ptr<Layer> layer_;
};

TEST_F(CastoreRules, T1_AnEmptyTreeIsServed) {
  const auto layer = OpenNode(store_, store_.PutDirectory({}));
  const auto root = layer->Stat(kBackground, layer->Root());
  ASSERT_TRUE(root);
  EXPECT_EQ(root->attributes.size, 0u);
  EXPECT_EQ(WalkLayer(*layer).size(), 1u);
  EXPECT_EQ(layer->Stat(kBackground, Bare(2)).error().code(), Errc::kStale);
}

TEST_F(CastoreRules, T4_T5_T6_FilesHaveTheirSizeAndBytes) {
  EXPECT_EQ(At(Path('0')).attributes.type, FileType::kRegular);
  EXPECT_EQ(At(Path('0')).attributes.size, 2u);
  EXPECT_EQ(ReadFromLayer(*layer_, At(Path('0')).node, 0, 100), std::string(kA));
  EXPECT_EQ(At(Path('5')).attributes.size, 1'044'480u);
  EXPECT_EQ(ReadFromLayer(*layer_, At(Path('5')).node, 0, 2 << 20), BlobB());
}

TEST_F(CastoreRules, T7_T8_ASymlinkIsItsTarget) {
  const LayerStat link = At(Path('1'));
  EXPECT_EQ(link.attributes.type, FileType::kSymlink);
  EXPECT_EQ(link.attributes.size, kNameOfA.size());
  EXPECT_EQ(layer_->ReadLink(kBackground, link.node), std::string(kNameOfA));
  EXPECT_EQ(layer_->ReadLink(kBackground, At(Path('3', "/aa")).node), std::string(kElsewhere));
}

TEST_F(CastoreRules, T9_T15_CA51_ModesOwnersTimesAndLinks) {
  const std::map<std::string, std::uint32_t> modes{{"", 0555},        {Path('0'), 0444}, {Path('6'), 0555},
                                                   {Path('2'), 0555}, {Path('1'), 0444}, {Path('3', "/keep"), 0555}};
  for (const auto& [path, mode] : modes) {
    const Attributes attributes = At(path).attributes;
    EXPECT_EQ(attributes.mode, mode) << path;
    EXPECT_EQ(attributes.uid, 0u);
    EXPECT_EQ(attributes.gid, 0u);
    EXPECT_EQ(attributes.atime.ns, 0);
    EXPECT_EQ(attributes.mtime.ns, 0);
    EXPECT_EQ(attributes.ctime.ns, 0);
    // Ours: of a directory 1 says that its links are not counted.
    EXPECT_EQ(attributes.nlink, 1u);
    EXPECT_EQ(attributes.rdev, DeviceNumber());
  }
  EXPECT_EQ(At(Path('0')).attributes.used, 512u);
  EXPECT_EQ(At(Path('5')).attributes.used, 1'044'480u);
}

TEST_F(CastoreRules, CA52_ADirectorysSizeIsItsNodesAndStays) {
  EXPECT_EQ(At(Path('2')).attributes.size, 1u);
  EXPECT_EQ(At(Path('3')).attributes.size, 4u);
  EXPECT_THAT(List(At(Path('3')).node), ::testing::SizeIs(3));
  EXPECT_EQ(At(Path('3')).attributes.size, 4u) << "after its entries were read";
  EXPECT_EQ(At("").attributes.size, root_.size);
}

TEST_F(CastoreRules, T11_T12_WhatLiesDeepIsRead) {
  EXPECT_EQ(ReadFromLayer(*layer_, At(Path('2', "/.keep")).node, 0, 10), "");
  EXPECT_EQ(ReadFromLayer(*layer_, At(Path('3', "/keep/.keep")).node, 0, 10), "");
}

TEST_F(CastoreRules, T13_ADirectoryListsFilesSymlinksAndDirectoriesByName) {
  EXPECT_THAT(List(At(Path('3')).node), ElementsAre("f .keep", "l aa", "d keep"));
}

TEST_F(CastoreRules, T14_ADirectoryIsListedByALayerThatNeverSawItsParent) {
  const std::uint64_t keep = At(Path('3', "/keep")).node.id;
  layer_ = OpenNode(store_, root_);
  EXPECT_THAT(List(Bare(keep)), ElementsAre("f .keep"));
}

// Upstream shares numbers (CA-53). Ours names the place (CA-55): `..` and a client's caches are right then.
TEST_F(CastoreRules, T16_T17_T18_CA55_EqualContentsHaveTheirOwnPlaces) {
  EXPECT_NE(At(Path('2')).node.id, At(Path('3', "/keep")).node.id);
  EXPECT_NE(At(Path('3', "/.keep")).node.id, At(Path('3', "/keep/.keep")).node.id);
  EXPECT_NE(At(Path('3', "/aa")).node.id, At(Path('4')).node.id);
  EXPECT_EQ(At(Path('3', "/keep/.keep")).node.parent, At(Path('3', "/keep")).node.id);
  EXPECT_EQ(layer_->PathOf(kBackground, Bare(At(Path('3', "/keep/.keep")).node.id)), Path('3', "/keep/.keep"));
}

// Upstream the first seen of an executable and a plain file wins.
TEST_F(CastoreRules, CA53_TheSameBytesMayBeExecutableAtOnePlace) {
  const auto layer = OpenNode(
      store_, store_.PutDirectory({{"plain", store_.PutFile("#!", false)}, {"run", store_.PutFile("#!", true)}}));
  EXPECT_EQ(FindInLayer(*layer, "plain")->attributes.mode, 0444u);
  EXPECT_EQ(FindInLayer(*layer, "run")->attributes.mode, 0555u);
  EXPECT_NE(FindInLayer(*layer, "plain")->node.id, FindInLayer(*layer, "run")->node.id);
}

TEST_F(CastoreRules, CA56_LookupSaysWhyNothingIsFound) {
  const LayerNode top = layer_->Root();
  for (const std::string& name : {Path('0').substr(1), Path('0') + "t", Path('7'), std::string("a/b"), std::string()}) {
    EXPECT_EQ(layer_->Lookup(kBackground, top, name).error().code(), Errc::kNotFound) << name;
  }
  EXPECT_EQ(layer_->Lookup(kBackground, At(Path('0')).node, "a").error().code(), Errc::kNotDirectory);
  EXPECT_EQ(layer_->Lookup(kBackground, At(Path('1')).node, "a").error().code(), Errc::kNotDirectory);
}

// CA-56 and CA-57: upstream panics, or says ENOENT.
TEST_F(CastoreRules, CA56_CA57_WhatNoNodeBearsIsStaleForEveryCall) {
  for (const std::uint64_t id : {std::uint64_t{0}, root_.size + 2, root_.size + 1000, (std::uint64_t{1} << 54) - 1,
                                 std::uint64_t{1} << 54, ~std::uint64_t{0}}) {
    for (const std::uint64_t parent : {std::uint64_t{0}, std::uint64_t{1}, id, ~std::uint64_t{0}}) {
      EXPECT_THAT(ErrorsOf(*layer_, {id, parent}), ::testing::Each(Errc::kStale)) << id << ' ' << parent;
    }
  }
}

TEST_F(CastoreRules, CA57_StatusNeedsNeitherTheBlobNorTheDirectory) {
  MemoryStore empty;
  const store::Node gone = store::Node::OfDirectory(store::Digest::Of(AsBytes("gone")), 17);
  const store::Node root =
      empty.PutDirectory({{"dir", gone}, {"file", store::Node::OfFile(store::Digest::Of(AsBytes("blob")), 4)}});
  const auto directories = std::make_shared<HookedDirectories>(empty.directories);
  const auto blobs = std::make_shared<HookedBlobs>(empty.blobs);
  const auto layer = OpenWith(blobs, directories, {.node = root, .attributes = std::nullopt});
  const int gets = directories->gets;
  for (const char* name : {"dir", "file"}) {
    const auto found = layer->Lookup(kBackground, layer->Root(), name);
    ASSERT_TRUE(found);
    EXPECT_TRUE(layer->Stat(kBackground, found->node));
    EXPECT_TRUE(layer->Stat(kBackground, Bare(found->node.id)));
    EXPECT_EQ(layer->PathOf(kBackground, found->node), name);
    EXPECT_TRUE(layer->ListXattr(kBackground, found->node));
  }
  EXPECT_EQ(FindInLayer(*layer, "dir")->attributes.size, 17u);
  EXPECT_EQ(directories->gets, gets);
  EXPECT_EQ(blobs->opens, 0);
}

TEST_F(CastoreRules, CA60_CA61_CA62_EachKindIsAskedForWhatItIs) {
  const LayerNode file = At(Path('0')).node, link = At(Path('1')).node, directory = At(Path('2')).node;
  const auto all = [](const LayerEntry&) { return true; };
  EXPECT_EQ(layer_->ReadDirectory(kBackground, file, all).error().code(), Errc::kNotDirectory);
  EXPECT_EQ(layer_->ReadDirectory(kBackground, link, all).error().code(), Errc::kNotDirectory);
  EXPECT_EQ(ReadFromLayer(*layer_, directory, 0, 1).error().code(), Errc::kIsDirectory);
  EXPECT_EQ(ReadFromLayer(*layer_, layer_->Root(), 0, 1).error().code(), Errc::kIsDirectory);
  EXPECT_EQ(ReadFromLayer(*layer_, link, 0, 1).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer_->ReadLink(kBackground, file).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer_->ReadLink(kBackground, directory).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer_->ReadLink(kBackground, layer_->Root()).error().code(), Errc::kInvalid);
}

TEST_F(CastoreRules, CA61_AtTheEndAndBeyondNothingIsRead) {
  const LayerNode file = At(Path('5')).node;
  EXPECT_EQ(ReadFromLayer(*layer_, file, 1'044'479, 10)->size(), 1u);
  for (const std::uint64_t offset : {std::uint64_t{1'044'480}, std::uint64_t{1'044'481}, ~std::uint64_t{0}}) {
    EXPECT_EQ(ReadFromLayer(*layer_, file, offset, 10), "");
  }
}

TEST_F(CastoreRules, T10_CA63_DigestsAreExtendedAttributes) {
  const LayerNode keep = At(Path('2')).node, file = At(Path('0')).node, link = At(Path('1')).node;
  EXPECT_THAT(*layer_->ListXattr(kBackground, keep), ElementsAre("user.tvix.castore.directory.digest"));
  EXPECT_THAT(*layer_->ListXattr(kBackground, file), ElementsAre("user.tvix.castore.blob.digest"));
  EXPECT_THAT(*layer_->ListXattr(kBackground, link), IsEmpty());
  EXPECT_EQ(layer_->GetXattr(kBackground, keep, "user.tvix.castore.directory.digest"),
            "b3:i1tdZCtka7jtUEsIYsOUE+h+V0kUl9570HWVP3uDgQ4=");
  EXPECT_EQ(layer_->GetXattr(kBackground, file, "user.tvix.castore.blob.digest"),
            store::Digest::Of(AsBytes(kA)).Text());
  EXPECT_EQ(layer_->GetXattr(kBackground, file, "user.tvix.castore.directory.digest").error().code(), Errc::kNotFound);
  EXPECT_EQ(layer_->GetXattr(kBackground, file, "user.snix.castore.blob.digest").error().code(), Errc::kNotFound);
  EXPECT_EQ(layer_->GetXattr(kBackground, link, "user.tvix.castore.blob.digest").error().code(), Errc::kNotFound);
  // Ours: where one digest is the root, it has its own.
  EXPECT_EQ(layer_->GetXattr(kBackground, layer_->Root(), "user.tvix.castore.directory.digest"), root_.digest.Text());

  const auto quiet = OpenNode(store_, root_, {.show_xattr = false});
  EXPECT_THAT(*quiet->ListXattr(kBackground, keep), IsEmpty());
  EXPECT_EQ(quiet->GetXattr(kBackground, file, "user.tvix.castore.blob.digest").error().code(), Errc::kNotFound);
}

TEST_F(CastoreRules, T21_CA60_AMissingDirectoryFailsWhereItIsNeededAndNowhereElse) {
  const auto directories = std::make_shared<HookedDirectories>(store_.directories);
  const store::Digest keep = with_keep_.digest;
  directories->hook = [keep](const Waiting&, const store::Digest& digest) -> std::optional<HookedDirectories::Answer> {
    if (digest != keep) return std::nullopt;
    return HookedDirectories::Answer(std::nullopt);
  };
  layer_ = OpenWith(store_.blobs, directories, {.node = root_, .attributes = std::nullopt});
  const LayerStat stat = At(Path('2'));
  EXPECT_EQ(stat.attributes.type, FileType::kDirectory);
  EXPECT_EQ(layer_->ReadDirectory(kBackground, stat.node, [](const LayerEntry&) { return true; }).error().code(),
            Errc::kIo);
  EXPECT_EQ(FindInLayer(*layer_, Path('2', "/.keep")).error().code(), Errc::kIo);
  EXPECT_EQ(FindInLayer(*layer_, Path('3', "/keep/.keep")).error().code(), Errc::kIo) << "the same directory";
  EXPECT_EQ(ReadFromLayer(*layer_, At(Path('3', "/.keep")).node, 0, 10), "");
  EXPECT_THAT(List(layer_->Root()), ::testing::SizeIs(7));
}

TEST_F(CastoreRules, T22_AMissingBlobFailsWhenItIsRead) {
  MemoryStore no_blobs;
  layer_ = OpenWith(no_blobs.blobs, store_.directories, {.node = root_, .attributes = std::nullopt});
  EXPECT_EQ(At(Path('0')).attributes.size, 2u);
  EXPECT_EQ(ReadFromLayer(*layer_, At(Path('0')).node, 0, 10).error().code(), Errc::kIo);
  EXPECT_EQ(ReadFromLayer(*layer_, At(Path('2', "/.keep")).node, 0, 10), "") << "of no bytes, none are missing";
}

TEST_F(CastoreRules, TheLayerSaysWhatItIs) {
  EXPECT_TRUE(layer_->Traits().immutable);
  EXPECT_EQ(layer_->Traits().fingerprint, root_.digest.Hex());
  EXPECT_EQ(layer_->Traits().unlisted, 0u);
  EXPECT_EQ(layer_->Describe(), "castore:rules@memory");
  const auto again = OpenNode(store_, root_);
  const auto other = OpenNode(store_, store_.PutDirectory({{"x", store_.PutFile("")}}));
  EXPECT_EQ(again->Stat(kBackground, again->Root())->generation, At("").generation);
  EXPECT_NE(other->Stat(kBackground, other->Root())->generation, At("").generation);
  EXPECT_NE(At("").generation, 0u);
}

TEST(CastoreOpening, WhatIsNoTreeIsRefusedWithWhatToDo) {
  MemoryStore store;
  const auto open = [&](const store::Node& root, std::optional<store::Digest> attributes = std::nullopt) {
    auto layer = OpenCastoreLayer(store.blobs, store.directories, root, attributes, {.description = "castore:x@y"});
    return layer ? Status(Errc::kServerFault) : layer.error();
  };
  const Status file = open(store.PutFile("f"));
  EXPECT_EQ(file.code(), Errc::kNotDirectory);
  EXPECT_THAT(std::string(file.message()), ::testing::HasSubstr("castore:x@y is a file"));
  EXPECT_THAT(std::string(file.message()), ::testing::HasSubstr("--list-roots"));
  const store::Digest nothing = store::Digest::Of(AsBytes("nothing"));
  const Status missing = open(store::Node::OfDirectory(nothing, 0));
  EXPECT_EQ(missing.code(), Errc::kNotFound);
  EXPECT_THAT(std::string(missing.message()), ::testing::HasSubstr(nothing.Text()));
  EXPECT_THAT(std::string(missing.message()), ::testing::HasSubstr("strata store ls"));
  const store::Node root = store.PutDirectory({});
  const Status without = open(root, nothing);
  EXPECT_EQ(without.code(), Errc::kNotFound);
  EXPECT_THAT(std::string(without.message()), ::testing::HasSubstr("castore:" + root.digest.Text()));
  EXPECT_EQ(open(root, store.PutFile("no attributes").digest).code(), Errc::kIo);
  EXPECT_EQ(open(store::Node::OfDirectory(root.digest, 1)).code(), Errc::kIo) << "of another size";
}

TEST(CastoreOpening, ABareDigestHasTheSizeThatItsDirectorySays) {
  for (const auto rule : {store::SizeRule::kDocumented, store::SizeRule::kDoubled}) {
    for (const Keep keep : {Keep::kNodes, Keep::kAll}) {
      StoredTree tree = StoreTree({MemoryFile("a/b/c", "c"), MemoryFile("a/d", "d"), MemoryFile("e", "e")}, keep, rule);
      const auto sized = WalkLayer(*OpenStored(tree));
      tree.root.node.size = 0;
      const auto bare = WalkLayer(*OpenStored(tree));
      ASSERT_EQ(sized.size(), 6u);
      for (const auto& [path, stat] : sized) EXPECT_EQ(bare.at(path).node, stat.node) << path;
    }
  }
}

}  // namespace
}  // namespace strata::vfs
