// A host folder as a layer: what only a host can do to it.
#include "vfs/layer/host_layer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "tests/vfs/layer/layer_testing.h"

namespace strata::vfs {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

HostLayerOptions Tiny() {
  HostLayerOptions options;
  options.max_cached_nodes = 1;
  options.max_open_files = 1;
  return options;
}

HostLayerOptions AllMarkers() {
  HostLayerOptions options;
  options.markers = {true, true, true};
  return options;
}

// Whiteouts as "-name".
std::multiset<std::string> List(Layer& layer, std::string_view path) {
  std::multiset<std::string> names;
  auto directory = FindInLayer(layer, path);
  EXPECT_TRUE(directory) << path;
  if (!directory) return names;
  EXPECT_TRUE(layer.ReadDirectory(kBackground, directory->node, [&](const LayerEntry& entry) {
    names.insert((entry.whiteout ? "-" : "") + std::string(entry.name));
    return true;
  }));
  return names;
}

std::string Content(Layer& layer, const LayerNode& node) {
  auto content = ReadFromLayer(layer, node, 0, 4096);
  return content ? *content : "!" + std::string(ErrcName(content.error().code()));
}

class HostLayerTest : public ::testing::TestWithParam<bool> {
 protected:
  HostLayerOptions Options() const {
    HostLayerOptions options;
    options.avoid_openat2 = GetParam();
    return options;
  }
  TempFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Kernels, HostLayerTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "WithoutOpenat2" : "WithOpenat2"; });

TEST_P(HostLayerTest, ASymlinkThatLeadsOutIsShownAndNotFollowed) {
  TempFolder outside;
  WriteFile(outside / "secret", "secret");
  ASSERT_EQ(symlink(outside.path().c_str(), (folder_ / "out").c_str()), 0);
  ASSERT_EQ(symlink((outside / "secret").c_str(), (folder_ / "file").c_str()), 0);
  auto layer = OpenFolder(folder_.path(), Options());
  auto out = FindInLayer(*layer, "out"), file = FindInLayer(*layer, "file");
  ASSERT_TRUE(out && file);
  EXPECT_EQ(out->attributes.type, FileType::kSymlink);
  EXPECT_EQ(layer->ReadLink(kBackground, out->node), outside.path());
  EXPECT_EQ(layer->Lookup(kBackground, out->node, "secret").error().code(), Errc::kNotDirectory);
  EXPECT_EQ(Content(*layer, file->node), "!EINVAL");
}

TEST_P(HostLayerTest, ADirectoryThatBecomesASymlinkOutwardsIsNotEntered) {
  TempFolder outside;
  std::filesystem::create_directories(outside / "e");
  WriteFile(outside / "e/f", "secret");
  WriteTree(folder_.path(), {MemoryFile("d/e/f", "mine")});
  HostLayerOptions options = Options();
  options.max_open_files = 1;
  auto layer = OpenFolder(folder_.path(), options);
  const auto nodes = WalkLayer(*layer);
  std::filesystem::rename(folder_ / "d", folder_ / "moved");
  ASSERT_EQ(symlink(outside.path().c_str(), (folder_ / "d").c_str()), 0);
  for (const auto& [path, stat] : nodes) {
    if (path != "d/e/f") continue;
    EXPECT_EQ(Content(*layer, stat.node), "mine") << "found again where it was moved to";
  }
  EXPECT_EQ(layer->PathOf(kBackground, nodes.at("d/e").node), "moved/e");
  EXPECT_EQ(FindInLayer(*layer, "d/e").error().code(), Errc::kNotDirectory);
}

TEST_P(HostLayerTest, NamesThatWouldEscapeAreInvalid) {
  WriteTree(folder_.path(), {MemoryFile("d/f", "x")});
  auto layer = OpenFolder(folder_.path(), Options());
  const LayerNode directory = FindInLayer(*layer, "d")->node;
  for (const std::string_view name :
       {std::string_view(".."), std::string_view("."), std::string_view(""), std::string_view("../d"),
        std::string_view("/etc"), std::string_view("f\0x", 3)}) {
    EXPECT_EQ(layer->Lookup(kBackground, directory, name).error().code(), Errc::kInvalid) << name;
  }
}

