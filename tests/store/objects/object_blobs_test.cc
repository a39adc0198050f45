// Blobs in the layout of object stores, held against stores that others wrote.
#include "store/objects/object_blobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "store/blobs/chunk_list.h"
#include "store/objects/folder_bucket.h"
#include "store/objects/layout.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/zstd.h"
#include "tests/base/temp_folder.h"
#include "tests/store/fixtures.h"
#include "tests/store/objects/objects_testing.h"

namespace strata::store {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::shared_ptr<ObjectBlobs> BlobsIn(std::shared_ptr<ObjectBucket> bucket, std::uint32_t average = 4096) {
  return ObjectBlobs::Make(std::move(bucket), ChunkSizes::OfAverage(average)).value();
}

Result<std::vector<std::byte>> ReadBlob(BlobService& blobs, const Digest& digest) {
  STRATA_ASSIGN(const auto reader, blobs.Open({}, digest));
  if (!reader) return Fail(Errc::kNotFound);
  std::vector<std::byte> bytes(reader->size());
  STRATA_ASSIGN(const std::size_t got, reader->ReadAt({}, 0, bytes));
  bytes.resize(got);
  return bytes;
}

Digest DigestFrom(const nlohmann::json& hex) { return Digest::Parse(hex.get<std::string>()).value(); }

// The chunks of `expected`: {"chunks": [{"digest", "size"}], "size"}, of a blob that is there.
void ExpectBlob(BlobService& blobs, const Digest& digest, const nlohmann::json& expected) {
  const auto bytes = ReadBlob(blobs, digest);
  ASSERT_TRUE(bytes.has_value()) << bytes.error().ToString();
  EXPECT_EQ(bytes->size(), expected["size"]);
  EXPECT_EQ(Digest::Of(*bytes), digest);
  EXPECT_TRUE(blobs.Has({}, digest).value());
  const auto chunks = blobs.Chunks({}, digest).value();
  ASSERT_TRUE(chunks.has_value());
  // CA-29: of one chunk nothing is listed.
  const auto& listed = expected["chunks"];
  if (chunks->empty()) {
    EXPECT_LE(listed.size(), 1u);
    return;
  }
  ASSERT_EQ(chunks->size(), listed.size());
  for (std::size_t i = 0; i < chunks->size(); ++i) {
    EXPECT_EQ((*chunks)[i], (ChunkMeta{DigestFrom(listed[i]["digest"]), listed[i]["size"]}));
    EXPECT_TRUE(blobs.Has({}, (*chunks)[i].digest).value());
  }
}

std::shared_ptr<ObjectBucket> FixtureStore(const char* name) {
  return FolderBucket::Open(Env::System(), FixturePath(name), {.read_only = true}).value();
}

// Puts all blobs of `from` into a store of our own, and compares the objects: lists byte for byte, chunks by digest.
void ExpectTheSameObjects(const std::shared_ptr<ObjectBucket>& theirs, std::uint32_t average) {
  const auto bucket = std::make_shared<MemoryBucket>();
  const auto from = BlobsIn(theirs, average), to = BlobsIn(bucket, average);
  std::vector<std::string> lists, chunks;
  const auto list = [&](ObjectBucket& of, const std::string& folder) {
    std::vector<std::string> keys;
    EXPECT_TRUE(of.List({}, folder, [&](std::string_view key) {
                    keys.emplace_back(key);
                    return true;
                  }).has_value());
    return keys;
  };
  for (const std::string& key : list(*theirs, "blobs")) {
    const Digest digest = Digest::Parse(key.substr(key.rfind('/') + 1)).value();
    const auto bytes = ReadBlob(*from, digest);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().ToString();
    EXPECT_EQ(to->Put(*bytes).value(), digest);
    EXPECT_EQ(GetRaw(*bucket, key), GetRaw(*theirs, key)) << key;
  }
  EXPECT_GT(list(*bucket, "blobs").size(), 10u);
  EXPECT_EQ(list(*bucket, "blobs"), list(*theirs, "blobs"));
  EXPECT_EQ(list(*bucket, "chunks"), list(*theirs, "chunks"));
}

TEST(ObjectBlobs, CA28_TheBlobsThatTvixWroteAreRead) {
  STRATA_FIXTURE(expected, "tvix/store.json");
  const auto blobs = BlobsIn(FixtureStore("tvix/store"));
  int count = 0;
  for (const auto& [name, tree] : expected["roots"].items()) {
    for (const auto& [digest, blob] : tree["blobs"].items()) {
      SCOPED_TRACE(name + " " + digest);
      ExpectBlob(*blobs, DigestFrom(digest), blob);
      ++count;
    }
  }
  EXPECT_GT(count, 60);
}

TEST(ObjectBlobs, CA29_WhatIsWrittenIsWhatTvixWrote) {
  STRATA_FIXTURE(expected, "tvix/store.json");
  ExpectTheSameObjects(FixtureStore("tvix/store"), expected["avg_chunk_size"]);
}

TEST(ObjectBlobs, CA28_TheBlobsOfTheOtherStoreAreRead) {
  STRATA_FIXTURE(expected, "blobs.json");
  const auto blobs = BlobsIn(FixtureStore("store"));
  for (const auto& [digest, blob] : expected.items()) {
    SCOPED_TRACE(digest);
    ExpectBlob(*blobs, DigestFrom(digest), blob);
  }
  STRATA_FIXTURE(tree, "tree.json");
  int files = 0;
  for (const auto& entry : tree["entries"]) {
    if (entry["kind"] != "file") continue;
    const auto bytes = ReadBlob(*blobs, DigestFrom(entry["digest"]));
    ASSERT_TRUE(bytes.has_value()) << bytes.error().ToString();
    EXPECT_EQ(bytes->size(), entry["size"]);
    ++files;
  }
  EXPECT_GT(files, 100);
}

TEST(ObjectBlobs, CA29_WhatIsWrittenIsWhatIsInTheOtherStore) {
  STRATA_FIXTURE(tree, "tree.json");
  ExpectTheSameObjects(FixtureStore("store"), tree["avg_chunk_size"]);
}

// A store in memory with one blob of several chunks and one of one.
class ObjectBlobsInMemory : public ::testing::Test {
 protected:
  std::shared_ptr<MemoryBucket> bucket_ = std::make_shared<MemoryBucket>();
  std::shared_ptr<ObjectBlobs> blobs_ = BlobsIn(bucket_);
  std::vector<std::byte> content_ = MakeInput("noise", 50'000, 1);
  std::string small_ = "Hello World!";
  Digest digest_ = blobs_->Put(content_).value();
  Digest small_digest_ = blobs_->Put(AsBytes(small_)).value();

  std::string CorruptMessage(const Digest& digest) {
    const auto bytes = ReadBlob(*BlobsIn(bucket_), digest);
    EXPECT_FALSE(bytes.has_value());
    if (bytes) return {};
    EXPECT_EQ(bytes.error().code(), Errc::kCorrupt) << bytes.error().ToString();
    return std::string(bytes.error().message());
  }
};

TEST_F(ObjectBlobsInMemory, CA29_ABlobOfOneChunkHasAnEmptyListAndItsOwnDigestForTheChunk) {
  EXPECT_EQ(BlobKey(small_digest_), "blobs/b3/5ca7/5ca7815adcb484e9a136c11efe69c1d530176d549b5d18d038eb5280b4b3470c");
  EXPECT_TRUE(GetRaw(*bucket_, BlobKey(small_digest_)).empty());
  // docs/formats/objectstore.md shows these bytes.
  EXPECT_EQ(ToHex(GetRaw(*bucket_, ChunkKey(small_digest_))), "28b52ffd200c61000048656c6c6f20576f726c6421");
  EXPECT_EQ(ZstdDecompress(GetRaw(*bucket_, ChunkKey(small_digest_)), 100).value(),
            std::vector<std::byte>(AsBytes(small_).begin(), AsBytes(small_).end()));
  EXPECT_EQ(blobs_->Chunks({}, small_digest_).value(), ChunkList());
}

TEST_F(ObjectBlobsInMemory, CA28_NothingIsAskedForTheEmptyBlob) {
  const auto counting = std::make_shared<CountingBucket>(bucket_);
  const auto blobs = BlobsIn(counting);
  EXPECT_TRUE(blobs->Has({}, Digest::OfEmpty()).value());
  EXPECT_EQ(ReadBlob(*blobs, Digest::OfEmpty()).value(), std::vector<std::byte>());
  EXPECT_EQ(blobs->Chunks({}, Digest::OfEmpty()).value(), ChunkList());
  EXPECT_EQ(counting->opens, 0);
}

TEST_F(ObjectBlobsInMemory, AWriterThatWasDroppedLeavesNoBlob) {
  const Digest digest = Digest::Of(AsBytes("never closed"));
  {
    const auto writer = blobs_->Create().value();
    ASSERT_TRUE(writer->Write(AsBytes("never closed")));
  }
  EXPECT_FALSE(blobs_->Has({}, digest).value());
}

TEST_F(ObjectBlobsInMemory, AMissingChunkIsNamed) {
  const ChunkList chunks = blobs_->Chunks({}, digest_).value().value();
  ASSERT_GT(chunks.size(), 3u);
  ASSERT_TRUE(bucket_->Remove(ChunkKey(chunks[2].digest)).value());
  const auto missing = ReadBlob(*blobs_, digest_);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), Errc::kNotFound);
  EXPECT_THAT(missing.error().ToString(), HasSubstr(chunks[2].digest.Text()));

