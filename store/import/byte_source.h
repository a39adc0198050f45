// ByteSource: bytes that come in order and once, such as an archive from a pipe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/status.h"

namespace strata::store {

// Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out`; less than that only where the source ends.
  virtual Result<std::size_t> Read(MutableByteSpan out) = 0;
  // Bytes taken so far from what lies beneath: of something compressed, compressed bytes.
  virtual std::uint64_t position() const = 0;
};

// What lies in memory, which must outlive this.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteSpan bytes) : bytes_(bytes) {}
  Result<std::size_t> Read(MutableByteSpan out) override {
    const std::size_t size = std::min(out.size(), bytes_.size() - position_);
    if (size > 0) std::memcpy(out.data(), bytes_.data() + position_, size);
    position_ += size;
    return size;
  }
  std::uint64_t position() const override { return position_; }

 private:
  const ByteSpan bytes_;
  std::size_t position_ = 0;
};

}  // namespace strata::store
