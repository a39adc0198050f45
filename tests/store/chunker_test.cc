#include "store/chunker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>

#include "store/digest.h"
#include "store/gear.h"
#include "tests/store/fixtures.h"

namespace strata::store {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

std::uint64_t FirstEightBytesOfMd5(ByteSpan bytes) {
  unsigned char md5[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EXPECT_EQ(EVP_Digest(bytes.data(), bytes.size(), md5, &size, EVP_md5(), nullptr), 1);
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number = number << 8 | md5[i];
  return number;
}

std::vector<std::size_t> LengthsOf(ByteSpan input, const ChunkSizes& sizes) {
  Chunker chunker = Chunker::Make(sizes).value();
  std::vector<std::size_t> lengths;
  while (!input.empty()) {
    const std::size_t length = chunker.Cut(input);
    lengths.push_back(length == 0 ? input.size() : length);
    input = input.subspan(lengths.back());
  }
  return lengths;
}

// The search for a cut as the specification words it, with all of the input there.
std::size_t CutBySpecification(ByteSpan input, const ChunkSizes& sizes) {
  constexpr std::uint64_t kMasksFromNine[] = {0x0000019000353000, 0x0000590003530000, 0x0000d90003530000,
                                              0x0000d90103530000, 0x0000d90303530000, 0x0000d90313530000,
                                              0x0000d90f03530000, 0x0000d90303537000, 0x0000d90703537000,
                                              0x0000d90707537000, 0x0000d91707537000, 0x0000d91747537000};
  const std::size_t remaining = input.size();
  if (remaining <= sizes.least) return remaining;
  const std::size_t n = std::min<std::size_t>(remaining, sizes.most);
  const std::size_t center = std::min<std::size_t>(sizes.average, remaining);
  const int bits = static_cast<int>(std::lround(std::log2(sizes.average)));
  std::uint64_t h = 0;
  for (std::size_t i = sizes.least / 2; i < n / 2; ++i) {
    const std::uint64_t mask = kMasksFromNine[bits + (i < center / 2 ? 1 : -1) - 9];
    h = (h << 2) + (kGear[std::to_integer<std::uint8_t>(input[2 * i])] << 1);
    if ((h & mask << 1) == 0) return 2 * i;
    h += kGear[std::to_integer<std::uint8_t>(input[2 * i + 1])];
    if ((h & mask) == 0) return 2 * i + 1;
  }
  return n;
}

std::vector<std::size_t> LengthsBySpecification(ByteSpan input, const ChunkSizes& sizes) {
  std::vector<std::size_t> lengths;
  for (; !input.empty(); input = input.subspan(lengths.back())) lengths.push_back(CutBySpecification(input, sizes));
  return lengths;
}

TEST(Chunker, CA30_TheGearTableIsMadeOfMd5) {
  for (std::size_t i = 0; i < kGear.size(); ++i) {
    const std::vector<std::byte> bytes(64, static_cast<std::byte>(i));
    EXPECT_EQ(kGear[i], FirstEightBytesOfMd5(bytes)) << i;
  }
}

TEST(Chunker, CA30_CutsWhereTheCrateCuts) {
  const std::string path = FixturePath("fastcdc.json");
  if (path.empty()) GTEST_SKIP() << "the fixtures are missing (../shared/fixtures/castore/fastcdc.json)";
  std::ifstream in(path);
  int cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    const auto one = nlohmann::json::parse(line);
    SCOPED_TRACE(line.substr(0, 200));
    const auto input = MakeInput(one["kind"].get<std::string>(), one["length"], one.value("seed", 0ULL));
    ASSERT_EQ(Digest::Of(input).Hex(), one["blake3"].get<std::string>());
    const auto lengths = LengthsOf(input, {one["min"], one["avg"], one["max"]});
    ASSERT_EQ(lengths.size(), one["count"].get<std::size_t>());
    if (const auto& expected = one["lengths"]; expected.is_array()) {
      EXPECT_EQ(lengths, expected.get<std::vector<std::size_t>>());
    } else {
      std::string list;
      for (const std::size_t length : lengths) list += std::to_string(length) + ",";
      EXPECT_EQ(Digest::Of(AsBytes(list)).Hex(), expected["blake3_of_decimal_list"].get<std::string>());
    }
  }
  EXPECT_GT(cases, 10);
}

TEST(Chunker, CA30_CutsWhereTvixCuts) {
  STRATA_FIXTURE(large, "tvix/large.json");
  int compared = 0;
  for (const auto& [name, one] : large.items()) {
    if (one["kind"] == "lines") continue;  // how these are made is not said
    SCOPED_TRACE(name);
    const auto input = MakeInput(one["kind"].get<std::string>(), one["length"], one["seed"]);
    ASSERT_EQ(Digest::Of(input).Hex(), one["root"]["digest"].get<std::string>());
    ByteSpan rest = input;
    ASSERT_FALSE(one["chunks"].empty());
    std::size_t index = 0;
    for (const std::size_t length : LengthsOf(input, ChunkSizes())) {
      ASSERT_LT(index, one["chunks"].size());
      EXPECT_EQ(length, one["chunks"][index][0].get<std::size_t>());
      EXPECT_EQ(Digest::Of(rest.first(length)).Hex(), one["chunks"][index][1].get<std::string>());
      rest = rest.subspan(length);
      ++index;
    }
    EXPECT_EQ(index, one["chunks"].size());
    ++compared;
  }
  EXPECT_GT(compared, 10);
}

TEST(Chunker, CA30_TheVectorsOfTheSpecification) {
  const auto blob_b = MakeInput("count", 255 * 4096, 0);
  EXPECT_THAT(LengthsOf(blob_b, ChunkSizes()), ::testing::ElementsAre(524288, 520192));
  const auto small = LengthsOf(blob_b, {512, 1024, 2048});
  EXPECT_EQ(small.size(), 820);
  EXPECT_THAT(std::vector(small.begin(), small.begin() + 3), ::testing::ElementsAre(1130, 1275, 1275));
  const auto zeros = LengthsOf(MakeInput("zero", 10240, 0), {64, 256, 1024});
  EXPECT_EQ(zeros.size(), 10);
  EXPECT_THAT(zeros, Each(1024));
}

// Odd sizes, and inputs that end anywhere.
TEST(Chunker, CA30_CutsAsTheSpecificationSaysWhereverTheInputEnds) {
  std::mt19937_64 random(1);
  const auto noise = MakeInput("noise", 40'000, 7);
  for (int round = 0; round < 3000; ++round) {
    ChunkSizes sizes;
    sizes.least = 64 + static_cast<std::uint32_t>(random() % 500);
    sizes.average = std::max<std::uint32_t>(sizes.least, 768) + static_cast<std::uint32_t>(random() % 3000);
    sizes.most = std::max<std::uint32_t>(sizes.average, 1024) + static_cast<std::uint32_t>(random() % 3000);
    const std::size_t begin = random() % 10'000;
    const auto input = ByteSpan(noise).subspan(begin, 1 + random() % (random() % 2 == 0 ? 3000 : 30'000));
    ASSERT_EQ(LengthsOf(input, sizes), LengthsBySpecification(input, sizes))
        << sizes.least << " " << sizes.average << " " << sizes.most << ", " << input.size() << " from " << begin;
  }
}

TEST(Chunker, WhatWasLookedAtIsNotLookedAtAgain) {
  const auto input = MakeInput("noise", 100'000, 3);
  const ChunkSizes sizes{2048, 4096, 8192};
  const auto lengths = LengthsOf(input, sizes);
  Chunker chunker = Chunker::Make(sizes).value();
  ByteSpan rest = input;
  for (std::size_t i = 0; i + 1 < lengths.size(); ++i) {
    std::size_t shown = 0, length = 0;
    while ((length = chunker.Cut(rest.first(shown))) == 0) ++shown;
    EXPECT_EQ(length, lengths[i]);
    // A byte more than the chunk, and one for its pair.
    EXPECT_LE(shown, length + 2);
    rest = rest.subspan(length);
  }
}

TEST(Chunker, AfterARestartAnotherInputCanBegin) {
  const auto input = MakeInput("noise", 10'000, 4);
  Chunker chunker = Chunker::Make({512, 1024, 2048}).value();
  Chunker other = chunker;
  const std::size_t length = other.Cut(input);
  ASSERT_GT(length, 0);
  ASSERT_EQ(chunker.Cut(ByteSpan(input).first(length - 1)), 0);
  chunker.Restart();
  EXPECT_EQ(chunker.Cut(input), length);
}

TEST(Chunker, SizesThatTheCrateRefusesAreRefused) {
  for (const ChunkSizes& sizes :
       {ChunkSizes{63, 256, 1024}, ChunkSizes{64, 255, 1024}, ChunkSizes{64, 256, 1023},
        ChunkSizes{(1 << 20) + 1, 4 << 20, 16 << 20}, ChunkSizes{64, (4 << 20) + 1, 16 << 20},
        ChunkSizes{64, 256, (16 << 20) + 1}, ChunkSizes{512, 256, 1024}, ChunkSizes{64, 2048, 1024},
        ChunkSizes::OfAverage(0), ChunkSizes::OfAverage(511), ChunkSizes::OfAverage(UINT32_MAX)}) {
    const auto made = Chunker::Make(sizes);
    ASSERT_FALSE(made) << sizes.least << " " << sizes.average << " " << sizes.most;
    EXPECT_EQ(made.error().code(), Errc::kInvalid);
  }
  EXPECT_TRUE(Chunker::Make({64, 256, 1024}));
  EXPECT_TRUE(Chunker::Make({1 << 20, 4 << 20, 16 << 20}));
  EXPECT_EQ(ChunkSizes::OfAverage(256 << 10), ChunkSizes());
  EXPECT_EQ(Chunker().sizes(), ChunkSizes());
}

class ChunkSplitterPieces : public ::testing::TestWithParam<std::size_t> {};

TEST_P(ChunkSplitterPieces, GiveTheSameChunks) {
  const ChunkSizes sizes{512, 1024, 2048};
  for (const std::string kind : {"noise", "zero", "count"}) {
    const auto input = MakeInput(kind, 50'001, 5);
    ChunkSplitter splitter(Chunker::Make(sizes).value());
    std::vector<std::size_t> lengths;
    std::string whole;
    const auto take = [&](ByteSpan chunk) -> Result<void> {
      lengths.push_back(chunk.size());
      whole += AsText(chunk);
      return {};
    };
    std::mt19937_64 random(GetParam());
    // Twice: after the end it may be used anew.
    for (int i = 0; i < 2; ++i) {
      lengths.clear();
      whole.clear();
      for (ByteSpan rest = input; !rest.empty();) {
        // 0: any size.
        const std::size_t piece = std::min(rest.size(), GetParam() != 0 ? GetParam() : random() % 5000);
        ASSERT_TRUE(splitter.Write(rest.first(piece), take));
        rest = rest.subspan(piece);
      }
      ASSERT_TRUE(splitter.Finish(take));
      EXPECT_EQ(lengths, LengthsBySpecification(input, sizes)) << kind;
      EXPECT_EQ(whole, AsText(input)) << kind;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OfSize, ChunkSplitterPieces,
                         ::testing::Values(1, 2, 3, 511, 512, 513, 1023, 1024, 2047, 2048, 2049, 4096, 50'001, 0));

TEST(ChunkSplitter, OfNothingThereIsNoChunk) {
  ChunkSplitter splitter{Chunker()};
  const auto never = [](ByteSpan) -> Result<void> {
    ADD_FAILURE();
    return {};
  };
  EXPECT_TRUE(splitter.Write({}, never));
  EXPECT_TRUE(splitter.Finish(never));
}

TEST(ChunkSplitter, ChunksWithinAPieceAreNotCopied) {
  const auto input = MakeInput("noise", 20'000, 6);
  ChunkSplitter splitter(Chunker::Make({512, 1024, 2048}).value());
  const std::byte* next = input.data();
  ASSERT_TRUE(splitter.Write(input, [&](ByteSpan chunk) -> Result<void> {
    EXPECT_EQ(chunk.data(), next);
    next += chunk.size();
    return {};
  }));
  EXPECT_GT(next, input.data());
}

TEST(ChunkSplitter, AnErrorOfWhoTakesTheChunksIsTheSplitters) {
  const auto input = MakeInput("noise", 20'000, 6);
  const auto refuse = [](ByteSpan) -> Result<void> { return Fail(Errc::kNoSpace, "full"); };
  ChunkSplitter within(Chunker::Make({512, 1024, 2048}).value());
  EXPECT_EQ(within.Write(input, refuse).error().code(), Errc::kNoSpace);
  ChunkSplitter across(Chunker::Make({512, 1024, 2048}).value());
  ASSERT_TRUE(across.Write(ByteSpan(input).first(100), refuse));
  EXPECT_EQ(across.Write(ByteSpan(input).subspan(100, 4000), refuse).error().code(), Errc::kNoSpace);
  ChunkSplitter last(Chunker::Make({512, 1024, 2048}).value());
  ASSERT_TRUE(last.Write(ByteSpan(input).first(100), refuse));
  EXPECT_EQ(last.Finish(refuse).error().code(), Errc::kNoSpace);
}

}  // namespace
}  // namespace strata::store
