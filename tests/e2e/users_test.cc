// Several users and groups, each over AUTH_SYS: what is granted and what is refused.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "tests/e2e/service.h"
#include "tests/e2e/sync_client.h"

namespace strata::e2e {
namespace {

constexpr std::uint32_t kAnn = 1001, kBob = 1002, kStaff = 2000, kWheel = 2001;

class Users : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "files of several owners can be laid beneath only by root";
    lower_ = service_.lower();
    ::chmod(lower_.c_str(), 0777);
    Make("ann-private", kAnn, kAnn, 0600);
    Make("staff-only", kAnn, kStaff, 0660);
    Make("all-read", kAnn, kAnn, 0644);
    ASSERT_TRUE(service_.Start());
    for (SyncClient* client : {&ann(), &bob(), &member()}) ASSERT_TRUE(client->mounted()) << client->error();
  }
  void Make(const std::string& name, uid_t uid, gid_t gid, mode_t mode) {
    const std::string path = lower_ + "/" + name;
    WriteHostFile(path, name);
    ASSERT_EQ(::chown(path.c_str(), uid, gid), 0);
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }
  SyncClient& As(std::unique_ptr<SyncClient>& client, const User& user) {
    if (!client) client = std::make_unique<SyncClient>(service_.port(), user);
    return *client;
  }
  SyncClient& ann() { return As(ann_, {kAnn, kAnn, {}}); }
  SyncClient& bob() { return As(bob_, {kBob, kBob, {}}); }
  // Bob again, with supplementary groups.
  SyncClient& member() { return As(member_, {kBob, kBob, {7, 8, 9, kStaff}}); }

  Service service_;
  std::string lower_, content_;
  std::unique_ptr<SyncClient> ann_, bob_, member_;
};

TEST_F(Users, AFileOfAnotherIsReadAndWrittenAsItsModeSays) {
  EXPECT_EQ(ann().ReadFile("/ann-private", &content_), 0);
  EXPECT_EQ(content_, "ann-private");
  EXPECT_EQ(bob().ReadFile("/ann-private", &content_), -EACCES);
  EXPECT_EQ(bob().ReadFile("/all-read", &content_), 0);
  EXPECT_EQ(bob().WriteFile("/all-read", "x"), -EACCES);
  EXPECT_EQ(ann().WriteFile("/all-read", "mine"), 0);
  EXPECT_EQ(bob().ReadFile("/all-read", &content_), 0);
  EXPECT_EQ(content_, "mine");
}

TEST_F(Users, ASupplementaryGroupGrantsWhatTheGroupBitsSay_Rule4_6) {
  EXPECT_EQ(bob().ReadFile("/staff-only", &content_), -EACCES);
  EXPECT_EQ(member().ReadFile("/staff-only", &content_), 0);
  EXPECT_EQ(member().WriteFile("/staff-only", "by a member"), 0);
  EXPECT_EQ(ann().ReadFile("/staff-only", &content_), 0);
  EXPECT_EQ(content_, "by a member");
  RawClient raw(service_.port(), {kBob, kBob, {7, 8, 9, kStaff}});
  const Handle file = raw.Walk("staff-only");
  EXPECT_EQ(raw.Access(file, ACCESS3_READ | ACCESS3_MODIFY | ACCESS3_EXTEND | ACCESS3_EXECUTE)->count,
            static_cast<unsigned>(ACCESS3_READ | ACCESS3_MODIFY | ACCESS3_EXTEND));
  raw.Become({kBob, kBob, {}});
  EXPECT_EQ(raw.Access(file, ACCESS3_READ | ACCESS3_MODIFY)->count, 0U);
}

TEST_F(Users, TheSixteenthSupplementaryGroupStillCounts_Rule1_3) {
  std::vector<std::uint32_t> groups;
  for (std::uint32_t i = 0; i < 15; ++i) groups.push_back(100 + i);
  groups.push_back(kStaff);
  RawClient raw(service_.port(), {kBob, kBob, groups});
  EXPECT_EQ(raw.Read(raw.Walk("staff-only"), 0, 100)->status, NFS3_OK);
  groups.push_back(1);
  raw.Become({kBob, kBob, groups});
  RawClient::Call refused = raw.GetAttr(raw.root());
  EXPECT_FALSE(refused->answered) << "seventeen are AUTH_BADCRED";
}

TEST_F(Users, OnlyTheOwnerChangesModesAndNobodyGivesFilesAway_Rule4_5) {
  EXPECT_EQ(nfs_chmod(bob(), "/all-read", 0777), -EPERM);
  EXPECT_EQ(nfs_chmod(ann(), "/all-read", 0664), 0);
  EXPECT_EQ(nfs_chown(ann(), "/all-read", kBob, kAnn), -EPERM);
  EXPECT_EQ(nfs_chown(bob(), "/all-read", kBob, kBob), -EPERM);
  SyncClient root(service_.port());
  ASSERT_TRUE(root.mounted());
  EXPECT_EQ(nfs_chown(root, "/all-read", kBob, kBob), 0);
  EXPECT_EQ(bob().WriteFile("/all-read", "bob's now"), 0);
}

