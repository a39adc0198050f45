// A tree with its blob of attributes: what it shows of it, and that a hostile one shows nothing that is not there.
#include "store/castore/attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

MemoryEntry Owned(MemoryEntry entry, std::uint32_t uid, std::int64_t mtime) {
  entry.uid = uid;
  entry.gid = uid + 1;
  entry.mtime.ns = mtime;
  return entry;
}

std::vector<MemoryEntry> Everything() {
  MemoryEntry with_xattrs = Owned(MemoryFile("dir/x", "x", 04755), 3, 1'700'000'000'000'000'001);
  with_xattrs.xattrs = {{"user.mime_type", "text/plain"},
                        {"security.capability", std::string("\1\0\0\2", 4)},
                        {"trusted.overlay.opaque", "y"},
                        {"user.overlay.origin", "z"}};
  MemoryEntry device = Owned(MemorySpecial("dev/null", FileType::kCharacterDevice, {1, 3}, 0666), 0, 5);
  device.xattrs = {{"user.d", "device"}};
  return {Owned(MemoryDirectory("", 0711), 9, 8),
          Owned(MemoryDirectory("dir", 01777), 1, 2),
          with_xattrs,
          Owned(MemoryFile("dir/plain", "plain", 0600), 4, -1),
          Owned(MemorySymlink("dir/s", "x"), 5, 6),
          MemoryLink("dir/same", "dir/plain"),
          MemoryLink("z/same", "dir/plain"),
          Owned(MemorySymlink("z/t", "target"), 5, 6),
          MemoryLink("z/u", "z/t"),
          device,
          MemorySpecial("dev/sda", FileType::kBlockDevice, {8, 0}),
          MemorySpecial("dev/log", FileType::kSocket),
          MemorySpecial("dev/initctl", FileType::kFifo),
          MemoryFile("dev/file", "f"),
          MemorySpecial("top", FileType::kFifo)};
}

class CastoreAttributes : public ::testing::TestWithParam<store::SizeRule> {};

TEST_P(CastoreAttributes, AllThatTheEntriesSaidIsShown) {
  const StoredTree tree = StoreTree(Everything(), Keep::kAll, GetParam());
  const auto layer = OpenStored(tree, {.memory_bytes = 1});
  const auto nodes = WalkLayer(*layer);
  std::map<std::string, MemoryEntry> entries;
  for (const MemoryEntry& entry : Everything()) entries[entry.path] = entry;
  EXPECT_EQ(nodes.size(), entries.size() + 2) << "and the directories dev and z";
  for (auto [path, entry] : entries) {
    SCOPED_TRACE(path);
    const LayerStat& stat = nodes.at(path);
    const bool linked = !entry.link_to.empty();
    if (linked) entry = entries[entry.link_to];
    const Attributes& attributes = stat.attributes;
    EXPECT_EQ(attributes.type, entry.type);
    EXPECT_EQ(attributes.mode, entry.mode);
    EXPECT_EQ(attributes.uid, entry.uid);
    EXPECT_EQ(attributes.gid, entry.gid);
    EXPECT_EQ(attributes.mtime, entry.mtime);
    EXPECT_EQ(attributes.atime, entry.mtime);
    EXPECT_EQ(attributes.ctime, entry.mtime);
    EXPECT_EQ(attributes.rdev, entry.rdev);
    EXPECT_EQ(attributes.ino.value, stat.node.id);
    EXPECT_EQ(layer->Stat(kBackground, Bare(stat.node.id))->attributes, attributes);
    if (!linked) {
      EXPECT_EQ(layer->PathOf(kBackground, Bare(stat.node.id)), path);
    }
  }
  EXPECT_EQ(nodes.at("dir/plain").attributes.nlink, 3u);
  EXPECT_EQ(nodes.at("dir/plain").node, nodes.at("z/same").node);
  EXPECT_EQ(nodes.at("dir/same").node, nodes.at("z/same").node);
  EXPECT_EQ(nodes.at("dir/plain").node.parent, 0u);
  EXPECT_EQ(nodes.at("z/u").attributes.nlink, 2u);
  EXPECT_EQ(layer->ReadLink(kBackground, nodes.at("z/u").node), "target");
  EXPECT_EQ(nodes.at("dev/null").node.parent, nodes.at("dev").node.id);
}

