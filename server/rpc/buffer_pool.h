// BufferPool: the buffers that one thread's connections receive into, lent to those that are talking and taken back
// from those that are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"

namespace strata::rpc {

// A record's payload: wtmax, and the headers before it (spec nfsv3 1.1).
inline constexpr std::size_t kMaxRecordBytes = (1 << 20) + (4 << 10);

// Counted without a lock: all who hold one give it up on the thread of its pool. Others may read the bytes meanwhile.
struct ReceiveBuffer {
  std::size_t capacity = 0;
  std::uint32_t holders = 1;
  bool pooled = false;  // comes from a pool's list and goes back to it

  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
};

// Not thread-safe.
class BufferPool {
 public:
  static constexpr std::size_t kSmallBytes = 64 << 10;
  // Holds a record of the largest size with its mark, and a little of the next.
  static constexpr std::size_t kLargeBytes = kMaxRecordBytes + 256;
  // Small ones out at a time before CanLend says no, and kept when they come back.
  static constexpr std::size_t kMaxLent = 256;
  static constexpr std::size_t kMaxKept = 64;
  static constexpr std::size_t kMaxLargeKept = 8;

  // `kept_bytes`: about what is kept of buffers that nobody uses, but a few of each size in any case. The lists never
  // grow later.
  explicit BufferPool(std::size_t kept_bytes = kMaxKept * kSmallBytes + kMaxLargeKept * kLargeBytes);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  bool CanLend() const { return lent_ < kMaxLent; }
  // kSmallBytes; also where CanLend() is false, for who gives it back at once.
  ReceiveBuffer* Small();
  // kLargeBytes, one that once was filled by real data; null where none is free.
  ReceiveBuffer* LargeIfFree();
  // A new one. Of kLargeBytes it is kept for LargeIfFree when it comes back: only for who has bytes to fill most of it.
  ReceiveBuffer* Allocate(std::size_t capacity);
  static ReceiveBuffer* Hold(ReceiveBuffer* buffer) {
    ++buffer->holders;
    return buffer;
  }
  void Release(ReceiveBuffer* buffer);

 private:
  const std::size_t max_small_kept_, max_large_kept_;
  std::size_t lent_ = 0;
  std::vector<ReceiveBuffer*> small_;
  std::vector<ReceiveBuffer*> large_;
};

}  // namespace strata::rpc
