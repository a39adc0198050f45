// MOUNT v3, with libnfs's encoders and decoders.
#include <nfsc/libnfs-raw-mount.h>
#include <nfsc/libnfs-zdr.h>

#include "tests/server/nfs3/oracle.h"

namespace strata::testing {
namespace {

class Mount3Test : public ::testing::Test {
 protected:
  Mount3Test() {
    const vfs::ObjectId sub = volume_->Make(volume_->Root(), "sub", FileType::kDirectory);
    deep_ = volume_->Make(sub, "deep", FileType::kDirectory);
    volume_->Make(sub, "file", FileType::kRegular);
    volume_->Make(sub, "link", FileType::kSymlink, "deep");
  }
  Reply Call(std::uint32_t procedure, const Bytes& arguments) {
    harness_.may_block = true;
    return harness_.Call(Harness::kMount, 3, procedure, arguments);
  }
  static Bytes Path(std::string path) { return Encode(zdr_dirpath, dirpath{path.data()}); }
  std::uint32_t StatusOfMount(const std::string& path) {
    const Reply reply = Call(1, Path(path));
    EXPECT_EQ(reply.accept, kAccepted);
    const Decoded<mountres3> result(zdr_mountres3, reply.bytes);
    return result->fhs_status;
  }
  std::vector<std::string> Dumped() {
    const Decoded<mountlist> list(zdr_mountlist, Call(2, {}).bytes);
    std::vector<std::string> all;
    for (mountlist at = *list; at != nullptr; at = at->ml_next)
      all.push_back(std::string(at->ml_hostname) + ":" + at->ml_directory);
    return all;
  }

