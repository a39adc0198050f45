// Spec nfsv3 5.4 to 5.6: REMOVE, RMDIR, LINK, CREATE, MKDIR, MKNOD, SYMLINK, READLINK.
#include "contract.h"

STRATA_CONTRACT(NamespaceContract)

namespace strata::vfs::testing {
namespace {

// As long as can be, of all bytes but NUL.
std::string LongTarget() {
  std::string target = Pattern(kMaxSymlinkBytes, 5);
  for (char& byte : target) byte = byte == '\0' ? '/' : byte;
  return target;
}

TEST_P(NamespaceContract, R5_4_RemoveTakesFilesAndRmdirEmptyDirectories) {
  Given({FileNode("w/f", ""), DirNode("w/d"), DirNode("w/full"), FileNode("w/full/x", ""), SymlinkNode("w/s", "d")});
  Client client = Root();
  EXPECT_CODE(client.Unlink("w/d"), Errc::kIsDirectory);
  EXPECT_CODE(client.Unlink("w/full"), Errc::kIsDirectory);
  EXPECT_CODE(client.Rmdir("w/f"), Errc::kNotDirectory);
  EXPECT_CODE(client.Rmdir("w/s"), Errc::kNotDirectory);
  EXPECT_CODE(client.Rmdir("w/full"), Errc::kNotEmpty);
  EXPECT_CODE(client.Unlink("w/missing"), Errc::kNotFound);
  EXPECT_CODE(client.Rmdir("w/missing"), Errc::kNotFound);
  Pause();
  EXPECT_THAT(client.List("w").value(), ::testing::ElementsAre("d", "f", "full", "s"));
  EXPECT_OK(client.Unlink("w/f"));
  EXPECT_OK(client.Unlink("w/s"));
  EXPECT_OK(client.Rmdir("w/d"));
  EXPECT_OK(client.Unlink("w/full/x"));
  Pause();
  EXPECT_OK(client.Rmdir("w/full"));
  EXPECT_TRUE(client.List("w").value().empty());
  EXPECT_CODE(client.Unlink("w/f"), Errc::kNotFound);
  EXPECT_CODE(client.Rmdir("w/d"), Errc::kNotFound);
}

TEST_P(NamespaceContract, ItIsToldWhenTheLastNameOfAnObjectGoes) {
  struct Watch final : RemovalWatch {
    void Removed(const ObjectId& id) override { gone.push_back(id.ino); }
    std::vector<InodeNumber> gone;
  };
  if (IsModel()) GTEST_SKIP() << "the model of the tests tells nobody";
  Given({FileNode("w/f", ""), DirNode("w/d"), FileNode("w/over", ""), FileNode("w/kept", "")});
  Client client = Root();
  const auto watch = std::make_shared<Watch>();
  subject().fs().WatchRemovals(watch);
  const auto ino = [&](const char* path) { return client.StatOf(path).ino; };
  const InodeNumber f = ino("w/f"), d = ino("w/d"), over = ino("w/over");
  EXPECT_OK(client.LinkAt("w/f", "w/g"));
  EXPECT_OK(client.Unlink("w/f"));
  EXPECT_TRUE(watch->gone.empty()) << "it has a name yet";
  EXPECT_OK(client.Unlink("w/g"));
  EXPECT_OK(client.Rmdir("w/d"));
  EXPECT_OK(client.RenameAt("w/kept", "w/over"));
  EXPECT_THAT(watch->gone, ::testing::ElementsAre(f, d, over));
  subject().fs().WatchRemovals(nullptr);
  EXPECT_OK(client.Unlink("w/over"));
  EXPECT_EQ(watch->gone.size(), 3u);
}

TEST_P(NamespaceContract, R5_4_LinkMakesOneMoreNameAndNeverOfADirectory) {
  Given({FileNode("w/f", "x"), DirNode("w/d"), SymlinkNode("w/s", "t")});
  Client client = Root();
  EXPECT_CODE(client.LinkAt("w/d", "w/d2"), Errc::kIsDirectory, Errc::kPermission);
  EXPECT_CODE(client.LinkAt("w/f", "w/d"), Errc::kExists);
  EXPECT_CODE(client.LinkAt("w/f", "w/s"), Errc::kExists);
  EXPECT_CODE(client.LinkAt("w/f", "w/f"), Errc::kExists);
  ASSERT_OK(client.LinkAt("w/f", "w/d/g"));
  ASSERT_OK(client.LinkAt("w/s", "w/d/s"));
  Pause();
  EXPECT_EQ(client.IdOf("w/d/g").ino, client.IdOf("w/f").ino);
  EXPECT_EQ(client.ReadLinkAt("w/d/s").value_or("failed"), "t");
  EXPECT_EQ(client.StatOf("w/s").nlink, 2u);
}

TEST_P(NamespaceContract, R5_4_LinkPastTheLimitIsTooManyLinks) {
  Given({FileNode("w/f", "x"), DirNode("w/d", 0777)});
  Client client = Root();
  const ObjectId f = client.IdOf("w/f");
  const ObjectId d = client.IdOf("w/d");
  FileSystem& fs = subject().fs();
  OpContext context;
  Mutation mutation;
  for (std::uint32_t i = 1; i < kMaxLinks; ++i) {
    mutation = {};
    ASSERT_OK(fs.Link(context, f, d, std::to_string(i), nullptr, mutation)) << i;
  }
  ASSERT_OK(Settle(fs, mutation));
  EXPECT_EQ(client.Get(f).value().nlink, kMaxLinks);
  EXPECT_CODE(client.Link(f, d, "one more"), Errc::kTooManyLinks);
  EXPECT_EQ(client.Get(f).value().nlink, kMaxLinks);
  ASSERT_OK(client.Remove(d, "7"));
  EXPECT_OK(client.Link(f, d, "one more"));
}

TEST_P(NamespaceContract, R5_5_UncheckedKeepsAnExistingFileButForItsSize) {
  Given({FileNode("w/f", "hello", 0640, 5, 6)});
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  const ObjectId f = client.IdOf("w/f");
  SetAttributes set = Mode(0777);
  set.uid = 9;
  auto opened = client.Create(w, "f", CreateMode::kUnchecked, set);
  ASSERT_OK(opened);
  EXPECT_EQ(opened->id, f);
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "hello");
  set.size = 0;
  opened = client.Create(w, "f", CreateMode::kUnchecked, set);
  ASSERT_OK(opened);
  EXPECT_EQ(opened->id, f);
  EXPECT_EQ(opened->attributes.size, 0u);
  Pause();
  EXPECT_EQ(client.StatOf("w/f").size, 0u);
  EXPECT_EQ(client.StatOf("w/f").uid, 5u);
  auto made = client.Create(w, "new", CreateMode::kUnchecked, Mode(0604));
  ASSERT_OK(made);
  EXPECT_EQ(made->attributes.mode, 0604u);
  EXPECT_EQ(made->attributes.type, FileType::kRegular);
  EXPECT_EQ(made->attributes.size, 0u);
}

TEST_P(NamespaceContract, R5_5_UncheckedOverWhatIsNoFileFails) {
  Given({DirNode("w/d"), SymlinkNode("w/s", "f")});
  Client client = Root();
  EXPECT_CODE(client.Create(client.IdOf("w"), "d", CreateMode::kUnchecked), Errc::kIsDirectory, Errc::kExists);
  EXPECT_CODE(client.Create(client.IdOf("w"), "s", CreateMode::kUnchecked), Errc::kExists, Errc::kInvalid);
}

TEST_P(NamespaceContract, R5_5_GuardedFailsOnWhateverExists) {
  Given({FileNode("w/f", "x"), DirNode("w/d"), SymlinkNode("w/s", "t")});
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  for (const char* name : {"f", "d", "s"}) {
    SCOPED_TRACE(name);
    EXPECT_CODE(client.Create(w, name, CreateMode::kGuarded, Size(0)), Errc::kExists);
    EXPECT_CODE(client.MakeDirectory(w, name), Errc::kExists);
    EXPECT_CODE(client.MakeSymlink(w, name, "x"), Errc::kExists);
    EXPECT_CODE(client.MakeNode(w, name, FileType::kFifo, {}), Errc::kExists);
    Pause();
  }
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "x");
}

