// What a workspace's layers were resolved to: it is kept, it must be the same at each opening, and --rebase takes
// another over. The kind that resolves here is one of the test's own: names of trees in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "subject.h"
#include "tests/base/fault_env.h"
#include "vfs/check/check.h"

namespace strata::vfs::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Trees by name, each in an edition, which is what its name resolves to.
struct Shelf {
  struct Book {
    std::string edition;
    Tree tree;
  };
  std::map<std::string, Book> books;
  int opened = 0;

  LayerOpeners Openers() {
    LayerOpeners openers;
    openers.Set(LayerKind::kCastore, [this](const LayerSpec& spec, const LayerOptions&) -> Result<OpenedLayer> {
      const auto book = books.find(spec.root);
      if (book == books.end()) return Fail(Errc::kNotFound, "there is no tree of that name");
      ++opened;
      return OpenedLayer{MakeLayer(book->second.tree), {.kind = "edition", .value = book->second.edition}};
    });
    return openers;
  }
};

class Held final : public FileSystemHolder {
 public:
  explicit Held(std::unique_ptr<Workspace> workspace) : workspace_(std::move(workspace)) {}
  FileSystem& fs() override { return *workspace_; }

 private:
  std::unique_ptr<Workspace> workspace_;
};

class Rebase : public ::testing::Test {
 protected:
  void SetUp() override {
    shelf_.books["web"] = {"first", {FileNode("a", "one"), DirNode("d"), FileNode("d/f", "old")}};
    shelf_.books["base"] = {"only", {FileNode("b", "beneath")}};
    ASSERT_OK(InitWorkspace(Env::System(), path(), {Spec("web"), Spec("base")}, 1 << 20, openers_));
  }
  static LayerSpec Spec(const std::string& name) {
    return {.kind = LayerKind::kCastore, .root = name, .store = "/shelf"};
  }
  std::string path() const { return folder_.path() + "/ws"; }
  WorkspaceOptions Options(bool rebase = false) const {
    WorkspaceOptions options = TestOptions();
    options.openers = &openers_;
    options.rebase = rebase;
    return options;
  }
  Result<std::unique_ptr<Workspace>> Open(bool rebase = false, Env& env = Env::System()) const {
    return Workspace::Open(env, path(), Options(rebase));
  }
  void Change(const std::function<void(Client&)>& change) {
    auto opened = Open();
    ASSERT_OK(opened);
    Held held(std::move(*opened));
    Client client(held);
    change(client);
  }
  std::string Content(const std::string& file) {
    auto opened = Open();
    if (!opened) return opened.error().ToString();
    Held held(std::move(*opened));
    Client client(held);
    return Text(client, file);
  }
  void PublishSecond() {
    shelf_.books["web"] = {"second", {FileNode("0", ""), FileNode("a", "two"), DirNode("d"), FileNode("d/f", "new")}};
  }
  std::string Kept() const {
    return ReadWholeFile(Env::System(), WorkspaceConfigPath(path()), 1 << 20).value_or("none");
  }

  TempFolder folder_;
  Shelf shelf_;
  const LayerOpeners openers_ = shelf_.Openers();
};

TEST_F(Rebase, WhatALayerWasResolvedToIsKept) {
  const auto config = LoadWorkspaceConfig(Env::System(), path());
  ASSERT_OK(config);
  ASSERT_EQ(config->layers.size(), 2u);
  EXPECT_EQ(config->layers[0].spec, Spec("web"));
  EXPECT_EQ(config->layers[0].resolution, (Resolution{"edition", "first"}));
  EXPECT_EQ(config->layers[1].resolution, (Resolution{"edition", "only"}));
  EXPECT_EQ(Content("a"), "one");
}

TEST_F(Rebase, AnotherResolutionIsRefusedWithBothAndTheHint) {
  PublishSecond();
  const std::string before = Kept();
  for (const bool read_only : {false, true}) {
    for (const bool rebase : {false, true}) {
      if (rebase && !read_only) continue;
      WorkspaceOptions options = Options(rebase);
      options.read_only = read_only;
      const auto opened = Workspace::Open(Env::System(), path(), options);
      ASSERT_FALSE(opened);
      EXPECT_CODE(opened, Errc::kInvalid);
      EXPECT_THAT(std::string(opened.error().message()),
                  AllOf(HasSubstr("castore:web@/shelf"), HasSubstr("edition first"), HasSubstr("edition second"),
                        HasSubstr(path() + " --rebase")));
    }
  }
  EXPECT_EQ(Kept(), before);
  shelf_.books["web"].edition = "first";
  EXPECT_OK(Open());
}

TEST_F(Rebase, ACheckTellsOfAnotherResolution) {
  CheckOptions options;
  options.openers = &openers_;
  EXPECT_FALSE(CheckWorkspace(Env::System(), path(), options)->damaged());
  PublishSecond();
  const auto report = CheckWorkspace(Env::System(), path(), options);
  ASSERT_OK(report);
  ASSERT_EQ(report->damage, 1u);
  EXPECT_EQ(report->findings[0].where, "castore:web@/shelf");
  EXPECT_THAT(report->findings[0].what,
              AllOf(HasSubstr("edition first"), HasSubstr("edition second"), HasSubstr("--rebase")));
}

