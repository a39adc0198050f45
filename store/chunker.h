// Content-defined chunking: FastCDC of 2020, to the byte as the fastcdc crate does it (spec castore CA-30). Where a
// chunk ends depends on the bytes in it alone, so equal stretches of two files become equal chunks. Chunk boundaries
// have no influence on a blob's digest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace strata::store {

// The sizes of chunks, in bytes. The last chunk of an input may be smaller than `least`.
struct ChunkSizes {
  std::uint32_t least = 128 << 10;
  std::uint32_t average = 256 << 10;
  std::uint32_t most = 512 << 10;
  friend bool operator==(const ChunkSizes&, const ChunkSizes&) = default;

  // Half of it and twice as much, as castore's stores have it (CA-29).
  static ChunkSizes OfAverage(std::uint32_t average);
};

// Not thread-safe; may be copied.
class Chunker {
 public:
  // kInvalid for sizes that the crate refuses too: 64 bytes to 1 MiB at least, 256 bytes to 4 MiB on average, 1 KiB to
  // 16 MiB at most, in this order.
  static Result<Chunker> Make(const ChunkSizes& sizes);
  // Of the default sizes.
  Chunker();

  const ChunkSizes& sizes() const { return sizes_; }
  // The length of the chunk that `bytes` begin with, where they show its end; else 0. Then call again with the same
  // bytes and more behind them: what was looked at is not looked at again. Sizes().most bytes are always enough. At the
  // input's end, what is left is the last chunk, if it is not empty.
  std::size_t Cut(ByteSpan bytes);
  // Forgets what it has seen of a chunk without an end.
  void Restart();

 private:
  explicit Chunker(const ChunkSizes& sizes);

  ChunkSizes sizes_;
  std::uint64_t small_mask_;  // before the average: of more bits
  std::uint64_t large_mask_;
  // Bytes are looked at in pairs.
  std::size_t next_pair_ = 0;
  std::uint64_t hash_ = 0;
};

// Cuts what comes in pieces of any size into chunks. Holds at most one chunk. After an error of `take` it is not to be
// used any more.
class ChunkSplitter {
 public:
  using Take = std::function<Result<void>(ByteSpan chunk)>;
  explicit ChunkSplitter(Chunker chunker) : chunker_(std::move(chunker)) { chunker_.Restart(); }

  // Calls `take` for each chunk that ends in what has come so far; for those that lie within `piece` without copying.
  Result<void> Write(ByteSpan piece, const Take& take);
  // And for the last one, if there is one. It may be used anew then.
  Result<void> Finish(const Take& take);

 private:
  Chunker chunker_;
  std::vector<std::byte> held_;  // the beginning of a chunk
};

}  // namespace strata::store
