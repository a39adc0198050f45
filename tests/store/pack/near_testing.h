// What the tests of bounded near stores share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "store/blobs/memory.h"
#include "store/blobs/near.h"
#include "store/pack/near_cache.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {

// A far store in memory that counts how often each blob was opened.
class CountedFar final : public BlobService {
 public:
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override { return blobs_.Has(waiting, digest); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    {
      const MutexLock lock(mutex_);
      ++opens_[digest];
      ++all_;
    }
    return blobs_.Open(waiting, digest);
  }
  Result<Digest> Put(ByteSpan blob) override { return blobs_.Put(blob); }
  Result<std::unique_ptr<BlobWriter>> Create() override { return blobs_.Create(); }
  std::string Describe() const override { return "far"; }

  int opens() {
    const MutexLock lock(mutex_);
    return all_;
  }
  int OpensOf(const Digest& digest) {
    const MutexLock lock(mutex_);
    return opens_[digest];
  }

 private:
  MemoryBlobService blobs_;
  Mutex mutex_;
  int all_ STRATA_GUARDED_BY(mutex_) = 0;
  std::map<Digest, int> opens_ STRATA_GUARDED_BY(mutex_);
};

inline std::shared_ptr<NearCache> MustOpenNear(Env& env, const std::string& path, std::uint64_t bytes) {
  auto cache = NearCache::Open(env, path, {.bytes = bytes, .memory_bytes = 0});
  EXPECT_TRUE(cache) << cache.error().ToString();
  return cache ? *std::move(cache) : nullptr;
}

// Bytes of all files of a store's folder of packs.
inline std::uint64_t BytesOfPacks(const std::string& store) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store + "/packs")) {
    std::error_code gone;
    const auto size = entry.file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

}  // namespace strata::store::pack
