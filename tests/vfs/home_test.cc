// The home of a volume without a workspace (docs/formats/home.md, spec nfsv3 3.1a).
#include "vfs/home.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::vfs {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::string_view kGolden = R"({
  "format": "strata home",
  "handle_key": [
    "0123456789abcdef",
    "fedcba9876543210"
  ],
  "keys_check": "bf7b7dca",
  "name_key": [
    "0000000000000001",
    "0000000000000002"
  ],
  "spec": "castore:web@/srv/store",
  "version": 1,
  "volume_id": "00000000000000a1"
}
)";

class HomeTest : public ::testing::Test {
 protected:
  Result<VolumeKeys> Open(Env& env = Env::System(), const std::string& spec = "castore:web@/srv/store") {
    return OpenHome(env, path_, spec);
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
  void Put(const std::string& name, std::string_view content) {
    fs::create_directories(path_);
    std::ofstream(path_ + "/" + name, std::ios::binary) << content;
  }

  TempFolder folder_;
  const std::string path_ = folder_ / "home";
};

TEST_F(HomeTest, TheBytesAreThoseOfTheDocument) {
  const Home home{"castore:web@/srv/store",
                  {.volume_id = 0xa1, .handle_key = {0x0123456789abcdef, 0xfedcba9876543210}, .name_key = {1, 2}}};
  EXPECT_EQ(FormatHome(home), kGolden);
  const auto parsed = ParseHome(kGolden, "f");
  ASSERT_TRUE(parsed) << parsed.error().ToString();
  EXPECT_EQ(*parsed, home);
}

TEST_F(HomeTest, TheKeysAreDrawnAtTheFirstUseAndStay_Rule3_1a) {
  const auto first = Open();
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_NE(first->volume_id, 0u);
  EXPECT_NE(first->handle_key, SipHashKey{});
  EXPECT_NE(first->name_key, SipHashKey{});
  EXPECT_EQ(Open().value(), *first);
  EXPECT_NE(OpenHome(Env::System(), folder_ / "other", "castore:web@/srv/store").value(), *first);
}

TEST_F(HomeTest, NobodyElseMayLookIntoIt_Rule3_1a) {
  const mode_t before = ::umask(0);
  EXPECT_TRUE(Open());
  EXPECT_TRUE(LockStateFolder(Env::System(), path_));
  ::umask(before);
  EXPECT_EQ(ModeOf(path_), 0700u);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(path_)) {
    EXPECT_EQ(ModeOf(entry.path()), 0600u) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3);
}

TEST_F(HomeTest, ManyWhoMakeItAtOnceGetTheSameKeys) {
  for (int round = 0; round < 20; ++round) {
    fs::remove_all(path_);
    std::atomic<int> ready = 0;
    std::vector<Result<VolumeKeys>> keys(8, Fail(Errc::kIo));
    {
      std::vector<std::jthread> threads;
      for (auto& mine : keys) {
        threads.emplace_back([&] {
          ready.fetch_add(1);
          while (ready.load() < 8) std::this_thread::yield();
          mine = Open();
        });
      }
    }
    for (const auto& mine : keys) {
      ASSERT_TRUE(mine) << mine.error().ToString();
      EXPECT_EQ(*mine, *keys.front());
    }
  }
}

TEST_F(HomeTest, WhoComesWhileItIsMadeWaitsForIt) {
  fs::create_directory(path_);
  auto maker = Env::System().Open(path_ + "/home.lock", OpenMode::kCreate);
  ASSERT_TRUE(maker && (*maker)->Lock());
  std::atomic<bool> done = false;
  Result<VolumeKeys> keys = Fail(Errc::kIo);
  std::jthread other([&] {
    keys = Open();
    done = true;
  });
  EXPECT_FALSE(done);
  Put("home.json.other", kGolden);
  fs::rename(path_ + "/home.json.other", HomeFilePath(path_));
  other.join();
  ASSERT_TRUE(keys) << keys.error().ToString();
  EXPECT_EQ(keys->volume_id, 0xa1u);
}

