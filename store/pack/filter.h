// DigestFilter: whether an index may hold a digest, at twelve bits a digest. It says yes to fewer than one in a hundred
// of those that it does not hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "store/digest.h"

namespace strata::store::pack {

// A Bloom filter in blocks of 32 bytes: a digest sets one bit in each of the eight words of one block, so that a
// question touches one line of the processor's cache. A digest's bytes are random already, so they are the hash.
// Not thread-safe while digests are added.
class DigestFilter {
 public:
  static constexpr std::size_t kBlockBytes = 32;
  static constexpr std::size_t kBitsADigest = 12;

  static std::uint64_t BlocksFor(std::uint64_t digests) { return digests * kBitsADigest / (8 * kBlockBytes) + 1; }

  // Holds everything.
  DigestFilter() = default;
  explicit DigestFilter(std::uint64_t blocks) : words_(blocks * 8) {}

  bool complete() const { return !words_.empty(); }
  void Add(const Digest& digest) {
    std::uint32_t* const block = words_.data() + BlockOf(digest) * 8;
    const std::uint64_t bits = LoadLe<std::uint64_t>(digest.bytes.data() + 16);
    for (std::size_t i = 0; i < 8; ++i) block[i] |= std::uint32_t{1} << (bits >> (5 * i) & 31);
  }
  bool MayHold(const Digest& digest) const {
    if (words_.empty()) return true;
    const std::uint32_t* const block = words_.data() + BlockOf(digest) * 8;
    const std::uint64_t bits = LoadLe<std::uint64_t>(digest.bytes.data() + 16);
    std::uint32_t missing = 0;
    for (std::size_t i = 0; i < 8; ++i) missing |= ~block[i] & std::uint32_t{1} << (bits >> (5 * i) & 31);
    return missing == 0;
  }
  // Its bytes in a file.
  ByteSpan bytes() const { return std::as_bytes(std::span(words_)); }
  MutableByteSpan mutable_bytes() { return std::as_writable_bytes(std::span(words_)); }

 private:
  std::uint64_t BlockOf(const Digest& digest) const {
    return std::uint64_t{LoadLe<std::uint32_t>(digest.bytes.data() + 8)} * (words_.size() / 8) >> 32;
  }

  std::vector<std::uint32_t> words_;  // little-endian in a file, as in memory
};

}  // namespace strata::store::pack
