// What read-ahead decides: which reads are those of somebody who reads on, and how far ahead to be.
#include "vfs/layer/castore/read_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace strata::vfs::castore {
namespace {

using Range = ReadAhead::Range;
using Outcome = ReadAhead::Outcome;

constexpr std::uint64_t kKiB = 1 << 10, kMiB = 1 << 20;

store::Digest BlobOf(int number) { return store::Digest::Of(std::as_bytes(std::span(&number, 1))); }

// Blobs that are read, of which nothing is in memory but what was fetched.
struct Reading {
  explicit Reading(std::size_t bytes) : ahead(bytes) {}

  // A read, and what it has fetched, which is then there at once.
  std::optional<Range> Read(int blob, std::uint64_t offset, std::uint64_t length, bool waited = true) {
    const auto range = ahead.Read(BlobOf(blob), size, offset, length, waited);
    if (!range) return range;
    EXPECT_LT(range->begin, range->end);
    EXPECT_LE(range->end, size);
    fetched += range->end - range->begin;
    end = std::max(end, range->end);
    for (std::uint64_t at = range->begin; at < range->end; at += ReadAhead::kPiece) {
      ahead.Fetched(range->run, std::min(at + ReadAhead::kPiece, range->end), outcome);
    }
    return range;
  }

  ReadAhead ahead;
  std::uint64_t size = std::uint64_t{1} << 30;
  std::uint64_t fetched = 0, end = 0;
  Outcome outcome = Outcome::kLoaded;
};

TEST(ReadAhead, WhoReadsInOrderHasWhatFollowsFetchedFromWhereHeIs) {
  for (const std::uint64_t length : {4 * kKiB, 32 * kKiB, 128 * kKiB, kMiB}) {
    Reading reading(4 * kMiB);
    std::uint64_t offset = 0;
    for (; reading.fetched == 0 && offset < 4 * kMiB; offset += length) reading.Read(1, offset, length);
    EXPECT_LE(offset, std::max(2 * length, 128 * kKiB)) << "soon";
    const std::uint64_t begin = reading.end - reading.fetched;
    EXPECT_EQ(begin, offset) << "not what was read";
    for (; offset < 100 * kMiB; offset += length) {
      reading.Read(1, offset, length, reading.end < offset + length);
      ASSERT_GT(reading.end, offset + length) << "ahead all the time";
      ASSERT_LE(reading.end, offset + length + 4 * kMiB);
      ASSERT_EQ(reading.end - begin, reading.fetched) << "nothing twice, and nothing left out";
    }
  }
}

TEST(ReadAhead, ReadsThatOvertakeEachOtherAreInOrder) {
  std::mt19937 random(1);
  for (int round = 0; round < 50; ++round) {
    Reading reading(8 * kMiB);
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t offset = 0; offset < 40 * kMiB; offset += 128 * kKiB) offsets.push_back(offset);
    for (std::size_t i = 0; i < offsets.size(); i += 8) {
      std::shuffle(offsets.begin() + static_cast<std::ptrdiff_t>(i),
                   offsets.begin() + static_cast<std::ptrdiff_t>(std::min(i + 8, offsets.size())), random);
    }
    std::size_t late = 0;
    for (const std::uint64_t offset : offsets) {
      const bool waited = reading.end < offset + 128 * kKiB;
      late += waited ? 1 : 0;
      reading.Read(1, offset, 128 * kKiB, waited);
    }
    EXPECT_LT(late, offsets.size() / 10) << round;
  }
}

TEST(ReadAhead, WhoReadsHereAndThereHasNothingFetched) {
  std::mt19937_64 random(2);
  for (const std::uint64_t length : {4 * kKiB, 32 * kKiB, 128 * kKiB}) {
    for (const std::uint64_t size : {64 * kMiB, kMiB << 10}) {
      Reading reading(8 * kMiB);
      reading.size = size;
      // Up to one part in 32 of the file: by then no two neighbours in a row are to be expected.
      const std::uint64_t places = size / length, reads = std::min<std::uint64_t>(places / 32, 4000);
      for (std::uint64_t i = 0; i < reads; ++i) reading.Read(1, random() % places * length, length);
      // Of 128 KiB in 64 MiB, two may touch by chance.
      EXPECT_LE(reading.fetched, length == 128 * kKiB && size == 64 * kMiB ? 512 * kKiB : 0) << length << ' ' << size;
    }
  }
  Reading backwards(8 * kMiB);
  for (std::uint64_t offset = 100 * kMiB; offset > 0; offset -= kMiB) backwards.Read(1, offset, 64 * kKiB);
  EXPECT_EQ(backwards.fetched, 0u);
}

