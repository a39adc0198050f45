// Trees of a store as a volume: what a server says of them, through a workspace that is read-only or writable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>

#include "tests/vfs/layer/castore/roots_testing.h"
#include "tests/vfs/workspace/subject.h"
#include "vfs/layer/at_layer.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

const Credentials kSomebody = User(1000, 1000);

// A workspace over the layer that `make` gives, opened as often as a test likes.
class CastoreVolume : public ::testing::Test, public FileSystemHolder {
 protected:
  CastoreVolume() {
    options_ = TestOptions();
    options_.layer_recheck_ns = 0;
    kept_.options.recheck_after_ns = 0;
    std::filesystem::create_directories(none_);
    EXPECT_OK(InitWorkspace(Env::System(), path_, {{.path = none_, .markers = {}}}, 4 << 20));
    const store::Node file = kept_.store.PutFile("deep");
    tree_ = kept_.store.PutDirectory({{"a", kept_.store.PutDirectory({{"b", file}, {"c", file}})},
                                      {"f", kept_.store.PutFile("flat")},
                                      {"run", kept_.store.PutFile("#!", true)},
                                      {"s", store::Node::OfSymlink("a/b")}});
    kept_.Set("tree", tree_);
    kept_.Set("A", kept_.store.PutFile("\1\2"));
    kept_.Set("link", store::Node::OfSymlink("tree/f"));
  }
  void Open(std::unique_ptr<Layer> layer, bool read_only) {
    workspace_.reset();
    options_.read_only = read_only;
    std::vector<std::unique_ptr<Layer>> layers;
    layers.push_back(std::move(layer));
    auto opened = Workspace::OpenOver(Env::System(), path_, std::move(layers), options_);
    ASSERT_OK(opened);
    workspace_ = std::move(*opened);
  }
  void OpenTree(bool read_only) {
    Open(OpenWith(kept_.blobs, kept_.directories, {.node = tree_, .attributes = std::nullopt}), read_only);
  }
  void OpenRoots(bool list, bool read_only) {
    kept_.options.list_roots = list;
    Open(kept_.Open(), read_only);
  }
  FileSystem& fs() override { return *workspace_; }

  RootStore kept_;
  store::Node tree_;
  testing::TempFolder folder_;
  const std::string path_ = folder_.path() + "/workspace", none_ = folder_.path() + "/none";
  WorkspaceOptions options_;
  std::unique_ptr<Workspace> workspace_;
  Client client_{*this};
};

TEST_F(CastoreVolume, ATreeIsReadByWhoeverMay) {
  for (const bool read_only : {true, false}) {
    OpenTree(read_only);
    for (Client client : {client_, client_.As(kSomebody)}) {
      EXPECT_THAT(client.List("").value(), ElementsAre("a", "f", "run", "s"));
      EXPECT_EQ(client.ReadFile("a/b").value_or("failed"), "deep");
      EXPECT_EQ(client.ReadLinkAt("s").value(), "a/b");
      EXPECT_EQ(client.Access(client.IdOf("f")).value() & kAccessRead, kAccessRead);
      EXPECT_EQ(client.Access(client.IdOf("f")).value() & kAccessExecute, 0u);
      EXPECT_EQ(client.Access(client.IdOf("run")).value() & kAccessExecute, kAccessExecute);
      EXPECT_EQ(client.Access(client.IdOf("a")).value() & (kAccessRead | kAccessLookup), kAccessRead | kAccessLookup);
      EXPECT_CODE(client.Stat("none"), Errc::kNotFound);
      EXPECT_CODE(client.Stat("f/x"), Errc::kNotDirectory);
      EXPECT_CODE(client.ReadLink(client.IdOf("f")), Errc::kInvalid);
      EXPECT_CODE(client.ReadLink(client.Root()), Errc::kInvalid);
      EXPECT_CODE(client.Read(client.Root(), 0, 10), Errc::kIsDirectory, Errc::kInvalid);
      EXPECT_CODE(client.Read(client.IdOf("s"), 0, 10), Errc::kInvalid);
      EXPECT_CODE(client.ListPage(client.IdOf("f"), Cookie(0), 10), Errc::kNotDirectory);
    }
  }
}

