#include "server/rpc/record_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/server/rpc/harness.h"

namespace strata::rpc {
namespace {

using testing::Bytes;
using testing::Joined;
using testing::Mark;

// Puts `bytes` in, at most `step` at a time, and takes all records out.
RecordReader::Found Feed(RecordReader& reader, ByteSpan bytes, std::size_t step, std::vector<Bytes>* records) {
  for (;;) {
    ByteSpan record;
    const RecordReader::Found found = reader.Take(&record);
    if (found == RecordReader::Found::kRecord) {
      records->emplace_back(record.begin(), record.end());
      continue;
    }
    if (found != RecordReader::Found::kMore || bytes.empty()) return found;
    const MutableByteSpan room = reader.Room();
    EXPECT_FALSE(room.empty());
    const std::size_t part = std::min({step, room.size(), bytes.size()});
    std::copy_n(bytes.begin(), part, room.begin());
    reader.Received(part);
    bytes = bytes.subspan(part);
  }
}

Bytes Pattern(std::size_t size, unsigned seed) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + seed);
  return bytes;
}

// `payload` in fragments of the given size.
Bytes Fragmented(const Bytes& payload, std::size_t size) {
  Bytes out;
  for (std::size_t at = 0; at < payload.size(); at += size) {
    const std::size_t part = std::min(size, payload.size() - at);
    const Bytes mark = Mark(static_cast<std::uint32_t>(part), at + part == payload.size());
    out.insert(out.end(), mark.begin(), mark.end());
    out.insert(out.end(), payload.begin() + static_cast<std::ptrdiff_t>(at),
               payload.begin() + static_cast<std::ptrdiff_t>(at + part));
  }
  return out;
}

