// What a layer brings into memory before it is asked for: what follows in a file that is read in order, and the small
// files of a directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "store/open.h"
#include "tests/vfs/layer/castore/castore_testing.h"
#include "tests/vfs/layer/castore/slow_blobs.h"
#include "vfs/layer/castore/background.h"
#include "vfs/layer/castore/siblings.h"

namespace strata::vfs {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

constexpr std::size_t kChunk = SlowBlobs::kChunk;
constexpr OpContext kAtOnceOnly{.credentials = {}, .may_block = false};

std::string ContentOf(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

class CastoreAhead : public ::testing::Test {
 protected:
  CastoreAhead() {
    for (int i = 0; i < 3; ++i) {
      contents_.push_back(ContentOf(64 * kChunk + 100, static_cast<std::uint32_t>(i)));
      files_.push_back(slow_->PutFile(contents_.back()));
    }
    root_ = store_.PutDirectory({{"a", files_[0]}, {"b", files_[1]}, {"c", files_[2]}});
  }
  ~CastoreAhead() override { slow_->Release(); }
  void Open(const AheadOptions& ahead) {
    layer_ = OpenWith(slow_, store_.directories, {.node = root_, .attributes = std::nullopt}, {.ahead = ahead});
    for (const char* name : {"a", "b", "c"}) nodes_.push_back(FindInLayer(*layer_, name)->node);
  }
  // A READ as the server runs it: at once, and where that is not to be had by one that may wait. Whether it was at
  // once.
  bool Read(int file, std::size_t offset, std::size_t length) {
    StringSink sink;
    auto got = layer_->Read(kAtOnceOnly, nodes_[static_cast<std::size_t>(file)], offset, length, nullptr, sink);
    const bool at_once = got.has_value();
    if (!got) {
      EXPECT_EQ(got.error().code(), Errc::kWouldBlock);
      got = layer_->Read(kBackground, nodes_[static_cast<std::size_t>(file)], offset, length, nullptr, sink);
    }
    EXPECT_TRUE(got) << (got ? "" : got.error().ToString());
    EXPECT_EQ(sink.data, contents_[static_cast<std::size_t>(file)].substr(offset, length));
    return at_once;
  }
  static std::vector<std::size_t> Chunks(std::size_t count) {
    std::vector<std::size_t> all(count);
    std::iota(all.begin(), all.end(), 0);
    return all;
  }

  std::shared_ptr<SlowBlobs> slow_ = std::make_shared<SlowBlobs>();
  MemoryStore store_;
  std::vector<std::string> contents_;
  std::vector<store::Node> files_;
  store::Node root_;
  std::unique_ptr<Layer> layer_;
  std::vector<LayerNode> nodes_;
};

TEST_F(CastoreAhead, WhatFollowsIsThereWhenItIsAskedFor) {
  Open({.bytes = 4 << 20, .threads = 2});
  EXPECT_FALSE(Read(0, 0, kChunk));
  EXPECT_FALSE(Read(0, kChunk, kChunk));
  for (std::size_t i = 2; i < 65; ++i) {
    ASSERT_TRUE(slow_->WaitForChunk(files_[0], i)) << "nobody has read it";
    EXPECT_TRUE(Read(0, i * kChunk, kChunk)) << "answered by the thread that asks: " << i;
  }
  layer_.reset();
  EXPECT_THAT(slow_->LoadsOf(files_[0]), ElementsAreArray(Chunks(65))) << "each once";
}

TEST_F(CastoreAhead, ReadsOfAnySizeAndOutOfTheirOrderAreFollowed) {
  for (const std::size_t size : {std::size_t{32} << 10, 3 * kChunk, std::size_t{1} << 20}) {
    slow_ = std::make_shared<SlowBlobs>();
    contents_ = {ContentOf(8 << 20, 9), contents_[1], contents_[2]};
    files_[0] = slow_->PutFile(contents_[0]);
    root_ = store_.PutDirectory({{"a", files_[0]}, {"b", files_[1]}, {"c", files_[2]}});
    nodes_.clear();
    Open({.bytes = 4 << 20, .threads = 2});
    // Two by two, the later one first.
    for (std::size_t offset = 0; offset < 6 << 20; offset += 2 * size) {
      Read(0, offset + size, size);
      Read(0, offset, size);
      if (offset < 4 * size || offset < 128 << 10) continue;
      ASSERT_TRUE(slow_->WaitForChunk(files_[0], (offset + 2 * size) / kChunk)) << size << ": beyond what was read";
    }
    layer_.reset();
  }
}

TEST_F(CastoreAhead, NoMoreIsUnreadThanTheBound) {
  constexpr std::size_t kBound = 2 << 20;
  Open({.bytes = kBound, .threads = 2});
  std::size_t most = 0;
  for (std::size_t i = 0; i < 65; ++i) {
    Read(0, i * kChunk, kChunk);
    // What is held to be far ahead, if anything is, is so by the time that somebody has to wait for it.
    if (i > 1) {
      ASSERT_TRUE(slow_->WaitForChunk(files_[0], std::min<std::size_t>(i + 1, 64)));
    }
    const std::size_t loaded = slow_->LoadsOf(files_[0]).back() + 1;
    most = std::max(most, loaded - std::min(loaded, i + 1));
  }
  EXPECT_GT(most, 1u);
  EXPECT_LE(most * kChunk, kBound / 2 + kChunk);
}

TEST_F(CastoreAhead, WhoReadsHereAndThereHasNothingBrought) {
  Open({.bytes = 4 << 20, .threads = 1});
  std::vector<std::size_t> read;
  for (const std::size_t i : {40, 3, 22, 60, 11, 50, 30, 6, 45, 18}) {
    EXPECT_FALSE(Read(0, i * kChunk + 100, 4096));
    read.push_back(i);
  }
  // One after another, so that what was to be done before is done once this one's is.
  EXPECT_FALSE(Read(1, 0, kChunk));
  EXPECT_FALSE(Read(1, kChunk, kChunk));
  ASSERT_TRUE(slow_->WaitForChunk(files_[1], 2));
  std::ranges::sort(read);
  EXPECT_THAT(slow_->LoadsOf(files_[0]), ElementsAreArray(read));
}

TEST_F(CastoreAhead, OfWhatIsInMemoryNothingIsBrought) {
  Open({.bytes = 4 << 20, .threads = 1});
  for (std::size_t i = 0; i < 65; ++i) {
    StringSink sink;
    ASSERT_TRUE(layer_->Read(kBackground, nodes_[0], 64 * kChunk - i * kChunk, kChunk, nullptr, sink)) << "backwards";
  }
  const std::size_t loads = slow_->loads().size();
  for (std::size_t i = 0; i < 65; ++i) EXPECT_TRUE(Read(0, i * kChunk, kChunk));
  layer_.reset();
  EXPECT_EQ(slow_->loads().size(), loads);
}

TEST_F(CastoreAhead, WithoutABoundNothingIsBrought) {
  Open({});
  for (std::size_t i = 0; i < 20; ++i) EXPECT_FALSE(Read(0, i * kChunk, kChunk));
  EXPECT_THAT(slow_->LoadsOf(files_[0]), ElementsAreArray(Chunks(20)));
}

TEST_F(CastoreAhead, WhatCannotBeBroughtIsDroppedAndTheReadSaysSo) {
  CapturedLog log;
  Open({.bytes = 4 << 20, .threads = 1});
  slow_->FailFrom(4);
  Read(0, 0, 2 * kChunk);
  Read(0, 2 * kChunk, 2 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(5));
  // Another one is brought once that has failed.
  Read(1, 0, 2 * kChunk);
  Read(1, 2 * kChunk, 2 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(10));
  EXPECT_THAT(log.lines(), IsEmpty()) << "nobody asked for it";
  StringSink sink;
  const auto read = layer_->Read(kBackground, nodes_[0], 4 * kChunk, kChunk, nullptr, sink);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Errc::kIo);
  EXPECT_EQ(log.lines().size(), 1u);
  slow_->FailWhere(nullptr);
  for (std::size_t i = 4; i < 65; ++i) Read(0, i * kChunk, kChunk);
  EXPECT_EQ(log.lines().size(), 1u);
}

TEST_F(CastoreAhead, TheEndWaitsForWhatHasBegunAndNothingIsLeft) {
  Open({.bytes = 8 << 20, .threads = 2});
  slow_->HoldFrom(32);
  Read(0, 0, 16 * kChunk);
  Read(0, 16 * kChunk, 16 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(34)) << "by each thread one";
  std::thread end([this] { layer_.reset(); });
  slow_->Release();
  end.join();
  EXPECT_EQ(slow_.use_count(), 1) << "nothing holds the store any more";
}

TEST_F(CastoreAhead, FromFarManyAreOnTheirWayAndNoThreadWaits) {
  slow_->SetFar();
  slow_->HoldFrom(32);
  Open({.bytes = 16 << 20, .threads = 1});
  Read(0, 0, 16 * kChunk);
  Read(0, 16 * kChunk, 16 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(32 + 5)) << "the first of each piece";
  slow_->Release();
  ASSERT_TRUE(slow_->WaitForChunk(files_[0], 63));
  EXPECT_TRUE(Read(0, 32 * kChunk, 8 * kChunk));
}

TEST_F(CastoreAhead, WhatComesFromFarAfterTheEndFindsNobody) {
  slow_->SetFar();
  slow_->HoldFrom(32);
  Open({.bytes = 16 << 20, .threads = 1});
  Read(0, 0, 16 * kChunk);
  Read(0, 16 * kChunk, 16 * kChunk);
  ASSERT_TRUE(slow_->WaitForLoads(32 + 5));
  layer_.reset();
  EXPECT_EQ(slow_.use_count(), 1) << "nothing holds the store any more";
  slow_->Release();
  EXPECT_EQ(slow_->loads().size(), 37u);
}

TEST(CastoreAheadOverPacks, WhatFollowsIsBroughtIntoTheStoresCache) {
  const TempFolder folder(FolderInMemory());
  const std::string content = ContentOf(8 << 20, 5);
  store::Root root;
  store::Node file, small;
  const auto open = [&](bool create) {
    auto store = store::OpenStore(Env::System(), "pack:" + folder.path() + "/store",
                                  {.memory_bytes = 64 << 20, .read_only = !create, .create = create});
    EXPECT_TRUE(store) << (store ? "" : store.error().ToString());
    return std::move(*store);
  };
  {
    const store::Store store = open(true);
    file = store::Node::OfFile(*store.blobs->Put(AsBytes(content)), content.size());
    small = store::Node::OfFile(*store.blobs->Put(AsBytes("small")), 5);
    auto directory = store::Directory::Make({{"f", file}, {"s", small}});
    const store::Digest digest = *store.directories->Put(*directory);
    root.node = store::Node::OfDirectory(digest, directory->Size(store::SizeRule::kDocumented));
    ASSERT_TRUE(store.Sync());
  }
  const store::Store store = open(false);
  const auto layer = OpenWith(store.blobs, store.directories, root, {.ahead = {.bytes = 8 << 20, .threads = 2}});
  const LayerNode node = FindInLayer(*layer, "f")->node;
  constexpr std::size_t kRead = 128 << 10;
  for (std::size_t offset = 0; offset < content.size(); offset += kRead) {
    StringSink sink;
    auto got = layer->Read(kAtOnceOnly, node, offset, kRead, nullptr, sink);
    if (offset < 2 * kRead && !got) got = layer->Read(kBackground, node, offset, kRead, nullptr, sink);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!got && got.error().code() == Errc::kWouldBlock && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
      got = layer->Read(kAtOnceOnly, node, offset, kRead, nullptr, sink);
    }
    ASSERT_TRUE(got) << offset << ": nobody who may wait has asked for it";
    EXPECT_EQ(sink.data, content.substr(offset, kRead));
  }
}

