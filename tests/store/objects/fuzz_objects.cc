// Arbitrary bytes as what an object store holds. The first byte says of what: a closure or a chunk as it lies there, a
// closure before it is compressed, a list of chunks, or a name. Nothing may crash, and what is read hashes to what was
// asked for.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "store/castore/root_message.h"
#include "store/objects/layout.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/object_blobs.h"
#include "store/objects/object_directories.h"
#include "store/objects/zstd.h"

namespace {

using namespace strata;
using namespace strata::store;

void Check(bool condition) {
  if (!condition) std::abort();
}

// `object` as the closure of the directory that it would be of, were it its first.
void ReadAsClosure(ByteSpan object, const Digest& root) {
  const auto bucket = std::make_shared<MemoryBucket>();
  Check(bucket->PutIfAbsent(DirectoryKey(root), ObjectRank::kDirectory, object).has_value());
  ObjectDirectories directories(Env::System(), bucket, {});
  const auto directory = directories.Get({}, root);
  if (!directory) return;
  Check(directory->has_value() && (*directory)->digest() == root);
  std::size_t count = 0;
  Check(directories
            .GetRecursive({}, root,
                          [&](const Directory& one) {
                            Check(count++ > 0 || one.digest() == root);
                            return true;
                          })
            .has_value());
  Check(count > 0);
}

// The first frame's digest, so that a good closure is one of itself.
Digest FirstIn(ByteSpan stream) {
  if (stream.size() < 4) return {};
  std::size_t length = 0;
  for (const std::byte byte : stream.first(4)) length = length << 8 | std::to_integer<std::size_t>(byte);
  return length <= stream.size() - 4 ? Digest::Of(stream.subspan(4, length)) : Digest();
}

void ReadAsBlob(ByteSpan chunk, ByteSpan list, const Digest& digest) {
  const auto bucket = std::make_shared<MemoryBucket>();
  if (!chunk.empty()) Check(bucket->PutIfAbsent(ChunkKey(digest), ObjectRank::kChunk, chunk).has_value());
  Check(bucket->PutIfAbsent(BlobKey(digest), ObjectRank::kBlob, list).has_value());
  const auto blobs = ObjectBlobs::Make(bucket).value();
  (void)blobs->Chunks({}, digest);
  const auto reader = blobs->Open({}, digest);
  if (!reader || !*reader) return;
  std::vector<std::byte> bytes(std::min<std::uint64_t>((*reader)->size(), 1 << 20));
  const auto got = (*reader)->ReadAt({}, 0, bytes);
  if (got && *got == (*reader)->size()) Check(Digest::Of(ByteSpan(bytes).first(*got)) == digest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteSpan rest = std::as_bytes(std::span(data + 1, size - 1));
  switch (data[0] % 5) {
    case 0:
      ReadAsClosure(rest, Digest::OfEmpty());
      break;
    case 1:
      ReadAsClosure(ZstdCompress(rest).value(), FirstIn(rest));
      break;
    case 2: {
      const auto content = ZstdDecompress(rest, 1 << 20);
      ReadAsBlob(rest, {}, content ? Digest::Of(*content) : Digest());
      break;
    }
    case 3:
      ReadAsBlob({}, rest, Digest());
      break;
    default: {
      const auto root = ParseRoot(rest);
      if (!root) break;
      const auto again = ParseRoot(EncodeRoot(*root));
      Check(again && *again == *root);
    }
  }
  return 0;
}
