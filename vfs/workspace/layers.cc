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

Result<OpenedLayers> OpenLayers(const WorkspaceConfig& config, const std::string& workspace,
                                const LayerOpeners& openers, std::size_t memory, std::int64_t recheck_after_ns) {
  const std::size_t count = config.layers.size();
  const LayerOptions options{.hidden = workspace,
                             .memory = memory / std::max<std::size_t>(count, 1),
                             .layers = count,
                             .recheck_after_ns = recheck_after_ns};
  OpenedLayers all;
  for (const WorkspaceLayer& layer : config.layers) {
    STRATA_ASSIGN(OpenedLayer opened, openers.Open(layer.spec, options));
    all.layers.push_back(std::move(opened.layer));
    all.resolutions.push_back(std::move(opened.resolution));
  }
  return all;
}

}  // namespace strata::vfs
