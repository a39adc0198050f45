// The overlay's rules X1 to X19 (spec overlay 5), over folders of the host. Each test ends by comparing the folders
// with what they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(OverlayRules, X1_AWhiteoutHidesTheNameInTheLayersBelowItsOwnOnly) {
  HostSubject subject(
      {{FileNode("a", "top")},
       {WhiteoutNode("a"), WhiteoutNode("b"), WhiteoutNode("d"), DirNode("d"), FileNode("d/mine", "middle")},
       {FileNode("a", "bottom"), FileNode("b", "bottom"), FileNode("c", "bottom"), DirNode("d"),
        FileNode("d/theirs", "")}});
  Client client(subject);
  EXPECT_EQ(Text(client, "a"), "top");
  EXPECT_CODE(client.Stat("b"), Errc::kNotFound);
  EXPECT_EQ(Text(client, "c"), "bottom");
  EXPECT_THAT(client.List("").value(), ElementsAre("a", "c", "d"));
  // A layer that deletes a name and holds it too: its own stays.
  EXPECT_THAT(client.List("d").value(), ElementsAre("mine"));
  // Deleted here, what lies below does not come back.
  ASSERT_OK(client.Unlink("a"));
  subject.Restart();
  EXPECT_CODE(client.Stat("a"), Errc::kNotFound);
}

TEST(OverlayRules, X2_AWhiteoutOrAFileAboveCutsOffTheWholeSubtree) {
  HostSubject subject(
      {{DirNode("p"), DirNode("q"), DirNode("q/r")},
       {WhiteoutNode("a"), FileNode("p/x", "a file"), FileNode("q/r/s", "a file")},
       {DirNode("a"), DirNode("a/b"), FileNode("a/b/c", ""), DirNode("p"), DirNode("p/x"), FileNode("p/x/y", ""),
        DirNode("q"), DirNode("q/r"), DirNode("q/r/s"), FileNode("q/r/s/t", ""), FileNode("q/r/seen", "")}});
  Client client(subject);
  EXPECT_CODE(client.Stat("a"), Errc::kNotFound);
  EXPECT_CODE(client.Stat("a/b/c"), Errc::kNotFound);
  EXPECT_CODE(client.Stat("p/x/y"), Errc::kNotDirectory);
  EXPECT_CODE(client.Stat("q/r/s/t"), Errc::kNotDirectory);
  EXPECT_TRUE(client.Exists("q/r/seen"));
  EXPECT_THAT(client.List("q/r").value(), ElementsAre("s", "seen"));
}

TEST(OverlayRules, X3_OnlyDirectoriesMergeAndAFileHidesADirectoryEntirely) {
  HostSubject subject({{DirNode("m"), FileNode("m/1", "top"), FileNode("f", "file over directory"), DirNode("d"),
                        DirNode("cut"), FileNode("cut/1", "")},
                       {DirNode("m"), FileNode("m/1", "hidden"), FileNode("m/2", "middle"), DirNode("f"),
                        FileNode("f/x", ""), FileNode("d", "directory over file"), FileNode("cut", "cuts")},
                       {DirNode("m"), FileNode("m/3", "bottom"), DirNode("f"), DirNode("d"), FileNode("d/below", ""),
                        DirNode("cut"), FileNode("cut/3", "")}});
  Client client(subject);
  EXPECT_THAT(client.List("m").value(), ElementsAre("1", "2", "3"));
  EXPECT_EQ(Text(client, "m/1"), "top");
  EXPECT_EQ(Text(client, "m/3"), "bottom");
  EXPECT_EQ(client.StatOf("f").type, FileType::kRegular);
  EXPECT_CODE(client.List("f"), Errc::kNotDirectory);
  EXPECT_CODE(client.Stat("f/x"), Errc::kNotDirectory);
  EXPECT_THAT(client.List("d").value(), IsEmpty()) << "what is beneath the hidden file stays hidden";
  EXPECT_THAT(client.List("cut").value(), ElementsAre("1"));
  // When the file goes, nothing shows from below it.
  ASSERT_OK(client.Unlink("f"));
  EXPECT_CODE(client.Stat("f"), Errc::kNotFound);
  ASSERT_OK(client.Mkdir("f"));
  subject.Restart();
  EXPECT_THAT(client.List("f").value(), IsEmpty());
}

