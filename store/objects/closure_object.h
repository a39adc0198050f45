// The object of a closure (CA-37): one zstd stream of frames, each a big-endian u32 length and the canonical bytes of a
// directory, a directory before those beneath it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/castore/directory.h"
#include "store/objects/bucket.h"
#include "store/objects/zstd.h"

namespace strata::store {

// The longest frame that is read or written: a directory of some two million entries. (Others write up to 1,000 MiB.)
inline constexpr std::size_t kMaxClosureFrame = 128 << 20;

// Not thread-safe.
class ClosureReader {
 public:
  explicit ClosureReader(std::unique_ptr<ObjectReader> object) : stream_(std::move(object)) {}

  // The next frame, which is to be checked by its digest before anything else; nothing after the last. It is valid
  // until the next call. kCorrupt for a frame that is cut or too long, and for what is not compressed. Memory grows
  // with the bytes that came, not with what a length says.
  Result<std::optional<ByteSpan>> Next(const Waiting& waiting);

 private:
  // False where the stream ended before the first byte.
  Result<bool> Fill(const Waiting& waiting, std::size_t size);

  ZstdObjectReader stream_;
  std::vector<std::byte> frame_;
};

// Reads the whole closure of `root`, checked as it comes (CA-41, CA-42): `visit` gets each directory once. kCorrupt or
// kInvalid, with what is wrong, for what is none, or of another root; what was visited by then is part of one.
Result<void> ReadWholeClosure(const Digest& root, std::unique_ptr<ObjectReader> object,
                              const std::function<Result<void>(const Directory&)>& visit);

// Not thread-safe.
class ClosureWriter {
 public:
  explicit ClosureWriter(std::unique_ptr<ObjectWriter> object) : stream_(std::move(object)) {}

  Result<void> Write(ByteSpan directory);
  // Once.
  Result<void> Close() { return stream_.Close(); }

 private:
  ZstdObjectWriter stream_;
};

}  // namespace strata::store
