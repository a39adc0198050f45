// BufferPool: the buffers that one thread's connections receive into. They are lent to those that are talking and taken
// back from those that are not.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "base/bytes.h"
#include "base/mutex.h"

namespace strata::rpc {

// A record's payload. A WRITE larger than wtmax (1 MiB) is not refused: that much of it is written (RFC 1813 3.3.7). So
// up to 4 MiB and the headers before them are received.
inline constexpr std::size_t kMaxRecordBytes = (4 << 20) + (4 << 10);
// Of records that keep to wtmax.
inline constexpr std::size_t kUsualRecordBytes = (1 << 20) + (4 << 10);

// What the receive buffers of all threads may take together: `limit` for small ones, and as much for large ones.
// Thread-safe.
//
// Small buffers are lent, and large ones given, while there is room. One large one may be out in any case, so that
// every record can be received in the end. Who gets none waits until some is given back. Then all give back what they
// keep for the next record, and those who are slow to send the rest of one are no longer waited for (IoThread).
class ReceiveBudget {
 public:
  // Who has memory of it, or waits for some. Both are called on any thread, under the budget's lock.
  class Holder {
   public:
    virtual ~Holder() = default;
    // Once after Await: there may be some.
    virtual void Wake() = 0;
    // Somebody waits: what is not in use is to be given back.
    virtual void GiveBack() = 0;

   private:
    friend class ReceiveBudget;
    bool waits_ = false;
  };

  explicit ReceiveBudget(std::size_t limit = std::numeric_limits<std::size_t>::max() / 4) : limit_(limit) {}

  bool HasRoom() const { return small_bytes_.load(std::memory_order_relaxed) < limit_ / 2; }
  // No new record is begun now.
  bool Exhausted() const { return small_bytes_.load(std::memory_order_relaxed) >= limit_; }
  // Whether a buffer that nobody uses may be kept for the next.
  bool MayKeep() const { return bytes() <= limit_ / 2; }
  std::size_t bytes() const {
    return small_bytes_.load(std::memory_order_relaxed) + large_bytes_.load(std::memory_order_relaxed);
  }

  void TakeSmall(std::size_t size) { small_bytes_.fetch_add(size, std::memory_order_relaxed); }
  void GiveSmall(std::size_t size) { small_bytes_.fetch_sub(size, std::memory_order_relaxed); }
  // False: there is no room. `replaces`: who asks gives another large one up for it.
  bool TakeLarge(std::size_t size, bool replaces);
  // Whatever there is room for.
  void ForceLarge(std::size_t size) { large_bytes_.fetch_add(size, std::memory_order_relaxed), UseLarge(); }
  void GiveLarge(std::size_t size) { large_bytes_.fetch_sub(size, std::memory_order_relaxed); }
  // One that is kept comes into use, and goes out of it.
  void UseLarge() { large_.fetch_add(1, std::memory_order_relaxed); }
  void LeaveLarge() { large_.fetch_sub(1, std::memory_order_relaxed); }

  void Join(Holder& holder);
  void Leave(Holder& holder);
  void Await(Holder& holder);
  // Something was given back.
  void WakeOne() {
    if (starving()) [[unlikely]]
      WakeFirst();
  }
  // A connection that waits for memory: all holders are told, unless they were a moment ago. Who waits says so again.
  void Starves();
  void StarvesNoMore() { starving_.fetch_sub(1, std::memory_order_relaxed); }
  bool starving() const { return starving_.load(std::memory_order_relaxed) > 0; }

 private:
  void WakeFirst();

  const std::size_t limit_;
  // Of all buffers that there are, in use or kept.
  std::atomic<std::size_t> small_bytes_{0}, large_bytes_{0};
  std::atomic<std::size_t> large_{0};  // how many large ones are in use
  std::atomic<std::size_t> starving_{0};
  Mutex mutex_;
  std::vector<Holder*> holders_ STRATA_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point told_ STRATA_GUARDED_BY(mutex_){};
  std::deque<Holder*> waiters_ STRATA_GUARDED_BY(mutex_);
};

// Counted without a lock: all who hold one give it up on the thread of its pool. Others may read the bytes meanwhile.
struct ReceiveBuffer {
  std::size_t capacity = 0;
  std::uint32_t holders = 1;
  bool lent = false;  // one of Small()

  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
};

// Not thread-safe.
class BufferPool {
 public:
  static constexpr std::size_t kSmallBytes = 64 << 10;
  // Holds a record of the usual size with its mark, and a little of the next.
  static constexpr std::size_t kLargeBytes = kUsualRecordBytes + 256;
  // Small ones out at a time before CanLend says no, and kept when they come back; the lists never grow later. Of small
  // ones one is kept in any case.
  static constexpr std::size_t kMaxLent = 256;
  static constexpr std::size_t kMaxKept = 64;
  static constexpr std::size_t kMaxLargeKept = 8;

  explicit BufferPool(ReceiveBudget& budget);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  bool CanLend() const { return lent_ == 0 || (lent_ < kMaxLent && budget_.HasRoom()); }
  // kSmallBytes; also where CanLend() is false, for who gives it back at once.
  ReceiveBuffer* Small();
  // kLargeBytes, one that once was filled by real data; null where none is free.
  ReceiveBuffer* LargeIfFree();
  // A new one, whatever the budget says: for what has come already.
  ReceiveBuffer* Allocate(std::size_t capacity);
  // A new one larger than small ones; null where the budget has no room. `replaces`: as ReceiveBudget::TakeLarge. Of
  // kLargeBytes it is kept for LargeIfFree when it comes back: only for who has bytes to fill a small one.
  ReceiveBuffer* AllocateLarge(std::size_t capacity, bool replaces);
  static ReceiveBuffer* Hold(ReceiveBuffer* buffer) {
    ++buffer->holders;
    return buffer;
  }
  void Release(ReceiveBuffer* buffer);
  // Gives back what is kept, but for one small one.
  void DropKept();
  ReceiveBudget& budget() { return budget_; }

 private:
  static ReceiveBuffer* New(std::size_t capacity);
  void Delete(ReceiveBuffer* buffer);

  ReceiveBudget& budget_;
  std::size_t lent_ = 0;
  std::vector<ReceiveBuffer*> small_;
  std::vector<ReceiveBuffer*> large_;
};

}  // namespace strata::rpc
