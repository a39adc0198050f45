// Arbitrary bytes as a StatBlobResponse: refused, or a list that is written and read as the same.
#include <cstdint>
#include <cstdlib>

#include "store/blobs/chunk_list.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::store;
  const auto chunks = ParseChunkList(std::as_bytes(std::span(data, size)));
  if (!chunks) return 0;
  for (const ChunkMeta& chunk : *chunks) {
    if (chunk.size == 0 || chunk.size > kMaxChunkBytes) std::abort();
  }
  const auto encoded = EncodeChunkList(*chunks);
  if (encoded.size() > size) std::abort();
  const auto again = ParseChunkList(encoded);
  if (!again || *again != *chunks || TotalSize(*again) != TotalSize(*chunks)) std::abort();
  return 0;
}
