// BlobSink: puts the contents of files into a store, so that what it has costs no more than a hash.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "base/status.h"
#include "store/blobs/blob_service.h"

namespace strata::store {

// Thread-safe.
class BlobSink {
 public:
  explicit BlobSink(BlobService& blobs) : blobs_(blobs) {}

  // A whole file.
  Result<Digest> Put(ByteSpan content);
  // One that comes in pieces. An empty one is the end.
  Result<Digest> PutStream(const std::function<Result<ByteSpan>()>& next);
  Result<bool> Has(const Digest& digest) { return blobs_.Has(Waiting(), digest); }

  std::uint64_t new_blobs() const { return new_blobs_.load(std::memory_order_relaxed); }

 private:
  BlobService& blobs_;
  std::atomic<std::uint64_t> new_blobs_{0};  // by Put
};

}  // namespace strata::store
