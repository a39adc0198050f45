// NameFilter: whether the index may hold a name of a directory, in little memory. By it a new name in a directory of
// millions needs no question to the index.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace strata::vfs {

// Bloom filters of twelve to twenty-four bits a name, each twice as large as the one before; fewer than one name in a
// hundred that was never added is held for one that was. Names are never taken out. Thread-safe.
class NameFilter {
 public:
  // Once it would take more than `max_bytes` it gives up: it then holds every name for one that was added.
  explicit NameFilter(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // `hash`: vfs::NameHash of the name, which is keyed, so that no client chooses what collides.
  void Add(std::uint64_t hash) {
    const MutexLock lock(mutex_);
    if (gave_up_.load(std::memory_order_relaxed)) return;
    const std::size_t count = levels_.load(std::memory_order_relaxed);
    if (left_ == 0 && !Grow(count)) return gave_up_.store(true, std::memory_order_release);
    --left_;
    Level& level = *level_[levels_.load(std::memory_order_relaxed) - 1];
    for (const std::uint64_t bit : BitsOf(hash)) {
      level.words[bit / 64 & level.mask].fetch_or(1ULL << (bit % 64), std::memory_order_relaxed);
    }
  }
  // False: the name was never added, and the filter is complete.
  bool MayHold(std::uint64_t hash) const {
    if (!complete_.load(std::memory_order_acquire) || gave_up_.load(std::memory_order_acquire)) return true;
    const std::array<std::uint64_t, kBits> bits = BitsOf(hash);
    for (std::size_t i = levels_.load(std::memory_order_acquire); i-- > 0;) {
      const Level& level = *level_[i];
      bool all = true;
      for (std::size_t k = 0; all && k < kBits; ++k) {
        all = (level.words[bits[k] / 64 & level.mask].load(std::memory_order_relaxed) >> (bits[k] % 64) & 1) != 0;
      }
      if (all) return true;
    }
    return false;
  }
  // All names that the index may hold have been added.
  void SetComplete() { complete_.store(true, std::memory_order_release); }
  std::size_t Footprint() const { return sizeof *this + bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kBits = 5;
  static constexpr std::size_t kFirstNames = 512;
  static constexpr std::size_t kBitsAName = 12;
  struct Level {
    explicit Level(std::size_t count) : words(count), mask(count - 1) {}
    std::vector<std::atomic<std::uint64_t>> words;  // a power of two
    const std::uint64_t mask;
  };

  static std::array<std::uint64_t, kBits> BitsOf(std::uint64_t hash) {
    const std::uint64_t step = (hash * 0x9e3779b97f4a7c15ULL >> 16) | 1;
    std::array<std::uint64_t, kBits> bits;
    for (std::size_t k = 0; k < kBits; ++k) bits[k] = hash + k * step;
    return bits;
  }
  // False: no more may be taken.
  bool Grow(std::size_t count) STRATA_REQUIRES(mutex_) {
    const std::size_t names = kFirstNames << count;
    const std::size_t words = std::bit_ceil(names * kBitsAName / 64);
    if (count == level_.size() || bytes_.load(std::memory_order_relaxed) + words * 8 > max_bytes_) return false;
    level_[count] = std::make_unique<Level>(words);
    bytes_.fetch_add(words * 8, std::memory_order_relaxed);
    levels_.store(count + 1, std::memory_order_release);
    left_ = names;
    return true;
  }

  const std::size_t max_bytes_;
  std::atomic<bool> complete_{false};
  std::atomic<bool> gave_up_{false};
  std::atomic<std::size_t> levels_{0};
  std::atomic<std::size_t> bytes_{0};
  std::array<std::unique_ptr<Level>, 24> level_;  // those below levels_ are constant
  Mutex mutex_;
  std::size_t left_ STRATA_GUARDED_BY(mutex_) = 0;
};

}  // namespace strata::vfs
