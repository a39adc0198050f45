// Every procedure of NFSv3, raw: what it answers besides its status.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"
#include "tests/e2e/wire.h"

namespace strata::e2e {
namespace {

bool After(const nfstime3& a, const nfstime3& b) {
  return a.seconds != b.seconds ? a.seconds > b.seconds : a.nseconds > b.nseconds;
}
bool Same(const nfstime3& a, const nfstime3& b) { return a.seconds == b.seconds && a.nseconds == b.nseconds; }

class Procedures : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(service_.lower() + "/dir");
    WriteHostFile(service_.lower() + "/dir/file", "0123456789");
    std::filesystem::create_symlink("dir/file", service_.lower() + "/link");
    before_ = Fingerprint(service_.lower());
    ASSERT_TRUE(service_.Start());
    Connect();
  }
  void TearDown() override {
    EXPECT_EQ(Fingerprint(service_.lower()), before_) << "the folder beneath changed (rule 6.5)";
  }
  void Connect() {
    client_ = std::make_unique<RawClient>(service_.port());
    ASSERT_TRUE(client_->connected());
    root_ = client_->root();
    ASSERT_FALSE(root_.empty());
  }
  void Restart() {
    service_.Stop();
    ASSERT_TRUE(service_.Start());
    Connect();
  }
  // wcc_data of a change of the root directory: the state before is the one that was last seen, and mtime and ctime
  // grew.
  void ExpectRootChanged(const Answer& answer) {
    ASSERT_TRUE(answer.before && answer.directory);
    EXPECT_TRUE(Same(answer.before->mtime, last_.mtime));
    EXPECT_TRUE(Same(answer.before->ctime, last_.ctime));
    EXPECT_EQ(answer.before->size, last_.size);
    EXPECT_TRUE(After(answer.directory->mtime, last_.mtime));
    EXPECT_TRUE(After(answer.directory->ctime, last_.ctime));
    last_ = *answer.directory;
  }

  Service service_;
  std::string before_;
  std::unique_ptr<RawClient> client_;
  Handle root_;
  fattr3 last_{};
};

TEST_F(Procedures, EveryOneAnswersWithAttributesAndEachChangeWithWccData_Rules4_1And4_2) {
  RawClient& c = *client_;
  EXPECT_TRUE(c.Null()->answered);
  last_ = *c.GetAttr(root_)->object;
  EXPECT_EQ(last_.type, NF3DIR);
  EXPECT_EQ(last_.nlink, 3U);

  RawClient::Call made = c.Create(root_, "new", GUARDED, Mode(0640));
  ASSERT_EQ(made->status, NFS3_OK);
  ASSERT_TRUE(made->handle && made->object);
  EXPECT_LE(made->handle->size(), 64U) << "rule 3.1";
  EXPECT_EQ(made->object->mode, 0640U);
  ExpectRootChanged(*made.operator->());
  const Handle file = *made->handle;
  fattr3 attributes = *made->object;

  RawClient::Call written = c.Write(file, 0, "hello", UNSTABLE);
  ASSERT_EQ(written->status, NFS3_OK);
  EXPECT_EQ(written->count, 5U);
  ASSERT_TRUE(written->before && written->object);
  EXPECT_EQ(written->before->size, 0U);
  EXPECT_TRUE(Same(written->before->ctime, attributes.ctime));
  EXPECT_EQ(written->object->size, 5U);
  EXPECT_TRUE(After(written->object->mtime, attributes.mtime));
  attributes = *written->object;
  RawClient::Call committed = c.Commit(file);
  ASSERT_EQ(committed->status, NFS3_OK);
  EXPECT_EQ(committed->verifier, written->verifier);
  EXPECT_TRUE(committed->object.has_value());

  RawClient::Call read = c.Read(file, 1, 3);
  EXPECT_EQ(read->data, "ell");
  EXPECT_FALSE(read->eof);
  EXPECT_TRUE(read->object.has_value());
  EXPECT_TRUE(c.Read(file, 1, 4)->eof) << "eof exactly when the last byte was returned (rule 6.1)";
  EXPECT_TRUE(c.Read(file, 5, 4)->eof);

  RawClient::Call set = c.SetAttr(file, Size(2));
  ASSERT_EQ(set->status, NFS3_OK);
  ASSERT_TRUE(set->before && set->object);
  EXPECT_EQ(set->before->size, 5U);
  EXPECT_EQ(set->object->size, 2U);

  RawClient::Call found = c.Lookup(root_, "new");
  ASSERT_EQ(found->status, NFS3_OK);
  EXPECT_EQ(*found->handle, file);
  EXPECT_TRUE(found->object && found->directory);
  RawClient::Call missing = c.Lookup(root_, "missing");
  EXPECT_EQ(missing->status, NFS3ERR_NOENT);
  EXPECT_TRUE(missing->directory.has_value());
  EXPECT_EQ(c.Access(file, ACCESS3_READ | ACCESS3_MODIFY)->count, static_cast<unsigned>(ACCESS3_READ | ACCESS3_MODIFY));

  RawClient::Call directory = c.MakeDirectory(root_, "made", Mode(0755));
  ASSERT_EQ(directory->status, NFS3_OK);
  ExpectRootChanged(*directory.operator->());
  EXPECT_EQ(last_.nlink, 4U);
  RawClient::Call symlink = c.MakeSymlink(root_, "sym", "somewhere");
  ASSERT_EQ(symlink->status, NFS3_OK);
  ExpectRootChanged(*symlink.operator->());
  EXPECT_EQ(symlink->object->type, NF3LNK);
  RawClient::Call target = c.ReadLink(*symlink->handle);
  EXPECT_EQ(target->data, "somewhere");
  EXPECT_TRUE(target->object.has_value());
  RawClient::Call linked = c.Link(file, root_, "second");
  ASSERT_EQ(linked->status, NFS3_OK);
  ExpectRootChanged(*linked.operator->());
  EXPECT_EQ(linked->object->nlink, 2U);
  RawClient::Call renamed = c.Rename(root_, "second", root_, "third");
  ASSERT_EQ(renamed->status, NFS3_OK);
  ExpectRootChanged(*renamed.operator->());
  RawClient::Call removed = c.Remove(root_, "third");
  ASSERT_EQ(removed->status, NFS3_OK);
  ExpectRootChanged(*removed.operator->());
  RawClient::Call gone = c.RemoveDirectory(root_, "made");
  ASSERT_EQ(gone->status, NFS3_OK);
  ExpectRootChanged(*gone.operator->());
  RawClient::Call refused = c.RemoveDirectory(root_, "made");
  EXPECT_EQ(refused->status, NFS3ERR_NOENT);
  EXPECT_TRUE(refused->directory.has_value()) << "also a refusal tells the directory's attributes";
}