TEST_P(CastoreAttributes, CA63_ExtendedAttributesAreThoseAndTheDigest) {
  const StoredTree tree = StoreTree(Everything(), Keep::kAll, GetParam());
  const auto layer = OpenStored(tree);
  const LayerNode x = FindInLayer(*layer, "dir/x")->node, null = FindInLayer(*layer, "dev/null")->node;
  EXPECT_THAT(*layer->ListXattr(kBackground, x),
              ElementsAre("security.capability", "user.mime_type", "user.tvix.castore.blob.digest"))
      << "without those by which an overlay marks";
  EXPECT_EQ(layer->GetXattr(kBackground, x, "security.capability"), std::string("\1\0\0\2", 4));
  EXPECT_EQ(layer->GetXattr(kBackground, x, "trusted.overlay.opaque").error().code(), Errc::kNotFound);
  EXPECT_THAT(*layer->ListXattr(kBackground, null), ElementsAre("user.d"));
  EXPECT_EQ(layer->GetXattr(kBackground, null, "user.d"), "device");
  EXPECT_EQ(layer->GetXattr(kBackground, null, "user.e").error().code(), Errc::kNotFound);
  const auto quiet = OpenStored(tree, {.show_xattr = false});
  EXPECT_THAT(*quiet->ListXattr(kBackground, x), ElementsAre("security.capability", "user.mime_type"));
}

TEST_P(CastoreAttributes, WhatNoNodeBearsIsStaleForEveryCall) {
  const StoredTree tree = StoreTree(Everything(), Keep::kAll, GetParam());
  for (const bool show_xattr : {true, false}) {
    const auto layer = OpenStored(tree, {.show_xattr = show_xattr});
    std::uint64_t last = 0;
    for (const auto& [path, stat] : WalkLayer(*layer)) last = std::max(last, stat.node.id);
    for (const std::uint64_t id : {std::uint64_t{0}, last + 1, last + 2, tree.root.node.size + 1000,
                                   std::uint64_t{1} << 54, ~std::uint64_t{0}}) {
      EXPECT_THAT(ErrorsOf(*layer, Bare(id)), ::testing::Each(Errc::kStale)) << id;
    }
  }
}

TEST_P(CastoreAttributes, ADirectoryOfManyDevicesIsListedAndSearched) {
  std::vector<MemoryEntry> entries;
  for (int i = 0; i < 3000; ++i) {
    entries.push_back(
        MemorySpecial("dev/d" + std::to_string(i), FileType::kCharacterDevice, {static_cast<std::uint32_t>(i), 7}));
  }
  const StoredTree tree = StoreTree(entries, Keep::kAll, GetParam());
  const auto blobs = std::make_shared<HookedBlobs>(tree.store.blobs);
  int reads = 0;
  blobs->read_hook = [&](const Waiting&, const store::Digest&) -> Result<void> { return ++reads, Result<void>(); };
  const auto layer = OpenWith(blobs, tree.store.directories, tree.root);
  const LayerNode dev = FindInLayer(*layer, "dev")->node;
  std::size_t listed = 0;
  EXPECT_TRUE(layer->ReadDirectory(kBackground, dev, [&](const LayerEntry&) { return ++listed > 0; }));
  EXPECT_EQ(listed, 3000u);
  EXPECT_EQ(layer->ReadDirectory({.credentials = {}, .may_block = false}, dev, [](const LayerEntry&) { return true; })
                .error()
                .code(),
            Errc::kWouldBlock);
  reads = 0;
  EXPECT_EQ(layer->Lookup(kBackground, dev, "d1234")->attributes.rdev, (DeviceNumber{1234, 7}));
  EXPECT_EQ(layer->Lookup(kBackground, dev, "d").error().code(), Errc::kNotFound);
  EXPECT_EQ(layer->Lookup(kBackground, dev, "e").error().code(), Errc::kNotFound);
  EXPECT_LT(reads, 100) << "not one by one";
}