TEST_P(NamespaceContract, R5_5_ExclusiveCreateSucceedsAgainWithItsOwnVerifierOnly) {
  Given({FileNode("w/old", "x")});
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  const CreateVerifier mine = {1, 2, 3, 4, 5, 6, 7, 8};
  const CreateVerifier other = {1, 2, 3, 4, 5, 6, 7, 9};
  auto made = client.Create(w, "f", CreateMode::kExclusive, {}, mine);
  ASSERT_OK(made);
  for (int i = 0; i < 2; ++i) {
    auto again = client.Create(w, "f", CreateMode::kExclusive, {}, mine);
    ASSERT_OK(again);
    EXPECT_EQ(again->id, made->id);
    EXPECT_CODE(client.Create(w, "f", CreateMode::kExclusive, {}, other), Errc::kExists);
    EXPECT_CODE(client.Create(w, "f", CreateMode::kExclusive, {}, {}), Errc::kExists);
    EXPECT_CODE(client.Create(w, "old", CreateMode::kExclusive, {}, mine), Errc::kExists);
    EXPECT_CODE(client.Create(w, "old", CreateMode::kExclusive, {}, {}), Errc::kExists)
        << "no verifier is no verifier of zeros";
    subject().Restart();
  }
  // A client sets the attributes next, and writes.
  ASSERT_OK(client.Set(made->id, Mode(0640)));
  ASSERT_OK(client.Write(made->id, 0, "data"));
  subject().Restart();
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), "data");
  EXPECT_EQ(client.StatOf("w/f").mode, 0640u);
}

