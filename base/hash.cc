#include "base/hash.h"

#include <bit>
#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace strata {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // CRC-32C, reflected

// kSlices[k][b]: what byte b does to the checksum when k bytes follow it.
struct SliceTables {
  std::uint32_t slices[8][256];
};

constexpr SliceTables MakeSliceTables() {
  SliceTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables.slices[0][byte] = crc;
  }
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    for (int k = 1; k < 8; ++k) {
      const std::uint32_t before = tables.slices[k - 1][byte];
      tables.slices[k][byte] = (before >> 8) ^ tables.slices[0][before & 0xff];
    }
  }
  return tables;
}

constexpr SliceTables kTables = MakeSliceTables();

std::uint32_t TableCrc(std::uint32_t crc, const std::byte* at, std::size_t size) {
  const auto& t = kTables.slices;
  for (; size >= 8; at += 8, size -= 8) {
    const std::uint64_t word = LoadLe<std::uint64_t>(at) ^ crc;
    crc = t[7][word & 0xff] ^ t[6][(word >> 8) & 0xff] ^ t[5][(word >> 16) & 0xff] ^ t[4][(word >> 24) & 0xff] ^
          t[3][(word >> 32) & 0xff] ^ t[2][(word >> 40) & 0xff] ^ t[1][(word >> 48) & 0xff] ^ t[0][word >> 56];
  }
  for (; size != 0; ++at, --size) crc = (crc >> 8) ^ t[0][(crc ^ static_cast<std::uint32_t>(*at)) & 0xff];
  return crc;
}

#if defined(__x86_64__)

// The crc32 instruction has a latency of three cycles and a throughput of one: three streams side by side keep it busy.
// Their checksums are then joined by shifting the earlier ones over the bytes of the later (Adler's crc32c.c and Gopal
// et al. 2011).
constexpr std::size_t kLongStream = 4096;
constexpr std::size_t kShortStream = 256;

// Multiplication by x^(8 * size) modulo the polynomial, for a whole checksum, as four tables of its bytes.
struct ShiftTables {
  std::uint32_t bytes[4][256];
};

constexpr ShiftTables MakeShiftTables(std::size_t size) {
  // The operator of one zero byte as a matrix over single bits, squared until it is that of `size`, a power of two.
  std::uint32_t matrix[32]{};
  for (int bit = 0; bit < 32; ++bit) {
    const std::uint32_t one = std::uint32_t{1} << bit;
    matrix[bit] = (one >> 8) ^ kTables.slices[0][one & 0xff];
  }
  for (; size > 1; size >>= 1) {
    std::uint32_t squared[32]{};
    for (int bit = 0; bit < 32; ++bit) {
      for (int k = 0; k < 32; ++k) squared[bit] ^= ((matrix[bit] >> k) & 1) != 0 ? matrix[k] : 0;
    }
    for (int bit = 0; bit < 32; ++bit) matrix[bit] = squared[bit];
  }
  ShiftTables tables{};
  for (int place = 0; place < 4; ++place) {
    for (int byte = 1; byte < 256; ++byte) {
      const int low = std::countr_zero(static_cast<unsigned>(byte));
      tables.bytes[place][byte] = tables.bytes[place][byte & (byte - 1)] ^ matrix[8 * place + low];
    }
  }
  return tables;
}

static_assert(std::has_single_bit(kLongStream) && std::has_single_bit(kShortStream));
constexpr ShiftTables kLongShift = MakeShiftTables(kLongStream);
constexpr ShiftTables kShortShift = MakeShiftTables(kShortStream);

inline std::uint32_t Shift(const ShiftTables& t, std::uint32_t crc) {
  return t.bytes[0][crc & 0xff] ^ t.bytes[1][(crc >> 8) & 0xff] ^ t.bytes[2][(crc >> 16) & 0xff] ^
         t.bytes[3][crc >> 24];
}

template <std::size_t kStream>
__attribute__((target("sse4.2"))) std::uint32_t ThreeStreams(const ShiftTables& shift, std::uint32_t crc,
                                                             const std::byte*& at, std::size_t& size) {
  while (size >= 3 * kStream) {
    std::uint64_t a = crc, b = 0, c = 0;
    for (std::size_t i = 0; i < kStream; i += 8) {
      a = _mm_crc32_u64(a, LoadLe<std::uint64_t>(at + i));
      b = _mm_crc32_u64(b, LoadLe<std::uint64_t>(at + kStream + i));
      c = _mm_crc32_u64(c, LoadLe<std::uint64_t>(at + 2 * kStream + i));
    }
    crc = Shift(shift, static_cast<std::uint32_t>(a)) ^ static_cast<std::uint32_t>(b);
    crc = Shift(shift, crc) ^ static_cast<std::uint32_t>(c);
    at += 3 * kStream;
    size -= 3 * kStream;
  }
  return crc;
}