TEST(ReadAhead, SmallReadsHereAndThereInASmallFileFetchNothingBeforeMostOfItWasRead) {
  std::mt19937 random(3);
  for (int round = 0; round < 20; ++round) {
    Reading reading(8 * kMiB);
    reading.size = 4 * kMiB;
    for (int i = 0; i < 256; ++i) reading.Read(1, random() % 1024 * 4 * kKiB, 4 * kKiB);
    EXPECT_EQ(reading.fetched, 0u) << round;
  }
}

TEST(ReadAhead, OfWhatIsInMemoryNothingIsFetched) {
  Reading reading(8 * kMiB);
  for (std::uint64_t offset = 0; offset < 50 * kMiB; offset += 128 * kKiB) reading.Read(1, offset, 128 * kKiB, false);
  EXPECT_EQ(reading.fetched, 0u) << "nobody waited";
  // The first part is not there, and the rest is: that is found out once.
  reading.outcome = Outcome::kWasThere;
  for (std::uint64_t offset = 0; offset < 50 * kMiB; offset += 128 * kKiB) {
    reading.Read(1, offset, 128 * kKiB, offset < 512 * kKiB);
  }
  EXPECT_GT(reading.fetched, 0u);
  EXPECT_LE(reading.fetched, 2 * kMiB);
}

TEST(ReadAhead, WhereFetchingFailsItIsLeftAloneUntilSomebodyWaits) {
  Reading reading(8 * kMiB);
  reading.outcome = Outcome::kFailed;
  reading.Read(1, 0, 128 * kKiB);
  ASSERT_TRUE(reading.Read(1, 128 * kKiB, 128 * kKiB));
  const std::uint64_t fetched = reading.fetched;
  for (std::uint64_t offset = 256 * kKiB; offset < 10 * kMiB; offset += 128 * kKiB) {
    EXPECT_FALSE(reading.Read(1, offset, 128 * kKiB, false));
  }
  EXPECT_EQ(reading.fetched, fetched);
  reading.outcome = Outcome::kLoaded;
  const auto range = reading.Read(1, 10 * kMiB, 128 * kKiB, true);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->begin, 10 * kMiB + 128 * kKiB);
}

TEST(ReadAhead, WhatWasFetchedAndIsGoneIsFetchedAgain) {
  Reading reading(8 * kMiB);
  reading.Read(1, 0, 128 * kKiB);
  const auto first = reading.Read(1, 128 * kKiB, 128 * kKiB);
  ASSERT_TRUE(first);
  ASSERT_GT(first->end, 512 * kKiB);
  const auto second = reading.Read(1, 256 * kKiB, 128 * kKiB, true);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->begin, 384 * kKiB) << "it was not there, and nothing is on its way";
}

TEST(ReadAhead, NothingIsFetchedBeyondTheEndAndNothingOfWhatIsReadAtOnce) {
  Reading reading(8 * kMiB);
  reading.size = 300 * kKiB;
  EXPECT_FALSE(reading.Read(1, 0, 300 * kKiB));
  reading.Read(2, 0, 128 * kKiB);
  const auto range = reading.Read(2, 128 * kKiB, 128 * kKiB);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->end, 300 * kKiB);
  EXPECT_FALSE(reading.Read(2, 256 * kKiB, 44 * kKiB, false));
}

