// What a program does through libnfs's synchronous API: the everyday calls, over a folder that must not change.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "tests/e2e/service.h"
#include "tests/e2e/sync_client.h"

namespace strata::e2e {
namespace {

using ::testing::ElementsAre;

class Sync : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(service_.lower() + "/docs/old");
    WriteHostFile(service_.lower() + "/docs/readme", "read me\n");
    WriteHostFile(service_.lower() + "/docs/old/notes", "notes\n");
    before_ = Fingerprint(service_.lower());
    ASSERT_TRUE(service_.Start());
    client_ = std::make_unique<SyncClient>(service_.port());
    ASSERT_TRUE(client_->mounted()) << client_->error();
  }
  void TearDown() override {
    client_.reset();
    service_.Stop();
    EXPECT_EQ(Fingerprint(service_.lower()), before_) << "the folder beneath changed (rule 6.5)";
  }
  nfs_stat_64 Stat(const char* path) {
    nfs_stat_64 st{};
    EXPECT_EQ(nfs_lstat64(*client_, path, &st), 0) << path << ": " << client_->error();
    return st;
  }
  std::string Content(const char* path) {
    std::string content;
    EXPECT_EQ(client_->ReadFile(path, &content), 0) << path << ": " << client_->error();
    return content;
  }

  Service service_;
  std::string before_;
  std::unique_ptr<SyncClient> client_;
};

TEST_F(Sync, FilesOfTheFolderAreReadAndChangedWhileTheFolderStaysAsItIs_Rule6_5) {
  EXPECT_EQ(Content("/docs/readme"), "read me\n");
  ASSERT_EQ(client_->WriteFile("/docs/readme", "written over NFS, and longer\n"), 0) << client_->error();
  EXPECT_EQ(Content("/docs/readme"), "written over NFS, and longer\n");
  EXPECT_EQ(Stat("/docs/readme").nfs_size, 29U);
  EXPECT_EQ(Content("/docs/old/notes"), "notes\n");
}

TEST_F(Sync, AFileIsMadeWrittenReadAtOffsetsAndAppended) {
  nfsfh* file = nullptr;
  ASSERT_EQ(nfs_creat(*client_, "/new", 0640, &file), 0) << client_->error();
  ASSERT_EQ(nfs_write(*client_, file, 10, "0123456789"), 10);
  ASSERT_EQ(nfs_pwrite(*client_, file, 3, 2, "abc"), 2);
  ASSERT_EQ(nfs_fsync(*client_, file), 0) << client_->error();
  ASSERT_EQ(nfs_close(*client_, file), 0);
  EXPECT_EQ(Content("/new"), "012ab56789");
  EXPECT_EQ(Stat("/new").nfs_mode & 07777, 0640U);
  ASSERT_EQ(nfs_open(*client_, "/new", O_RDWR, &file), 0);
  char part[4] = {};
  EXPECT_EQ(nfs_pread(*client_, file, 8, 4, part), 2) << "READ is short at the end of the file (rule 6.1)";
  EXPECT_STREQ(part, "89");
  EXPECT_EQ(nfs_pread(*client_, file, 100, 4, part), 0) << "and empty beyond it (rule 6.1)";
  ASSERT_EQ(nfs_close(*client_, file), 0);
  ASSERT_EQ(nfs_open(*client_, "/new", O_WRONLY | O_APPEND, &file), 0);
  ASSERT_EQ(nfs_write(*client_, file, 3, "END"), 3);
  ASSERT_EQ(nfs_close(*client_, file), 0);
  EXPECT_EQ(Content("/new"), "012ab56789END");
}

TEST_F(Sync, RenameReplacesAFileAndMovesADirectoryOfTheFolderWithAllInIt_Rule5_3) {
  ASSERT_EQ(client_->WriteFile("/a", "a"), 0);
  ASSERT_EQ(client_->WriteFile("/b", "b"), 0);
  ASSERT_EQ(nfs_rename(*client_, "/a", "/b"), 0) << client_->error();
  EXPECT_EQ(Content("/b"), "a");
  ASSERT_EQ(nfs_rename(*client_, "/docs", "/papers"), 0) << client_->error();
  EXPECT_EQ(Content("/papers/old/notes"), "notes\n");
  EXPECT_THAT(client_->Names("/"), ElementsAre("b", "papers"));
  EXPECT_EQ(nfs_rename(*client_, "/papers", "/papers/old/in"), -EINVAL);
  EXPECT_EQ(nfs_rename(*client_, "/b", "/papers"), -EISDIR);
  EXPECT_EQ(nfs_rename(*client_, "/papers", "/b"), -ENOTDIR);
  EXPECT_EQ(nfs_rename(*client_, "/nothing", "/c"), -ENOENT);
}

