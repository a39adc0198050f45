#include "store/objects/memory_bucket.h"

#include <algorithm>
#include <utility>

namespace strata::store {
namespace {

class MemoryObject final : public ObjectReader {
 public:
  explicit MemoryObject(std::shared_ptr<const std::vector<std::byte>> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_->size(); }
  Result<std::size_t> ReadAt(const Waiting&, std::uint64_t offset, MutableByteSpan out) override {
    if (offset >= bytes_->size()) return 0;
    const ByteSpan rest = ByteSpan(*bytes_).subspan(offset);
    const std::size_t count = std::min(rest.size(), out.size());
    std::copy_n(rest.begin(), count, out.begin());
    return count;
  }

 private:
  const std::shared_ptr<const std::vector<std::byte>> bytes_;
};

}  // namespace

class MemoryBucket::Writer final : public ObjectWriter {
 public:
  Writer(MemoryBucket& bucket, std::string key, ObjectRank rank) : bucket_(bucket), key_(std::move(key)), rank_(rank) {}
  Result<void> Write(ByteSpan bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }
  Result<void> Close() override { return bucket_.PutIfAbsent(key_, rank_, bytes_); }

 private:
  MemoryBucket& bucket_;
  const std::string key_;
  const ObjectRank rank_;
  Bytes bytes_;
};

Result<std::unique_ptr<ObjectReader>> MemoryBucket::Open(const Waiting&, const std::string& key) {
  MutexLock lock(mutex_);
  const auto found = objects_.find(key);
  if (found == objects_.end()) return nullptr;
  return std::make_unique<MemoryObject>(found->second);
}

Result<bool> MemoryBucket::Has(const Waiting&, const std::string& key) {
  MutexLock lock(mutex_);
  return objects_.contains(key);
}

Result<void> MemoryBucket::PutIfAbsent(const std::string& key, ObjectRank, ByteSpan bytes) {
  STRATA_TRY(CheckObjectKey(key));
  MutexLock lock(mutex_);
  if (!objects_.contains(key)) objects_[key] = std::make_shared<const Bytes>(bytes.begin(), bytes.end());
  return {};
}

Result<std::unique_ptr<ObjectWriter>> MemoryBucket::Create(const std::string& key, ObjectRank rank) {
  STRATA_TRY(CheckObjectKey(key));
  return std::make_unique<Writer>(*this, key, rank);
}

Result<void> MemoryBucket::Replace(const std::string& key, ObjectRank, ByteSpan bytes) {
  STRATA_TRY(CheckObjectKey(key));
  MutexLock lock(mutex_);
  objects_[key] = std::make_shared<const Bytes>(bytes.begin(), bytes.end());
  return {};
}

Result<bool> MemoryBucket::Remove(const std::string& key) {
  MutexLock lock(mutex_);
  return objects_.erase(key) > 0;
}

Result<void> MemoryBucket::List(const Waiting&, const std::string& folder,
                                const std::function<bool(std::string_view key)>& visit) {
  const std::string prefix = folder + '/';
  std::vector<std::string> keys;
  {
    MutexLock lock(mutex_);
    for (auto at = objects_.lower_bound(prefix); at != objects_.end() && at->first.starts_with(prefix); ++at) {
      keys.push_back(at->first);
    }
  }
  for (const std::string& key : keys) {
    if (!visit(key)) break;
  }
  return {};
}

}  // namespace strata::store