TEST_F(CastoreVolume, T20_CA64_EveryChangeOfAReadOnlyOneIsRefused) {
  for (const bool roots : {false, true}) {
    roots ? OpenRoots(true, true) : OpenTree(true);
    const std::string in = roots ? "tree/" : "";
    const ObjectId top = client_.Root(), f = client_.IdOf(in + "f"), a = client_.IdOf(in + "a");
    EXPECT_CODE(client_.Create(top, "n"), Errc::kReadOnly);
    EXPECT_CODE(client_.MakeDirectory(a, "n"), Errc::kReadOnly);
    EXPECT_CODE(client_.MakeSymlink(a, "n", "t"), Errc::kReadOnly);
    EXPECT_CODE(client_.MakeNode(a, "n", FileType::kFifo, {}), Errc::kReadOnly);
    EXPECT_CODE(client_.Write(f, 0, "x"), Errc::kReadOnly);
    EXPECT_CODE(client_.Set(f, Mode(0600)), Errc::kReadOnly);
    EXPECT_CODE(client_.Remove(a, "b"), Errc::kReadOnly);
    EXPECT_CODE(client_.RemoveDirectory(top, "a"), Errc::kReadOnly);
    EXPECT_CODE(client_.Rename(a, "b", top, "n"), Errc::kReadOnly);
    EXPECT_CODE(client_.Link(f, top, "n"), Errc::kReadOnly);
    EXPECT_EQ(client_.Access(f).value() & (kAccessModify | kAccessExtend | kAccessDelete), 0u);
  }
}

TEST_F(CastoreVolume, AWritableOneChangesAndTheStoreDoesNot) {
  OpenTree(false);
  ASSERT_OK(client_.WriteAt("f", 4, "ter"));
  ASSERT_OK(client_.RenameAt("a/b", "moved"));
  ASSERT_OK(client_.Unlink("run"));
  ASSERT_OK(client_.MakeFile("a/new"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(client_.ReadFile("f").value_or("failed"), "flatter");
    EXPECT_EQ(client_.ReadFile("moved").value_or("failed"), "deep");
    EXPECT_THAT(client_.List("").value(), ElementsAre("a", "f", "moved", "s"));
    EXPECT_THAT(client_.List("a").value(), ElementsAre("c", "new"));
    OpenTree(round != 0);
  }
  const auto plain = OpenWith(kept_.blobs, kept_.directories, {.node = tree_, .attributes = std::nullopt});
  EXPECT_EQ(ReadFromLayer(*plain, FindInLayer(*plain, "f")->node, 0, 10), "flat");
}

TEST_F(CastoreVolume, T4_ReadRefersToTheStoresBytesThroughAWorkspaceToo) {
  OpenTree(true);
  const ObjectId f = client_.IdOf("f");
  CountingSink sink;
  const auto read = fs().Read(kBackground, f, 1, 100, sink);
  ASSERT_OK(read);
  EXPECT_EQ(sink.copied, 0u);
  EXPECT_EQ(sink.text(), "lat");
}

TEST_F(CastoreVolume, CA55_CA68_HandlesOutliveTheServerWhateverIsAskedFirst) {
  for (const bool roots : {false, true}) {
    const std::string in = roots ? "tree/" : "";
    const auto open = [&] { roots ? OpenRoots(false, true) : OpenTree(true); };
    open();
    std::map<std::string, ObjectId> ids;
    for (const char* path : {"a", "a/b", "a/c", "f", "s"}) ids[path] = client_.IdOf(in + path);
    EXPECT_NE(ids["a/b"].ino, ids["a/c"].ino) << "of the same bytes";
    for (const auto& [path, id] : ids) {
      open();
      const auto attributes = client_.Get(id);
      ASSERT_OK(attributes) << path;
      EXPECT_EQ(attributes->ino, id.ino);
      if (path == "a/b") {
        EXPECT_EQ(client_.ReadAll(id).value_or("failed"), "deep");
        EXPECT_EQ(client_.Lookup(ids["a"], "..")->id, client_.IdOf(roots ? "tree" : ""));
      }
      EXPECT_EQ(client_.IdOf(in + path), id);
    }
  }
}

// Every cookie that was given leads on from there, for each size of a page, also after a restart.
TEST_F(CastoreVolume, CA59_EachCookieLeadsOnFromItsEntry) {
  for (int i = 0; i < 40; ++i) kept_.Set("n" + std::to_string(i), store::Node::OfSymlink("t"));
  for (const bool attributes : {false, true}) {
    OpenRoots(true, true);
    std::vector<Listed> all = client_.ListAll(client_.Root(), 1000, attributes).value();
    ASSERT_EQ(all.size(), 2u + 3 + 40);
    EXPECT_EQ(all[0].name, ".");
    EXPECT_EQ(all[1].name, "..");
    std::set<std::uint64_t> cookies;
    for (const Listed& entry : all) {
      cookies.insert(entry.cookie.value);
      if (attributes && entry.name[0] != '.') {
        EXPECT_EQ(entry.id, client_.IdOf(entry.name));
      }
    }
    EXPECT_EQ(cookies.size(), all.size());
    for (const std::size_t limit : {1u, 2u, 7u, 44u, 45u, 46u}) {
      const auto paged = client_.ListAll(client_.Root(), limit, attributes).value();
      ASSERT_EQ(paged.size(), all.size());
      for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(paged[i].name, all[i].name);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % 9 == 0) OpenRoots(true, true);
      const auto page = client_.ListPage(client_.Root(), all[i].cookie, 1000, attributes);
      ASSERT_OK(page);
      EXPECT_TRUE(page->eof);
      ASSERT_EQ(page->entries.size(), all.size() - i - 1);
      if (!page->entries.empty()) {
        EXPECT_EQ(page->entries.front().name, all[i + 1].name);
      }
    }
  }
}

