// A bucket in memory: objectstore+memory:///, and for tests.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "store/objects/bucket.h"

namespace strata::store {

class MemoryBucket final : public ObjectBucket {
 public:
  Result<std::unique_ptr<ObjectReader>> Open(const Waiting& waiting, const std::string& key) override;
  Result<bool> Has(const Waiting& waiting, const std::string& key) override;
  Result<void> PutIfAbsent(const std::string& key, ObjectRank rank, ByteSpan bytes) override;
  Result<std::unique_ptr<ObjectWriter>> Create(const std::string& key, ObjectRank rank) override;
  Result<void> Replace(const std::string& key, ObjectRank rank, ByteSpan bytes) override;
  Result<bool> Remove(const std::string& key) override;
  Result<void> List(const Waiting& waiting, const std::string& folder,
                    const std::function<bool(std::string_view key)>& visit) override;
  std::string Describe() const override { return "objectstore+memory:///"; }

 private:
  using Bytes = std::vector<std::byte>;
  class Writer;

  Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Bytes>, std::less<>> objects_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
