// What the tests of import and export share: blobs in memory that count, and tars made by hand.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "store/blobs/blob_service.h"
#include "store/castore/memory_directories.h"
#include "store/import/import.h"

namespace strata::store {

// Blobs in a map. Counts what is written, and fails when it is told to.
class TestBlobs final : public BlobService {
 public:
  Result<bool> Has(const Waiting&, const Digest& digest) override {
    ++asked;
    if (on_has) on_has(digest);
    const MutexLock lock(mutex_);
    return blobs_.contains(digest);
  }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting&, const Digest& digest) override;
  Result<std::unique_ptr<BlobWriter>> Create() override;
  Result<void> Sync() override {
    ++syncs;
    return {};
  }
  std::string Describe() const override { return "test:"; }

  Result<Digest> Keep(std::string content);
  // Nothing where there is none.
  std::string Content(const Digest& digest);
  void Forget(const Digest& digest);
  std::size_t size() {
    const MutexLock lock(mutex_);
    return blobs_.size();
  }

  std::atomic<int> written{0};  // blobs, whether they were there or not
  std::atomic<int> asked{0};
  std::atomic<int> syncs{0};
  std::atomic<int> fail_after{-1};  // so many more blobs are taken; -1: all
  // Called before each question, by whoever asks.
  std::function<void(const Digest&)> on_has;

 private:
  Mutex mutex_;
  std::map<Digest, std::shared_ptr<const std::string>> blobs_ STRATA_GUARDED_BY(mutex_);
};

// A store in memory, and an import into it.
struct TestStore {
  TestBlobs blobs;
  MemoryDirectoryService directories;

  ImportStore store() { return {blobs, directories}; }
  Result<ImportReport> Import(const std::string& path, const ImportOptions& options = {});
  Result<ImportReport> ImportBytes(std::string_view tar, const ImportOptions& options = {});
  // Every node beneath `root`, a line each, in the order of a walk: "dir a/", "file a/b 3 x DIGEST", "link a/c -> b".
  // Names that cannot be printed are escaped.
  std::vector<std::string> List(const Node& root);
};

// An entry of a tar that is made by hand.
struct TarItem {
  std::string path = {};
  std::string content = {};
  char type = '0';
  std::string link = {};
  std::uint32_t mode = 0644;
  std::vector<std::pair<std::string, std::string>> pax = {};  // goes before it, as a header of type x
  std::string magic = std::string(
      "ustar\0"
      "00",
      8);
  std::int64_t size = -1;  // stated; -1: the content's
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t mtime = 1'600'000'000;
};
std::string TarOf(const std::vector<TarItem>& items, bool end = true);
std::string TarHeaderOf(const TarItem& item);
// What cannot be printed as \xNN.
std::string Escaped(std::string_view name);
std::string PaxRecord(std::string_view key, std::string_view value);

void WriteTestFile(const std::string& path, std::string_view content);
std::string ReadTestFile(const std::string& path);

}  // namespace strata::store