TEST_F(HomeTest, AMakingThatWasCutShortAnywhereIsTakenUpAndKeysThatWereGivenStay) {
  for (const int keep : {0, 500, 1000}) {
    int steps = 0;
    for (bool stopped = true; stopped; ++steps) {
      ASSERT_LT(steps, 50);
      fs::remove_all(path_);
      FaultEnv env;
      env.SetTornWrite(11);
      env.StopAfter(steps + 1);
      const auto cut = Open(env);
      stopped = env.stopped();
      env.PowerLoss(static_cast<std::uint32_t>(steps), keep);
      const auto next = Open();
      ASSERT_TRUE(next) << "after step " << steps << ": " << next.error().ToString();
      if (cut) {
        EXPECT_EQ(*next, *cut) << "after step " << steps;
      }
      EXPECT_EQ(Open().value(), *next);
    }
    EXPECT_GT(steps, 3);
  }
}

TEST_F(HomeTest, ADamagedFileIsRefusedAndNeverMadeAnew) {
  const std::string good(kGolden);
  for (const std::string& bad :
       {std::string(), good.substr(0, good.size() / 2), std::string("[]"), std::string("null"),
        std::string(good.size(), '\0'), std::string(good).replace(good.find("fedc"), 4, "fedd"),
        std::string(good).replace(good.find("\"castore"), 24, "17"),
        std::string(good).replace(good.find(": 1"), 3, ": 0")}) {
    Put("home.json", bad);
    const auto opened = Open();
    ASSERT_FALSE(opened) << bad;
    EXPECT_EQ(opened.error().code(), Errc::kCorrupt);
    EXPECT_THAT(std::string(opened.error().message()), AllOf(HasSubstr(HomeFilePath(path_)), HasSubstr("backup")));
    EXPECT_EQ(ReadWholeFile(Env::System(), HomeFilePath(path_), 1 << 20).value(), bad);
  }
  Put("home.json", std::string(good).replace(good.find(": 1"), 3, ": 2"));
  EXPECT_EQ(Open().error().code(), Errc::kNotSupported);
  Put("home.json", std::string((1 << 20) + 1, ' '));
  EXPECT_EQ(Open().error().code(), Errc::kFileTooBig);
}

TEST_F(HomeTest, ItIsOfOneVolumeOnly) {
  ASSERT_TRUE(Open());
  const auto other = Open(Env::System(), "castore:db@/srv/store");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Errc::kInvalid);
  EXPECT_THAT(std::string(other.error().message()),
              AllOf(HasSubstr(path_), HasSubstr("castore:web@"), HasSubstr("castore:db@"), HasSubstr("--state")));
}

TEST_F(HomeTest, WhatCannotBeReadOrWrittenIsNamedWithWhatToDo) {
  for (const auto& [call, code] : std::vector<std::pair<FaultEnv::Call, Errc>>{{FaultEnv::kOpen, Errc::kAccess},
                                                                               {FaultEnv::kWrite, Errc::kNoSpace},
                                                                               {FaultEnv::kSync, Errc::kIo},
                                                                               {FaultEnv::kSyncDirectory, Errc::kIo},
                                                                               {FaultEnv::kRename, Errc::kReadOnly}}) {
    fs::remove_all(path_);
    FaultEnv env;
    env.FailAfter(call, 0, code, true);
    const auto opened = Open(env);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), code);
    EXPECT_THAT(std::string(opened.error().message()), AllOf(HasSubstr(path_), HasSubstr("--state")));
  }
  const auto nowhere = OpenHome(Env::System(), folder_ / "no/home", "/x");
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(std::string(nowhere.error().message()), AllOf(HasSubstr("no/home"), HasSubstr("--state")));
}

TEST_F(HomeTest, OneServerAtATimeKeepsItsClientsLocksThere) {
  auto first = LockStateFolder(Env::System(), path_);
  ASSERT_TRUE(first) << first.error().ToString();
  const auto second = LockStateFolder(Env::System(), path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Errc::kBusy);
  EXPECT_THAT(std::string(second.error().message()), AllOf(HasSubstr(path_), HasSubstr("--state")));
  EXPECT_TRUE(Open()) << "the keys are for all who stand in for one another";
  first->reset();
  EXPECT_TRUE(LockStateFolder(Env::System(), path_));
}

}  // namespace
}  // namespace strata::vfs