  std::shared_ptr<FakeFileSystem> volume_ = std::make_shared<FakeFileSystem>(5),
                                  other_ = std::make_shared<FakeFileSystem>(6);
  vfs::ObjectId deep_;
  Harness harness_{{{.path = "/export", .allow = {"10.0.0.0/8", "2001:db8::/32"}, .volume = volume_},
                    {.path = "/export/other", .volume = other_}}};
};

TEST_F(Mount3Test, Rule2_1_MntGivesTheRootsHandleAndTheFlavours) {
  const Decoded<mountres3> result(zdr_mountres3, Call(1, Path("/export")).bytes);
  ASSERT_EQ(result->fhs_status, MNT3_OK);
  const mountres3_ok& ok = result->mountres3_u.mountinfo;
  EXPECT_EQ(Bytes(ok.fhandle.fhandle3_val, ok.fhandle.fhandle3_val + ok.fhandle.fhandle3_len),
            harness_.Handle(volume_->Root()));
  ASSERT_EQ(ok.auth_flavors.auth_flavors_len, 2u);
  EXPECT_EQ(ok.auth_flavors.auth_flavors_val[0], 1);
  EXPECT_EQ(ok.auth_flavors.auth_flavors_val[1], 0);
}

TEST_F(Mount3Test, Rule2_1_MntOfASubDirectoryGivesItsHandle) {
  for (const char* path : {"/export/sub/deep", "//export//sub/./deep/", "/export/sub/../sub/deep"}) {
    const Decoded<mountres3> result(zdr_mountres3, Call(1, Path(path)).bytes);
    ASSERT_EQ(result->fhs_status, MNT3_OK) << path;
    const fhandle3& handle = result->mountres3_u.mountinfo.fhandle;
    EXPECT_EQ(Bytes(handle.fhandle3_val, handle.fhandle3_val + handle.fhandle3_len), harness_.Handle(deep_));
  }
  const Decoded<mountres3> result(zdr_mountres3, Call(1, Path("/export/other")).bytes);
  ASSERT_EQ(result->fhs_status, MNT3_OK);
  const fhandle3& handle = result->mountres3_u.mountinfo.fhandle;
  EXPECT_EQ(Bytes(handle.fhandle3_val, handle.fhandle3_val + handle.fhandle3_len),
            harness_.Handle(other_->Root(), other_.get()));
}

TEST_F(Mount3Test, MntWaitsForWhatIsElsewhereAndHoldsNoThread) {
  for (const bool at_the_root : {true, false}) {
    volume_->fetch = std::make_shared<Fetch>("thing");
    volume_->attributes_in_memory = !at_the_root;
    const Bytes path = Path(at_the_root ? "/export" : "/export/sub/deep");
    for (const bool may_block : {false, true}) {
      harness_.may_block = may_block;
      const Reply parked = harness_.Call(Harness::kMount, 3, 1, path);
      EXPECT_TRUE(parked.would_block);
      EXPECT_TRUE(parked.bytes.empty());
      EXPECT_EQ(harness_.fetch, volume_->fetch);
    }
    EXPECT_TRUE(Dumped().empty()) << "nothing is mounted yet";
    harness_.late = true;
    EXPECT_EQ(Decoded<mountres3>(zdr_mountres3, Call(1, path).bytes)->fhs_status, MNT3ERR_IO)
        << "the protocol has no word for later";
    harness_.late = false;
    volume_->fetch->Complete({});
    EXPECT_EQ(Decoded<mountres3>(zdr_mountres3, Call(1, path).bytes)->fhs_status, MNT3_OK);
    EXPECT_EQ(Dumped().size(), 1u);
    harness_.Call(Harness::kMount, 3, 4, {});
  }
}

TEST_F(Mount3Test, Rule2_2_WhatCannotBeMountedSaysWhy) {
  EXPECT_EQ(StatusOfMount("/export/none"), MNT3ERR_NOENT);
  EXPECT_EQ(StatusOfMount("/elsewhere"), MNT3ERR_NOENT);
  EXPECT_EQ(StatusOfMount("/"), MNT3ERR_NOENT);
  EXPECT_EQ(StatusOfMount(""), MNT3ERR_NOENT);
  EXPECT_EQ(StatusOfMount("export"), MNT3ERR_NOENT);
  EXPECT_EQ(StatusOfMount("/export/sub/file"), MNT3ERR_NOTDIR);
  EXPECT_EQ(StatusOfMount("/export/sub/file/x"), MNT3ERR_NOTDIR);
  EXPECT_EQ(StatusOfMount("/export/sub/link"), MNT3ERR_NOTDIR) << "symlinks are the client's to follow";
  EXPECT_EQ(StatusOfMount("/export/" + std::string(256, 'n')), MNT3ERR_NAMETOOLONG);
  EXPECT_EQ(StatusOfMount("/" + std::string(1024, 'n')), MNT3ERR_NAMETOOLONG);
  EXPECT_EQ(StatusOfMount("/" + std::string(60'000, 'n')), MNT3ERR_NAMETOOLONG);
  EXPECT_EQ(Call(1, {0, 0, 0, 8, '/', 'e', 'x', 'p', 'o', 'r', 't', 0}).Word(0), MNT3ERR_INVAL)
      << "a NUL does not end a path";
  EXPECT_TRUE(Dumped().empty());
}

TEST_F(Mount3Test, Rule2_2_APeerThatIsNotAllowedLearnsNothingOfTheTree) {
  harness_.from.address = "11.0.0.1";
  const int before = volume_->calls;
  EXPECT_EQ(StatusOfMount("/export"), MNT3ERR_ACCES);
  EXPECT_EQ(StatusOfMount("/export/none"), MNT3ERR_ACCES);
  harness_.from = {.port = 1024};
  EXPECT_EQ(StatusOfMount("/export"), MNT3ERR_ACCES);
  EXPECT_EQ(volume_->calls, before);
  harness_.from = {.address = "10.9.8.7"};
  EXPECT_EQ(StatusOfMount("/export"), MNT3_OK);
}

TEST_F(Mount3Test, DumpShowsWhatIsMountedUntilItIsUnmounted) {
  EXPECT_EQ(StatusOfMount("/export"), MNT3_OK);
  EXPECT_EQ(StatusOfMount("/export//sub/"), MNT3_OK);
  EXPECT_EQ(StatusOfMount("/export/sub"), MNT3_OK);
  harness_.from.address = "10.0.0.1";
  EXPECT_EQ(StatusOfMount("/export"), MNT3_OK);
  EXPECT_EQ(Dumped(), (std::vector<std::string>{"127.0.0.1:/export", "127.0.0.1:/export/sub", "10.0.0.1:/export"}));
  Call(3, Path("/export/sub"));
  Call(3, Path("/export/"));
  EXPECT_EQ(Dumped(), (std::vector<std::string>{"127.0.0.1:/export", "127.0.0.1:/export/sub"}))
      << "nobody unmounts for another";
  harness_.from.address = "127.0.0.1";
  const Reply reply = Call(4, {});
  EXPECT_EQ(reply.accept, kAccepted);
  EXPECT_TRUE(reply.bytes.empty());
  EXPECT_TRUE(Dumped().empty());
}

TEST_F(Mount3Test, DumpIsBounded) {
  for (int i = 0; i < 1100; ++i) {
    volume_->Make(volume_->Root(), "d" + std::to_string(i), FileType::kDirectory);
    ASSERT_EQ(StatusOfMount("/export/d" + std::to_string(i)), MNT3_OK);
  }
  const std::vector<std::string> all = Dumped();
  EXPECT_EQ(all.size(), 1024u);
  EXPECT_EQ(all.back(), "127.0.0.1:/export/d1099");
}

TEST_F(Mount3Test, ExportNamesThePathsAndWhoMayMountThem) {
  const Decoded<exports> list(zdr_exports, Call(5, {}).bytes);
  std::vector<std::string> all;
  for (exports at = *list; at != nullptr; at = at->ex_next) {
    std::string line = at->ex_dir;
    for (groups group = at->ex_groups; group != nullptr; group = group->gr_next)
      line += std::string(" ") + group->gr_name;
    all.push_back(line);
  }
  EXPECT_EQ(all, (std::vector<std::string>{"/export localhost 10.0.0.0/8 2001:db8::/32", "/export/other localhost"}));
}

TEST_F(Mount3Test, ArgumentsThatDoNotDecodeAreGarbage) {
  const Bytes path = Path("/export");
  for (const std::uint32_t procedure : {1u, 3u}) {
    for (std::size_t size = 0; size < path.size(); ++size) {
      EXPECT_EQ(Call(procedure, Bytes(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(size))).accept,
                kGarbageArgs);
    }
    Bytes longer = path;
    longer.resize(longer.size() + 4);
    EXPECT_EQ(Call(procedure, longer).accept, kGarbageArgs);
    EXPECT_EQ(Call(procedure, {'\xff', '\xff', '\xff', '\xff', 0, 0, 0, 0}).accept, kGarbageArgs)
        << "a length that is only claimed";
  }
  for (const std::uint32_t procedure : {0u, 2u, 4u, 5u}) {
    EXPECT_EQ(Call(procedure, {}).accept, kAccepted);
    EXPECT_EQ(Call(procedure, Bytes(4)).accept, kGarbageArgs);
  }
}

TEST_F(Mount3Test, MntGoesToTheWorkersAtOnce) {
  const auto rows = harness_.Procedures(Harness::kMount, 3);
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_TRUE(rows[1].always_blocks);
}

}  // namespace
}  // namespace strata::testing