TEST_P(HostLayerTest, AFifoAndASocketAreShownAndNeverOpened) {
  ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  ASSERT_EQ(mknod((folder_ / "socket").c_str(), S_IFSOCK | 0600, 0), 0) << strerror(errno);
  auto layer = OpenFolder(folder_.path(), Options());
  EXPECT_EQ(FindInLayer(*layer, "fifo")->attributes.type, FileType::kFifo);
  EXPECT_EQ(FindInLayer(*layer, "socket")->attributes.type, FileType::kSocket);
  EXPECT_EQ(Content(*layer, FindInLayer(*layer, "fifo")->node), "!EINVAL");
  EXPECT_EQ(Content(*layer, FindInLayer(*layer, "socket")->node), "!EINVAL");
}

// 300 directories with long names make a path of 77,000 bytes: about 19 times what the kernel takes at once.
TEST_P(HostLayerTest, PathsBeyondPathMaxAreOpenedInSteps) {
  constexpr int kDepth = 300;
  const std::string name(255, 'p');
  int at = open(folder_.path().c_str(), O_PATH | O_DIRECTORY);
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(mkdirat(at, name.c_str(), 0755), 0) << strerror(errno);
    const int next = openat(at, name.c_str(), O_PATH | O_DIRECTORY);
    ASSERT_GE(next, 0);
    close(at);
    at = next;
  }
  const int file = openat(at, "bottom", O_WRONLY | O_CREAT, 0644);
  ASSERT_EQ(write(file, "deep", 4), 4);
  close(file);
  close(at);

  LayerNode bottom;
  std::string path;
  {
    auto layer = OpenFolder(folder_.path(), Options());
    auto found = layer->Stat(kBackground, layer->Root());
    for (int i = 0; i < kDepth && found; ++i) found = layer->Lookup(kBackground, found->node, name), path += name + '/';
    ASSERT_TRUE(found);
    found = layer->Lookup(kBackground, found->node, "bottom");
    ASSERT_TRUE(found);
    bottom = found->node;
    path += "bottom";
    EXPECT_EQ(layer->PathOf(kBackground, bottom), path);
    EXPECT_EQ(Content(*layer, bottom), "deep");
  }
  HostLayerOptions tiny = Tiny();
  tiny.avoid_openat2 = GetParam();
  auto layer = OpenFolder(folder_.path(), tiny);
  EXPECT_EQ(Content(*layer, bottom), "deep");
  EXPECT_EQ(layer->PathOf(kBackground, bottom), path);
  EXPECT_EQ(Content(*layer, {bottom.id, 0}), "deep");
}

TEST(HostLayerOpen, AFolderThatCannotBeALayerIsRefusedWithItsName) {
  TempFolder folder;
  WriteFile(folder / "file", "");
  EXPECT_EQ(OpenHostLayer(folder / "missing", {}).error().code(), Errc::kNotFound);
  EXPECT_THAT(std::string(OpenHostLayer(folder / "missing", {}).error().message()), HasSubstr(folder / "missing"));
  EXPECT_EQ(OpenHostLayer(folder / "file", {}).error().code(), Errc::kNotDirectory);
  HostLayerOptions options;
  options.hidden = folder / "missing";
  EXPECT_EQ(OpenHostLayer(folder.path(), options).error().code(), Errc::kNotFound);
  options.hidden = folder.path();
  EXPECT_EQ(OpenHostLayer(folder.path(), options).error().code(), Errc::kInvalid);
}

