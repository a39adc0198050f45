#include "tests/store/objects/objects_testing.h"

#include <gtest/gtest.h>

#include "store/objects/zstd.h"

namespace strata::store {

std::vector<std::byte> ClosureObject(const std::vector<std::vector<std::byte>>& frames, std::size_t cut) {
  std::vector<std::byte> stream;
  for (const auto& frame : frames) {
    for (const int shift : {24, 16, 8, 0}) stream.push_back(static_cast<std::byte>(frame.size() >> shift));
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  stream.resize(stream.size() - cut);
  return ZstdCompress(stream).value();
}

void PutRaw(ObjectBucket& bucket, const std::string& key, ByteSpan bytes) {
  ASSERT_TRUE(bucket.Replace(key, ObjectRank::kChunk, bytes).has_value());
  ASSERT_TRUE(bucket.Sync().has_value());
}

std::vector<std::byte> GetRaw(ObjectBucket& bucket, const std::string& key) {
  const auto bytes = bucket.Get({}, key, 1 << 30);
  EXPECT_TRUE(bytes.has_value() && *bytes) << key;
  return bytes && *bytes ? **bytes : std::vector<std::byte>();
}

std::vector<std::byte> BytesOf(const Directory& directory) {
  return {directory.canonical().begin(), directory.canonical().end()};
}

Result<std::vector<Directory>> Recursive(DirectoryService& service, const Digest& root) {
  std::vector<Directory> directories;
  STRATA_TRY(service.GetRecursive({}, root, [&](const Directory& directory) {
    directories.push_back(directory);
    return true;
  }));
  return directories;
}

}  // namespace strata::store
