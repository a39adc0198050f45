// A folder that people change while it is served: what the workspace has not touched is shown as it is now, what was
// changed in both places is never a mixture, and everything can be removed and made again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kHour = 3'600'000'000'000;

// Over one folder, whose changes every call sees (unless told otherwise).
class ChangingLayer : public ::testing::TestWithParam<bool>, public FileSystemHolder {
 protected:
  ChangingLayer() {
    options_ = TestOptions();
    options_.layer_recheck_ns = 0;
    if (GetParam()) {
      options_.memory_bytes = 4096;
      options_.whole_directory_names = 1;
    }
    fs::create_directory(layer_);
  }
  // Makes the workspace over what the folder holds now.
  void Serve() {
    EXPECT_OK(InitWorkspace(Env::System(), workspace_path_, {{.path = layer_, .markers = {}}}, 4 << 20));
    Restart();
  }
  void Restart() {
    workspace_.reset();
    auto opened = Workspace::Open(Env::System(), workspace_path_, options_);
    ASSERT_OK(opened);
    workspace_ = std::move(*opened);
  }
  FileSystem& fs() override { return *workspace_; }

  std::string At(std::string_view path) const { return layer_ + '/' + std::string(path); }
  void Put(std::string_view path, std::string_view content) const {
    fs::create_directories(fs::path(At(path)).parent_path());
    std::ofstream(At(path), std::ios::binary) << content;
  }
  void Replace(std::string_view path, std::string_view content) const {
    Put(std::string(path) + ".new", content);
    fs::rename(At(path) + ".new", At(path));
  }
  // In place; no byte more or less.
  void Overwrite(std::string_view path, std::string_view content) const {
    std::fstream file(At(path), std::ios::in | std::ios::out | std::ios::binary);
    file << content;
  }
  // So that the file's times differ from any that came of the clock.
  void Age(std::string_view path, int seconds) const {
    fs::last_write_time(At(path), fs::last_write_time(At(path)) - std::chrono::seconds(seconds));
  }
  // The host stamps files with a clock that stands still for some milliseconds at a time, behind the workspace's.
  static void AwaitTickAfter(const Time& time) {
    timespec now{};
    do {
      ::usleep(500);
      ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (now.tv_sec * 1'000'000'000 + now.tv_nsec <= time.ns);
  }
  std::string Text(std::string_view path) { return TextOrError(client_, path); }
  std::vector<std::string> Conflicts() { return ConflictLines(*workspace_); }
  // As rm -rf.
  void RemoveAll(const std::string& path) {
    auto names = client_.List(path);
    ASSERT_OK(names);
    for (const std::string& name : *names) {
      const std::string whole = path + '/' + name;
      const auto stat = client_.Stat(whole);
      if (!stat) continue;
      if (stat->type == FileType::kDirectory) {
        RemoveAll(whole);
      } else {
        EXPECT_OK(client_.Unlink(whole)) << whole;
      }
    }
    EXPECT_OK(client_.Rmdir(path)) << path;
  }

  TempFolder folder_;
  const std::string layer_ = folder_.path() + "/layer";
  const std::string workspace_path_ = folder_.path() + "/workspace";
  WorkspaceOptions options_;
  std::unique_ptr<Workspace> workspace_;
  Client client_{*this};
};

INSTANTIATE_TEST_SUITE_P(Caches, ChangingLayer, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Tiny" : "Large"; });

TEST_P(ChangingLayer, AFileThatWasRewrittenIsShownAsItIsNow) {
  Put("d/f", "old");
  Serve();
  const ObjectId f = client_.IdOf("d/f");
  const Attributes before = client_.Get(f).value();
  EXPECT_EQ(client_.ReadAll(f).value(), "old");
  Put("d/f", "new and longer");
  Age("d/f", 100);
  const Attributes after = client_.Get(f).value();
  EXPECT_EQ(after.size, 14u);
  EXPECT_NE(after.mtime.ns, before.mtime.ns);
  EXPECT_EQ(client_.ReadAll(f).value(), "new and longer");
  fs::permissions(At("d/f"), fs::perms::owner_all);
  EXPECT_EQ(client_.Get(f)->mode, 0700u);
  fs::resize_file(At("d/f"), 2);
  EXPECT_EQ(client_.ReadAll(f).value(), "ne");
}

TEST_P(ChangingLayer, OneReadIsOfOneStateHoweverOldTheAttributesAre) {
  options_.layer_recheck_ns = kHour;
  Put("f", std::string(3000, 'o'));
  Age("f", 100);
  Serve();
  const ObjectId f = client_.IdOf("f");
  EXPECT_EQ(client_.Read(f, 0, 10)->data, "oooooooooo");
  Put("f", std::string(7000, 'n'));
  if (!GetParam()) {
    EXPECT_EQ(client_.Get(f)->size, 3000u) << "believed for an hour";
  }
  const auto read = client_.Read(f, 0, 10'000);
  ASSERT_OK(read);
  EXPECT_EQ(read->data, std::string(7000, 'n'));
  EXPECT_EQ(read->after->size, 7000u);
  EXPECT_TRUE(read->eof);
  EXPECT_EQ(client_.Get(f)->size, 7000u);
}

TEST_P(ChangingLayer, AFileThatWasReplacedIsOldOrNewAsAWhole) {
  Put("d/f", "old");
  Serve();
  const ObjectId old = client_.IdOf("d/f");
  EXPECT_EQ(client_.ReadAll(old).value(), "old");
  Replace("d/f", "another");
  EXPECT_CODE(client_.ReadAll(old), Errc::kStale);
  EXPECT_EQ(Text("d/f"), "another");
  EXPECT_EQ(client_.StatOf("d/f").size, 7u);
  EXPECT_THAT(client_.List("d").value(), ElementsAre("f"));
}

TEST_P(ChangingLayer, NamesComeAndGo) {
  for (int i = 0; i < 20; ++i) Put("d/" + std::to_string(i), "x");
  Serve();
  EXPECT_EQ(client_.List("d")->size(), 20u);
  EXPECT_CODE(client_.Stat("d/added"), Errc::kNotFound);
  ASSERT_OK(client_.WriteFile("d/own", "mine"));
  const Attributes before = client_.StatOf("d");
  AwaitTickAfter(before.mtime);
  for (int i = 0; i < 20; i += 2) fs::remove(At("d/" + std::to_string(i)));
  Put("d/added", "a");
  fs::create_directory(At("d/sub"));
  Put("d/sub/x", "x");
  EXPECT_EQ(client_.List("d")->size(), 13u);
  EXPECT_EQ(Text("d/added"), "a");
  EXPECT_EQ(Text("d/sub/x"), "x");
  EXPECT_EQ(Text("d/own"), "mine");
  EXPECT_CODE(client_.Stat("d/0"), Errc::kNotFound);
  const Attributes after = client_.StatOf("d");
  EXPECT_GT(after.ctime.ns, before.ctime.ns) << "clients must see that the directory changed";
  EXPECT_GT(after.mtime.ns, before.mtime.ns);
  ASSERT_OK(client_.MakeFile("d/0"));
  ASSERT_OK(client_.Unlink("d/added"));
  EXPECT_CODE(client_.Unlink("d/2"), Errc::kNotFound);
  Restart();
  EXPECT_CODE(client_.Stat("d/added"), Errc::kNotFound);
  EXPECT_TRUE(client_.Exists("d/0"));
}

TEST_P(ChangingLayer, ANameThatWasRemovedHereMayComeAnewOnTheHost) {
  Put("d/keep", "");
  Serve();
  ASSERT_OK(client_.WriteFile("d/mine", "mine"));
  ASSERT_OK(client_.Unlink("d/mine"));
  Put("d/mine", "theirs");
  EXPECT_EQ(Text("d/mine"), "theirs");
  ASSERT_OK(client_.Unlink("d/mine"));
  EXPECT_CODE(client_.Stat("d/mine"), Errc::kNotFound) << "what was deleted here stays deleted";
  // And what is written over here hides what comes, also when it goes again.
  ASSERT_OK(client_.WriteFile("d/over", "mine"));
  Put("d/over", "theirs");
  EXPECT_EQ(Text("d/over"), "mine");
  ASSERT_OK(client_.Unlink("d/over"));
  EXPECT_CODE(client_.Stat("d/over"), Errc::kNotFound);
}

TEST_P(ChangingLayer, WhatChangesItsTypeIsTheNewThing) {
  Put("file", "f");
  Put("dir/x", "x");
  Put("link", "l");
  Serve();
  for (const char* path : {"file", "dir/x", "link"}) EXPECT_OK(client_.Stat(path));
  const ObjectId dir = client_.IdOf("dir");
  EXPECT_THAT(client_.List("dir").value(), ElementsAre("x"));
  fs::remove(At("file"));
  Put("file/in", "in");
  fs::remove_all(At("dir"));
  Put("dir", "now a file");
  fs::remove(At("link"));
  fs::create_symlink("target", At("link"));
  EXPECT_EQ(Text("file/in"), "in");
  EXPECT_EQ(Text("dir"), "now a file");
  EXPECT_CODE(client_.Stat("dir/x"), Errc::kNotDirectory);
  EXPECT_CODE(client_.Get(dir), Errc::kStale);
  EXPECT_EQ(client_.ReadLinkAt("link").value(), "target");
  RemoveAll("file");
  ASSERT_OK(client_.Unlink("dir"));
  ASSERT_OK(client_.Unlink("link"));
  EXPECT_THAT(client_.List("").value(), IsEmpty());
}

TEST_P(ChangingLayer, WhatWentOrWasReplacedIsRemovedAndMadeAgain) {
  for (const char* tree : {"gone", "swap", "partly", "upper"}) {
    Put(std::string(tree) + "/a", "a");
    Put(std::string(tree) + "/sub/b", "b");
  }
  Serve();
  for (const char* tree : {"gone", "swap", "partly", "upper"}) {
    EXPECT_THAT(client_.List(tree).value(), UnorderedElementsAre("a", "sub"));
    EXPECT_EQ(Text(std::string(tree) + "/sub/b"), "b");
  }
  ASSERT_OK(client_.WriteFile("upper/sub/own", "own"));
  const ObjectId upper = client_.IdOf("upper/sub");
  fs::remove_all(At("gone"));
  fs::remove_all(At("swap"));
  Put("swap/a", "other");
  fs::remove(At("partly/a"));
  fs::remove_all(At("partly/sub"));
  fs::remove(At("upper/sub/b"));
  EXPECT_CODE(client_.Stat("gone"), Errc::kNotFound);
  EXPECT_EQ(Text("swap/a"), "other");
  EXPECT_THAT(client_.List("swap").value(), ElementsAre("a"));
  EXPECT_THAT(client_.List("partly").value(), IsEmpty());
  EXPECT_EQ(client_.IdOf("upper/sub"), upper);
  EXPECT_THAT(client_.List("upper/sub").value(), ElementsAre("own"));
  for (const char* tree : {"swap", "partly", "upper"}) RemoveAll(tree);
  EXPECT_THAT(client_.List("").value(), IsEmpty());
  for (const char* tree : {"gone", "swap", "partly", "upper"}) {
    ASSERT_OK(client_.Mkdir(tree));
    EXPECT_THAT(client_.List(tree).value(), IsEmpty()) << tree;
    ASSERT_OK(client_.WriteFile(std::string(tree) + "/a", "again"));
  }
  Restart();
  for (const char* tree : {"gone", "swap", "partly", "upper"}) {
    EXPECT_EQ(Text(std::string(tree) + "/a"), "again");
    EXPECT_THAT(client_.List(tree).value(), ElementsAre("a")) << tree;
  }
}

TEST_P(ChangingLayer, WhatWasChangedInBothPlacesIsNeverAMixture) {
  const std::string old(10'000, 'o');
  for (const char* name : {"in_place", "replaced", "removed", "whole", "only_here"}) Put(std::string("t/") + name, old);
  for (const char* name : {"in_place", "replaced", "removed", "whole", "only_here"}) Age(std::string("t/") + name, 100);
  Serve();
  for (const char* name : {"in_place", "replaced", "removed", "only_here"}) {
    ASSERT_OK(client_.WriteAt(std::string("t/") + name, 10'000, "more"));
  }
  ASSERT_OK(client_.WriteFile("t/whole", "all of it"));
  EXPECT_EQ(Text("t/in_place"), old + "more");
  EXPECT_THAT(Conflicts(), IsEmpty());
  // Their inodes are in memory.
  Overwrite("t/in_place", "nnnn");
  Replace("t/replaced", std::string(10'000, 'n'));
  fs::remove(At("t/removed"));
  Overwrite("t/whole", "nnnn");
  for (int i = 0; i < 2; ++i) {
    for (const char* path : {"t/in_place", "t/replaced", "t/removed"}) {
      SCOPED_TRACE(path);
      const ObjectId id = client_.IdOf(path);
      EXPECT_EQ(client_.Get(id)->size, 10'004u);
      EXPECT_CODE(client_.Read(id, 0, 10), Errc::kIo);
      EXPECT_CODE(client_.Read(id, 9'999, 5), Errc::kIo);
      EXPECT_EQ(client_.Read(id, 10'000, 10)->data, "more") << "what was written here";
    }
    EXPECT_EQ(Text("t/whole"), "all of it");
    EXPECT_EQ(Text("t/only_here"), old + "more");
    EXPECT_THAT(client_.List("t").value(), ElementsAre("in_place", "only_here", "removed", "replaced", "whole"));
    EXPECT_THAT(Conflicts(), ElementsAre("changed /t/in_place", "gone /t/removed", "gone /t/replaced"));
    Restart();
  }
  // Written anew or removed it is whole again.
  ASSERT_OK(client_.WriteFile("t/in_place", "again"));
  EXPECT_EQ(Text("t/in_place"), "again");
  ASSERT_OK(client_.Unlink("t/replaced"));
  ASSERT_OK(client_.Unlink("t/removed"));
  EXPECT_CODE(client_.Stat("t/replaced"), Errc::kNotFound);
  EXPECT_THAT(Conflicts(), IsEmpty());
  RemoveAll("t");
}

TEST_P(ChangingLayer, WhatWasChangedInADirectoryThatWasTakenAwayIsSaidToBeUnreachable) {
  Put("d/f", "f");
  Serve();
  ASSERT_OK(client_.WriteFile("d/own", "own"));
  fs::remove_all(At("d"));
  EXPECT_THAT(Conflicts(), ElementsAre("unreachable "));
}

// What is remembered is believed for the time that was set, and no call waits for a disk meanwhile.
TEST_P(ChangingLayer, WithinTheTimeMemoryAnswers) {
  if (GetParam()) GTEST_SKIP() << "keeps nothing in memory";
  options_.layer_recheck_ns = kHour;
  Put("d/f", "old");
  Serve();
  const ObjectId d = client_.IdOf("d"), f = client_.IdOf("d/f");
  EXPECT_OK(client_.List("d"));
  EXPECT_EQ(client_.ReadAll(f).value(), "old");
  Put("d/g", "more");
  const std::uint64_t blocked = client_.blocked();
  EXPECT_OK(client_.Get(f));
  EXPECT_OK(client_.Lookup(d, "f"));
  EXPECT_OK(client_.ListAll(d));
  EXPECT_EQ(client_.ReadAll(f).value(), "old");
  EXPECT_EQ(client_.blocked(), blocked);
}

}  // namespace
}  // namespace strata::vfs::testing
