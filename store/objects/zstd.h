// zstd (RFC 8878) for what object stores hold: whole chunks, and closures as streams. The only place that knows libzstd
// in store/objects/. What is decompressed is bounded before it is believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/objects/bucket.h"

namespace strata::store {

// One frame that says how long its content is, level 3 (CA-27).
Result<std::vector<std::byte>> ZstdCompress(ByteSpan bytes);

// The content of a whole object of exactly one frame. kCorrupt for anything else, and for a content of more than
// `limit` bytes. Whatever the frame says of itself, it takes no more memory than `limit`, twice.
Result<std::vector<std::byte>> ZstdDecompress(ByteSpan compressed, std::size_t limit);

// As many bytes of a frame's beginning say how long its content is, if the frame says it.
inline constexpr std::size_t kZstdHeaderBytes = 18;
std::optional<std::uint64_t> ZstdContentSize(ByteSpan beginning);

// Compresses a stream into an object, level 3. Not thread-safe.
class ZstdObjectWriter {
 public:
  explicit ZstdObjectWriter(std::unique_ptr<ObjectWriter> object);
  ~ZstdObjectWriter();
  ZstdObjectWriter(const ZstdObjectWriter&) = delete;
  ZstdObjectWriter& operator=(const ZstdObjectWriter&) = delete;

  Result<void> Write(ByteSpan bytes);
  // Ends the frame and closes the object. Once.
  Result<void> Close();

 private:
  struct State;
  Result<void> Run(ByteSpan bytes, bool end);
  std::unique_ptr<State> state_;
};

// Reads the content of an object of exactly one frame, in order. Not thread-safe.
class ZstdObjectReader {
 public:
  explicit ZstdObjectReader(std::unique_ptr<ObjectReader> object);
  ~ZstdObjectReader();
  ZstdObjectReader(const ZstdObjectReader&) = delete;
  ZstdObjectReader& operator=(const ZstdObjectReader&) = delete;

  // Fills `out` until it is full or the content ends; the number of bytes. kCorrupt for what is no such object.
  Result<std::size_t> Read(const Waiting& waiting, MutableByteSpan out);

 private:
  struct State;
  Result<void> Refill(const Waiting& waiting);
  std::unique_ptr<State> state_;
};

}  // namespace strata::store
