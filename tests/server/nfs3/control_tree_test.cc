// The control tree as clients meet it: LOOKUP, GETATTR, READ, READDIRPLUS, the handles, and who may read.
#include <string>
#include <vector>

#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

constexpr std::uint64_t kOurs = std::uint64_t{1} << 63;

class Nfs3ControlTreeTest : public ::testing::Test {
 protected:
  Nfs3ControlTreeTest() {
    volume_.xattrs[file_.ino.value] = {{"user.note", "hello"}, {"user.z", "last"}};
    volume_.xattrs[directory_.ino.value] = {{"user.note", "of the directory"}};
  }
  static std::vector<Harness::ExportRules> Exported(bool control_tree) {
    std::vector<Harness::ExportRules> rules(1);
    rules[0].volume = std::make_shared<FakeFileSystem>();
    rules[0].control_tree = control_tree;
    return rules;
  }

  struct Found {
    nfsstat3 status = NFS3_OK;
    Bytes handle{};
    std::uint64_t fileid = 0;
    std::uint32_t mode = 0;
    std::uint64_t size = 0;
    ftype3 type = NF3REG;
  };
  Found Lookup(Harness& harness, const Bytes& directory, const std::string& name) {
    const Decoded<LOOKUP3res> result(zdr_LOOKUP3res, harness.Nfs(3, Calls::Lookup(directory, name)).bytes);
    Found found{.status = result->status};
    if (result->status != NFS3_OK) return found;
    const LOOKUP3resok& ok = result->LOOKUP3res_u.resok;
    const fattr3& attributes = ok.obj_attributes.post_op_attr_u.attributes;
    EXPECT_TRUE(ok.obj_attributes.attributes_follow);
    EXPECT_TRUE(ok.dir_attributes.attributes_follow);
    found.handle = Bytes(ok.object.data.data_val, ok.object.data.data_val + ok.object.data.data_len);
    found.fileid = attributes.fileid;
    found.mode = attributes.mode;
    found.size = attributes.size;
    found.type = attributes.type;
    return found;
  }
  Found Walk(Harness& harness, const std::vector<std::string>& names) {
    Found found{.handle = harness.Handle(volume_.Root())};
    for (const std::string& name : names) found = Lookup(harness, found.handle, name);
    return found;
  }
  // What READ gives, "status N" where it gives nothing.
  std::string Read(Harness& harness, const Bytes& handle) {
    const Decoded<READ3res> result(zdr_READ3res, harness.Nfs(6, Calls::Read(handle, 0, 4096)).bytes);
    if (result->status != NFS3_OK) return "status " + std::to_string(result->status);
    const READ3resok& ok = result->READ3res_u.resok;
    EXPECT_TRUE(ok.eof);
    EXPECT_EQ(ok.count, ok.data.data_len);
    return {ok.data.data_val, ok.data.data_len};
  }

  Harness harness_{Exported(true)};
  FakeFileSystem& volume_ = harness_.volume();
  const vfs::ObjectId root_ = volume_.Root();
  const vfs::ObjectId directory_ = volume_.Make(root_, "d", FileType::kDirectory);
  const vfs::ObjectId file_ = volume_.Make(directory_, "file", FileType::kRegular, "content");
};

TEST_F(Nfs3ControlTreeTest, LookupLeadsToAValueAndReadGivesIt) {
  const Found value = Walk(harness_, {".strata", "xattr", "user.note", "d", "file"});
  ASSERT_EQ(value.status, NFS3_OK);
  EXPECT_EQ(value.type, NF3REG);
  EXPECT_EQ(value.mode, 0440U);
  EXPECT_EQ(value.size, 5U);
  EXPECT_EQ(Read(harness_, value.handle), "hello");
  const Found names = Walk(harness_, {".strata", "xattr-names", "d", "file"});
  EXPECT_EQ(Read(harness_, names.handle), "user.note\nuser.z\n");
  const Found self = Walk(harness_, {".strata", "xattr", "user.note", "d", ".self"});
  EXPECT_EQ(Read(harness_, self.handle), "of the directory");
  EXPECT_EQ(Walk(harness_, {".strata", "xattr", "user.z", "d", ".self"}).status, NFS3ERR_NOENT);
}