TEST_F(CastoreVolume, T2_CA58_ATopThatIsNotListedIsPermAndAccessGrantsLookup) {
  for (const bool read_only : {true, false}) {
    OpenRoots(false, read_only);
    for (Client client : {client_, client_.As(kSomebody)}) {
      for (const bool attributes : {false, true}) {
        EXPECT_CODE(client.ListPage(client.Root(), Cookie(0), 10, attributes), Errc::kPermission);
        EXPECT_CODE(client.ListPage(client.Root(), Cookie(2), 10, attributes), Errc::kPermission);
      }
      std::optional<Attributes> after;
      EXPECT_OK(fs().Access({.credentials = kSomebody}, client.Root(), kAccessRead, &after));
      EXPECT_TRUE(after);
      EXPECT_EQ(client.Access(client.Root()).value() & (kAccessRead | kAccessLookup), kAccessLookup);
      EXPECT_EQ(client.Access(client.IdOf("tree")).value() & (kAccessRead | kAccessLookup),
                kAccessRead | kAccessLookup);
      EXPECT_EQ(client.Access(client.IdOf("A")).value() & kAccessRead, kAccessRead);
      EXPECT_EQ(client.ReadFile("tree/a/b").value_or("failed"), "deep");
      EXPECT_THAT(client.List("tree").value(), ElementsAre("a", "f", "run", "s"));
      EXPECT_CODE(client.Stat("none"), Errc::kNotFound);
    }
  }
  EXPECT_EQ(kept_.roots->lists, 0);
}

TEST_F(CastoreVolume, CA58_ATopThatIsNotListedIsWrittenToByName) {
  OpenRoots(false, false);
  ASSERT_OK(client_.WriteFile("own", "mine"));
  ASSERT_OK(client_.Mkdir("dir"));
  ASSERT_OK(client_.Unlink("A"));
  EXPECT_CODE(client_.Create(client_.Root(), "tree"), Errc::kExists);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(client_.ReadFile("own").value_or("failed"), "mine");
    EXPECT_CODE(client_.Stat("A"), Errc::kNotFound);
    EXPECT_THAT(client_.List("dir").value(), ElementsAre());
    EXPECT_CODE(client_.ListPage(client_.Root(), Cookie(0), 10), Errc::kPermission);
    EXPECT_EQ(client_.Access(client_.Root()).value() & (kAccessRead | kAccessLookup), kAccessLookup);
    OpenRoots(false, false);
  }
}

TEST_F(CastoreVolume, CA58_WhatIsNotListedLiesWhereTheLayerIsPlaced) {
  kept_.options.list_roots = false;
  auto placed = PlaceLayerAt(kept_.Open(), "/nix/store");
  ASSERT_OK(placed);
  Open(std::move(*placed), false);
  EXPECT_THAT(client_.List("").value(), ElementsAre("nix"));
  EXPECT_THAT(client_.List("nix").value(), ElementsAre("store"));
  const ObjectId store = client_.IdOf("nix/store");
  EXPECT_CODE(client_.ListPage(store, Cookie(0), 10), Errc::kPermission);
  EXPECT_EQ(client_.Access(store).value() & (kAccessRead | kAccessLookup), kAccessLookup);
  EXPECT_EQ(client_.Access(client_.IdOf("nix")).value() & kAccessRead, kAccessRead);
  EXPECT_EQ(client_.ReadFile("nix/store/tree/f").value_or("failed"), "flat");
  EXPECT_CODE(client_.Rmdir("nix/store"), Errc::kPermission, Errc::kNotEmpty);
}

