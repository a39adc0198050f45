// HostLayer: a folder of the host as a layer.
#pragma once

#include <memory>
#include <string>

#include "vfs/layer.h"

namespace strata::vfs {

struct HostLayerOptions {
  MarkerStyles markers;
  // A directory within the folder that is not shown (the workspace's own, where it lies inside): its path on the host; "" for none.
  std::string hidden;
  std::size_t max_cached_nodes = 200'000;  // remembered places of nodes, about 100 bytes each
  std::size_t max_open_files = 256;        // descriptors kept open between reads
};

// Opens `folder`; kNotFound, kNotDirectory or kAccess, with a message, where it cannot be.
Result<std::unique_ptr<Layer>> OpenHostLayer(const std::string& folder, const HostLayerOptions& options);

}  // namespace strata::vfs
