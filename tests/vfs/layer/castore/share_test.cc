// What is equal shows one inode number, where that is asked for (spec castore CA-53, CA-55, T16 to T18).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "tests/vfs/layer/castore/roots_testing.h"
#include "tests/vfs/workspace/subject.h"
#include "vfs/layer/at_layer.h"

namespace strata::vfs::testing {
namespace {

constexpr std::uint64_t kSharedBit = std::uint64_t{1} << 62;

// The roots that the upstream tests have, by their names, served as they are.
class CastoreShare : public ::testing::Test, public FileSystemHolder {
 protected:
  CastoreShare() {
    const store::Node empty = kept_.store.PutFile("");
    const store::Node elsewhere = store::Node::OfSymlink("/nix/store/somewhereelse");
    const store::Node with_keep = kept_.store.PutDirectory({{".keep", empty}});
    complicated_ = kept_.store.PutDirectory({{".keep", empty}, {"aa", elsewhere}, {"keep", with_keep}});
    kept_.Set("KEEP", with_keep);
    kept_.Set("COMPL", complicated_);
    kept_.Set("SYM2", elsewhere);
    kept_.Set("A", kept_.store.PutFile("\1\2"));
    kept_.Set("HELLO", kept_.store.PutFile("Hello World!", true));
    kept_.Set("plain", kept_.store.PutFile("Hello World!", false));
    // Its bytes are the target of a symlink.
    kept_.Set("like", kept_.store.PutFile("/nix/store/somewhereelse"));
    kept_.options.trees.share_key = SipHashKey{1, 2};
    keys_ = {.volume_id = 7, .handle_key = {3, 4}, .name_key = {5, 6}};
  }
  void Open(std::unique_ptr<Layer> layer) {
    workspace_.reset();
    auto opened = Workspace::OpenAsItIs(Env::System(), std::move(layer), keys_, TestOptions());
    ASSERT_OK(opened);
    workspace_ = std::move(*opened);
  }
  void OpenRoots() { Open(kept_.Open()); }
  std::unique_ptr<Layer> OpenTree(const store::Root& root, std::optional<SipHashKey> key = SipHashKey{1, 2}) {
    return OpenWith(kept_.blobs, kept_.directories, root, {.share_key = key});
  }
  std::uint64_t Shown(const std::string& path) { return client_.StatOf(path).ino.value; }
  FileSystem& fs() override { return *workspace_; }

