// ChunkCache: chunks in memory, decompressed and verified, by their digest.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "base/fetch.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "store/digest.h"

namespace strata::store {

// What was not used lately makes room for what comes. What is pinned is never dropped: where all is pinned, what comes
// is given and not kept, so that the cache stays within its bound. Thread-safe; a hit costs one lock of many and no
// allocation.
class ChunkCache {
 public:
  explicit ChunkCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  ChunkCache(const ChunkCache&) = delete;
  ChunkCache& operator=(const ChunkCache&) = delete;

  std::optional<BlobBytes> Find(const Digest& digest);
  // Of all who want a chunk at once, one calls `load`; the others wait for what comes of it, or get kWouldBlock where
  // they may not wait. `load` is called without a lock, and what it fails with is not remembered.
  Result<BlobBytes> Get(const Waiting& waiting, const Digest& digest, absl::FunctionRef<Result<BlobBytes>()> load);

  // Of what it keeps, its own tables included.
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  std::uint64_t hits() const;
  std::uint64_t misses() const;

 private:
  static constexpr std::size_t kShards = 16;
  static constexpr std::size_t kEntryBytes = 160;  // of the tables

  struct Entry {
    Digest digest;
    BlobBytes bytes;
    bool used = false;  // since the hand came by
  };
  struct Flight {
    std::optional<Result<BlobBytes>> result;  // under the shard's mutex
  };
  struct Shard {
    Mutex mutex;
    CondVar landed;
    absl::flat_hash_map<Digest, std::size_t> places STRATA_GUARDED_BY(mutex);  // in entries
    std::vector<Entry> entries STRATA_GUARDED_BY(mutex);
    std::size_t hand STRATA_GUARDED_BY(mutex) = 0;
    absl::flat_hash_map<Digest, std::shared_ptr<Flight>> flights STRATA_GUARDED_BY(mutex);
    std::uint64_t hits STRATA_GUARDED_BY(mutex) = 0;
    std::uint64_t misses STRATA_GUARDED_BY(mutex) = 0;
  };

  static std::size_t CostOf(const BlobBytes& bytes) { return bytes.bytes.size() + kEntryBytes; }
  Shard& ShardOf(const Digest& digest) { return shards_[static_cast<std::size_t>(digest.bytes[30]) % kShards]; }
  std::optional<BlobBytes> FindLocked(Shard& shard, const Digest& digest) STRATA_REQUIRES(shard.mutex);
  void Keep(const Digest& digest, const BlobBytes& bytes);
  // Makes room for `wanted` bytes; false where what is there is in use.
  bool MakeRoom(std::size_t wanted, std::size_t first_shard);
  // Drops entries of a shard until all is within the bound or nothing more can go; `gone` is freed by the caller.
  void Sweep(Shard& shard, std::vector<BlobBytes>& gone) STRATA_REQUIRES(shard.mutex);

  const std::size_t max_bytes_;
  std::atomic<std::size_t> bytes_{0};
  mutable std::array<Shard, kShards> shards_;
};

}  // namespace strata::store
