// The disk beneath the workspace fills up: NFS3ERR_NOSPC, nothing half-applied, and all that had been answered is kept
// (rule 6.2).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include "tests/base/temp_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"

namespace strata::e2e {
namespace {

class FullDisk : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(disk_);
    std::filesystem::create_directory(lower_);
    WriteHostFile(lower_ + "/lower", "of the folder");
    if (::mount("none", disk_.c_str(), "tmpfs", 0, "size=48m") != 0) {
      GTEST_SKIP() << "a small disk cannot be mounted: " << std::strerror(errno);
    }
    mounted_ = true;
    Start();
  }
  void TearDown() override {
    client_.reset();
    served_.reset();
    if (mounted_) {
      ::umount2(disk_.c_str(), MNT_DETACH);
    }
  }
  void Start(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {lower_, "--workspace", disk_ + "/workspace", "--insecure-ports"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    served_ = std::make_unique<ServedProcess>(arguments);
    ASSERT_NE(served_->port(), 0) << End(SIGKILL);
    client_ = std::make_unique<RawClient>(served_->port());
    ASSERT_TRUE(client_->connected());
  }
  std::string End(int signal) {
    served_->process().Signal(signal);
    served_->process().Wait();
    return served_->process().errors();
  }

  TempFolder folder_;
  const std::string disk_ = folder_ / "disk", lower_ = folder_ / "lower";
  bool mounted_ = false;
  std::unique_ptr<ServedProcess> served_;
  std::unique_ptr<RawClient> client_;
};
INSTANTIATE_TEST_SUITE_P(ThenEndedBy, FullDisk, ::testing::Values(SIGTERM, SIGKILL),
                         [](const auto& info) { return info.param == SIGKILL ? "Sigkill" : "Sigterm"; });

TEST_P(FullDisk, ChangesAreRefusedWithNospcAndAllThatWasAnsweredIsKept_Rule6_2) {
  std::map<std::string, std::string> answered;
  bool full = false;
  for (int i = 0; i < 200 && !full; ++i) {
    const std::string name = "file-" + std::to_string(i), content = RandomBytes(static_cast<std::uint64_t>(i), 1 << 20);
    RawClient::Call made = client_->Create(client_->root(), name);
    ASSERT_TRUE(made->answered) << made->error << End(SIGKILL);
    if (made->status == NFS3_OK) {
      answered[name] = "";
      RawClient::Call written = client_->Write(*made->handle, 0, content, i % 2 == 0 ? FILE_SYNC : UNSTABLE);
      ASSERT_TRUE(written->answered) << written->error << End(SIGKILL);
      if (written->status == NFS3_OK) {
        answered[name] = content;
      } else {
        ASSERT_EQ(written->status, NFS3ERR_NOSPC);
        full = true;
      }
    } else {
      ASSERT_EQ(made->status, NFS3ERR_NOSPC);
      full = true;
    }
  }
  ASSERT_TRUE(full) << "200 MiB fit on a disk of 48 MiB";
  EXPECT_GT(answered.size(), 5U);
  // Small changes may still fit, until none does; none is ever answered with anything else.
  for (int i = 0; i < 3000; ++i) {
    const std::string name = "small-" + std::to_string(i);
    RawClient::Call made = client_->Create(client_->root(), name);
    ASSERT_TRUE(made->answered) << made->error << End(SIGKILL);
    if (made->status == NFS3_OK) {
      answered[name] = "";
      RawClient::Call written = client_->Write(*made->handle, 0, std::string(4096, 's'), UNSTABLE);
      if (written->status == NFS3_OK) {
        answered[name] = std::string(4096, 's');
      }
      ASSERT_THAT(written->status, ::testing::AnyOf(NFS3_OK, NFS3ERR_NOSPC));
    }
    ASSERT_THAT(made->status, ::testing::AnyOf(NFS3_OK, NFS3ERR_NOSPC));
  }
  auto expect_all = [&](const char* when) {
    for (const auto& [name, content] : answered) {
      RawClient::Call found = client_->Lookup(client_->root(), name);
      ASSERT_EQ(found->status, NFS3_OK) << name << " " << when;
      ASSERT_TRUE(client_->Read(*found->handle, 0, 1 << 20)->data == content) << name << " " << when;
    }
    EXPECT_EQ(client_->List(client_->root(), false, 1 << 20).size(), answered.size() + 3) << when;
    EXPECT_EQ(client_->Read(client_->Walk("lower"), 0, 100)->data, "of the folder") << when;
  };
  ASSERT_NO_FATAL_FAILURE(expect_all("while the disk is full"));
  End(GetParam());
  // Whoever looks needs no room. Who serves may: then it says so, and writes nothing that could not be completed.
  ASSERT_NO_FATAL_FAILURE(Start({"--read-only"}));
  ASSERT_NO_FATAL_FAILURE(expect_all("read-only, on the full disk"));
  EXPECT_EQ(client_->Create(client_->root(), "new")->status, NFS3ERR_ROFS);
  End(SIGTERM);
  {
    ServedProcess again({lower_, "--workspace", disk_ + "/workspace", "--insecure-ports"});
    if (again.port() == 0) {
      EXPECT_EQ(again.process().Wait(), 1);
      EXPECT_NE(again.process().errors().find("free space on"), std::string::npos) << again.process().errors();
    }
  }
  ASSERT_EQ(::mount("none", disk_.c_str(), "tmpfs", MS_REMOUNT, "size=128m"), 0);
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(expect_all("after a restart with room again"));
  EXPECT_EQ(client_->Create(client_->root(), "room")->status, NFS3_OK);
}

// The disk is filled, and then given room again through the mount alone.
class FilledDisk : public FullDisk {
 protected:
  static constexpr std::size_t kFileBytes = 1 << 20;

