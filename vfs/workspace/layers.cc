#include "vfs/workspace/layers.h"

#include <utility>

#include "vfs/layer/host_layer.h"

namespace strata::vfs {
namespace {

// Of a place that a host folder's layer remembers: its name and its part of the table.
constexpr std::size_t kPlaceBytes = 130;

}  // namespace

Result<std::unique_ptr<Layer>> OpenLayer(const LayerSpec& spec, const std::string& workspace, std::size_t memory) {
  HostLayerOptions options;
  options.markers = spec.markers;
  options.hidden = workspace;
  options.max_cached_nodes = memory / 2 / kPlaceBytes;
  options.max_index_bytes = memory / 2;
  auto layer = OpenHostLayer(spec.path, options);
  if (!layer) return Fail(layer.error().WithContext("layer " + spec.path));
  return layer;
}

Result<std::vector<std::unique_ptr<Layer>>> OpenLayers(const std::vector<LayerSpec>& specs,
                                                       const std::string& workspace, std::size_t memory) {
  std::vector<std::unique_ptr<Layer>> layers;
  for (const LayerSpec& spec : specs) {
    STRATA_ASSIGN(auto layer, OpenLayer(spec, workspace, memory / specs.size()));
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace strata::vfs