  RootStore kept_;
  store::Node complicated_;
  VolumeKeys keys_;
  std::unique_ptr<Workspace> workspace_;
  Client client_{*this};
};

TEST_F(CastoreShare, T16_T17_T18_WhatIsEqualShowsOneNumber) {
  OpenRoots();
  EXPECT_EQ(Shown("KEEP"), Shown("COMPL/keep")) << "T16";
  EXPECT_EQ(Shown("COMPL/.keep"), Shown("COMPL/keep/.keep")) << "T17";
  EXPECT_EQ(Shown("COMPL/aa"), Shown("SYM2")) << "T18";
  EXPECT_EQ(Shown("KEEP/.keep"), Shown("COMPL/.keep"));
  // What differs does not, also where only the mode or the type does.
  std::set<std::uint64_t> numbers;
  for (const char* path : {"", "KEEP", "COMPL", "COMPL/.keep", "SYM2", "A", "HELLO", "plain", "like"}) {
    EXPECT_TRUE(numbers.insert(Shown(path)).second) << path;
  }
  for (const char* path : {"KEEP", "COMPL/aa", "HELLO"}) EXPECT_EQ(client_.StatOf(path).nlink, 1u);
}

TEST_F(CastoreShare, T17_InATreeThatIsServedByItself) {
  Open(OpenTree({.node = complicated_, .attributes = std::nullopt}));
  EXPECT_EQ(Shown(""), kRootInode.value);
  EXPECT_EQ(Shown(".keep"), Shown("keep/.keep"));
  EXPECT_GE(Shown("keep"), kSharedBit);
  // Placed elsewhere too.
  auto placed = PlaceLayerAt(OpenTree({.node = complicated_, .attributes = std::nullopt}), "/nix/store");
  ASSERT_OK(placed);
  const std::uint64_t keep = Shown("keep");
  Open(std::move(*placed));
  EXPECT_EQ(Shown("nix/store/.keep"), Shown("nix/store/keep/.keep"));
  EXPECT_EQ(Shown("nix/store/keep"), keep);
}

TEST_F(CastoreShare, T16_T17_T18_WithoutItEachHasItsOwn) {
  kept_.options.trees.share_key.reset();
  OpenRoots();
  EXPECT_NE(Shown("KEEP"), Shown("COMPL/keep"));
  EXPECT_NE(Shown("COMPL/.keep"), Shown("COMPL/keep/.keep"));
  EXPECT_NE(Shown("COMPL/aa"), Shown("SYM2"));
  EXPECT_EQ(Shown("KEEP"), client_.IdOf("KEEP").ino.value);
}

TEST_F(CastoreShare, CA55_AHandleNamesThePlaceAndDotDotLeadsBackThere) {
  OpenRoots();
  const ObjectId keep = client_.IdOf("KEEP"), within = client_.IdOf("COMPL/keep"), top = client_.IdOf("COMPL");
  EXPECT_NE(keep, within);
  EXPECT_EQ(client_.Lookup(within, "..")->id, top);
  EXPECT_EQ(client_.Lookup(keep, "..")->id, client_.Root());
  EXPECT_EQ(client_.Lookup(within, "..")->attributes.ino, client_.StatOf("COMPL").ino);
  EXPECT_EQ(client_.Lookup(within, ".")->attributes.ino.value, Shown("KEEP"));
}

TEST_F(CastoreShare, HandlesAndNumbersAreTheSameAfterARestart) {
  OpenRoots();
  std::map<std::string, std::pair<ObjectId, std::uint64_t>> before;
  for (const char* path : {"KEEP", "KEEP/.keep", "COMPL", "COMPL/keep", "COMPL/keep/.keep", "COMPL/aa", "SYM2", "A"}) {
    before[path] = {client_.IdOf(path), Shown(path)};
  }
  for (const auto& [path, known] : before) {
    OpenRoots();
    const auto attributes = client_.Get(known.first);
    ASSERT_OK(attributes) << path << ": nothing else was asked for before";
    EXPECT_EQ(attributes->ino.value, known.second) << path;
    EXPECT_EQ(client_.IdOf(path), known.first) << path;
    EXPECT_EQ(Shown(path), known.second) << path;
  }
}

// Linux takes an entry whose number differs from that of its attributes for a mount point.
TEST_F(CastoreShare, AListingShowsTheNumbersThatAttributesHave) {
  OpenRoots();
  for (const std::string directory : {"", "COMPL", "COMPL/keep", "KEEP"}) {
    const ObjectId id = client_.IdOf(directory);
    for (const bool attributes : {false, true}) {
      const auto listed = client_.ListAll(id, 3, attributes);
      ASSERT_OK(listed) << directory;
      for (const Listed& entry : *listed) {
        const auto there = client_.Lookup(id, entry.name);
        ASSERT_OK(there) << entry.name;
        if (attributes) {
          EXPECT_EQ(entry.id, there->id) << entry.name;
          EXPECT_EQ(entry.attributes->ino, there->attributes.ino) << entry.name;
        } else {
          EXPECT_EQ(entry.id.ino, there->attributes.ino) << directory << '/' << entry.name;
        }
      }
    }
  }
}

TEST_F(CastoreShare, WhatANameKeepsBesideMustBeEqualToo) {
  MemoryEntry later = MemoryFile("later", "same"), owned = MemoryFile("owned", "same"),
              noted = MemoryFile("noted", "same");
  later.mtime.ns = 1;
  owned.uid = 1000;
  noted.xattrs = {{"user.a", "b"}};
  MemoryEntry noted_too = noted;
  noted_too.path = "noted_too";
  const std::vector<MemoryEntry> entries{MemoryFile("a", "same"),
                                         MemoryFile("d/b", "same"),
                                         MemoryFile("mode", "same", 0600),
                                         later,
                                         owned,
                                         noted,
                                         noted_too,
                                         MemoryFile("linked", "same"),
                                         MemoryLink("link", "linked"),
                                         MemoryFile("other", "same"),
                                         MemoryLink("other_link", "other"),
                                         MemorySpecial("null", FileType::kCharacterDevice, {1, 3}, 0666)};
  const store::Root root = StoreRoot(kept_.store, entries, Keep::kAll, store::SizeRule::kDocumented);
  Open(OpenTree(root));
  EXPECT_EQ(Shown("a"), Shown("d/b"));
  EXPECT_EQ(Shown("linked"), Shown("link"));
  EXPECT_EQ(Shown("linked"), client_.IdOf("linked").ino.value) << "its own: it tells its links";
  std::set<std::uint64_t> numbers;
  for (const char* path : {"", "a", "d", "mode", "later", "owned", "noted", "noted_too", "linked", "other", "null"}) {
    EXPECT_TRUE(numbers.insert(Shown(path)).second) << path;
  }
}

TEST_F(CastoreShare, TheKeyIsTheVolumes) {
  Open(OpenTree({.node = complicated_, .attributes = std::nullopt}));
  const std::uint64_t keep = Shown("keep");
  Open(OpenTree({.node = complicated_, .attributes = std::nullopt}, SipHashKey{1, 3}));
  EXPECT_NE(Shown("keep"), keep);
  EXPECT_EQ(Shown("keep") & ~(kSharedBit - 1), kSharedBit) << "beyond all numbers of nodes, and below 2^63";
}

TEST_F(CastoreShare, NoWorkspaceIsLaidOverIt) {
  const TempFolder folder;
  const std::string path = folder.path() + "/workspace";
  ASSERT_OK(InitWorkspace(Env::System(), path, {}, 4 << 20));
  for (const bool read_only : {false, true}) {
    std::vector<std::unique_ptr<Layer>> layers;
    layers.push_back(OpenTree({.node = complicated_, .attributes = std::nullopt}));
    WorkspaceOptions options = TestOptions();
    options.read_only = read_only;
    EXPECT_CODE(Workspace::OpenOver(Env::System(), path, std::move(layers), options), Errc::kInvalid);
    options.share_inodes = true;
    EXPECT_CODE(Workspace::Open(Env::System(), path, options), Errc::kInvalid);
  }
}

}  // namespace
}  // namespace strata::vfs::testing