  ASSERT_TRUE(bucket_->Remove(ChunkKey(small_digest_)).value());
  const auto only = ReadBlob(*blobs_, small_digest_);
  ASSERT_FALSE(only.has_value());
  EXPECT_EQ(only.error().code(), Errc::kNotFound);
  EXPECT_THAT(only.error().ToString(), AllOf(HasSubstr(small_digest_.Text()), HasSubstr(ChunkKey(small_digest_)),
                                             HasSubstr("objectstore+memory:///")));
}

TEST_F(ObjectBlobsInMemory, AWrongBitAnywhereInAChunkGivesAnErrorOrTheRightBytes) {
  const auto object = GetRaw(*bucket_, ChunkKey(small_digest_));
  int refused = 0;
  for (std::size_t bit = 0; bit < object.size() * 8; ++bit) {
    auto damaged = object;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    PutRaw(*bucket_, ChunkKey(small_digest_), damaged);
    const auto bytes = ReadBlob(*BlobsIn(bucket_), small_digest_);  // anew: no chunk is cached
    if (bytes) {
      EXPECT_EQ(AsText(*bytes), small_);
      continue;
    }
    ++refused;
    EXPECT_EQ(bytes.error().code(), Errc::kCorrupt);
    EXPECT_THAT(bytes.error().ToString(), AllOf(HasSubstr(small_digest_.Text()), HasSubstr(ChunkKey(small_digest_)),
                                                HasSubstr("objectstore+memory:///"), HasSubstr("remove the object")));
  }
  // zstd has bits that say nothing.
  EXPECT_GT(refused, static_cast<int>(object.size() * 8 - 4));
}