TEST(ReadAhead, AllTogetherStaysWithinTheBoundHoweverManyReadOn) {
  constexpr std::uint64_t kBound = 4 * kMiB;
  for (const int blobs : {2, 7, 40, 200}) {
    Reading reading(kBound);
    std::map<int, std::uint64_t> read, ahead;
    for (std::uint64_t offset = 0; offset < 4 * kMiB; offset += 64 * kKiB) {
      for (int blob = 0; blob < blobs; ++blob) {
        const auto range = reading.Read(blob, offset, 64 * kKiB, ahead[blob] < offset + 64 * kKiB);
        read[blob] = offset + 64 * kKiB;
        if (range) ahead[blob] = range->end;
        std::uint64_t unread = 0;
        for (const auto& [of, end] : ahead) unread += end > read[of] ? end - read[of] : 0;
        ASSERT_LE(unread, kBound) << blobs;
      }
    }
    if (blobs < 50) {
      EXPECT_GT(reading.fetched, kBound) << blobs;
    }
  }
}

TEST(ReadAhead, ThoseThatWereLeftGiveWay) {
  Reading reading(4 * kMiB);
  for (int blob = 0; blob < 60; ++blob) {
    for (std::uint64_t offset = 0; offset < kMiB; offset += 128 * kKiB) reading.Read(blob, offset, 128 * kKiB);
  }
  std::uint64_t furthest = 0;
  for (std::uint64_t offset = 0; offset < 400 * kMiB; offset += 128 * kKiB) {
    reading.Read(100, offset, 128 * kKiB, reading.end < offset + 128 * kKiB);
    furthest = std::max(furthest, reading.end - std::min(reading.end, offset));
  }
  EXPECT_GE(furthest, 3 * kMiB);
}

TEST(ReadAhead, TwoWhoReadTheSameBlobEachHaveTheirOwn) {
  Reading reading(8 * kMiB);
  std::uint64_t first = 0, second = 0;
  for (std::uint64_t offset = 0; offset < 20 * kMiB; offset += 128 * kKiB) {
    if (const auto range = reading.Read(1, offset, 128 * kKiB, first < offset + 128 * kKiB)) first = range->end;
    if (const auto range =
            reading.Read(1, 500 * kMiB + offset, 128 * kKiB, second < 500 * kMiB + offset + 128 * kKiB)) {
      second = range->end;
    }
    if (offset >= 256 * kKiB) {
      EXPECT_GT(first, offset + 128 * kKiB);
      EXPECT_GT(second, 500 * kMiB + offset + 128 * kKiB);
    }
  }
}

TEST(ReadAhead, WhatIsReadAgainFromTheBeginningIsFetchedAgainWhereItIsGone) {
  Reading reading(8 * kMiB);
  reading.size = 20 * kMiB;
  for (int round = 0; round < 3; ++round) {
    reading.end = reading.fetched = 0;
    // The first of them leaves before the end.
    for (std::uint64_t offset = 0; offset < (round == 0 ? 6 : 20) * kMiB; offset += 128 * kKiB) {
      reading.Read(1, offset, 128 * kKiB, reading.end < offset + 128 * kKiB);
    }
    EXPECT_GT(reading.fetched, 5 * kMiB) << round;
  }
}

TEST(ReadAhead, WhereAllIsInMemoryItForgetsWhatWasReadAndBeginsAnewOnceSomebodyWaits) {
  Reading reading(8 * kMiB);
  reading.size = 4096 * kMiB;
  reading.Read(1, 0, 128 * kKiB, true);
  EXPECT_TRUE(reading.Read(1, 128 * kKiB, 128 * kKiB, true)) << "it goes on";
  for (std::uint64_t i = 0; i < 40'000; ++i) {
    EXPECT_FALSE(reading.Read(1, (100 + i * 7919 % 3000) * kMiB, 4 * kKiB, false)) << i;
  }
  // The run that was fetched for is not known any more.
  EXPECT_FALSE(reading.Read(1, 256 * kKiB, 4096 * kKiB, false));
  reading.Read(1, 8 * kMiB, 128 * kKiB, true);
  EXPECT_TRUE(reading.Read(1, 8 * kMiB + 128 * kKiB, 128 * kKiB, true));
}

TEST(ReadAhead, WithoutABoundItDoesNothing) {
  Reading reading(0);
  for (std::uint64_t offset = 0; offset < 20 * kMiB; offset += 128 * kKiB) {
    EXPECT_FALSE(reading.Read(1, offset, 128 * kKiB));
  }
}

}  // namespace
}  // namespace strata::vfs::castore
