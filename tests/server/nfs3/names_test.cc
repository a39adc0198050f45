// CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, RENAME, LINK.
#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

class Nfs3NamesTest : public ::testing::Test {
 protected:
  // The results of CREATE, MKDIR, SYMLINK and MKNOD are one structure in four names.
  void ExpectMade(const Reply& reply, const std::string& name, FileType type, const Attributes& before) {
    const Decoded<CREATE3res> result(zdr_CREATE3res, reply.bytes);
    ASSERT_EQ(result->status, NFS3_OK) << name;
    const CREATE3resok& ok = result->CREATE3res_u.resok;
    const vfs::Entry made = volume_.Lookup({}, root_, name, nullptr).value();
    EXPECT_EQ(made.attributes.type, type);
    ASSERT_TRUE(ok.obj.handle_follows);
    ExpectHandle(ok.obj.post_op_fh3_u.handle, harness_.Handle(made.id));
    ExpectAttributes(ok.obj_attributes, made.attributes);
    ExpectWcc(ok.dir_wcc, before, volume_.AttributesOf(root_));
    EXPECT_TRUE(reply.has_volume);
    EXPECT_EQ(reply.commitment, volume_.commitment);
  }
  Attributes RootNow() { return volume_.AttributesOf(root_); }

  Harness harness_;
  FakeFileSystem& volume_ = harness_.volume();
  const vfs::ObjectId root_ = volume_.Root();
  Bytes root_handle_ = harness_.Handle(root_);
};

TEST_F(Nfs3NamesTest, Rule5_5_CreateInItsThreeModes) {
  volume_.commitment = vfs::Commitment::kDurable;
  sattr3 s{};
  s.mode.set_it = 1;
  s.mode.set_mode3_u.mode = 0600;
  Attributes before = RootNow();
  ExpectMade(harness_.Nfs(8, Calls::Create(root_handle_, "u", UNCHECKED, s)), "u", FileType::kRegular, before);
  EXPECT_EQ(volume_.last_mode, vfs::CreateMode::kUnchecked);
  EXPECT_EQ(volume_.last_set.mode, 0600u);
  before = RootNow();
  ExpectMade(harness_.Nfs(8, Calls::Create(root_handle_, "g", GUARDED, s)), "g", FileType::kRegular, before);
  EXPECT_EQ(volume_.last_mode, vfs::CreateMode::kGuarded);
  before = RootNow();
  ExpectMade(harness_.Nfs(8, Calls::Create(root_handle_, "e", EXCLUSIVE, {}, "\x01\x02\x03\x04\xfd\xfe\xff\x00")), "e",
             FileType::kRegular, before);
  EXPECT_EQ(volume_.last_mode, vfs::CreateMode::kExclusive);
  EXPECT_EQ(volume_.last_verifier, (vfs::CreateVerifier{1, 2, 3, 4, 0xfd, 0xfe, 0xff, 0}));
  EXPECT_FALSE(volume_.last_set.mode);

  before = RootNow();
  const Decoded<CREATE3res> result(zdr_CREATE3res, harness_.Nfs(8, Calls::Create(root_handle_, "g", GUARDED)).bytes);
  EXPECT_EQ(result->status, NFS3ERR_EXIST);
  ExpectWcc(result->CREATE3res_u.resfail.dir_wcc, before, before);
}

TEST_F(Nfs3NamesTest, ACreateModeThatIsNoneIsGarbage) {
  EXPECT_EQ(harness_.Nfs(8, Calls::Create(root_handle_, "x", UNCHECKED)).accept, kAccepted);
  Bytes call = Calls::Create(root_handle_, "y", UNCHECKED);
  const std::size_t mode_at = 4 + 40 + 8;
  call[mode_at + 3] = 3;
  EXPECT_EQ(harness_.Nfs(8, call).accept, kGarbageArgs);
}

TEST_F(Nfs3NamesTest, MkdirMakesADirectory) {
  const Attributes before = RootNow();
  ExpectMade(harness_.Nfs(9, Calls::Mkdir(root_handle_, "d")), "d", FileType::kDirectory, before);
}

TEST_F(Nfs3NamesTest, Rule5_6_SymlinkTargetsUpToTheLimitAreKept) {
  for (const std::size_t size : {1u, 2u, 3u, 4u, 4096u}) {
    const Attributes before = RootNow();
    const std::string name = "s" + std::to_string(size);
    ExpectMade(harness_.Nfs(10, Calls::Symlink(root_handle_, name, std::string(size, '\xff'))), name,
               FileType::kSymlink, before);
    const vfs::Entry made = volume_.Lookup({}, root_, name, nullptr).value();
    EXPECT_EQ(volume_.ReadLink({}, made.id, nullptr).value(), std::string(size, '\xff'));
  }
  const Attributes before = RootNow();
  const Decoded<SYMLINK3res> result(
      zdr_SYMLINK3res, harness_.Nfs(10, Calls::Symlink(root_handle_, "long", std::string(4097, 'x'))).bytes);
  EXPECT_EQ(result->status, NFS3ERR_NAMETOOLONG);
  ExpectAttributes(result->SYMLINK3res_u.resfail.dir_wcc.after, before);
}

