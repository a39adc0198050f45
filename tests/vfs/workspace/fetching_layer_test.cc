// A workspace over layers that hold nothing at hand: each directory, each file and each attribute has to come from
// elsewhere (base/fetch.h), may not come, and may have to come again.
#include "fetching_layer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <set>

#include "subject.h"
#include "vfs/check/check.h"
#include "vfs/layer/lower_tree.h"

namespace strata::vfs::testing {
namespace {

// How the layers of a world are.
struct Manner {
  std::string name;
  bool far = true;
  bool immutable = true;
  std::size_t memory_bytes = 16 << 20;
};
void PrintTo(const Manner& manner, std::ostream* out) { *out << manner.name; }
const Manner kPlain{"Plain", false};
const Manner kFar{"Far"};
const Manner kFarAndChanging{"FarAndChanging", true, false};
const Manner kFarAndForgotten{"FarAndForgotten", true, true, 4096};

// A workspace over two layers, and the client that parks.
class World : public FileSystemHolder {
 public:
  explicit World(const Manner& manner) : manner_(manner) {
    std::filesystem::create_directories(none_);
    EXPECT_OK(InitWorkspace(Env::System(), path_, {{.path = none_, .markers = {}}}, 4 << 20));
    options_ = TestOptions();
    options_.layer_recheck_ns = 0;
    options_.memory_bytes = manner.memory_bytes;
    if (manner.memory_bytes < 1 << 20) options_.whole_directory_names = options_.whole_file_extents = 1;
    client.Parks([this](Fetch& fetch) {
      if (give_up_at != 0 && --give_up_at == 0) return false;
      store.Deliver(fetch);
      return true;
    });
    Open();
  }

  FileSystem& fs() override { return *workspace_; }
  Workspace& workspace() { return *workspace_; }
  // Nothing is in memory, nor at hand, afterwards.
  void Reopen() {
    workspace_.reset();
    store.Forget();
    Open();
  }
  std::vector<std::string> Check() {
    workspace_.reset();
    std::vector<std::string> lines;
    const auto report = CheckWorkspaceOver(Env::System(), path_, Layers(), {});
    EXPECT_OK(report);
    if (report) {
      for (const Finding& finding : report->findings) lines.push_back(finding.where + ": " + finding.what);
      EXPECT_EQ(report->damage, 0u);
    }
    Open();
    return lines;
  }

  FarStore store;
  Client client{*this};
  Client waiting{*this};  // does not park: the layer waits itself
  int give_up_at = 0;     // the number of the parking at which a call is given up; 0: none

