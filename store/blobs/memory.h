// Blobs in memory, each in one piece (spec castore CA-26).
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "store/blobs/blob_service.h"

namespace strata::store {

// Its writers must not outlive it; its readers may.
class MemoryBlobService final : public BlobService {
 public:
  // Blobs beyond `most_bytes` in all, those that are being written included, are refused (kNoSpace).
  explicit MemoryBlobService(std::size_t most_bytes = std::numeric_limits<std::size_t>::max())
      : most_bytes_(most_bytes) {}

  Result<bool> Has(const Waiting& waiting, const Digest& digest) override STRATA_EXCLUDES(mutex_);
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override
      STRATA_EXCLUDES(mutex_);
  Result<std::unique_ptr<BlobWriter>> Create() override;
  Result<Digest> Put(ByteSpan blob) override STRATA_EXCLUDES(mutex_);
  std::string Describe() const override { return "memory:"; }

 private:
  class Writer;
  using Bytes = std::vector<std::byte>;

  Result<void> Take(std::size_t bytes) STRATA_EXCLUDES(mutex_);
  void GiveBack(std::size_t bytes) STRATA_EXCLUDES(mutex_);
  // Of bytes that were taken.
  void Insert(const Digest& digest, Bytes bytes) STRATA_EXCLUDES(mutex_);

  const std::size_t most_bytes_;
  Mutex mutex_;
  std::size_t bytes_ STRATA_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<Digest, std::shared_ptr<const Bytes>> blobs_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
