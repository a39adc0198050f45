// `strata diff`: what a comparison of the two trees would tell, case by case. Each case is told again after a restart
// and by a reader beside the server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/vfs/faults/subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAreArray;

// What every case begins with.
Tree Base() {
  return {
      DirNode("d"),
      FileNode("d/a", "alpha"),
      FileNode("d/b", "beta"),
      DirNode("d/sub"),
      FileNode("d/sub/deep", "deep"),
      DirNode("e"),
      FileNode("e/x", "x"),
      FileNode("f", "file"),
      FileNode("h1", "hard"),
      LinkNode("h2", "h1"),
      LinkNode("e/h3", "h1"),
      SymlinkNode("l", "f"),
      FileNode("secret", "secret", 0600, 1000, 1000),
  };
}

struct Case {
  std::string name;
  std::function<void(Client&)> change;
  std::vector<std::string> lines;
};
void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

void WriteNew(Client& client, std::string_view path, std::string_view data) { EXPECT_OK(client.WriteFile(path, data)); }

void RemoveD(Client& client) {
  for (const char* file : {"d/a", "d/b", "d/sub/deep"}) EXPECT_OK(client.Unlink(file));
  EXPECT_OK(client.Rmdir("d/sub"));
  EXPECT_OK(client.Rmdir("d"));
}

