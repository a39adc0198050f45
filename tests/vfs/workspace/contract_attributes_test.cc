// Spec nfsv3 4.1 to 4.4: attributes, times, weak cache consistency.
#include "contract.h"

STRATA_CONTRACT(AttributeContract)

namespace strata::vfs::testing {
namespace {

// A changing call must say what `id` was before and is after, exactly.
void ExpectWcc(Client& client, const Change& change, const Attributes& before, const ObjectId& id) {
  ASSERT_TRUE(change.before.has_value());
  ASSERT_TRUE(change.after.has_value());
  EXPECT_EQ(change.before->size, before.size);
  EXPECT_EQ(change.before->mtime.ns, before.mtime.ns);
  EXPECT_EQ(change.before->ctime.ns, before.ctime.ns);
  auto now = client.Get(id);
  ASSERT_OK(now);
  ExpectSame(*change.after, *now);
}

TEST_P(AttributeContract, R4_1_EveryChangeOfADirectorySaysWhatItWasAndIs) {
  Given({DirNode("w/d"), FileNode("w/f", "x"), DirNode("w/e"), DirNode("w/d/sub")});
  Client client = Root();
  const ObjectId d = client.IdOf("w/d");
  const ObjectId e = client.IdOf("w/e");
  const ObjectId f = client.IdOf("w/f");
  auto changes = [&](const char* what, auto call) {
    SCOPED_TRACE(what);
    const Attributes before = client.Get(d).value();
    ASSERT_OK(call());
    ExpectWcc(client, client.mutation().target, before, d);
    const Attributes after = client.Get(d).value();
    EXPECT_GT(after.mtime, before.mtime);
    EXPECT_GT(after.ctime, before.ctime);
    EXPECT_NE(client.mutation().commitment, Commitment::kNone);
  };
  changes("create", [&] { return client.Create(d, "file"); });
  Pause();
  changes("exclusive", [&] { return client.Create(d, "exclusive", CreateMode::kExclusive, {}, {1, 2, 3}); });
  changes("mkdir", [&] { return client.MakeDirectory(d, "directory"); });
  changes("symlink", [&] { return client.MakeSymlink(d, "symlink", "t"); });
  changes("mknod", [&] { return client.MakeNode(d, "fifo", FileType::kFifo, {}); });
  changes("link", [&] { return client.Link(f, d, "link"); });
  Pause();
  changes("rename within", [&] { return client.Rename(d, "file", d, "file2"); });
  changes("remove", [&] { return client.Remove(d, "file2"); });
  changes("rmdir", [&] { return client.RemoveDirectory(d, "directory"); });
  changes("rmdir of what was given", [&] { return client.RemoveDirectory(d, "sub"); });
  const Attributes e_before = client.Get(e).value();
  changes("rename across", [&] { return client.Rename(d, "symlink", e, "s"); });
  ExpectWcc(client, client.mutation().second, e_before, e);
}

TEST_P(AttributeContract, R4_1_EveryChangeOfAFileSaysWhatItWasAndIs) {
  Given({FileNode("w/f", "0123456789")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  Attributes before = client.Get(f).value();
  ASSERT_OK(client.Write(f, 5, "abcdefgh"));
  ExpectWcc(client, client.mutation().target, before, f);
  EXPECT_EQ(client.mutation().target.before->size, 10u);
  EXPECT_EQ(client.mutation().target.after->size, 13u);
  Pause();
  before = client.Get(f).value();
  ASSERT_OK(client.Set(f, Size(3)));
  ExpectWcc(client, client.mutation().target, before, f);
  before = client.Get(f).value();
  ASSERT_OK(client.Set(f, Mode(0600)));
  ExpectWcc(client, client.mutation().target, before, f);
  before = client.Get(f).value();
  ASSERT_OK(client.Commit(f));
  ExpectWcc(client, client.mutation().target, before, f);
}

TEST_P(AttributeContract, R4_1_AFailedChangeStillSaysWhatTheDirectoryIs) {
  Given({DirNode("w/d", 0755), FileNode("w/d/f", "x"), DirNode("w/d/sub"), FileNode("w/d/sub/x", "")});
  Client client = As(kAlice);
  Client root = Root();
  const ObjectId d = root.IdOf("w/d");
  const Attributes before = root.Get(d).value();
  auto fails = [&](Client& who, const char* what, auto call) {
    SCOPED_TRACE(what);
    EXPECT_FALSE(call().has_value());
    ASSERT_TRUE(who.mutation().target.after.has_value());
    ExpectSame(*who.mutation().target.after, before);
  };
  fails(client, "create", [&] { return client.Create(d, "new"); });
  fails(root, "create", [&] { return root.Create(d, "f"); });
  fails(root, "mkdir", [&] { return root.MakeDirectory(d, "f"); });
  fails(root, "symlink", [&] { return root.MakeSymlink(d, "f", "t"); });
  fails(root, "mknod", [&] { return root.MakeNode(d, "f", FileType::kFifo, {}); });
  fails(root, "remove", [&] { return root.Remove(d, "missing"); });
  fails(root, "rmdir", [&] { return root.RemoveDirectory(d, "sub"); });
  fails(root, "rename", [&] { return root.Rename(d, "missing", d, "x"); });
  fails(root, "link", [&] { return root.Link(root.IdOf("w/d/f"), d, "f"); });
  ExpectSame(root.Get(d).value(), before);
}

TEST_P(AttributeContract, R4_2_TimesGrowWithEveryChangeHoweverFast) {
  Given({FileNode("w/f", "x"), DirNode("w/d")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  const ObjectId d = client.IdOf("w/d");
  Attributes file = client.Get(f).value();
  Attributes directory = client.Get(d).value();
  for (int i = 0; i < 200; ++i) {
    ASSERT_OK(client.Write(f, 0, "y"));
    const Attributes file_now = client.Get(f).value();
    ASSERT_GT(file_now.mtime, file.mtime);
    ASSERT_GT(file_now.ctime, file.ctime);
    file = file_now;
    ASSERT_OK(client.Create(d, "n" + std::to_string(i)));
    const Attributes directory_now = client.Get(d).value();
    ASSERT_GT(directory_now.mtime, directory.mtime);
    ASSERT_GT(directory_now.ctime, directory.ctime);
    directory = directory_now;
    if (i % 50 == 49) Pause();
  }
}

TEST_P(AttributeContract, R4_2_AttributeAndLinkChangesMoveCtimeAlone) {
  Given({FileNode("w/f", "x")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  Attributes before = client.Get(f).value();
  auto moves_ctime = [&](const char* what) {
    SCOPED_TRACE(what);
    const Attributes now = client.Get(f).value();
    EXPECT_EQ(now.mtime.ns, before.mtime.ns);
    EXPECT_GT(now.ctime, before.ctime);
    before = now;
  };
  ASSERT_OK(client.Chmod("w/f", 0600));
  moves_ctime("chmod");
  ASSERT_OK(client.Chown("w/f", 1, 1));
  moves_ctime("chown");
  ASSERT_OK(client.LinkAt("w/f", "w/g"));
  moves_ctime("link");
  Pause();
  ASSERT_OK(client.Unlink("w/g"));
  moves_ctime("unlink of another link");
  ASSERT_OK(client.RenameAt("w/f", "w/h"));
  EXPECT_EQ(client.Get(f).value().mtime.ns, before.mtime.ns) << "a rename is no change of the file's data";
}

TEST_P(AttributeContract, R4_2_WhatOnlyLooksChangesNoTimeThatClientsCompare) {
  Given({FileNode("w/f", "x"), DirNode("w/d"), SymlinkNode("w/s", "t")});
  Client client = Root();
  std::map<std::string, Attributes> before;
  for (const char* path : {"w", "w/f", "w/d", "w/s"}) before[path] = client.StatOf(path);
  EXPECT_OK(client.ReadFile("w/f"));
  EXPECT_OK(client.List("w"));
  EXPECT_OK(client.ReadLinkAt("w/s"));
  EXPECT_OK(client.Access(client.IdOf("w/f")));
  EXPECT_FALSE(client.Unlink("w/missing").has_value());
  EXPECT_FALSE(client.MakeFile("w/f").has_value());
  EXPECT_OK(client.RenameAt("w/f", "w/f"));
  EXPECT_OK(client.Commit(client.IdOf("w/f")));
  Pause();
  for (const auto& [path, attributes] : before) {
    SCOPED_TRACE(path);
    ExpectSame(attributes, client.StatOf(path));
  }
}

TEST_P(AttributeContract, R4_2_TruncateToTheSameSizeIsAChange) {
  Given({FileNode("w/f", "x")});
  Client client = Root();
  const Attributes before = client.StatOf("w/f");
  ASSERT_OK(client.Truncate("w/f", 1));
  EXPECT_GT(client.StatOf("w/f").ctime, before.ctime);
}

TEST_P(AttributeContract, R4_3_EachTimeIsSetToTheServersOrTheClients) {
  Given({FileNode("w/f", "x"), DirNode("w/d"), SymlinkNode("w/s", "t")});
  Client client = Root();
  for (const char* path : {"w/f", "w/d", "w/s"}) {
    SCOPED_TRACE(path);
    const ObjectId id = client.IdOf(path);
    const Attributes before = client.Get(id).value();
    SetAttributes set;
    set.set_atime = SetTime::kClient;
    set.atime = Time{1'234'567'890'987'654'321};
    ASSERT_OK(client.Set(id, set));
    Pause();
    Attributes now = client.Get(id).value();
    EXPECT_EQ(now.atime.ns, 1'234'567'890'987'654'321);
    EXPECT_EQ(now.mtime.ns, before.mtime.ns);
    EXPECT_GT(now.ctime, before.ctime);

    set = {};
    set.set_mtime = SetTime::kClient;
    set.mtime = Time{1};
    ASSERT_OK(client.Set(id, set));
    Pause();
    now = client.Get(id).value();
    EXPECT_EQ(now.atime.ns, 1'234'567'890'987'654'321);
    EXPECT_EQ(now.mtime.ns, 1);

    const Time start = Env::System().Now();
    set = {};
    set.set_atime = SetTime::kServer;
    ASSERT_OK(client.Set(id, set));
    now = client.Get(id).value();
    // The server's clock may have been moved on a little by changes within one tick.
    EXPECT_GE(now.atime.ns, start.ns - 1'000'000'000);
    EXPECT_LE(now.atime.ns, Env::System().Now().ns + 1'000'000'000);
    EXPECT_EQ(now.mtime.ns, 1);
    set = {};
    set.set_mtime = SetTime::kServer;
    ASSERT_OK(client.Set(id, set));
    now = client.Get(id).value();
    EXPECT_GE(now.mtime.ns, start.ns - 1'000'000'000);
    EXPECT_LE(now.mtime.ns, Env::System().Now().ns + 1'000'000'000);
  }
}

TEST_P(AttributeContract, R4_3_AChangeAfterATimeInTheFutureStillMovesTime) {
  Given({FileNode("w/f", "x")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  SetAttributes set;
  set.set_mtime = SetTime::kClient;
  set.mtime = Time{Env::System().Now().ns + 3'600'000'000'000};
  ASSERT_OK(client.Set(f, set));
  const Attributes before = client.Get(f).value();
  EXPECT_EQ(before.mtime.ns, set.mtime.ns);
  ASSERT_OK(client.Write(f, 0, "y"));
  const Attributes after = client.Get(f).value();
  EXPECT_LE(after.mtime.ns, Env::System().Now().ns + 1'000'000'000) << "the server's clock is not the client's";
  EXPECT_NE(after.mtime.ns, before.mtime.ns);
  EXPECT_GT(after.ctime, before.ctime);
  // touch(1).
  ASSERT_OK(client.Set(f, set));
  set.set_mtime = SetTime::kServer;
  const Time start = Env::System().Now();
  ASSERT_OK(client.Set(f, set));
  EXPECT_GE(client.Get(f)->mtime.ns, start.ns - 1'000'000'000);
  EXPECT_LE(client.Get(f)->mtime.ns, Env::System().Now().ns + 1'000'000'000);
}

TEST_P(AttributeContract, R4_3_AGuardLetsOnlyItsOwnCtimeThrough) {
  Given({FileNode("w/f", "x")});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  const Attributes before = client.Get(f).value();
  EXPECT_CODE(client.Set(f, Mode(0600), Time{before.ctime.ns + 1}), Errc::kNotSync);
  EXPECT_CODE(client.Set(f, Mode(0600), Time{before.ctime.ns - 1}), Errc::kNotSync);
  ExpectSame(client.Get(f).value(), before);
  Pause();
  ASSERT_OK(client.Set(f, Mode(0600), before.ctime));
  EXPECT_EQ(client.Get(f).value().mode, 0600u);
  EXPECT_CODE(client.Set(f, Mode(0644), before.ctime), Errc::kNotSync);
}

TEST_P(AttributeContract, R4_4_ADirectoryHasTwoLinksAndOneForEachSubdirectory) {
  Given({DirNode("w/d"), DirNode("w/d/a"), DirNode("w/d/b"), FileNode("w/d/f", ""), DirNode("w/other")});
  Client client = Root();
  auto links = [&](const char* path) { return client.StatOf(path).nlink; };
  if (links("w/d") == 1) {
    // A volume that does not count says 1, whatever happens.
    ASSERT_OK(client.Mkdir("w/d/c"));
    ASSERT_OK(client.Rmdir("w/d/a"));
    ASSERT_OK(client.Rmdir("w/d/b"));
    ASSERT_OK(client.RenameAt("w/d/c", "w/other/c"));
    Pause();
    EXPECT_EQ(links("w/d"), 1u);
    EXPECT_EQ(links("w/other"), 1u);
    ASSERT_OK(client.Unlink("w/d/f"));
    ASSERT_OK(client.Rmdir("w/d"));
    return;
  }
  EXPECT_EQ(links("w/d"), 4u);
  EXPECT_EQ(links("w/d/a"), 2u);
  EXPECT_EQ(links("w"), 4u);
  ASSERT_OK(client.Mkdir("w/d/c"));
  EXPECT_EQ(links("w/d"), 5u);
  Pause();
  EXPECT_EQ(links("w/d"), 5u);
  ASSERT_OK(client.Rmdir("w/d/a"));
  EXPECT_EQ(links("w/d"), 4u);
  ASSERT_OK(client.RenameAt("w/d/b", "w/other/b"));
  EXPECT_EQ(links("w/d"), 3u);
  EXPECT_EQ(links("w/other"), 3u);
  Pause();
  EXPECT_EQ(links("w/d"), 3u);
  EXPECT_EQ(links("w/other"), 3u);
  ASSERT_OK(client.RenameAt("w/d/c", "w/other/b"));
  EXPECT_EQ(links("w/d"), 2u);
  EXPECT_EQ(links("w/other"), 3u);
  ASSERT_OK(client.MakeFile("w/d/g"));
  EXPECT_EQ(links("w/d"), 2u);
  Pause();
  EXPECT_EQ(links("w/d"), 2u);
}

TEST_P(AttributeContract, R4_4_AFileHasAsManyLinksAsNames) {
  Given({FileNode("w/f", "x"), LinkNode("w/g", "w/f")});
  Client client = Root();
  EXPECT_EQ(client.StatOf("w/f").nlink, 2u);
  ASSERT_OK(client.LinkAt("w/f", "w/h"));
  EXPECT_EQ(client.StatOf("w/g").nlink, 3u);
  Pause();
  EXPECT_EQ(client.StatOf("w/h").nlink, 3u);
  ASSERT_OK(client.WriteAt("w/g", 0, "all"));
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "all");
  EXPECT_EQ(client.ReadFile("w/h").value_or("failed"), "all");
  ASSERT_OK(client.Unlink("w/f"));
  ASSERT_OK(client.Unlink("w/g"));
  Pause();
  EXPECT_EQ(client.StatOf("w/h").nlink, 1u);
  EXPECT_EQ(client.ReadFile("w/h").value_or("failed"), "all");
}

TEST_P(AttributeContract, R4_4_UsedCountsWhatIsHeldAndNotTheHoles) {
  Given();
  Client client = Root();
  auto f = client.MakeFile("w/sparse");
  ASSERT_OK(f);
  ASSERT_OK(client.Write(*f, 1 << 30, "end"));
  Attributes attributes = client.Get(*f).value();
  EXPECT_EQ(attributes.size, (1u << 30) + 3);
  EXPECT_GT(attributes.used, 0u);
  EXPECT_LT(attributes.used, 1u << 20);
  auto full = client.WriteFile("w/full", Pattern(300'000, 1));
  ASSERT_OK(full);
  EXPECT_GE(client.Get(*full).value().used, 300'000u);
  EXPECT_LT(client.Get(*full).value().used, 400'000u);
  Pause();
  EXPECT_LT(client.Get(*f).value().used, 1u << 20);
  EXPECT_GE(client.Get(*full).value().used, 300'000u);
  ASSERT_OK(client.Set(*full, Size(0)));
  EXPECT_EQ(client.Get(*full).value().used, 0u);
}

TEST_P(AttributeContract, WhatWasGivenHasTheAttributesThatItWasGiven) {
  TreeNode device = FileNode("w/device", "", 0640, 7, 8);
  device.type = FileType::kCharacterDevice;
  device.rdev = {5, 9};
  Given(
      {FileNode("w/f", "12345", 0640, 1000, 2000), DirNode("w/d", 02751, 3, 4), SymlinkNode("w/s", "target"), device});
  Client client = Root();
  for (int i = 0; i < 2; ++i) {
    const Attributes file = client.StatOf("w/f");
    EXPECT_EQ(file.type, FileType::kRegular);
    EXPECT_EQ(file.mode, 0640u);
    EXPECT_EQ(file.uid, 1000u);
    EXPECT_EQ(file.gid, 2000u);
    EXPECT_EQ(file.size, 5u);
    EXPECT_EQ(file.nlink, 1u);
    EXPECT_EQ(file.mtime.ns, TreeNode().mtime.ns);
    const Attributes directory = client.StatOf("w/d");
    EXPECT_EQ(directory.type, FileType::kDirectory);
    EXPECT_EQ(directory.mode, 02751u);
    EXPECT_EQ(directory.uid, 3u);
    EXPECT_EQ(directory.gid, 4u);
    const Attributes symlink = client.StatOf("w/s");
    EXPECT_EQ(symlink.type, FileType::kSymlink);
    EXPECT_EQ(symlink.size, 6u);
    const Attributes special = client.StatOf("w/device");
    EXPECT_EQ(special.type, FileType::kCharacterDevice);
    EXPECT_EQ(special.rdev, (DeviceNumber{5, 9}));
    EXPECT_EQ(special.uid, 7u);
    Pause();
  }
}

}  // namespace
}  // namespace strata::vfs::testing
