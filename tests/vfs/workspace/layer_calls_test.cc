// What a workspace asks of its layers, and what becomes of it when they fail.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Counts the calls; one of them may fail.
class WatchedLayer : public Layer {
 public:
  struct Watch {
    std::map<std::string, int> calls;
    int all = 0;
    int fail_at = 0;  // the number of the call; 0: none
    Errc error = Errc::kIo;
  };
  WatchedLayer(std::unique_ptr<Layer> inner, Watch& watch, LayerTraits traits = {})
      : inner_(std::move(inner)), watch_(watch), traits_(traits) {}

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return inner_->Root(); }
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) override {
    STRATA_TRY(Note("stat"));
    return inner_->Stat(context, node);
  }
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override {
    STRATA_TRY(Note("lookup"));
    return inner_->Lookup(context, directory, name);
  }
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override {
    STRATA_TRY(Note("list"));
    return inner_->ReadDirectory(context, directory, visit);
  }
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override {
    if (!context.may_block) return Fail(Errc::kWouldBlock);
    STRATA_TRY(Note("read"));
    return inner_->Read(context, node, offset, length, expected, sink);
  }
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) override {
    STRATA_TRY(Note("readlink"));
    return inner_->ReadLink(context, node);
  }
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node) override {
    STRATA_TRY(Note("path"));
    return inner_->PathOf(context, node);
  }
  std::string Describe() const override { return "watched"; }

 private:
  Result<void> Note(const char* call) {
    ++watch_.calls[call];
    if (++watch_.all == watch_.fail_at) return Fail(watch_.error);
    return {};
  }

  std::unique_ptr<Layer> inner_;
  Watch& watch_;
  const LayerTraits traits_;
};

// A workspace over two watched layers.
class LayerCalls : public ::testing::Test, public FileSystemHolder {
 protected:
  LayerCalls() {
    options_ = TestOptions();
    options_.layer_recheck_ns = 0;
  }
  void Open(const LayerTraits& traits = {}, bool anew = true) {
    workspace_.reset();
    if (anew) {
      std::filesystem::remove_all(path_);
      std::filesystem::create_directories(none_);
      EXPECT_OK(InitWorkspace(Env::System(), path_, {{.path = none_, .markers = {}}}, 4 << 20));
    }
    const Tree high{DirNode("d"), FileNode("d/high", "high"), DirNode("d/sub"), FileNode("d/sub/x", "x")};
    const Tree low{DirNode("d"),
                   FileNode("d/low", "low, longer"),
                   DirNode("d/sub"),
                   FileNode("d/sub/y", "y"),
                   SymlinkNode("d/s", "t"),
                   FileNode("twice", "2"),
                   LinkNode("d/again", "twice")};
    std::vector<std::unique_ptr<Layer>> layers;
    layers.push_back(std::make_unique<WatchedLayer>(MakeLayer(high), watch_, traits));
    layers.push_back(std::make_unique<WatchedLayer>(MakeLayer(low), watch_, traits));
    auto opened = Workspace::OpenOver(Env::System(), path_, std::move(layers), options_);
    ASSERT_OK(opened);
    workspace_ = std::move(*opened);
  }
  FileSystem& fs() override { return *workspace_; }

  TempFolder folder_;
  const std::string path_ = folder_.path() + "/workspace", none_ = folder_.path() + "/none";
  WorkspaceOptions options_;
  WatchedLayer::Watch watch_;
  std::unique_ptr<Workspace> workspace_;
  Client client_{*this};
};

TEST_F(LayerCalls, ALookupOfADirectoryOfSeveralLayersListsNothing) {
  Open();
  EXPECT_OK(client_.Stat("d"));
  EXPECT_OK(client_.Stat("d/sub"));
  EXPECT_EQ(client_.StatOf("d").nlink, 1u) << "not counted (spec nfsv3 4.4)";
  EXPECT_EQ(watch_.calls["list"], 0);
  ASSERT_OK(client_.WriteFile("d/sub/new", "x"));
  ASSERT_OK(client_.Mkdir("d/more"));
  EXPECT_EQ(watch_.calls["list"], 0);
  EXPECT_THAT(client_.List("d/sub").value(), ElementsAre("new", "x", "y"));
}

TEST_F(LayerCalls, LayersThatNeverChangeAreAskedOnce) {
  Open({.immutable = true});
  const auto look = [&] {
    EXPECT_OK(client_.Stat("d/sub/x"));
    EXPECT_OK(client_.Stat("d/low"));
    EXPECT_CODE(client_.Stat("d/missing"), Errc::kNotFound);
    EXPECT_OK(client_.List("d"));
    EXPECT_EQ(client_.ReadLinkAt("d/s").value(), "t");
  };
  look();
  const int before = watch_.all;
  look();
  EXPECT_EQ(watch_.all, before);
  const std::uint64_t blocked = client_.blocked();
  look();
  EXPECT_EQ(client_.blocked(), blocked);
  Open();
  look();
  const int asked = watch_.all;
  look();
  EXPECT_GT(watch_.all, asked) << "others are, again";
}

