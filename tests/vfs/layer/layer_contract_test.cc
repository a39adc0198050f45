// The contract of the layers over a host folder and in memory, and what only these have: markers.
#include "tests/vfs/layer/layer_contract.h"

namespace strata::vfs {
namespace {

LayerBackend Memory() {
  const auto make = [](const std::vector<MemoryEntry>& entries) {
    return [entries] {
      auto layer = MakeMemoryLayer(entries);
      EXPECT_TRUE(layer) << (layer ? "" : layer.error().ToString());
      return layer ? std::move(*layer) : nullptr;
    };
  };
  return {.name = "Memory", .make = make};
}

LayerBackend HostBackend(const char* name, const HostLayerOptions& options) {
  const auto make = [options](const std::vector<MemoryEntry>& entries) {
    auto folder = std::make_shared<TempFolder>();
    WriteTree(folder->path(), entries);
    return [folder, options] { return OpenFolder(folder->path(), options); };
  };
  return {.name = name, .make = make, .waits_for_disk = true};
}

std::vector<LayerBackend> Backends() {
  HostLayerOptions plain;
  plain.markers.files = true;
  HostLayerOptions forgetful = plain;
  forgetful.max_cached_nodes = forgetful.max_open_files = 1;
  HostLayerOptions old = plain;
  old.avoid_openat2 = true;
  return {Memory(), HostBackend("Host", plain), HostBackend("HostThatRemembersOneNode", forgetful),
          HostBackend("HostWithoutOpenat2", old)};
}

INSTANTIATE_TEST_SUITE_P(Layers, LayerContract, ::testing::ValuesIn(Backends()), LayerContract::Name);

class LayerMarkers : public LayerContract {};
INSTANTIATE_TEST_SUITE_P(Layers, LayerMarkers, ::testing::ValuesIn(Backends()), LayerContract::Name);

TEST_P(LayerMarkers, X1MarkersAreWhiteoutsAndOpaqueDirectories) {
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
  EXPECT_THAT(listed, ::testing::UnorderedElementsAre("+kept", "-gone", "+both", "-both", "+o", "+plain", "+beside",
                                                      "-beside"));
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

}  // namespace
}  // namespace strata::vfs
