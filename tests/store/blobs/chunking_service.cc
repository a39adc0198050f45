#include "tests/store/blobs/chunking_service.h"

#include <utility>

#include "store/blobs/chunked_reader.h"

namespace strata::store {

class ChunkingBlobService::Writer final : public BlobWriter {
 public:
  explicit Writer(ChunkingBlobService& service) : service_(service), splitter_(Chunker::Make(service.sizes_).value()) {}

  Result<void> Write(ByteSpan bytes) override {
    if (digest_) return BlobWriterClosed();
    hasher_.Update(bytes);
    return splitter_.Write(bytes, [&](ByteSpan chunk) { return Take(chunk); });
  }

  Result<Digest> Close() override {
    if (digest_) return *digest_;
    STRATA_TRY(splitter_.Finish([&](ByteSpan chunk) { return Take(chunk); }));
    for (const std::string& chunk : chunks_) STRATA_TRY(service_.pieces_.Put(AsBytes(chunk)));
    digest_ = hasher_.Finish();
    if (chunks_.empty()) STRATA_TRY(service_.pieces_.Put({}));
    if (chunks_.size() > 1) service_.SetChunks(*digest_, std::move(list_));
    return *digest_;
  }

 private:
  Result<void> Take(ByteSpan chunk) {
    list_.push_back({Digest::Of(chunk), chunk.size()});
    chunks_.emplace_back(AsText(chunk));
    return {};
  }

  ChunkingBlobService& service_;
  ChunkSplitter splitter_;
  Hasher hasher_;
  ChunkList list_;
  std::vector<std::string> chunks_;  // until the end, so that nothing is visible before
  std::optional<Digest> digest_;
};

Result<bool> ChunkingBlobService::Has(const Waiting& waiting, const Digest& digest) {
  if (Find(digest)) return true;
  return pieces_.Has(waiting, digest);
}

Result<std::shared_ptr<BlobReader>> ChunkingBlobService::Open(const Waiting& waiting, const Digest& digest) {
  ++opened_;
  if (auto chunks = Find(digest)) return OpenChunked(shared_from_this(), digest, std::move(*chunks));
  return pieces_.Open(waiting, digest);
}

Result<std::unique_ptr<BlobWriter>> ChunkingBlobService::Create() { return std::make_unique<Writer>(*this); }

Result<std::optional<ChunkList>> ChunkingBlobService::Chunks(const Waiting& waiting, const Digest& digest) {
  if (auto chunks = Find(digest)) return chunks;
  return pieces_.Chunks(waiting, digest);
}

void ChunkingBlobService::SetChunks(const Digest& blob, ChunkList chunks) {
  const MutexLock lock(mutex_);
  lists_[blob] = std::move(chunks);
}

std::optional<ChunkList> ChunkingBlobService::Find(const Digest& digest) {
  const MutexLock lock(mutex_);
  const auto found = lists_.find(digest);
  return found == lists_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace strata::store
