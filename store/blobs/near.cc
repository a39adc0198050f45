#include "store/blobs/near.h"

#include <utility>
#include <vector>

#include "store/blobs/chunk_list.h"
#include "store/blobs/chunked_reader.h"

namespace strata::store {

// What chunks are opened by: a list of chunks does not lead to another list.
class NearBlobs::Pieces final : public BlobService {
 public:
  explicit Pieces(std::shared_ptr<NearBlobs> blobs) : blobs_(std::move(blobs)) {}
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override { return blobs_->Has(waiting, digest); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    STRATA_ASSIGN(auto near, blobs_->near_->Open(waiting, digest));
    return near ? near : blobs_->OpenPiece(waiting, digest);
  }
  std::string Describe() const override { return blobs_->Describe(); }

 private:
  const std::shared_ptr<NearBlobs> blobs_;
};

Result<bool> NearBlobs::Has(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(const bool near, near_->Has(waiting, digest));
  if (near) return true;
  return far_->Has(waiting, digest);
}

Result<std::optional<ChunkList>> NearBlobs::Chunks(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(auto near, near_->Chunks(waiting, digest));
  return near ? near : far_->Chunks(waiting, digest);
}

Result<std::shared_ptr<BlobReader>> NearBlobs::Open(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(auto near, near_->Open(waiting, digest));
  if (near) return near;
  STRATA_ASSIGN(auto chunks, far_->Chunks(waiting, digest));
  if (!chunks) return nullptr;
  if (chunks->empty() || (chunks->size() == 1 && chunks->front().digest == digest)) return OpenPiece(waiting, digest);
  return OpenChunked(std::make_shared<Pieces>(shared_from_this()), digest, std::move(*chunks));
}

Result<std::shared_ptr<BlobReader>> NearBlobs::OpenPiece(const Waiting& waiting, const Digest& digest) {
  while (true) {
    std::shared_ptr<BlobReader> reader;
    bool there = true;
    STRATA_ASSIGN(const bool done_here, copies_.Do(waiting, digest, [&]() -> Result<void> {
      STRATA_ASSIGN(reader, near_->Open(waiting, digest));
      if (reader) return {};
      STRATA_ASSIGN(reader, far_->Open(waiting, digest));
      there = reader != nullptr;
      return there ? CopyPiece(waiting, digest, reader) : Result<void>{};
    }));
    if (done_here) return there ? reader : nullptr;
    STRATA_ASSIGN(reader, near_->Open(waiting, digest));
    if (reader) return reader;
  }
}

Result<void> NearBlobs::CopyPiece(const Waiting& waiting, const Digest& digest, std::shared_ptr<BlobReader>& reader) {
  if (reader->size() > kMaxChunkBytes) return {};
  std::vector<std::byte> bytes(reader->size());
  STRATA_ASSIGN(const std::size_t got, reader->ReadAt(waiting, 0, bytes));
  if (const Digest found = Digest::Of(ByteSpan(bytes).first(got)); found != digest) {
    return Fail(Errc::kCorrupt, "the blob " + digest.Text() + " of " + far_->Describe() +
                                    " is damaged: its bytes hash to " + found.Text());
  }
  // A near store that cannot take it (it may be full) costs time, and not the answer.
  if (!near_->Put(bytes)) return {};
  if (auto near = near_->Open(waiting, digest); near && *near) reader = std::move(*near);
  return {};
}

Result<void> NearBlobs::Sync() {
  STRATA_TRY(near_->Sync());
  return far_->Sync();
}

}  // namespace strata::store
