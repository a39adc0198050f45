// Checksums and keyed hashes.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace strata {

// CRC-32C (Castagnoli, reflected, as iSCSI and ext4 use it), of `bytes` appended to what `seed` covers; 0 to begin.
// Uses SSE 4.2 where the processor has it.
std::uint32_t Crc32c(ByteSpan bytes, std::uint32_t seed = 0);
// The same without special instructions; the tests hold the two against each other.
std::uint32_t Crc32cPortable(ByteSpan bytes, std::uint32_t seed = 0);

using SipHashKey = std::array<std::uint64_t, 2>;

// SipHash-2-4 with a 64-bit result (Aumasson and Bernstein 2012): a MAC of short inputs.
std::uint64_t SipHash24(const SipHashKey& key, ByteSpan bytes);
// SipHash-1-3: the same with fewer rounds, for hash tables that an adversary fills.
std::uint64_t SipHash13(const SipHashKey& key, ByteSpan bytes);

}  // namespace strata
