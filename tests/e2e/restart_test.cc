// The server and its workspace are ended and started again on the same port: a client that stayed goes on without
// noticing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/e2e/service.h"
#include "tests/e2e/sync_client.h"

namespace strata::e2e {
namespace {

class Restart : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(service_.lower() + "/a/b/c");
    WriteHostFile(service_.lower() + "/a/b/c/lower", "of the folder");
    WriteHostFile(service_.lower() + "/a/copied", std::string(300'000, 'x'));
    WriteHostFile(service_.lower() + "/a/removed", "x");
    std::filesystem::create_hard_link(service_.lower() + "/a/b/c/lower", service_.lower() + "/hard");
    ASSERT_TRUE(service_.Start());
    Connect();
  }
  void Connect() {
    client_ = std::make_unique<RawClient>(service_.port());
    ASSERT_TRUE(client_->connected());
  }
  void Again() {
    service_.Stop();
    ASSERT_TRUE(service_.Start());
    Connect();
  }
  Service service_;
  std::unique_ptr<RawClient> client_;
};

TEST_F(Restart, HandlesGivenBeforeWorkAfterInAnyOrder_Rule3_1) {
  RawClient& c = *client_;
  const Handle root = c.root(), lower = c.Walk("a/b/c/lower"), deep = c.Walk("a/b/c"), copied = c.Walk("a/copied");
  const Handle removed = c.Walk("a/removed"), hard = c.Walk("hard");
  EXPECT_EQ(hard, lower) << "two names of one file";
  ASSERT_EQ(c.Write(copied, 150'000, "copied up")->status, NFS3_OK);
  const Handle made = *c.Create(deep, "made")->handle, directory = *c.MakeDirectory(deep, "dir")->handle;
  ASSERT_EQ(c.Write(made, 0, "made before")->status, NFS3_OK);
  const Handle inside = *c.Create(directory, "inside")->handle;
  ASSERT_EQ(c.Rename(root, "a", root, "renamed")->status, NFS3_OK);
  ASSERT_EQ(c.Remove(c.Walk("renamed"), "removed")->status, NFS3_OK);
  const std::uint64_t lower_number = c.GetAttr(lower)->object->fileid, made_number = c.GetAttr(made)->object->fileid;
  for (int life = 0; life < 3; ++life) {
    Again();
    RawClient& n = *client_;
    // Each of them first: the cache is cold, nothing leads there from above.
    EXPECT_EQ(n.Read(inside, 0, 10)->status, NFS3_OK);
    EXPECT_EQ(n.Read(lower, 0, 100)->data, "of the folder");
    EXPECT_EQ(n.GetAttr(lower)->object->fileid, lower_number);
    EXPECT_EQ(n.Read(made, 0, 100)->data, "made before");
    EXPECT_EQ(n.GetAttr(made)->object->fileid, made_number);
    EXPECT_EQ(n.Read(copied, 149'999, 11)->data, "xcopied upx");
    EXPECT_EQ(n.Lookup(deep, "..")->status, NFS3_OK);
    EXPECT_EQ(n.GetAttr(removed)->status, NFS3ERR_STALE) << "rule 3.2";
    EXPECT_EQ(n.root(), root);
    EXPECT_EQ(n.Walk("renamed/b/c/lower"), lower);
    EXPECT_EQ(n.Walk("renamed/b/c/dir/inside"), inside);
    ASSERT_EQ(n.Create(directory, "life-" + std::to_string(life))->status, NFS3_OK);
  }
  EXPECT_EQ(client_->List(directory, true, 4096).size(), 2U + 1 + 3);
}

TEST_F(Restart, EachHandleIsTheFirstThingAskedOfAColdServer_Rule3_1) {
  const Handle deep = client_->Walk("a/b/c"), lower = client_->Walk("a/b/c/lower");
  const Handle made = *client_->Create(deep, "made")->handle;
  Again();
  EXPECT_EQ(client_->Create(deep, "first")->status, NFS3_OK);
  Again();
  EXPECT_EQ(client_->Write(lower, 3, "the first change")->status, NFS3_OK);
  Again();
  EXPECT_EQ(client_->Link(made, client_->root(), "linked")->status, NFS3_OK);
  Again();
  EXPECT_EQ(client_->Rename(deep, "made", client_->root(), "moved")->status, NFS3_OK);
  Again();
  EXPECT_EQ(client_->Remove(client_->root(), "moved")->status, NFS3_OK);
  Again();
  RawClient::Call left = client_->GetAttr(made);
  ASSERT_EQ(left->status, NFS3_OK) << "its other name stayed";
  EXPECT_EQ(left->object->nlink, 1U);
  EXPECT_EQ(client_->Read(lower, 0, 100)->data, "of the first change");
}

TEST_F(Restart, ARemovedObjectStaysStaleWhenItsNumberComesAgain_Rule3_2) {
  const Handle removed = *client_->Create(client_->root(), "x")->handle;
  ASSERT_EQ(client_->Remove(client_->root(), "x")->status, NFS3_OK);
  Again();
  for (int i = 0; i < 20; ++i) {
    RawClient::Call made = client_->Create(client_->root(), "y" + std::to_string(i));
    ASSERT_EQ(made->status, NFS3_OK);
    EXPECT_NE(*made->handle, removed);
  }
  EXPECT_EQ(client_->GetAttr(removed)->status, NFS3ERR_STALE);
  EXPECT_EQ(client_->Remove(client_->root(), "y0")->status, NFS3_OK);
  Again();
  EXPECT_EQ(client_->GetAttr(removed)->status, NFS3ERR_STALE);
}

TEST_F(Restart, AttributesOwnersTimesAndLinksAreAsTheyWere) {
  RawClient& c = *client_;
  const Handle lower = c.Walk("a/b/c/lower");
  ASSERT_EQ(c.SetAttr(lower, Mode(04711))->status, NFS3_OK);
  sattr3 set{};
  set.uid = {1, {12}};
  set.gid = {1, {34}};
  set.mtime.set_it = SET_TO_CLIENT_TIME;
  set.mtime.set_mtime_u.mtime = {123, 456};
  ASSERT_EQ(c.SetAttr(lower, set)->status, NFS3_OK);
  const fattr3 before = *c.GetAttr(lower)->object, root = *c.GetAttr(c.root())->object;
  Again();
  const fattr3 after = *client_->GetAttr(lower)->object, root_after = *client_->GetAttr(client_->root())->object;
  EXPECT_EQ(after.mode, before.mode);
  EXPECT_EQ(after.uid, 12U);
  EXPECT_EQ(after.gid, 34U);
  EXPECT_EQ(after.nlink, 2U);
  EXPECT_EQ(after.mtime.seconds, 123U);
  EXPECT_EQ(after.mtime.nseconds, 456U);
  EXPECT_EQ(after.ctime.seconds, before.ctime.seconds);
  EXPECT_EQ(after.ctime.nseconds, before.ctime.nseconds);
  EXPECT_EQ(after.fsid, before.fsid);
  EXPECT_EQ(root_after.mtime.nseconds, root.mtime.nseconds) << "a restart changes nothing by itself";
  EXPECT_EQ(root_after.ctime.nseconds, root.ctime.nseconds);
}

TEST_F(Restart, AMountedClientGoesOnWithItsOpenFile_Rule3_1) {
  SyncClient mounted(service_.port());
  ASSERT_TRUE(mounted.mounted());
  nfsfh* file = nullptr;
  ASSERT_EQ(nfs_creat(mounted, "/open", 0644, &file), 0);
  ASSERT_EQ(nfs_write(mounted, file, 6, "before"), 6);
  client_.reset();
  service_.Stop();
  ASSERT_TRUE(service_.Start());
  ASSERT_EQ(nfs_write(mounted, file, 6, " after"), 6) << mounted.error();
  ASSERT_EQ(nfs_close(mounted, file), 0);
  std::string content;
  ASSERT_EQ(mounted.ReadFile("/open", &content), 0);
  EXPECT_EQ(content, "before after");
}

}  // namespace
}  // namespace strata::e2e
