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

Result<Digest> BlobSink::PutStream(MutableByteSpan buffer,
                                   const std::function<Result<std::size_t>(MutableByteSpan)>& read) {
  STRATA_ASSIGN(const auto writer, blobs_.Create());
  for (;;) {
    STRATA_ASSIGN(const std::size_t got, read(buffer));
    if (got > 0) STRATA_TRY(writer->Write(buffer.first(got)));
    if (got < buffer.size()) return writer->Close();
  }
}

}  // namespace strata::store
