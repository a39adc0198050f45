#include "store/digest.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

constexpr std::string_view kEmptyHex = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
constexpr std::string_view kEmptyText = "b3:rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI=";

std::string DigestHexOf(std::string_view content) { return Digest::Of(AsBytes(content)).Hex(); }

TEST(Digest, CA17_CA19_TheVectorsOfBlobs) {
  EXPECT_EQ(DigestHexOf(""), kEmptyHex);
  EXPECT_EQ(Digest::OfEmpty().Hex(), kEmptyHex);
  EXPECT_EQ(DigestHexOf(std::string_view("\0\1", 2)),
            "7b7015bb92cf0b318037702a6cdd81dee41224f734684c2c122cd6359cb1ee63");
  EXPECT_EQ(DigestHexOf("Hello World!"), "5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c");
  EXPECT_EQ(Digest::Of(MakeInput("count", 255 * 4096, 0)).Hex(),
            "a82c5154a7a0c262c6fdb929a317585646f8fbcf80326d0a7b8747edaf2d99d2");
}

TEST(Digest, CA6_TheTextFormIsBase64WithPadding) {
  EXPECT_EQ(Digest::OfEmpty().Text(), kEmptyText);
  EXPECT_EQ(Digest().Text(), "b3:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
  Digest ones;
  ones.bytes.fill(std::byte{0xff});
  EXPECT_EQ(ones.Text(), "b3://////////////////////////////////////////8=");
}

TEST(Digest, CA6_BothFormsAreRead) {
  EXPECT_EQ(Digest::Parse(kEmptyHex).value(), Digest::OfEmpty());
  EXPECT_EQ(Digest::Parse(kEmptyText).value(), Digest::OfEmpty());
  std::string upper(kEmptyHex);
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(Digest::Parse(upper).value(), Digest::OfEmpty());
  for (std::uint8_t seed = 0; seed < 100; ++seed) {
    const Digest digest = Digest::Of(std::as_bytes(std::span(&seed, 1)));
    EXPECT_EQ(Digest::Parse(digest.Hex()).value(), digest);
    EXPECT_EQ(Digest::Parse(digest.Text()).value(), digest);
  }
}

TEST(Digest, CA6_NothingElseIsReadAsADigest) {
  const std::string hex(kEmptyHex), text(kEmptyText);
  std::vector<std::string> wrong = {
      "", "b3:", hex.substr(1), hex + "0", text.substr(3), text + "=", "B3:" + text.substr(3)};
  wrong.push_back("g" + hex.substr(1));
  wrong.push_back(hex.substr(1) + " ");
  wrong.push_back("0x" + hex.substr(2));
  wrong.push_back(text.substr(0, 46));         // without the padding
  wrong.push_back(text.substr(0, 46) + "A");   // a digit in its place
  wrong.push_back(text.substr(0, 45) + "J=");  // bits left over
  wrong.push_back("b3:-" + text.substr(4));    // of the alphabet for addresses
  wrong.push_back("b3:=" + text.substr(4));    // padding in front
  wrong.push_back(text.substr(0, 45) + "==");  // too much padding
  wrong.push_back("b3:\n" + text.substr(4));
  for (const std::string& bad : wrong) {
    const auto parsed = Digest::Parse(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code(), Errc::kInvalid) << bad;
  }
}

TEST(Digest, CA5_OnlyThirtyTwoBytesAreADigest) {
  const std::vector<std::byte> bytes(33);
  EXPECT_EQ(Digest::FromBytes(ByteSpan(bytes).first(32)).value(), Digest());
  for (const std::size_t size : {0, 1, 31, 33}) {
    const auto digest = Digest::FromBytes(ByteSpan(bytes).first(size));
    ASSERT_FALSE(digest) << size;
    EXPECT_EQ(digest.error().code(), Errc::kInvalid);
    EXPECT_NE(digest.error().message().find("InvalidDigestLen(" + std::to_string(size) + ")"), std::string_view::npos);
  }
}

TEST(Digest, DigestsAreOrderedByTheirBytesWithoutSign) {
  Digest low, high;
  low.bytes[0] = std::byte{0x7f};
  high.bytes[0] = std::byte{0x80};
  EXPECT_LT(low, high);
}

// Lengths around those at which another variant of the code, with more lanes, is taken.
TEST(Hasher, PiecesOfAnyLengthGiveTheDigestOfTheWhole) {
  for (const std::size_t length : {1, 64, 1023, 1024, 1025, 8 * 1024, 16 * 1024 + 1, 100'000}) {
    const auto content = MakeInput("noise", length, length);
    const Digest whole = Digest::Of(content);
    for (const std::size_t piece : {std::size_t{1}, std::size_t{63}, std::size_t{1024}, std::size_t{5000}, length}) {
      Hasher hasher;
      for (std::size_t at = 0; at < length; at += piece) {
        hasher.Update(ByteSpan(content).subspan(at, std::min(piece, length - at)));
      }
      EXPECT_EQ(hasher.Finish(), whole) << length << " in pieces of " << piece;
    }
  }
}

TEST(Hasher, ACopyGoesOnByItself) {
  Hasher hasher;
  hasher.Update(AsBytes("Hello "));
  Hasher copy(hasher);
  copy.Update(AsBytes("moon"));
  Hasher assigned;
  assigned.Update(AsBytes("else"));
  assigned = hasher;
  hasher.Update(AsBytes("World!"));
  assigned.Update(AsBytes("there"));
  EXPECT_EQ(hasher.Finish().Hex(), DigestHexOf("Hello World!"));
  EXPECT_EQ(copy.Finish().Hex(), DigestHexOf("Hello moon"));
  EXPECT_EQ(assigned.Finish().Hex(), DigestHexOf("Hello there"));
  const Hasher moved(std::move(copy));
  EXPECT_EQ(moved.Finish().Hex(), DigestHexOf("Hello moon"));
}

TEST(Hasher, MoreMayFollowAfterAFinishAndAResetBeginsAnew) {
  Hasher hasher;
  EXPECT_EQ(hasher.Finish(), Digest::OfEmpty());
  hasher.Update(AsBytes("Hello "));
  EXPECT_EQ(hasher.Finish().Hex(), DigestHexOf("Hello "));
  hasher.Update(AsBytes("World!"));
  EXPECT_EQ(hasher.Finish().Hex(), DigestHexOf("Hello World!"));
  hasher.Reset();
  EXPECT_EQ(hasher.Finish(), Digest::OfEmpty());
}

}  // namespace
}  // namespace strata::store
