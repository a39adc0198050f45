#include "store/blobs/chunk_list.h"

#include <algorithm>
#include <string>

#include "store/wire.h"

namespace strata::store {
namespace {

constexpr std::uint32_t kChunksField = 2, kChunkDigestField = 1, kChunkSizeField = 2;
static_assert(kMaxChunkListBytes <= UINT64_MAX / kMaxChunkBytes, "the sum of all sizes has 64 bits");

std::size_t ChunkBytes(const ChunkMeta& chunk) { return WireBytesSize(Digest::kSize) + WireNumberSize(chunk.size); }

std::unexpected<Status> RefuseList(const std::string& why) {
  return Fail(Errc::kInvalid, "a chunk list is refused: " + why);
}

Result<ChunkMeta> ParseChunk(ByteSpan message, std::size_t index) {
  ByteSpan digest;
  ChunkMeta chunk;
  WireReader reader(message);
  while (reader.Next()) {
    if (reader.field() == kChunkDigestField) {
      digest = reader.TakeBytes();
    } else if (reader.field() == kChunkSizeField) {
      chunk.size = reader.TakeVarint();
    } else {
      reader.Skip();
    }
  }
  const std::string which = "chunk " + std::to_string(index);
  if (!reader.ok()) return RefuseList(which + " is no message");
  auto parsed = Digest::FromBytes(digest);
  if (!parsed) return RefuseList(which + ": " + std::string(parsed.error().message()));
  chunk.digest = *parsed;
  if (chunk.size == 0) return RefuseList(which + " has no bytes");
  if (chunk.size > kMaxChunkBytes) {
    return RefuseList(which + " has " + std::to_string(chunk.size) + " bytes; the most are " +
                      std::to_string(kMaxChunkBytes));
  }
  return chunk;
}

}  // namespace

std::vector<std::byte> EncodeChunkList(const ChunkList& chunks) {
  std::size_t bytes = 0;
  for (const ChunkMeta& chunk : chunks) bytes += WireBytesSize(ChunkBytes(chunk));
  std::vector<std::byte> message(bytes);
  WireWriter writer(message.data());
  for (const ChunkMeta& chunk : chunks) {
    writer.Begin(kChunksField, ChunkBytes(chunk));
    writer.Bytes(kChunkDigestField, chunk.digest.bytes);
    writer.Number(kChunkSizeField, chunk.size);
  }
  return message;
}

Result<ChunkList> ParseChunkList(ByteSpan message) {
  if (message.size() > kMaxChunkListBytes) {
    return RefuseList("it has " + std::to_string(message.size()) + " bytes; the most are " +
                      std::to_string(kMaxChunkListBytes));
  }
  // Twice: first only how many there are.
  std::size_t count = 0;
  WireReader counter(message);
  while (counter.Next()) {
    if (counter.field() != kChunksField) {
      counter.Skip();
      continue;
    }
    counter.TakeBytes();
    ++count;
  }
  if (!counter.ok()) return RefuseList("not a StatBlobResponse message");
  ChunkList chunks;
  // The first that is too short to be one ends the reading.
  chunks.reserve(std::min(count, message.size() / (2 + WireBytesSize(Digest::kSize)) + 1));
  WireReader reader(message);
  while (reader.Next()) {
    if (reader.field() != kChunksField) {
      reader.Skip();
      continue;
    }
    STRATA_ASSIGN(const ChunkMeta chunk, ParseChunk(reader.TakeBytes(), chunks.size()));
    chunks.push_back(chunk);
  }
  return chunks;
}

std::uint64_t TotalSize(const ChunkList& chunks) {
  std::uint64_t total = 0;
  for (const ChunkMeta& chunk : chunks) total += chunk.size;
  return total;
}

}  // namespace strata::store
