#include "store/import/blob_sink.h"

namespace strata::store {

Result<Digest> BlobSink::Put(ByteSpan content) {
  const Digest digest = Digest::Of(content);
  STRATA_ASSIGN(const bool has, Has(digest));
  if (has) return digest;
  STRATA_ASSIGN(const Digest put, blobs_.Put(content));
  if (put != digest) {
    return Fail(Errc::kServerFault,
                blobs_.Describe() + " has taken a blob as " + put.Text() + " that is " + digest.Text());
  }
  new_blobs_.fetch_add(1, std::memory_order_relaxed);
  return digest;
}

Result<Digest> BlobSink::PutStream(const std::function<Result<ByteSpan>()>& next) {
  STRATA_ASSIGN(const auto writer, blobs_.Create());
  for (;;) {
    STRATA_ASSIGN(const ByteSpan piece, next());
    if (piece.empty()) return writer->Close();
    STRATA_TRY(writer->Write(piece));
  }
}

}  // namespace strata::store