 private:
  std::vector<std::unique_ptr<Layer>> Layers() {
    const Tree high{DirNode("d"),
                    WithXattrs(FileNode("d/high", "high", 0644, 1, 1), {{"user.of", "high"}}),
                    DirNode("d/sub"),
                    FileNode("d/sub/x", "x"),
                    WhiteoutNode("d/hidden"),
                    FileNode("top", "top")};
    const Tree low{WithXattrs(DirNode("d", 0777), {{"user.of", "low"}}),
                   FileNode("d/low", Pattern(10'000, 1)),
                   FileNode("d/hidden", "hidden"),
                   DirNode("d/sub"),
                   FileNode("d/sub/y", "y"),
                   DirNode("d/sub/deep"),
                   FileNode("d/sub/deep/z", "zzz", 0600),
                   SymlinkNode("d/s", "target"),
                   DirNode("empty"),
                   DirNode("full"),
                   FileNode("full/one", "1"),
                   DirNode("full/dir"),
                   FileNode("full/dir/two", "2"),
                   FileNode("twice", "2"),
                   LinkNode("d/again", "twice"),
                   FileNode("no", "no", 0000)};
    std::vector<std::unique_ptr<Layer>> layers;
    for (const Tree* tree : {&high, &low}) {
      auto layer = MakeLayer(*tree);
      if (manner_.far) {
        layer = std::make_unique<FetchingLayer>(std::move(layer), store, tree == &high ? "high" : "low",
                                                LayerTraits{.immutable = manner_.immutable});
      }
      layers.push_back(std::move(layer));
    }
    return layers;
  }
  void Open() {
    auto opened = Workspace::OpenOver(Env::System(), path_, Layers(), options_);
    ASSERT_OK(opened);
    workspace_ = std::move(*opened);
  }

  const Manner manner_;
  TempFolder folder_;
  const std::string path_ = folder_.path() + "/workspace", none_ = folder_.path() + "/none";
  WorkspaceOptions options_;
  std::unique_ptr<Workspace> workspace_;
};

std::string Words(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += word + ' ';
  return all;
}

// Of what is new it says nothing: a call that starts over may take another one.
std::string Number(InodeNumber ino) {
  return ino != kRootInode && !LowerTree::IsLower(ino) ? "new" : std::to_string(ino.value);
}

// All but the times, which differ from one world to the other where something was changed.
std::string Line(const Attributes& a) {
  return Number(a.ino) + " type " + std::to_string(static_cast<int>(a.type)) + " mode " + std::to_string(a.mode) +
         " nlink " + std::to_string(a.nlink) + " owner " + std::to_string(a.uid) + '.' + std::to_string(a.gid) +
         " size " + std::to_string(a.size) + " used " + std::to_string(a.used);
}

// A result as text: its value, or the name of its error.
std::string Told(const Result<void>& result) {
  return result ? std::string("done") : std::string(ErrcName(result.error().code()));
}
template <typename T>
std::string Told(const Result<T>& result) {
  if (!result) return std::string(ErrcName(result.error().code()));
  if constexpr (std::is_convertible_v<T, std::string>) {
    return *result;
  } else if constexpr (std::is_same_v<T, Attributes>) {
    return Line(*result);
  } else if constexpr (std::is_same_v<T, Entry>) {
    return Line(result->attributes);
  } else if constexpr (std::is_same_v<T, ObjectId>) {
    return Number(result->ino);
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return Words(*result);
  } else {
    return std::to_string(*result);
  }
}

std::string ToldListing(Result<std::vector<Listed>> listed) {
  if (!listed) return std::string(ErrcName(listed.error().code()));
  std::set<std::string> lines;
  for (const Listed& entry : *listed)
    lines.insert(entry.name + ' ' + (entry.attributes ? Line(*entry.attributes) : Number(entry.id.ino)));
  return Words({lines.begin(), lines.end()});
}

// The whole tree as `client` sees it, and how it differs from the layers.
std::string ImageOf(World& world, Client& client) {
  std::string image;
  std::vector<std::string> pending{""};
  while (!pending.empty()) {
    const std::string path = std::move(pending.back());
    pending.pop_back();
    const auto entry = client.Walk(path);
    image += '/' + path + ": " + Told(entry) + ' ';
    if (entry) {
      image += Told(client.ListXattr(entry->id));
      if (entry->attributes.type == FileType::kRegular) image += Told(client.ReadAll(entry->id));
      if (entry->attributes.type == FileType::kSymlink) image += Told(client.ReadLink(entry->id));
      if (entry->attributes.type == FileType::kDirectory) {
        const auto names = client.List(path);
        image += Told(names);
        for (const std::string& name : names.value_or(std::vector<std::string>()))
          pending.push_back(path.empty() ? name : path + '/' + name);
      }
    }
    image += '\n';
  }
  return image + Words(ChangeLines(world.workspace())) + Words(ConflictLines(world.workspace()));
}

struct Step {
  const char* name;
  std::function<std::string(World&, Client&)> run;
};

// Every operation of FileSystem that looks, one after the other over the same tree.
std::vector<Step> Questions() {
  return {
      {"getattr", [](World&, Client& c) { return Told(c.Stat("")); }},
      {"lookup", [](World&, Client& c) { return Told(c.Walk("d/sub/deep/z")); }},
      {"lookup of a merged directory", [](World&, Client& c) { return Told(c.Walk("d/sub")); }},
      {"lookup of what is not there", [](World&, Client& c) { return Told(c.Walk("d/missing")); }},
      {"lookup of what is hidden", [](World&, Client& c) { return Told(c.Walk("d/hidden")); }},
      {"lookup above",
       [](World&, Client& c) {
         const auto sub = c.Id("d/sub");
         return sub ? Told(c.Lookup(*sub, "..")) : Told(sub);
       }},
      {"access",
       [](World&, Client& c) {
         const auto id = c.Id("d/low");
         Client user = c.As(User(1000, 1000));
         return id ? Told(user.Access(*id)) : Told(id);
       }},
      {"readlink", [](World&, Client& c) { return Told(c.ReadLinkAt("d/s")); }},
      {"readlink of a file", [](World&, Client& c) { return Told(c.ReadLinkAt("d/low")); }},
      {"read", [](World&, Client& c) { return Told(c.ReadFile("d/low")); }},
      {"read of a part",
       [](World&, Client& c) -> std::string {
         const auto id = c.Id("d/low");
         if (!id) return Told(id);
         const auto read = c.Read(*id, 9990, 100);
         return read ? read->data + (read->eof ? " eof" : "") : std::string(ErrcName(read.error().code()));
       }},
      {"read of a link", [](World&, Client& c) { return Told(c.ReadFile("d/again")); }},
      {"readdirplus",
       [](World&, Client& c) {
         const auto id = c.Id("d");
         return id ? ToldListing(c.ListAll(*id, 3)) : Told(id);
       }},
      {"readdir",
       [](World&, Client& c) {
         const auto id = c.Id("d/sub");
         return id ? ToldListing(c.ListAll(*id, 2, false)) : Told(id);
       }},
      {"listxattr", [](World&, Client& c) { return Told(c.ListXattrAt("d/high")); }},
      {"getxattr", [](World&, Client& c) { return Told(c.GetXattrAt("d/high", "user.of")); }},
      {"getxattr of what has none", [](World&, Client& c) { return Told(c.GetXattrAt("d/low", "user.of")); }},
  };
}

// And every one that changes something.
std::vector<Step> Orders() {
  return {
      {"chmod", [](World&, Client& c) { return Told(c.Chmod("d/sub/deep/z", 0640)); }},
      {"chown of a directory", [](World&, Client& c) { return Told(c.Chown("d/sub", 7, 8)); }},
      {"chmod of a link", [](World&, Client& c) { return Told(c.Chmod("d/again", 0611)); }},
      {"truncate", [](World&, Client& c) { return Told(c.Truncate("d/low", 9000)); }},
      {"write", [](World&, Client& c) { return Told(c.WriteAt("d/low", 5000, "in the middle")); }},
      {"write by who may not",
       [](World&, Client& c) {
         const auto id = c.Id("d/high");
         Client user = c.As(User(1000, 1000));
         return id ? Told(user.Write(*id, 0, "no")) : Told(id);
       }},
      {"create", [](World&, Client& c) { return Told(c.MakeFile("d/sub/deep/new")); }},
      {"create of what is there", [](World&, Client& c) { return Told(c.MakeFile("d/sub/y")); }},
      {"create over what is hidden", [](World&, Client& c) { return Told(c.WriteFile("d/hidden", "shown")); }},
      {"mkdir", [](World&, Client& c) { return Told(c.Mkdir("d/sub/made")); }},
      {"symlink", [](World&, Client& c) { return Told(c.Symlink("x", "d/sub/link")); }},
      {"mknod",
       [](World&, Client& c) {
         const auto id = c.Id("d/sub");
         return id ? Told(c.MakeNode(*id, "fifo", FileType::kFifo, {})) : Told(id);
       }},
      {"rename", [](World&, Client& c) { return Told(c.RenameAt("d/low", "d/sub/deep/moved")); }},
      {"rename over another", [](World&, Client& c) { return Told(c.RenameAt("d/high", "d/sub/y")); }},
      {"rename of a directory", [](World&, Client& c) { return Told(c.RenameAt("d/sub", "full/sub")); }},
      {"rename over a directory", [](World&, Client& c) { return Told(c.RenameAt("d/sub/deep", "empty")); }},
      {"rename over a full directory", [](World&, Client& c) { return Told(c.RenameAt("empty", "full")); }},
      {"remove", [](World&, Client& c) { return Told(c.Unlink("d/sub/x")); }},
      {"remove of what is not there", [](World&, Client& c) { return Told(c.Unlink("d/missing")); }},
      {"rmdir", [](World&, Client& c) { return Told(c.Rmdir("empty")); }},
      {"rmdir of a full directory", [](World&, Client& c) { return Told(c.Rmdir("d/sub")); }},
      {"link", [](World&, Client& c) { return Told(c.LinkAt("d/sub/deep/z", "d/z")); }},
      {"remove of a link", [](World&, Client& c) { return Told(c.Unlink("twice")); }},
      {"commit",
       [](World&, Client& c) {
         const auto id = c.Id("d/low");
         return id ? Told(c.Commit(*id)) : Told(id);
       }},
  };
}

class FetchingLayers : public ::testing::TestWithParam<Manner> {};
class CallsGivenUp : public FetchingLayers {};

// Runs all steps in one world and says what each told.
std::vector<std::string> RunAll(World& world, Client& client) {
  std::vector<std::string> told;
  // What is to be found has been changed in between; what has been renamed is no longer found.
  for (const auto& steps : {Questions(), Orders(), Questions(), Orders()}) {
    for (const Step& step : steps) told.push_back(step.name + (": " + step.run(world, client)));
  }
  told.push_back(ImageOf(world, client));
  return told;
}

TEST_P(FetchingLayers, EveryOperationGivesWhatItGivesOverPlainLayers) {
  World plain(kPlain), far(GetParam());
  const auto expected = RunAll(plain, plain.client);
  EXPECT_EQ(RunAll(far, far.client), expected);
  EXPECT_GT(far.client.parked(), 50u);
  EXPECT_EQ(plain.client.parked(), 0u);
  const auto check = plain.Check();
  EXPECT_EQ(far.Check(), check);
  plain.Reopen();
  far.Reopen();
  EXPECT_EQ(ImageOf(far, far.client), ImageOf(plain, plain.client));
}

TEST_P(FetchingLayers, ACallThatTakesNoFetchAndMayWaitHasTheLayerWait) {
  World plain(kPlain), far(GetParam());
  EXPECT_EQ(RunAll(far, far.waiting), RunAll(plain, plain.waiting));
  EXPECT_GT(far.store.waits(), 50);
  EXPECT_EQ(far.client.parked(), 0u);
  EXPECT_EQ(far.waiting.parked(), 0u);
}

TEST_P(FetchingLayers, ACallParksOnceForEachThingItLacks) {
  World far(GetParam());
  for (const auto& steps : {Questions(), Orders()}) {
    for (const Step& step : steps) {
      SCOPED_TRACE(step.name);
      far.store.Forget();
      const std::uint64_t parked = far.client.parked();
      const int started = far.store.started();
      step.run(far, far.client);
      EXPECT_EQ(far.client.parked() - parked, static_cast<std::uint64_t>(far.store.started() - started));
    }
  }
}

// Wherever a call is given up, nothing of it is to be seen.
TEST_P(CallsGivenUp, ACallThatHasToComeAgainHasChangedNothing) {
  int given_up = 0;
  World untouched(kPlain);
  const std::string before = ImageOf(untouched, untouched.client);
  for (const Step& step : Orders()) {
    SCOPED_TRACE(step.name);
    World plain(kPlain), far(GetParam());
    const std::string expected = step.run(plain, plain.client);
    const std::string after = ImageOf(plain, plain.client);
    // All of the first and some of the last: each costs a workspace that is opened anew.
    for (int at = 1;; at += at < 3 ? 1 : 4) {
      far.Reopen();
      far.give_up_at = at;
      const std::string told = step.run(far, far.client);
      if (std::exchange(far.give_up_at, 0) != 0) {
        EXPECT_EQ(told, expected);
        EXPECT_EQ(ImageOf(far, far.client), after);
        break;
      }
      ++given_up;
      EXPECT_EQ(told, ErrcName(Errc::kWouldBlock)) << at;
      ASSERT_EQ(ImageOf(far, far.client), before) << at;
    }
  }
  EXPECT_GT(given_up, 50);
}

TEST_P(FetchingLayers, AFailedFetchIsSeenOnceAsAnErrorAndRememberedNowhere) {
  int all_errors = 0;
  const auto run = [&](const Step& step, World& plain, World& far) {
    SCOPED_TRACE(step.name);
    const std::string expected = step.run(plain, plain.client);
    far.store.fail_the_first_time = true;
    const int failed_before = far.store.failures();
    int errors = 0;
    std::string told;
    while ((told = step.run(far, far.client)) == ErrcName(Errc::kIo) && errors < 100) ++errors;
    far.store.fail_the_first_time = false;
    EXPECT_EQ(told, expected);
    const int failed = far.store.failures() - failed_before;
    // Where all is forgotten at once, a call that starts over may want another thing first, and comes to this one anew.
    if (GetParam().name == kFarAndForgotten.name) {
      EXPECT_LE(errors, failed);
    } else {
      EXPECT_EQ(errors, failed) << "each failed fetch is one error";
    }
    all_errors += errors;
  };
  World plain(kPlain), far(GetParam());
  for (const Step& step : Questions()) {
    far.Reopen();
    run(step, plain, far);
  }
  for (const Step& step : Orders()) {
    World changed_plain(kPlain), changed_far(GetParam());
    run(step, changed_plain, changed_far);
    EXPECT_EQ(ImageOf(changed_far, changed_far.client), ImageOf(changed_plain, changed_plain.client)) << step.name;
  }
  EXPECT_GT(all_errors, 100);
}

std::string NameOfManner(const ::testing::TestParamInfo<Manner>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Of, FetchingLayers, ::testing::Values(kFar, kFarAndChanging, kFarAndForgotten), NameOfManner);
INSTANTIATE_TEST_SUITE_P(Of, CallsGivenUp, ::testing::Values(kFarAndChanging, kFarAndForgotten), NameOfManner);

TEST(FetchingLayersTest, ACallThatMayNotWaitAndTakesNoFetchIsToldToComeWhereItMay) {
  World far(kFar);
  EXPECT_CODE(far.workspace().Lookup({.credentials = {}, .may_block = false}, far.client.Root(), "top", nullptr),
              Errc::kWouldBlock);
  EXPECT_EQ(far.store.waits(), 0 + far.store.started() - 1) << "all but this one were waited for, by the opening";
}

TEST(FetchingLayersTest, WhatIsInMemoryIsServedThoughTheStoreIsGone) {
  World far(kFar);
  const std::string image = ImageOf(far, far.client);
  far.store.Forget();
  const int started = far.store.started();
  for (const Step& step : Questions()) {
    // Neither bytes nor extended attributes are remembered.
    const std::string_view name = step.name;
    if (name.starts_with("read") || name.find("xattr") != name.npos) continue;
    step.run(far, far.client);
  }
  EXPECT_OK(far.client.List("d"));
  EXPECT_OK(far.client.ReadLinkAt("d/s"));
  EXPECT_EQ(far.store.started(), started)
      << far.store.last() << ": an immutable layer is not asked again for what is remembered of it";
}

// Where a layer may change its file is asked for anew; where it never does, that would go on for ever.
TEST(FetchingLayersTest, AFileThatIsShorterThanItsLayerSaysIsAnErrorWhereLayersNeverChange) {
  for (const Manner& manner : {kFar, kFarAndChanging}) {
    World far(manner);
    far.store.short_by = 1;
    EXPECT_CODE(far.client.ReadFile("d/low"), manner.immutable ? Errc::kIo : Errc::kJukebox);
    far.store.short_by = 0;
    EXPECT_EQ(far.client.ReadFile("d/low").value_or("failed").size(), 10'000u);
  }
}

TEST(FetchingLayersTest, AThingThatSeveralCallsWantIsFetchedOnce) {
  World far(kFar);
  std::vector<std::shared_ptr<Fetch>> fetches(3);
  const ObjectId root = far.client.Root();
  for (auto& fetch : fetches) {
    const OpContext context{.credentials = {}, .may_block = false, .fetch = &fetch};
    EXPECT_CODE(far.workspace().Lookup(context, root, "top", nullptr), Errc::kWouldBlock);
    ASSERT_NE(fetch, nullptr);
    EXPECT_EQ(fetch, fetches[0]);
  }
  EXPECT_EQ(fetches[0]->key(), "high directory 1");
}

}  // namespace
}  // namespace strata::vfs::testing