TEST_F(Nfs3NamesTest, Rule5_6_MknodMakesEachSpecialFile) {
  sattr3 s{};
  s.mode.set_it = 1;
  s.mode.set_mode3_u.mode = 0644;
  for (const ftype3 type : {NF3BLK, NF3CHR, NF3SOCK, NF3FIFO}) {
    const Attributes before = RootNow();
    const std::string name = "n" + std::to_string(type);
    ExpectMade(harness_.Nfs(11, Calls::Mknod(root_handle_, name, type, s, {0xfffe, 0xfffffffd})), name,
               static_cast<FileType>(type), before);
    const bool device = type == NF3BLK || type == NF3CHR;
    EXPECT_EQ(volume_.last_device, (device ? DeviceNumber{0xfffe, 0xfffffffd} : DeviceNumber{}));
    EXPECT_EQ(volume_.last_set.mode, 0644u);
  }
}

TEST_F(Nfs3NamesTest, MknodOfWhatHasAProcedureOfItsOwnIsBadType) {
  for (const ftype3 type : {NF3REG, NF3DIR, NF3LNK}) {
    const Decoded<MKNOD3res> result(zdr_MKNOD3res, harness_.Nfs(11, Calls::Mknod(root_handle_, "n", type)).bytes);
    EXPECT_EQ(result->status, NFS3ERR_BADTYPE);
    EXPECT_TRUE(result->MKNOD3res_u.resfail.dir_wcc.after.attributes_follow);
  }
  Bytes call = Calls::Mknod(root_handle_, "n", NF3REG);
  for (const char type : {'\0', '\x08', '\xff'}) {
    call.back() = type;
    EXPECT_EQ(harness_.Nfs(11, call).accept, kGarbageArgs);
  }
}

