#include "store/blobs/memory.h"

#include <optional>
#include <utility>

#include "store/blobs/bytes_reader.h"

namespace strata::store {

class MemoryBlobService::Writer final : public BlobWriter {
 public:
  explicit Writer(MemoryBlobService& service) : service_(service) {}
  ~Writer() override {
    if (!digest_) service_.GiveBack(bytes_.size());
  }

  Result<void> Write(ByteSpan bytes) override {
    if (digest_) return BlobWriterClosed();
    STRATA_TRY(service_.Take(bytes.size()));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }

  Result<Digest> Close() override {
    if (!digest_) {
      digest_ = Digest::Of(bytes_);
      service_.Insert(*digest_, std::move(bytes_));
    }
    return *digest_;
  }

 private:
  MemoryBlobService& service_;
  Bytes bytes_;
  std::optional<Digest> digest_;
};

Result<bool> MemoryBlobService::Has(const Waiting&, const Digest& digest) {
  const MutexLock lock(mutex_);
  return blobs_.contains(digest);
}

Result<std::shared_ptr<BlobReader>> MemoryBlobService::Open(const Waiting&, const Digest& digest) {
  const MutexLock lock(mutex_);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return nullptr;
  return ReadBytes({*found->second, found->second});
}

Result<std::unique_ptr<BlobWriter>> MemoryBlobService::Create() { return std::make_unique<Writer>(*this); }

Result<Digest> MemoryBlobService::Put(ByteSpan blob) {
  const Digest digest = Digest::Of(blob);
  {
    const MutexLock lock(mutex_);
    if (blobs_.contains(digest)) return digest;
  }
  STRATA_TRY(Take(blob.size()));
  Insert(digest, Bytes(blob.begin(), blob.end()));
  return digest;
}

Result<void> MemoryBlobService::Take(std::size_t bytes) {
  const MutexLock lock(mutex_);
  if (bytes > most_bytes_ - bytes_) {
    return Fail(Errc::kNoSpace, "put a blob into memory: " + std::to_string(bytes_) + " of at most " +
                                    std::to_string(most_bytes_) + " bytes are taken");
  }
  bytes_ += bytes;
  return {};
}

void MemoryBlobService::GiveBack(std::size_t bytes) {
  const MutexLock lock(mutex_);
  bytes_ -= bytes;
}

void MemoryBlobService::Insert(const Digest& digest, Bytes bytes) {
  const std::size_t size = bytes.size();
  auto blob = std::make_shared<const Bytes>(std::move(bytes));
  const MutexLock lock(mutex_);
  if (!blobs_.emplace(digest, std::move(blob)).second) bytes_ -= size;
}

}  // namespace strata::store
