// What the tests of the pack store share.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "store/pack/engine.h"
#include "store/pack/pack_store.h"
#include "tests/base/fault_env.h"
#include "tests/base/temp_folder.h"

namespace strata::store::pack {

// A folder for a test that opens a store a thousand times: in memory where that can be had, since each time costs a few
// syncs.
class QuickFolder {
 public:
  QuickFolder() {
    std::string pattern = std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/strata-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  QuickFolder(const QuickFolder&) = delete;
  QuickFolder& operator=(const QuickFolder&) = delete;
  ~QuickFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline PackStoreOptions SmallOptions() {
  return {.create = true, .average_chunk = 1024, .threads = 2, .holder = "a test", .pack_bytes = 1 << 20};
}

inline std::shared_ptr<PackStore> MustOpen(Env& env, const std::string& path,
                                           const PackStoreOptions& options = SmallOptions()) {
  auto store = PackStore::Open(env, path, options);
  EXPECT_TRUE(store) << store.error().ToString();
  return store ? *std::move(store) : nullptr;
}

// Bytes that do not compress, and are the same each time.
inline std::string Noise(std::size_t size, std::uint64_t seed) {
  std::string bytes(size, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (char& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state >> 32);
  }
  return bytes;
}
// Bytes that do.
inline std::string Words(std::size_t size, std::uint64_t seed) {
  std::string text;
  while (text.size() < size) text += "line " + std::to_string(seed + text.size() / 40) + " of something\n";
  text.resize(size);
  return text;
}

inline std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void Spill(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

// The files of a store's folder of packs that end so, sorted.
inline std::vector<std::string> FilesOf(const std::string& store, std::string_view suffix) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(store + "/packs")) {
    const std::string path = entry.path().string();
    if (path.ends_with(suffix)) found.push_back(path);
  }
  std::ranges::sort(found);
  return found;
}

inline Digest MustPut(PackStore& store, std::string_view blob) {
  const auto digest = store.blobs()->Put(AsBytes(blob));
  EXPECT_TRUE(digest) << digest.error().ToString();
  return digest.value_or(Digest{});
}

// All of a blob; an error's text where it cannot be read, "(none)" where the store does not have it.
inline std::string ReadWhole(BlobService& blobs, const Digest& digest) {
  const auto reader = blobs.Open({}, digest);
  if (!reader) return "error: " + reader.error().ToString();
  if (!*reader) return "(none)";
  std::string all((*reader)->size(), '\0');
  const auto got = (*reader)->ReadAt({}, 0, std::as_writable_bytes(std::span(all.data(), all.size())));
  if (!got) return "error: " + got.error().ToString();
  return *got == all.size() ? all : "error: it is shorter than its size";
}
inline std::string Get(PackStore& store, const Digest& digest) { return ReadWhole(*store.blobs(), digest); }

// A directory of files with these blobs.
inline Directory DirectoryOf(const std::vector<std::pair<std::string, Node>>& entries) {
  auto directory = Directory::Make(entries);
  EXPECT_TRUE(directory) << directory.error().ToString();
  return directory.value_or(Directory());
}

#define ASSERT_OK(expression)                         \
  do {                                                \
    const auto& result = (expression);                \
    ASSERT_TRUE(result) << result.error().ToString(); \
  } while (false)
#define EXPECT_OK(expression)                         \
  do {                                                \
    const auto& result = (expression);                \
    EXPECT_TRUE(result) << result.error().ToString(); \
  } while (false)

}  // namespace strata::store::pack
