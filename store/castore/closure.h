// Whether directories that come one after the other make one whole tree (spec castore 7: CA-40 to CA-42). Two orders:
// from the leaves to the root, as they are put, and from the root to the leaves, as they are fetched.
//
// Of a directory only its digest, its sizes and what was said of it are kept: 64 bytes or so each, whatever the number
// of its entries. A million of them take 70 MB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/status.h"
#include "store/castore/digest_table.h"
#include "store/castore/directory.h"

namespace strata::store {

// More directories in one closure are refused, whatever order they come in: about 1 GiB of memory.
inline constexpr std::size_t kMaxClosure = 1 << 24;

// CA-40, with the sizes and the end of CA-42. Not thread-safe.
class LeavesToRoot {
 public:
  explicit LeavesToRoot(std::size_t most = kMaxClosure) : most_(most) {}

  // Whether it is a new one: one that was added before is passed over. kInvalid for one that names a directory that was
  // not added before ("unknown directory was referenced"), or with a size that is not its (CA-70: either is); then it
  // is as if it had not been added.
  Result<bool> Add(const Directory& directory);
  // The digest of the one that no other names; kInvalid where there is none ("got no directories") or several ("graph
  // has disconnected roots").
  Result<Digest> Finish() const;

  std::size_t count() const { return known_.size(); }

 private:
  struct Known {
    Digest digest;
    std::uint64_t size = 0;     // by the documented rule
    std::uint32_t entries = 0;  // which the doubled rule counts once more
    bool referenced = false;
  };

  const std::size_t most_;
  std::size_t roots_ = 0;  // of those known, how many no other names
  DigestTable<Known> known_;
};

// CA-41, with the sizes and the end of CA-42. Not thread-safe. After a failure nothing more is accepted.
class RootToLeaves {
 public:
  // Without a root, the first directory is it.
  explicit RootToLeaves(const std::optional<Digest>& root = std::nullopt, std::size_t most = kMaxClosure);

  // Whether a directory of this digest may come now: what is not expected need not be decoded.
  bool Expects(const Digest& digest) const;
  // Whether it is a new one: one that was added before is passed over. kInvalid for one that is not expected
  // ("unexpected digest"), and where a size that an edge to it bears is not its, or edges bear more than two.
  Result<bool> Add(const Directory& directory);
  // kInvalid where some are missing ("graph is incomplete"). Nothing at all is no error: that root is not known.
  Result<void> Finish() const;

  std::size_t count() const { return count_; }

 private:
  struct Expected {
    Digest digest;
    // Once it is there, its two sizes; before, those that edges to it bear, which must be of these.
    std::array<std::uint64_t, 2> sizes{};
    std::uint8_t size_count = 0;
    bool there = false;
  };

  Result<bool> Check(const Directory& directory);
  Result<void> AddEdge(const Directory::Entry& edge);

  const std::size_t most_;
  bool failed_ = false;
  std::size_t count_ = 0;  // of those that are there
  DigestTable<Expected> expected_;
};

}  // namespace strata::store
