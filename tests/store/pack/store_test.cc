// The pack store as one process, and as several that share a folder, see it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "store/pack/blobs.h"
#include "store/pack/stat.h"
#include "tests/store/pack/pack_testing.h"

namespace strata::store::pack {
namespace {

using ::testing::HasSubstr;

TEST(PackStore, AFolderThatIsNoStoreIsRefusedAndLeftAlone) {
  QuickFolder folder;
  std::filesystem::create_directory(folder / "other");
  Spill(folder / "other/file", "precious");
  const auto store = PackStore::Open(Env::System(), folder / "other", SmallOptions());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Errc::kNotEmpty);
  EXPECT_THAT(std::string(store.error().message()), HasSubstr("(file)"));
  EXPECT_EQ(Slurp(folder / "other/file"), "precious");
}

TEST(PackStore, WithoutCreateAStoreThatIsNotThereIsNotMade) {
  QuickFolder folder;
  PackStoreOptions options = SmallOptions();
  options.create = false;
  const auto store = PackStore::Open(Env::System(), folder / "none", options);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Errc::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder / "none"));
}

TEST(PackStore, TheFoldersAboveItAreMade) {
  QuickFolder folder;
  const auto store = MustOpen(Env::System(), folder / "a/b/c");
  EXPECT_EQ(store->Describe(), "pack:" + folder / "a/b/c");
  EXPECT_EQ(Get(*store, MustPut(*store, "x")), "x");
}

TEST(PackStore, AStoreOfANewerVersionIsRefused) {
  QuickFolder folder;
  MustOpen(Env::System(), folder / "s");
  std::string format = Slurp(folder / "s/strata-store");
  format[8] = 2;
  StoreLe(reinterpret_cast<std::byte*>(format.data()) + 60, Crc32c(AsBytes(format).first(60)));
  Spill(folder / "s/strata-store", format);
  const auto store = PackStore::Open(Env::System(), folder / "s", SmallOptions());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Errc::kNotSupported);
  EXPECT_THAT(std::string(store.error().message()), HasSubstr("newer version"));
}

TEST(PackStore, NoBlobHasAFileOfItsOwn) {
  QuickFolder folder;
  const auto store = MustOpen(Env::System(), folder / "s");
  std::vector<Digest> digests;
  for (std::uint64_t i = 0; i < 500; ++i) digests.push_back(MustPut(*store, Words(100 + i, i)));
  ASSERT_OK(store->Sync());
  EXPECT_EQ(FilesOf(folder / "s", ".pack").size(), 1U);
  for (std::uint64_t i = 0; i < 500; ++i) ASSERT_EQ(Get(*store, digests[i]), Words(100 + i, i));
}

TEST(PackStore, DirectoriesLieInPacksOfTheirOwnInTheOrderOfPutting) {
  QuickFolder folder;
  const auto store = MustOpen(Env::System(), folder / "s");
  std::vector<Digest> put;
  for (std::uint64_t i = 0; i < 20; ++i) {
    const Digest blob = MustPut(*store, Words(50, i));
    const Directory directory = DirectoryOf({{"f", Node::OfFile(blob, 50)}});
    ASSERT_OK(store->directories()->Put(directory));
    put.push_back(directory.digest());
  }
  ASSERT_OK(store->Sync());
  EXPECT_EQ(FilesOf(folder / "s", ".pack").size(), 2U);
  std::uint64_t last = 0;
  std::set<std::uint64_t> packs;
  for (const Digest& digest : put) {
    const auto places = store->engine().Find({}, PackClass::kDirectories, digest);
    ASSERT_TRUE(places);
    ASSERT_EQ(places->size(), 1U);
    EXPECT_GT((*places)[0].location.offset, last);
    last = (*places)[0].location.offset;
    packs.insert((*places)[0].location.pack.value);
  }
  EXPECT_EQ(packs.size(), 1U);
}

TEST(PackStore, WhatCompressesIsStoredSmallAndWhatDoesNotAsItIs) {
  QuickFolder folder;
  PackStoreOptions options = SmallOptions();
  options.average_chunk = 64 << 10;
  const auto store = MustOpen(Env::System(), folder / "s", options);
  MustPut(*store, Words(20000, 1));
  MustPut(*store, Noise(20000, 1));
  const auto stat = StatStore(store->engine());
  ASSERT_OK(stat);
  const StoreStat::Kind& chunks = stat->Of(RecordKind::kChunk);
  EXPECT_EQ(chunks.records, 2U);
  EXPECT_EQ(chunks.raw, 40000U);
  EXPECT_GE(chunks.stored, 20000U);
  EXPECT_LT(chunks.stored, 26000U);
}