INSTANTIATE_TEST_SUITE_P(Rules, CastoreAttributes,
                         ::testing::Values(store::SizeRule::kDocumented, store::SizeRule::kDoubled));

// What cannot be had of the attributes is an error of the layer, and never says that something is not there.
TEST(CastoreAttributesFail, AnyErrorIsEioAndALaterSuccessCounts) {
  CapturedLog log;
  const StoredTree tree = StoreTree(Everything(), Keep::kAll);
  const auto blobs = std::make_shared<HookedBlobs>(tree.store.blobs);
  const auto layer = OpenWith(blobs, tree.store.directories, tree.root, {.description = "castore:web"});
  const auto nodes = WalkLayer(*layer);
  const LayerNode dir = nodes.at("dir").node, dev = nodes.at("dev").node;
  for (int code = 0; code <= static_cast<int>(Errc::kBusy); ++code) {
    const Errc error = static_cast<Errc>(code);
    const Errc expected = error == Errc::kWouldBlock ? error : Errc::kIo;
    SCOPED_TRACE(ErrcName(error));
    blobs->read_hook = [&](const Waiting&, const store::Digest&) -> Result<void> { return Fail(error, "no luck"); };
    EXPECT_EQ(layer->Stat(kBackground, dir).error().code(), expected);
    EXPECT_EQ(layer->Lookup(kBackground, dir, "x").error().code(), expected);
    EXPECT_EQ(layer->Lookup(kBackground, dir, "none").error().code(), expected) << "it may be a device";
    EXPECT_EQ(layer->ReadDirectory(kBackground, dir, [](const LayerEntry&) { return true; }).error().code(), expected);
    EXPECT_EQ(layer->Stat(kBackground, nodes.at("dev/null").node).error().code(), expected);
    EXPECT_EQ(layer->PathOf(kBackground, nodes.at("dev/null").node).error().code(), expected);
    EXPECT_EQ(layer->ListXattr(kBackground, dir).error().code(), expected);
    blobs->read_hook = nullptr;
    EXPECT_TRUE(layer->Stat(kBackground, dir));
    EXPECT_EQ(layer->Lookup(kBackground, dir, "none").error().code(), Errc::kNotFound);
    EXPECT_TRUE(layer->Lookup(kBackground, dev, "null"));
  }
  EXPECT_THAT(log.lines().front(),
              ::testing::AllOf(HasSubstr("path=/dir "), HasSubstr(tree.root.attributes->Text()),
                               HasSubstr("hooked:blobs"), HasSubstr("castore:web"), HasSubstr("no luck")));
}

TEST(CastoreAttributesFail, AnEdgeOfAnotherSizeIsEioThereAlsoWhereTheNumbersWouldDo) {
  CapturedLog log;
  StoredTree tree = StoreTree({MemoryFile("a/b/c", "c"), MemoryFile("a/b/d", "d"), MemoryFile("z", "z")}, Keep::kAll);
  // By the other rule: plain that would do.
  const store::Node c = tree.store.PutFile("c"), d = tree.store.PutFile("d");
  const store::Node b = tree.store.PutDirectory({{"c", c}, {"d", d}}, store::SizeRule::kDoubled);
  const store::Node a = tree.store.PutDirectorySized({{"b", b}}, 3);
  const store::Node root = tree.store.PutDirectorySized({{"a", a}, {"z", tree.store.PutFile("z")}}, 5);
  std::vector<std::byte> bytes;
  const auto reader = *tree.store.blobs->Open({}, *tree.root.attributes);
  bytes.resize(reader->size());
  ASSERT_TRUE(reader->ReadAt({}, 0, bytes));
  auto header = *store::attributes_format::DecodeHeader(bytes);
  header.root = root.digest;
  std::ranges::copy(store::attributes_format::EncodeHeader(header), bytes.begin());
  const auto layer =
      OpenWith(tree.store.blobs, tree.store.directories, {.node = root, .attributes = *tree.store.blobs->Put(bytes)});
  const auto found = FindInLayer(*layer, "a");
  ASSERT_TRUE(found);
  EXPECT_EQ(layer->Lookup(kBackground, found->node, "b").error().code(), Errc::kIo);
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "z")->node, 0, 9), "z");
}

