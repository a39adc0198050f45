// Blobs in the layout of object stores (spec castore CA-27 to CA-29): chunks by content, compressed, and for each blob
// an object with the list of its chunks.
#pragma once

#include <cstddef>
#include <memory>

#include "store/blobs/blob_service.h"
#include "store/blobs/chunk_cache.h"
#include "store/chunker.h"
#include "store/objects/bucket.h"

namespace strata::store {

class ObjectBlobs final : public BlobService, public std::enable_shared_from_this<ObjectBlobs> {
 public:
  // kInvalid for chunk sizes that cannot be. `cache_bytes`: of chunks that are kept in memory once they were read.
  static Result<std::shared_ptr<ObjectBlobs>> Make(std::shared_ptr<ObjectBucket> bucket, const ChunkSizes& sizes = {},
                                                   std::size_t cache_bytes = 16 << 20);

  Result<bool> Has(const Waiting& waiting, const Digest& digest) override;
  // A blob of one chunk, and a chunk by itself, is read, decompressed and verified here, and stays in memory while the
  // reader lives. Of others each chunk is, when it is read. Many who want a chunk at once wait for one read.
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override;
  // Compresses in the caller's thread; any number may write at once.
  Result<std::unique_ptr<BlobWriter>> Create() override;
  Result<Digest> Put(ByteSpan blob) override;
  Result<std::optional<ChunkList>> Chunks(const Waiting& waiting, const Digest& digest) override;
  Result<void> Sync() override { return bucket_->Sync(); }
  std::string Describe() const override { return bucket_->Describe(); }

 private:
  class Writer;
  class ChunksAlone;

  ObjectBlobs(std::shared_ptr<ObjectBucket> bucket, Chunker chunker, std::size_t cache_bytes)
      : bucket_(std::move(bucket)), chunker_(std::move(chunker)), cache_(cache_bytes) {}

  // The content of a chunk; null where there is none.
  Result<std::shared_ptr<BlobReader>> OpenChunk(const Waiting& waiting, const Digest& digest);
  // kNotFound where there is none; kCorrupt for one that does not hash to its digest, or has more than kMaxChunkBytes.
  Result<BlobBytes> ReadChunk(const Waiting& waiting, const Digest& digest);
  // The list in a blob's object.
  Result<std::optional<ChunkList>> ReadList(const Waiting& waiting, const Digest& digest);
  std::unexpected<Status> DamagedList(const Digest& digest, const Status& why) const;
  Result<void> PutChunk(const Digest& digest, ByteSpan chunk);
  Result<void> PutList(const Digest& digest, const ChunkList& chunks);

  const std::shared_ptr<ObjectBucket> bucket_;
  const Chunker chunker_;
  ChunkCache cache_;
};

}  // namespace strata::store
