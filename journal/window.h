// Window: a file read piece by piece with read(2). What a reader walks through comes this way rather than through the
// mapping. In a mapping a bad block of the disk is a signal and not an error, and its pages count for the process.
#pragma once

#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/env.h"
#include "base/status.h"

namespace strata::journal {

// What a search for the next record looks at in one piece.
inline constexpr std::uint64_t kScanBytes = 256 << 10;

// Not thread-safe.
class Window {
 public:
  // `read_ahead`: so much is read at once where there is so much.
  explicit Window(std::uint64_t read_ahead = 256 << 10) : read_ahead_(read_ahead) {}
  // Bytes [offset, offset + length) of the file, or as many of them as lie before `limit` and the file's end. `key`
  // tells the file from others. What lies before `limit` must not change any more: it may be read ahead. The bytes stay
  // valid until the next call, and for as long as what pin() gave after this one lives.
  Result<ByteSpan> Read(File& file, std::uint64_t key, std::uint64_t offset, std::uint64_t length, std::uint64_t limit);
  std::shared_ptr<const void> pin() {
    given_ = true;
    return bytes_;
  }
  // What was read is read anew: it may have changed.
  void Forget() { key_.reset(); }

 private:
  const std::uint64_t read_ahead_;
  std::optional<std::uint64_t> key_;
  std::uint64_t begin_ = 0;
  std::size_t size_ = 0;
  std::shared_ptr<std::byte[]> bytes_;
  std::uint64_t room_ = 0;  // of bytes_
  bool given_ = false;      // somebody may look at `bytes_`
};

}  // namespace strata::journal