TEST_F(Procedures, MknodMakesFifosSocketsAndDevices_Rule5_6) {
  RawClient& c = *client_;
  struct {
    const char* name;
    ftype3 type;
    specdata3 device;
  } nodes[] = {
      {"fifo", NF3FIFO, {}}, {"socket", NF3SOCK, {}}, {"char", NF3CHR, {5, 1}}, {"block", NF3BLK, {259, 70000}}};
  for (const auto& node : nodes) {
    RawClient::Call made = c.MakeNode(root_, node.name, node.type, node.device, Mode(0620));
    ASSERT_EQ(made->status, NFS3_OK) << node.name;
    EXPECT_EQ(made->object->type, node.type);
    EXPECT_EQ(made->object->mode, 0620U);
    EXPECT_EQ(c.MakeNode(root_, node.name, node.type, node.device)->status, NFS3ERR_EXIST);
    EXPECT_EQ(c.SetAttr(*made->handle, Size(1))->status, NFS3ERR_INVAL) << "rule 4.5";
  }
  Restart();
  for (const auto& node : nodes) {
    RawClient::Call found = client_->Lookup(root_, node.name);
    ASSERT_EQ(found->status, NFS3_OK) << node.name;
    EXPECT_EQ(found->object->type, node.type);
    EXPECT_EQ(found->object->rdev.specdata1, node.device.specdata1);
    EXPECT_EQ(found->object->rdev.specdata2, node.device.specdata2);
  }
  client_->Become({1000, 1000, {}});
  ASSERT_NE(client_->MakeNode(root_, "forbidden", NF3BLK, {8, 0})->status, NFS3_OK) << "a device is made by root alone";
}

TEST_F(Procedures, CreateExclusiveWithItsVerifierSucceedsAgainAlsoAfterARestart_Rule5_5) {
  RawClient::Call made = client_->CreateExclusive(root_, "once", "verify!1");
  ASSERT_EQ(made->status, NFS3_OK);
  const Handle handle = *made->handle;
  RawClient::Call again = client_->CreateExclusive(root_, "once", "verify!1");
  ASSERT_EQ(again->status, NFS3_OK);
  EXPECT_EQ(*again->handle, handle);
  EXPECT_EQ(client_->CreateExclusive(root_, "once", "verify!2")->status, NFS3ERR_EXIST);
  Restart();
  again = client_->CreateExclusive(root_, "once", "verify!1");
  ASSERT_EQ(again->status, NFS3_OK);
  EXPECT_EQ(*again->handle, handle);
  EXPECT_EQ(client_->CreateExclusive(root_, "once", "verify!2")->status, NFS3ERR_EXIST);
  EXPECT_EQ(client_->CreateExclusive(client_->Walk("dir"), "file", "verify!1")->status, NFS3ERR_EXIST)
      << "a file of the folder beneath was never made with it";
}

