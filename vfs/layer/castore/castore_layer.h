// CastoreLayer: a tree of a store as a layer (spec castore 10). Nothing in it ever changes. Of what lies in the store
// it reads what is asked for: a directory when something in it is looked up or listed, a file's chunks when they are
// read.
//
// Numbers are computed (spec castore CA-68): a node's id is its place in the pre-order of the tree, the root 1. So a
// handle leads to its node after a restart without anything being kept. With attributes the links of a file share the
// id of the first, and what castore cannot hold (devices, fifos, sockets) is numbered behind the nodes.
//
// Each directory, blob and chunk is verified against its digest by the store. What is missing or does not check is EIO
// for the client, and one line of the log, a few times a minute, that names digest, path and store.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/hash.h"
#include "store/blobs/blob_service.h"
#include "store/castore/directory_service.h"
#include "store/castore/root_nodes.h"
#include "vfs/layer.h"

namespace strata::vfs {

// What is brought into memory before a client asks for it, where it is likely to: what follows in a file that is read
// in order, and the other small files of a directory whose small files are being read.
struct AheadOptions {
  // So much may be on its way at once, and half of it may have come for files that are read in order without being read
  // yet. The blob service must keep in memory what it has read, several times as much. 0: nothing is brought.
  std::size_t bytes = 0;
  unsigned threads = 2;  // made when they are needed
};

struct CastoreOptions {
  std::string description = "castore";  // Layer::Describe
  std::size_t memory_bytes = 16 << 20;  // for directories, and blobs that are open
  bool show_xattr = true;               // user.tvix.castore.{directory,blob}.digest (CA-63)
  // Where set, what is equal shows one inode number (LayerStat::shared), made with this key.
  std::optional<SipHashKey> share_key{};
  AheadOptions ahead{};
  // Kept for as long as the layer lives, such as a lease.
  std::shared_ptr<const void> hold{};
};

// A tree by its root node and, perhaps, the blob of what castore cannot say of it (docs/formats/attributes.md).
//
// kNotDirectory where the node is a file or symlink; kNotFound where the store does not have the root directory, or the
// attributes; kIo for those that are damaged or do not fit together. The message says what to do. `root.size` 0 with a
// digest that is not the empty directory's means that the size is not known, as of a bare digest.
Result<std::unique_ptr<Layer>> OpenCastoreLayer(std::shared_ptr<store::BlobService> blobs,
                                                std::shared_ptr<store::DirectoryService> directories,
                                                const store::Node& root, const std::optional<store::Digest>& attributes,
                                                const CastoreOptions& options);

}  // namespace strata::vfs