TEST_F(ObjectBlobsInMemory, AWrongBitAnywhereInAListGivesAnError) {
  const auto object = GetRaw(*bucket_, BlobKey(digest_));
  for (std::size_t bit = 0; bit < object.size() * 8; ++bit) {
    auto damaged = object;
    damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    PutRaw(*bucket_, BlobKey(digest_), damaged);
    const auto bytes = ReadBlob(*blobs_, digest_);
    if (bytes) {
      EXPECT_EQ(*bytes, content_);
    } else {
      EXPECT_TRUE(bytes.error().code() == Errc::kCorrupt || bytes.error().code() == Errc::kNotFound)
          << bytes.error().ToString();
    }
  }
}

TEST_F(ObjectBlobsInMemory, AChunkCutAnywhereOrWithSomethingBehindItIsRefused) {
  const auto object = GetRaw(*bucket_, ChunkKey(small_digest_));
  for (std::size_t size = 0; size < object.size(); ++size) {
    PutRaw(*bucket_, ChunkKey(small_digest_), ByteSpan(object).first(size));
    EXPECT_NE(CorruptMessage(small_digest_), "");
  }
  auto longer = object;
  longer.push_back(std::byte{0});
  PutRaw(*bucket_, ChunkKey(small_digest_), longer);
  EXPECT_THAT(CorruptMessage(small_digest_), HasSubstr("something follows"));
  auto twice = object;
  twice.insert(twice.end(), object.begin(), object.end());
  PutRaw(*bucket_, ChunkKey(small_digest_), twice);
  EXPECT_THAT(CorruptMessage(small_digest_), HasSubstr("something follows"));
}

