// What InitWorkspace finds in the folder that it is given: an unfinished workspace, which it takes up, or something
// else, which it leaves alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "harness.h"
#include "journal/format.h"
#include "tests/base/fault_env.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr std::uint64_t kSegmentBytes = 1 << 20;

void Put(const std::string& path, const std::string& content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

// Every file by its path, with its content.
std::map<std::string, std::string> Image(const std::string& folder) {
  std::map<std::string, std::string> image;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::string& content = image[entry.path().string()];
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(in), {});
  }
  return image;
}

Result<std::unique_ptr<Workspace>> Open(Env& env, const std::string& path) {
  WorkspaceOptions options;
  options.memory_bytes = 16 << 20;
  return Workspace::Open(env, path, options);
}

class Init : public ::testing::Test {
 protected:
  std::string path() const { return folder_.path() + "/workspace"; }
  std::string first_segment() const { return path() + "/journal/" + journal::SegmentName(0); }
  // A workspace that has lost its workspace.json.
  void MakeWithoutConfig(int files) {
    ASSERT_OK(InitWorkspace(Env::System(), path(), {}, kSegmentBytes));
    {
      auto opened = Open(Env::System(), path());
      ASSERT_OK(opened);
      struct Held : FileSystemHolder {
        explicit Held(FileSystem& held) : held(held) {}
        FileSystem& fs() override { return held; }
        FileSystem& held;
      } held(**opened);
      Client client(held);
      for (int i = 0; i < files; ++i) ASSERT_OK(client.MakeFile("file" + std::to_string(i)));
    }
    for (const char* name : {"workspace.json", "index.db", "index.db-wal", "index.db-shm"}) {
      fs::remove(path() + "/" + name);
    }
  }
  void ExpectRefused(Errc code, const std::vector<std::string>& words) {
    const auto before = Image(path());
    auto made = InitWorkspace(Env::System(), path(), {}, kSegmentBytes);
    ASSERT_FALSE(made);
    EXPECT_CODE(made, code);
    for (const std::string& word : words) EXPECT_THAT(std::string(made.error().message()), HasSubstr(word));
    EXPECT_TRUE(Image(path()) == before) << "something was changed";
  }
  void ExpectMade(Env& env) {
    ASSERT_OK(InitWorkspace(env, path(), {}, kSegmentBytes));
    EXPECT_OK(Open(env, path()));
  }

  TempFolder folder_;
};

TEST_F(Init, WhatIsNotOfAnUnfinishedWorkspaceStaysAndIsNamed) {
  const std::vector<std::pair<std::string, std::string>> foreign{
      {"notes", "mine"},
      {"journal/notes", "mine"},
      {"journal/spare", "mine"},
      {"journal/spare1/notes", "mine"},
      {"journal/lock", "mine"},
      {"journal", "a file of that name"},
      {"journal/" + journal::SegmentName(0), "a file of that name"},
      {"journal/" + journal::SegmentName(0), std::string(5000, '\0') + "behind zeros"},
      {"journal/" + journal::SegmentName(0), "STRATAJ\n" + std::string(100, '\0') + "mine"},
      {"lock", "4711"},
      {"workspace.json.new", "mine"},
      {"index.db", ""},
  };
  for (const auto& [name, content] : foreign) {
    SCOPED_TRACE(name + ": " + content.substr(0, 30));
    Put(path() + "/" + name, content);
    ExpectRefused(Errc::kNotEmpty, {path(), name.substr(0, name.find("1/")), "nothing was changed", "new folder"});
    fs::remove_all(path());
  }
}

TEST_F(Init, NothingIsRemovedBesideWhatIsForeign) {
  MakeWithoutConfig(0);
  Put(path() + "/journal/notes", "mine");
  ExpectRefused(Errc::kNotEmpty, {"journal/notes"});
  fs::remove(path() + "/journal/notes");
  ExpectMade(Env::System());
}

