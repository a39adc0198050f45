// Random effects, applied to the index and to a model so simple that it cannot be wrong: bytes of a file one by one.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "store/index/index.h"
#include "store/index/scan.h"
#include "tests/base/temp_folder.h"

namespace strata::store {
namespace {

constexpr std::uint64_t kModelVolume = 1;
constexpr std::uint64_t kFileBytes = 64;
constexpr std::uint64_t kModelSegment = 1ULL << 30;

struct Model {
  std::map<std::uint64_t, InodeRecord> inodes;
  std::map<std::uint64_t, std::map<std::pair<std::uint64_t, std::string>, IndexEntry>> entries;
  // Of each byte of a file that an extent covers, the journal position.
  std::map<std::uint64_t, std::map<std::uint64_t, std::uint64_t>> bytes;
  std::uint64_t highest = 0;
};

class Pair {
 public:
  Pair(std::uint32_t seed, Index& index) : random_(seed), index_(index) {}

  void Batch() {
    auto writer = index_.Begin(kModelSegment);
    ASSERT_TRUE(writer);
    const int steps = Pick(40);
    for (int i = 0; i < steps; ++i) Step(**writer);
    ++lsn_;
    ASSERT_TRUE((*writer)->Commit({.lsn = Lsn(lsn_)}));
    if (Pick(4) == 0) next_ino_ += 5;  // numbers that are skipped
    Compare();
  }

 private:
  int Pick(int bound) { return static_cast<int>(random_() % static_cast<std::uint32_t>(bound)); }

  InodeNumber SomeIno() {
    if (Pick(4) == 0) return InodeNumber(next_ino_++);
    if (Pick(4) == 0) return InodeNumber((1ULL << 55) + static_cast<std::uint64_t>(Pick(4)));
    return InodeNumber(1 + random_() % next_ino_);
  }

  void Step(Index::Writer& w) {
    const InodeNumber ino = SomeIno();
    if (ino.value < (1ULL << 55)) model_.highest = std::max(model_.highest, ino.value);
    switch (Pick(8)) {
      case 0: {
        InodeRecord inode;
        inode.ino = ino;
        inode.size = random_();
        inode.nlink = 1;
        if (Pick(3) == 0) inode.symlink_target = "t";
        if (Pick(3) == 0) inode.origin.sources = {{1, random_(), 2}};
        model_.inodes[ino.value] = inode;
        ASSERT_TRUE(w.PutInode(inode));
        break;
      }
      case 1: {
        const std::uint64_t size = random_();
        if (const auto at = model_.inodes.find(ino.value); at != model_.inodes.end()) {
          at->second.nlink = 7;
          at->second.size = size;
          at->second.mode = 0600;
          at->second.mtime.ns = 5;
          at->second.ctime.ns = 6;
        }
        ASSERT_TRUE(w.Touch(ino, 7, size, 0600, Time{5}, Time{6}));
        break;
      }
      case 2: {
        const std::uint64_t hash = 16 + random_() % 4;
        const IndexEntry entry{.name = std::string(1, static_cast<char>('a' + Pick(4))),
                               .hash = hash,
                               .whiteout = Pick(5) == 0,
                               .ino = InodeNumber(random_() % 5),
                               .type = FileType::kRegular};
        if (!entry.whiteout) model_.highest = std::max(model_.highest, entry.ino.value);
        model_.entries[ino.value][{hash, entry.name}] = entry;
        ASSERT_TRUE(w.PutEntry(ino, entry));
        break;
      }
      case 3: {
        const std::uint64_t hash = 16 + random_() % 4;
        const std::string name(1, static_cast<char>('a' + Pick(4)));
        model_.entries[ino.value].erase({hash, name});
        ASSERT_TRUE(w.RemoveEntry(ino, hash, name));
        break;
      }
      case 4:
      case 5: {
        const std::uint64_t begin = random_() % kFileBytes;
        const std::uint64_t length = random_() % (kFileBytes - begin);
        const std::uint64_t position = 1 + (random_() & ~127u);  // no extent spans two segments
        for (std::uint64_t i = 0; i < length; ++i) model_.bytes[ino.value][begin + i] = position + i;
        ASSERT_TRUE(w.PutExtent(ino, {begin, length, Lsn(position), Lsn(position - 1)}));
        break;
      }
      case 6: {
        const std::uint64_t size = random_() % kFileBytes;
        auto& bytes = model_.bytes[ino.value];
        bytes.erase(bytes.lower_bound(size), bytes.end());
        ASSERT_TRUE(w.Truncate(ino, size));
        break;
      }
      case 7:
        model_.inodes.erase(ino.value);
        model_.entries.erase(ino.value);
        model_.bytes.erase(ino.value);
        ASSERT_TRUE(w.Purge(ino));
        break;
    }
  }

