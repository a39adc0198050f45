// zstd, level 3, of pieces that lie in memory. Thread-safe: the contexts of threads that are done serve the next.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"
#include "base/status.h"

namespace strata::store {

class Compression {
 public:
  Compression();
  ~Compression();
  Compression(const Compression&) = delete;
  Compression& operator=(const Compression&) = delete;

  // One frame, which says its content's size, in place of what `out` held. False where it would not save a sixteenth
  // of `raw`: `out` is then of no use. Data that cannot be made smaller costs a tenth of the time of other data.
  bool Compress(ByteSpan raw, std::vector<std::byte>& out);
  // Fills `out` exactly from one frame. kCorrupt for bytes that are not such a frame, or that would give more or less:
  // what a frame claims takes no memory.
  Result<void> Decompress(ByteSpan frame, MutableByteSpan out);

 private:
  struct Contexts;
  class Lease;

  std::unique_ptr<Contexts> Take() STRATA_EXCLUDES(mutex_);
  void GiveBack(std::unique_ptr<Contexts> contexts) STRATA_EXCLUDES(mutex_);

  Mutex mutex_;
  std::vector<std::unique_ptr<Contexts>> idle_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