TEST(PackStore, EqualBlobsAreStoredOnceAlsoFromManyThreads) {
  QuickFolder folder;
  const auto store = MustOpen(Env::System(), folder / "s");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < 200; ++i) MustPut(*store, Words(100, i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::uint64_t i = 0; i < 200; ++i) ASSERT_EQ(Get(*store, Digest::Of(AsBytes(Words(100, i)))), Words(100, i));
  // Two threads may put the same at the same instant; that is rare.
  const auto stat = StatStore(store->engine());
  ASSERT_OK(stat);
  EXPECT_GE(stat->Of(RecordKind::kChunk).records, 200U);
  EXPECT_LE(stat->Of(RecordKind::kChunk).records, 250U);
  // Once all are there nothing is appended.
  ASSERT_OK(store->Sync());
  const auto size = std::filesystem::file_size(FilesOf(folder / "s", ".pack")[0]);
  for (std::uint64_t i = 0; i < 200; ++i) MustPut(*store, Words(100, i));
  ASSERT_OK(store->Sync());
  EXPECT_EQ(std::filesystem::file_size(FilesOf(folder / "s", ".pack")[0]), size);
}

// CA-29
TEST(PackStore, ABlobOfSeveralChunksHasAListAndASmallerOneIsAChunkByItsOwnDigest) {
  QuickFolder folder;
  const auto store = MustOpen(Env::System(), folder / "s");
  const Digest small = MustPut(*store, Noise(500, 1));
  const Digest large = MustPut(*store, Noise(50000, 2));
  const auto small_chunks = store->blobs()->Chunks({}, small);
  ASSERT_OK(small_chunks);
  ASSERT_TRUE(*small_chunks);
  EXPECT_TRUE((*small_chunks)->empty());
  const auto chunks = store->blobs()->Chunks({}, large);
  ASSERT_OK(chunks);
  ASSERT_TRUE(*chunks);
  EXPECT_GT((*chunks)->size(), 20U);
  std::uint64_t sum = 0;
  for (const ChunkMeta& chunk : **chunks) {
    sum += chunk.size;
    EXPECT_TRUE(store->blobs()->Has({}, chunk.digest).value());  // CA-20
    EXPECT_EQ(Get(*store, chunk.digest).size(), chunk.size);
  }
  EXPECT_EQ(sum, 50000U);
}

TEST(PackStore, ALongListIsCutIntoPartsAndReadAnywhere) {
  QuickFolder folder;
  PackStoreOptions options = SmallOptions();
  options.list_entries = 8;
  const auto store = MustOpen(Env::System(), folder / "s", options);
  const std::string blob = Noise(60000, 3);
  const Digest digest = MustPut(*store, blob);
  const auto stat = StatStore(store->engine());
  ASSERT_OK(stat);
  EXPECT_EQ(stat->Of(RecordKind::kList).records, 1U);
  EXPECT_GT(stat->Of(RecordKind::kListPart).records, 3U);
  EXPECT_TRUE(store->blobs()->Has({}, digest).value());
  ASSERT_EQ(Get(*store, digest), blob);
  const auto reader = store->blobs()->Open({}, digest);
  ASSERT_OK(reader);
  for (std::uint64_t at = 0; at < blob.size() + 10; at += 777) {
    std::string piece(100, '\0');
    const auto got = (*reader)->ReadAt({}, at, std::as_writable_bytes(std::span(piece.data(), piece.size())));
    ASSERT_OK(got);
    const std::string expected = at < blob.size() ? blob.substr(at, 100) : "";
    ASSERT_EQ(piece.substr(0, *got), expected) << at;
  }
  const auto chunks = store->blobs()->Chunks({}, digest);
  ASSERT_OK(chunks);
  EXPECT_GT((*chunks)->size(), 24U);
}

TEST(PackStore, ABlobOfMoreChunksThanAListOfListsHoldsIsRefused) {
  QuickFolder folder;
  PackStoreOptions options = SmallOptions();
  options.list_entries = 2;
  const auto store = MustOpen(Env::System(), folder / "s", options);
  const auto put = store->blobs()->Put(AsBytes(Noise(60000, 3)));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code(), Errc::kFileTooBig);
}

TEST(PackStore, WhatIsPutIsThereAfterTheProcessHasEndedAlsoWithoutASync) {
  QuickFolder folder;
  for (const bool sync : {false, true}) {
    const std::string blob = Noise(3000, sync ? 1 : 2);
    {
      const auto store = MustOpen(Env::System(), folder / "s");
      MustPut(*store, blob);
      if (sync) ASSERT_OK(store->Sync());
    }
    EXPECT_EQ(Get(*MustOpen(Env::System(), folder / "s"), Digest::Of(AsBytes(blob))), blob);
  }
}

