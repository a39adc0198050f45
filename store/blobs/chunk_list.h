// What a blob is made of: the list of its chunks, and the message that a store keeps of it (StatBlobResponse, spec
// castore 2, CA-21, CA-27).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/digest.h"

namespace strata::store {

// A stretch of a blob that is stored, and verified, by itself.
struct ChunkMeta {
  Digest digest;
  std::uint64_t size = 0;
  friend bool operator==(const ChunkMeta&, const ChunkMeta&) = default;
};
using ChunkList = std::vector<ChunkMeta>;

// The most that a chunk has, as the fastcdc crate has it: what a reader must be able to hold, to verify it.
inline constexpr std::uint64_t kMaxChunkBytes = 16 << 20;
// A message of more bytes is refused. At 40 bytes a chunk of 256 KiB it would be of a blob of 1.6 TiB.
inline constexpr std::size_t kMaxChunkListBytes = 256 << 20;

// The canonical message; of an empty list no bytes.
std::vector<std::byte> EncodeChunkList(const ChunkList& chunks);

// kInvalid, with what is wrong and of which chunk: no message, a digest that has not 32 bytes (CA-5), a chunk without
// bytes or of more than kMaxChunkBytes. Unknown fields are passed over, and so is `bao`. What it takes is
// little more than the message.
Result<ChunkList> ParseChunkList(ByteSpan message);

// Of all chunks; below 2^64, since ParseChunkList bounds the number and the size of each.
std::uint64_t TotalSize(const ChunkList& chunks);

}  // namespace strata::store