// ---- hostile ones

// Everything that can be asked, of all ids and names.
void AskEverything(Layer& layer, const std::vector<std::string>& names, std::uint64_t ids) {
  for (std::uint64_t id = 0; id < ids; ++id) {
    for (const LayerNode node : {Bare(id), LayerNode{id, id / 2}}) {
      StringSink sink;
      const auto stat = layer.Stat(kBackground, node);
      if (stat) {
        EXPECT_LT(stat->node.id, ids);
        EXPECT_EQ(stat->attributes.mode & ~std::uint32_t{kModeMask}, 0u);
      }
      (void)layer.ReadDirectory(kBackground, node, [&](const LayerEntry& entry) {
        EXPECT_LT(entry.node.id, ids);
        return true;
      });
      for (const std::string& name : names) (void)layer.Lookup(kBackground, node, name);
      (void)layer.Read(kBackground, node, 1, 3, nullptr, sink);
      (void)layer.ReadLink(kBackground, node);
      (void)layer.PathOf(kBackground, node);
      const auto xattrs = layer.ListXattr(kBackground, node);
      if (xattrs && !xattrs->empty()) {
        EXPECT_TRUE(layer.GetXattr(kBackground, node, xattrs->front()));
      }
    }
  }
}

TEST(CastoreAttributesHostile, FlippedAndCutBytesShowNothingThatIsNotThere) {
  CapturedLog log;
  StoredTree tree = StoreTree(Everything(), Keep::kAll);
  const auto reader = *tree.store.blobs->Open({}, *tree.root.attributes);
  std::vector<std::byte> whole(reader->size());
  ASSERT_TRUE(reader->ReadAt({}, 0, whole));
  std::vector<std::string> names{"x", "null", "none", "plain"};
  std::mt19937 random(1);
  int opened = 0;
  for (int round = 0; round < 1500; ++round) {
    std::vector<std::byte> bytes = whole;
    const int flips = round % 10 == 0 ? 0 : 1 + static_cast<int>(random() % 3);
    for (int i = 0; i < flips; ++i) {
      // Beyond the header, or all that is changed is its checksum.
      const std::size_t at = random() % 8 == 0 ? random() % 96 : 96 + random() % (bytes.size() - 96);
      bytes[at] = static_cast<std::byte>(random() % 3 == 0 ? 0xff : random());
    }
    if (round % 10 == 0) bytes.resize(random() % bytes.size());
    // A header that agrees with its checksum.
    if (bytes.size() >= 96 && round % 3 == 0) {
      store::attributes_format::Header header{.nodes = 0, .root = tree.root.node.digest};
      header.nodes = LoadLe<std::uint64_t>(&bytes[16]);
      header.extras = LoadLe<std::uint64_t>(&bytes[24]);
      header.specials = LoadLe<std::uint64_t>(&bytes[32]);
      header.strings = LoadLe<std::uint64_t>(&bytes[40]);
      std::ranges::copy(store::attributes_format::EncodeHeader(header), bytes.begin());
    }
    auto layer =
        OpenCastoreLayer(tree.store.blobs, tree.store.directories, tree.root.node, *tree.store.blobs->Put(bytes), {});
    if (!layer) {
      EXPECT_EQ(layer.error().code(), Errc::kIo) << layer.error().ToString();
      continue;
    }
    ++opened;
    AskEverything(**layer, names, 30);
  }
  EXPECT_GT(opened, 1000) << "most are hostile within";
}

}  // namespace
}  // namespace strata::vfs