// A directory of small files beside a large one, and another one.
class CastoreSiblings : public ::testing::Test {
 protected:
  static constexpr int kFiles = 100;
  CastoreSiblings() {
    NamedNodes entries;
    for (int i = 0; i < kFiles; ++i) {
      const std::string name = (i < 10 ? "f0" : "f") + std::to_string(i);
      small_.push_back(slow_->PutFile("content of " + name + std::string(4000, 's')));
      entries.emplace_back(name, small_.back());
    }
    large_ = slow_->PutFile(std::string(castore::Siblings::kSmall + 1, 'l'));
    entries.emplace_back("f50large", large_);
    entries.emplace_back("f51empty", slow_->PutFile(""));
    entries.emplace_back("f52link", store::Node::OfSymlink("f01"));
    entries.emplace_back("f53directory", store_.PutDirectory({{"deep", slow_->PutFile("deep")}}));
    root_ = store_.PutDirectory({{"d", store_.PutDirectory(entries)}});
  }
  void Open(std::size_t bytes) {
    layer_ = OpenWith(slow_, store_.directories, {.node = root_, .attributes = std::nullopt},
                      {.ahead = {.bytes = bytes, .threads = 1}});
    directory_ = FindInLayer(*layer_, "d")->node;
  }
  void List() {
    EXPECT_TRUE(layer_->ReadDirectory(kBackground, directory_, [](const LayerEntry&) { return true; }));
  }
  // Whether it was there at once.
  bool Read(int file) {
    const std::string name = (file < 10 ? "f0" : "f") + std::to_string(file);
    const LayerNode node = layer_->Lookup(kBackground, directory_, name)->node;
    StringSink sink;
    auto got = layer_->Read(kAtOnceOnly, node, 0, 1 << 20, nullptr, sink);
    const bool at_once = got.has_value();
    if (!got) got = layer_->Read(kBackground, node, 0, 1 << 20, nullptr, sink);
    EXPECT_TRUE(got) << (got ? "" : got.error().ToString());
    EXPECT_TRUE(sink.data.starts_with("content of " + name));
    return at_once;
  }
  std::size_t Loaded() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(small_, [&](const store::Node& file) { return !slow_->LoadsOf(file).empty(); }));
  }

  std::shared_ptr<SlowBlobs> slow_ = std::make_shared<SlowBlobs>();
  MemoryStore store_;
  std::vector<store::Node> small_;
  store::Node large_, root_;
  std::unique_ptr<Layer> layer_;
  LayerNode directory_;
};

