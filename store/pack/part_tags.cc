#include "store/pack/part_tags.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <utility>

namespace strata::store::pack {

PartTags::PartTags(Env& env, std::size_t bytes) : chunks_(bytes) { env.Random(key_); }

std::uint64_t PartTags::TagOf(ByteSpan part) const {
  return XXH3_64bits_withSecret(part.data(), part.size(), key_.data(), key_.size());
}

std::shared_ptr<const PartTags::Chunk> PartTags::Find(const Digest& digest, std::uint64_t begin) {
  auto chunk = chunks_.Get(digest);
  return chunk && chunk->first == FirstOf(begin) ? chunk : nullptr;
}

void PartTags::Add(const Digest& digest, const Location& location, std::uint64_t begin, ByteSpan bytes) {
  if (bytes.size() < kSmallest || location.method != Method::kRaw) return;
  if (const auto known = chunks_.Get(digest)) {
    if (known->location == location && known->first == FirstOf(begin)) {
      known->given.store(0, std::memory_order_relaxed);
      return;
    }
    chunks_.Drop(digest, known);
  }
  auto chunk = std::make_shared<Chunk>();
  chunk->location = location;
  chunk->first = FirstOf(begin);
  const std::size_t parts = chunk->PartAt(bytes.size() - 1) + 1;
  chunk->tags.reserve(parts);
  for (std::size_t part = 0; part < parts; ++part) {
    const std::uint64_t at = chunk->BeginOf(part);
    chunk->tags.push_back(TagOf(bytes.subspan(at, chunk->EndOf(part) - at)));
  }
  const std::size_t size = sizeof(Chunk) + parts * sizeof(std::uint64_t) + 64;  // what the heap adds
  chunks_.Put(digest, std::move(chunk), size);
}

bool PartTags::Check(const Chunk& chunk, std::size_t part, ByteSpan bytes) const {
  while (!bytes.empty()) {
    const std::size_t size = chunk.EndOf(part) - chunk.BeginOf(part);
    if (size > bytes.size() || TagOf(bytes.first(size)) != chunk.tags[part]) return false;
    bytes = bytes.subspan(size);
    ++part;
  }
  return true;
}

}  // namespace strata::store::pack
