#include "store/pack/list_record.h"

#include <algorithm>

#include "store/pack/format.h"

namespace strata::store::pack {
namespace {

constexpr std::size_t kListHeaderBytes = 16;
constexpr std::size_t kListEntryBytes = Digest::kSize + 8;
static_assert(kListHeaderBytes + kMaxListEntries * kListEntryBytes <= kMaxChunkBytes);

}  // namespace

std::vector<std::byte> EncodeList(bool of_parts, std::span<const ChunkMeta> entries) {
  std::vector<std::byte> bytes(kListHeaderBytes + entries.size() * kListEntryBytes);
  std::uint64_t size = 0;
  std::byte* at = bytes.data() + kListHeaderBytes;
  for (const ChunkMeta& entry : entries) {
    std::ranges::copy(entry.digest.bytes, at);
    StoreLe(at + Digest::kSize, entry.size);
    at += kListEntryBytes;
    size += entry.size;
  }
  StoreLe(bytes.data(), std::uint32_t{of_parts});
  StoreLe(bytes.data() + 4, static_cast<std::uint32_t>(entries.size()));
  StoreLe(bytes.data() + 8, size);
  return bytes;
}

Result<ListContent> ParseList(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto depth = reader.Read<std::uint32_t>();
  const auto count = reader.Read<std::uint32_t>();
  ListContent list;
  list.size = reader.Read<std::uint64_t>();
  list.of_parts = depth == 1;
  if (!reader.ok() || depth > 1 || count == 0 || count > kMaxListEntries ||
      reader.remaining() != count * kListEntryBytes) {
    return Fail(Errc::kCorrupt, "a chunk list of a form that cannot be");
  }
  list.entries.resize(count);
  std::uint64_t left = list.size;
  for (ChunkMeta& entry : list.entries) {
    std::ranges::copy(reader.ReadBytes(Digest::kSize), entry.digest.bytes.begin());
    entry.size = reader.Read<std::uint64_t>();
    if (entry.size == 0 || entry.size > left || (!list.of_parts && entry.size > kMaxChunkBytes)) {
      return Fail(Errc::kCorrupt, "a chunk list whose sizes cannot be");
    }
    left -= entry.size;
  }
  if (left != 0) return Fail(Errc::kCorrupt, "a chunk list whose sizes are not those of its blob");
  return list;
}

}  // namespace strata::store::pack
