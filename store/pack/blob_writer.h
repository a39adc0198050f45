// Putting one blob into a pack store.
#pragma once

#include <memory>

#include "store/blobs/blob_service.h"
#include "store/pack/engine.h"

namespace strata::store::pack {

// Cuts it into chunks, which the engine's pool hashes, compresses and puts beside the caller; the list comes after
// them. Its memory is a few chunks. It keeps the engine alive.
std::unique_ptr<BlobWriter> NewBlobWriter(Engine& engine);

}  // namespace strata::store::pack