TEST_F(Rebase, TheNewResolutionIsTakenOverForGood) {
  Change([](Client& client) {
    ASSERT_OK(client.WriteFile("mine", "kept"));
    ASSERT_OK(client.Mkdir("own"));
  });
  PublishSecond();
  ASSERT_OK(Open(true));
  EXPECT_EQ(LoadWorkspaceConfig(Env::System(), path())->layers[0].resolution, (Resolution{"edition", "second"}));
  EXPECT_EQ(Content("a"), "two");
  EXPECT_EQ(Content("d/f"), "new");
  EXPECT_EQ(Content("b"), "beneath");
  EXPECT_EQ(Content("mine"), "kept");
}

TEST_F(Rebase, ARebaseWithNothingNewWritesNothing) {
  const std::string before = Kept();
  FaultEnv env;
  env.FailAfter(FaultEnv::kRename, 0, Errc::kIo, true);
  ASSERT_OK(Open(true, env));
  EXPECT_EQ(Kept(), before);
}

TEST_F(Rebase, WhatWasChangedOverALayerKeepsItFromBeingReplaced) {
  const std::vector<std::function<void(Client&)>> changes = {
      [](Client& client) { ASSERT_OK(client.WriteAt("a", 1, "X")); },
      [](Client& client) { ASSERT_OK(client.WriteFile("d/new", "")); },
      [](Client& client) { ASSERT_OK(client.Unlink("d/f")); },
      [](Client& client) { ASSERT_OK(client.RenameAt("d", "e")); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SCOPED_TRACE(i);
    Change(changes[i]);
    const Shelf::Book first = shelf_.books["web"];
    PublishSecond();
    const std::string before = Kept();
    const auto opened = Open(true);
    ASSERT_FALSE(opened);
    EXPECT_CODE(opened, Errc::kNotEmpty);
    EXPECT_THAT(std::string(opened.error().message()), AllOf(HasSubstr(path()), HasSubstr("nothing was changed")));
    EXPECT_EQ(Kept(), before);
    shelf_.books["web"] = first;
    EXPECT_OK(Open());
    std::filesystem::remove_all(path());
    ASSERT_OK(InitWorkspace(Env::System(), path(), {Spec("web"), Spec("base")}, 1 << 20, openers_));
  }
}

TEST_F(Rebase, WhatWasChangedOverAnotherLayerDoesNot) {
  Change([](Client& client) { ASSERT_OK(client.WriteAt("b", 0, "X")); });
  PublishSecond();
  ASSERT_OK(Open(true));
  EXPECT_EQ(Content("b"), "Xeneath");
  EXPECT_EQ(Content("a"), "two");
}

// Before or after, at each step at which the process may die or the power go.
TEST_F(Rebase, ARebaseThatIsCutShortLeavesTheOldOrTheNew) {
  PublishSecond();
  const std::string before = Kept();
  int steps = 0, old_kept = 0;
  for (bool stopped = true; stopped; ++steps) {
    ASSERT_LT(steps, 200);
    std::filesystem::remove(WorkspaceConfigPath(path()) + ".new");
    ASSERT_OK(ReplaceFile(Env::System(), WorkspaceConfigPath(path()), before));
    FaultEnv env;
    env.StopAfter(steps + 1);
    {
      const auto opened = Open(true, env);
    }
    stopped = env.stopped();
    env.PowerLoss(static_cast<std::uint32_t>(steps), 500);
    const auto config = LoadWorkspaceConfig(Env::System(), path());
    ASSERT_OK(config);
    const Resolution& kept = config->layers[0].resolution;
    if (kept.value == "first") ++old_kept;
    EXPECT_TRUE(kept.value == "first" || kept.value == "second") << kept.Text();
    EXPECT_EQ(kept.value == "first", Kept() == before);
  }
  EXPECT_GT(old_kept, 3);
  EXPECT_LT(old_kept, steps);
}

TEST_F(Rebase, ALayerThatCannotBeOpenedIsNamed) {
  shelf_.books.erase("base");
  const auto opened = Open(true);
  ASSERT_FALSE(opened);
  EXPECT_CODE(opened, Errc::kNotFound);
  EXPECT_THAT(std::string(opened.error().message()), HasSubstr("castore:base@/shelf"));
}

TEST(Openers, ALayerThatCannotBeOpenedIsNamedByItsSpec) {
  TempFolder folder;
  const LayerSpec spec{.kind = LayerKind::kCastore, .root = "a", .store = folder.path() + "/missing", .at = "/x"};
  const auto opened = LayerOpeners::Default().Open(spec, {});
  ASSERT_FALSE(opened);
  EXPECT_CODE(opened, Errc::kNotFound);
  EXPECT_THAT(std::string(opened.error().message()), HasSubstr(FormatLayerSpec(spec)));
}

}  // namespace
}  // namespace strata::vfs::testing