// Each call of a workload fails in turn, with each error that says nothing of the tree: it is answered with that error
// or as if nothing had been, and once the failure has passed everything is as it would be without.
TEST_F(LayerCalls, AFailureThatPassesLeavesNothingBehind) {
  const auto describe = [](const Result<Attributes>& a) {
    if (!a) return std::string(ErrcName(a.error().code()));
    return std::to_string(a->ino.value) + ' ' + std::to_string(static_cast<int>(a->type)) + ' ' +
           std::to_string(a->size) + ' ' + std::to_string(a->nlink);
  };
  const auto text = [](const auto& result) {
    return result ? std::string(*result) : std::string(ErrcName(result.error().code()));
  };
  // Everything that can be asked, by name and by handle.
  ObjectId kept;
  const std::vector<std::function<std::string()>> questions = {
      [&] { return describe(client_.Stat("d")); },
      [&] { return describe(client_.Stat("d/sub")); },
      [&] { return describe(client_.Stat("d/missing")); },
      [&] { return describe(client_.Stat("d/low")); },
      [&] { return describe(client_.Get(kept)); },
      [&] { return text(client_.ReadFile("d/low")); },
      [&] { return text(client_.ReadFile("d/high")); },
      [&] { return text(client_.ReadFile("d/sub/y")); },
      [&] { return text(client_.ReadFile("d/again")); },
      [&] { return text(client_.ReadLinkAt("d/s")); },
      [&] {
        auto names = client_.List("d");
        if (!names) return std::string(ErrcName(names.error().code()));
        std::string all;
        for (const std::string& name : *names) all += name + ' ';
        return all;
      },
      [&] {
        auto changes = workspace_->Changes();
        if (!changes) return std::string(ErrcName(changes.error().code()));
        std::string all;
        for (const PathChange& change : *changes)
          all += change.path + std::to_string(static_cast<int>(change.kind)) + ' ';
        return all;
      },
      [&] {
        auto conflicts = workspace_->Conflicts();
        return conflicts ? std::to_string(conflicts->size()) : std::string(ErrcName(conflicts.error().code()));
      },
  };
  Open();
  kept = client_.IdOf("d/sub/y");
  ASSERT_OK(client_.WriteAt("d/low", 3, "!"));
  ASSERT_OK(client_.WriteAt("twice", 1, "+"));
  ASSERT_OK(client_.WriteFile("d/sub/own", "own"));
  ASSERT_OK(client_.RenameAt("d/high", "d/moved"));
  ASSERT_OK(client_.LinkAt("d/moved", "d/high"));
  Open({}, false);
  std::vector<std::string> expected;
  for (const auto& question : questions) expected.push_back(question());
  int failures = 0;
  for (const Errc error : {Errc::kIo, Errc::kNoDevice, Errc::kInvalid, Errc::kAccess}) {
    for (int at = 1;; ++at) {
      Open({}, false);
      SCOPED_TRACE("call " + std::to_string(at) + ' ' + std::string(ErrcName(error)));
      watch_.all = 0;
      watch_.fail_at = at;
      watch_.error = error;
      for (std::size_t i = 0; i < questions.size(); ++i) {
        const std::string answer = questions[i]();
        // A walk goes on without what may not be read.
        const bool passed_over = error == Errc::kAccess && i >= questions.size() - 2;
        if (answer != expected[i] && !passed_over) {
          EXPECT_EQ(answer, ErrcName(error)) << i;
          ++failures;
        }
      }
      const bool through = watch_.all < at;
      watch_.fail_at = 0;
      for (std::size_t i = 0; i < questions.size(); ++i) EXPECT_EQ(questions[i](), expected[i]) << i;
      if (through || HasFailure()) break;
    }
  }
  EXPECT_GT(failures, 100) << "the failures were seen";
}

// Shows the directory `real` also as `alias/b`, as a bind mount does.
class TwiceLayer : public WatchedLayer {
 public:
  TwiceLayer(std::unique_ptr<Layer> inner, Watch& watch) : WatchedLayer(std::move(inner), watch) {
    real_ = WatchedLayer::Lookup(kBackground, Root(), "real")->node.id;
    alias_ = WatchedLayer::Lookup(kBackground, Root(), "alias")->node.id;
  }
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override {
    if (directory.id == alias_ && name == "b") return WatchedLayer::Lookup(context, Root(), "real");
    return WatchedLayer::Lookup(context, directory, name);
  }
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override {
    if (directory.id != alias_) return WatchedLayer::ReadDirectory(context, directory, visit);
    visit({"b", {real_, alias_}, FileType::kDirectory, false});
    return {};
  }

 private:
  std::uint64_t real_ = 0, alias_ = 0;
};

TEST_F(LayerCalls, ADirectoryThatIsShownTwiceCanBeRemovedAtBothPlaces) {
  for (const bool attributes : {false, true}) {
    Open();
    workspace_.reset();
    std::vector<std::unique_ptr<Layer>> layers;
    layers.push_back(std::make_unique<TwiceLayer>(
        MakeLayer({DirNode("alias"), DirNode("real"), FileNode("real/r", "real")}), watch_));
    auto opened = Workspace::OpenOver(Env::System(), path_, std::move(layers), options_);
    ASSERT_OK(opened);
    workspace_ = std::move(*opened);
    EXPECT_EQ(client_.ReadFile("real/r").value(), "real");
    EXPECT_EQ(client_.ReadFile("alias/b/r").value(), "real");
    const ObjectId alias = client_.IdOf("alias");
    ASSERT_OK(client_.Unlink("alias/b/r"));
    EXPECT_THAT(client_.List("real").value(), IsEmpty());
    ASSERT_OK(client_.Rmdir("alias/b"));
    // It may be gone or empty at the other place, and can be removed there.
    if (auto listed = client_.List("real")) {
      EXPECT_THAT(*listed, IsEmpty());
      EXPECT_OK(client_.Rmdir("real"));
    }
    EXPECT_CODE(client_.Stat("real"), Errc::kNotFound);
    EXPECT_OK(client_.ListAll(client_.Root(), 10, attributes));
    EXPECT_OK(client_.ListAll(alias, 10, attributes));
    EXPECT_OK(client_.Rmdir("alias"));
    ASSERT_OK(client_.Mkdir("real"));
    ASSERT_OK(client_.Mkdir("alias"));
    EXPECT_THAT(client_.List("real").value(), IsEmpty());
  }
}

}  // namespace
}  // namespace strata::vfs::testing