TEST_F(CastoreSiblings, OfAListedDirectoryTheOtherSmallFilesAreBroughtOnceTwoWereRead) {
  Open(8 << 20);
  List();
  EXPECT_FALSE(Read(7));
  EXPECT_EQ(Loaded(), 1u) << "one is not yet one after another";
  EXPECT_FALSE(Read(20));
  for (int i = 0; i < kFiles; ++i) {
    ASSERT_TRUE(slow_->WaitForChunk(small_[static_cast<std::size_t>(i)], 0)) << i;
    EXPECT_TRUE(Read(i)) << i;
  }
  layer_.reset();
  EXPECT_EQ(slow_->loads().size(), static_cast<std::size_t>(kFiles)) << "each once, and not the large one";
  EXPECT_EQ(slow_.use_count(), 1);
}

TEST_F(CastoreSiblings, WithoutAListingNothingIsBrought) {
  Open(8 << 20);
  for (const int i : {3, 50, 7, 80}) EXPECT_FALSE(Read(i));
  // What is brought is done in its order: nothing stood before these.
  List();
  EXPECT_FALSE(Read(90));
  EXPECT_EQ(Loaded(), 5u);
  EXPECT_FALSE(Read(91));
  ASSERT_TRUE(slow_->WaitForChunk(small_[92], 0));
  EXPECT_EQ(slow_->loads()[6].first, small_[92].digest) << "the first that nobody had asked for";
}