TEST_F(Sync, ALinkIsTheSameFileAndCountsInNlink_Rule3_3) {
  const nfs_stat_64 before = Stat("/docs/readme");
  ASSERT_EQ(nfs_link(*client_, "/docs/readme", "/again"), 0) << client_->error();
  EXPECT_EQ(Stat("/again").nfs_ino, before.nfs_ino);
  EXPECT_EQ(Stat("/again").nfs_nlink, 2U);
  ASSERT_EQ(client_->WriteFile("/again", "through the other name"), 0);
  EXPECT_EQ(Content("/docs/readme"), "through the other name");
  ASSERT_EQ(nfs_unlink(*client_, "/docs/readme"), 0);
  EXPECT_EQ(Stat("/again").nfs_nlink, 1U);
  EXPECT_EQ(Content("/again"), "through the other name");
}

TEST_F(Sync, ASymlinkKeepsItsTargetAndIsFollowedByTheClient_Rule5_6) {
  ASSERT_EQ(nfs_symlink(*client_, "docs/readme", "/link"), 0) << client_->error();
  char target[64] = {};
  ASSERT_EQ(nfs_readlink(*client_, "/link", target, sizeof target), 0);
  EXPECT_STREQ(target, "docs/readme");
  EXPECT_TRUE(S_ISLNK(Stat("/link").nfs_mode));
  EXPECT_EQ(Content("/link"), "read me\n");
}

TEST_F(Sync, TruncateShrinksAndGrowsWithZeros_Rule6_1) {
  ASSERT_EQ(nfs_truncate(*client_, "/docs/readme", 4), 0) << client_->error();
  EXPECT_EQ(Content("/docs/readme"), "read");
  ASSERT_EQ(nfs_truncate(*client_, "/docs/readme", 8), 0);
  EXPECT_EQ(Content("/docs/readme"), std::string("read\0\0\0\0", 8));
  EXPECT_LT(nfs_truncate(*client_, "/docs", 0), 0) << "a directory has no size to set (rule 4.5)";
}