TEST(OverlayRules, X4_ANewDirectoryOverADeletedOneIsEmpty) {
  HostSubject subject({{DirNode("d"), FileNode("d/old", "x"), DirNode("d/sub"), FileNode("d/sub/y", "")},
                       {DirNode("d"), FileNode("d/older", "x")}});
  Client client(subject);
  ASSERT_OK(client.Unlink("d/old"));
  ASSERT_OK(client.Unlink("d/older"));
  ASSERT_OK(client.Unlink("d/sub/y"));
  ASSERT_OK(client.Rmdir("d/sub"));
  ASSERT_OK(client.Rmdir("d"));
  ASSERT_OK(client.Mkdir("d"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(client.List("d").value(), IsEmpty());
    EXPECT_CODE(client.Stat("d/old"), Errc::kNotFound);
    EXPECT_CODE(client.Stat("d/older"), Errc::kNotFound);
    EXPECT_CODE(client.Stat("d/sub"), Errc::kNotFound);
    subject.Restart();
  }
  ASSERT_OK(client.WriteFile("d/old", "new"));
  EXPECT_THAT(client.List("d").value(), ElementsAre("old"));
  EXPECT_EQ(Text(client, "d/old"), "new");
}

TEST(OverlayRules, X4_AnOpaqueDirectoryOfALayerHidesThoseBelow) {
  HostSubject subject({{DirNode("d"), FileNode("d/1", "")},
                       {OpaqueDirNode("d"), FileNode("d/2", "")},
                       {DirNode("d"), FileNode("d/3", "")}});
  Client client(subject);
  EXPECT_THAT(client.List("d").value(), ElementsAre("1", "2"));
  EXPECT_CODE(client.Stat("d/3"), Errc::kNotFound);
  EXPECT_CODE(client.Stat("d/.wh..wh..opq"), Errc::kNotFound);
}

TEST(OverlayRules, X5_RmdirLooksAtTheMergedDirectory) {
  HostSubject subject(
      {{DirNode("full"), DirNode("emptied"), WhiteoutNode("emptied/x"), DirNode("opaque")},
       {DirNode("full"), FileNode("full/below", ""), DirNode("emptied"), FileNode("emptied/x", ""), DirNode("lower")}});
  Client client(subject);
  const Lsn before = subject.JournalEnd();
  EXPECT_CODE(client.Rmdir("full"), Errc::kNotEmpty);
  EXPECT_EQ(subject.JournalEnd(), before) << "no side effect";
  EXPECT_TRUE(client.Exists("full/below"));
  EXPECT_OK(client.Rmdir("emptied")) << "a whiteout is no entry";
  EXPECT_OK(client.Rmdir("lower"));
  ASSERT_OK(client.MakeFile("full/own"));
  ASSERT_OK(client.Unlink("full/below"));
  EXPECT_CODE(client.Rmdir("full"), Errc::kNotEmpty) << "the upper's file is one";
  ASSERT_OK(client.Unlink("full/own"));
  EXPECT_OK(client.Rmdir("full")) << "only whiteouts are left";
  for (int i = 0; i < 2; ++i) {
    for (const char* path : {"full", "emptied", "lower", "full/below"})
      EXPECT_CODE(client.Stat(path), Errc::kNotFound) << path;
    subject.Restart();
  }
}

TEST(OverlayRules, X6_TypesAreCheckedAndWhatIsHiddenIsNotThere) {
  HostSubject subject({{WhiteoutNode("gone")}, {FileNode("gone", ""), DirNode("d"), FileNode("f", "")}});
  Client client(subject);
  EXPECT_CODE(client.Unlink("d"), Errc::kIsDirectory);
  EXPECT_CODE(client.Rmdir("f"), Errc::kNotDirectory);
  EXPECT_CODE(client.Unlink("gone"), Errc::kNotFound);
  EXPECT_CODE(client.Rmdir("gone"), Errc::kNotFound);
  ASSERT_OK(client.Unlink("f"));
  EXPECT_CODE(client.Unlink("f"), Errc::kNotFound);
  ASSERT_OK(client.Rmdir("d"));
  EXPECT_CODE(client.Rmdir("d"), Errc::kNotFound);
  EXPECT_THAT(client.List("").value(), IsEmpty());
}

TEST(OverlayRules, X7_AVisibleNameExistsWhereverItComesFrom) {
  HostSubject subject({{FileNode("f", "content"), DirNode("d"), FileNode("other", "")}});
  Client client(subject);
  const ObjectId root = client.Root();
  const Lsn before = subject.JournalEnd();
  for (const char* name : {"f", "d"}) {
    EXPECT_CODE(client.MakeDirectory(root, name), Errc::kExists);
    EXPECT_CODE(client.MakeSymlink(root, name, "t"), Errc::kExists);
    EXPECT_CODE(client.MakeNode(root, name, FileType::kFifo, {}), Errc::kExists);
    EXPECT_CODE(client.Create(root, name, CreateMode::kGuarded), Errc::kExists);
    EXPECT_CODE(client.Create(root, name, CreateMode::kExclusive, {}, {1}), Errc::kExists);
    EXPECT_CODE(client.LinkAt("other", name), Errc::kExists);
  }
  EXPECT_EQ(Text(client, "f"), "content");
  EXPECT_EQ(subject.JournalEnd(), before);
}

TEST(OverlayRules, X8_BothNamesOfALinkedLowerFileAreOneFile) {
  HostSubject subject({{FileNode("f", "lower"), DirNode("d")}});
  Client client(subject);
  ASSERT_OK(client.LinkAt("f", "d/g"));
  EXPECT_EQ(client.IdOf("f"), client.IdOf("d/g"));
  EXPECT_EQ(client.StatOf("f").nlink, 2u);
  ASSERT_OK(client.WriteAt("d/g", 0, "UP"));
  subject.Restart();
  EXPECT_EQ(Text(client, "f"), "UPwer");
  ASSERT_OK(client.Unlink("f"));
  EXPECT_EQ(Text(client, "d/g"), "UPwer");
  EXPECT_EQ(client.StatOf("d/g").nlink, 1u);
  EXPECT_CODE(client.Stat("f"), Errc::kNotFound);
}

TEST(OverlayRules, X8_HardLinksOfALayerStayOneFileThroughCopyUp) {
  HostSubject subject({{FileNode("a", "shared"), DirNode("d"), LinkNode("d/b", "a"), LinkNode("c", "a")}});
  Client client(subject);
  EXPECT_EQ(client.StatOf("a").nlink, 3u);
  EXPECT_EQ(client.IdOf("a").ino, client.IdOf("d/b").ino);
  ASSERT_OK(client.WriteAt("d/b", 0, "SH"));
  EXPECT_EQ(Text(client, "a"), "SHared");
  subject.Restart();
  EXPECT_EQ(Text(client, "c"), "SHared");
  EXPECT_EQ(client.StatOf("c").nlink, 3u);
  ASSERT_OK(client.Unlink("a"));
  subject.Restart();
  EXPECT_EQ(client.StatOf("c").nlink, 2u);
  EXPECT_EQ(Text(client, "d/b"), "SHared");
  ASSERT_OK(client.Unlink("c"));
  ASSERT_OK(client.RenameAt("d/b", "e"));
  EXPECT_EQ(client.StatOf("e").nlink, 1u);
  EXPECT_EQ(Text(client, "e"), "SHared");
}

TEST(OverlayRules, X9_RenameOfALowerFileMovesIt) {
  HostSubject subject(
      {{FileNode("f", "content", 0640, 5, 6), DirNode("d"), FileNode("d/t", "target"), WhiteoutNode("hidden")},
       {FileNode("hidden", "")}});
  Client client(subject);
  const Attributes before = client.StatOf("f");
  EXPECT_CODE(client.RenameAt("hidden", "x"), Errc::kNotFound);
  EXPECT_OK(client.RenameAt("f", "f"));
  ASSERT_OK(client.RenameAt("f", "d/t"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_CODE(client.Stat("f"), Errc::kNotFound);
    EXPECT_EQ(Text(client, "d/t"), "content");
    const Attributes after = client.StatOf("d/t");
    EXPECT_EQ(after.mode, before.mode);
    EXPECT_EQ(after.mtime.ns, before.mtime.ns);
    EXPECT_EQ(after.ino, before.ino);
    subject.Restart();
  }
  EXPECT_CODE(client.RenameAt("f", "x"), Errc::kNotFound) << "a moved file is not raised again";
}

TEST(OverlayRules, X9_ALowerDirectoryOfAnySizeMovesInOneStep) {
  Tree tree = {DirNode("big"), DirNode("to"), DirNode("big/sub")};
  for (int i = 0; i < 3000; ++i) tree.push_back(FileNode("big/" + std::to_string(i), "x"));
  for (int i = 0; i < 100; ++i) tree.push_back(FileNode("big/sub/" + std::to_string(i), "deep" + std::to_string(i)));
  HostSubject subject({{DirNode("big"), FileNode("big/upper layer", "u")}, tree});
  Client client(subject);
  const ObjectId deep = client.IdOf("big/sub/42");
  const Lsn before = subject.JournalEnd();
  ASSERT_OK(client.RenameAt("big", "to/moved"));
  EXPECT_LT(subject.JournalEnd().value - before.value, 4096u) << "nothing beneath is copied";
  for (int i = 0; i < 2; ++i) {
    EXPECT_CODE(client.Stat("big"), Errc::kNotFound);
    EXPECT_EQ(client.List("to/moved").value().size(), 3002u);
    EXPECT_EQ(Text(client, "to/moved/sub/42"), "deep42");
    EXPECT_EQ(Text(client, "to/moved/upper layer"), "u");
    EXPECT_EQ(client.IdOf("to/moved/sub/42"), deep);
    subject.Restart();
  }
  // It is a directory like any other: changes beneath, moved again, and a new one in its old place.
  ASSERT_OK(client.WriteAt("to/moved/sub/42", 0, "D"));
  ASSERT_OK(client.Unlink("to/moved/7"));
  ASSERT_OK(client.MakeFile("to/moved/own"));
  ASSERT_OK(client.RenameAt("to/moved/sub", "to/sub"));
  ASSERT_OK(client.RenameAt("to/moved", "again"));
  ASSERT_OK(client.Mkdir("big"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(client.List("big").value(), IsEmpty());
    EXPECT_EQ(client.List("again").value().size(), 3001u);
    EXPECT_EQ(Text(client, "to/sub/42"), "Deep42");
    EXPECT_CODE(client.Stat("again/7"), Errc::kNotFound);
    EXPECT_CODE(client.Stat("again/sub"), Errc::kNotFound);
    EXPECT_EQ(client.Lookup(client.IdOf("to/sub"), "..").value().id, client.IdOf("to"));
    subject.Restart();
  }
}

TEST(OverlayRules, X9_ADirectoryMovedOverALowerOneHidesItsContent) {
  HostSubject subject({{DirNode("from"), FileNode("from/f", "1"), DirNode("target"), FileNode("target/old", "")}});
  Client client(subject);
  EXPECT_CODE(client.RenameAt("from", "target"), Errc::kNotEmpty, Errc::kExists);
  ASSERT_OK(client.Unlink("target/old"));
  ASSERT_OK(client.RenameAt("from", "target"));
  subject.Restart();
  EXPECT_THAT(client.List("target").value(), ElementsAre("f"));
  EXPECT_THAT(client.List("").value(), ElementsAre("target"));
  EXPECT_CODE(client.Stat("target/old"), Errc::kNotFound);
}

TEST(OverlayRules, X9_AMovedDirectoryKeepsItsContentWhenItsOldParentGoes) {
  HostSubject subject(
      {{DirNode("p"), DirNode("p/d"), FileNode("p/d/f", "kept"), DirNode("p/d/e"), FileNode("p/d/e/g", "too")}});
  Client client(subject);
  const ObjectId g = client.IdOf("p/d/e/g");
  ASSERT_OK(client.RenameAt("p/d", "d"));
  ASSERT_OK(client.Rmdir("p"));
  subject.Restart();
  EXPECT_EQ(client.ReadAll(g).value_or("failed"), "too");
  EXPECT_EQ(Text(client, "d/f"), "kept");
  EXPECT_THAT(client.List("").value(), ElementsAre("d"));
}

TEST(OverlayRules, X10_AnOpenThatTruncatesLeavesNoOldTail) {
  HostSubject subject({{FileNode("f", std::string(100'000, 'x'))}});
  Client client(subject);
  const Lsn before = subject.JournalEnd();
  ASSERT_OK(client.Create(client.Root(), "f", CreateMode::kUnchecked, Size(0)));
  EXPECT_LT(subject.JournalEnd().value - before.value, 4096u) << "no data is copied";
  EXPECT_EQ(client.StatOf("f").size, 0u);
  ASSERT_OK(client.WriteAt("f", 0, "Hi"));
  subject.Restart();
  EXPECT_EQ(Text(client, "f"), "Hi");
  ASSERT_OK(client.Truncate("f", 10));
  EXPECT_EQ(Text(client, "f"), std::string("Hi\0\0\0\0\0\0\0\0", 10));
}

TEST(OverlayRules, X10_ALengthThatWasSetShowsAtOnce) {
  HostSubject subject({{FileNode("f", "0123456789"), FileNode("g", "0123456789")}});
  Client client(subject);
  ASSERT_OK(client.Truncate("f", 4));
  EXPECT_EQ(client.StatOf("f").size, 4u);
  EXPECT_EQ(Text(client, "f"), "0123");
  ASSERT_OK(client.Truncate("f", 6));
  subject.Restart();
  EXPECT_EQ(Text(client, "f"), std::string("0123\0\0", 6)) << "what was cut off does not come back";
  ASSERT_OK(client.Truncate("g", 12));
  EXPECT_EQ(Text(client, "g"), std::string("0123456789\0\0", 12));
}

TEST(OverlayRules, X11_AttributeChangesCopyUpAndNeverTouchTheLayer) {
  HostSubject subject({{FileNode("f", "x"), DirNode("d"), FileNode("d/in", ""), SymlinkNode("s", "t")}});
  Client client(subject);
  SetAttributes times;
  times.set_atime = times.set_mtime = SetTime::kClient;
  times.atime = times.mtime = Time{12345};
  for (const char* path : {"f", "d", "s"}) {
    if (std::string_view(path) != "s") {
      ASSERT_OK(client.Chmod(path, 0700));
    }
    ASSERT_OK(client.Chown(path, 11, 22));
    ASSERT_OK(client.Set(client.IdOf(path), times));
  }
  subject.ExpectLowersUntouched();
  subject.Restart();
  for (const char* path : {"f", "d", "s"}) {
    EXPECT_EQ(client.StatOf(path).uid, 11u) << path;
    EXPECT_EQ(client.StatOf(path).mtime.ns, 12345) << path;
  }
  EXPECT_EQ(client.StatOf("f").mode, 0700u);
  EXPECT_EQ(Text(client, "f"), "x");
  EXPECT_THAT(client.List("d").value(), ElementsAre("in"));
  EXPECT_EQ(client.ReadLinkAt("s").value_or("failed"), "t");
}

TEST(OverlayRules, X12_CopyUpKeepsWhatItDoesNotChange) {
  HostSubject subject({{DirNode("d", 0751, 7, 8), DirNode("d/e", 0710, 9, 10),
                        FileNode("d/e/f", Pattern(100'000, 1), 0640, 1000, 2000)}});
  Client client(subject);
  const Attributes file = client.StatOf("d/e/f");
  const Attributes parent = client.StatOf("d/e");
  const Attributes grandparent = client.StatOf("d");
  const Attributes root = client.StatOf("");
  ASSERT_OK(client.WriteAt("d/e/f", 50'000, "!"));
  subject.Restart();
  const Attributes after = client.StatOf("d/e/f");
  EXPECT_EQ(after.mode, file.mode);
  EXPECT_EQ(after.uid, file.uid);
  EXPECT_EQ(after.gid, file.gid);
  EXPECT_EQ(after.atime.ns, file.atime.ns);
  EXPECT_EQ(after.size, file.size);
  EXPECT_EQ(after.nlink, file.nlink);
  EXPECT_GT(after.mtime, file.mtime);
  std::string expected = Pattern(100'000, 1);
  expected[50'000] = '!';
  EXPECT_EQ(Text(client, "d/e/f"), expected);
  EXPECT_TRUE(client.StatOf("d/e") == parent) << "a parent is not changed by what is written beneath";
  EXPECT_TRUE(client.StatOf("d") == grandparent);
  EXPECT_TRUE(client.StatOf("") == root);
  // And a chmod keeps mtime and data.
  ASSERT_OK(client.Chmod("d/e", 0700));
  EXPECT_EQ(client.StatOf("d/e").mtime.ns, parent.mtime.ns);
  EXPECT_EQ(client.StatOf("d/e").uid, 9u);
}

TEST(OverlayRules, X12_LookingAtEverythingWritesNothing) {
  HostSubject subject({{DirNode("d"), FileNode("d/f", "x"), SymlinkNode("s", "t"), DirNode("d/e")}});
  Client client(subject);
  const Lsn before = subject.JournalEnd();
  EXPECT_EQ(Text(client, "d/f"), "x");
  EXPECT_OK(client.List("d"));
  EXPECT_OK(client.List(""));
  EXPECT_OK(client.ReadLinkAt("s"));
  EXPECT_OK(client.Access(client.IdOf("d/f")));
  EXPECT_OK(client.Create(client.IdOf("d"), "f", CreateMode::kUnchecked, Mode(0666))) << "an open for writing";
  EXPECT_OK(client.Commit(client.IdOf("d/f"))) << "and its close";
  EXPECT_EQ(subject.JournalEnd(), before);
  EXPECT_THAT(subject.Changes(), IsEmpty());
}

TEST(OverlayRules, X12_TheFirstByteIntoAHugeSparseFileCostsNextToNothing) {
  constexpr std::uint64_t kHuge = 10'000'000'000;
  HostSubject subject({{SparseNode("huge", kHuge)}});
  Client client(subject);
  const ObjectId huge = client.IdOf("huge");
  const Lsn before = subject.JournalEnd();
  const std::int64_t start = Env::System().MonotonicNs();
  ASSERT_OK(client.Write(huge, kHuge / 2, "!"));
  EXPECT_LT(Env::System().MonotonicNs() - start, 1'000'000'000);
  EXPECT_LT(subject.JournalEnd().value - before.value, 64u << 10);
  subject.Restart();
  EXPECT_EQ(client.Get(huge)->size, kHuge);
  auto around = client.Read(huge, kHuge / 2 - 3, 7);
  ASSERT_OK(around);
  EXPECT_EQ(around->data, std::string("\0\0\0!\0\0\0", 7));
  auto last = client.Read(huge, kHuge - 10, 100);
  ASSERT_OK(last);
  EXPECT_EQ(last->data, std::string(10, '\0'));
  EXPECT_TRUE(last->eof);
  EXPECT_LT(client.Get(huge)->used, 1u << 20) << "the holes are kept";
}

TEST(OverlayRules, X13_TheNumberSurvivesCopyUpRenameAndRestart) {
  HostSubject subject({{DirNode("d"), FileNode("d/f", "x")}, {DirNode("d"), FileNode("d/g", "y")}});
  Client client(subject);
  std::vector<std::pair<std::string, ObjectId>> before;
  for (const std::string path : {"d", "d/f", "d/g"}) before.emplace_back(path, client.IdOf(path));
  ASSERT_OK(client.WriteAt("d/f", 0, "X"));
  ASSERT_OK(client.Chmod("d", 0700));
  ASSERT_OK(client.Chmod("d/g", 0600));
  for (int i = 0; i < 2; ++i) {
    for (const auto& [path, id] : before) {
      EXPECT_EQ(client.IdOf(path), id) << path;
      EXPECT_EQ(client.StatOf(path).ino, id.ino) << path;
    }
    const std::vector<Listed> listed = client.ListAll(client.IdOf("d"), 1, false).value();
    ASSERT_EQ(listed.size(), 4u);
    for (const Listed& entry : listed) {
      if (entry.name.starts_with('.')) continue;
      EXPECT_EQ(entry.id.ino, client.IdOf("d/" + entry.name).ino);
    }
    subject.Restart();
  }
}

TEST(OverlayRules, X14_AWriteToARemovedFileNeverMakesItsNameAgain) {
  HostSubject subject({{FileNode("f", "lower"), FileNode("g", "lower")}});
  Client client(subject);
  const ObjectId f = client.IdOf("f");
  const ObjectId g = client.IdOf("g");
  ASSERT_OK(client.Write(g, 0, "copied"));
  ASSERT_OK(client.Unlink("f"));
  ASSERT_OK(client.Unlink("g"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_CODE(client.Write(f, 0, "late"), Errc::kStale);
    EXPECT_CODE(client.Write(g, 0, "late"), Errc::kStale);
    EXPECT_CODE(client.Set(f, Size(0)), Errc::kStale);
    EXPECT_THAT(client.List("").value(), IsEmpty());
    subject.Restart();
  }
}

TEST(OverlayRules, X15_RemovingACopiedFileDoesNotBringTheLowerOneBack) {
  HostSubject subject({{FileNode("f", "lower"), DirNode("d"), FileNode("d/f", "lower")}, {FileNode("f", "lowest")}});
  Client client(subject);
  ASSERT_OK(client.WriteAt("f", 0, "U"));
  ASSERT_OK(client.WriteFile("d/f", "upper"));
  ASSERT_OK(client.WriteFile("n", "upper"));
  ASSERT_OK(client.Unlink("f"));
  ASSERT_OK(client.RenameAt("n", "d/f"));
  ASSERT_OK(client.Unlink("d/f"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_CODE(client.Stat("f"), Errc::kNotFound);
    EXPECT_CODE(client.Stat("d/f"), Errc::kNotFound);
    EXPECT_THAT(client.List("").value(), ElementsAre("d"));
    subject.Restart();
  }
}

TEST(OverlayRules, X16_WhNamesAreOrdinaryUnlessTheLayerUsesThemAsMarkers) {
  const Tree top = {FileNode(".wh.x", "a file"), FileNode(".wh..wh..opq", "another")};
  const Tree bottom = {FileNode("x", "below")};
  HostSubject ordinary({top, bottom}, TestOptions(), {.files = false, .chardev = true, .xattr = true});
  Client client(ordinary);
  EXPECT_THAT(client.List("").value(), ElementsAre(".wh..wh..opq", ".wh.x", "x"));
  EXPECT_EQ(Text(client, ".wh.x"), "a file");
  EXPECT_EQ(Text(client, "x"), "below");
  ASSERT_OK(client.WriteFile(".wh.y", "mine"));
  ASSERT_OK(client.WriteFile("y", "mine too"));
  ASSERT_OK(client.RenameAt(".wh.x", ".wh.z"));
  ordinary.Restart();
  EXPECT_THAT(client.List("").value(), ElementsAre(".wh..wh..opq", ".wh.y", ".wh.z", "x", "y"));

  HostSubject marked({top, bottom});
  Client other(marked);
  EXPECT_THAT(other.List("").value(), IsEmpty());
  EXPECT_CODE(other.Stat(".wh.x"), Errc::kNotFound);
  EXPECT_CODE(other.Stat("x"), Errc::kNotFound);
}

TEST(OverlayRules, X17_TheOrderAndTheCookiesStayThroughEveryChange) {
  Tree top = {DirNode("d")};
  Tree bottom = {DirNode("d")};
  for (int i = 0; i < 40; ++i) (i % 3 == 0 ? top : bottom).push_back(FileNode("d/" + std::to_string(i), "x"));
  HostSubject subject({top, bottom});
  Client client(subject);
  const ObjectId d = client.IdOf("d");
  std::vector<Listed> before = client.ListAll(d).value();
  ASSERT_EQ(before.size(), 42u);
  EXPECT_EQ(before[0].name, ".");
  EXPECT_EQ(before[1].name, "..");
  for (std::size_t i = 1; i < before.size(); ++i) EXPECT_LT(before[i - 1].cookie.value, before[i].cookie.value);
  // Copies up, goes away, comes back, comes new.
  ASSERT_OK(client.WriteAt("d/1", 0, "y"));
  ASSERT_OK(client.Unlink("d/2"));
  ASSERT_OK(client.MakeFile("d/2"));
  ASSERT_OK(client.Unlink("d/3"));
  ASSERT_OK(client.MakeFile("d/new"));
  ASSERT_OK(client.Chmod("d", 0700));
  subject.Restart();
  std::vector<Listed> after = client.ListAll(d, 3).value();
  std::erase_if(before, [](const Listed& entry) { return entry.name == "3"; });
  std::erase_if(after, [](const Listed& entry) { return entry.name == "new"; });
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].name, after[i].name);
    EXPECT_EQ(before[i].cookie, after[i].cookie) << before[i].name;
  }
}

TEST(OverlayRules, X18_WhatNoLayerHasIsNotFound) {
  HostSubject subject({{DirNode("d"), WhiteoutNode("gone")}, {DirNode("d"), DirNode("gone")}});
  Client client(subject);
  EXPECT_CODE(client.List("missing"), Errc::kNotFound);
  EXPECT_CODE(client.List("gone"), Errc::kNotFound);
  EXPECT_CODE(client.Stat("d/missing"), Errc::kNotFound);
  EXPECT_CODE(client.MakeFile("missing/f"), Errc::kNotFound);
}

TEST(OverlayRules, X19_ARefusedChangeLeavesNoTrace) {
  HostSubject subject({{DirNode("d", 0755, 1000, 1000), FileNode("d/f", "x", 0644, 1000, 1000), DirNode("full"),
                        FileNode("full/x", ""), FileNode("f", ""), DirNode("e")}});
  Client client(subject);
  Client bob = client.As(User(1001, 1001));
  const Lsn before = subject.JournalEnd();
  EXPECT_FALSE(bob.Unlink("d/f"));
  EXPECT_FALSE(bob.MakeFile("d/new"));
  EXPECT_FALSE(bob.WriteAt("d/f", 0, "y"));
  EXPECT_FALSE(bob.Chmod("d/f", 0777));
  EXPECT_FALSE(bob.RenameAt("d/f", "d/g"));
  EXPECT_FALSE(client.RenameAt("f", "e"));
  EXPECT_FALSE(client.RenameAt("e", "f"));
  EXPECT_FALSE(client.RenameAt("e", "full"));
  EXPECT_FALSE(client.RenameAt("full", "full/y"));
  EXPECT_FALSE(client.Rmdir("full"));
  EXPECT_FALSE(client.Unlink("full"));
  EXPECT_FALSE(client.LinkAt("f", "full"));
  EXPECT_FALSE(client.Truncate("e", 0));
  EXPECT_FALSE(client.Mkdir("f"));
  EXPECT_EQ(subject.JournalEnd(), before);
  EXPECT_THAT(subject.Changes(), IsEmpty());
}

}  // namespace
}  // namespace strata::vfs::testing