TEST(HostLayerTimes, TimesThatNoClockShowsAreTheNearestThatCanBeHeld) {
  TempFolder folder;
  WriteFile(folder / "f", "");
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  for (const std::int64_t seconds : {std::int64_t{15'000'000'000}, std::int64_t{-15'000'000'000}, most / kSecond,
                                     least / kSecond, std::int64_t{-1}, std::int64_t{1} << 40}) {
    const timespec times[2] = {{.tv_sec = seconds, .tv_nsec = 7}, {.tv_sec = seconds, .tv_nsec = 7}};
    ASSERT_EQ(utimensat(AT_FDCWD, (folder / "f").c_str(), times, 0), 0);
    struct stat held;  // a file system may hold less
    ASSERT_EQ(stat((folder / "f").c_str(), &held), 0);
    __extension__ using Wide = __int128;
    const Wide exact = static_cast<Wide>(held.st_mtim.tv_sec) * kSecond + held.st_mtim.tv_nsec;
    auto layer = OpenFolder(folder.path());
    const Attributes shown = FindInLayer(*layer, "f")->attributes;
    EXPECT_EQ(shown.mtime.ns, static_cast<std::int64_t>(std::clamp<Wide>(exact, least, most))) << seconds;
  }
}

TEST(HostLayerHidden, TheHiddenDirectoryIsNeitherListedNorFoundNorWalked) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryFile("d/workspace/index", "no"), MemoryFile("d/other", "yes")});
  LayerNode inside, itself;
  {
    auto layer = OpenFolder(folder.path());
    inside = FindInLayer(*layer, "d/workspace/index")->node;
    itself = FindInLayer(*layer, "d/workspace")->node;
  }
  HostLayerOptions options;
  options.hidden = folder / "d/workspace";
  auto layer = OpenFolder(folder.path(), options);
  EXPECT_THAT(List(*layer, "d"), UnorderedElementsAre("other"));
  EXPECT_EQ(FindInLayer(*layer, "d/workspace").error().code(), Errc::kNotFound);
  for (const LayerNode& node : {inside, itself, LayerNode{inside.id, 0}, LayerNode{itself.id, 0}}) {
    EXPECT_EQ(layer->Stat(kBackground, node).error().code(), Errc::kStale);
    EXPECT_EQ(Content(*layer, node), "!ESTALE");
  }
}

TEST(HostLayerChanges, AFileReplacedUnderTheLayerIsStaleAndItsNameShowsTheNewOne) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryFile("d/f", "old")});
  for (const bool read_before : {false, true}) {
    auto layer = OpenFolder(folder.path());
    const LayerNode old = FindInLayer(*layer, "d/f")->node;
    if (read_before) {
      EXPECT_NE(Content(*layer, old), "");
    }
    WriteFile(folder / "d/new", "new content");
    std::filesystem::rename(folder / "d/new", folder / "d/f");
    EXPECT_EQ(layer->Stat(kBackground, old).error().code(), Errc::kStale);
    EXPECT_EQ(layer->PathOf(kBackground, old).error().code(), Errc::kStale);
    const LayerNode fresh = FindInLayer(*layer, "d/f")->node;
    EXPECT_NE(fresh.id, old.id);
    EXPECT_EQ(Content(*layer, fresh), "new content");
  }
}

TEST(HostLayerChanges, AFileRenamedInItsDirectoryIsFoundAgain) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryFile("d/f", "content")});
  auto layer = OpenFolder(folder.path());
  const LayerNode file = FindInLayer(*layer, "d/f")->node;
  std::filesystem::rename(folder / "d/f", folder / "d/g");
  EXPECT_EQ(layer->PathOf(kBackground, file), "d/g");
  EXPECT_EQ(Content(*layer, file), "content");
}

TEST(HostLayerChanges, ADirectoryThatWasRemovedIsStale) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryDirectory("d/e")});
  auto layer = OpenFolder(folder.path());
  const LayerNode directory = FindInLayer(*layer, "d/e")->node;
  EXPECT_EQ(layer->Lookup(kBackground, directory, "x").error().code(), Errc::kNotFound);
  std::filesystem::remove(folder / "d/e");
  EXPECT_EQ(layer->Lookup(kBackground, directory, "x").error().code(), Errc::kStale);
  EXPECT_EQ(layer->ReadDirectory(kBackground, directory, [](const LayerEntry&) { return true; }).error().code(),
            Errc::kStale);
}

