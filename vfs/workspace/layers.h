// Opening the layers that a workspace lies over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "vfs/layer.h"
#include "vfs/layer/opener.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

// kInvalid, with both and what to do, where the layer of `workspace` resolved to something else than was kept.
Result<void> CheckResolution(const std::string& workspace, const WorkspaceLayer& kept, const Resolution& found);

struct OpenedLayers {
  std::vector<std::unique_ptr<Layer>> layers;
  std::vector<Resolution> resolutions;
};

// All layers, in their order, with `options.memory` and descriptors divided among them. Resolutions are not looked at.
Result<OpenedLayers> OpenLayers(const WorkspaceConfig& config, const LayerOpeners& openers, LayerOptions options);

}  // namespace strata::vfs