TEST(RecordReader, FindsTheSameRecordsHoweverTheStreamIsCut) {
  const std::vector<Bytes> payloads = {Pattern(40, 1), Pattern(1, 2), Pattern(70'000, 3), Pattern(4, 4),
                                       Pattern(300, 5)};
  Bytes stream;
  for (const Bytes& p : payloads) stream = Joined({stream, testing::Record(p)});
  for (const std::size_t step : {1, 3, 4, 5, 64, 1000, 65536, 1 << 20}) {
    ReceiveBudget budget;
    BufferPool pool(budget);
    RecordReader reader(pool);
    std::vector<Bytes> records;
    EXPECT_EQ(Feed(reader, stream, step, &records), RecordReader::Found::kMore);
    EXPECT_EQ(records, payloads) << "in steps of " << step;
  }
}

// Spec nfsv3 1.1: down to one-byte fragments.
TEST(RecordReader, PutsFragmentsTogetherDownToOneByteEach) {
  const Bytes payload = Pattern(5000, 7);
  for (const std::size_t fragment : {1, 2, 7, 1460, 4999}) {
    for (const std::size_t step : {1, 6, 4096}) {
      ReceiveBudget budget;
      BufferPool pool(budget);
      RecordReader reader(pool);
      std::vector<Bytes> records;
      Bytes stream =
          Joined({testing::Record(Pattern(8, 1)), Fragmented(payload, fragment), testing::Record(Pattern(9, 2))});
      EXPECT_EQ(Feed(reader, stream, step, &records), RecordReader::Found::kMore);
      ASSERT_EQ(records.size(), 3u) << fragment << ' ' << step;
      EXPECT_EQ(records[1], payload);
      EXPECT_EQ(records[2], Pattern(9, 2));
    }
  }
}

TEST(RecordReader, AgreesWithAPlainDecoderOnRandomStreams) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    std::mt19937 random(seed);
    std::vector<Bytes> payloads;
    Bytes stream;
    for (int i = 0; i < 30; ++i) {
      const std::size_t size = 1 + random() % (random() % 8 == 0 ? 200'000 : 3000);
      payloads.push_back(Pattern(size, random()));
      stream = Joined({stream, Fragmented(payloads.back(), 1 + random() % (2 * size))});
    }
    ReceiveBudget budget;
    BufferPool pool(budget);
    RecordReader reader(pool);
    std::vector<Bytes> records;
    ReceiveBuffer* held = nullptr;
    ByteSpan rest = stream;
    while (!rest.empty()) {
      const std::size_t part = std::min<std::size_t>(rest.size(), 1 + random() % 100'000);
      ASSERT_EQ(Feed(reader, rest.first(part), 1 + random() % 70'000, &records), RecordReader::Found::kMore);
      rest = rest.subspan(part);
      if (random() % 4 == 0) reader.Shrink();
      // As a call on a worker holds the buffer for a while.
      if (reader.has_buffer() && held == nullptr && random() % 3 == 0) {
        held = reader.HoldBuffer();
      } else if (held != nullptr && random() % 2 == 0) {
        pool.Release(std::exchange(held, nullptr));
      }
    }
    EXPECT_EQ(records, payloads) << "seed " << seed;
    if (held != nullptr) pool.Release(held);
  }
}

TEST(RecordReader, TakesARecordOfTheLargestSizeAndNoneLarger) {
  for (const std::size_t fragment : {kMaxRecordBytes, std::size_t{100'000}}) {
    ReceiveBudget budget;
    BufferPool pool(budget);
    RecordReader reader(pool);
    std::vector<Bytes> records;
    const Bytes largest = Pattern(kMaxRecordBytes, 3);
    EXPECT_EQ(Feed(reader, Fragmented(largest, fragment), 50'000, &records), RecordReader::Found::kMore);
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0], largest);
    EXPECT_EQ(Feed(reader, Fragmented(Pattern(kMaxRecordBytes + 1, 3), fragment), 50'000, &records),
              RecordReader::Found::kTooLarge);
  }
}

TEST(RecordReader, RefusesALengthOverTheLimitBeforeItsBytesCome) {
  ReceiveBudget budget;
  BufferPool pool(budget);
  RecordReader reader(pool);
  std::vector<Bytes> records;
  EXPECT_EQ(Feed(reader, Mark(0x7fff'ffff, true), 4, &records), RecordReader::Found::kTooLarge);
}

TEST(RecordReader, NeverHoldsMuchMoreThanWhatHasCome) {
  ReceiveBudget budget;
  BufferPool pool(budget);
  RecordReader reader(pool);
  std::vector<Bytes> records;
  // A claim of the largest size, and 1,000 bytes of it.
  EXPECT_EQ(Feed(reader, Joined({Mark(kMaxRecordBytes, true), Pattern(1000, 1)}), 100, &records),
            RecordReader::Found::kMore);
  EXPECT_LE(reader.footprint(), BufferPool::kSmallBytes);
  EXPECT_GT(reader.footprint(), 0u);
  EXPECT_EQ(Feed(reader, Pattern(50'000, 1), 1 << 20, &records), RecordReader::Found::kMore);
  EXPECT_LE(reader.footprint(), BufferPool::kSmallBytes) << "not yet filled";
  EXPECT_EQ(Feed(reader, Pattern(50'000, 1), 1 << 20, &records), RecordReader::Found::kMore);
  EXPECT_LE(reader.footprint(), kMaxRecordBytes + 4);
  EXPECT_EQ(budget.bytes(), reader.footprint() + BufferPool::kSmallBytes) << "all is counted, a small one is kept";
  reader.Shrink();
  EXPECT_LE(reader.footprint(), 160u << 10);
}

TEST(RecordReader, AnIdleConnectionHoldsNoBuffer) {
  ReceiveBudget budget;
  BufferPool pool(budget);
  RecordReader reader(pool);
  std::vector<Bytes> records;
  EXPECT_EQ(Feed(reader, testing::Record(Pattern(100, 1)), 1000, &records), RecordReader::Found::kMore);
  EXPECT_GT(reader.footprint(), 0u);
  reader.Shrink();
  EXPECT_EQ(reader.footprint(), 0u);
  // Half a record: little more than itself.
  EXPECT_EQ(Feed(reader, Joined({Mark(5000, true), Pattern(50, 1)}), 1000, &records), RecordReader::Found::kMore);
  reader.Shrink();
  EXPECT_LE(reader.footprint(), 256u);
  EXPECT_EQ(Feed(reader, Pattern(4950, 1), 1000, &records), RecordReader::Found::kMore);
  EXPECT_EQ(records.size(), 2u);
}

TEST(RecordReader, EndsAnEndlessStreamOfEmptyFragments) {
  ReceiveBudget budget;
  BufferPool pool(budget);
  RecordReader reader(pool);
  std::vector<Bytes> records;
  Bytes empties(4 * kMaxFragments);  // all zero: length 0, not the last
  EXPECT_EQ(Feed(reader, empties, 4096, &records), RecordReader::Found::kMore);
  EXPECT_LE(reader.footprint(), BufferPool::kSmallBytes);
  EXPECT_EQ(Feed(reader, Mark(0, false), 4, &records), RecordReader::Found::kTooManyFragments);
}

TEST(RecordReader, ALargeBufferOnceFilledIsUsedAgain) {
  ReceiveBudget budget;
  BufferPool pool(budget);
  std::vector<Bytes> records;
  {
    RecordReader reader(pool);
    Feed(reader, testing::Record(Pattern(1 << 20, 1)), 60'000, &records);
    ASSERT_EQ(records.size(), 1u);
  }
  ReceiveBuffer* large = pool.LargeIfFree();
  ASSERT_NE(large, nullptr);
  EXPECT_EQ(large->capacity, BufferPool::kLargeBytes);
  pool.Release(large);
}

TEST(RecordReader, AnotherGoesOnFromWhatWasNotTakenWhereverTheStreamIsCut) {
  const Bytes first = Pattern(50, 1), second = Pattern(90, 2), third = Pattern(20, 3);
  const Bytes stream = Joined({Fragmented(first, 7), Mark(0, false), Fragmented(second, 100), Fragmented(third, 3)});
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    // With all whole records taken, and with what came last not even looked at.
    for (const bool looked : {true, false}) {
      SCOPED_TRACE(std::to_string(cut) + (looked ? "" : ", not looked at"));
      ReceiveBudget budget;
      BufferPool pool(budget);
      std::vector<Bytes> records;
      RecordReader before(pool);
      const std::size_t taken = looked ? cut : cut / 2;
      Feed(before, ByteSpan(stream).first(taken), 10, &records);
      if (!looked) {
        const MutableByteSpan room = before.Room();
        ASSERT_GE(room.size(), cut - taken);
        std::copy(stream.begin() + static_cast<std::ptrdiff_t>(taken),
                  stream.begin() + static_cast<std::ptrdiff_t>(cut), room.begin());
        before.Received(cut - taken);
      }
      Bytes untaken;
      before.CopyUntaken(untaken);
      RecordReader after(pool);
      after.Restore(untaken);
      Feed(after, ByteSpan(stream).subspan(cut), 10, &records);
      EXPECT_EQ(records, (std::vector<Bytes>{first, second, third}));
    }
  }
}

TEST(RecordReader, WhatAnotherLeavesMayBeALargeRecordAndManyBehindIt) {
  const Bytes large = Pattern(kMaxRecordBytes, 1);
  ReceiveBudget budget;
  BufferPool pool(budget);
  RecordReader reader(pool);
  Bytes left = testing::Record(large);
  for (unsigned i = 0; i < 200; ++i) left = Joined({std::move(left), testing::Record(Pattern(40, i))});
  reader.Restore(left);
  std::vector<Bytes> records;
  EXPECT_EQ(Feed(reader, testing::Record(large), 1 << 20, &records), RecordReader::Found::kMore);
  ASSERT_EQ(records.size(), 202u);
  EXPECT_EQ(records.front(), large);
  EXPECT_EQ(records.back(), large);
}

}  // namespace
}  // namespace strata::rpc
