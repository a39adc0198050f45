// PartTags: a tag of each 4 KiB of chunks that were verified, so that a part of a chunk can be read and checked alone.
//
// A chunk's digest is of all its bytes: who wants 4 KiB of a chunk that is no longer in memory would have to read and
// hash 256 KiB. A tag is a hash of 64 bits under a key of this process that nobody learns: bytes that are not those
// that were verified pass with a probability of about 2^-64, and nobody can choose them so that they do. What does not
// pass is read and verified as a whole.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/env.h"
#include "base/recent.h"
#include "store/digest.h"
#include "store/pack/format.h"

namespace strata::store::pack {

// Thread-safe.
class PartTags {
 public:
  static constexpr std::size_t kPart = 4096;  // bytes
  // Smaller chunks are read as a whole as easily.
  static constexpr std::size_t kSmallest = 32 << 10;

  // Of one chunk, stored as it is.
  struct Chunk {
    Location location;
    std::uint32_t first = 0;  // bytes of the first part: the others begin at a multiple of kPart of the file
    std::vector<std::uint64_t> tags;
    mutable std::atomic<std::uint64_t> given{0};  // bytes, since it was made

    std::uint64_t BeginOf(std::size_t part) const { return part == 0 ? 0 : first + (part - 1) * kPart; }
    std::uint64_t EndOf(std::size_t part) const { return std::min<std::uint64_t>(first + part * kPart, location.raw); }
    std::size_t PartAt(std::uint64_t offset) const { return offset < first ? 0 : 1 + (offset - first) / kPart; }
  };

  // `bytes`: of all tags.
  PartTags(Env& env, std::size_t bytes);

  // Null where there are none, or with parts that begin elsewhere. `begin`: of the chunk in its file, so that parts are
  // such as clients ask for.
  std::shared_ptr<const Chunk> Find(const Digest& digest, std::uint64_t begin);
  // `bytes` were verified, and lie at `location` as they are.
  void Add(const Digest& digest, const Location& location, std::uint64_t begin, ByteSpan bytes);
  void Drop(const Digest& digest, const std::shared_ptr<const Chunk>& chunk) { chunks_.Drop(digest, chunk); }
  // Whether these are the chunk's parts from `part` on.
  bool Check(const Chunk& chunk, std::size_t part, ByteSpan bytes) const;

 private:
  static std::uint32_t FirstOf(std::uint64_t begin) { return static_cast<std::uint32_t>(kPart - begin % kPart); }
  std::uint64_t TagOf(ByteSpan part) const;

  alignas(64) std::array<std::byte, 192> key_{};
  Recent<Digest, Chunk> chunks_;
};

}  // namespace strata::store::pack
