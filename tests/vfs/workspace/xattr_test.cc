// Extended attributes through a workspace: those of the layers, to whoever may read them, for as long as the object
// lives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "subject.h"

namespace strata::vfs::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Xattrs = std::map<std::string, std::string, std::less<>>;

const Credentials kOwner = User(1000, 1000), kGroup = User(1001, 1000), kOther = User(1002, 1002);

class WorkspaceXattrs : public ::testing::Test {
 protected:
  static std::vector<Tree> Layers() {
    const Xattrs of_file{{"user.a", "1"}, {"user.b", ""}, {"trusted.t", "secret"}, {"security.s", "label"}};
    return {{WithXattrs(DirNode("d"), {{"user.of", "high"}}), WithXattrs(FileNode("d/high", "h"), {{"user.h", "h"}}),
             WithXattrs(FileNode("d/both", "both"), {{"user.top", "top"}})},
            {WithXattrs(DirNode("d", 0777), {{"user.of", "low"}, {"user.low", "low"}}),
             WithXattrs(FileNode("d/f", "f", 0640, 1000, 1000), of_file),
             WithXattrs(FileNode("d/both", "below"), {{"user.below", "below"}}),
             WithXattrs(DirNode("low", 0700, 1000, 1000), {{"user.l", "l"}}),
             WithXattrs(FileNode("low/x", "x"), of_file), FileNode("bare", "bare"), SymlinkNode("s", "d/f")}};
  }

  WorkspaceSubject subject_{Layers(), TestOptions()};
  Client root_{subject_};
};

TEST_F(WorkspaceXattrs, AreThoseOfTheLayerInTheOrderOfTheirBytes) {
  EXPECT_THAT(root_.ListXattrAt("d/f").value(), ElementsAre("security.s", "trusted.t", "user.a", "user.b"));
  EXPECT_EQ(root_.GetXattrAt("d/f", "user.a").value(), "1");
  EXPECT_EQ(root_.GetXattrAt("d/f", "user.b").value(), "");
  EXPECT_CODE(root_.GetXattrAt("d/f", "user.c"), Errc::kNotFound);
  EXPECT_CODE(root_.GetXattrAt("d/f", ""), Errc::kNotFound);
  EXPECT_THAT(root_.ListXattrAt("bare").value(), IsEmpty());
  EXPECT_CODE(root_.GetXattrAt("bare", "user.a"), Errc::kNotFound);
  EXPECT_THAT(root_.ListXattrAt("s").value(), IsEmpty()) << "not those of what it points to";
}

TEST_F(WorkspaceXattrs, OfWhatSeveralLayersHoldTheHighestCounts) {
  EXPECT_THAT(root_.ListXattrAt("d").value(), ElementsAre("user.of"));
  EXPECT_EQ(root_.GetXattrAt("d", "user.of").value(), "high");
  EXPECT_CODE(root_.GetXattrAt("d", "user.low"), Errc::kNotFound);
  EXPECT_THAT(root_.ListXattrAt("d/both").value(), ElementsAre("user.top"));
}

TEST_F(WorkspaceXattrs, AreShownToWhoMayReadThem) {
  const ObjectId file = root_.IdOf("d/f"), directory = root_.IdOf("low");
  for (const Credentials& reader : {kOwner, kGroup}) {
    Client client = root_.As(reader);
    EXPECT_THAT(client.ListXattr(file).value(), ElementsAre("security.s", "user.a", "user.b"));
    EXPECT_EQ(client.GetXattr(file, "user.a").value(), "1");
    EXPECT_CODE(client.GetXattr(file, "trusted.t"), Errc::kAccess);
    EXPECT_CODE(client.GetXattr(file, "trusted.none"), Errc::kAccess) << "nor whether there is one";
  }
  Client other = root_.As(kOther);
  EXPECT_THAT(other.ListXattr(file).value(), ElementsAre("security.s"));
  EXPECT_EQ(other.GetXattr(file, "security.s").value(), "label");
  EXPECT_CODE(other.GetXattr(file, "user.a"), Errc::kAccess);
  EXPECT_CODE(other.GetXattr(directory, "user.l"), Errc::kAccess);
  EXPECT_EQ(root_.As(kOwner).GetXattr(directory, "user.l").value(), "l");
  // The mode that counts is the one of now.
  ASSERT_OK(root_.Chmod("d/f", 0604));
  EXPECT_CODE(root_.As(kGroup).GetXattr(file, "user.a"), Errc::kAccess);
  EXPECT_EQ(other.GetXattr(file, "user.a").value(), "1");
  ASSERT_OK(root_.Chown("d/f", 1002, {}));
  EXPECT_CODE(root_.As(kOwner).GetXattr(file, "user.a"), Errc::kAccess) << "whose group it still is";
}

