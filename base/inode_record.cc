#include "base/inode_record.h"

#include <algorithm>

namespace strata {

void StoreOriginHead(const Origin& origin, std::byte* out) {
  StoreLe(out, origin.size);
  StoreLe(out + 8, origin.mtime.ns);
}

void StoreOriginSources(const Origin& origin, std::byte* out) {
  for (const Origin::Source& source : origin.sources) {
    StoreLe(out, source.layer);
    StoreLe(out + 4, source.node);
    StoreLe(out + 12, source.parent);
    out += kOriginSourceBytes;
  }
}

void ReadOriginHead(ByteReader& reader, Origin& origin) {
  origin.size = reader.Read<std::uint64_t>();
  origin.mtime.ns = reader.Read<std::int64_t>();
}

void ReadOriginSources(ByteReader& reader, std::size_t count, Origin& origin) {
  // No more memory than there are bytes, whatever `count` says; a reader that is too short fails at the next one.
  origin.sources.reserve(std::min(count, reader.remaining() / kOriginSourceBytes));
  for (std::size_t i = 0; i < count && reader.ok(); ++i) {
    Origin::Source source;
    source.layer = reader.Read<std::uint32_t>();
    source.node = reader.Read<std::uint64_t>();
    source.parent = reader.Read<std::uint64_t>();
    origin.sources.push_back(source);
  }
}

}  // namespace strata