  void Compare() {
    CompareCounts();
    EXPECT_EQ(index_.LastCheckpoint().value().lsn, Lsn(lsn_));
    EXPECT_EQ(index_.LastCheckpoint().value().highest_ino, InodeNumber(model_.highest));
    std::vector<InodeRecord> inodes;
    ASSERT_TRUE(index_.VisitInodes([&](const InodeRecord& inode) { inodes.push_back(inode); }));
    ASSERT_TRUE(std::ranges::equal(inodes, model_.inodes, {}, {}, [](const auto& item) { return item.second; }));
    std::vector<std::uint64_t> all;
    for (std::uint64_t ino = 0; ino <= next_ino_; ++ino) all.push_back(ino);
    for (std::uint64_t ino = 0; ino < 4; ++ino) all.push_back((1ULL << 55) + ino);
    for (const std::uint64_t ino : all) {
      std::vector<IndexEntry> entries;
      ASSERT_TRUE(
          index_.LoadEntries(InodeNumber(ino), 0, ~0ULL, [&](const IndexEntry& entry) { entries.push_back(entry); }));
      ASSERT_TRUE(
          std::ranges::equal(entries, model_.entries[ino], {}, {}, [](const auto& item) { return item.second; }))
          << "directory " << ino;
      std::map<std::uint64_t, std::uint64_t> bytes;
      for (const Extent& extent : ExtentsOf(ino)) {
        EXPECT_GT(extent.length, 0u);
        for (std::uint64_t i = 0; i < extent.length; ++i) {
          const bool added = bytes.emplace(extent.offset + i, extent.position.value + i).second;
          ASSERT_TRUE(added) << "extents of " << ino << " overlap";
        }
      }
      ASSERT_EQ(bytes, model_.bytes[ino]) << "file " << ino;
    }
  }

  // All of the file, a few at a time; and what reaches into a range within.
  std::vector<Extent> ExtentsOf(std::uint64_t ino) {
    std::vector<Extent> extents;
    for (std::uint64_t from = 0; from < kFileBytes;) {
      const auto until = index_.LoadExtents(InodeNumber(ino), from, kFileBytes, 3, extents);
      EXPECT_TRUE(until);
      if (!until) break;
      EXPECT_GT(*until, from);
      from = *until;
    }
    const std::uint64_t from = random_() % kFileBytes, to = from + random_() % kFileBytes;
    std::vector<Extent> some;
    EXPECT_EQ(index_.LoadExtents(InodeNumber(ino), from, to, kFileBytes, some).value_or(0), to);
    std::vector<Extent> expected;
    std::ranges::copy_if(extents, std::back_inserter(expected),
                         [&](const Extent& extent) { return extent.end() > from && extent.offset < to; });
    EXPECT_EQ(some, expected);
    return extents;
  }

  // By the model, and extents by a scan: how many there are the model does not say.
  void CompareCounts() {
    IndexCounts counts{.inodes = model_.inodes.size()};
    std::map<std::uint64_t, std::uint64_t> segments;
    for (const auto& [directory, entries] : model_.entries) counts.entries += entries.size();
    for (const auto& [ino, bytes] : model_.bytes) {
      counts.data += bytes.size();
      for (const auto& [offset, position] : bytes) ++segments[position / kModelSegment];
      const auto inode = index_.LoadInode(InodeNumber(ino));
      ASSERT_TRUE(inode);
      if (*inode) {
        ASSERT_EQ((*inode)->used, bytes.size()) << "file " << ino;
      }
    }
    const auto scan = index_.Scan();
    ASSERT_TRUE(scan);
    for (auto extent = (*scan)->NextExtent(); extent.value(); extent = (*scan)->NextExtent()) ++counts.extents;
    EXPECT_EQ(index_.Counts(), counts);
    const auto living = index_.LivingIn(0, ~0ULL);
    ASSERT_TRUE(living);
    EXPECT_TRUE(std::ranges::equal(*living, segments, {}, [](const LivingSegment& row) {
      return std::pair<const std::uint64_t, std::uint64_t>(row.segment, row.bytes);
    }));
  }

  std::mt19937 random_;
  Index& index_;
  Model model_;
  std::uint64_t next_ino_ = 3;
  std::uint64_t lsn_ = 0;
};

TEST(IndexModel, HoldsWhatASimpleModelHolds) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (std::uint32_t history = 0; history < 8; ++history) {
    TempFolder folder;
    auto index = Index::Open(folder / "index", IndexMode::kReadWrite, kModelVolume);
    ASSERT_TRUE(index);
    Pair pair(seed + history, **index);
    for (int batch = 0; batch < 25 && !testing::Test::HasFailure(); ++batch) pair.Batch();
    EXPECT_TRUE((*index)->Check());
  }
}

}  // namespace
}  // namespace strata::store