TEST_F(Users, WhatAUserMakesBelongsToThem) {
  ASSERT_EQ(bob().WriteFile("/made", "by bob"), 0);
  nfs_stat_64 st{};
  ASSERT_EQ(nfs_stat64(ann(), "/made", &st), 0);
  EXPECT_EQ(st.nfs_uid, kBob);
  EXPECT_EQ(st.nfs_gid, kBob);
}

TEST_F(Users, TheStickyBitGuardsRemoveAndRename_Rule4_5) {
  SyncClient root(service_.port());
  ASSERT_EQ(nfs_mkdir(root, "/tmp"), 0);
  ASSERT_EQ(nfs_chmod(root, "/tmp", 01777), 0);
  ASSERT_EQ(ann().WriteFile("/tmp/ann", "x"), 0);
  const int removed = nfs_unlink(bob(), "/tmp/ann");
  EXPECT_TRUE(removed == -EPERM || removed == -EACCES) << removed;
  const int renamed = nfs_rename(bob(), "/tmp/ann", "/tmp/bob");
  EXPECT_TRUE(renamed == -EPERM || renamed == -EACCES) << renamed;
  EXPECT_EQ(nfs_rename(ann(), "/tmp/ann", "/tmp/still"), 0);
  EXPECT_EQ(nfs_unlink(ann(), "/tmp/still"), 0);
}

TEST_F(Users, ASetgidDirectoryHandsItsGroupDown_Rule4_5) {
  SyncClient root(service_.port());
  ASSERT_EQ(nfs_mkdir(root, "/shared"), 0);
  ASSERT_EQ(nfs_chown(root, "/shared", 0, kStaff), 0);
  ASSERT_EQ(nfs_chmod(root, "/shared", 02777), 0);
  ASSERT_EQ(bob().WriteFile("/shared/file", "x"), 0);
  ASSERT_EQ(nfs_mkdir(bob(), "/shared/dir"), 0);
  nfs_stat_64 st{};
  ASSERT_EQ(nfs_stat64(bob(), "/shared/file", &st), 0);
  EXPECT_EQ(st.nfs_gid, kStaff);
  ASSERT_EQ(nfs_stat64(bob(), "/shared/dir", &st), 0);
  EXPECT_EQ(st.nfs_gid, kStaff);
  EXPECT_EQ(st.nfs_mode & S_ISGID, static_cast<unsigned>(S_ISGID));
}

TEST_F(Users, SetuidGoesWhenAnotherWrites_Rule4_5) {
  SyncClient root(service_.port());
  ASSERT_EQ(root.WriteFile("/tool", "program"), 0);
  ASSERT_EQ(nfs_chown(root, "/tool", kAnn, kWheel), 0);
  ASSERT_EQ(nfs_chmod(root, "/tool", 06777), 0);
  RawClient raw(service_.port(), {kBob, kBob, {}});
  const Handle tool = raw.Walk("tool");
  ASSERT_EQ(raw.Write(tool, 0, "PROGRAM")->status, NFS3_OK);
  EXPECT_EQ(raw.GetAttr(tool)->object->mode & 07777, 0777U);
}

TEST_F(Users, TheOwnerWritesOnThroughAnOpenFileAfterChmodZero_Rule4_6) {
  RawClient raw(service_.port(), {kAnn, kAnn, {}});
  RawClient::Call made = raw.Create(raw.root(), "object", GUARDED, Mode(0444));
  ASSERT_EQ(made->status, NFS3_OK);
  const Handle object = *made->handle;
  EXPECT_EQ(raw.Write(object, 0, "git writes its read-only objects after making them")->status, NFS3_OK);
  ASSERT_EQ(raw.SetAttr(object, Mode(0))->status, NFS3_OK);
  EXPECT_EQ(raw.Read(object, 0, 3)->data, "git");
  raw.Become({kBob, kBob, {}});
  EXPECT_EQ(raw.Read(object, 0, 3)->status, NFS3ERR_ACCES);
  EXPECT_EQ(raw.Write(object, 0, "x")->status, NFS3ERR_ACCES);
}

TEST_F(Users, SquashedRootIsNobody_Rule4_6) {
  service_.Stop();
  service_.options().squash_root = true;
  ASSERT_TRUE(service_.Start());
  RawClient raw(service_.port());
  const Handle file = raw.Walk("ann-private");
  EXPECT_EQ(raw.Read(file, 0, 10)->status, NFS3ERR_ACCES);
  EXPECT_EQ(raw.Access(file, ACCESS3_READ)->count, 0U);
  RawClient::Call made = raw.Create(raw.root(), "made");
  ASSERT_EQ(made->status, NFS3_OK);
  EXPECT_EQ(made->object->uid, 65534U);
}

}  // namespace
}  // namespace strata::e2e