std::vector<Case> Cases() {
  return {
      {"Nothing", [](Client&) {}, {}},
      {"FileAdded", [](Client& c) { WriteNew(c, "d/new", "new"); }, {"+/d/new"}},
      {"DirectoryAddedWithAllInIt",
       [](Client& c) {
         EXPECT_OK(c.Mkdir("n"));
         EXPECT_OK(c.Mkdir("n/m"));
         WriteNew(c, "n/m/o", "o");
       },
       {"+/n", "+/n/m", "+/n/m/o"}},
      {"SymlinkAdded", [](Client& c) { EXPECT_OK(c.Symlink("f", "d/sub/s")); }, {"+/d/sub/s"}},
      {"AddedAndRemovedAgain",
       [](Client& c) {
         WriteNew(c, "d/new", "new");
         EXPECT_OK(c.Unlink("d/new"));
       },
       {}},
      {"ContentModified", [](Client& c) { EXPECT_OK(c.WriteAt("d/sub/deep", 1, "EE")); }, {"~/d/sub/deep"}},
      {"ContentAppended", [](Client& c) { EXPECT_OK(c.WriteAt("d/a", 5, "!")); }, {"~/d/a"}},
      {"ContentCut", [](Client& c) { EXPECT_OK(c.Truncate("d/a", 2)); }, {"~/d/a"}},
      {"ContentCutAndGrown",
       [](Client& c) {
         EXPECT_OK(c.Truncate("d/a", 2));
         EXPECT_OK(c.Truncate("d/a", 5));
       },
       {"~/d/a"}},
      {"ContentCutAndWrittenAgain",
       [](Client& c) {
         EXPECT_OK(c.Truncate("d/a", 2));
         EXPECT_OK(c.WriteAt("d/a", 2, "pha"));
       },
       {}},
      {"TheSameBytesWritten", [](Client& c) { EXPECT_OK(c.WriteAt("d/a", 1, "lph")); }, {}},
      {"TimesAlone",
       [](Client& c) {
         SetAttributes set;
         set.set_mtime = SetTime::kServer;
         EXPECT_OK(c.Set(c.IdOf("d/a"), set));
         EXPECT_OK(c.Set(c.IdOf("d"), set));
       },
       {}},
      {"ModeAlone", [](Client& c) { EXPECT_OK(c.Chmod("d/a", 0600)); }, {"~/d/a"}},
      {"ModeOfADirectoryAlone", [](Client& c) { EXPECT_OK(c.Chmod("d/sub", 0700)); }, {"~/d/sub"}},
      {"ModeOfTheRootAlone", [](Client& c) { EXPECT_OK(c.Chmod("", 0711)); }, {"~/"}},
      {"ModeAndBack",
       [](Client& c) {
         EXPECT_OK(c.Chmod("d/a", 0600));
         EXPECT_OK(c.Chmod("d/a", 0644));
       },
       {}},
      {"OwnerAlone", [](Client& c) { EXPECT_OK(c.Chown("f", 7, {})); }, {"~/f"}},
      {"FileReplacedByADirectory",
       [](Client& c) {
         EXPECT_OK(c.Unlink("f"));
         EXPECT_OK(c.Mkdir("f"));
         WriteNew(c, "f/in", "in");
       },
       {"~/f", "+/f/in"}},
      {"DirectoryReplacedByAFile",
       [](Client& c) {
         RemoveD(c);
         WriteNew(c, "d", "d");
       },
       {"~/d"}},
      {"SymlinkReplacedByAFile",
       [](Client& c) {
         EXPECT_OK(c.Unlink("l"));
         WriteNew(c, "l", "file");
       },
       {"~/l"}},
      {"SymlinkMadeAgain",
       [](Client& c) {
         EXPECT_OK(c.Unlink("l"));
         EXPECT_OK(c.Symlink("f", "l"));
       },
       {}},
      {"SymlinkMadeAgainToElsewhere",
       [](Client& c) {
         EXPECT_OK(c.Unlink("l"));
         EXPECT_OK(c.Symlink("g", "l"));
       },
       {"~/l"}},
      {"FileReplacedByOneWithOtherContent",
       [](Client& c) {
         WriteNew(c, "tmp", "FILE");
         EXPECT_OK(c.RenameAt("tmp", "f"));
       },
       {"~/f"}},
      {"FileReplacedByOneWithTheSameContent",
       [](Client& c) {
         WriteNew(c, "tmp", "file");
         EXPECT_OK(c.RenameAt("tmp", "f"));
       },
       {}},
      {"FileDeleted", [](Client& c) { EXPECT_OK(c.Unlink("d/sub/deep")); }, {"-/d/sub/deep"}},
      {"DirectoryDeleted", [](Client& c) { RemoveD(c); }, {"-/d"}},
      {"FileRenamed", [](Client& c) { EXPECT_OK(c.RenameAt("d/a", "e/a2")); }, {"-/d/a", "+/e/a2"}},
      {"FileRenamedOverAnother", [](Client& c) { EXPECT_OK(c.RenameAt("d/a", "d/b")); }, {"-/d/a", "~/d/b"}},
      {"FilesExchanged",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("d/a", "t"));
         EXPECT_OK(c.RenameAt("d/b", "d/a"));
         EXPECT_OK(c.RenameAt("t", "d/b"));
       },
       {"~/d/a", "~/d/b"}},
      {"FileMovedAwayAndBack",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("d/a", "e/a"));
         EXPECT_OK(c.RenameAt("e/a", "d/a"));
       },
       {}},
      {"FileMovedAwayChangedAndBack",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("d/a", "e/a"));
         EXPECT_OK(c.WriteAt("e/a", 0, "A"));
         EXPECT_OK(c.RenameAt("e/a", "d/a"));
       },
       {"~/d/a"}},
      {"DirectoryRenamed",
       [](Client& c) { EXPECT_OK(c.RenameAt("d", "e/d2")); },
       {"-/d", "+/e/d2", "+/e/d2/a", "+/e/d2/b", "+/e/d2/sub", "+/e/d2/sub/deep"}},
      {"DirectoryRenamedThenChangedWithin",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("d", "d2"));
         EXPECT_OK(c.Unlink("d2/a"));
         EXPECT_OK(c.WriteAt("d2/b", 0, "B"));
         WriteNew(c, "d2/sub/new", "new");
         EXPECT_OK(c.RenameAt("d2/sub/deep", "deep"));
       },
       {"-/d", "+/d2", "+/d2/b", "+/d2/sub", "+/d2/sub/new", "+/deep"}},
      {"DirectoryChangedWithinThenRenamed",
       [](Client& c) {
         EXPECT_OK(c.Unlink("d/a"));
         EXPECT_OK(c.WriteAt("d/b", 0, "B"));
         WriteNew(c, "d/sub/new", "new");
         EXPECT_OK(c.RenameAt("d/sub/deep", "deep"));
         EXPECT_OK(c.RenameAt("d", "d2"));
       },
       {"-/d", "+/d2", "+/d2/b", "+/d2/sub", "+/d2/sub/new", "+/deep"}},
      {"DirectoryMovedAwayAndBack",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("d", "e/d2"));
         EXPECT_OK(c.RenameAt("e/d2", "d"));
       },
       {}},
      {"DirectoryMovedAwayChangedWithinAndBack",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("d", "e/d2"));
         EXPECT_OK(c.WriteAt("e/d2/sub/deep", 0, "D"));
         EXPECT_OK(c.Unlink("e/d2/a"));
         WriteNew(c, "e/d2/n", "n");
         EXPECT_OK(c.RenameAt("e/d2", "d"));
       },
       {"-/d/a", "+/d/n", "~/d/sub/deep"}},
      {"DirectoryRenamedAndAnotherPutInItsPlace",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("d", "d2"));
         EXPECT_OK(c.RenameAt("e", "d"));
       },
       {"-/d/a", "-/d/b", "+/d/h3", "-/d/sub", "+/d/x", "+/d2", "+/d2/a", "+/d2/b", "+/d2/sub", "+/d2/sub/deep",
        "-/e"}},
      {"ALowerDirectoryWithinAnAddedOne",
       [](Client& c) {
         EXPECT_OK(c.Mkdir("n"));
         EXPECT_OK(c.RenameAt("d/sub", "n/sub"));
       },
       {"-/d/sub", "+/n", "+/n/sub", "+/n/sub/deep"}},
      {"HardLinkAdded", [](Client& c) { EXPECT_OK(c.LinkAt("d/a", "e/linked")); }, {"+/e/linked"}},
      {"HardLinkAddedThenContentModified",
       [](Client& c) {
         EXPECT_OK(c.LinkAt("d/a", "e/linked"));
         EXPECT_OK(c.WriteAt("e/linked", 0, "A"));
       },
       {"~/d/a", "+/e/linked"}},
      {"OneHardLinkRemoved", [](Client& c) { EXPECT_OK(c.Unlink("h1")); }, {"-/h1"}},
      {"OneHardLinkRemovedAndTheOthersModified",
       [](Client& c) {
         EXPECT_OK(c.Unlink("h1"));
         EXPECT_OK(c.WriteAt("h2", 0, "H"));
       },
       {"~/e/h3", "-/h1", "~/h2"}},
      {"AllHardLinksRemoved",
       [](Client& c) {
         for (const char* link : {"h1", "h2", "e/h3"}) EXPECT_OK(c.Unlink(link));
       },
       {"-/e/h3", "-/h1", "-/h2"}},
      {"HardLinkRenamedAndModified",
       [](Client& c) {
         EXPECT_OK(c.RenameAt("h1", "d/sub/h"));
         EXPECT_OK(c.WriteAt("h2", 0, "H"));
       },
       {"+/d/sub/h", "~/e/h3", "-/h1", "~/h2"}},
      {"DirectoryDeletedAndMadeAgain",
       [](Client& c) {
         RemoveD(c);
         EXPECT_OK(c.Mkdir("d"));
         WriteNew(c, "d/a", "alpha");
         WriteNew(c, "d/b", "other");
         WriteNew(c, "d/c", "c");
       },
       {"~/d/b", "+/d/c", "-/d/sub"}},
      {"DirectoryDeletedAndMadeAgainWithAllInIt",
       [](Client& c) {
         RemoveD(c);
         EXPECT_OK(c.Mkdir("d"));
         WriteNew(c, "d/a", "alpha");
         WriteNew(c, "d/b", "beta");
         EXPECT_OK(c.Mkdir("d/sub"));
         WriteNew(c, "d/sub/deep", "deep");
       },
       {}},
      {"DirectoryDeletedAndMadeAgainWithAnotherMode",
       [](Client& c) {
         RemoveD(c);
         EXPECT_OK(c.Mkdir("d", 0700));
       },
       {"~/d", "-/d/a", "-/d/b", "-/d/sub"}},
      {"DirectoryRenamedOverAnEmptiedOne",
       [](Client& c) {
         for (const char* file : {"e/x", "e/h3"}) EXPECT_OK(c.Unlink(file));
         EXPECT_OK(c.RenameAt("d", "e"));
       },
       {"-/d", "+/e/a", "+/e/b", "-/e/h3", "+/e/sub", "+/e/sub/deep", "-/e/x"}},
      {"SpecialFileAddedAndOneInPlaceOfAFile",
       [](Client& c) {
         EXPECT_OK(c.MakeNode(c.IdOf("d"), "pipe", FileType::kFifo, {}, Mode(0644)));
         EXPECT_OK(c.Unlink("f"));
         EXPECT_OK(c.MakeNode(c.Root(), "f", FileType::kFifo, {}, Mode(0644)));
       },
       {"+/d/pipe", "~/f"}},
  };
}

