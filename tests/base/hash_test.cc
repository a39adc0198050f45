#include "base/hash.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace strata {
namespace {

std::vector<std::byte> Sequence(std::size_t size, int first, int step) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(first + static_cast<int>(i) * step);
  return bytes;
}

TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xe3069283u);
  EXPECT_EQ(Crc32c({}), 0u);
  // RFC 3720 appendix B.4.
  EXPECT_EQ(Crc32c(Sequence(32, 0, 0)), 0x8a9136aau);
  EXPECT_EQ(Crc32c(Sequence(32, 0xff, 0)), 0x62a8ab43u);
  EXPECT_EQ(Crc32c(Sequence(32, 0, 1)), 0x46dd794eu);
  EXPECT_EQ(Crc32c(Sequence(32, 31, -1)), 0x113fdb5cu);
}

TEST(Crc32c, IsTheSameInPiecesAndWithoutSpecialInstructions) {
  std::mt19937_64 random(7);
  std::vector<std::byte> bytes(40'000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  for (const std::size_t size :
       {0u, 1u, 7u, 8u, 255u, 511u, 512u, 513u, 767u, 768u, 769u, 12'287u, 12'288u, 12'289u, 30'000u, 39'999u}) {
    for (const std::size_t start : {0u, 1u}) {
      const ByteSpan whole = ByteSpan(bytes).subspan(start, size);
      const std::uint32_t crc = Crc32c(whole);
      EXPECT_EQ(crc, Crc32cPortable(whole)) << size;
      EXPECT_EQ(crc, Crc32c(whole.subspan(size / 3), Crc32c(whole.first(size / 3)))) << size;
    }
  }
}

TEST(SipHash, GivesThePublishedValues) {
  const SipHashKey key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  const std::vector<std::byte> bytes = Sequence(64, 0, 1);
  // The authors' vectors.h, for 2-4 with a 64-bit result.
  EXPECT_EQ(SipHash24(key, ByteSpan(bytes).first(0)), 0x726fdb47dd0e0e31ULL);
  EXPECT_EQ(SipHash24(key, ByteSpan(bytes).first(1)), 0x74f839c593dc67fdULL);
  EXPECT_EQ(SipHash24(key, ByteSpan(bytes).first(7)), 0xab0200f58b01d137ULL);
  EXPECT_EQ(SipHash24(key, ByteSpan(bytes).first(8)), 0x93f5f5799a932462ULL);
  EXPECT_EQ(SipHash24(key, ByteSpan(bytes).first(15)), 0xa129ca6149be45e5ULL);
  // 1-3, as Rust's standard library tests it.
  EXPECT_EQ(SipHash13(key, ByteSpan(bytes).first(0)), 0xabac0158050fc4dcULL);
  EXPECT_EQ(SipHash13(key, ByteSpan(bytes).first(1)), 0xc9f49bf37d57ca93ULL);
  EXPECT_EQ(SipHash13(key, ByteSpan(bytes).first(2)), 0x82cb9b024dc7d44dULL);
}

}  // namespace
}  // namespace strata