TEST_F(Sync, ModesOwnersAndTimesAreSetOnFilesOfTheFolder_Rule4_3) {
  ASSERT_EQ(nfs_chmod(*client_, "/docs/readme", 0751), 0) << client_->error();
  ASSERT_EQ(nfs_chown(*client_, "/docs/readme", 1234, 4321), 0) << client_->error();
  timeval times[2] = {{1'000'000'000, 250'000}, {1'100'000'000, 750'000}};
  ASSERT_EQ(nfs_utimes(*client_, "/docs/readme", times), 0) << client_->error();
  const nfs_stat_64 st = Stat("/docs/readme");
  EXPECT_EQ(st.nfs_mode & 07777, 0751U);
  EXPECT_EQ(st.nfs_uid, 1234U);
  EXPECT_EQ(st.nfs_gid, 4321U);
  EXPECT_EQ(st.nfs_atime, 1'000'000'000U);
  EXPECT_EQ(st.nfs_mtime, 1'100'000'000U);
  EXPECT_EQ(st.nfs_mtime_nsec, 750'000'000U);
  EXPECT_EQ(Content("/docs/readme"), "read me\n") << "attributes alone leave the content";
}

TEST_F(Sync, ADirectoryIsMadeListedAndRemovedOnlyWhenEmpty_Rule5_4) {
  ASSERT_EQ(nfs_mkdir2(*client_, "/dir", 0750), 0) << client_->error();
  EXPECT_EQ(Stat("/dir").nfs_mode & 07777, 0750U);
  EXPECT_EQ(Stat("/dir").nfs_nlink, 2U);
  ASSERT_EQ(nfs_mkdir(*client_, "/dir/sub"), 0);
  EXPECT_EQ(Stat("/dir").nfs_nlink, 3U) << "2 and its sub-directories (rule 4.4)";
  EXPECT_EQ(nfs_mkdir(*client_, "/dir"), -EEXIST);
  EXPECT_EQ(nfs_rmdir(*client_, "/dir"), -ENOTEMPTY);
  EXPECT_EQ(nfs_rmdir(*client_, "/docs/readme"), -ENOTDIR);
  EXPECT_EQ(nfs_unlink(*client_, "/dir"), -EISDIR);
  ASSERT_EQ(nfs_rmdir(*client_, "/dir/sub"), 0);
  ASSERT_EQ(nfs_rmdir(*client_, "/dir"), 0);
  EXPECT_THAT(client_->Names("/"), ElementsAre("docs"));
}

TEST_F(Sync, WhatIsRemovedOfTheFolderStaysRemovedAndMayBeMadeAgain) {
  ASSERT_EQ(nfs_unlink(*client_, "/docs/old/notes"), 0) << client_->error();
  ASSERT_EQ(nfs_rmdir(*client_, "/docs/old"), 0) << client_->error();
  EXPECT_THAT(client_->Names("/docs"), ElementsAre("readme"));
  nfs_stat_64 st;
  EXPECT_EQ(nfs_lstat64(*client_, "/docs/old", &st), -ENOENT);
  ASSERT_EQ(nfs_mkdir(*client_, "/docs/old"), 0);
  EXPECT_THAT(client_->Names("/docs/old"), ElementsAre()) << "a directory made anew shows nothing of the old one";
}

TEST_F(Sync, TenThousandEntriesAreListedEachOnce_Rule5_2) {
  ASSERT_EQ(nfs_mkdir(*client_, "/many"), 0);
  RawClient raw(service_.port());
  ASSERT_TRUE(raw.connected());
  const Handle many = raw.Walk("many");
  constexpr int kEntries = 10'000, kBatch = 100;
  for (int i = 0; i < kEntries; i += kBatch) {
    std::vector<RawClient::Call> calls;
    for (int j = i; j < i + kBatch; ++j) calls.push_back(raw.Create(many, "entry-" + std::to_string(j)));
    for (RawClient::Call& call : calls) ASSERT_EQ(call->status, NFS3_OK) << call->error;
  }
  const std::vector<std::string> names = client_->Names("/many");
  ASSERT_EQ(names.size(), static_cast<std::size_t>(kEntries));
  const std::set<std::string> distinct(names.begin(), names.end());
  for (int i = 0; i < kEntries; ++i) ASSERT_TRUE(distinct.contains("entry-" + std::to_string(i))) << i;
}

TEST_F(Sync, StatvfsTellsOfTheFileSystemBeneath_Rule6_4) {
  struct statvfs told{};
  ASSERT_EQ(nfs_statvfs(*client_, "/", &told), 0) << client_->error();
  struct statvfs real{};
  ASSERT_EQ(::statvfs(service_.workspace().c_str(), &real), 0);
  EXPECT_GT(told.f_blocks, 0U);
  EXPECT_GT(told.f_bavail, 0U);
  const double told_bytes = static_cast<double>(told.f_blocks) * static_cast<double>(told.f_frsize);
  const double real_bytes = static_cast<double>(real.f_blocks) * static_cast<double>(real.f_frsize);
  EXPECT_NEAR(told_bytes / real_bytes, 1.0, 0.01);
}

TEST_F(Sync, SixtyFourMebibytesComeBackAsTheyWereWritten) {
  const std::string content = RandomBytes(64, 64 << 20);
  ASSERT_EQ(client_->WriteFile("/large", content), 0) << client_->error();
  EXPECT_EQ(Stat("/large").nfs_size, content.size());
  EXPECT_TRUE(Content("/large") == content);
  client_.reset();
  service_.Stop();
  ASSERT_TRUE(service_.Start());
  client_ = std::make_unique<SyncClient>(service_.port());
  ASSERT_TRUE(client_->mounted());
  EXPECT_TRUE(Content("/large") == content) << "also after the server was started again";
}

TEST_F(Sync, ASparseFileHoldsOnlyWhatWasWritten_Rules4_4And6_1) {
  nfsfh* file = nullptr;
  ASSERT_EQ(nfs_creat(*client_, "/sparse", 0644, &file), 0);
  constexpr std::uint64_t kFar = 5ULL << 40;
  ASSERT_EQ(nfs_pwrite(*client_, file, kFar, 3, "end"), 3) << client_->error();
  ASSERT_EQ(nfs_pwrite(*client_, file, 1 << 20, 6, "middle"), 6);
  ASSERT_EQ(nfs_fsync(*client_, file), 0);
  std::string read(16, 'x');
  ASSERT_EQ(nfs_pread(*client_, file, (1 << 20) - 5, 16, read.data()), 16);
  EXPECT_EQ(read, std::string("\0\0\0\0\0middle\0\0\0\0\0", 16));
  ASSERT_EQ(nfs_pread(*client_, file, kFar - 2, 16, read.data()), 5);
  EXPECT_EQ(read.substr(0, 5), std::string("\0\0end", 5));
  ASSERT_EQ(nfs_pread(*client_, file, 1ULL << 40, 16, read.data()), 16);
  EXPECT_EQ(read, std::string(16, '\0'));
  ASSERT_EQ(nfs_close(*client_, file), 0);
  const nfs_stat_64 st = Stat("/sparse");
  EXPECT_EQ(st.nfs_size, kFar + 3);
  EXPECT_LT(st.nfs_used, 1U << 20) << "used counts what is held, not the size";
}

}  // namespace
}  // namespace strata::e2e
