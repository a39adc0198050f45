// Memory goes with the cache's size, not with the tree.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/vfs/faults/subject.h"

namespace strata::vfs::testing {
namespace {

constexpr std::size_t kBudget = 1 << 20;
// Beyond the budget: what a call has in its hands, and what a turn of the evictor leaves because it was just used.
constexpr std::size_t kBound = 3 * kBudget;
constexpr int kDirectories = 250, kFilesEach = 200;  // 50,000

std::string DirectoryName(int i) { return "directory-" + std::to_string(i); }
std::string FileName(int i) { return "a file with a name of some length " + std::to_string(i); }

WorkspaceOptions Small() {
  WorkspaceOptions options;
  options.durability = Durability::kRelaxed;
  options.memory_bytes = kBudget;
  // It is the memory that makes checkpoints due, and changes wait for them.
  options.checkpoint_bytes = options.checkpoint_records = ~0ULL >> 8;
  return options;
}

// Lists and looks up everything; the most that the caches held meanwhile.
std::size_t LookAtAll(FaultySubject& subject, std::size_t* files) {
  Client client(subject);
  std::size_t most = 0;
  *files = 0;
  for (int i = 0; i < kDirectories; ++i) {
    const ObjectId directory = client.IdOf(DirectoryName(i));
    auto listed = client.ListAll(directory);
    EXPECT_OK(listed);
    if (!listed) return 0;
    for (const Listed& one : *listed) {
      if (one.name.starts_with('.')) continue;
      EXPECT_OK(client.Get(one.id));
      ++*files;
      most = std::max(most, subject.workspace().cache_bytes());
    }
  }
  return most;
}

TEST(MemoryBudget, ItsSharesAddUpToTheWhole) {
  for (const std::size_t mebibytes : {16, 17, 256, 1000, 65536}) {
    for (const LayersBelow below : {LayersBelow::kFolders, LayersBelow::kStores, LayersBelow::kNothingAbove}) {
      SCOPED_TRACE(std::to_string(mebibytes) + " MiB over " + std::to_string(static_cast<int>(below)));
      const std::size_t whole = mebibytes << 20;
      const MemoryBudget b = MemoryBudget::Of(whole, below);
      const std::size_t sum =
          b.inodes + b.index_batch + b.index_written_pages + b.index_read_pages + b.journal_pages + b.layers + b.server;
      EXPECT_LE(sum, whole);
      EXPECT_GT(sum, whole / 10 * 9);
      EXPECT_LE(b.dirty, b.inodes);
      EXPECT_LE(b.name_filter, b.inodes);
      EXPECT_LE(b.dirty + b.locks, b.inodes) << "what cannot be dropped has room beside what is lent";
      EXPECT_LE(b.whole_directory_names * 256, b.inodes) << "a directory that is loaded whole is a small part of all";
    }
  }
}

TEST(BoundedMemory, FiftyThousandFilesOfALayerAreLookedAtInASmallCache) {
  Tree tree;
  for (int i = 0; i < kDirectories; ++i) {
    tree.push_back(DirNode(DirectoryName(i)));
    for (int k = 0; k < kFilesEach; ++k) tree.push_back(FileNode(DirectoryName(i) + "/" + FileName(k), "x"));
  }
  FaultySubject subject({tree}, Small());
  for (int turn = 0; turn < 2; ++turn) {
    std::size_t files = 0;
    EXPECT_LE(LookAtAll(subject, &files), kBound);
    EXPECT_EQ(files, std::size_t{kDirectories} * kFilesEach);
  }
}

TEST(BoundedMemory, WhatIsLentIsGivenUpAndTakenAgain) {
  Tree tree;
  for (int i = 0; i < kDirectories; ++i) {
    tree.push_back(DirNode(DirectoryName(i)));
    for (int k = 0; k < kFilesEach; ++k) tree.push_back(FileNode(DirectoryName(i) + "/" + FileName(k), "x"));
  }
  WorkspaceOptions options = Small();
  options.memory_bytes = 16 << 20;
  const MemoryBudget budget = MemoryBudget::Of(options.memory_bytes);
  FaultySubject subject({tree}, options);
  std::size_t files = 0;
  LookAtAll(subject, &files);
  const std::size_t full = subject.workspace().cache_bytes();
  ASSERT_GT(full, budget.inodes / 8 * 7) << "the tree does not fill the cache";
  subject.workspace().LendMemory(budget.locks);
  EXPECT_LT(subject.workspace().cache_bytes(), full) << "room is made at once";
  LookAtAll(subject, &files);
  EXPECT_LE(subject.workspace().cache_bytes(), budget.inodes - budget.locks + kBudget);
  subject.workspace().LendMemory(0);
  LookAtAll(subject, &files);
  EXPECT_GT(subject.workspace().cache_bytes(), budget.inodes / 8 * 7);
}

TEST(BoundedMemory, FiftyThousandFilesAreMadeAndLookedAtInASmallCache) {
  FaultySubject subject({}, Small(), 16 << 20);
  Client client(subject);
  std::size_t most = 0;
  for (int i = 0; i < kDirectories; ++i) {
    auto directory = client.Mkdir(DirectoryName(i));
    ASSERT_OK(directory);
    for (int k = 0; k < kFilesEach; ++k) {
      auto made = client.Create(*directory, FileName(k));
      ASSERT_OK(made);
      if (k % 50 == 0) {
        ASSERT_OK(client.Write(made->id, 0, "some data"));
      }
    }
    most = std::max(most, subject.workspace().cache_bytes());
  }
  // What is not in the index yet cannot be dropped, but changes wait before that is too much.
  EXPECT_LE(most, kBound);
  ASSERT_OK(subject.workspace().Checkpoint());
  std::size_t files = 0;
  LookAtAll(subject, &files);  // drops what the last checkpoint allows to
  EXPECT_LE(LookAtAll(subject, &files), kBound);
  EXPECT_EQ(files, std::size_t{kDirectories} * kFilesEach);
  EXPECT_EQ(client.ReadFile(DirectoryName(7) + "/" + FileName(50)).value_or("?"), "some data");

  subject.Restart();
  EXPECT_LE(LookAtAll(subject, &files), kBound);
  EXPECT_EQ(files, std::size_t{kDirectories} * kFilesEach);
}

TEST(BoundedMemory, AllFilesOfOneDirectoryComeAndGoInASmallCache) {
  constexpr int kFiles = 30'000;
  FaultySubject subject({}, Small(), 16 << 20);
  Client client(subject);
  auto directory = client.Mkdir("large");
  ASSERT_OK(directory);
  std::size_t most = 0;
  const auto look = [&] { most = std::max(most, subject.workspace().cache_bytes()); };
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_OK(client.Create(*directory, FileName(i)));
    look();
  }
  EXPECT_LE(most, kBound);
  for (int turn = 0; turn < 2; ++turn) {
    auto listed = client.ListAll(*directory, 1000, false);
    ASSERT_OK(listed);
    EXPECT_EQ(listed->size(), std::size_t{kFiles} + 2);
    for (int i = 0; i < kFiles; i += 7) {
      ASSERT_OK(client.Lookup(*directory, FileName(i))) << i;
      look();
    }
    EXPECT_CODE(client.Lookup(*directory, "nobody"), Errc::kNotFound);
    EXPECT_CODE(client.Rmdir("large"), Errc::kNotEmpty);
    if (turn == 0) subject.Restart();
  }
  // Another process sees the same, what is not in the index yet among it.
  ASSERT_OK(client.Remove(*directory, FileName(0)));
  ASSERT_OK(client.Create(*directory, "new"));
  {
    auto beside = subject.OpenBeside();
    ASSERT_NE(beside, nullptr);
    Holding holder(*beside);
    Client other(holder);
    EXPECT_CODE(other.Lookup(*directory, FileName(0)), Errc::kNotFound);
    EXPECT_OK(other.Lookup(*directory, FileName(1)));
    EXPECT_OK(other.Lookup(*directory, "new"));
    auto listed = other.ListAll(*directory, 1000, false);
    ASSERT_OK(listed);
    EXPECT_EQ(listed->size(), std::size_t{kFiles} + 2);
  }
  ASSERT_OK(client.Remove(*directory, "new"));
  for (int i = 1; i < kFiles; ++i) {
    ASSERT_OK(client.Remove(*directory, FileName(i)));
    look();
  }
  EXPECT_LE(most, kBound);
  EXPECT_OK(client.Rmdir("large"));
  EXPECT_FALSE(client.Exists("large"));
}

// A file of many extents, each of `kPiece` bytes at a place of its own, and what they hold.
class ScatteredFile {
 public:
  static constexpr std::uint64_t kApart = 4096, kPiece = 16;

