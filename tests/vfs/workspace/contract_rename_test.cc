// Spec nfsv3 5.3: RENAME.
#include "contract.h"

STRATA_CONTRACT(RenameContract)

namespace strata::vfs::testing {
namespace {

TEST_P(RenameContract, R5_3_AFileReplacesAFile) {
  Given({FileNode("w/a", "from"), FileNode("w/b", "to")});
  Client client = Root();
  const ObjectId a = client.IdOf("w/a");
  const ObjectId b = client.IdOf("w/b");
  ASSERT_OK(client.RenameAt("w/a", "w/b"));
  Pause();
  EXPECT_EQ(client.IdOf("w/b"), a);
  EXPECT_EQ(client.ReadFile("w/b").value_or("failed"), "from");
  EXPECT_FALSE(client.Exists("w/a"));
  EXPECT_CODE(client.Get(b), Errc::kStale, Errc::kBadHandle);
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("b"));
}

TEST_P(RenameContract, R5_3_ADirectoryReplacesAnEmptyDirectoryAndTakesItsContentAlong) {
  Given({DirNode("w/a"), FileNode("w/a/f", "1"), DirNode("w/a/sub"), FileNode("w/a/sub/g", "2"), DirNode("w/b"),
         DirNode("w/c")});
  Client client = Root();
  const ObjectId deep = client.IdOf("w/a/sub/g");
  ASSERT_OK(client.RenameAt("w/a", "w/b"));
  Pause();
  EXPECT_EQ(client.ReadFile("w/b/f").value_or("failed"), "1");
  EXPECT_EQ(client.IdOf("w/b/sub/g"), deep);
  EXPECT_THAT(client.List("w/b").value(), ::testing::ElementsAre("f", "sub"));
  ASSERT_OK(client.RenameAt("w/b", "w/c/b"));
  ASSERT_OK(client.WriteAt("w/c/b/sub/g", 0, "3"));
  Pause();
  EXPECT_EQ(client.ReadFile("w/c/b/sub/g").value_or("failed"), "3");
  EXPECT_EQ(client.ReadFile("w/c/b/f").value_or("failed"), "1");
  ASSERT_OK(client.RenameAt("w/c/b", "w/a"));
  ASSERT_OK(client.Unlink("w/a/f"));
  Pause();
  EXPECT_THAT(client.List("w/a").value(), ::testing::ElementsAre("sub"));
  EXPECT_EQ(client.IdOf("w/a/sub/g"), deep);
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("a", "c"));
}

TEST_P(RenameContract, R5_3_TypesMustAgree) {
  Given({FileNode("w/f", "f"), DirNode("w/d"), DirNode("w/full"), FileNode("w/full/x", ""), SymlinkNode("w/s", "d")});
  Client client = Root();
  EXPECT_CODE(client.RenameAt("w/f", "w/d"), Errc::kIsDirectory);
  EXPECT_CODE(client.RenameAt("w/s", "w/d"), Errc::kIsDirectory);
  EXPECT_CODE(client.RenameAt("w/d", "w/f"), Errc::kNotDirectory);
  EXPECT_CODE(client.RenameAt("w/d", "w/s"), Errc::kNotDirectory);
  EXPECT_CODE(client.RenameAt("w/d", "w/full"), Errc::kNotEmpty, Errc::kExists);
  EXPECT_CODE(client.RenameAt("w/f", "w/full"), Errc::kIsDirectory, Errc::kNotEmpty);
  EXPECT_CODE(client.RenameAt("w/missing", "w/new"), Errc::kNotFound);
  EXPECT_CODE(client.RenameAt("w/missing", "w/f"), Errc::kNotFound);
  Pause();
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("d", "f", "full", "s"));
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "f");
  EXPECT_OK(client.RenameAt("w/s", "w/f"));
  EXPECT_EQ(client.ReadLinkAt("w/f").value_or("failed"), "d");
}

TEST_P(RenameContract, R5_3_ADirectoryCannotMoveIntoItself) {
  Given({DirNode("w/a"), DirNode("w/a/b"), DirNode("w/a/b/c")});
  Client client = Root();
  EXPECT_CODE(client.RenameAt("w/a", "w/a/x"), Errc::kInvalid);
  EXPECT_CODE(client.RenameAt("w/a", "w/a/b/x"), Errc::kInvalid);
  EXPECT_CODE(client.RenameAt("w/a", "w/a/b/c"), Errc::kInvalid);
  EXPECT_CODE(client.RenameAt("w/a", "w/a/b/c/x"), Errc::kInvalid);
  Pause();
  EXPECT_CODE(client.RenameAt("w/a/b", "w/a/b/x"), Errc::kInvalid);
  EXPECT_CODE(client.RenameAt("w", "w/a/b/x"), Errc::kInvalid);
  EXPECT_TRUE(client.Exists("w/a/b/c"));
  // Onto what holds it: not empty, for it holds it.
  EXPECT_CODE(client.RenameAt("w/a/b/c", "w/a"), Errc::kNotEmpty, Errc::kExists);
  // To where it may go the other way round.
  EXPECT_OK(client.RenameAt("w/a/b/c", "w/c"));
  EXPECT_OK(client.RenameAt("w/a", "w/c/a"));
  Pause();
  EXPECT_CODE(client.RenameAt("w/c", "w/c/a/b/c"), Errc::kInvalid);
  EXPECT_TRUE(client.Exists("w/c/a/b"));
}

