// What the tests of object stores share.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/castore/directory.h"
#include "store/castore/directory_service.h"
#include "store/objects/bucket.h"

namespace strata::store {

// A closure's object as it lies in a bucket, of any frames; `cut` bytes are missing at the end of the stream.
std::vector<std::byte> ClosureObject(const std::vector<std::vector<std::byte>>& frames, std::size_t cut = 0);
// Puts an object as it is, over what is there.
void PutRaw(ObjectBucket& bucket, const std::string& key, ByteSpan bytes);
// Null where there is none.
std::vector<std::byte> GetRaw(ObjectBucket& bucket, const std::string& key);

std::vector<std::byte> BytesOf(const Directory& directory);
// As the service lists them, or the error.
Result<std::vector<Directory>> Recursive(DirectoryService& service, const Digest& root);

// Another bucket, and how often its objects were opened.
class CountingBucket final : public ObjectBucket {
 public:
  explicit CountingBucket(std::shared_ptr<ObjectBucket> bucket) : bucket_(std::move(bucket)) {}
  Result<std::unique_ptr<ObjectReader>> Open(const Waiting& waiting, const std::string& key) override {
    ++opens;
    return bucket_->Open(waiting, key);
  }
  Result<bool> Has(const Waiting& waiting, const std::string& key) override { return bucket_->Has(waiting, key); }
  Result<void> List(const Waiting& waiting, const std::string& folder,
                    const std::function<bool(std::string_view key)>& visit) override {
    return bucket_->List(waiting, folder, visit);
  }
  std::string Describe() const override { return "counting"; }

  std::atomic<int> opens = 0;

 private:
  const std::shared_ptr<ObjectBucket> bucket_;
};

}  // namespace strata::store
