// The cases that the overlay's specification took over from its seed, T1 to T23 (spec overlay 6), in their POSIX form.
// What was "in the primary" is what the workspace says it holds (HostSubject::Changes); layer 0 is the secondary, and
// stays as it is or the test fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

TEST(OverlaySeeds, T1_ADirectoryInSeveralLayersIsListedOnce) {
  HostSubject subject({{DirNode("app"), DirNode("app/wp-content"), DirNode("app/wp-content/themes")},
                       {DirNode("app"), DirNode("app/wp-content"), DirNode("app/wp-content/themes"),
                        DirNode("app/wp-content/themes/one")}});
  Client client(subject);
  EXPECT_THAT(client.List("app/wp-content").value(), ElementsAre("themes"));
  EXPECT_THAT(client.List("app/wp-content/themes").value(), ElementsAre("one"));
}

// As in the seed: a volume is mounted at a directory that the container has too.
TEST(OverlaySeeds, T1_AVolumeAtASubDirectoryIsMergedThere) {
  HostSubject subject({{DirNode("themes"), DirNode("themes/one"), FileNode("themes/one/style", "volume")},
                       {DirNode("app", 0750, 7, 8), DirNode("app/wp-content"), DirNode("app/wp-content/themes"),
                        DirNode("app/wp-content/themes/one"), FileNode("app/wp-content/themes/one/style", "container"),
                        FileNode("app/index", "")}},
                      TestOptions(), {}, {"/app/wp-content"});
  Client client(subject);
  for (int life = 0; life < 2; ++life) {
    EXPECT_THAT(client.List("").value(), ElementsAre("app"));
    EXPECT_THAT(client.List("app").value(), ElementsAre("index", "wp-content"));
    EXPECT_THAT(client.List("app/wp-content/themes").value(), ElementsAre("one"));
    EXPECT_EQ(Text(client, "app/wp-content/themes/one/style"), "volume");
    EXPECT_EQ(client.Stat("app")->mode, 0750u) << "the container's";
    if (life == 0) {
      ASSERT_OK(client.WriteFile("app/wp-content/themes/one/new", "upper"));
    }
    subject.Restart();
  }
  EXPECT_EQ(Text(client, "app/wp-content/themes/one/new"), "upper");
  EXPECT_THAT(subject.Changes(), ::testing::Contains("+/app/wp-content/themes/one/new"));
}

TEST(OverlaySeeds, T2_RemoveDirectory) {
  HostSubject subject({{DirNode("third")}});
  Client client(subject);
  ASSERT_OK(client.Mkdir("first"));
  ASSERT_OK(client.Mkdir("second"));
  ASSERT_OK(client.WriteFile("second/file.txt", "x"));
  EXPECT_OK(client.Rmdir("first"));
  EXPECT_CODE(client.Rmdir("second"), Errc::kNotEmpty);
  EXPECT_OK(client.Rmdir("third"));
  subject.Restart();
  EXPECT_CODE(client.Stat("first"), Errc::kNotFound);
  EXPECT_CODE(client.Stat("third"), Errc::kNotFound);
  EXPECT_THAT(subject.Changes(), ElementsAre("+/second", "+/second/file.txt", "-/third"));
}

TEST(OverlaySeeds, T3_OpenFiles) {
  HostSubject subject({{DirNode("primary"), FileNode("primary/read.txt", "from the layer"), DirNode("secondary"),
                        FileNode("secondary/x", "")}});
  Client client(subject);
  ASSERT_OK(client.WriteFile("primary/read.txt", "from the upper"));
  ASSERT_OK(client.WriteFile("new.txt", ""));
  ASSERT_OK(client.WriteFile("primary/write.txt", "first"));
  ASSERT_OK(client.WriteAt("primary/write.txt", 0, "again"));
  subject.Restart();
  EXPECT_EQ(Text(client, "primary/read.txt"), "from the upper");
  EXPECT_EQ(Text(client, "primary/write.txt"), "again");
  EXPECT_TRUE(client.Exists("new.txt"));
}

TEST(OverlaySeeds, T4_AFileOfALayerIsReadWhole) {
  HostSubject subject({{FileNode("f", Pattern(3'000'000, 4))}});
  Client client(subject);
  EXPECT_EQ(Text(client, "f"), Pattern(3'000'000, 4));
}

TEST(OverlaySeeds, T5_CreateInADirectoryOfALayer) {
  HostSubject subject({{DirNode("path"), DirNode("path/to")}});
  Client client(subject);
  ASSERT_OK(client.WriteFile("path/to/file.txt", "Hello"));
  subject.Restart();
  EXPECT_EQ(Text(client, "path/to/file.txt"), "Hello");
  EXPECT_THAT(subject.Changes(), IsSupersetOf({"+/path/to/file.txt"}));
}

