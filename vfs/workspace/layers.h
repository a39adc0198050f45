// Opening the host folders that a workspace lies over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "vfs/layer.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

// `workspace`: the folder that the layer is not to show, "" for none. `memory`: bytes for what the layer remembers. The
// message of a failure names the layer.
Result<std::unique_ptr<Layer>> OpenLayer(const LayerSpec& spec, const std::string& workspace, std::size_t memory);
// All of them, in their order, with `memory` divided among them.
Result<std::vector<std::unique_ptr<Layer>>> OpenLayers(const std::vector<LayerSpec>& specs,
                                                       const std::string& workspace, std::size_t memory);

}  // namespace strata::vfs
