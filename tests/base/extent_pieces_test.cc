#include "base/extent_pieces.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace strata {
namespace {

// Where each byte of the file lies: its position and its record.
using Bytes = std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>>;

Bytes BytesOf(const ExtentPieces& pieces) {
  Bytes bytes;
  for (const auto& [offset, piece] : pieces) {
    EXPECT_GT(piece.length, 0u);
    for (std::uint64_t i = 0; i < piece.length; ++i) {
      const bool fresh = bytes.emplace(offset + i, std::pair(piece.position.value + i, piece.record.value)).second;
      EXPECT_TRUE(fresh) << "byte " << offset + i << " twice";
    }
  }
  return bytes;
}

TEST(ExtentPieces, CuttingLeavesWhatLiesOutside) {
  std::mt19937_64 random(20260101);
  for (int round = 0; round < 200; ++round) {
    ExtentPieces pieces;
    Bytes expected;
    for (std::uint64_t step = 1; step <= 20; ++step) {
      const std::uint64_t begin = random() % 60, end = begin + 1 + random() % 20;
      const std::size_t before = expected.size();
      expected.erase(expected.lower_bound(begin), expected.lower_bound(end));
      EXPECT_EQ(CutExtents(pieces, begin, end), before - expected.size());
      EXPECT_EQ(BytesOf(pieces), expected);
      if (random() % 4 == 0) continue;
      AddExtent(pieces, {begin, end - begin, Lsn(1000 * step), Lsn(step)});
      for (std::uint64_t at = begin; at < end; ++at) expected[at] = {1000 * step + at - begin, step};
    }
  }
}

TEST(ExtentPieces, ToTheEndIsAllThatFollows) {
  ExtentPieces pieces;
  AddExtent(pieces, {0, 10, Lsn(100), Lsn(1)});
  AddExtent(pieces, {20, 10, Lsn(200), Lsn(2)});
  EXPECT_EQ(CutExtents(pieces, 5, ~0ULL), 15u);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(WholeExtent(pieces.begin()->first, pieces.begin()->second), (Extent{0, 5, Lsn(100), Lsn(1)}));
  EXPECT_EQ(CutExtents(pieces, 5, ~0ULL), 0u);
}

}  // namespace
}  // namespace strata