  // Writes files until the disk is full; how many there are.
  int Fill(int from) {
    for (int i = from; i < from + 1000; ++i) {
      RawClient::Call made = client_->Create(client_->root(), Name(i));
      if (made->status == NFS3ERR_NOSPC) return i;
      EXPECT_EQ(made->status, NFS3_OK) << made->error;
      RawClient::Call written =
          client_->Write(*made->handle, 0, RandomBytes(static_cast<std::uint64_t>(i), kFileBytes), FILE_SYNC);
      if (written->status == NFS3ERR_NOSPC) return i;
      EXPECT_EQ(written->status, NFS3_OK) << written->error;
      if (HasFailure()) break;
    }
    ADD_FAILURE() << "the disk does not fill up";
    return from;
  }
  // Tries to write a file of kFileBytes until it fits, at most `seconds`. False: it does not.
  bool WriteWithin(int i, int seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (std::chrono::steady_clock::now() < end) {
      RawClient::Call made = client_->Create(client_->root(), Name(i), UNCHECKED);
      if (made->status == NFS3_OK &&
          client_->Write(*made->handle, 0, RandomBytes(static_cast<std::uint64_t>(i), kFileBytes), FILE_SYNC)->status ==
              NFS3_OK) {
        return true;
      }
      ::poll(nullptr, 0, 50);  // between two attempts
    }
    return false;
  }
  void ExpectFile(int i) {
    RawClient::Call found = client_->Lookup(client_->root(), Name(i));
    ASSERT_EQ(found->status, NFS3_OK) << i;
    ASSERT_TRUE(client_->Read(*found->handle, 0, kFileBytes)->data ==
                RandomBytes(static_cast<std::uint64_t>(i), kFileBytes))
        << i;
  }
  static std::string Name(int i) { return "file-" + std::to_string(i); }
};
INSTANTIATE_TEST_SUITE_P(ThenEndedBy, FilledDisk, ::testing::Values(SIGTERM, SIGKILL),
                         [](const auto& info) { return info.param == SIGKILL ? "Sigkill" : "Sigterm"; });

TEST_P(FilledDisk, WhatIsRemovedThroughTheMountMakesRoomWithinSeconds) {
  ASSERT_EQ(::mount("none", disk_.c_str(), "tmpfs", MS_REMOUNT, "size=400m"), 0);
  int files = Fill(0);
  ASSERT_GT(files, 200);
  // Every fifth, so that something lives in every segment.
  std::set<int> living;
  for (int i = 0; i <= files; ++i) living.insert(i);
  for (int i = 0; i <= files; i += 5) {
    RawClient::Call removed = client_->Remove(client_->root(), Name(i));
    ASSERT_TRUE(removed->status == NFS3_OK || (i == files && removed->status == NFS3ERR_NOENT)) << removed->status;
    living.erase(i);
  }
  // Half of what was removed, at least, can be written again.
  const int more = files / 5 / 2;
  for (int i = 0; i < more; ++i) {
    ASSERT_TRUE(WriteWithin(10'000 + i, 20))
        << "the disk stays full, after " << i << " of " << more << " files; " << End(SIGKILL);
  }
  living.erase(files);  // which was not written whole
  for (const int i : living) ASSERT_NO_FATAL_FAILURE(ExpectFile(i));
  End(GetParam());
  ASSERT_NO_FATAL_FAILURE(Start());
  for (const int i : living) ASSERT_NO_FATAL_FAILURE(ExpectFile(i));
  for (int i = 0; i < more; ++i) ASSERT_NO_FATAL_FAILURE(ExpectFile(10'000 + i));
}

TEST_P(FilledDisk, AllOfItComesBackWhenAllIsRemoved) {
  ASSERT_EQ(::mount("none", disk_.c_str(), "tmpfs", MS_REMOUNT, "size=400m"), 0);
  for (int round = 0; round < 3; ++round) {
    const int files = Fill(1000 * round);
    ASSERT_GT(files - 1000 * round, 200) << "round " << round;
    for (int i = 1000 * round; i <= files; ++i) {
      RawClient::Call removed = client_->Remove(client_->root(), Name(i));
      ASSERT_TRUE(removed->status == NFS3_OK || (i == files && removed->status == NFS3ERR_NOENT)) << removed->status;
    }
    ASSERT_TRUE(WriteWithin(1000 * round + 1, 20)) << "round " << round << "; " << End(SIGKILL);
    ASSERT_EQ(client_->Remove(client_->root(), Name(1000 * round + 1))->status, NFS3_OK);
    // What is free is told once there is some: nobody calls meanwhile, but for this.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::uint64_t available = 0;
    while (available < (200 << 20) && std::chrono::steady_clock::now() < end) {
      available = std::filesystem::space(disk_).available;
      ::poll(nullptr, 0, 50);
    }
    EXPECT_GE(available, 200U << 20) << "round " << round;
  }
}

}  // namespace
}  // namespace strata::e2e
