// A blob by its chunks (spec castore CA-24, CA-25).
#pragma once

#include <memory>

#include "store/blobs/blob_service.h"

namespace strata::store {

// Reads `blob` from its `chunks`, each of which is opened in `service` when it is first needed; the last two stay open.
// A chunk that is missing is kNotFound ("chunk not found"), one of another size than the list says kCorrupt. `service`
// verifies each chunk, and keeps at hand what it fetched from elsewhere until a caller has come again (base/fetch.h);
// that together they are `blob` is found out when they have been read in order (VerifyInOrder).
//
// A chunk may itself be in chunks, some levels deep; deeper is kCorrupt. A list comes from anywhere.
//
// kInvalid for an empty list, which means that the blob is in one piece, for a chunk without bytes, for a size of 2^64
// and more, and for a list of one chunk that is not `blob` itself. Who opens a blob's chunks by the service that calls
// this must not call it for a list of one: it would not end.
Result<std::shared_ptr<BlobReader>> OpenChunked(std::shared_ptr<BlobService> service, const Digest& blob,
                                                ChunkList chunks);

}  // namespace strata::store