TEST_P(NamespaceContract, R5_5_CreateAndMkdirTakeTheirAttributes) {
  Given();
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  SetAttributes set = Mode(0751);
  set.set_atime = set.set_mtime = SetTime::kClient;
  set.atime = Time{111};
  set.mtime = Time{222};
  ASSERT_OK(client.MakeDirectory(w, "d", set));
  set.size = 7;
  auto made = client.Create(w, "f", CreateMode::kGuarded, set);
  ASSERT_OK(made);
  Pause();
  for (const char* path : {"w/f", "w/d"}) {
    const Attributes attributes = client.StatOf(path);
    EXPECT_EQ(attributes.mode, 0751u) << path;
    EXPECT_EQ(attributes.atime.ns, 111) << path;
    EXPECT_EQ(attributes.mtime.ns, 222) << path;
  }
  EXPECT_EQ(client.ReadFile("w/f").value_or("failed"), std::string(7, '\0'));
  EXPECT_EQ(made->attributes.size, 7u);
}

TEST_P(NamespaceContract, R5_6_MknodMakesEveryKindAndKeepsItsNumbers) {
  Given();
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  ASSERT_OK(client.MakeNode(w, "fifo", FileType::kFifo, {}, Mode(0640)));
  ASSERT_OK(client.MakeNode(w, "socket", FileType::kSocket, {}));
  ASSERT_OK(client.MakeNode(w, "block", FileType::kBlockDevice, {259, 65536}));
  ASSERT_OK(client.MakeNode(w, "char", FileType::kCharacterDevice, {1, 3}));
  ASSERT_OK(client.MakeNode(w, "zero", FileType::kCharacterDevice, {0, 0}));
  Pause();
  EXPECT_EQ(client.StatOf("w/fifo").type, FileType::kFifo);
  EXPECT_EQ(client.StatOf("w/fifo").mode, 0640u);
  EXPECT_EQ(client.StatOf("w/socket").type, FileType::kSocket);
  EXPECT_EQ(client.StatOf("w/block").type, FileType::kBlockDevice);
  EXPECT_EQ(client.StatOf("w/block").rdev, (DeviceNumber{259, 65536}));
  EXPECT_EQ(client.StatOf("w/char").type, FileType::kCharacterDevice);
  EXPECT_EQ(client.StatOf("w/char").rdev, (DeviceNumber{1, 3}));
  EXPECT_EQ(client.StatOf("w/zero").rdev, (DeviceNumber{0, 0})) << "a device 0:0 made here is one, and no whiteout";
  EXPECT_EQ(client.List("w").value().size(), 5u);
  EXPECT_CODE(client.MakeNode(w, "x", FileType::kRegular, {}), Errc::kBadType, Errc::kInvalid);
  EXPECT_CODE(client.MakeNode(w, "x", FileType::kDirectory, {}), Errc::kBadType, Errc::kInvalid);
  EXPECT_CODE(client.MakeNode(w, "x", FileType::kSymlink, {}), Errc::kBadType, Errc::kInvalid);
  for (const char* name : {"fifo", "socket", "block", "char"}) {
    auto id = client.IdOf(std::string("w/") + name);
    EXPECT_CODE(client.Read(id, 0, 1), Errc::kInvalid);
    EXPECT_CODE(client.Write(id, 0, "x"), Errc::kInvalid);
    EXPECT_CODE(client.ReadLink(id), Errc::kInvalid);
  }
}