TEST(PackStore, ManyPacksAndIndexesGiveAllThatWasPut) {
  QuickFolder folder;
  PackStoreOptions options = SmallOptions();
  options.pack_bytes = 64 << 10;
  std::vector<Digest> digests;
  for (int round = 0; round < 12; ++round) {
    const auto store = MustOpen(Env::System(), folder / "s", options);
    for (std::uint64_t i = 0; i < 200; ++i) digests.push_back(MustPut(*store, Noise(400, 1000 * round + i)));
    ASSERT_OK(store->engine().PublishIndexes());
    for (std::size_t i = 0; i < digests.size(); i += 7) ASSERT_TRUE(store->blobs()->Has({}, digests[i]).value()) << i;
  }
  EXPECT_GT(FilesOf(folder / "s", ".pack").size(), 12U);
  // Twelve were made, and eight of a size become one.
  EXPECT_LE(FilesOf(folder / "s", ".index").size(), 8U);
  const auto store = MustOpen(Env::System(), folder / "s", options);
  for (std::size_t i = 0; i < digests.size(); ++i) {
    ASSERT_EQ(Get(*store, digests[i]), Noise(400, 1000 * (i / 200) + i % 200)) << i;
  }
  EXPECT_FALSE(store->blobs()->Has({}, Digest::Of(AsBytes("another"))).value());
}

TEST(PackStore, AFullPackOfManyIndexesIsNotReadAgain) {
  const TempFolder folder;  // on a disk: a file system in memory lists files in the order in which they were made
  constexpr std::uint64_t kBlobs = 24'000;  // more than a pack
  const auto entries_of = [](PackStore& store) {
    std::uint64_t entries = 0;
    for (const CatalogView::Index& index : store.engine().catalog().view()->indexes) entries += index.file->entries();
    return entries;
  };
  {
    const auto store = MustOpen(Env::System(), folder / "s");
    for (std::uint64_t i = 0; i < kBlobs; ++i) {
      MustPut(*store, "blob " + std::to_string(i));
      if (i % 1000 == 999) ASSERT_OK(store->engine().PublishIndexes());
    }
    ASSERT_GE(FilesOf(folder / "s", ".pack").size(), 2U);
    EXPECT_EQ(entries_of(*store), kBlobs);
  }
  const auto store = MustOpen(Env::System(), folder / "s");
  EXPECT_EQ(entries_of(*store), kBlobs);
  EXPECT_EQ(store->engine().catalog().tails(PackClass::kData).size(), 0U);
}

TEST(PackStore, AnotherProcessSeesWhatIsPutWhileItIsOpen) {
  QuickFolder folder;
  const auto one = MustOpen(Env::System(), folder / "s");
  const auto other = MustOpen(Env::System(), folder / "s");
  PackStoreOptions options = SmallOptions();
  options.read_only = true;
  const auto reader = MustOpen(Env::System(), folder / "s", options);
  for (std::uint64_t i = 0; i < 30; ++i) {
    const std::string blob = Words(300, i);
    PackStore& putting = i % 2 == 0 ? *one : *other;
    const Digest digest = MustPut(putting, blob);
    EXPECT_EQ(Get(*reader, digest), "(none)") << "it is in a buffer of the other";
    ASSERT_OK(putting.Sync());
    if (i % 5 == 0) ASSERT_OK(putting.engine().PublishIndexes());
    ASSERT_EQ(Get(*reader, digest), blob) << i;
    ASSERT_EQ(Get(*one, digest), blob) << i;
    ASSERT_EQ(Get(*other, digest), blob) << i;
  }
  // Each appends to a pack that it has locked.
  EXPECT_EQ(FilesOf(folder / "s", ".pack").size(), 2U);
}

TEST(PackStore, WhatAnotherHasPutIsNotPutAgain) {
  QuickFolder folder;
  const auto one = MustOpen(Env::System(), folder / "s");
  const auto other = MustOpen(Env::System(), folder / "s");
  MustPut(*one, Noise(900, 1));
  ASSERT_OK(one->Sync());
  MustPut(*other, Noise(900, 1));
  ASSERT_OK(other->Sync());
  EXPECT_EQ(FilesOf(folder / "s", ".pack").size(), 1U);
}

TEST(PackStore, ThePackOfAProcessThatHasEndedIsTakenOver) {
  QuickFolder folder;
  for (std::uint64_t i = 0; i < 5; ++i) MustPut(*MustOpen(Env::System(), folder / "s"), Words(100, i));
  EXPECT_EQ(FilesOf(folder / "s", ".pack").size(), 1U);
}

