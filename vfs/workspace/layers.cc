#include "vfs/workspace/layers.h"

#include <algorithm>
#include <utility>

namespace strata::vfs {

Result<void> CheckResolution(const std::string& workspace, const WorkspaceLayer& kept, const Resolution& found) {
  if (found == kept.resolution) return {};
  return Fail(Errc::kInvalid, "layer " + FormatLayerSpec(kept.spec) + " is " + found.Text() + " now, and was " +
                                  kept.resolution.Text() + " when " + workspace +
                                  " was laid over it; put back what it was, or lay the workspace over what it is now: "
                                  "strata serve " +
                                  workspace + " --rebase");
}

Result<OpenedLayers> OpenLayers(const WorkspaceConfig& config, const LayerOpeners& openers, LayerOptions options) {
  options.layers = config.layers.size();
  options.memory /= std::max<std::size_t>(options.layers, 1);
  OpenedLayers all;
  for (const WorkspaceLayer& layer : config.layers) {
    STRATA_ASSIGN(OpenedLayer opened, openers.Open(layer.spec, options));
    all.layers.push_back(std::move(opened.layer));
    all.resolutions.push_back(std::move(opened.resolution));
  }
  return all;
}

}  // namespace strata::vfs