TEST_F(Init, AJournalThatHoldsAChangeIsNotRemoved) {
  for (const int files : {1, 2, 1000}) {
    SCOPED_TRACE(files);
    MakeWithoutConfig(files);
    ExpectRefused(Errc::kNotEmpty, {first_segment().substr(path().size() + 1), "workspace.json"});
    // Not even where its first record does not check any more.
    std::fstream out(first_segment(), std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(70);
    out << "XXXX";
    out.close();
    ExpectRefused(Errc::kNotEmpty, {first_segment().substr(path().size() + 1)});
    fs::remove_all(path());
  }
}

TEST_F(Init, WhatIsBeingMadeOrServedIsBusy) {
  ASSERT_OK(Env::System().CreateDirectory(path()));
  auto lock = Env::System().Open(path() + "/lock", OpenMode::kCreate);
  ASSERT_OK(lock);
  ASSERT_OK((*lock)->Lock());
  ExpectRefused(Errc::kBusy, {path(), "another process"});
  lock->reset();
  ExpectMade(Env::System());
  ExpectRefused(Errc::kExists, {path(), "already"});
}

// Holds the workspace's lock as another process would, seen from within the making.
TEST_F(Init, TheLockIsHeldWhileItIsMade) {
  FaultEnv env;
  int looked = 0;
  env.OnSync([&] {
    auto lock = Env::System().Open(path() + "/lock", OpenMode::kReadWrite);
    ASSERT_OK(lock);
    EXPECT_CODE((*lock)->Lock(), Errc::kBusy);
    ++looked;
  });
  ASSERT_OK(InitWorkspace(env, path(), {}, kSegmentBytes));
  EXPECT_GE(looked, 2);
}

// A process that dies, a machine that loses power with none, some or all of what was not synced, a write that was torn:
// after each step of a making, what it left is taken up.
TEST_F(Init, AMakingThatWasCutShortAnywhereIsTakenUp) {
  struct Death {
    const char* what;
    bool power;
    int keep;
    std::size_t torn;
  };
  for (const Death& death :
       {Death{"the process", false, 0, 0}, Death{"torn", false, 0, 11}, Death{"none", true, 0, 0},
        Death{"some", true, 500, 0}, Death{"torn and some", true, 500, 100}, Death{"all", true, 1000, 0}}) {
    int steps = 0;
    for (bool stopped = true; stopped; ++steps) {
      SCOPED_TRACE(std::string(death.what) + " after step " + std::to_string(steps));
      ASSERT_LT(steps, 100);
      FaultEnv env;
      env.SetTornWrite(death.torn);
      env.StopAfter(steps + 1);
      const auto cut = InitWorkspace(env, path(), {}, kSegmentBytes);
      stopped = env.stopped();
      if (!stopped) {
        ASSERT_OK(cut);
      }
      if (death.power) env.PowerLoss(static_cast<std::uint32_t>(steps), death.keep);
      if (!IsWorkspace(Env::System(), path())) {
        ASSERT_OK(InitWorkspace(Env::System(), path(), {}, kSegmentBytes));
      }
      EXPECT_OK(Open(Env::System(), path()));
      fs::remove_all(path());
    }
    EXPECT_GT(steps, 8);
  }
}

TEST_F(Init, AFolderIsNoLayerOfItself) {
  ASSERT_OK(Env::System().CreateDirectory(path()));
  EXPECT_CODE(InitWorkspace(Env::System(), path(), {{.path = path()}}), Errc::kInvalid);
  EXPECT_TRUE(fs::is_empty(path()));
}

TEST_F(Init, ThereAreAsManyLayersAsTheNumbersHaveRoomFor) {
  const std::string layer = folder_.path() + "/layer";
  fs::create_directory(layer);
  std::vector<LayerSpec> layers(kMaxLayers, LayerSpec{.path = layer});
  ASSERT_OK(InitWorkspace(Env::System(), path(), layers, kSegmentBytes));
  EXPECT_OK(Open(Env::System(), path()));
  layers.push_back(layers.front());
  auto more = InitWorkspace(Env::System(), path() + "2", layers, kSegmentBytes);
  EXPECT_CODE(more, Errc::kInvalid);
  EXPECT_FALSE(fs::exists(path() + "2"));
}

}  // namespace
}  // namespace strata::vfs::testing
