// GETATTR, SETATTR, ACCESS, LOOKUP, READLINK and those of the whole volume: calls and answers as libnfs writes and
// reads them.
#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

class Nfs3AttributesTest : public ::testing::Test {
 protected:
  Harness harness_;
  FakeFileSystem& volume_ = harness_.volume();
  const vfs::ObjectId root_ = volume_.Root();
  const vfs::ObjectId file_ = volume_.Make(root_, "file", FileType::kRegular, "hello");
  const vfs::ObjectId link_ = volume_.Make(root_, "link", FileType::kSymlink, "target/of it");
  Bytes root_handle_ = harness_.Handle(root_);
  Bytes file_handle_ = harness_.Handle(file_);
};

TEST_F(Nfs3AttributesTest, GetAttrGivesEveryAttribute) {
  volume_.MutableAttributesOf(file_).rdev = {0x11223344, 0x55667788};
  volume_.MutableAttributesOf(file_).size = 0x0102030405060708;
  const Reply reply = harness_.Nfs(1, Calls::GetAttr(file_handle_));
  const Decoded<GETATTR3res> result(zdr_GETATTR3res, reply.bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  ExpectAttributes(result->GETATTR3res_u.resok.obj_attributes, volume_.AttributesOf(file_));
  EXPECT_EQ(reply.bytes.size(), 88u);
  EXPECT_FALSE(reply.has_volume);
}

TEST_F(Nfs3AttributesTest, TimesThatNfstime3CannotHoldAreTheNearest) {
  volume_.MutableAttributesOf(file_).atime = Time{-5};
  volume_.MutableAttributesOf(file_).mtime = Time{std::numeric_limits<std::int64_t>::max()};
  volume_.MutableAttributesOf(file_).ctime = Time{4'294'967'295'999'999'999};
  const Decoded<GETATTR3res> result(zdr_GETATTR3res, harness_.Nfs(1, Calls::GetAttr(file_handle_)).bytes);
  const fattr3& fattr = result->GETATTR3res_u.resok.obj_attributes;
  EXPECT_EQ(fattr.atime.seconds, 0u);
  EXPECT_EQ(fattr.atime.nseconds, 0u);
  for (const nfstime3& time : {fattr.mtime, fattr.ctime}) {
    EXPECT_EQ(time.seconds, 4'294'967'295u);
    EXPECT_EQ(time.nseconds, 999'999'999u);
  }
}

TEST_F(Nfs3AttributesTest, SetAttrPassesOnWhatIsSetAndNoMore) {
  sattr3 s{};
  const Attributes before = volume_.AttributesOf(file_);
  Reply reply = harness_.Nfs(2, Calls::SetAttr(file_handle_, s));
  EXPECT_EQ(reply.status(), 0u);
  EXPECT_FALSE(volume_.last_set.mode || volume_.last_set.uid || volume_.last_set.gid || volume_.last_set.size);
  EXPECT_EQ(volume_.last_set.set_atime, vfs::SetTime::kKeep);
  EXPECT_EQ(volume_.last_set.set_mtime, vfs::SetTime::kKeep);
  EXPECT_FALSE(volume_.last_guard);
  {
    const Decoded<SETATTR3res> result(zdr_SETATTR3res, reply.bytes);
    ExpectWcc(result->SETATTR3res_u.resok.obj_wcc, before, volume_.AttributesOf(file_));
  }

  // Spec nfsv3 4.3: each of the two times in each of the ways.
  s.mode.set_it = s.uid.set_it = s.gid.set_it = s.size.set_it = 1;
  s.mode.set_mode3_u.mode = 04711;
  s.uid.set_uid3_u.uid = 5;
  s.gid.set_gid3_u.gid = 6;
  s.size.set_size3_u.size = 0x7fff'ffff'ffff'ffff;
  s.atime.set_it = SET_TO_SERVER_TIME;
  s.mtime.set_it = SET_TO_CLIENT_TIME;
  s.mtime.set_mtime_u.mtime = {4'294'967'295u, 999'999'999u};
  reply = harness_.Nfs(2, Calls::SetAttr(file_handle_, s));
  EXPECT_EQ(reply.status(), 0u);
  EXPECT_EQ(volume_.last_set.mode, 04711u);
  EXPECT_EQ(volume_.last_set.uid, 5u);
  EXPECT_EQ(volume_.last_set.gid, 6u);
  EXPECT_EQ(volume_.last_set.size, 0x7fff'ffff'ffff'ffffu);
  EXPECT_EQ(volume_.last_set.set_atime, vfs::SetTime::kServer);
  EXPECT_EQ(volume_.last_set.set_mtime, vfs::SetTime::kClient);
  EXPECT_EQ(volume_.last_set.mtime.ns, 4'294'967'295'999'999'999);
  EXPECT_TRUE(reply.has_volume);
  EXPECT_EQ(reply.commitment, vfs::Commitment::kWritten);
}

// Spec nfsv3 4.3, 4.1: the guard is the ctime; a mismatch changes nothing and says how the object stands.
TEST_F(Nfs3AttributesTest, Rule4_3_AGuardThatDoesNotMatchIsNotSync) {
  const Attributes before = volume_.AttributesOf(file_);
  const nfstime3 right{static_cast<u_int>(before.ctime.ns / 1'000'000'000),
                       static_cast<u_int>(before.ctime.ns % 1'000'000'000)};
  nfstime3 wrong = right;
  ++wrong.nseconds;
  const Reply refused = harness_.Nfs(2, Calls::SetAttr(file_handle_, {}, wrong));
  {
    const Decoded<SETATTR3res> result(zdr_SETATTR3res, refused.bytes);
    EXPECT_EQ(result->status, NFS3ERR_NOT_SYNC);
    ExpectWcc(result->SETATTR3res_u.resfail.obj_wcc, before, before);
  }
  EXPECT_FALSE(refused.has_volume);
  EXPECT_EQ(harness_.Nfs(2, Calls::SetAttr(file_handle_, {}, right)).status(), 0u);
}

TEST_F(Nfs3AttributesTest, ATimeOfABillionNanosecondsIsInvalid) {
  sattr3 s{};
  s.atime.set_it = SET_TO_CLIENT_TIME;
  s.atime.set_atime_u.atime = {1, 1'000'000'000};
  const Decoded<SETATTR3res> result(zdr_SETATTR3res, harness_.Nfs(2, Calls::SetAttr(file_handle_, s)).bytes);
  EXPECT_EQ(result->status, NFS3ERR_INVAL);
  EXPECT_TRUE(result->SETATTR3res_u.resfail.obj_wcc.after.attributes_follow);
  EXPECT_EQ(harness_.Nfs(2, Calls::SetAttr(file_handle_, {}, nfstime3{1, ~0u})).status(), 22u);
}

TEST_F(Nfs3AttributesTest, ATimeHowThatIsNoneIsGarbage) {
  sattr3 s{};
  s.mtime.set_it = static_cast<time_how>(3);
  EXPECT_EQ(harness_.Nfs(2, Calls::SetAttr(file_handle_, s)).accept, kGarbageArgs);
}

// Spec nfsv3 4.6: in the bits asked for only.
TEST_F(Nfs3AttributesTest, Rule4_6_AccessGrantsNoBitThatWasNotAskedFor) {
  for (const uint32_t wanted : {0u, 0x3fu, 0x21u, ~0u}) {
    const Decoded<ACCESS3res> result(zdr_ACCESS3res, harness_.Nfs(4, Calls::Access(file_handle_, wanted)).bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    EXPECT_EQ(result->ACCESS3res_u.resok.access, wanted & 0x3f);
    ExpectAttributes(result->ACCESS3res_u.resok.obj_attributes, volume_.AttributesOf(file_));
  }
}

TEST_F(Nfs3AttributesTest, LookupGivesHandleAndBothAttributes) {
  const Decoded<LOOKUP3res> result(zdr_LOOKUP3res, harness_.Nfs(3, Calls::Lookup(root_handle_, "file")).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  ExpectHandle(result->LOOKUP3res_u.resok.object, file_handle_);
  ExpectAttributes(result->LOOKUP3res_u.resok.obj_attributes, volume_.AttributesOf(file_));
  ExpectAttributes(result->LOOKUP3res_u.resok.dir_attributes, volume_.AttributesOf(root_));
}

TEST_F(Nfs3AttributesTest, AFailedLookupCarriesTheDirectorysAttributes) {
  for (const auto& [name, status] : {std::pair<std::string, nfsstat3>{"none", NFS3ERR_NOENT},
                                     {std::string(256, 'x'), NFS3ERR_NAMETOOLONG},
                                     {std::string(70'000, 'x'), NFS3ERR_NAMETOOLONG},
                                     {"", NFS3ERR_INVAL},
                                     {"a/b", NFS3ERR_INVAL}}) {
    const Decoded<LOOKUP3res> result(zdr_LOOKUP3res, harness_.Nfs(3, Calls::Lookup(root_handle_, name)).bytes);
    EXPECT_EQ(result->status, status) << name.substr(0, 20);
    ExpectAttributes(result->LOOKUP3res_u.resfail.dir_attributes, volume_.AttributesOf(root_));
  }
  const Decoded<LOOKUP3res> result(zdr_LOOKUP3res, harness_.Nfs(3, Calls::Lookup(file_handle_, "x")).bytes);
  EXPECT_EQ(result->status, NFS3ERR_NOTDIR);
  ExpectAttributes(result->LOOKUP3res_u.resfail.dir_attributes, volume_.AttributesOf(file_));
}

TEST_F(Nfs3AttributesTest, NamesOf255BytesOfAnyKindAreLookedUp) {
  std::string name;
  for (int i = 1; i < 256; ++i) name += i == '/' ? '_' : static_cast<char>(i);
  volume_.Make(root_, name, FileType::kRegular);
  EXPECT_EQ(harness_.Nfs(3, Calls::Lookup(root_handle_, name)).status(), 0u);
}

// RFC 2055: the empty handle stands for the first export's root, in LOOKUP alone.
TEST_F(Nfs3AttributesTest, ThePublicHandleIsTheRootForLookupAlone) {
  const Decoded<LOOKUP3res> result(zdr_LOOKUP3res, harness_.Nfs(3, Calls::Lookup({}, "file")).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  ExpectHandle(result->LOOKUP3res_u.resok.object, file_handle_);
  EXPECT_EQ(harness_.Nfs(1, Calls::GetAttr({})).status(), 10001u);
  harness_.from.port = 40000;
  EXPECT_EQ(harness_.Nfs(3, Calls::Lookup({}, "file")).status(), 13u);
}

TEST_F(Nfs3AttributesTest, ReadLinkGivesTheTargetAsItIs) {
  for (const std::string& target : {std::string("a"), std::string("ab/cd"), std::string(4096, 't')}) {
    const vfs::ObjectId link = volume_.Make(root_, "l", FileType::kSymlink, target);
    const Decoded<READLINK3res> result(zdr_READLINK3res, harness_.Nfs(5, Calls::ReadLink(harness_.Handle(link))).bytes);
    ASSERT_EQ(result->status, NFS3_OK);
    EXPECT_EQ(result->READLINK3res_u.resok.data, target);
    ExpectAttributes(result->READLINK3res_u.resok.symlink_attributes, volume_.AttributesOf(link));
  }
  const Decoded<READLINK3res> result(zdr_READLINK3res, harness_.Nfs(5, Calls::ReadLink(file_handle_)).bytes);
  EXPECT_EQ(result->status, NFS3ERR_INVAL);
  ExpectAttributes(result->READLINK3res_u.resfail.symlink_attributes, volume_.AttributesOf(file_));
}

TEST_F(Nfs3AttributesTest, Rule6_4_FsInfoSaysWhatIsTrue) {
  const Decoded<FSINFO3res> result(zdr_FSINFO3res, harness_.Nfs(19, Calls::FsInfo(root_handle_)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  const FSINFO3resok& ok = result->FSINFO3res_u.resok;
  ExpectAttributes(ok.obj_attributes, volume_.AttributesOf(root_));
  EXPECT_EQ(ok.rtmax, 1u << 20);
  EXPECT_EQ(ok.rtpref, 1u << 20);
  EXPECT_EQ(ok.wtmax, 1u << 20);
  EXPECT_EQ(ok.wtpref, 1u << 20);
  EXPECT_GT(ok.rtmult, 0u);
  EXPECT_GT(ok.wtmult, 0u);
  EXPECT_GE(ok.dtpref, 64u << 10);
  EXPECT_EQ(ok.maxfilesize, 0x7fff'ffff'ffff'ffffu);
  EXPECT_EQ(ok.time_delta.seconds, 0u);
  EXPECT_EQ(ok.time_delta.nseconds, 1u);
  EXPECT_EQ(ok.properties, 0x1bu);
}

TEST_F(Nfs3AttributesTest, Rule6_4_FsStatGivesTheVolumesNumbers) {
  const Decoded<FSSTAT3res> result(zdr_FSSTAT3res, harness_.Nfs(18, Calls::FsStat(root_handle_)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  const FSSTAT3resok& ok = result->FSSTAT3res_u.resok;
  ExpectAttributes(ok.obj_attributes, volume_.AttributesOf(root_));
  EXPECT_EQ(ok.tbytes, 600u);
  EXPECT_EQ(ok.fbytes, 500u);
  EXPECT_EQ(ok.abytes, 400u);
  EXPECT_EQ(ok.tfiles, 300u);
  EXPECT_EQ(ok.ffiles, 200u);
  EXPECT_EQ(ok.afiles, 100u);
}

TEST_F(Nfs3AttributesTest, Rule6_4_PathConf) {
  const Decoded<PATHCONF3res> result(zdr_PATHCONF3res, harness_.Nfs(20, Calls::PathConf(file_handle_)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  const PATHCONF3resok& ok = result->PATHCONF3res_u.resok;
  ExpectAttributes(ok.obj_attributes, volume_.AttributesOf(file_));
  EXPECT_EQ(ok.linkmax, vfs::kMaxLinks);
  EXPECT_EQ(ok.name_max, 255u);
  EXPECT_EQ(ok.no_trunc, 1u);
  EXPECT_EQ(ok.chown_restricted, 1u);
  EXPECT_EQ(ok.case_insensitive, 0u);
  EXPECT_EQ(ok.case_preserving, 1u);
}

TEST_F(Nfs3AttributesTest, NullAnswersNothing) {
  const Reply reply = harness_.Nfs(0, {});
  EXPECT_EQ(reply.accept, kAccepted);
  EXPECT_TRUE(reply.bytes.empty());
  EXPECT_EQ(harness_.Nfs(0, Bytes(4)).accept, kGarbageArgs);
}

}  // namespace
}  // namespace strata::testing