std::vector<std::string> Lines(Workspace& workspace) {
  std::vector<std::string> lines;
  auto changes = workspace.Changes();
  EXPECT_OK(changes);
  if (!changes) return {"failed"};
  for (const PathChange& change : *changes) {
    const char sign = change.kind == ChangeKind::kAdded ? '+' : change.kind == ChangeKind::kDeleted ? '-' : '~';
    lines.push_back(sign + change.path);
  }
  return lines;
}

// Over one layer, or over two of which the higher hides what must never show.
class Diff : public ::testing::TestWithParam<Case> {
 protected:
  static void Check(std::vector<Tree> layers) {
    FaultySubject subject(std::move(layers));
    Client client(subject);
    GetParam().change(client);
    const auto expected = ElementsAreArray(GetParam().lines);
    {
      auto reader = subject.OpenBeside();
      EXPECT_THAT(Lines(*reader), expected) << "a reader beside the server, before a checkpoint";
    }
    EXPECT_THAT(Lines(subject.workspace()), expected);
    {
      auto reader = subject.OpenBeside();
      EXPECT_THAT(Lines(*reader), expected) << "a reader beside the server, after a checkpoint";
    }
    subject.Restart();
    EXPECT_THAT(Lines(subject.workspace()), expected) << "after a restart";
  }
};