TEST_F(Nfs3ControlTreeTest, GetAttrTellsWhatLookupTold) {
  const Found value = Walk(harness_, {".strata", "xattr", "user.note", "d", "file"});
  const Decoded<GETATTR3res> result(zdr_GETATTR3res, harness_.Nfs(1, Calls::GetAttr(value.handle)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  const fattr3& attributes = result->GETATTR3res_u.resok.obj_attributes;
  EXPECT_EQ(attributes.fileid, value.fileid);
  EXPECT_GE(attributes.fileid, kOurs);
  EXPECT_EQ(attributes.size, 5U);
  EXPECT_EQ(attributes.nlink, 1U);
  ExpectTime(attributes.mtime, volume_.AttributesOf(file_).ctime);
}

TEST_F(Nfs3ControlTreeTest, AListingGivesTheFileidsOfTheAttributes) {
  const Found top = Walk(harness_, {".strata"});
  const Decoded<READDIRPLUS3res> result(zdr_READDIRPLUS3res,
                                        harness_.Nfs(17, Calls::ReadDirPlus(top.handle, 0, 65536, 65536)).bytes);
  ASSERT_EQ(result->status, NFS3_OK);
  std::vector<std::string> names;
  for (const entryplus3* entry = result->READDIRPLUS3res_u.resok.reply.entries; entry; entry = entry->nextentry) {
    names.push_back(entry->name);
    // Linux takes an entry of two numbers for a place where something else is mounted.
    ASSERT_TRUE(entry->name_attributes.attributes_follow);
    EXPECT_EQ(entry->fileid, entry->name_attributes.post_op_attr_u.attributes.fileid) << entry->name;
    const Found found = Lookup(harness_, top.handle, entry->name);
    ASSERT_TRUE(entry->name_handle.handle_follows);
    ExpectHandle(entry->name_handle.post_op_fh3_u.handle, found.handle);
  }
  EXPECT_EQ(names, (std::vector<std::string>{".", "..", "xattr", "xattr-names"}));
  EXPECT_TRUE(result->READDIRPLUS3res_u.resok.reply.eof);

  const Decoded<READDIRPLUS3res> root(
      zdr_READDIRPLUS3res, harness_.Nfs(17, Calls::ReadDirPlus(harness_.Handle(root_), 0, 65536, 65536)).bytes);
  ASSERT_EQ(root->status, NFS3_OK);
  for (const entryplus3* entry = root->READDIRPLUS3res_u.resok.reply.entries; entry; entry = entry->nextentry) {
    EXPECT_STRNE(entry->name, ".strata");
  }
}

TEST_F(Nfs3ControlTreeTest, HandlesAreGoodAtAServerThatIsStartedAnew) {
  const Found value = Walk(harness_, {".strata", "xattr", "user.note", "d", "file"});
  const Found place = Walk(harness_, {".strata", "xattr", "user.note", "d"});
  std::vector<Harness::ExportRules> rules = Exported(true);
  rules[0].volume = std::make_shared<FakeFileSystem>(volume_);
  Harness anew(rules);
  EXPECT_EQ(Read(anew, value.handle), "hello");
  EXPECT_EQ(Lookup(anew, place.handle, "file").handle, value.handle);
  Harness another(Exported(true));
  EXPECT_EQ(Read(another, value.handle), "status 70") << "the file is not there";
  Harness without(Exported(false));
  EXPECT_EQ(Read(without, value.handle), "status 70");
}

TEST_F(Nfs3ControlTreeTest, WhoMayNotReadTheFileMayNotReadItsAttributes) {
  const Found value = Walk(harness_, {".strata", "xattr", "user.note", "d", "file"});
  harness_.credentials.uid = 4711;
  harness_.credentials.gid = 4711;
  EXPECT_EQ(Read(harness_, value.handle), "status 13");
  const Decoded<ACCESS3res> refused(zdr_ACCESS3res, harness_.Nfs(4, Calls::Access(value.handle, 0x3f)).bytes);
  ASSERT_EQ(refused->status, NFS3_OK);
  EXPECT_EQ(refused->ACCESS3res_u.resok.access, 0U);
  harness_.credentials.gid = 1002;
  EXPECT_EQ(Read(harness_, value.handle), "hello");
  const Decoded<ACCESS3res> granted(zdr_ACCESS3res, harness_.Nfs(4, Calls::Access(value.handle, 0x3f)).bytes);
  EXPECT_EQ(granted->ACCESS3res_u.resok.access, 1U);
}

TEST_F(Nfs3ControlTreeTest, AChangeIsRefusedAsOnAReadOnlyFileSystem) {
  const Found value = Walk(harness_, {".strata", "xattr", "user.note", "d", "file"});
  const Found place = Walk(harness_, {".strata", "xattr", "user.note", "d"});
  const Bytes root = harness_.Handle(root_);
  constexpr std::uint32_t kReadOnly = 30;
  EXPECT_EQ(harness_.Nfs(7, Calls::Write(value.handle, 0, "x", UNSTABLE)).status(), kReadOnly);
  EXPECT_EQ(harness_.Nfs(8, Calls::Create(place.handle, "new", UNCHECKED)).status(), kReadOnly);
  EXPECT_EQ(harness_.Nfs(12, Calls::Remove(place.handle, "file")).status(), kReadOnly);
  EXPECT_EQ(harness_.Nfs(13, Calls::Rmdir(root, ".strata")).status(), kReadOnly);
  EXPECT_EQ(harness_.Nfs(14, Calls::Rename(root, "d", place.handle, "x")).status(), kReadOnly);
  EXPECT_EQ(harness_.Nfs(15, Calls::Link(value.handle, root, "x")).status(), kReadOnly);
}

TEST_F(Nfs3ControlTreeTest, AStrataOfTheVolumesOwnComesAndGoes) {
  const Found ours = Walk(harness_, {".strata"});
  const Bytes root = harness_.Handle(root_);
  EXPECT_GE(ours.fileid, kOurs);
  ASSERT_EQ(harness_.Nfs(9, Calls::Mkdir(root, ".strata")).status(), 0U);
  const Found own = Walk(harness_, {".strata"});
  EXPECT_LT(own.fileid, kOurs);
  EXPECT_EQ(Walk(harness_, {".strata", "xattr"}).status, NFS3ERR_NOENT);
  EXPECT_EQ(Lookup(harness_, ours.handle, "xattr").status, NFS3_OK);
  ASSERT_EQ(harness_.Nfs(13, Calls::Rmdir(root, ".strata")).status(), 0U);
  EXPECT_EQ(Walk(harness_, {".strata"}).handle, ours.handle);
}

TEST_F(Nfs3ControlTreeTest, AValueThatHasToBeReadFromADiskIsReadByAWorker) {
  const Found value = Walk(harness_, {".strata", "xattr", "user.note", "d", "file"});
  volume_.must_wait = true;
  EXPECT_TRUE(harness_.Nfs(6, Calls::Read(value.handle, 0, 10)).would_block);
  EXPECT_TRUE(harness_.Nfs(1, Calls::GetAttr(value.handle)).would_block);
  harness_.may_block = true;
  EXPECT_EQ(Read(harness_, value.handle), "hello");
}

}  // namespace
}  // namespace strata::testing