TEST_F(CastoreSiblings, NoMoreIsBroughtThanHalfOfTheBoundAndMoreForWhoReadsOnInOrder) {
  const std::size_t size = small_[0].size;
  Open(20 * size);  // ten at a time
  List();
  EXPECT_FALSE(Read(0));
  EXPECT_FALSE(Read(1));
  for (int i = 2; i < 12; ++i) {
    ASSERT_TRUE(slow_->WaitForChunk(small_[static_cast<std::size_t>(i)], 0));
    EXPECT_TRUE(Read(i));
  }
  EXPECT_EQ(Loaded(), 12u);
  EXPECT_FALSE(Read(40)) << "somewhere else";
  EXPECT_FALSE(Read(60));
  EXPECT_EQ(Loaded(), 14u);
  EXPECT_FALSE(Read(12)) << "where it ended";
  for (int i = 13; i < 23; ++i) {
    ASSERT_TRUE(slow_->WaitForChunk(small_[static_cast<std::size_t>(i)], 0));
    EXPECT_TRUE(Read(i));
  }
  EXPECT_EQ(Loaded(), 25u);
  EXPECT_FALSE(Read(23));
}

TEST_F(CastoreSiblings, WhatCannotBeBroughtIsDropped) {
  CapturedLog log;
  Open(8 << 20);
  List();
  const auto is = [&](const SlowBlobs::Chunk& chunk, int file) {
    return chunk.first == small_[static_cast<std::size_t>(file)].digest;
  };
  slow_->FailWhere([&](const SlowBlobs::Chunk& chunk) { return !is(chunk, 10) && !is(chunk, 11); });
  EXPECT_FALSE(Read(10));
  EXPECT_FALSE(Read(11));
  ASSERT_TRUE(slow_->WaitForLoads(kFiles)) << "all were tried";
  EXPECT_THAT(log.lines(), IsEmpty());
  const LayerNode node = layer_->Lookup(kBackground, directory_, "f12")->node;
  StringSink sink;
  EXPECT_EQ(layer_->Read(kBackground, node, 0, 10, nullptr, sink).error().code(), Errc::kIo);
  EXPECT_EQ(log.lines().size(), 1u);
  slow_->FailWhere(nullptr);
  for (int i = 0; i < kFiles; ++i) Read(i);
}

