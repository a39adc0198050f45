// A store in memory that keeps blobs in chunks and their lists beside, as object stores do (CA-27 to CA-29), and says
// what tests tell it to.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "store/blobs/blob_service.h"
#include "store/blobs/memory.h"
#include "store/chunker.h"

namespace strata::store {

class ChunkingBlobService final : public BlobService, public std::enable_shared_from_this<ChunkingBlobService> {
 public:
  explicit ChunkingBlobService(const ChunkSizes& sizes = {512, 4096, 16384}) : sizes_(sizes) {}

  Result<bool> Has(const Waiting& waiting, const Digest& digest) override;
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override;
  Result<std::unique_ptr<BlobWriter>> Create() override;
  Result<std::optional<ChunkList>> Chunks(const Waiting& waiting, const Digest& digest) override;
  std::string Describe() const override { return "chunks in memory"; }

  // What is in one piece, chunks among it.
  MemoryBlobService& pieces() { return pieces_; }
  // From now on that is what `blob` is said to be made of.
  void SetChunks(const Digest& blob, ChunkList chunks) STRATA_EXCLUDES(mutex_);
  // How often anything was opened.
  int opened() const { return opened_; }

 private:
  class Writer;
  std::optional<ChunkList> Find(const Digest& digest) STRATA_EXCLUDES(mutex_);

  const ChunkSizes sizes_;
  MemoryBlobService pieces_;
  std::atomic<int> opened_ = 0;
  Mutex mutex_;
  std::map<Digest, ChunkList> lists_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
