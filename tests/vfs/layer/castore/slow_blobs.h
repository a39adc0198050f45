// A store whose chunks lie on a disk, or far away, until somebody has read them: what is brought into memory before it
// is asked for, and how many are on their way, can be seen and held up.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "store/blobs/blob_service.h"
#include "store/castore/node.h"

namespace strata::vfs {

class SlowBlobs final : public store::BlobService, public std::enable_shared_from_this<SlowBlobs> {
 public:
  // A chunk of a blob.
  using Chunk = std::pair<store::Digest, std::size_t>;
  static constexpr std::size_t kChunk = 64 << 10;

  store::Node PutFile(std::string content) {
    const store::Digest digest = store::Digest::Of(AsBytes(content));
    const std::size_t size = content.size();
    const MutexLock lock(mutex_);
    blobs_[digest] = std::make_shared<const std::string>(std::move(content));
    return store::Node::OfFile(digest, size);
  }

  Result<bool> Has(const Waiting&, const store::Digest& digest) override {
    const MutexLock lock(mutex_);
    return blobs_.contains(digest);
  }
  Result<std::shared_ptr<store::BlobReader>> Open(const Waiting& waiting, const store::Digest& digest) override;
  std::string Describe() const override { return "slow:"; }

  // Chunks are read from elsewhere: whoever takes a Fetch gets one.
  void SetFar() { far_ = true; }
  // From this chunk of each blob on, reading waits, or its Fetch does, until Release.
  void HoldFrom(std::size_t index) STRATA_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    held_from_ = index;
  }
  void Release() STRATA_EXCLUDES(mutex_);
  // Reading the chunks for which it is true fails; null: no more.
  void FailWhere(std::function<bool(const Chunk&)> fails) STRATA_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    fails_ = std::move(fails);
  }
  void FailFrom(std::size_t index) {
    FailWhere([index](const Chunk& chunk) { return chunk.second >= index; });
  }
  // Until so many chunks have been asked of the disk, or of elsewhere; false after a minute.
  bool WaitForLoads(std::size_t count) STRATA_EXCLUDES(mutex_) {
    return WaitFor([&]() STRATA_REQUIRES(mutex_) { return loads_.size() >= count; });
  }
  // Until the chunk is in memory.
  bool WaitForChunk(const store::Node& file, std::size_t index) STRATA_EXCLUDES(mutex_) {
    return WaitFor([&]() STRATA_REQUIRES(mutex_) { return there_.contains({file.digest, index}); });
  }
  // In their order.
  std::vector<Chunk> loads() const {
    const MutexLock lock(mutex_);
    return loads_;
  }
  // The chunks of a file that were loaded.
  std::vector<std::size_t> LoadsOf(const store::Node& file) const {
    std::vector<std::size_t> indexes;
    for (const auto& [digest, index] : loads()) {
      if (digest == file.digest) indexes.push_back(index);
    }
    std::ranges::sort(indexes);
    return indexes;
  }

 private:
  class Reader;

  template <typename Condition>
  bool WaitFor(Condition condition) STRATA_EXCLUDES(mutex_) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    const MutexLock lock(mutex_);
    while (!condition()) {
      if (!changed_.WaitUntil(mutex_, deadline)) return condition();
    }
    return true;
  }
  Result<void> Load(const Waiting& waiting, const Chunk& chunk) STRATA_EXCLUDES(mutex_);
  Result<void> Take(const Chunk& chunk) STRATA_REQUIRES(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<store::Digest, std::shared_ptr<const std::string>> blobs_ STRATA_GUARDED_BY(mutex_);
  std::set<Chunk> there_ STRATA_GUARDED_BY(mutex_);
  std::vector<Chunk> loads_ STRATA_GUARDED_BY(mutex_);
  std::map<Chunk, std::shared_ptr<Fetch>> fetches_ STRATA_GUARDED_BY(mutex_);
  std::size_t held_from_ STRATA_GUARDED_BY(mutex_) = SIZE_MAX;
  std::function<bool(const Chunk&)> fails_ STRATA_GUARDED_BY(mutex_);
  bool far_ = false;
};

}  // namespace strata::vfs
