#include "store/compression.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace strata::store {
namespace {

std::string Text(std::size_t size) {
  std::string text;
  while (text.size() < size) text += "some words, " + std::to_string(text.size());
  text.resize(size);
  return text;
}

TEST(Compression, WhatWasCompressedComesBack) {
  Compression compression;
  for (const std::size_t size : {64U, 100U, 4096U, 1U << 20}) {
    const std::string text = Text(size);
    std::vector<std::byte> frame;
    ASSERT_TRUE(compression.Compress(AsBytes(text), frame)) << size;
    EXPECT_LE(frame.size(), size - size / 16);
    std::string back(size, '\0');
    const MutableByteSpan out = std::as_writable_bytes(std::span(back.data(), back.size()));
    ASSERT_TRUE(compression.Decompress(frame, out));
    EXPECT_EQ(back, text);
  }
}

TEST(Compression, WhatWouldNotBecomeSmallerIsNotCompressed) {
  Compression compression;
  std::vector<std::byte> frame;
  EXPECT_FALSE(compression.Compress({}, frame));
  EXPECT_FALSE(compression.Compress(AsBytes("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), frame)) << "too short to gain";
  std::string noise(100000, '\0');
  std::uint64_t state = 1;
  for (char& byte : noise) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<char>(state >> 56);
  }
  EXPECT_FALSE(compression.Compress(AsBytes(noise), frame));
}

TEST(Compression, AFrameOfAnotherSizeOrNoneIsRefused) {
  Compression compression;
  std::vector<std::byte> frame;
  const std::string text = Text(10000);
  ASSERT_TRUE(compression.Compress(AsBytes(text), frame));
  std::vector<std::byte> out(10000);
  const auto code = [&](ByteSpan bytes, std::size_t size) {
    const auto done = compression.Decompress(bytes, MutableByteSpan(out).first(size));
    return done ? std::optional<Errc>() : done.error().code();
  };
  EXPECT_EQ(code(frame, 9999), Errc::kCorrupt);
  EXPECT_EQ(code(ByteSpan(frame).first(frame.size() - 1), 10000), Errc::kCorrupt);
  EXPECT_EQ(code({}, 0), Errc::kCorrupt);
  EXPECT_EQ(code(AsBytes("no frame at all"), 10), Errc::kCorrupt);
  std::vector<std::byte> two = frame;
  two.insert(two.end(), frame.begin(), frame.end());
  EXPECT_EQ(code(two, 10000), Errc::kCorrupt) << "more follows";
  EXPECT_EQ(code(frame, 10000), std::nullopt);
}

TEST(Compression, ManyThreadsUseItAtOnce) {
  Compression compression;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string text = Text(1000 + 100 * static_cast<std::size_t>(t));
      for (int i = 0; i < 200; ++i) {
        std::vector<std::byte> frame;
        std::vector<std::byte> back(text.size());
        ASSERT_TRUE(compression.Compress(AsBytes(text), frame));
        ASSERT_TRUE(compression.Decompress(frame, back));
        ASSERT_EQ(AsText(back), text);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace strata::store