  ScatteredFile(FaultySubject& subject, ObjectId id, std::size_t places)
      : subject_(subject), client_(subject), id_(id), places_(places) {}

  void Write(std::size_t place) {
    ASSERT_OK(client_.Write(id_, place * kApart, Piece(place, ++places_[place].version)));
    places_[place].length = kPiece;
    size_ = std::max(size_, place * kApart + kPiece);
    Look();
  }
  void Truncate(std::size_t place) {
    size_ = place * kApart + kPiece / 2;
    ASSERT_OK(client_.Set(id_, Size(size_)));
    places_[place].length = std::min(places_[place].length, kPiece / 2);
    for (std::size_t gone = place + 1; gone < places_.size(); ++gone) places_[gone].length = 0;
    Look();
  }
  // By reading all of it, and by its attributes.
  void Check() {
    const auto attributes = client_.Get(id_);
    ASSERT_OK(attributes);
    EXPECT_EQ(attributes->size, size_);
    std::uint64_t used = 0;
    for (const Place& place : places_) used += place.length;
    EXPECT_EQ(attributes->used, used);
    for (std::uint64_t offset = 0; offset < size_;) {
      auto read = client_.Read(id_, offset, 1 << 20);
      ASSERT_OK(read);
      ASSERT_FALSE(read->data.empty());
      std::string expected(read->data.size(), '\0');
      for (std::uint64_t place = offset / kApart; place < places_.size(); ++place) {
        const std::string piece = ExpectedAt(place);
        const std::uint64_t at = place * kApart;
        if (at >= offset + expected.size()) break;
        // Nothing lies across what is read at once, but where a READ ends early.
        for (std::uint64_t i = 0; i < piece.size(); ++i) {
          if (at + i >= offset && at + i < offset + expected.size()) expected[at + i - offset] = piece[i];
        }
      }
      ASSERT_TRUE(read->data == expected) << "at " << offset;
      offset += read->data.size();
      Look();
    }
  }
  std::size_t most() const { return most_; }

