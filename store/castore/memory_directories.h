// Directories in memory (spec castore CA-37).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "store/castore/directory_service.h"

namespace strata::store {

class MemoryDirectoryService final : public DirectoryService {
 public:
  // Directories beyond `most_bytes` of memory are refused (kNoSpace).
  explicit MemoryDirectoryService(std::size_t most_bytes = std::numeric_limits<std::size_t>::max())
      : most_bytes_(most_bytes) {}

  Result<std::optional<Directory>> Get(const Waiting& waiting, const Digest& digest) override STRATA_EXCLUDES(mutex_);
  Result<Digest> Put(const Directory& directory) override STRATA_EXCLUDES(mutex_);
  std::string Describe() const override { return "memory:"; }

 private:
  const std::size_t most_bytes_;
  Mutex mutex_;
  std::size_t bytes_ STRATA_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<Digest, Directory> directories_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
