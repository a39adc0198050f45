// A near store of blobs that holds copies of what a far one has.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "store/blobs/blob_service.h"
#include "store/single_flight.h"

namespace strata::store {

// Reads come from the near store, and what that lacks from the far one. A blob of several chunks is read chunk by
// chunk, each from where it is. The near store takes each chunk that came from the far one; many who want the same wait
// for one read. Only chunks are taken: what a blob is made of is asked of the far store each time it is opened. How
// much the near store keeps is its own matter (NearCache has a bound). What is put goes to the far store. (Combine is
// for stores that do not copy.)
//
// The near store never fails a read: where it is full or damaged, or what it had is gone meanwhile, the far store
// answers, and a line of the log says so, a few times a minute at most.
class NearBlobs final : public BlobService, public std::enable_shared_from_this<NearBlobs> {
 public:
  static std::shared_ptr<NearBlobs> Make(std::shared_ptr<BlobService> near, std::shared_ptr<BlobService> far) {
    return std::shared_ptr<NearBlobs>(new NearBlobs(std::move(near), std::move(far)));
  }

  Result<bool> Has(const Waiting& waiting, const Digest& digest) override;
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override;
  Result<std::unique_ptr<BlobWriter>> Create() override { return far_->Create(); }
  Result<Digest> Put(ByteSpan blob) override { return far_->Put(blob); }
  Result<std::optional<ChunkList>> Chunks(const Waiting& waiting, const Digest& digest) override;
  Result<void> Sync() override;
  std::string Describe() const override { return near_->Describe() + " before " + far_->Describe(); }

 private:
  class Pieces;
  class Backed;

  NearBlobs(std::shared_ptr<BlobService> near, std::shared_ptr<BlobService> far)
      : near_(std::move(near)), far_(std::move(far)) {}

  // What the near store has; null where that is nothing, or it fails.
  Result<std::shared_ptr<BlobReader>> OpenNear(const Waiting& waiting, const Digest& digest);
  // What is in one piece; null where there is none.
  Result<std::shared_ptr<BlobReader>> OpenPiece(const Waiting& waiting, const Digest& digest);
  // The same without asking the near store, which gets a copy.
  Result<std::shared_ptr<BlobReader>> OpenFar(const Waiting& waiting, const Digest& digest);
  Result<std::shared_ptr<BlobReader>> FetchPiece(const Waiting& waiting, const Digest& digest);
  // The near store failed at something, and the far one is asked.
  void Complain(std::string_view doing, const Status& why);

  const std::shared_ptr<BlobService> near_, far_;
  SingleFlight copies_;
  log::RateLimit complaints_;
};

}  // namespace strata::store