// Overlay X12.
TEST_F(WorkspaceXattrs, X12_WhatIsChangedOrMovedHereKeepsThoseOfItsOrigin) {
  const auto expect_kept = [&](const char* path) {
    EXPECT_THAT(root_.ListXattrAt(path).value(), ElementsAre("security.s", "trusted.t", "user.a", "user.b")) << path;
    EXPECT_EQ(root_.GetXattrAt(path, "user.a").value(), "1") << path;
  };
  ASSERT_OK(root_.Chmod("d/f", 0600));
  expect_kept("d/f");
  ASSERT_OK(root_.WriteAt("d/f", 0, "other bytes"));
  ASSERT_OK(root_.Truncate("d/f", 0));
  expect_kept("d/f");
  ASSERT_OK(root_.RenameAt("d/f", "moved"));
  expect_kept("moved");
  ASSERT_OK(root_.LinkAt("moved", "d/linked"));
  expect_kept("d/linked");
  ASSERT_OK(root_.RenameAt("low", "d/low"));
  EXPECT_EQ(root_.GetXattrAt("d/low", "user.l").value(), "l");
  expect_kept("d/low/x");
  ASSERT_OK(root_.WriteFile("d/new", "a merged directory that was changed"));
  EXPECT_EQ(root_.GetXattrAt("d", "user.of").value(), "high");
  for (const bool checkpoint : {true, false}) {
    if (checkpoint) subject_.Checkpoint();
    subject_.Restart();
    expect_kept("moved");
    expect_kept("d/linked");
    expect_kept("d/low/x");
    EXPECT_EQ(root_.GetXattrAt("d", "user.of").value(), "high");
    EXPECT_EQ(root_.GetXattrAt("d/low", "user.l").value(), "l");
  }
}

TEST_F(WorkspaceXattrs, WhatIsNewHasNone) {
  ASSERT_OK(root_.WriteFile("new", "n"));
  ASSERT_OK(root_.Mkdir("dir"));
  ASSERT_OK(root_.Symlink("d/f", "link"));
  // In place of what had some.
  ASSERT_OK(root_.Unlink("d/f"));
  ASSERT_OK(root_.WriteFile("d/f", "another"));
  ASSERT_OK(root_.RenameAt("new", "d/high"));
  for (const bool restarted : {false, true}) {
    if (restarted) subject_.Restart();
    for (const char* path : {"dir", "link", "d/f", "d/high"}) {
      EXPECT_THAT(root_.ListXattrAt(path).value(), IsEmpty()) << path;
      EXPECT_CODE(root_.GetXattrAt(path, "user.a"), Errc::kNotFound);
    }
  }
}

TEST_F(WorkspaceXattrs, OfWhatIsRemovedThereIsNothingToAsk) {
  for (const bool changed_before : {false, true}) {
    const char* path = changed_before ? "d/f" : "d/high";
    const ObjectId id = root_.IdOf(path);
    if (changed_before) {
      ASSERT_OK(root_.Chmod(path, 0666));
    }
    ASSERT_OK(root_.Unlink(path));
    EXPECT_CODE(root_.ListXattr(id), Errc::kStale);
    EXPECT_CODE(root_.GetXattr(id, "user.a"), Errc::kStale);
  }
  const ObjectId never{InodeNumber(1u << 20), Generation(3), 0};
  EXPECT_CODE(root_.ListXattr(never), Errc::kStale);
  EXPECT_CODE(root_.GetXattr(never, "user.a"), Errc::kStale);
}

TEST_F(WorkspaceXattrs, AWorkspaceWithoutLayersHasNone) {
  WorkspaceSubject subject({}, TestOptions());
  Client client(subject);
  ASSERT_OK(client.WriteFile("f", "f"));
  EXPECT_THAT(client.ListXattrAt("").value(), IsEmpty());
  EXPECT_THAT(client.ListXattrAt("f").value(), IsEmpty());
  EXPECT_CODE(client.GetXattrAt("f", "user.a"), Errc::kNotFound);
}

// What was changed here lives on when its origin goes; then nothing tells its extended attributes any more.
TEST(HostXattrs, OfWhatOutlivedItsOriginAreNone) {
  TempFolder folder;
  const std::string lower = folder.path() + "/lower", path = folder.path() + "/workspace";
  BuildHostFolder(lower, {FileNode("f", "f"), FileNode("g", "g"), DirNode("d"), FileNode("d/x", "x")});
  const auto set = [&](const std::string& name) {
    return ::lsetxattr((lower + '/' + name).c_str(), "user.a", "1", 1, 0) == 0;
  };
  if (!set("f") || !set("g") || !set("d")) {
    GTEST_SKIP() << folder.path() << " has no extended attributes: " << std::strerror(errno);
  }
  struct Holder : FileSystemHolder {
    FileSystem& fs() override { return *workspace; }
    std::unique_ptr<Workspace> workspace;
  } holder;
  ASSERT_OK(InitWorkspace(Env::System(), path, {{.path = lower, .markers = {}}}, 4 << 20));
  WorkspaceOptions options = TestOptions();
  options.layer_recheck_ns = 0;
  auto opened = Workspace::Open(Env::System(), path, options);
  ASSERT_OK(opened);
  holder.workspace = std::move(*opened);
  Client client(holder);
  ASSERT_OK(client.Chmod("f", 0600));
  ASSERT_OK(client.WriteFile("d/new", "new"));
  const ObjectId file = client.IdOf("f"), directory = client.IdOf("d"), gone = client.IdOf("g");
  for (const ObjectId& id : {file, directory, gone}) EXPECT_EQ(client.GetXattr(id, "user.a").value_or("none"), "1");
  std::filesystem::remove(lower + "/f");
  std::filesystem::remove(lower + "/g");
  std::filesystem::remove_all(lower + "/d");
  for (const ObjectId& id : {file, directory}) {
    EXPECT_OK(client.Get(id));
    EXPECT_THAT(client.ListXattr(id).value_or(std::vector<std::string>{"failed"}), IsEmpty());
    EXPECT_CODE(client.GetXattr(id, "user.a"), Errc::kNotFound);
  }
  EXPECT_CODE(client.ListXattr(gone), Errc::kStale);
  EXPECT_CODE(client.GetXattr(gone, "user.a"), Errc::kStale);
}

}  // namespace
}  // namespace strata::vfs::testing
