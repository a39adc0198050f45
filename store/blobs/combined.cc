#include "store/blobs/combined.h"

#include <string>
#include <utility>

#include "store/blobs/chunked_reader.h"

namespace strata::store {
namespace {

class CombinedBlobService final : public BlobService, public std::enable_shared_from_this<CombinedBlobService> {
 public:
  CombinedBlobService(std::shared_ptr<BlobService> local, std::shared_ptr<BlobService> remote)
      : local_(std::move(local)), remote_(std::move(remote)) {}

  Result<bool> Has(const Waiting& waiting, const Digest& digest) override {
    STRATA_ASSIGN(const bool here, local_->Has(waiting, digest));
    if (here) return true;
    return remote_->Has(waiting, digest);
  }

  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    STRATA_ASSIGN(auto here, local_->Open(waiting, digest));
    if (here) return here;
    STRATA_ASSIGN(auto chunks, remote_->Chunks(waiting, digest));
    if (!chunks) return nullptr;
    // One chunk is the blob itself: by this service it would be looked for here again.
    if (chunks->size() <= 1) return remote_->Open(waiting, digest);
    return OpenChunked(shared_from_this(), digest, std::move(*chunks));
  }

  Result<std::unique_ptr<BlobWriter>> Create() override { return local_->Create(); }
  Result<Digest> Put(ByteSpan blob) override { return local_->Put(blob); }

  Result<std::optional<ChunkList>> Chunks(const Waiting& waiting, const Digest& digest) override {
    STRATA_ASSIGN(auto here, local_->Chunks(waiting, digest));
    if (here) return here;
    return remote_->Chunks(waiting, digest);
  }

  Result<void> Sync() override { return local_->Sync(); }
  std::string Describe() const override { return local_->Describe() + " over " + remote_->Describe(); }

 private:
  const std::shared_ptr<BlobService> local_;
  const std::shared_ptr<BlobService> remote_;
};

}  // namespace

std::shared_ptr<BlobService> Combine(std::shared_ptr<BlobService> local, std::shared_ptr<BlobService> remote) {
  return std::make_shared<CombinedBlobService>(std::move(local), std::move(remote));
}

}  // namespace strata::store