TEST_F(Procedures, CreateUncheckedTruncatesOnlyWhenAskedAndGuardedNever_Rule5_5) {
  const Handle directory = client_->Walk("dir");
  EXPECT_EQ(client_->Create(directory, "file", GUARDED, Size(0))->status, NFS3ERR_EXIST);
  RawClient::Call kept = client_->Create(directory, "file", UNCHECKED, Mode(0600));
  ASSERT_EQ(kept->status, NFS3_OK);
  EXPECT_EQ(kept->object->size, 10U);
  RawClient::Call emptied = client_->Create(directory, "file", UNCHECKED, Size(0));
  ASSERT_EQ(emptied->status, NFS3_OK);
  EXPECT_EQ(emptied->object->size, 0U);
  EXPECT_EQ(*emptied->handle, *kept->handle);
  EXPECT_NE(client_->Create(root_, "dir", UNCHECKED)->status, NFS3_OK) << "no directory is opened as a file";
}

TEST_F(Procedures, SetattrIsGuardedByCtime_Rule4_3) {
  const Handle file = client_->Walk("dir/file");
  const fattr3 attributes = *client_->GetAttr(file)->object;
  nfstime3 other = attributes.ctime;
  other.nseconds ^= 1;
  EXPECT_EQ(client_->SetAttr(file, Size(0), other)->status, NFS3ERR_NOT_SYNC);
  EXPECT_EQ(client_->GetAttr(file)->object->size, 10U) << "nothing was changed";
  ASSERT_EQ(client_->SetAttr(file, Size(3), attributes.ctime)->status, NFS3_OK);
  EXPECT_EQ(client_->SetAttr(file, Size(4), attributes.ctime)->status, NFS3ERR_NOT_SYNC) << "ctime has moved on";
  EXPECT_EQ(client_->Read(file, 0, 100)->data, "012");
}