TEST(HostLayerChanges, ADirectoryThatWasMovedIsFoundAgainWithAllBelowIt) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryFile("a/b/c/f", "content"), MemoryDirectory("z")});
  auto layer = OpenFolder(folder.path(), Tiny());
  const auto nodes = WalkLayer(*layer);
  std::filesystem::rename(folder / "a/b", folder / "z/b");
  EXPECT_EQ(layer->PathOf(kBackground, nodes.at("a/b/c/f").node), "z/b/c/f");
  EXPECT_EQ(Content(*layer, nodes.at("a/b/c/f").node), "content");
  EXPECT_TRUE(layer->Stat(kBackground, {nodes.at("a/b").node.id, 0}));
}

// A pass over the directory for each would be millions of entries.
TEST(HostLayerForgotten, EachFileOfALargeDirectoryIsFoundAgainByAnIndexThatIsCheckedAndRenewed) {
  constexpr int kFiles = 1500;
  TempFolder folder;
  std::vector<MemoryEntry> entries;
  for (int i = 0; i < kFiles; ++i) entries.push_back(MemoryFile("d/file-" + std::to_string(i), std::to_string(i)));
  WriteTree(folder.path(), entries);
  for (const std::size_t index_bytes : {std::size_t{64} << 20, std::size_t{0}}) {
    HostLayerOptions options = Tiny();
    options.max_index_bytes = index_bytes;
    auto layer = OpenFolder(folder.path(), options);
    const int step = index_bytes == 0 ? 100 : 1;
    std::vector<LayerNode> nodes;
    for (int i = 0; i < kFiles; i += step) nodes.push_back(FindInLayer(*layer, entries[i].path)->node);
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      ASSERT_EQ(layer->PathOf(kBackground, nodes[i]), entries[i * step].path);
      ASSERT_EQ(Content(*layer, nodes[i]), entries[i * step].content);
    }
    std::filesystem::rename(folder / entries[0].path, folder / "d/renamed");
    std::filesystem::remove(folder / entries[step].path);
    EXPECT_EQ(layer->Stat(kBackground, nodes[2])->node, nodes[2]);
    EXPECT_EQ(layer->PathOf(kBackground, nodes[0]), "d/renamed");
    EXPECT_EQ(layer->PathOf(kBackground, nodes[1]).error().code(), Errc::kStale);
    WriteFile(folder / entries[step].path, entries[step].content);
    std::filesystem::rename(folder / "d/renamed", folder / entries[0].path);
  }
}

TEST(HostLayerReads, AReadThatMayNotWaitNeedsAnOpenFileAndThenGivesCachedBytes) {
  TempFolder folder;
  WriteFile(folder / "f", "content");
  auto layer = OpenFolder(folder.path());
  const LayerNode file = FindInLayer(*layer, "f")->node;
  EXPECT_EQ(SizeOfRead(*layer, file, 0, 64, false, nullptr).error().code(), Errc::kWouldBlock);
  EXPECT_EQ(SizeOfRead(*layer, file, 0, 64, true, nullptr), 7u);
  auto again = SizeOfRead(*layer, file, 0, 64, false, nullptr);  // some file systems cannot say what is cached
  EXPECT_TRUE(again == 7u || again.error().code() == Errc::kWouldBlock);
}