TEST_F(Nfs3NamesTest, RemoveAndRmdirTakeANameAway) {
  volume_.Make(root_, "f", FileType::kRegular);
  volume_.Make(root_, "d", FileType::kDirectory);
  Attributes before = RootNow();
  {
    const Decoded<REMOVE3res> result(zdr_REMOVE3res, harness_.Nfs(12, Calls::Remove(root_handle_, "f")).bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    ExpectWcc(result->REMOVE3res_u.resok.dir_wcc, before, RootNow());
  }
  before = RootNow();
  const Reply reply = harness_.Nfs(13, Calls::Rmdir(root_handle_, "d"));
  const Decoded<RMDIR3res> result(zdr_RMDIR3res, reply.bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  ExpectWcc(result->RMDIR3res_u.resok.dir_wcc, before, RootNow());
  EXPECT_EQ(reply.commitment, vfs::Commitment::kWritten);
}

TEST_F(Nfs3NamesTest, Rule5_4_RemoveOfTheWrongKind) {
  volume_.Make(root_, "f", FileType::kRegular);
  const vfs::ObjectId directory = volume_.Make(root_, "d", FileType::kDirectory);
  volume_.Make(directory, "x", FileType::kRegular);
  const Attributes now = RootNow();
  const auto expect = [&](std::uint32_t procedure, const Bytes& call, nfsstat3 status) {
    const Decoded<REMOVE3res> result(zdr_REMOVE3res, harness_.Nfs(procedure, call).bytes);
    EXPECT_EQ(result->status, status);
    ExpectWcc(result->REMOVE3res_u.resfail.dir_wcc, now, now);
  };
  expect(12, Calls::Remove(root_handle_, "d"), NFS3ERR_ISDIR);
  expect(13, Calls::Rmdir(root_handle_, "f"), NFS3ERR_NOTDIR);
  expect(13, Calls::Rmdir(root_handle_, "d"), NFS3ERR_NOTEMPTY);
  expect(12, Calls::Remove(root_handle_, "none"), NFS3ERR_NOENT);
  expect(13, Calls::Rmdir(root_handle_, "."), NFS3ERR_INVAL);
  expect(12, Calls::Remove(root_handle_, std::string(300, 'n')), NFS3ERR_NAMETOOLONG);
}

TEST_F(Nfs3NamesTest, RenameTellsOfBothDirectories) {
  const vfs::ObjectId other = volume_.Make(root_, "other", FileType::kDirectory);
  volume_.Make(root_, "a", FileType::kRegular);
  const Attributes root_before = RootNow(), other_before = volume_.AttributesOf(other);
  {
    const Reply reply = harness_.Nfs(14, Calls::Rename(root_handle_, "a", harness_.Handle(other), "b"));
    const Decoded<RENAME3res> result(zdr_RENAME3res, reply.bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    ExpectWcc(result->RENAME3res_u.resok.fromdir_wcc, root_before, RootNow());
    ExpectWcc(result->RENAME3res_u.resok.todir_wcc, other_before, volume_.AttributesOf(other));
    EXPECT_EQ(reply.commitment, vfs::Commitment::kWritten);
  }
  const Attributes root_now = RootNow(), other_now = volume_.AttributesOf(other);
  const Decoded<RENAME3res> result(
      zdr_RENAME3res, harness_.Nfs(14, Calls::Rename(root_handle_, "a", harness_.Handle(other), "b")).bytes);
  EXPECT_EQ(result->status, NFS3ERR_NOENT);
  ExpectWcc(result->RENAME3res_u.resfail.fromdir_wcc, root_now, root_now);
  ExpectWcc(result->RENAME3res_u.resfail.todir_wcc, other_now, other_now);
}

TEST_F(Nfs3NamesTest, RenameWithOneStaleHandleStillTellsOfTheOtherDirectory) {
  const Bytes gone = harness_.Handle({InodeNumber(999), Generation(1), 0});
  {
    const Decoded<RENAME3res> result(zdr_RENAME3res,
                                     harness_.Nfs(14, Calls::Rename(root_handle_, "a", gone, "b")).bytes);
    EXPECT_EQ(result->status, NFS3ERR_STALE);
    ExpectAttributes(result->RENAME3res_u.resfail.fromdir_wcc.after, RootNow());
    EXPECT_FALSE(result->RENAME3res_u.resfail.todir_wcc.after.attributes_follow);
  }
  const Decoded<RENAME3res> result(zdr_RENAME3res,
                                   harness_.Nfs(14, Calls::Rename(Bytes(40), "a", root_handle_, "b")).bytes);
  EXPECT_EQ(result->status, NFS3ERR_BADHANDLE);
  EXPECT_FALSE(result->RENAME3res_u.resfail.fromdir_wcc.after.attributes_follow);
  ExpectAttributes(result->RENAME3res_u.resfail.todir_wcc.after, RootNow());
}

TEST_F(Nfs3NamesTest, LinkTellsOfTheFileAndTheDirectory) {
  const vfs::ObjectId file = volume_.Make(root_, "a", FileType::kRegular, "x");
  const Attributes before = RootNow();
  {
    const Decoded<LINK3res> result(zdr_LINK3res,
                                   harness_.Nfs(15, Calls::Link(harness_.Handle(file), root_handle_, "b")).bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    ExpectAttributes(result->LINK3res_u.resok.file_attributes, volume_.AttributesOf(file));
    EXPECT_EQ(result->LINK3res_u.resok.file_attributes.post_op_attr_u.attributes.nlink, 2u);
    ExpectWcc(result->LINK3res_u.resok.linkdir_wcc, before, RootNow());
  }
  const vfs::ObjectId directory = volume_.Make(root_, "d", FileType::kDirectory);
  const Attributes now = RootNow();
  const Decoded<LINK3res> result(zdr_LINK3res,
                                 harness_.Nfs(15, Calls::Link(harness_.Handle(directory), root_handle_, "e")).bytes);
  EXPECT_EQ(result->status, NFS3ERR_ISDIR);
  ExpectAttributes(result->LINK3res_u.resfail.file_attributes, volume_.AttributesOf(directory));
  ExpectWcc(result->LINK3res_u.resfail.linkdir_wcc, now, now);
}

// Spec nfsv3 5.3.
TEST(Nfs3TwoVolumesTest, Rule5_3_RenameAndLinkAcrossExportsAreXdev) {
  const auto one = std::make_shared<FakeFileSystem>(1), two = std::make_shared<FakeFileSystem>(2, SipHashKey{3, 4});
  Harness harness({{.path = "/one", .volume = one}, {.path = "/two", .volume = two}});
  const vfs::ObjectId file = one->Make(one->Root(), "a", FileType::kRegular);
  const Bytes from = harness.Handle(one->Root()), to = harness.Handle(two->Root(), two.get());
  {
    const Decoded<RENAME3res> result(zdr_RENAME3res, harness.Nfs(14, Calls::Rename(from, "a", to, "a")).bytes);
    EXPECT_EQ(result->status, NFS3ERR_XDEV);
    const wcc_data& source = result->RENAME3res_u.resfail.fromdir_wcc;
    const wcc_data& target = result->RENAME3res_u.resfail.todir_wcc;
    ASSERT_TRUE(source.after.attributes_follow && target.after.attributes_follow);
    EXPECT_EQ(source.after.post_op_attr_u.attributes.fsid, 1u);
    EXPECT_EQ(target.after.post_op_attr_u.attributes.fsid, 2u);
  }
  const Decoded<LINK3res> result(zdr_LINK3res, harness.Nfs(15, Calls::Link(harness.Handle(file), to, "b")).bytes);
  EXPECT_EQ(result->status, NFS3ERR_XDEV);
}

}  // namespace
}  // namespace strata::testing
