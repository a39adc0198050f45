#include "tests/vfs/layer/castore/slow_blobs.h"

#include <cstring>

namespace strata::vfs {

class SlowBlobs::Reader final : public store::BlobReader {
 public:
  Reader(std::shared_ptr<SlowBlobs> blobs, const store::Digest& digest, std::shared_ptr<const std::string> content)
      : blobs_(std::move(blobs)), digest_(digest), content_(std::move(content)) {}

  std::uint64_t size() const override { return content_->size(); }
  Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) override {
    std::size_t done = 0;
    while (done < out.size()) {
      STRATA_ASSIGN(const store::BlobBytes piece, Pin(waiting, offset + done, out.size() - done));
      if (piece.bytes.empty()) break;
      std::memcpy(out.data() + done, piece.bytes.data(), piece.bytes.size());
      done += piece.bytes.size();
    }
    return done;
  }
  Result<store::BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) override {
    if (offset >= content_->size()) return store::BlobBytes();
    const std::size_t index = offset / kChunk;
    STRATA_TRY(blobs_->Load(waiting, {digest_, index}));
    const std::size_t end = std::min<std::size_t>({(index + 1) * kChunk, content_->size(), offset + length});
    return store::BlobBytes{AsBytes(*content_).subspan(offset, end - offset), content_};
  }

 private:
  const std::shared_ptr<SlowBlobs> blobs_;
  const store::Digest digest_;
  const std::shared_ptr<const std::string> content_;
};

Result<std::shared_ptr<store::BlobReader>> SlowBlobs::Open(const Waiting&, const store::Digest& digest) {
  const MutexLock lock(mutex_);
  const auto found = blobs_.find(digest);
  if (found == blobs_.end()) return nullptr;
  return std::make_shared<Reader>(shared_from_this(), digest, found->second);
}

Result<void> SlowBlobs::Take(const Chunk& chunk) {
  if (fails_ && fails_(chunk)) return Fail(Errc::kIo, "the disk is on fire");
  there_.insert(chunk);
  changed_.NotifyAll();
  return {};
}

Result<void> SlowBlobs::Load(const Waiting& waiting, const Chunk& chunk) {
  const MutexLock lock(mutex_);
  if (there_.contains(chunk)) return {};
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  if (far_ && waiting.fetch != nullptr) {
    std::shared_ptr<Fetch>& fetch = fetches_[chunk];
    if (fetch && fetch->done()) {
      fetch.reset();
      return Take(chunk);
    }
    if (!fetch) {
      fetch = std::make_shared<Fetch>("chunk");
      loads_.push_back(chunk);
      changed_.NotifyAll();
    }
    *waiting.fetch = fetch;
    if (chunk.second < held_from_) fetch->Complete({});
    return Fail(Errc::kWouldBlock);
  }
  loads_.push_back(chunk);
  changed_.NotifyAll();
  while (chunk.second >= held_from_) changed_.Wait(mutex_);
  return Take(chunk);
}

void SlowBlobs::Release() {
  std::vector<std::shared_ptr<Fetch>> fetches;
  {
    const MutexLock lock(mutex_);
    held_from_ = SIZE_MAX;
    for (const auto& [chunk, fetch] : fetches_) {
      if (fetch) fetches.push_back(fetch);
    }
    changed_.NotifyAll();
  }
  for (const auto& fetch : fetches) fetch->Complete({});
}

}  // namespace strata::vfs
