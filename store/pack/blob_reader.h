// Reading one blob of a pack store.
#pragma once

#include <memory>

#include "store/blobs/blob_service.h"
#include "store/pack/engine.h"
#include "store/pack/list_record.h"

namespace strata::store::pack {

// Of a blob in one piece. Readers keep the engine alive.
std::shared_ptr<BlobReader> ReaderOfChunk(Engine& engine, const ChunkMeta& chunk);
std::shared_ptr<BlobReader> ReaderOfList(Engine& engine, const Digest& digest, ListContent list);

}  // namespace strata::store::pack