TEST(HostLayerReads, ReadingLeavesTheAccessTimesAlone) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryFile("d/f", "content")});
  const struct timespec old[2] = {{1'000'000, 0}, {1'000'000'000, 0}};
  for (const char* path : {"d/f", "d"}) ASSERT_EQ(utimensat(AT_FDCWD, (folder / path).c_str(), old, 0), 0);
  auto layer = OpenFolder(folder.path());
  EXPECT_EQ(Content(*layer, FindInLayer(*layer, "d/f")->node), "content");
  List(*layer, "d");
  for (const char* path : {"d/f", "d"}) {
    EXPECT_EQ(FindInLayer(*layer, path)->attributes.atime.ns, 1'000'000LL * 1'000'000'000) << path;
  }
}

TEST(HostLayerAttributes, AreThoseOfTheHost) {
  TempFolder folder;
  WriteFile(folder / "f", std::string(5000, 'x'));
  ASSERT_EQ(chmod((folder / "f").c_str(), 04751), 0);
  const struct timespec times[2] = {{-5, 999'999'999}, {1'600'000'000, 123'456'789}};
  ASSERT_EQ(utimensat(AT_FDCWD, (folder / "f").c_str(), times, 0), 0);
  struct stat host;
  ASSERT_EQ(lstat((folder / "f").c_str(), &host), 0);
  auto layer = OpenFolder(folder.path());
  auto stat = FindInLayer(*layer, "f");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->attributes.mode, 04751u);
  EXPECT_EQ(stat->attributes.size, 5000u);
  EXPECT_EQ(stat->attributes.used, static_cast<std::uint64_t>(host.st_blocks) * 512);
  EXPECT_EQ(stat->attributes.uid, host.st_uid);
  EXPECT_EQ(stat->attributes.mtime.ns, 1'600'000'000'123'456'789);
  EXPECT_EQ(stat->attributes.atime.ns, host.st_atim.tv_sec * 1'000'000'000LL + host.st_atim.tv_nsec);
  EXPECT_EQ(stat->node.id, host.st_ino);
}

TEST(HostLayerAttributes, AFileThatMayNotBeReadIsAccessDenied) {
  TempFolder folder;
  WriteFile(folder / "f", "x");
  ASSERT_EQ(chmod((folder / "f").c_str(), 0), 0);
  ASSERT_EQ(chmod(folder.path().c_str(), 0755), 0);
  if (geteuid() == 0 && seteuid(65534) != 0) GTEST_SKIP() << "cannot become a user without privileges";
  auto layer = OpenHostLayer(folder.path(), {});
  std::string content = "not opened";
  if (layer) content = Content(**layer, FindInLayer(**layer, "f")->node);
  if (getuid() == 0) {
    ASSERT_EQ(seteuid(0), 0);
  }
  EXPECT_EQ(content, "!EACCES");
}

TEST(HostLayerMarkers, WithoutAStyleMarkerFilesAreOrdinary) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryWhiteout("a"), MemoryOpaqueDirectory("d")});
  auto layer = OpenFolder(folder.path());
  EXPECT_THAT(List(*layer, ""), UnorderedElementsAre(".wh.a", "d"));
  EXPECT_THAT(List(*layer, "d"), UnorderedElementsAre(".wh..wh..opq"));
  EXPECT_TRUE(FindInLayer(*layer, ".wh.a"));
  EXPECT_FALSE(FindInLayer(*layer, "d")->opaque);
}

TEST(HostLayerMarkers, NamesOfMarkersCannotBeLookedUpAndStrangeOnesAreNotListed) {
  TempFolder folder;
  for (const char* name : {".wh.a", ".wh.", ".wh..", ".wh...", ".wh..wh.aufs", ".wh..wh..opq"})
    WriteFile(folder / name, "");
  std::filesystem::create_directory(folder / ".wh.directory");
  auto layer = OpenFolder(folder.path(), AllMarkers());
  EXPECT_THAT(List(*layer, ""), UnorderedElementsAre("-a"));
  EXPECT_EQ(FindInLayer(*layer, ".wh.a").error().code(), Errc::kNotFound);
  EXPECT_EQ(FindInLayer(*layer, "directory").error().code(), Errc::kNotFound);
  EXPECT_TRUE(FindInLayer(*layer, "")->opaque);
}

TEST(HostLayerMarkers, DevicesAreShownAndThatOfNumberZeroIsAWhiteout) {
  TempFolder folder;
  if (mknod((folder / "gone").c_str(), S_IFCHR | 0600, makedev(0, 0)) != 0) {
    GTEST_SKIP() << "device nodes cannot be made here: " << strerror(errno);
  }
  if (mknod((folder / "null").c_str(), S_IFCHR | 0600, makedev(1, 3)) != 0) {
    GTEST_SKIP() << "device nodes other than 0:0 cannot be made here: " << strerror(errno);
  }
  auto layer = OpenFolder(folder.path(), AllMarkers());
  EXPECT_THAT(List(*layer, ""), UnorderedElementsAre("-gone", "null"));
  EXPECT_TRUE(FindInLayer(*layer, "gone")->whiteout);
  auto null = FindInLayer(*layer, "null");
  EXPECT_FALSE(null->whiteout);
  EXPECT_EQ(null->attributes.type, FileType::kCharacterDevice);
  EXPECT_EQ(null->attributes.rdev, (DeviceNumber{1, 3}));
  EXPECT_EQ(Content(*layer, null->node), "!EINVAL");
  auto plain = OpenFolder(folder.path());
  EXPECT_THAT(List(*plain, ""), UnorderedElementsAre("gone", "null"));
}

TEST(HostLayerMarkers, ExtendedAttributesMarkOpaqueDirectoriesAndWhiteouts) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryDirectory("opaque"), MemoryFile("x/gone", ""), MemoryFile("x/empty", ""),
                            MemoryFile("plain/gone", ""), MemoryFile("meta", "zeros"), MemoryDirectory("moved")});
  const auto set = [&](const char* path, const char* name, const char* value) {
    return setxattr((folder / path).c_str(), name, value, strlen(value), 0) == 0;
  };
  if (!set("opaque", "user.overlay.opaque", "y")) GTEST_SKIP() << "no extended attributes here: " << strerror(errno);
  ASSERT_TRUE(set("x", "user.overlay.opaque", "x"));
  ASSERT_TRUE(set("x/gone", "user.overlay.whiteout", ""));
  ASSERT_TRUE(set("plain/gone", "user.overlay.whiteout", ""));
  ASSERT_TRUE(set("meta", "user.overlay.metacopy", ""));
  ASSERT_TRUE(set("moved", "user.overlay.redirect", "/from"));
  auto layer = OpenFolder(folder.path(), AllMarkers());
  EXPECT_TRUE(FindInLayer(*layer, "opaque")->opaque);
  EXPECT_FALSE(FindInLayer(*layer, "x")->opaque);
  EXPECT_THAT(List(*layer, "x"), UnorderedElementsAre("-gone", "empty"));
  EXPECT_TRUE(FindInLayer(*layer, "x/gone")->whiteout);
  EXPECT_FALSE(FindInLayer(*layer, "x/empty")->whiteout);
  EXPECT_THAT(List(*layer, "plain"), UnorderedElementsAre("gone"));
  EXPECT_FALSE(FindInLayer(*layer, "plain/gone")->whiteout);
  // S5: what cannot be shown right is an error, not shown wrong.
  EXPECT_EQ(Content(*layer, FindInLayer(*layer, "meta")->node), "!EIO");
  EXPECT_EQ(FindInLayer(*layer, "moved").error().code(), Errc::kIo);
}

