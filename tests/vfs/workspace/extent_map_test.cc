// A partial ExtentMap over an index that is simulated, against a file whose every byte is known.
#include "vfs/workspace/extent_map.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <vector>

namespace strata::vfs {
namespace {

constexpr std::uint64_t kBytes = 96;

// Of each byte the journal position; 0: no extent covers it.
using Bytes = std::array<std::uint64_t, kBytes>;

std::uint64_t Sum(const Bytes& bytes) {
  return static_cast<std::uint64_t>(std::ranges::count_if(bytes, [](std::uint64_t byte) { return byte != 0; }));
}

class Model {
 public:
  explicit Model(std::uint32_t seed) : random_(seed) {}

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      Step();
      EXPECT_EQ(map_.bytes(), Sum(now_));
    }
  }

 private:
  std::uint64_t Pick(std::uint64_t bound) { return random_() % bound; }

  void Step() {
    switch (Pick(8)) {
      case 0:
      case 1:
      case 2:
        return Write();
      case 3:
      case 4:
        return Read();
      case 5:
        return Truncate();
      case 6:
        // Changes are applied to the index now; or only those of a moment ago.
        return Checkpoint();
      default: {
        const auto shed = map_.ShedExtents(Lsn(index_at_), 1 + Pick(6));
        EXPECT_LE(shed.newest.value, index_at_);
      }
    }
  }

  // What the index says of [from, to), as LoadExtents gives it.
  std::uint64_t Rows(std::uint64_t from, std::uint64_t to, std::vector<Extent>& rows) {
    to = std::min(to, kBytes);
    for (std::uint64_t at = from; at < to; ++at) {
      if (index_[at] == 0) continue;
      const bool joins = !rows.empty() && rows.back().end() == at &&
                         rows.back().position.value + rows.back().length == index_[at] && Pick(4) != 0;
      if (joins) {
        ++rows.back().length;
        continue;
      }
      if (rows.size() == 2) return at;
      rows.push_back({at, 1, Lsn(index_[at]), Lsn(RecordOf(index_[at]))});
    }
    return to == kBytes ? ExtentMap::kEnd : to;
  }
  static std::uint64_t RecordOf(std::uint64_t position) { return position / 1000 * 1000; }

  void Know(std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t known = map_.KnownUntil(from, to); known < to; known = map_.KnownUntil(from, to)) {
      std::vector<Extent> rows;
      const std::uint64_t until = Rows(known, Pick(2) == 0 ? to : kBytes, rows);
      map_.Fill(rows, known, until);
      ASSERT_GT(map_.KnownUntil(from, to), known);
    }
  }

  void Write() {
    const std::uint64_t from = Pick(kBytes), length = 1 + Pick(std::min<std::uint64_t>(kBytes - from, 12));
    Know(from, from + length);
    end_ += 1000;
    const std::uint64_t position = end_ - 1000 + 100;
    map_.Insert({from, length, Lsn(position), Lsn(end_ - 1000)});
    for (std::uint64_t i = 0; i < length; ++i) now_[from + i] = position + i;
  }

  void Read() {
    const std::uint64_t from = Pick(kBytes), to = from + Pick(kBytes - from);
    Know(from, to);
    Bytes seen{};
    for (auto extent = map_.FirstAt(from); extent && extent->offset < to; extent = map_.FirstAt(extent->end())) {
      for (std::uint64_t i = extent->offset; i < std::min(extent->end(), to); ++i) {
        seen[i] = extent->position.value + (i - extent->offset);
      }
      EXPECT_EQ(extent->record.value, RecordOf(extent->position.value));
    }
    for (std::uint64_t i = from; i < to; ++i) EXPECT_EQ(seen[i], now_[i]) << "byte " << i;
  }

  void Truncate() {
    const std::uint64_t size = Pick(kBytes);
    const auto [from, to] = ExtentMap::CountedFor(size, kBytes);
    if (map_.partial() && size != 0) {
      // Others change the file meanwhile.
      while (!map_.CountOf(from, to).done()) {
        std::vector<Extent> rows;
        const std::uint64_t reached = map_.CountOf(from, to).reached;
        const std::uint64_t until = Rows(reached, to, rows);
        map_.GoOnCounting(rows, until);
        if (Pick(3) == 0) Write();
        if (Pick(3) == 0) map_.ShedExtents(Lsn(index_at_), 1 + Pick(6));
        if (Pick(5) == 0) Checkpoint();
      }
    }
    end_ += 1000;
    map_.Truncate(size, Lsn(end_));
    std::fill(now_.begin() + static_cast<std::ptrdiff_t>(size), now_.end(), 0);
  }

  void Checkpoint() {
    index_ = earlier_;
    index_at_ = earlier_at_;
    earlier_ = now_;
    earlier_at_ = end_;
  }

  std::mt19937 random_;
  ExtentMap map_;
  std::uint64_t end_ = 1000;  // of the journal: records of 1,000 bytes
  Bytes now_{}, index_{}, earlier_{};
  std::uint64_t index_at_ = 0, earlier_at_ = 0;
};

TEST(ExtentMap, OfWhichPartIsInMemoryTellsWhatAFileOfKnownBytesHas) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (std::uint32_t history = 0; history < 300 && !HasFailure(); ++history) {
    SCOPED_TRACE("history " + std::to_string(history));
    Model(seed + history).Run(300);
  }
}

TEST(ExtentMap, GivesUpNothingThatTheIndexDoesNotHave) {
  ExtentMap map;
  for (std::uint64_t i = 0; i < 10; ++i) map.Insert({i * 10, 5, Lsn(i * 100 + 10), Lsn(i * 100)});
  const auto shed = map.ShedExtents(Lsn(500), 100);
  EXPECT_TRUE(map.partial());
  EXPECT_EQ(map.count(), 5u);
  EXPECT_GT(shed.newest, Lsn(400));
  EXPECT_LE(shed.newest, Lsn(500));
  EXPECT_EQ(map.bytes(), 50u);
  EXPECT_EQ(map.KnownUntil(50, 55), 55u);
  EXPECT_EQ(map.KnownUntil(50, 60), 55u);
  EXPECT_EQ(map.KnownUntil(40, 45), 40u);
  // Nothing is given up of what was cut off before the index knows of that.
  ExtentMap cut;
  cut.Insert({0, 5, Lsn(10), Lsn(0)});
  cut.Truncate(3, Lsn(200));
  EXPECT_EQ(cut.ShedExtents(Lsn(100), 100).dropped, 0u);
  EXPECT_FALSE(cut.partial());
  EXPECT_GT(cut.ShedExtents(Lsn(200), 100).dropped, 0u);
  EXPECT_TRUE(cut.partial());
}

}  // namespace
}  // namespace strata::vfs
