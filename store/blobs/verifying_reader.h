// The digest of a blob of which each part was verified, but not that the parts make this blob (spec castore CA-25).
#pragma once

#include <memory>

#include "store/blobs/blob_service.h"

namespace strata::store {

// Reads from `reader`, and hashes what is read in order: from the beginning on, each read that goes on where those
// before it ended, whatever else is read between. Once the end is reached the digest is compared. If it is not
// `digest`, that read fails with kCorrupt, and from then on every one. So a reader of a whole blob in order never takes
// another blob for it; what was read before the end may have been of another.
std::shared_ptr<BlobReader> VerifyInOrder(std::shared_ptr<BlobReader> reader, const Digest& digest);

}  // namespace strata::store
