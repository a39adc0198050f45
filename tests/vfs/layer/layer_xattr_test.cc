// Extended attributes of the layers over a host folder and in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/vfs/layer/layer_testing.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct XattrHost {
  std::string name;
  bool host = false;
  std::size_t max_cached_nodes = 200'000;
  std::size_t max_open_files = 256;
  bool avoid_openat2 = false;
};

class XattrBackend : public ::testing::TestWithParam<XattrHost> {
 protected:
  // `base`: where a host folder lies.
  explicit XattrBackend(const std::string& base = {}) : folder_(base) {}
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

// A file system in memory, where there is one, holds any extended attributes.
std::string ForXattrs() { return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ""; }

class LayerXattrContract : public XattrBackend {
 protected:
  using Xattrs = std::map<std::string, std::string, std::less<>>;

  LayerXattrContract() : XattrBackend(ForXattrs()) {}
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

const auto kXattrBackends =
    ::testing::Values(XattrHost{"Memory"}, XattrHost{"Host", true}, XattrHost{"HostThatRemembersOneNode", true, 1, 1},
                      XattrHost{"HostWithoutOpenat2", true, 200'000, 256, true});
std::string NameOfXattrBackend(const ::testing::TestParamInfo<XattrHost>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Layers, LayerXattrContract, kXattrBackends, NameOfXattrBackend);

}  // namespace
}  // namespace strata::vfs
