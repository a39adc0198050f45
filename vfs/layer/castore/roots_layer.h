// RootsLayer: all trees that a store has a name for, as one layer (spec castore 9, 10): its root holds each under its
// name, files and symlinks too.
//
// What a name leads to gets a range of ids when it is first seen (roots_table.h), so that handles outlive the server.
// Within it a node's id is computed as in a tree that is served alone (castore_layer.h). A name that is moved leads to
// other ids, and the ids of before are stale.
//
// What a name leads to is believed for a bounded time; then the store is asked again, by the first call that needs it.
// What lies in a tree never changes. Where the store cannot tell, trees that are known are served on, and looking a
// name up is an input/output error (CA-56). The top's times say when its names were last to be believed: they go on
// with the clock, since a name may come or go unseen.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "store/blobs/blob_service.h"
#include "store/castore/directory_service.h"
#include "store/castore/root_nodes.h"
#include "vfs/layer.h"
#include "vfs/layer/castore/castore_layer.h"

namespace strata::vfs {

struct RootsOptions {
  CastoreOptions trees{};  // of all of them together
  std::string home{};      // the folder where the numbers are kept; exists
  // False: the root cannot be listed (kPermission, LayerTraits::unlisted). Names can be looked up all the same (CA-58).
  bool list_roots = false;
  // What a name leads to is believed for so long; 0: only within the call that asked.
  std::int64_t recheck_after_ns = 1'000'000'000;
};

// A tree of more nodes is refused: the numbers of all of them have to do.
inline constexpr std::uint64_t kMostNodesOfRoot = std::uint64_t{1} << 40;

// Asks the store for nothing yet. Failures are those of the table of numbers.
Result<std::unique_ptr<Layer>> OpenRootsLayer(Env& env, std::shared_ptr<store::BlobService> blobs,
                                              std::shared_ptr<store::DirectoryService> directories,
                                              std::shared_ptr<store::RootNodes> roots, const RootsOptions& options);

}  // namespace strata::vfs
