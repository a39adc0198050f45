// The content of chunk list records: what a blob is made of. A list of many chunks names parts, which name the chunks,
// so that nobody has to hold the list of a huge blob in memory. Grammar: docs/formats/pack.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"

namespace strata::store::pack {

inline constexpr std::size_t kMaxListEntries = 16384;  // of one record

struct ListContent {
  bool of_parts = false;  // the entries are parts, not chunks
  std::uint64_t size = 0;
  ChunkList entries;  // never empty; no size is 0; their sum is `size`
};

std::vector<std::byte> EncodeList(bool of_parts, std::span<const ChunkMeta> entries);
// kCorrupt for anything that breaks what ListContent says.
Result<ListContent> ParseList(ByteSpan bytes);

}  // namespace strata::store::pack