TEST(CastoreSiblingsTable, AListingAndTwoFilesMakeItWorthOnce) {
  castore::Siblings siblings;
  EXPECT_FALSE(siblings.Read(5, 1));
  EXPECT_FALSE(siblings.Read(5, 2)) << "it was not listed";
  siblings.Listed(5);
  EXPECT_FALSE(siblings.Read(5, 3));
  EXPECT_FALSE(siblings.Read(5, 3)) << "the same one";
  EXPECT_FALSE(siblings.Read(6, 4)) << "of another directory";
  EXPECT_TRUE(siblings.Read(5, 4));
  siblings.Brought(5, 20);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_FALSE(siblings.Read(5, i)) << i;
  EXPECT_TRUE(siblings.Read(5, 20)) << "there it ended";
  siblings.Listed(5);
  EXPECT_FALSE(siblings.Read(5, 20));
  EXPECT_TRUE(siblings.Read(5, 3));
}

TEST(CastoreSiblingsTable, TheDirectoriesUsedLatelyAreRemembered) {
  castore::Siblings siblings;
  siblings.Listed(1);
  for (std::uint64_t id = 2; id < 1000; ++id) {
    siblings.Listed(id);
    EXPECT_EQ(siblings.Read(1, id), id == 3) << id;
  }
  EXPECT_FALSE(siblings.Read(500, 1));
  EXPECT_FALSE(siblings.Read(500, 2)) << "it has made room";
  EXPECT_FALSE(siblings.Read(999, 1));
  EXPECT_TRUE(siblings.Read(999, 2));
}

TEST(CastoreBackground, WhatHasNotBegunIsDroppedAtTheEnd) {
  int worked = 0, done = 0;
  {
    castore::Background background(
        0, 100,
        [&](const Waiting&, castore::Piece&) -> Result<void> {
          ++worked;
          return {};
        },
        [&](const castore::Piece&, bool) { ++done; });
    EXPECT_TRUE(background.Add({.end = 60}));
    EXPECT_FALSE(background.Add({.end = 60})) << "of bytes, so many";
    EXPECT_TRUE(background.Add({.end = 40}));
    for (int i = 0; i < 1022; ++i) ASSERT_TRUE(background.Add({})) << i;
    EXPECT_FALSE(background.Add({})) << "of pieces, so many";
  }
  EXPECT_EQ(worked, 0);
  EXPECT_EQ(done, 0);
}

TEST(CastoreBackground, WhatComesAndIsGoneAgainEachTimeIsGivenUp) {
  Mutex mutex;
  CondVar changed;
  int worked = 0;
  bool done = false, well = true;
  castore::Background background(
      1, 100,
      [&](const Waiting& waiting, castore::Piece&) -> Result<void> {
        const MutexLock lock(mutex);
        ++worked;
        *waiting.fetch = std::make_shared<Fetch>("a");
        (*waiting.fetch)->Complete({});
        return Fail(Errc::kWouldBlock);
      },
      [&](const castore::Piece&, bool how) {
        const MutexLock lock(mutex);
        done = true;
        well = how;
        changed.NotifyAll();
      });
  ASSERT_TRUE(background.Add({.end = 100}));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  const MutexLock lock(mutex);
  while (!done && changed.WaitUntil(mutex, deadline)) {
  }
  EXPECT_TRUE(done);
  EXPECT_FALSE(well);
  EXPECT_LE(worked, 10);
}

}  // namespace
}  // namespace strata::vfs
