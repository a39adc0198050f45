// What each Layer promises, run on all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/vfs/layer/layer_testing.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

struct Backend {
  std::string name;
  bool host = false;
  std::size_t max_cached_nodes = 200'000;
  std::size_t max_open_files = 256;
  bool avoid_openat2 = false;
};

class LayerContract : public ::testing::TestWithParam<Backend> {
 protected:
  // `base`: where a host folder lies.
  explicit LayerContract(const std::string& base = {}) : folder_(base) {}
  void Fill(const std::vector<MemoryEntry>& entries) {
    entries_ = entries;
    if (GetParam().host) WriteTree(folder_.path(), entries);
  }
  // Each call a layer that remembers nothing of the one before.
  std::unique_ptr<Layer> Open() {
    if (!GetParam().host) {
      auto layer = MakeMemoryLayer(entries_);
      EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
      return layer ? std::move(*layer) : nullptr;
    }
    HostLayerOptions options;
    options.markers.files = true;
    options.max_cached_nodes = GetParam().max_cached_nodes;
    options.max_open_files = GetParam().max_open_files;
    options.avoid_openat2 = GetParam().avoid_openat2;
    return OpenFolder(folder_.path(), options);
  }

  TempFolder folder_;
  std::vector<MemoryEntry> entries_;
};

const std::string kOddName = "\xff\x01 \n*.wh.";
const std::string kLongName(255, 'n');

