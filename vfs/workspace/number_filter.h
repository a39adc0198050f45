// NumberFilter: which of the layers' numbers the upper may hold, in fixed memory. Most of what a layer shows was never
// changed, and needs no question to the index.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/ids.h"
#include "vfs/layer/lower_tree.h"

namespace strata::vfs {

// A Bloom filter of 1 MiB with two bits a number: of a million numbers added, one in twenty others is held for one of
// them. Thread-safe.
class NumberFilter {
 public:
  // With an again number its own: an object whose own number is not held is not known by the other. Of what is no
  // layer's nobody asks.
  void Add(InodeNumber ino) {
    if (!LowerTree::IsLower(ino)) return;
    AddOne(ino);
    if (const InodeNumber own = LowerTree::OwnNumber(ino); own != ino) AddOne(own);
  }
  // False: it was never added.
  bool MayHold(InodeNumber ino) const {
    const std::uint64_t hash = Hash(ino);
    return (words_[(hash >> 6) % kWords].load(std::memory_order_relaxed) & Bit(hash)) != 0 &&
           (words_[(hash >> 38) % kWords].load(std::memory_order_relaxed) & Bit(hash >> 32)) != 0;
  }

 private:
  static constexpr std::size_t kWords = 1 << 17;
  void AddOne(InodeNumber ino) {
    const std::uint64_t hash = Hash(ino);
    Word(hash).fetch_or(Bit(hash), std::memory_order_relaxed);
    Word(hash >> 32).fetch_or(Bit(hash >> 32), std::memory_order_relaxed);
  }
  static std::uint64_t Hash(InodeNumber ino) {
    std::uint64_t x = ino.value * 0x9e3779b97f4a7c15ULL;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ULL;
    return x ^ x >> 32;
  }
  static std::uint64_t Bit(std::uint64_t hash) { return 1ULL << (hash & 63); }
  std::atomic<std::uint64_t>& Word(std::uint64_t hash) { return words_[(hash >> 6) % kWords]; }

  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace strata::vfs