__attribute__((target("sse4.2"))) std::uint32_t HardwareCrc(std::uint32_t seed, const std::byte* at, std::size_t size) {
  std::uint32_t crc = ThreeStreams<kLongStream>(kLongShift, seed, at, size);
  crc = ThreeStreams<kShortStream>(kShortShift, crc, at, size);
  std::uint64_t wide = crc;
  for (; size >= 8; at += 8, size -= 8) wide = _mm_crc32_u64(wide, LoadLe<std::uint64_t>(at));
  crc = static_cast<std::uint32_t>(wide);
  for (; size != 0; ++at, --size) crc = _mm_crc32_u8(crc, static_cast<std::uint8_t>(*at));
  return crc;
}

const bool kHaveSse42 = __builtin_cpu_supports("sse4.2") != 0;

// Where the processor multiplies four pairs of polynomials at once, a block is folded over the next by two
// multiplications for each 128 bits (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
// Instruction", 2009), several times as fast as the crc32 instruction.
constexpr std::size_t kFoldedBlock = 256;
constexpr std::size_t kSmallestFolded = 2 * kFoldedBlock;

// x^power modulo the polynomial, as the multiplication of reflected numbers wants it.
constexpr std::int64_t FoldFactor(std::size_t power) {
  std::uint32_t factor = 0x80000000;
  for (std::size_t i = 0; i < power; ++i) factor = (factor >> 1) ^ ((factor & 1) != 0 ? kPolynomial : 0);
  return static_cast<std::int64_t>(factor) << 1;
}
constexpr std::int64_t kFoldLow = FoldFactor(8 * kFoldedBlock + 32);
constexpr std::int64_t kFoldHigh = FoldFactor(8 * kFoldedBlock - 32);

__attribute__((target("avx512f,vpclmulqdq,sse4.2"))) std::uint32_t FoldedCrc(std::uint32_t seed, const std::byte* at,
                                                                             std::size_t size) {
  constexpr int kLanes = kFoldedBlock / 64;
  __m512i lanes[kLanes];
  for (int i = 0; i < kLanes; ++i) lanes[i] = _mm512_loadu_si512(at + 64 * i);
  lanes[0] = _mm512_xor_si512(lanes[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(seed))));
  const __m512i factors =
      _mm512_set_epi64(kFoldHigh, kFoldLow, kFoldHigh, kFoldLow, kFoldHigh, kFoldLow, kFoldHigh, kFoldLow);
  at += kFoldedBlock;
  size -= kFoldedBlock;
  for (; size >= kFoldedBlock; at += kFoldedBlock, size -= kFoldedBlock) {
#pragma GCC unroll 4
    for (int i = 0; i < kLanes; ++i) {
      constexpr int kXorOfThree = 0x96;
      lanes[i] = _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(lanes[i], factors, 0x00),
                                           _mm512_clmulepi64_epi128(lanes[i], factors, 0x11),
                                           _mm512_loadu_si512(at + 64 * i), kXorOfThree);
    }
  }
  // What is left of all blocks has the checksum that they have.
  alignas(64) std::byte rest[kFoldedBlock];
  for (int i = 0; i < kLanes; ++i) _mm512_store_si512(rest + 64 * i, lanes[i]);
  return HardwareCrc(HardwareCrc(0, rest, sizeof rest), at, size);
}

const bool kHaveFolding = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("vpclmulqdq") != 0;

#endif  // __x86_64__

template <int kCompressionRounds, int kFinalRounds>
std::uint64_t SipHash(const SipHashKey& key, ByteSpan bytes) {
  std::uint64_t v0 = key[0] ^ 0x736f6d6570736575ULL;
  std::uint64_t v1 = key[1] ^ 0x646f72616e646f6dULL;
  std::uint64_t v2 = key[0] ^ 0x6c7967656e657261ULL;
  std::uint64_t v3 = key[1] ^ 0x7465646279746573ULL;
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
      v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
    }
  };
  const std::byte* at = bytes.data();
  std::size_t size = bytes.size();
  for (; size >= 8; at += 8, size -= 8) {
    const std::uint64_t word = LoadLe<std::uint64_t>(at);
    v3 ^= word;
    rounds(kCompressionRounds);
    v0 ^= word;
  }
  std::uint64_t last = static_cast<std::uint64_t>(bytes.size() & 0xff) << 56;
  for (std::size_t i = 0; i < size; ++i) last |= static_cast<std::uint64_t>(at[i]) << (8 * i);
  v3 ^= last;
  rounds(kCompressionRounds);
  v0 ^= last;
  v2 ^= 0xff;
  rounds(kFinalRounds);
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace

std::uint32_t Crc32c(ByteSpan bytes, std::uint32_t seed) {
#if defined(__x86_64__)
  if (bytes.size() >= kSmallestFolded && kHaveFolding) return ~FoldedCrc(~seed, bytes.data(), bytes.size());
  if (kHaveSse42) return ~HardwareCrc(~seed, bytes.data(), bytes.size());
#endif
  return ~TableCrc(~seed, bytes.data(), bytes.size());
}

std::uint32_t Crc32cPortable(ByteSpan bytes, std::uint32_t seed) {
  return ~TableCrc(~seed, bytes.data(), bytes.size());
}

std::uint64_t SipHash24(const SipHashKey& key, ByteSpan bytes) { return SipHash<2, 4>(key, bytes); }
std::uint64_t SipHash13(const SipHashKey& key, ByteSpan bytes) { return SipHash<1, 3>(key, bytes); }

}  // namespace strata
