// HostLayer: a folder of the host as a layer. It is never written. What changes in it is seen by the next call, or is
// kStale. No symlink, however it comes, leads out of the folder. Mounts within the folder are part of it.
//
// Ids are the host's inode numbers, of other devices hashes. Two kinds of objects are refused with kIo rather than
// shown wrong. One is a file of which the folder knows only the metadata (overlay.metacopy), when it is read. The other
// is a directory renamed over lower content (overlay.redirect), when it is looked up.
#pragma once

#include <memory>
#include <string>

#include "vfs/layer.h"

namespace strata::vfs {

struct HostLayerOptions {
  MarkerStyles markers;
  // A directory within the folder that is not shown (the workspace's own, where it lies inside): its path on the host;
  // "" for none.
  std::string hidden;
  std::size_t max_cached_nodes = 200'000;  // remembered places of nodes, about 100 bytes each
  std::size_t max_open_files = 256;        // descriptors, of files and directories, kept open between calls
  std::size_t max_index_bytes =
      64 << 20;  // of large directories, about 30 bytes an entry, in which forgotten files were looked for
  std::int64_t recheck_after_ns = 1'000'000'000;  // what a walk did not find is not looked for again for so long
  bool avoid_openat2 = false;                     // as on a kernel without it: directories are opened name by name
};

// How many descriptors each of `layers` host folders may keep open (max_open_files). All of them together then stay
// within a quarter of what the process may open.
std::size_t OpenFilesOfEach(std::size_t layers);

// Opens `folder`; kNotFound, kNotDirectory or kAccess, with a message, where it cannot be.
Result<std::unique_ptr<Layer>> OpenHostLayer(const std::string& folder, const HostLayerOptions& options);

}  // namespace strata::vfs
