// Reading: no byte is copied (spec overlay T4), every stretch is that of the blob, also by many threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/vfs/layer/castore/castore_testing.h"

namespace strata::vfs {
namespace {

std::string Bytes(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(CastoreData, T4_ReadRefersToTheStoresBytes) {
  MemoryStore store;
  const std::string content = Bytes(100'000, 1);
  const store::Node file = store.PutFile(content);
  const auto layer = OpenNode(store, store.PutDirectory({{"f", file}}));
  const LayerNode node = FindInLayer(*layer, "f")->node;
  const auto reader = *store.blobs->Open({}, file.digest);
  const std::byte* const begin = reader->Pin({}, 0, 1)->bytes.data();
  for (const std::size_t offset : {0u, 1u, 65'535u, 99'999u}) {
    CountingSink sink;
    const auto got = layer->Read(kBackground, node, offset, 64 << 10, nullptr, sink);
    ASSERT_TRUE(got);
    EXPECT_EQ(sink.copied, 0u);
    ASSERT_EQ(sink.pieces.size(), 1u);
    EXPECT_EQ(sink.pieces[0].bytes.data(), begin + offset) << "where the store has them";
    EXPECT_EQ(sink.text(), content.substr(offset, 64 << 10));
    EXPECT_EQ(*got, sink.text().size());
  }
}

TEST(CastoreData, T4_WhatWasReadOutlivesTheLayerAndTheStore) {
  CountingSink sink;
  const std::string content = Bytes(10'000, 2);
  {
    const auto chunked = std::make_shared<ChunkedBlobs>(1000);
    MemoryStore store;
    const store::Digest digest = *chunked->Put(AsBytes(content));
    const store::Node root = store.PutDirectory({{"f", store::Node::OfFile(digest, content.size())}});
    const auto layer = OpenWith(chunked, store.directories, {.node = root, .attributes = std::nullopt});
    ASSERT_TRUE(layer->Read(kBackground, FindInLayer(*layer, "f")->node, 0, 1 << 20, nullptr, sink));
    EXPECT_EQ(sink.pieces.size(), 10u) << "one for each chunk";
    EXPECT_EQ(sink.copied, 0u);
  }
  EXPECT_EQ(sink.text(), content);
}

TEST(CastoreData, CA24_EveryStretchIsThatOfTheBlobAlsoOverSeveralChunks) {
  const std::string content = Bytes(5000, 3);
  std::mt19937 random(4);
  for (const std::size_t chunk : {1u, 7u, 64u, 1000u, 4999u, 5000u, 9000u}) {
    const auto chunked = std::make_shared<ChunkedBlobs>(chunk);
    MemoryStore store;
    const store::Digest digest = *chunked->Put(AsBytes(content));
    const store::Node root = store.PutDirectory({{"f", store::Node::OfFile(digest, content.size())}});
    const auto layer = OpenWith(chunked, store.directories, {.node = root, .attributes = std::nullopt});
    const LayerNode node = FindInLayer(*layer, "f")->node;
    for (int i = 0; i < 200; ++i) {
      const std::size_t offset = random() % 5200, size = random() % (i % 2 == 0 ? 5200 : 20);
      ASSERT_EQ(ReadFromLayer(*layer, node, offset, size), content.substr(std::min<std::size_t>(offset, 5000), size))
          << chunk << ' ' << offset << ' ' << size;
    }
    for (std::size_t at = 0; at < content.size(); at += 613) {
      ASSERT_EQ(ReadFromLayer(*layer, node, at, 613), content.substr(at, 613)) << "in order, as a client does";
    }
  }
}

TEST(CastoreData, AnExpectedVersionIsHeldToAndAnotherIsRefused) {
  MemoryEntry entry = MemoryFile("f", "content");
  entry.mtime.ns = 77;
  for (const Keep keep : {Keep::kNodes, Keep::kAll}) {
    const auto layer = OpenStored(StoreTree({entry}, keep));
    const LayerStat stat = *FindInLayer(*layer, "f");
    EXPECT_EQ(stat.attributes.mtime.ns, keep == Keep::kAll ? 77 : 0);
    const LayerVersion version{stat.attributes.size, stat.attributes.mtime, stat.attributes.ctime};
    EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 10, true, &version), 7u);
    LayerVersion other = version;
    other.size = 8;
    EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 10, true, &other).error().code(), Errc::kNotSync);
    other = version;
    other.mtime.ns = 78;
    EXPECT_EQ(SizeOfRead(*layer, stat.node, 0, 10, true, &other).error().code(), Errc::kNotSync);
  }
}

TEST(CastoreData, ThreadsReadAtOnceWhileLittleIsRemembered) {
  const std::string content = Bytes(3000, 5), other = Bytes(2000, 6);
  const auto chunked = std::make_shared<ChunkedBlobs>(100);
  MemoryStore store;
  NamedNodes entries;
  for (int i = 0; i < 20; ++i) {
    const std::string& bytes = i % 2 == 0 ? content : other;
    entries.emplace_back(std::to_string(i), store::Node::OfFile(*chunked->Put(AsBytes(bytes)), bytes.size()));
  }
  const store::Node directory = store.PutDirectory(entries);
  const store::Node root = store.PutDirectory({{"a", directory}, {"b", directory}});
  const auto layer =
      OpenWith(chunked, store.directories, {.node = root, .attributes = std::nullopt}, {.memory_bytes = 2000});
  std::atomic<int> faults{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<std::uint32_t>(t));
      for (int i = 0; i < 300; ++i) {
        const std::uint32_t file = random() % 20;
        const auto found = FindInLayer(*layer, (random() % 2 == 0 ? "a/" : "b/") + std::to_string(file));
        const std::string& bytes = file % 2 == 0 ? content : other;
        const std::size_t offset = random() % bytes.size();
        const auto read = found ? ReadFromLayer(*layer, Bare(found->node.id), offset, 700) : Result<std::string>("?");
        if (!read || *read != bytes.substr(offset, 700)) ++faults;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(faults, 0);
}

}  // namespace
}  // namespace strata::vfs