TEST_P(NamespaceContract, R5_6_OnlyTheSuperuserMakesDevices) {
  Given();
  Client alice = As(kAlice);
  const ObjectId w = alice.IdOf("w");
  EXPECT_CODE(alice.MakeNode(w, "c", FileType::kCharacterDevice, {1, 3}), Errc::kPermission, Errc::kAccess);
  EXPECT_CODE(alice.MakeNode(w, "b", FileType::kBlockDevice, {1, 3}), Errc::kPermission, Errc::kAccess);
  EXPECT_OK(alice.MakeNode(w, "p", FileType::kFifo, {}));
  EXPECT_OK(alice.MakeNode(w, "s", FileType::kSocket, {}));
}

TEST_P(NamespaceContract, R5_6_ASymlinkHoldsAnyBytesUpTo4096) {
  Given({SymlinkNode("w/given", "../some/where")});
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  const std::string odd("\xff\x01 / .. \n", 9);
  ASSERT_OK(client.MakeSymlink(w, "odd", odd));
  ASSERT_OK(client.MakeSymlink(w, "short", "x"));
  ASSERT_OK(client.MakeSymlink(w, "long", LongTarget()));
  EXPECT_CODE(client.MakeSymlink(w, "too long", std::string(kMaxSymlinkBytes + 1, 'x')), Errc::kNameTooLong);
  Pause();
  EXPECT_EQ(client.ReadLinkAt("w/odd").value_or("failed"), odd);
  EXPECT_EQ(client.ReadLinkAt("w/short").value_or("failed"), "x");
  EXPECT_EQ(client.ReadLinkAt("w/long").value_or("failed"), LongTarget());
  EXPECT_EQ(client.ReadLinkAt("w/given").value_or("failed"), "../some/where");
  EXPECT_EQ(client.StatOf("w/long").size, kMaxSymlinkBytes);
  EXPECT_FALSE(client.Exists("w/too long"));
  // Its attributes may change; the target stays.
  ASSERT_OK(client.Chown("w/given", 5, 6));
  Pause();
  EXPECT_EQ(client.ReadLinkAt("w/given").value_or("failed"), "../some/where");
  EXPECT_EQ(client.StatOf("w/given").uid, 5u);
}

TEST_P(NamespaceContract, R5_6_ASymlinkHoldsANulToo) {
  Given();
  Client client = Root();
  const std::string target("a\0b", 3);
  ASSERT_OK(client.MakeSymlink(client.IdOf("w"), "s", target));
  Pause();
  EXPECT_EQ(client.ReadLinkAt("w/s").value_or("failed"), target);
}

TEST_P(NamespaceContract, R5_6_OnlyASymlinkIsReadAsOne) {
  Given({FileNode("w/f", "x"), DirNode("w/d"), SymlinkNode("w/s", "t")});
  Client client = Root();
  EXPECT_CODE(client.ReadLinkAt("w/f"), Errc::kInvalid);
  EXPECT_CODE(client.ReadLinkAt("w/d"), Errc::kInvalid);
  EXPECT_CODE(client.Read(client.IdOf("w/s"), 0, 1), Errc::kInvalid);
  EXPECT_CODE(client.Write(client.IdOf("w/s"), 0, "x"), Errc::kInvalid);
  EXPECT_CODE(client.Read(client.IdOf("w/d"), 0, 1), Errc::kIsDirectory, Errc::kInvalid);
  EXPECT_CODE(client.Write(client.IdOf("w/d"), 0, "x"), Errc::kIsDirectory, Errc::kInvalid);
}

TEST_P(NamespaceContract, AnEntryThatWasMadeIsAnsweredWholeAndFound) {
  Given();
  Client client = Root();
  const ObjectId w = client.IdOf("w");
  auto check = [&](const char* name, const Result<Entry>& made) {
    SCOPED_TRACE(name);
    ASSERT_OK(made);
    auto found = client.Lookup(w, name);
    ASSERT_OK(found);
    EXPECT_EQ(found->id, made->id);
    ExpectSame(found->attributes, made->attributes);
    ExpectSame(client.Get(made->id).value(), made->attributes);
  };
  check("f", client.Create(w, "f"));
  check("x", client.Create(w, "x", CreateMode::kExclusive, {}, {1}));
  check("d", client.MakeDirectory(w, "d"));
  check("s", client.MakeSymlink(w, "s", "t"));
  check("p", client.MakeNode(w, "p", FileType::kFifo, {}));
}

}  // namespace
}  // namespace strata::vfs::testing
