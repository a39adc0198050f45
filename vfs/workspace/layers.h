// Opening the host folders that a workspace lies over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "vfs/layer.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

// What one layer may take.
struct LayerShare {
  std::size_t memory = 0;                         // bytes for what it remembers
  std::size_t layers = 1;                         // how many divide the descriptors that may stay open
  std::int64_t recheck_after_ns = 1'000'000'000;  // HostLayerOptions
};

// `workspace`: the folder that the layer is not to show, "" for none. The message of a failure names the layer.
Result<std::unique_ptr<Layer>> OpenLayer(const LayerSpec& spec, const std::string& workspace, const LayerShare& share);
// All of them, in their order, with `memory` and descriptors divided among them.
Result<std::vector<std::unique_ptr<Layer>>> OpenLayers(const std::vector<LayerSpec>& specs,
                                                       const std::string& workspace, std::size_t memory,
                                                       std::int64_t recheck_after_ns);

}  // namespace strata::vfs