TEST_F(CastoreVolume, NamesThatComeGoAndMoveShow) {
  OpenRoots(true, true);
  EXPECT_THAT(client_.List("").value(), ElementsAre("A", "link", "tree"));
  EXPECT_CODE(client_.Stat("new"), Errc::kNotFound);
  const ObjectId old = client_.IdOf("tree/a/b"), old_tree = client_.IdOf("tree");
  kept_.Set("new", kept_.store.PutFile("new"));
  kept_.Set("tree", kept_.store.PutDirectory({{"x", kept_.store.PutFile("x")}}));
  ASSERT_TRUE(kept_.names->Remove("link"));
  kept_.env.Pass(1);
  EXPECT_EQ(client_.ReadFile("new").value_or("failed"), "new");
  EXPECT_EQ(client_.ReadFile("tree/x").value_or("failed"), "x");
  EXPECT_CODE(client_.Stat("link"), Errc::kNotFound);
  EXPECT_THAT(client_.List("").value(), ElementsAre("A", "new", "tree"));
  EXPECT_THAT(client_.List("tree").value(), ElementsAre("x"));
  EXPECT_CODE(client_.Get(old), Errc::kStale);
  EXPECT_CODE(client_.Get(old_tree), Errc::kStale);
  EXPECT_CODE(client_.ListPage(old_tree, Cookie(0), 10), Errc::kStale);
  OpenRoots(true, true);
  EXPECT_CODE(client_.Get(old), Errc::kStale) << "for a new server, too";
  // Back again it is what it was.
  kept_.Set("tree", tree_);
  EXPECT_EQ(client_.IdOf("tree/a/b"), old);
  EXPECT_EQ(client_.ReadAll(old).value_or("failed"), "deep");
}

TEST_F(CastoreVolume, WhatTheStoreCannotGiveIsEioAndNothingIsConcluded) {
  for (const bool roots : {false, true}) {
    CapturedLog log;
    const std::string in = roots ? "tree/" : "";
    roots ? OpenRoots(true, true) : OpenTree(true);
    kept_.directories->hook = [&](const Waiting&, const store::Digest& digest) {
      return digest == tree_.digest ? std::nullopt
                                    : std::optional(HookedDirectories::Answer(std::optional<store::Directory>()));
    };
    EXPECT_CODE(client_.Stat(in + "a/b"), Errc::kIo);
    EXPECT_CODE(client_.Stat(in + "a/none"), Errc::kIo);
    EXPECT_CODE(client_.List(in + "a"), Errc::kIo);
    EXPECT_OK(client_.Stat(in + "a"));
    EXPECT_EQ(client_.ReadFile(in + "f").value_or("failed"), "flat");
    kept_.directories->hook = nullptr;
    EXPECT_EQ(client_.ReadFile(in + "a/b").value_or("failed"), "deep");
    EXPECT_CODE(client_.Stat(in + "a/none"), Errc::kNotFound);
    EXPECT_THAT(client_.List(in + "a").value(), ElementsAre("b", "c"));
  }
}

TEST_F(CastoreVolume, CA56_WhereNamesCannotBeHadItIsEioAndKnownTreesAreServed) {
  CapturedLog log;
  OpenRoots(true, true);
  const ObjectId b = client_.IdOf("tree/a/b");
  kept_.roots->hook = [](const Waiting&) -> Result<void> { return Fail(Errc::kNotFound, "no answer"); };
  EXPECT_CODE(client_.Stat("none"), Errc::kIo);
  EXPECT_CODE(client_.List(""), Errc::kIo);
  EXPECT_EQ(client_.ReadAll(b).value_or("failed"), "deep");
  kept_.roots->hook = nullptr;
  EXPECT_CODE(client_.Stat("none"), Errc::kNotFound);
  EXPECT_THAT(client_.List("").value(), ElementsAre("A", "link", "tree"));
}

TEST_F(CastoreVolume, AttributesAreShownAndLinksAreOneFile) {
  const std::vector<MemoryEntry> entries{MemoryFile("f", "f", 04750), MemoryLink("d/g", "f"),
                                         MemorySpecial("d/null", FileType::kCharacterDevice, {1, 3}, 0666)};
  MemoryEntry owned = MemoryFile("mine", "m", 0600);
  owned.uid = owned.gid = 1000;
  owned.mtime.ns = 1'600'000'000'000'000'005;
  std::vector<MemoryEntry> all = entries;
  all.push_back(owned);
  const StoredTree tree = StoreTree(all, Keep::kAll, store::SizeRule::kDoubled);
  Open(OpenStored(tree), false);
  EXPECT_EQ(client_.StatOf("f").nlink, 2u);
  EXPECT_EQ(client_.IdOf("f"), client_.IdOf("d/g"));
  EXPECT_EQ(client_.StatOf("f").mode, 04750u);
  EXPECT_EQ(client_.StatOf("d/null").rdev, (DeviceNumber{1, 3}));
  EXPECT_EQ(client_.StatOf("mine").mtime, owned.mtime);
  EXPECT_EQ(client_.As(kSomebody).ReadFile("mine").value_or("failed"), "m");
  EXPECT_CODE(client_.As(User(1001, 1001)).ReadFile("mine"), Errc::kAccess);
  ASSERT_OK(client_.WriteAt("d/g", 0, "G"));
  EXPECT_EQ(client_.ReadFile("f").value_or("failed"), "G");
  Open(OpenStored(tree), true);
  EXPECT_EQ(client_.ReadFile("f").value_or("failed"), "G");
}

}  // namespace
}  // namespace strata::vfs::testing