TEST(OverlaySeeds, T6_ThreeLayersAreListedAsOne) {
  HostSubject subject(
      {{DirNode("primary"), FileNode("primary/1", ""), DirNode("secondary"), FileNode("secondary/1", "top")},
       {DirNode("secondary"), FileNode("secondary/1", "middle"), FileNode("secondary/2", "")},
       {DirNode("secondary"), FileNode("secondary/3", ""), FileNode("secondary/2", "")}});
  Client client(subject);
  EXPECT_THAT(client.List("").value(), ElementsAre("primary", "secondary"));
  EXPECT_THAT(client.List("secondary").value(), ElementsAre("1", "2", "3"));
  EXPECT_EQ(Text(client, "secondary/1"), "top");
}

TEST(OverlaySeeds, T7_WriteModeReadsEmptiesAndWrites) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  const ObjectId file = client.IdOf("secondary/file.txt");
  EXPECT_EQ(client.ReadAll(file).value_or("failed"), "Hello, World!");
  ASSERT_OK(client.Set(file, Size(0)));
  ASSERT_OK(client.Write(file, 0, "Hi"));
  ASSERT_OK(client.Commit(file));
  EXPECT_EQ(client.ReadAll(file).value_or("failed"), "Hi");
  subject.Restart();
  EXPECT_EQ(Text(client, "secondary/file.txt"), "Hi");
}

TEST(OverlaySeeds, T8_UnlinkAFileOfALayer) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "x")}});
  Client client(subject);
  ASSERT_OK(client.Unlink("secondary/file.txt"));
  subject.Restart();
  EXPECT_CODE(client.Stat("secondary/file.txt"), Errc::kNotFound);
  EXPECT_THAT(subject.Changes(), ElementsAre("-/secondary/file.txt"));
}

TEST(OverlaySeeds, T9_TheCreateFlagWithoutAWriteCopiesNothing) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  const Lsn before = subject.JournalEnd();
  auto opened = client.Create(client.IdOf("secondary"), "file.txt", CreateMode::kUnchecked);
  ASSERT_OK(opened);
  EXPECT_EQ(opened->attributes.size, 13u);
  EXPECT_EQ(client.ReadAll(opened->id).value_or("failed"), "Hello, World!");
  EXPECT_EQ(subject.JournalEnd(), before);
  EXPECT_THAT(subject.Changes(), IsEmpty());
}

TEST(OverlaySeeds, T10_T12_UnlinkOfAnOpenedFileLeavesTheLayersFileAndTakesNoneUp) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  const ObjectId file = client.IdOf("secondary/file.txt");
  EXPECT_OK(client.Read(file, 0, 5));
  ASSERT_OK(client.Unlink("secondary/file.txt"));
  EXPECT_CODE(client.Stat("secondary/file.txt"), Errc::kNotFound);
  EXPECT_CODE(client.Read(file, 5, 5), Errc::kStale) << "spec nfsv3 3.4: a handle has no open file behind it";
  EXPECT_THAT(subject.Changes(), ElementsAre("-/secondary/file.txt"));
}

TEST(OverlaySeeds, T11_UnlinkTwice) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "x")}});
  Client client(subject);
  ASSERT_OK(client.Unlink("secondary/file.txt"));
  EXPECT_CODE(client.Unlink("secondary/file.txt"), Errc::kNotFound);
  subject.Restart();
  EXPECT_CODE(client.Unlink("secondary/file.txt"), Errc::kNotFound);
}

TEST(OverlaySeeds, T13_AppendingKeepsBothParts) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  ASSERT_OK(client.WriteAt("secondary/file.txt", 13, "asdf"));
  subject.Restart();
  EXPECT_EQ(client.StatOf("secondary/file.txt").size, 17u);
  EXPECT_EQ(Text(client, "secondary/file.txt"), "Hello, World!asdf");
  EXPECT_THAT(subject.Changes(), ElementsAre("~/secondary/file.txt"));
}

TEST(OverlaySeeds, T14_BeneathAFileThatCoversADirectoryNothingIsOpened) {
  HostSubject subject({{FileNode("secondary", "a file")}, {DirNode("secondary"), FileNode("secondary/file.txt", "x")}});
  Client client(subject);
  EXPECT_CODE(client.Stat("secondary/file.txt"), Errc::kNotDirectory);
  EXPECT_CODE(client.Unlink("secondary/file.txt"), Errc::kNotDirectory);
  EXPECT_THAT(subject.Changes(), IsEmpty());
}

TEST(OverlaySeeds, T15_UnlinkOfACopiedFileLeavesNoName) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  const ObjectId file = client.IdOf("secondary/file.txt");
  ASSERT_OK(client.Write(file, 13, "asdf"));
  ASSERT_OK(client.Unlink("secondary/file.txt"));
  EXPECT_CODE(client.Write(file, 17, "late"), Errc::kStale);
  subject.Restart();
  EXPECT_CODE(client.Stat("secondary/file.txt"), Errc::kNotFound);
  EXPECT_THAT(subject.Changes(), ElementsAre("-/secondary/file.txt"));
}