std::vector<MemoryEntry> Tree() {
  return {MemoryFile("a", "alpha"),
          MemoryFile("d/b", "beta", 0600),
          MemoryFile("d/e/c", std::string(10'000, 'c') + "end"),
          MemoryFile("d/e/empty", ""),
          MemoryDirectory("d/e/nothing", 0700),
          MemoryDirectory("x/y/z/w"),
          MemoryFile("x/y/z/w/deep", "deep"),
          MemoryFile("x/y/" + kOddName, "odd"),
          MemoryFile("x/" + kLongName, "long"),
          MemorySymlink("s", "../../etc/passwd"),
          MemorySymlink("x/to-d", "../d"),
          MemoryLink("x/y/link-to-b", "d/b"),
          MemorySpecial("x/fifo", FileType::kFifo)};
}

TEST_P(LayerContract, AWalkShowsTheTreeAsItWasMade) {
  Fill(Tree());
  auto layer = Open();
  const auto nodes = WalkLayer(*layer);
  EXPECT_EQ(nodes.size(), entries_.size() + 6);  // "", d, d/e, x, x/y, x/y/z beside those named
  for (const MemoryEntry& entry : entries_) {
    const auto at = nodes.find(entry.path);
    ASSERT_NE(at, nodes.end()) << entry.path;
    const LayerStat& stat = at->second;
    EXPECT_EQ(stat.attributes.type, entry.type) << entry.path;
    EXPECT_FALSE(stat.whiteout || stat.opaque);
    if (!entry.link_to.empty()) continue;
    EXPECT_EQ(stat.attributes.mode, entry.mode) << entry.path;
    if (entry.type == FileType::kRegular) {
      EXPECT_EQ(stat.attributes.size, entry.content.size());
      EXPECT_EQ(ReadFromLayer(*layer, stat.node, 0, 20'000), entry.content);
    }
    if (entry.type == FileType::kSymlink) {
      EXPECT_EQ(stat.attributes.size, entry.content.size());
      EXPECT_EQ(layer->ReadLink(kBackground, stat.node), entry.content);
    }
  }
}

TEST_P(LayerContract, TheRootIsADirectoryOfNoName) {
  Fill(Tree());
  auto layer = Open();
  EXPECT_EQ(layer->Root().parent, 0u);
  auto root = layer->Stat(kBackground, layer->Root());
  ASSERT_TRUE(root);
  EXPECT_EQ(root->node, layer->Root());
  EXPECT_EQ(root->attributes.type, FileType::kDirectory);
  EXPECT_EQ(layer->PathOf(kBackground, layer->Root()), "");
  EXPECT_NE(layer->Describe(), "");
}

TEST_P(LayerContract, IdsAreUniqueInRangeAndOutliveTheLayerObject) {
  Fill(Tree());
  std::map<std::string, LayerStat> first, second;
  {
    auto layer = Open();
    first = WalkLayer(*layer);
  }
  auto layer = Open();
  second = WalkLayer(*layer);
  ASSERT_EQ(first.size(), second.size());
  std::set<std::uint64_t> ids;
  for (const auto& [path, stat] : first) {
    EXPECT_NE(stat.node.id, 0u);
    EXPECT_EQ(stat.node.id >> kLayerIdBits, 0u);
    EXPECT_EQ(stat.attributes.ino.value, stat.node.id);
    EXPECT_EQ(stat.node, second[path].node) << path;
    EXPECT_EQ(stat.generation, second[path].generation) << path;
    ids.insert(stat.node.id);
  }
  EXPECT_EQ(ids.size(), first.size() - 1) << "all but the two links of one file";
}

TEST_P(LayerContract, LinksOfAFileShareAnIdAndHaveNoParent) {
  Fill(Tree());
  auto layer = Open();
  auto one = FindInLayer(*layer, "d/b"), other = FindInLayer(*layer, "x/y/link-to-b");
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->node, other->node);
  EXPECT_EQ(one->attributes.nlink, 2u);
  EXPECT_EQ(one->node.parent, 0u);
  EXPECT_EQ(ReadFromLayer(*layer, other->node, 0, 100), "beta");
  auto path = layer->PathOf(kBackground, one->node);
  ASSERT_TRUE(path);
  EXPECT_THAT((std::vector<std::string>{"d/b", "x/y/link-to-b"}), ::testing::Contains(*path));
}

TEST_P(LayerContract, PathOfIsTheInverseOfLookup) {
  Fill(Tree());
  auto layer = Open();
  for (const auto& [path, stat] : WalkLayer(*layer)) {
    auto found = layer->PathOf(kBackground, stat.node);
    ASSERT_TRUE(found) << path;
    EXPECT_EQ(FindInLayer(*layer, *found)->node.id, stat.node.id) << path;
    if (stat.attributes.type == FileType::kDirectory || stat.attributes.nlink == 1) {
      EXPECT_EQ(*found, path);
    }
  }
}

// As after a restart: all that is left of a node is its id, and perhaps its parent's.
TEST_P(LayerContract, EachNodeIsFoundAgainByALayerThatNeverSawIt) {
  Fill(Tree());
  std::map<std::string, LayerStat> nodes;
  {
    auto layer = Open();
    nodes = WalkLayer(*layer);
  }
  for (const bool with_parent : {true, false}) {
    auto layer = Open();
    for (const auto& [path, stat] : nodes) {
      const LayerNode node{stat.node.id, with_parent ? stat.node.parent : 0};
      auto again = layer->Stat(kBackground, node);
      ASSERT_TRUE(again) << path << ": " << again.error().ToString();
      EXPECT_EQ(again->node, stat.node) << path;
      EXPECT_EQ(again->attributes.size, stat.attributes.size) << path;
      EXPECT_EQ(again->generation, stat.generation) << path;
      auto fresh = Open();
      auto where = fresh->PathOf(kBackground, node);
      ASSERT_TRUE(where) << path;
      EXPECT_EQ(FindInLayer(*fresh, *where)->node.id, node.id) << path;
      auto reader = Open();
      if (stat.attributes.type == FileType::kRegular) {
        auto content = ReadFromLayer(*reader, node, 0, 1 << 20);
        ASSERT_TRUE(content) << path;
        EXPECT_EQ(content->size(), stat.attributes.size) << path;
      } else if (stat.attributes.type == FileType::kDirectory) {
        EXPECT_TRUE(reader->ReadDirectory(kBackground, node, [](const LayerEntry&) { return true; })) << path;
        EXPECT_EQ(reader->Lookup(kBackground, node, "no such name").error().code(), Errc::kNotFound) << path;
      }
    }
  }
}

TEST_P(LayerContract, WhatIsNotThereIsNotFoundAndWhatIsNoDirectoryHoldsNothing) {
  Fill(Tree());
  auto layer = Open();
  EXPECT_EQ(layer->Lookup(kBackground, layer->Root(), "missing").error().code(), Errc::kNotFound);
  EXPECT_EQ(layer->Lookup(kBackground, layer->Root(), std::string(255, 'z')).error().code(), Errc::kNotFound);
  for (const char* path : {"a", "s", "x/fifo"}) {
    const LayerNode node = FindInLayer(*layer, path)->node;
    EXPECT_EQ(layer->Lookup(kBackground, node, "b").error().code(), Errc::kNotDirectory) << path;
    EXPECT_EQ(layer->ReadDirectory(kBackground, node, [](const LayerEntry&) { return true; }).error().code(),
              Errc::kNotDirectory);
  }
}

TEST_P(LayerContract, AnIdThatNeverWasIsStale) {
  Fill(Tree());
  auto layer = Open();
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{1} << 53, (std::uint64_t{1} << 54) + 77}) {
    for (const std::uint64_t parent : {std::uint64_t{0}, layer->Root().id, id, std::uint64_t{1} << 52}) {
      const LayerNode node{id, parent};
      EXPECT_EQ(layer->Stat(kBackground, node).error().code(), Errc::kStale) << id << ' ' << parent;
      EXPECT_EQ(layer->PathOf(kBackground, node).error().code(), Errc::kStale);
      EXPECT_EQ(SizeOfRead(*layer, node, 0, 4, true, nullptr).error().code(), Errc::kStale);
      EXPECT_EQ(layer->ReadLink(kBackground, node).error().code(), Errc::kStale);
      EXPECT_EQ(layer->Lookup(kBackground, node, "a").error().code(), Errc::kStale);
    }
  }
}

TEST_P(LayerContract, ReadsBeginAnywhereAndEndWithTheFile) {
  Fill(Tree());
  auto layer = Open();
  const LayerNode node = FindInLayer(*layer, "d/e/c")->node;
  EXPECT_EQ(ReadFromLayer(*layer, node, 9'998, 4), "ccen");
  EXPECT_EQ(ReadFromLayer(*layer, node, 10'000, 100), "end");
  EXPECT_EQ(ReadFromLayer(*layer, node, 10'003, 100), "");
  EXPECT_EQ(ReadFromLayer(*layer, node, 1 << 30, 100), "");
  for (const std::uint64_t far : {0x7fff'ffff'ffff'fffeULL, 0x7fff'ffff'ffff'ffffULL, 0xffff'ffff'ffff'ffffULL}) {
    EXPECT_EQ(ReadFromLayer(*layer, node, far, 100), "") << far;
  }
  EXPECT_EQ(ReadFromLayer(*layer, node, 0, 0), "");
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "d/e/empty")->node, 0, 10), "");
}

TEST_P(LayerContract, OnlyFilesAreReadAndOnlySymlinksHaveATarget) {
  Fill(Tree());
  auto layer = Open();
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "d")->node, 0, 10).error().code(), Errc::kIsDirectory);
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "s")->node, 0, 10).error().code(), Errc::kInvalid);
  EXPECT_EQ(ReadFromLayer(*layer, FindInLayer(*layer, "x/fifo")->node, 0, 10).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer->ReadLink(kBackground, FindInLayer(*layer, "a")->node).error().code(), Errc::kInvalid);
  EXPECT_EQ(layer->ReadLink(kBackground, FindInLayer(*layer, "d")->node).error().code(), Errc::kInvalid);
}

