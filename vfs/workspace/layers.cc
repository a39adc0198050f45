#include "vfs/workspace/layers.h"

#include <algorithm>
#include <utility>

#include "vfs/layer/host_layer.h"

namespace strata::vfs {
namespace {

// Of a place that a host folder's layer remembers: its name and its part of the table.
constexpr std::size_t kPlaceBytes = 130;

}  // namespace

Result<std::unique_ptr<Layer>> OpenLayer(const LayerSpec& spec, const std::string& workspace, const LayerShare& share) {
  HostLayerOptions options;
  options.markers = spec.markers;
  options.hidden = workspace;
  options.max_cached_nodes = share.memory / 2 / kPlaceBytes;
  options.max_index_bytes = share.memory / 2;
  options.max_open_files = OpenFilesOfEach(share.layers);
  options.recheck_after_ns = share.recheck_after_ns;
  auto layer = OpenHostLayer(spec.path, options);
  if (!layer) return Fail(layer.error().WithContext("layer " + spec.path));
  return layer;
}

Result<std::vector<std::unique_ptr<Layer>>> OpenLayers(const std::vector<LayerSpec>& specs,
                                                       const std::string& workspace, std::size_t memory,
                                                       std::int64_t recheck_after_ns) {
  const LayerShare share{memory / std::max<std::size_t>(specs.size(), 1), specs.size(), recheck_after_ns};
  std::vector<std::unique_ptr<Layer>> layers;
  for (const LayerSpec& spec : specs) {
    STRATA_ASSIGN(auto layer, OpenLayer(spec, workspace, share));
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace strata::vfs