TEST(OverlaySeeds, T16_T17_AnOldHandleDoesNotReachANewFileByTheSameName) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "lower")}});
  Client client(subject);
  const ObjectId old = client.IdOf("secondary/file.txt");
  ASSERT_OK(client.Unlink("secondary/file.txt"));
  ASSERT_OK(client.WriteFile("secondary/file.txt", "new"));
  EXPECT_NE(client.IdOf("secondary/file.txt"), old);
  EXPECT_CODE(client.Write(old, 0, "late"), Errc::kStale);
  EXPECT_CODE(client.Set(old, Size(0)), Errc::kStale);
  subject.Restart();
  EXPECT_EQ(Text(client, "secondary/file.txt"), "new");
  EXPECT_CODE(client.Get(old), Errc::kStale);
}

TEST(OverlaySeeds, T18_UnlinkAndCreateAgain) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  ASSERT_OK(client.Unlink("secondary/file.txt"));
  auto made = client.MakeFile("secondary/file.txt");
  ASSERT_OK(made);
  EXPECT_EQ(client.Get(*made)->size, 0u);
  ASSERT_OK(client.Write(*made, 0, "asdf"));
  subject.Restart();
  EXPECT_EQ(client.StatOf("secondary/file.txt").size, 4u);
  EXPECT_EQ(Text(client, "secondary/file.txt"), "asdf");
  EXPECT_THAT(client.List("secondary").value(), ElementsAre("file.txt"));
}

TEST(OverlaySeeds, T19_AnExclusiveCreateOfAFileOfALayerIsRefused) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  EXPECT_CODE(client.MakeFile("secondary/file.txt"), Errc::kExists);
  EXPECT_CODE(client.Create(client.IdOf("secondary"), "file.txt", CreateMode::kExclusive, {}, {1}), Errc::kExists);
  EXPECT_EQ(Text(client, "secondary/file.txt"), "Hello, World!");
  EXPECT_THAT(subject.Changes(), IsEmpty());
}

TEST(OverlaySeeds, T20_ADirectoryOfALayerIsRemovedAndMadeAgain) {
  HostSubject subject({{DirNode("secondary")}});
  Client client(subject);
  ASSERT_OK(client.Rmdir("secondary"));
  EXPECT_THAT(subject.Changes(), ElementsAre("-/secondary"));
  ASSERT_OK(client.Mkdir("secondary"));
  subject.Restart();
  EXPECT_THAT(client.List("").value(), ElementsAre("secondary"));
  EXPECT_THAT(client.List("secondary").value(), IsEmpty());
}

TEST(OverlaySeeds, T21_TheSameOneLevelDown) {
  HostSubject subject({{DirNode("first"), DirNode("first/secondary")}});
  Client client(subject);
  ASSERT_OK(client.Rmdir("first/secondary"));
  EXPECT_THAT(subject.Changes(), ElementsAre("-/first/secondary"));
  ASSERT_OK(client.Mkdir("first/secondary"));
  subject.Restart();
  EXPECT_THAT(client.List("first").value(), ElementsAre("secondary"));
}

TEST(OverlaySeeds, T22_ARemovedDirectoryOfALayerIsNotFound) {
  HostSubject subject({{DirNode("secondary")}});
  Client client(subject);
  ASSERT_OK(client.Rmdir("secondary"));
  subject.Restart();
  EXPECT_CODE(client.Stat("secondary"), Errc::kNotFound);
}

TEST(OverlaySeeds, T23_OpenedForWritingButOnlyReadAndFlushedCopiesNothing) {
  HostSubject subject({{DirNode("secondary"), FileNode("secondary/file.txt", "Hello, World!")}});
  Client client(subject);
  const ObjectId file = client.IdOf("secondary/file.txt");
  const Lsn before = subject.JournalEnd();
  EXPECT_OK(client.Access(file, kAccessRead | kAccessModify));
  EXPECT_EQ(client.ReadAll(file).value_or("failed"), "Hello, World!");
  EXPECT_OK(client.Commit(file));
  EXPECT_EQ(subject.JournalEnd(), before);
  EXPECT_THAT(subject.Changes(), IsEmpty());
}

TEST(OverlaySeeds, CreatingBeneathADirectoryThatIsNotThereIsNotFound) {
  HostSubject subject({{DirNode("secondary")}});
  Client client(subject);
  EXPECT_CODE(client.MakeFile("secondary/missing/file"), Errc::kNotFound);
  EXPECT_CODE(client.Mkdir("missing/directory"), Errc::kNotFound);
  EXPECT_THAT(subject.Changes(), IsEmpty());
}

TEST(OverlaySeeds, MakingEveryDirectoryOfAPathTwiceEndsTheSame) {
  HostSubject subject({{DirNode("a"), FileNode("f", "x")}});
  Client client(subject);
  for (int i = 0; i < 2; ++i) {
    for (const char* path : {"a", "a/b", "a/b/c"}) {
      auto made = client.Mkdir(path);
      if (!made) {
        EXPECT_CODE(made, Errc::kExists);
      }
    }
  }
  EXPECT_TRUE(client.Exists("a/b/c"));
  EXPECT_CODE(client.Mkdir("f/b"), Errc::kNotDirectory);
}

}  // namespace
}  // namespace strata::vfs::testing