TEST_P(LayerContract, AReadThatMayNotWaitGivesAllOrSaysSo) {
  Fill(Tree());
  auto layer = Open();
  const LayerNode node = FindInLayer(*layer, "d/e/c")->node;
  std::string waited = *ReadFromLayer(*layer, node, 0, 20'000);
  StringSink sink;
  const auto got = layer->Read({.credentials = {}, .may_block = false}, node, 0, 20'000, nullptr, sink);
  if (got) {
    EXPECT_EQ(sink.data, waited);
  } else {
    EXPECT_EQ(got.error().code(), Errc::kWouldBlock);
  }
}

// Every method: what lies in memory is told at once, and no disk is asked by who may not wait.
TEST_P(LayerContract, WhoMayNotWaitIsToldWhatMemoryHoldsAndAsksNoDisk) {
  Fill(Tree());
  std::map<std::string, LayerStat> nodes;
  {
    auto other = Open();
    nodes = WalkLayer(*other);
  }
  auto layer = Open();
  constexpr OpContext kAtOnce{.credentials = {}, .may_block = false};
  // The second time of a layer that has just been asked for all of it.
  for (const bool warm : {false, true}) {
    if (warm) WalkLayer(*layer);
    for (const auto& [path, stat] : nodes) {
      SCOPED_TRACE(path);
      const LayerNode node = stat.node;
      const auto code = [](const auto& result) { return result ? std::optional<Errc>() : result.error().code(); };
      const auto expect = [&](std::optional<Errc> got) {
        EXPECT_EQ(got, GetParam().host ? std::optional(Errc::kWouldBlock) : std::nullopt);
      };
      expect(code(layer->Stat(kAtOnce, node)));
      expect(code(layer->PathOf(kAtOnce, node)));
      expect(code(layer->ListXattr(kAtOnce, node)));
      EXPECT_EQ(code(layer->GetXattr(kAtOnce, node, "user.none")),
                GetParam().host ? Errc::kWouldBlock : Errc::kNotFound);
      switch (stat.attributes.type) {
        case FileType::kDirectory:
          expect(code(layer->ReadDirectory(kAtOnce, node, [](const LayerEntry&) { return true; })));
          EXPECT_EQ(code(layer->Lookup(kAtOnce, node, "none")), GetParam().host ? Errc::kWouldBlock : Errc::kNotFound);
          break;
        case FileType::kSymlink:
          expect(code(layer->ReadLink(kAtOnce, node)));
          break;
        case FileType::kRegular:
          expect(code(SizeOfRead(*layer, node, 0, 100, false, nullptr)));
          break;
        default:
          break;
      }
    }
  }
}

TEST_P(LayerContract, AVisitorStopsAListing) {
  Fill(Tree());
  auto layer = Open();
  int visits = 0;
  EXPECT_TRUE(layer->ReadDirectory(kBackground, layer->Root(), [&](const LayerEntry&) { return ++visits < 2; }));
  EXPECT_EQ(visits, 2);
}

TEST_P(LayerContract, X1MarkersAreWhiteoutsAndOpaqueDirectories) {
  Fill({MemoryFile("d/kept", ""), MemoryWhiteout("d/gone"), MemoryWhiteout("d/both"), MemoryFile("d/both", "here"),
        MemoryOpaqueDirectory("d/o"), MemoryFile("d/o/in", ""), MemoryDirectory("d/plain"), MemoryDirectory("d/beside"),
        MemoryWhiteout("d/beside")});
  auto layer = Open();
  const LayerNode directory = FindInLayer(*layer, "d")->node;
  std::multiset<std::string> listed;
  EXPECT_TRUE(layer->ReadDirectory(kBackground, directory, [&](const LayerEntry& entry) {
    listed.insert((entry.whiteout ? "-" : "+") + std::string(entry.name));
    return true;
  }));
  EXPECT_THAT(listed, UnorderedElementsAre("+kept", "-gone", "+both", "-both", "+o", "+plain", "+beside", "-beside"));
  EXPECT_TRUE(layer->Lookup(kBackground, directory, "gone")->whiteout);
  EXPECT_FALSE(layer->Lookup(kBackground, directory, "both")->whiteout);
  EXPECT_EQ(ReadFromLayer(*layer, layer->Lookup(kBackground, directory, "both")->node, 0, 10), "here");
  EXPECT_TRUE(layer->Lookup(kBackground, directory, "o")->opaque);
  EXPECT_FALSE(layer->Lookup(kBackground, directory, "plain")->opaque);
  EXPECT_TRUE(layer->Lookup(kBackground, directory, "beside")->opaque) << "beside a whiteout of its name";
  for (const char* name : {"o", "plain", "beside", "kept"}) {
    auto found = layer->Lookup(kBackground, directory, name);
    auto stat = layer->Stat(kBackground, found->node);
    ASSERT_TRUE(stat) << name;
    EXPECT_EQ(stat->attributes, found->attributes) << name;
  }
  WalkLayer(*layer);
}

TEST_P(LayerContract, ThreadsMayUseItAtOnce) {
  Fill(Tree());
  auto layer = Open();
  std::map<std::string, LayerStat> nodes;
  {
    auto other = Open();
    nodes = WalkLayer(*other);
  }
  std::atomic<int> faults = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 5; ++round) {
        for (const auto& [path, stat] : nodes) {
          const LayerNode node{stat.node.id, (t + round) % 2 == 0 ? 0 : stat.node.parent};
          auto again = layer->Stat(kBackground, node);
          if (!again || again->node.id != stat.node.id || again->attributes.size != stat.attributes.size) ++faults;
          auto found = FindInLayer(*layer, path);
          if (!found || found->node != stat.node) ++faults;
          if (stat.attributes.type != FileType::kRegular) continue;
          auto content = ReadFromLayer(*layer, node, 0, 1 << 16);
          if (!content || content->size() != stat.attributes.size) ++faults;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, 0);
}

// A file system in memory, where there is one, holds any extended attributes.
std::string ForXattrs() { return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ""; }

class LayerXattrContract : public LayerContract {
 protected:
  using Xattrs = std::map<std::string, std::string, std::less<>>;

  LayerXattrContract() : LayerContract(ForXattrs()) {}
  // False, and why, where the host cannot hold them.
  bool FillWithXattrs(const std::vector<MemoryEntry>& entries) {
    Fill(entries);
    if (!GetParam().host) return true;
    for (const MemoryEntry& entry : entries) {
      for (const auto& [name, value] : entry.xattrs) {
        if (lsetxattr((folder_ / entry.path).c_str(), name.c_str(), value.data(), value.size(), 0) == 0) continue;
        why_ = folder_.path() + " cannot hold " + name + ": " + std::strerror(errno);
        return false;
      }
    }
    return true;
  }
  static MemoryEntry With(MemoryEntry entry, Xattrs xattrs) {
    entry.xattrs = std::move(xattrs);
    return entry;
  }
  // What the host itself gives each file (a label) left out.
  static std::vector<std::string> Names(Layer& layer, const LayerNode& node) {
    auto names = layer.ListXattr(kBackground, node);
    EXPECT_TRUE(names) << (names ? "" : names.error().ToString());
    if (!names) return {"failed"};
    std::erase_if(*names,
                  [](const std::string& name) { return !name.starts_with("user.") && !name.starts_with("trus"); });
    return *names;
  }
  std::vector<std::string> NamesOf(Layer& layer, std::string_view path) {
    return Names(layer, FindInLayer(layer, path)->node);
  }

  std::string why_;
};

TEST_P(LayerXattrContract, AreToldByNameWithTheirValuesOfFilesAndDirectories) {
  const std::string binary("\0\xff\n=", 4);
  if (!FillWithXattrs(
          {With(MemoryDirectory(""), {{"user.of", "root"}}),
           With(MemoryFile("d/f", "f"), {{"user.b", "2"}, {"user.a", "1"}, {"user.empty", ""}, {"user.z", binary}}),
           With(MemoryDirectory("d"), {{"user.of", "d"}}), MemoryFile("d/bare", ""), MemoryLink("linked", "d/f")})) {
    GTEST_SKIP() << why_;
  }
  auto layer = Open();
  EXPECT_THAT(NamesOf(*layer, ""), ElementsAre("user.of"));
  EXPECT_THAT(NamesOf(*layer, "d"), ElementsAre("user.of"));
  for (const char* path : {"d/f", "linked"}) {
    EXPECT_THAT(NamesOf(*layer, path), ElementsAre("user.a", "user.b", "user.empty", "user.z")) << "in their order";
  }
  EXPECT_THAT(NamesOf(*layer, "d/bare"), IsEmpty());
  const LayerNode file = FindInLayer(*layer, "d/f")->node, directory = FindInLayer(*layer, "d")->node;
  // By a layer that never saw the node, too.
  for (const bool again : {false, true}) {
    if (again) layer = Open();
    EXPECT_EQ(layer->GetXattr(kBackground, file, "user.a"), "1");
    EXPECT_EQ(layer->GetXattr(kBackground, file, "user.empty"), "");
    EXPECT_EQ(layer->GetXattr(kBackground, file, "user.z"), binary);
    EXPECT_EQ(layer->GetXattr(kBackground, directory, "user.of"), "d");
    EXPECT_EQ(layer->GetXattr(kBackground, layer->Root(), "user.of"), "root");
  }
}

TEST_P(LayerXattrContract, WhatIsMissingIsNotFoundWhateverItIsCalled) {
  if (!FillWithXattrs({With(MemoryFile("f", "f"), {{"user.a", "1"}})})) GTEST_SKIP() << why_;
  auto layer = Open();
  const LayerNode file = FindInLayer(*layer, "f")->node;
  using namespace std::string_view_literals;
  const std::string long_name = "user." + std::string(250, 'n'), longer_name = "user." + std::string(5000, 'n');
  for (const std::string_view name :
       {"user.b"sv, "user.A"sv, "user."sv, "user"sv, ""sv, "a"sv, "user.a\0"sv, "user.a\0b"sv, "nonsense.a"sv,
        std::string_view(long_name), std::string_view(longer_name)}) {
    const auto value = layer->GetXattr(kBackground, file, name);
    ASSERT_FALSE(value) << name;
    EXPECT_EQ(value.error().code(), Errc::kNotFound) << name;
  }
}

TEST_P(LayerXattrContract, ASymlinkShowsNoneOfWhatItPointsTo) {
  if (!FillWithXattrs({With(MemoryFile("f", "f"), {{"user.a", "1"}}), MemorySymlink("s", "f"),
                       MemorySpecial("fifo", FileType::kFifo)})) {
    GTEST_SKIP() << why_;
  }
  auto layer = Open();
  for (const char* path : {"s", "fifo"}) {
    EXPECT_THAT(NamesOf(*layer, path), IsEmpty()) << path;
    EXPECT_EQ(layer->GetXattr(kBackground, FindInLayer(*layer, path)->node, "user.a").error().code(), Errc::kNotFound);
  }
}

// Specs overlay S6.
TEST_P(LayerXattrContract, S6_ThoseOfAnOverlayAreHidden) {
  if (!FillWithXattrs(
          {With(MemoryDirectory("d"), {{"user.overlay.opaque", "n"}, {"user.overlay.", "x"}, {"user.mine", "1"}}),
           With(MemoryFile("d/f", "f"), {{"user.overlay.origin", "x"}, {"user.overlayed", "2"}})})) {
    GTEST_SKIP() << why_;
  }
  auto layer = Open();
  EXPECT_THAT(NamesOf(*layer, "d"), ElementsAre("user.mine"));
  EXPECT_THAT(NamesOf(*layer, "d/f"), ElementsAre("user.overlayed"));
  const LayerNode directory = FindInLayer(*layer, "d")->node;
  for (const char* name : {"user.overlay.opaque", "user.overlay."}) {
    EXPECT_EQ(layer->GetXattr(kBackground, directory, name).error().code(), Errc::kNotFound) << name;
  }
}

TEST_P(LayerXattrContract, S6_ThoseOfAnOverlayOfTheSuperuserAreHiddenAndHisOthersAreNot) {
  if (!FillWithXattrs({With(MemoryFile("f", "f"), {{"trusted.overlay.origin", "x"}, {"trusted.mine", "1"}})})) {
    GTEST_SKIP() << why_;
  }
  auto layer = Open();
  const LayerNode file = FindInLayer(*layer, "f")->node;
  EXPECT_THAT(Names(*layer, file), ElementsAre("trusted.mine"));
  EXPECT_EQ(layer->GetXattr(kBackground, file, "trusted.mine"), "1");
  EXPECT_EQ(layer->GetXattr(kBackground, file, "trusted.overlay.origin").error().code(), Errc::kNotFound);
}

TEST_P(LayerXattrContract, AValueMayHave64KiB) {
  for (const std::size_t size : {255u, 256u, 257u, 4096u, 4097u, 65'535u, 65'536u}) {
    const std::string name = "user." + std::to_string(size), file = "f" + std::to_string(size);
    const std::string value(size, static_cast<char>('a' + size % 26));
    if (!FillWithXattrs({With(MemoryFile(file, ""), {{name, value}})})) GTEST_SKIP() << why_;
    auto layer = Open();
    EXPECT_TRUE(layer->GetXattr(kBackground, FindInLayer(*layer, file)->node, name) == value) << size;
  }
}

TEST_P(LayerXattrContract, ThereMayBeManyOfThem) {
  Xattrs many;
  std::vector<std::string> names;
  // Of 51 bytes each, which is some 50 KiB of the 64 that a list may have.
  for (int i = 1000; i < 2000; ++i) names.push_back("user." + std::to_string(i) + std::string(41, 'n'));
  for (const std::string& name : names) many.emplace(name, name.substr(5, 4));
  if (!FillWithXattrs({With(MemoryFile("f", ""), many)})) GTEST_SKIP() << why_;
  auto layer = Open();
  const LayerNode file = FindInLayer(*layer, "f")->node;
  EXPECT_EQ(Names(*layer, file), names);
  for (const std::string& name : names) {
    ASSERT_EQ(layer->GetXattr(kBackground, file, name), name.substr(5, 4));
  }
}

TEST_P(LayerXattrContract, WhatNeverWasIsStale) {
  Fill({MemoryFile("f", "f")});
  auto layer = Open();
  for (const LayerNode node : {LayerNode{}, LayerNode{(std::uint64_t{1} << 54) + 77, layer->Root().id}}) {
    EXPECT_EQ(layer->ListXattr(kBackground, node).error().code(), Errc::kStale);
    EXPECT_EQ(layer->GetXattr(kBackground, node, "user.a").error().code(), Errc::kStale);
  }
}

const auto kBackends =
    ::testing::Values(Backend{"Memory"}, Backend{"Host", true}, Backend{"HostThatRemembersOneNode", true, 1, 1},
                      Backend{"HostWithoutOpenat2", true, 200'000, 256, true});
std::string NameOf(const ::testing::TestParamInfo<Backend>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Layers, LayerContract, kBackends, NameOf);
INSTANTIATE_TEST_SUITE_P(Layers, LayerXattrContract, kBackends, NameOf);

}  // namespace
}  // namespace strata::vfs