TEST_P(Diff, TellsWhatDiffersFromTheLayer) { Check({Base()}); }

TEST_P(Diff, TellsWhatDiffersFromSeveralLayersMerged) {
  Tree higher = {DirNode("d"), FileNode("d/a", "alpha"), DirNode("e")};
  Tree lower = Base();
  for (TreeNode& node : lower) {
    if (node.path == "d/a") node.content = "hidden by the layer above";
  }
  Check({higher, lower});
}

INSTANTIATE_TEST_SUITE_P(Of, Diff, ::testing::ValuesIn(Cases()),
                         [](const ::testing::TestParamInfo<Case>& info) { return info.param.name; });

TEST(DiffAlone, AWorkspaceWithoutLayersTellsAllItHolds) {
  FaultySubject subject({});
  Client client(subject);
  EXPECT_THAT(Lines(subject.workspace()), ElementsAreArray(std::vector<std::string>{}));
  EXPECT_OK(client.Mkdir("d"));
  WriteNew(client, "d/f", "f");
  EXPECT_THAT(Lines(subject.workspace()), ElementsAreArray({"+/d", "+/d/f"}));
}

TEST(DiffAlone, AWriteAcrossALargeFileIsFoundWithoutReadingTheRest) {
  FaultySubject subject({{SparseNode("large", 40 << 20)}});
  Client client(subject);
  EXPECT_OK(client.WriteAt("large", 20 << 20, std::string(600'000, '\0')));
  EXPECT_THAT(Lines(subject.workspace()), ElementsAreArray(std::vector<std::string>{}));
  EXPECT_OK(client.WriteAt("large", (20 << 20) + 599'999, "x"));
  EXPECT_THAT(Lines(subject.workspace()), ElementsAreArray({"~/large"}));
}

TEST(DiffAlone, ADirectoryDeeperThanAStackGoesIsWalked) {
  FaultySubject subject({});
  Client client(subject);
  constexpr int kDepth = 3000;
  ObjectId at = client.Root();
  for (int i = 0; i < kDepth; ++i) {
    auto made = client.MakeDirectory(at, "d");
    ASSERT_OK(made);
    at = made->id;
  }
  EXPECT_EQ(Lines(subject.workspace()).size(), static_cast<std::size_t>(kDepth));
}

}  // namespace
}  // namespace strata::vfs::testing