TEST(PackStore, AReadOnlyStoreWritesNothing) {
  QuickFolder folder;
  MustPut(*MustOpen(Env::System(), folder / "s"), "there");
  std::set<std::string> before;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "s")) before.insert(entry.path());
  {
    PackStoreOptions options = SmallOptions();
    options.read_only = true;
    const auto store = MustOpen(Env::System(), folder / "s", options);
    EXPECT_EQ(Get(*store, Digest::Of(AsBytes("there"))), "there");
    EXPECT_TRUE(store->blobs()->Has({}, Digest::Of(AsBytes("there"))).value());
    const auto put = store->blobs()->Put(AsBytes("more"));
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code(), Errc::kReadOnly);
    EXPECT_EQ(store->blobs()->Create().error().code(), Errc::kReadOnly);
    EXPECT_EQ(store->directories()->Put(Directory()).error().code(), Errc::kReadOnly);
    EXPECT_EQ(store->roots()->Set("n", {}).error().code(), Errc::kReadOnly);
  }
  std::set<std::string> after;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "s")) after.insert(entry.path());
  EXPECT_EQ(before, after);
}

// The empty blob and the empty directory have the same bytes and so the same digest (CA-19).
TEST(PackStore, ABlobAndADirectoryOfTheSameBytesAreTwoThings) {
  QuickFolder folder;
  const auto store = MustOpen(Env::System(), folder / "s");
  MustPut(*store, "");
  EXPECT_FALSE(store->directories()->Get({}, Digest::OfEmpty()).value());
  ASSERT_OK(store->directories()->Put(Directory()));
  EXPECT_TRUE(store->directories()->Get({}, Digest::OfEmpty()).value());
  EXPECT_EQ(Get(*store, Digest::OfEmpty()), "");
  ASSERT_OK(store->engine().PublishIndexes());
  EXPECT_TRUE(store->directories()->Get({}, Digest::OfEmpty()).value());
  EXPECT_EQ(Get(*store, Digest::OfEmpty()), "");
}

TEST(PackStore, WhatIsNotInMemoryWouldBlockAndWhatIsDoesNot) {
  QuickFolder folder;
  const std::string blob = Noise(200'000, 5);
  PackStoreOptions options = SmallOptions();
  options.average_chunk = 128 << 10;
  {
    const auto store = MustOpen(Env::System(), folder / "s", options);
    MustPut(*store, blob);
    ASSERT_OK(store->engine().PublishIndexes());
  }
  const auto store = MustOpen(Env::System(), folder / "s", options);
  const Waiting now{.may_block = false};
  const auto reader = store->blobs()->Open({}, Digest::Of(AsBytes(blob)));
  ASSERT_OK(reader);
  const auto missed = (*reader)->Pin(now, 100, 10);
  ASSERT_FALSE(missed);
  EXPECT_EQ(missed.error().code(), Errc::kWouldBlock);
  ASSERT_OK((*reader)->Pin({}, 100, 10));
  const auto hit = (*reader)->Pin(now, 100, 10);
  ASSERT_OK(hit);
  EXPECT_EQ(AsText(hit->bytes), blob.substr(100, 10));
  // Nobody says that something is missing without having looked for it.
  EXPECT_EQ(store->blobs()->Has(now, Digest::Of(AsBytes("none"))).error().code(), Errc::kWouldBlock);
}

TEST(PackStore, AReaderOutlivesTheStoreThatItIsOf) {
  QuickFolder folder;
  auto store = MustOpen(Env::System(), folder / "s");
  const std::string blob = Noise(5000, 6);
  const Digest digest = MustPut(*store, blob);
  const auto reader = store->blobs()->Open({}, digest);
  ASSERT_OK(reader);
  store.reset();
  std::string all(blob.size(), '\0');
  ASSERT_OK((*reader)->ReadAt({}, 0, std::as_writable_bytes(std::span(all.data(), all.size()))));
  EXPECT_EQ(all, blob);
}

TEST(PackStore, ManyRecordsOfOthersThanMayBeInMemoryAreFoundByAnIndexThatIsMadeForThem) {
  QuickFolder folder;
  PackStoreOptions options = SmallOptions();
  options.memory_bytes = 64 << 20;
  std::vector<Digest> digests;
  const auto writer = MustOpen(Env::System(), folder / "s", options);
  for (std::uint64_t i = 0; i < 15000; ++i) digests.push_back(MustPut(*writer, "blob " + std::to_string(i)));
  ASSERT_OK(writer->Sync());
  ASSERT_TRUE(FilesOf(folder / "s", ".index").empty());
  for (const bool read_only : {true, false}) {
    options.memory_bytes = 1;  // the least that counts holds fewer
    options.read_only = read_only;
    const auto reader = MustOpen(Env::System(), folder / "s", options);
    EXPECT_FALSE(reader->engine().catalog().view()->indexes.empty());
    EXPECT_EQ(FilesOf(folder / "s", ".index").empty(), read_only);
    for (std::size_t i = 0; i < digests.size(); i += 11) {
      ASSERT_EQ(Get(*reader, digests[i]), "blob " + std::to_string(i));
    }
  }
}

}  // namespace
}  // namespace strata::store::pack