TEST_P(RenameContract, R5_3_LinksOfOneFileOverEachOtherDoNothing) {
  Given({FileNode("w/a", "x"), LinkNode("w/b", "w/a"), DirNode("w/d")});
  Client client = Root();
  ASSERT_OK(client.LinkAt("w/a", "w/d/c"));
  const Attributes file = client.StatOf("w/a");
  EXPECT_OK(client.RenameAt("w/a", "w/b"));
  EXPECT_OK(client.RenameAt("w/a", "w/d/c"));
  EXPECT_OK(client.RenameAt("w/a", "w/a"));
  EXPECT_OK(client.RenameAt("w/d", "w/d"));
  Pause();
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("a", "b", "d"));
  EXPECT_TRUE(client.Exists("w/d/c"));
  EXPECT_EQ(client.StatOf("w/b").nlink, 3u);
  EXPECT_EQ(client.StatOf("w/b").ino, file.ino);
}

TEST_P(RenameContract, R5_3_ReplacingOneOfSeveralLinksKeepsTheOthers) {
  Given({FileNode("w/a", "a"), FileNode("w/b", "b")});
  Client client = Root();
  ASSERT_OK(client.LinkAt("w/b", "w/b2"));
  const ObjectId b = client.IdOf("w/b");
  ASSERT_OK(client.RenameAt("w/a", "w/b"));
  Pause();
  EXPECT_EQ(client.ReadFile("w/b").value_or("failed"), "a");
  EXPECT_EQ(client.ReadFile("w/b2").value_or("failed"), "b");
  EXPECT_EQ(client.Get(b).value().nlink, 1u);
}

TEST_P(RenameContract, R5_3_AnotherRenameFreesTheNameForANewObject) {
  Given({DirNode("w/d"), FileNode("w/d/old", "old"), FileNode("w/f", "f")});
  Client client = Root();
  ASSERT_OK(client.RenameAt("w/d", "w/e"));
  ASSERT_OK(client.Mkdir("w/d"));
  ASSERT_OK(client.RenameAt("w/f", "w/g"));
  ASSERT_OK(client.MakeFile("w/f"));
  Pause();
  EXPECT_TRUE(client.List("w/d").value().empty()) << "nothing of the old directory shows through";
  EXPECT_THAT(client.List("w/e").value(), ::testing::ElementsAre("old"));
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "");
  EXPECT_EQ(client.ReadFile("w/g").value_or("failed"), "f");
}

TEST_P(RenameContract, R5_3_EveryKindOfObjectMoves) {
  TreeNode fifo = FileNode("w/fifo", "");
  fifo.type = FileType::kFifo;
  TreeNode device = FileNode("w/device", "");
  device.type = FileType::kBlockDevice;
  device.rdev = {8, 1};
  Given({DirNode("w/to"), FileNode("w/file", "f"), DirNode("w/dir"), SymlinkNode("w/symlink", "t"), fifo, device});
  Client client = Root();
  for (const std::string name : {"file", "dir", "symlink", "fifo", "device"}) {
    const Attributes before = client.StatOf("w/" + name);
    ASSERT_OK(client.RenameAt("w/" + name, "w/to/" + name + "2"));
    Pause();
    Attributes after = client.StatOf("w/to/" + name + "2");
    after.ctime = before.ctime;
    after.used = before.used;  // counted in blocks by some layers
    ExpectSame(before, after);
  }
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("to"));
  EXPECT_THAT(client.List("w/to").value(), ::testing::ElementsAre("device2", "dir2", "fifo2", "file2", "symlink2"));
}

TEST_P(RenameContract, R5_3_TwoNamesSwapThroughAThird) {
  Given({DirNode("w/a"), FileNode("w/a/in_a", ""), DirNode("w/b"), FileNode("w/b/in_b", "")});
  Client client = Root();
  for (int i = 0; i < 4; ++i) {
    ASSERT_OK(client.RenameAt("w/a", "w/t"));
    ASSERT_OK(client.RenameAt("w/b", "w/a"));
    ASSERT_OK(client.RenameAt("w/t", "w/b"));
    Pause();
    EXPECT_THAT(client.List("w/a").value(), ::testing::ElementsAre(i % 2 == 0 ? "in_b" : "in_a"));
    EXPECT_THAT(client.List("w/b").value(), ::testing::ElementsAre(i % 2 == 0 ? "in_a" : "in_b"));
  }
}

}  // namespace
}  // namespace strata::vfs::testing