TEST_F(ObjectBlobsInMemory, AnotherBlobsChunkOrListIsFound) {
  PutRaw(*bucket_, ChunkKey(small_digest_), ZstdCompress(AsBytes("Hello World?")).value());
  EXPECT_THAT(CorruptMessage(small_digest_), HasSubstr("its bytes hash to"));
  // A list of two chunks that are there, of another blob: found once all is read.
  const auto other = blobs_->Put(MakeInput("noise", 50'000, 2)).value();
  PutRaw(*bucket_, BlobKey(digest_), GetRaw(*bucket_, BlobKey(other)));
  EXPECT_THAT(CorruptMessage(digest_), HasSubstr(digest_.Text()));
}

TEST_F(ObjectBlobsInMemory, AListThatLeadsToItselfIsRefused) {
  const Digest digest = Digest::Of(AsBytes("no such blob"));
  PutRaw(*bucket_, BlobKey(digest), EncodeChunkList({{digest, 5}, {digest, 5}}));
  EXPECT_EQ(ReadBlob(*blobs_, digest).error().code(), Errc::kNotFound);
  PutRaw(*bucket_, BlobKey(digest), EncodeChunkList({{digest, 5}}));
  EXPECT_EQ(ReadBlob(*blobs_, digest).error().code(), Errc::kNotFound);
  PutRaw(*bucket_, BlobKey(digest), EncodeChunkList({{digest_, 5}}));
  EXPECT_THAT(CorruptMessage(digest), HasSubstr(BlobKey(digest)));
}

// A GiB of zeros in 32 KiB, with and without its size in the frame.
TEST_F(ObjectBlobsInMemory, ABombIsRefused) {
  for (const bool sized : {true, false}) {
    std::vector<std::byte> bomb;
    if (sized) {
      bomb = ZstdCompress(std::vector<std::byte>(kMaxChunkBytes + 1)).value();
    } else {
      // A stream does not say how long it is: written as a closure is.
      const auto writer_bucket = std::make_shared<MemoryBucket>();
      ZstdObjectWriter writer(writer_bucket->Create("x", ObjectRank::kChunk).value());
      const std::vector<std::byte> zeros(1 << 20);
      for (int i = 0; i < 1'024; ++i) ASSERT_TRUE(writer.Write(zeros).has_value());
      ASSERT_TRUE(writer.Close().has_value());
      bomb = GetRaw(*writer_bucket, "x");
    }
    EXPECT_LT(bomb.size(), 100'000u);
    PutRaw(*bucket_, ChunkKey(small_digest_), bomb);
    EXPECT_THAT(CorruptMessage(small_digest_), HasSubstr("more than 16777216 bytes"));
  }
}

TEST_F(ObjectBlobsInMemory, ChunksThatWereReadStayInMemory) {
  const auto counting = std::make_shared<CountingBucket>(bucket_);
  const auto blobs = BlobsIn(counting);
  EXPECT_EQ(ReadBlob(*blobs, small_digest_).value().size(), small_.size());
  EXPECT_EQ(counting->opens, 1);
  EXPECT_EQ(ReadBlob(*blobs, small_digest_).value().size(), small_.size());
  EXPECT_EQ(counting->opens, 1);
  const auto no_cache = ObjectBlobs::Make(counting, ChunkSizes(), 0).value();
  for (int i = 2; i <= 3; ++i) {
    EXPECT_EQ(ReadBlob(*no_cache, small_digest_).value().size(), small_.size());
    EXPECT_EQ(counting->opens, i);
  }
}

TEST(ObjectBlobs, TwoWritersOfOneFolderPutTheSameBlobsAtOnce) {
  TempFolder folder;
  const auto content = MakeInput("noise", 300'000, 3);
  const auto open = [&] { return BlobsIn(FolderBucket::Open(Env::System(), folder.path(), {.create = true}).value()); };
  const auto one = open(), other = open();
  std::vector<std::thread> threads;
  for (const auto& blobs : {one, other, one, other}) {
    threads.emplace_back([&content, blobs] {
      ASSERT_EQ(blobs->Put(content).value(), Digest::Of(content));
      ASSERT_TRUE(blobs->Sync().has_value());
      ASSERT_EQ(ReadBlob(*blobs, Digest::Of(content)).value(), content);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ReadBlob(*open(), Digest::Of(content)).value(), content);
}

TEST(ObjectBlobs, ALocalDiskIsNotAskedOfWhoMayNotBlock) {
  TempFolder folder;
  const auto blobs = BlobsIn(FolderBucket::Open(Env::System(), folder.path(), {.create = true}).value());
  const Digest digest = blobs->Put(MakeInput("noise", 50'000, 1)).value();
  const auto reader = blobs->Open({}, digest).value();
  std::byte byte[1];
  const Waiting waiting{.may_block = false};
  EXPECT_EQ(blobs->Open(waiting, digest).error().code(), Errc::kWouldBlock);
  EXPECT_EQ(reader->ReadAt(waiting, 40'000, byte).error().code(), Errc::kWouldBlock);
}

TEST(ObjectBlobs, ChunkSizesThatCannotBeAreRefused) {
  EXPECT_EQ(ObjectBlobs::Make(std::make_shared<MemoryBucket>(), ChunkSizes::OfAverage(1)).error().code(),
            Errc::kInvalid);
}

}  // namespace
}  // namespace strata::store