TEST_F(Procedures, TimesAreSetToTheServersOrTheClients_Rule4_3) {
  const Handle file = client_->Walk("dir/file");
  sattr3 set{};
  set.atime.set_it = SET_TO_CLIENT_TIME;
  set.atime.set_atime_u.atime = {4'000'000'000U, 7};
  set.mtime.set_it = SET_TO_SERVER_TIME;
  const fattr3 before = *client_->GetAttr(file)->object;
  ASSERT_EQ(client_->SetAttr(file, set)->status, NFS3_OK);
  const fattr3 after = *client_->GetAttr(file)->object;
  EXPECT_TRUE(Same(after.atime, {4'000'000'000U, 7})) << "seconds are unsigned: past 2038";
  EXPECT_TRUE(After(after.mtime, before.mtime));
  EXPECT_TRUE(After(after.ctime, before.ctime));
}

TEST_F(Procedures, SetattrOfSizeIsRefusedWhereThereIsNone_Rule4_5) {
  EXPECT_EQ(client_->SetAttr(client_->Walk("dir"), Size(0))->status, NFS3ERR_ISDIR);
  EXPECT_EQ(client_->SetAttr(client_->Walk("link"), Size(0))->status, NFS3ERR_INVAL);
  EXPECT_EQ(client_->ReadLink(client_->Walk("dir/file"))->status, NFS3ERR_INVAL);
  EXPECT_NE(client_->Read(client_->Walk("dir"), 0, 10)->status, NFS3_OK);
  EXPECT_NE(client_->Write(client_->Walk("link"), 0, "x")->status, NFS3_OK);
}

TEST_F(Procedures, TheWriteVerifierIsTheSameForOneLifeAndDifferentAfterARestart_Rule6_3) {
  const Handle file = client_->Walk("dir/file");
  RawClient::Call first = client_->Write(file, 0, "a", UNSTABLE);
  ASSERT_EQ(first->status, NFS3_OK);
  const std::string verifier = first->verifier;
  ASSERT_EQ(verifier.size(), 8U);
  EXPECT_EQ(client_->Write(file, 0, "b", FILE_SYNC)->verifier, verifier);
  EXPECT_EQ(client_->Commit(file)->verifier, verifier);
  EXPECT_EQ(client_->Commit(*client_->Create(root_, "other")->handle)->verifier, verifier);
  RawClient second(service_.port());
  EXPECT_EQ(second.Commit(file)->verifier, verifier) << "on another connection too";
  Restart();
  RawClient::Call later = client_->Commit(file);
  ASSERT_EQ(later->status, NFS3_OK);
  EXPECT_NE(later->verifier, verifier);
}

TEST_F(Procedures, WritesAreAtLeastAsStableAsAskedFor_Rule6_2) {
  const Handle file = client_->Walk("dir/file");
  for (const stable_how asked : {UNSTABLE, DATA_SYNC, FILE_SYNC}) {
    RawClient::Call call = client_->Write(file, 0, "x", asked);
    ASSERT_EQ(call->status, NFS3_OK);
    EXPECT_GE(call->committed, asked);
  }
}

TEST_F(Procedures, FsinfoFsstatAndPathconfTellTheTruth_Rule6_4) {
  const FSINFO3resok info = client_->FsInfo(root_)->fsinfo;
  EXPECT_EQ(info.rtmax, 1U << 20);
  EXPECT_EQ(info.wtmax, 1U << 20);
  EXPECT_EQ(info.rtpref, 1U << 20);
  EXPECT_EQ(info.wtpref, 1U << 20);
  EXPECT_GE(info.dtpref, 64U << 10);
  EXPECT_EQ(info.maxfilesize, 0x7fff'ffff'ffff'ffffULL);
  EXPECT_EQ(info.time_delta.seconds, 0U);
  EXPECT_EQ(info.time_delta.nseconds, 1U);
  EXPECT_EQ(info.properties, 0x1bU) << "LINK | SYMLINK | HOMOGENEOUS | CANSETTIME";
  RawClient::Call stat = client_->FsStat(root_);
  ASSERT_EQ(stat->status, NFS3_OK);
  for (const std::uint64_t total : {stat->fsstat.tbytes, stat->fsstat.fbytes, stat->fsstat.abytes, stat->fsstat.tfiles,
                                    stat->fsstat.ffiles, stat->fsstat.afiles}) {
    EXPECT_GT(total, 0U);
  }
  const PATHCONF3resok conf = client_->PathConf(root_)->pathconf;
  EXPECT_GT(conf.linkmax, 1U);
  EXPECT_EQ(conf.name_max, 255U);
  EXPECT_TRUE(conf.no_trunc && conf.chown_restricted && conf.case_preserving);
  EXPECT_FALSE(conf.case_insensitive);
  // What FSINFO promises is taken: one call of wtmax, one of rtmax.
  const std::string content = RandomBytes(1, info.wtmax);
  RawClient::Call made = client_->Create(root_, "big");
  ASSERT_EQ(client_->Write(*made->handle, 0, content)->count, info.wtmax);
  RawClient::Call read = client_->Read(*made->handle, 0, info.rtmax);
  EXPECT_TRUE(read->data == content);
  EXPECT_TRUE(read->eof);
}

TEST_F(Procedures, MountGivesSubDirectoriesAndRefusesOthersByName_Rules2_1And2_2) {
  Handle handle;
  EXPECT_EQ(RawClient::Mount(service_.port(), "/dir", &handle), MNT3_OK);
  EXPECT_EQ(handle, client_->Walk("dir"));
  EXPECT_EQ(RawClient::Mount(service_.port(), "/missing", nullptr), MNT3ERR_NOENT);
  EXPECT_EQ(RawClient::Mount(service_.port(), "/dir/file", nullptr), MNT3ERR_NOTDIR);
  EXPECT_EQ(RawClient::Mount(service_.port(), "/" + std::string(256, 'n'), nullptr), MNT3ERR_NAMETOOLONG);
}

TEST_F(Procedures, WrongProgramsVersionsAndProceduresAreAnsweredWithWhatThereIs_Rule1_2) {
  Wire wire(service_.port());
  ASSERT_TRUE(wire.connected());
  for (const std::uint32_t version : {2U, 4U}) {
    const WireReply mismatch = wire.Call(NFS_PROGRAM, version, 0);
    ASSERT_TRUE(mismatch.came);
    EXPECT_EQ(mismatch.denied, 0U);
    EXPECT_EQ(mismatch.accepted, 2U) << "PROG_MISMATCH";
    EXPECT_EQ(mismatch.Word(0), 3U);
    EXPECT_EQ(mismatch.Word(1), 3U);
  }
  for (const std::uint32_t program : {100227U /* NFSACL, rule 2.0 */, 400000U}) {
    EXPECT_EQ(wire.Call(program, 3, 0).accepted, 1U) << "PROG_UNAVAIL";
  }
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, 22).accepted, 3U) << "PROC_UNAVAIL";
  EXPECT_EQ(wire.Call(MOUNT_PROGRAM, 3, 6).accepted, 3U);
  const WireReply version = wire.Call(NFS_PROGRAM, 3, 0, {}, 3);
  ASSERT_TRUE(version.came);
  EXPECT_EQ(version.denied, 1U);
  EXPECT_EQ(version.accepted, 0U) << "RPC_MISMATCH";
  EXPECT_EQ(version.Word(0), 2U);
  EXPECT_EQ(version.Word(1), 2U);
  EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, 0).accepted, 0U) << "the connection goes on";
}

}  // namespace
}  // namespace strata::e2e
