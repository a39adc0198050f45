// TreeSums: how much lies beneath directories.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/status.h"
#include "store/castore/directory_service.h"

namespace strata::store {

struct TreeSum {
  std::uint64_t bytes = 0;  // of all files, each as often as it is there; the largest number where that is more
  std::uint64_t files = 0;

  void Add(const TreeSum& more);
};

// Sums trees up, each directory once, from below: some 60 bytes of memory for each. Not thread-safe.
class TreeSums {
 public:
  // `step` is called now and then; false stops it (kInvalid).
  TreeSums(DirectoryService& directories, std::function<bool()> step)
      : directories_(directories), step_(std::move(step)) {}

  // Where something is missing or damaged it counts as nothing.
  Result<TreeSum> Of(const Digest& root);

 private:
  struct Frame {
    Directory directory;
    std::size_t next = 0;
    TreeSum sum{};
  };

  Result<void> Enter(const Digest& digest, std::vector<Frame>& path);

  DirectoryService& directories_;
  const std::function<bool()> step_;
  absl::flat_hash_map<Digest, TreeSum> sums_;
};

}  // namespace strata::store
