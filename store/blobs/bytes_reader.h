// A blob that lies in memory as a whole.
#pragma once

#include <memory>

#include "store/blobs/blob_service.h"

namespace strata::store {

// `bytes` were verified. No read of it fails or waits, and Pin copies nothing.
std::shared_ptr<BlobReader> ReadBytes(BlobBytes bytes);

}  // namespace strata::store
