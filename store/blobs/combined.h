// One store in front of another (spec castore CA-32).
#pragma once

#include <memory>

#include "store/blobs/blob_service.h"

namespace strata::store {

// What `local` has is read there; else `remote` is asked for the chunks, and each is read from where it is first found.
// Writes go to `local` alone. Nothing that was read from `remote` is kept.
std::shared_ptr<BlobService> Combine(std::shared_ptr<BlobService> local, std::shared_ptr<BlobService> remote);

}  // namespace strata::store