// Lowers the soft limit of descriptors for as long as it lives.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t limit) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const struct rlimit few{limit, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  }
  ~FewDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  struct rlimit before_;
};

std::size_t OpenDescriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(HostLayerDescriptors, AllLayersTogetherKeepAQuarterOfWhatTheProcessMayOpen) {
  constexpr std::size_t kLayers = 8, kFiles = 60;
  const std::size_t before = OpenDescriptors();
  const FewDescriptors few(400);
  TempFolder folder;
  for (std::size_t i = 0; i < kFiles; ++i) WriteFile(folder / std::to_string(i), "x");
  std::vector<std::unique_ptr<Layer>> layers;
  HostLayerOptions options;
  options.max_open_files = OpenFilesOfEach(kLayers);
  for (std::size_t i = 0; i < kLayers; ++i) layers.push_back(OpenFolder(folder.path(), options));
  for (auto& layer : layers) {
    for (std::size_t i = 0; i < kFiles; ++i) {
      EXPECT_EQ(Content(*layer, FindInLayer(*layer, std::to_string(i))->node), "x");
    }
  }
  EXPECT_LE(OpenDescriptors() - before, 100u);
  EXPECT_GE(OpenFilesOfEach(1), 90u);
  EXPECT_EQ(OpenFilesOfEach(10'000), 1u) << "never none";
}

TEST(HostLayerDescriptors, WithoutOneLeftACallFailsAndSaysNothingOfTheTree) {
  TempFolder folder;
  WriteTree(folder.path(), {MemoryFile("d/e/f", "x")});
  HostLayerOptions options = AllMarkers();
  auto layer = OpenFolder(folder.path(), options);
  const auto file = FindInLayer(*layer, "d/e/f");
  ASSERT_TRUE(file);
  auto fresh = OpenFolder(folder.path(), options);
  {
    const FewDescriptors none(0);
    for (Layer* any : {layer.get(), fresh.get()}) {
      auto stat = any->Stat(kBackground, {file->node.id, 0});
      EXPECT_TRUE(stat || stat.error().code() == Errc::kIo) << ErrcName(stat.error().code());
      auto read = ReadFromLayer(*any, file->node, 0, 10);
      EXPECT_TRUE(!read && read.error().code() == Errc::kIo);
      auto path = any->PathOf(kBackground, file->node);
      EXPECT_TRUE(path || path.error().code() == Errc::kIo) << ErrcName(path.error().code());
    }
    EXPECT_EQ(fresh->Lookup(kBackground, fresh->Root(), "d").error().code(), Errc::kIo) << "its marks cannot be read";
  }
  EXPECT_EQ(Content(*layer, file->node), "x");
  EXPECT_EQ(fresh->PathOf(kBackground, file->node), "d/e/f");
  EXPECT_TRUE(FindInLayer(*fresh, "d/e/f"));
}

TEST(HostLayerSearch, WhatAWalkDidNotFindIsNotLookedForAgainForAWhile) {
  for (const bool believed : {true, false}) {
    TempFolder folder, elsewhere;
    WriteTree(folder.path(), {MemoryDirectory("d/gone"), MemoryFile("d/f", "")});
    HostLayerOptions options = Tiny();
    options.recheck_after_ns = believed ? 3'600'000'000'000 : 0;
    auto layer = OpenFolder(folder.path(), options);
    const LayerNode gone{FindInLayer(*layer, "d/gone")->node.id, 0};
    ASSERT_TRUE(FindInLayer(*layer, "d/f")) << "and what was seen before is forgotten";
    std::filesystem::rename(folder / "d/gone", elsewhere / "gone");
    EXPECT_EQ(layer->PathOf(kBackground, gone).error().code(), Errc::kStale);
    std::filesystem::rename(elsewhere / "gone", folder / "back");
    if (believed) {
      EXPECT_EQ(layer->PathOf(kBackground, gone).error().code(), Errc::kStale) << "without a walk";
    } else {
      EXPECT_EQ(layer->PathOf(kBackground, gone), "back");
    }
  }
}

TEST(HostLayerReads, AReadIsOfTheStateThatIsExpectedOrSaysSo) {
  TempFolder folder;
  WriteFile(folder / "f", "content");
  auto layer = OpenFolder(folder.path());
  const LayerStat stat = *FindInLayer(*layer, "f");
  LayerVersion version{stat.attributes.size, stat.attributes.mtime, stat.attributes.ctime};
  EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 64, true, &version), 7u);
  WriteFile(folder / "f", "content, longer");
  EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 64, true, &version).error().code(), Errc::kNotSync);
  EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 64, true, nullptr), 15u);
  const Attributes now = FindInLayer(*layer, "f")->attributes;
  version = {now.size, now.mtime, std::nullopt};
  EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 64, true, &version), 15u);
  WriteFile(folder / "other", "content, longer");
  std::filesystem::rename(folder / "other", folder / "f");
  EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 64, true, &version).error().code(), Errc::kStale) << "replaced while open";
}

}  // namespace
}  // namespace strata::vfs
