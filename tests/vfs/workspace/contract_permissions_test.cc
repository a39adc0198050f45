// Spec nfsv3 4.5 and 4.6: who may do what.
#include "contract.h"

STRATA_CONTRACT(PermissionContract)

namespace strata::vfs::testing {
namespace {

TEST_P(PermissionContract, R4_5_SizeIsForRegularFilesOnly) {
  TreeNode fifo = FileNode("w/p", "");
  fifo.type = FileType::kFifo;
  Given({DirNode("w/d"), SymlinkNode("w/s", "t"), fifo, FileNode("w/f", "x")});
  Client client = Root();
  EXPECT_CODE(client.Truncate("w/d", 0), Errc::kIsDirectory);
  EXPECT_CODE(client.Truncate("w/s", 0), Errc::kInvalid);
  EXPECT_CODE(client.Truncate("w/p", 0), Errc::kInvalid);
  EXPECT_CODE(client.Truncate("w/f", kMaxFileSize + 1), Errc::kFileTooBig);
  EXPECT_CODE(client.Truncate("w/f", ~std::uint64_t{0}), Errc::kFileTooBig);
  EXPECT_EQ(client.StatOf("w/f").size, 1u);
}

TEST_P(PermissionContract, R4_5_ARefusedSetattrChangesNothingOfIt) {
  Given({FileNode("w/f", "hello", 0644, 1000, 1000), DirNode("w/d", 0755, 1000, 1000)});
  Client alice = As(kAlice);
  const Attributes before = alice.StatOf("w/f");
  SetAttributes set = Mode(0600);
  set.uid = 1001;
  set.size = 0;
  EXPECT_CODE(alice.Set(alice.IdOf("w/f"), set), Errc::kPermission);
  ExpectSame(alice.StatOf("w/f"), before);
  set = Mode(0700);
  set.size = 0;
  const Attributes directory = alice.StatOf("w/d");
  EXPECT_CODE(alice.Set(alice.IdOf("w/d"), set), Errc::kIsDirectory);
  ExpectSame(alice.StatOf("w/d"), directory);
}

TEST_P(PermissionContract, R4_5_OnlyTheOwnerChangesTheMode) {
  Given({FileNode("w/f", "x", 0666, 1000, 1000), DirNode("w/d", 0777, 1000, 1000)});
  Client alice = As(kAlice);
  Client bob = As(kBob);
  for (const char* path : {"w/f", "w/d"}) {
    EXPECT_CODE(bob.Chmod(path, 0777), Errc::kPermission);
    Pause();
    EXPECT_OK(alice.Chmod(path, 0711));
    EXPECT_EQ(alice.StatOf(path).mode, 0711u);
    EXPECT_OK(Root().Chmod(path, 0755));
    Pause();
    EXPECT_EQ(alice.StatOf(path).mode, 0755u);
  }
}

TEST_P(PermissionContract, R4_5_OnlyTheSuperuserGivesAFileAway) {
  Given({FileNode("w/f", "x", 0666, 1000, 1000)});
  Client alice = As(User(1000, 1000, {2000}));
  EXPECT_CODE(alice.Chown("w/f", 1001, {}), Errc::kPermission);
  EXPECT_CODE(As(kBob).Chown("w/f", 1001, {}), Errc::kPermission);
  EXPECT_CODE(As(kBob).Chown("w/f", {}, 1001), Errc::kPermission);
  EXPECT_CODE(alice.Chown("w/f", {}, 3000), Errc::kPermission);
  EXPECT_OK(alice.Chown("w/f", 1000, 1000));
  EXPECT_OK(alice.Chown("w/f", {}, 2000));
  Pause();
  EXPECT_EQ(alice.StatOf("w/f").gid, 2000u);
  EXPECT_OK(Root().Chown("w/f", 1001, 3000));
  Pause();
  EXPECT_EQ(alice.StatOf("w/f").uid, 1001u);
  EXPECT_EQ(alice.StatOf("w/f").gid, 3000u);
}

TEST_P(PermissionContract, R4_5_OwnTimesAreTheOwnersToSetTheServersAWritersToo) {
  Given({FileNode("w/f", "x", 0622, 1000, 1000), FileNode("w/g", "x", 0644, 1000, 1000)});
  Client bob = As(kBob);
  SetAttributes client_time;
  client_time.set_atime = client_time.set_mtime = SetTime::kClient;
  client_time.atime = client_time.mtime = Time{5};
  SetAttributes server_time;
  server_time.set_atime = server_time.set_mtime = SetTime::kServer;
  EXPECT_CODE(bob.Set(bob.IdOf("w/f"), client_time), Errc::kPermission, Errc::kAccess);
  EXPECT_OK(bob.Set(bob.IdOf("w/f"), server_time));
  EXPECT_CODE(bob.Set(bob.IdOf("w/g"), server_time), Errc::kAccess, Errc::kPermission);
  Client alice = As(kAlice);
  EXPECT_OK(alice.Set(alice.IdOf("w/g"), client_time));
  EXPECT_EQ(alice.StatOf("w/g").mtime.ns, 5);
}

TEST_P(PermissionContract, R4_5_SetIdBitsGoWhenAnotherWritesOrTheOwnerIsChanged) {
  Given({FileNode("w/f", "x", 06777, 1000, 1000), FileNode("w/g", "x", 06777, 1000, 1000),
         FileNode("w/h", "x", 06777, 1000, 1000), FileNode("w/i", "x", 06777, 1000, 1000)});
  Client bob = As(kBob);
  ASSERT_OK(bob.WriteAt("w/f", 0, "y"));
  EXPECT_EQ(bob.StatOf("w/f").mode, 0777u);
  Pause();
  EXPECT_EQ(bob.StatOf("w/f").mode, 0777u);
  Client alice = As(User(1000, 1000, {2000}));
  ASSERT_OK(alice.Chown("w/g", {}, 2000));
  EXPECT_EQ(alice.StatOf("w/g").mode, 0777u);
  ASSERT_OK(bob.Truncate("w/h", 0));
  EXPECT_EQ(alice.StatOf("w/h").mode, 0777u);
  // Reading clears nothing.
  EXPECT_OK(bob.ReadFile("w/i"));
  EXPECT_EQ(alice.StatOf("w/i").mode, 06777u);
}

TEST_P(PermissionContract, R4_5_ANonMemberCannotSetTheSetGroupIdBitOfAFile) {
  Given({FileNode("w/f", "x", 0644, 1000, 3000)});
  Client alice = As(kAlice);
  ASSERT_OK(alice.Chmod("w/f", 02755));
  EXPECT_EQ(alice.StatOf("w/f").mode, 0755u);
  Client member = As(User(1000, 1000, {3000}));
  ASSERT_OK(member.Chmod("w/f", 02755));
  EXPECT_EQ(alice.StatOf("w/f").mode, 02755u);
}

TEST_P(PermissionContract, R4_5_InAStickyDirectoryOnlyOwnersRemoveAndRename) {
  Given({DirNode("w/tmp", 01777, 0, 0), FileNode("w/tmp/alices", "a", 0666, 1000, 1000),
         DirNode("w/tmp/dir", 0777, 1000, 1000), FileNode("w/tmp/bobs", "b", 0666, 1001, 1001),
         DirNode("w/own", 01777, 1001, 1001), FileNode("w/own/f", "x", 0666, 1000, 1000)});
  Client bob = As(kBob);
  EXPECT_CODE(bob.Unlink("w/tmp/alices"), Errc::kPermission, Errc::kAccess);
  EXPECT_CODE(bob.Rmdir("w/tmp/dir"), Errc::kPermission, Errc::kAccess);
  EXPECT_CODE(bob.RenameAt("w/tmp/alices", "w/tmp/mine"), Errc::kPermission, Errc::kAccess);
  EXPECT_CODE(bob.RenameAt("w/tmp/bobs", "w/tmp/alices"), Errc::kPermission, Errc::kAccess);
  Pause();
  EXPECT_EQ(bob.ReadFile("w/tmp/alices").value_or("failed"), "a");
  EXPECT_OK(bob.RenameAt("w/tmp/bobs", "w/tmp/mine"));
  EXPECT_OK(bob.Unlink("w/tmp/mine"));
  EXPECT_OK(bob.Unlink("w/own/f")) << "the owner of the directory may";
  EXPECT_OK(As(kAlice).Rmdir("w/tmp/dir"));
  EXPECT_OK(Root().Unlink("w/tmp/alices"));
}

TEST_P(PermissionContract, R4_5_ASetgidDirectoryHandsItsGroupDown) {
  Given({DirNode("w/shared", 02777, 0, 4000), DirNode("w/plain", 0777, 0, 4000)});
  Client alice = As(kAlice);
  ASSERT_OK(alice.MakeFile("w/shared/f"));
  ASSERT_OK(alice.Mkdir("w/shared/d", 0755));
  ASSERT_OK(alice.Symlink("t", "w/shared/s"));
  ASSERT_OK(alice.MakeNode(alice.IdOf("w/shared"), "p", FileType::kFifo, {}));
  ASSERT_OK(alice.Mkdir("w/shared/d/deeper", 0755));
  ASSERT_OK(alice.MakeFile("w/plain/f"));
  Pause();
  for (const char* path : {"w/shared/f", "w/shared/d", "w/shared/s", "w/shared/p", "w/shared/d/deeper"}) {
    EXPECT_EQ(alice.StatOf(path).gid, 4000u) << path;
    EXPECT_EQ(alice.StatOf(path).uid, 1000u) << path;
  }
  EXPECT_EQ(alice.StatOf("w/shared/d").mode, 02755u);
  EXPECT_EQ(alice.StatOf("w/shared/d/deeper").mode, 02755u);
  EXPECT_EQ(alice.StatOf("w/shared/f").mode, 0644u);
  EXPECT_EQ(alice.StatOf("w/plain/f").gid, 1000u);
}

TEST_P(PermissionContract, R4_5_ADirectoryIsChangedOnlyByWhoMayWriteAndSearchIt) {
  Given({DirNode("w/d", 0755, 1000, 1000), FileNode("w/d/f", "x", 0666, 1000, 1000),
         DirNode("w/d/sub", 0777, 1000, 1000), FileNode("w/mine", "y", 0644, 1001, 1001)});
  Client bob = As(kBob);
  const ObjectId d = bob.IdOf("w/d");
  EXPECT_CODE(bob.Create(d, "n"), Errc::kAccess);
  EXPECT_CODE(bob.MakeDirectory(d, "n"), Errc::kAccess);
  EXPECT_CODE(bob.MakeSymlink(d, "n", "t"), Errc::kAccess);
  EXPECT_CODE(bob.MakeNode(d, "n", FileType::kFifo, {}), Errc::kAccess);
  EXPECT_CODE(bob.Link(bob.IdOf("w/mine"), d, "n"), Errc::kAccess);
  EXPECT_CODE(bob.Remove(d, "f"), Errc::kAccess);
  EXPECT_CODE(bob.RemoveDirectory(d, "sub"), Errc::kAccess);
  EXPECT_CODE(bob.RenameAt("w/d/f", "w/f"), Errc::kAccess);
  EXPECT_CODE(bob.RenameAt("w/mine", "w/d/mine"), Errc::kAccess);
  Pause();
  EXPECT_THAT(bob.List("w/d").value(), ::testing::ElementsAre("f", "sub"));
  ASSERT_OK(As(kAlice).Chmod("w/d", 0744));
  EXPECT_CODE(bob.Lookup(d, "f"), Errc::kAccess);
  EXPECT_OK(bob.ListPage(d, Cookie{}, 10)) << "reading needs no search";
  ASSERT_OK(As(kAlice).Chmod("w/d", 0711));
  EXPECT_OK(bob.Lookup(d, "f"));
  EXPECT_CODE(bob.ListPage(d, Cookie{}, 10), Errc::kAccess);
  ASSERT_OK(As(kAlice).Chmod("w/d", 0722));
  EXPECT_CODE(bob.Create(d, "n"), Errc::kAccess) << "writing needs search too";
}

TEST_P(PermissionContract, R4_6_AccessAnswersForUserGroupAndOthers) {
  Given({FileNode("w/f", "x", 0640, 1000, 1000), FileNode("w/x", "x", 0751, 1000, 2000),
         DirNode("w/d", 0750, 1000, 2000), FileNode("w/odd", "x", 0046, 1000, 1000), FileNode("w/plain", "x", 0644)});
  constexpr std::uint32_t kChange = kAccessModify | kAccessExtend;
  auto granted = [&](const Credentials& who, const char* path) {
    Client client = As(who);
    return client.Access(client.IdOf(path)).value_or(0xffff) & ~kAccessDelete;
  };
  Pause();
  EXPECT_EQ(granted(kAlice, "w/f"), kAccessRead | kChange);
  EXPECT_EQ(granted(kCarol, "w/f"), kAccessRead) << "by a supplementary group";
  EXPECT_EQ(granted(kBob, "w/f"), 0u);
  EXPECT_EQ(granted(kAlice, "w/x"), kAccessRead | kChange | kAccessExecute);
  EXPECT_EQ(granted(kCarol, "w/x"), kAccessRead | kAccessExecute);
  EXPECT_EQ(granted(kBob, "w/x"), kAccessExecute);
  EXPECT_EQ(granted(kAlice, "w/odd"), 0u) << "the owner's bits alone count for the owner";
  EXPECT_EQ(granted(kCarol, "w/odd"), kAccessRead);
  EXPECT_EQ(granted(kBob, "w/odd"), kAccessRead | kChange);
  EXPECT_EQ(granted({}, "w/odd"), kAccessRead | kChange);
  EXPECT_EQ(granted({}, "w/plain"), kAccessRead | kChange) << "no x bit: not even the superuser executes";
  EXPECT_EQ(granted({}, "w/x"), kAccessRead | kChange | kAccessExecute);
  EXPECT_EQ(granted(kAlice, "w/d"), kAccessRead | kAccessLookup | kChange);
  EXPECT_EQ(granted(kCarol, "w/d"), kAccessRead | kAccessLookup);
  EXPECT_EQ(granted(kBob, "w/d"), 0u);
  EXPECT_EQ(As(kAlice).Access(As(kAlice).IdOf("w/d"), kAccessDelete).value_or(0), kAccessDelete);
  EXPECT_EQ(As(kCarol).Access(As(kCarol).IdOf("w/d"), kAccessDelete).value_or(0xff), 0u);
}

TEST_P(PermissionContract, R4_6_AccessAnswersOnlyWhatWasAsked) {
  Given({FileNode("w/f", "x", 0777, 1000, 1000), DirNode("w/d", 0777)});
  Client client = Root();
  for (const char* path : {"w/f", "w/d"}) {
    const ObjectId id = client.IdOf(path);
    const std::uint32_t all = client.Access(id).value();
    for (std::uint32_t wanted = 0; wanted < 64; ++wanted) EXPECT_EQ(client.Access(id, wanted).value(), all & wanted);
    EXPECT_EQ(client.Access(id, 0xffff'ffff).value(), all);
  }
}

TEST_P(PermissionContract, R4_6_TheOwnerReadsAndWritesAfterChmod000) {
  Given({FileNode("w/f", "hello", 0000, 1000, 1000)});
  Client alice = As(kAlice);
  EXPECT_EQ(alice.ReadFile("w/f").value_or("failed"), "hello");
  EXPECT_OK(alice.WriteAt("w/f", 0, "HELLO"));
  EXPECT_OK(alice.Truncate("w/f", 3));
  Pause();
  EXPECT_EQ(alice.ReadFile("w/f").value_or("failed"), "HEL");
  EXPECT_EQ(alice.Access(alice.IdOf("w/f")).value_or(0xff), 0u) << "ACCESS still tells the truth";
  for (const Credentials& other : {kBob, kCarol}) {
    Client client = As(other);
    EXPECT_CODE(client.ReadFile("w/f"), Errc::kAccess);
    EXPECT_CODE(client.WriteAt("w/f", 0, "x"), Errc::kAccess);
    EXPECT_CODE(client.Truncate("w/f", 0), Errc::kAccess);
  }
  EXPECT_EQ(Root().ReadFile("w/f").value_or("failed"), "HEL");
}

TEST_P(PermissionContract, R4_6_OthersReadAndWriteByTheBits) {
  Given({FileNode("w/r", "r", 0604, 1000, 1000), FileNode("w/w", "w", 0602, 1000, 1000),
         FileNode("w/g", "g", 0660, 1000, 1000)});
  Client bob = As(kBob);
  EXPECT_OK(bob.ReadFile("w/r"));
  EXPECT_CODE(bob.WriteAt("w/r", 0, "x"), Errc::kAccess);
  EXPECT_CODE(bob.ReadFile("w/w"), Errc::kAccess);
  EXPECT_OK(bob.WriteAt("w/w", 0, "x"));
  EXPECT_CODE(bob.ReadFile("w/g"), Errc::kAccess);
  Client carol = As(kCarol);
  EXPECT_OK(carol.ReadFile("w/g"));
  EXPECT_OK(carol.WriteAt("w/g", 0, "x"));
  // An unchecked create that truncates is a write.
  EXPECT_CODE(bob.Create(bob.IdOf("w"), "r", CreateMode::kUnchecked, Size(0)), Errc::kAccess);
  EXPECT_EQ(Root().ReadFile("w/r").value_or("failed"), "r");
}

TEST_P(PermissionContract, WhatAUserMakesIsTheUsers) {
  Given();
  Client alice = As(kAlice);
  const ObjectId w = alice.IdOf("w");
  ASSERT_OK(alice.Create(w, "f", CreateMode::kGuarded, Mode(0640)));
  ASSERT_OK(alice.MakeDirectory(w, "d", Mode(0751)));
  ASSERT_OK(alice.MakeSymlink(w, "s", "t"));
  SetAttributes set = Mode(0600);
  set.uid = 1000;
  set.gid = 1000;
  ASSERT_OK(alice.Create(w, "g", CreateMode::kGuarded, set)) << "to name oneself is no giving away";
  set.uid = 5;
  set.gid = 6;
  ASSERT_OK(Root().Create(w, "given", CreateMode::kGuarded, set));
  Pause();
  EXPECT_EQ(alice.StatOf("w/f").mode, 0640u);
  EXPECT_EQ(alice.StatOf("w/d").mode, 0751u);
  for (const char* path : {"w/f", "w/d", "w/s", "w/g"}) {
    EXPECT_EQ(alice.StatOf(path).uid, 1000u) << path;
    EXPECT_EQ(alice.StatOf(path).gid, 1000u) << path;
  }
  EXPECT_EQ(alice.StatOf("w/given").uid, 5u);
  EXPECT_EQ(alice.StatOf("w/given").gid, 6u);
}

}  // namespace
}  // namespace strata::vfs::testing