 private:
  static std::string Piece(std::size_t place, std::uint32_t version) { return Pattern(kPiece, place * 1000 + version); }
  std::string ExpectedAt(std::size_t place) const {
    return Piece(place, places_[place].version).substr(0, places_[place].length);
  }
  void Look() { most_ = std::max(most_, subject_.workspace().cache_bytes()); }

  FaultySubject& subject_;
  Client client_;
  const ObjectId id_;
  struct Place {
    std::uint32_t version = 0;
    std::uint64_t length = 0;
  };
  std::vector<Place> places_;
  std::uint64_t size_ = 0;
  std::size_t most_ = 0;
};

TEST(BoundedMemory, AFileOfTwoHundredThousandExtentsIsWrittenCutAndReadInASmallCache) {
  constexpr std::size_t kPlaces = 200'000;
  FaultySubject subject({}, Small(), 16 << 20);
  Client client(subject);
  auto id = client.MakeFile("scattered");
  ASSERT_OK(id);
  ScatteredFile file(subject, *id, kPlaces);
  std::vector<std::size_t> order(kPlaces);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937 random(7);
  std::ranges::shuffle(order, random);
  for (const std::size_t place : order) file.Write(place);
  for (std::size_t i = 0; i < kPlaces; i += 10) file.Write(order[i]);
  file.Check();
  // A little of the end, and then most.
  file.Truncate(kPlaces - 1000);
  for (std::size_t i = 0; i < 100; ++i) file.Write(kPlaces - 500 + i);
  file.Truncate(kPlaces / 4);
  for (std::size_t i = 0; i < 1000; ++i) file.Write(random() % kPlaces);
  file.Check();
  {
    // Another process sees the same, what is not in the index yet among it.
    auto beside = subject.OpenBeside();
    ASSERT_NE(beside, nullptr);
    Holding holder(*beside);
    auto attributes = Client(holder).Get(*id);
    ASSERT_OK(attributes);
    EXPECT_EQ(attributes->used, client.Get(*id)->used);
  }
  subject.Restart();
  file.Check();
  EXPECT_LE(file.most(), kBound);
}

}  // namespace
}  // namespace strata::vfs::testing
