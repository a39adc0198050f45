#include "store/blobs/near.h"

#include <utility>
#include <vector>

#include "base/mutex.h"
#include "store/blobs/bytes_reader.h"
#include "store/blobs/chunk_list.h"
#include "store/blobs/chunked_reader.h"

namespace strata::store {
namespace {

bool MustWait(const Status& status) { return status.code() == Errc::kWouldBlock; }

}  // namespace

// Reads from the near store, and from the far one once the near one has failed.
class NearBlobs::Backed final : public BlobReader {
 public:
  Backed(std::shared_ptr<NearBlobs> blobs, const Digest& digest, std::shared_ptr<BlobReader> near)
      : blobs_(std::move(blobs)), digest_(digest), size_(near->size()), reader_(std::move(near)) {}

  std::uint64_t size() const override { return size_; }
  Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) override {
    return Try(waiting, [&](BlobReader& reader) { return reader.ReadAt(waiting, offset, out); });
  }
  Result<BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) override {
    return Try(waiting, [&](BlobReader& reader) { return reader.Pin(waiting, offset, length); });
  }

 private:
  template <typename Read>
  auto Try(const Waiting& waiting, const Read& read) -> decltype(read(std::declval<BlobReader&>())) {
    std::shared_ptr<BlobReader> reader;
    bool is_near = false;
    {
      const MutexLock lock(mutex_);
      reader = reader_;
      is_near = is_near_;
    }
    auto got = read(*reader);
    if (got || MustWait(got.error()) || !is_near) return got;
    blobs_->Complain("read " + digest_.Text(), got.error());
    STRATA_ASSIGN(auto far, blobs_->OpenFar(waiting, digest_));
    // Neither has it: what the near one says of it says more.
    if (!far || far->size() != size_) return got;
    {
      const MutexLock lock(mutex_);
      reader_ = far;
      is_near_ = false;
    }
    return read(*far);
  }

  const std::shared_ptr<NearBlobs> blobs_;
  const Digest digest_;
  const std::uint64_t size_;
  Mutex mutex_;
  std::shared_ptr<BlobReader> reader_ STRATA_GUARDED_BY(mutex_);
  bool is_near_ STRATA_GUARDED_BY(mutex_) = true;
};

// What chunks are opened by: a list of chunks does not lead to another list.
class NearBlobs::Pieces final : public BlobService {
 public:
  explicit Pieces(std::shared_ptr<NearBlobs> blobs) : blobs_(std::move(blobs)) {}
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override { return blobs_->Has(waiting, digest); }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    STRATA_ASSIGN(auto near, blobs_->OpenNear(waiting, digest));
    return near ? near : blobs_->OpenPiece(waiting, digest);
  }
  std::string Describe() const override { return blobs_->Describe(); }

 private:
  const std::shared_ptr<NearBlobs> blobs_;
};

void NearBlobs::Complain(std::string_view doing, const Status& why) {
  // What went between a look and a read, and what the bound keeps out, is as it should be; one that is only read takes
  // nothing.
  if (why.code() == Errc::kNotFound || why.code() == Errc::kReadOnly) return;
  if (!complaints_.Allow()) return;
  log::Warning("near_store_passed_over", {{"near", near_->Describe()},
                                          {"doing", doing},
                                          {"error", why},
                                          {"hint", "the far store is asked instead; look after the near one's disk"}});
}

Result<std::shared_ptr<BlobReader>> NearBlobs::OpenNear(const Waiting& waiting, const Digest& digest) {
  auto near = near_->Open(waiting, digest);
  if (!near && MustWait(near.error())) return near;
  if (!near) {
    Complain("open " + digest.Text(), near.error());
    return nullptr;
  }
  if (!*near) return nullptr;
  return std::make_shared<Backed>(shared_from_this(), digest, std::move(*near));
}

Result<bool> NearBlobs::Has(const Waiting& waiting, const Digest& digest) {
  const auto near = near_->Has(waiting, digest);
  if (near ? *near : MustWait(near.error())) return near;
  if (!near) Complain("look for " + digest.Text(), near.error());
  return far_->Has(waiting, digest);
}

Result<std::optional<ChunkList>> NearBlobs::Chunks(const Waiting& waiting, const Digest& digest) {
  auto near = near_->Chunks(waiting, digest);
  if (near ? near->has_value() : MustWait(near.error())) return near;
  if (!near) Complain("look for the chunks of " + digest.Text(), near.error());
  return far_->Chunks(waiting, digest);
}

Result<std::shared_ptr<BlobReader>> NearBlobs::Open(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(auto near, OpenNear(waiting, digest));
  if (near) return near;
  STRATA_ASSIGN(auto chunks, far_->Chunks(waiting, digest));
  if (!chunks) return nullptr;
  if (chunks->empty() || (chunks->size() == 1 && chunks->front().digest == digest)) return OpenPiece(waiting, digest);
  return OpenChunked(std::make_shared<Pieces>(shared_from_this()), digest, std::move(*chunks));
}

Result<std::shared_ptr<BlobReader>> NearBlobs::OpenPiece(const Waiting& waiting, const Digest& digest) {
  while (true) {
    std::shared_ptr<BlobReader> reader;
    bool fetched = false;
    STRATA_ASSIGN(const bool done_here, copies_.Do(waiting, digest, [&]() -> Result<void> {
      STRATA_ASSIGN(reader, OpenNear(waiting, digest));
      if (reader) return {};
      STRATA_ASSIGN(reader, FetchPiece(waiting, digest));
      fetched = reader != nullptr;
      return {};
    }));
    if (!done_here) {
      STRATA_ASSIGN(reader, OpenNear(waiting, digest));
      if (reader) return reader;
      continue;
    }
    // Where the near store has it now, it need not stay in memory for as long as it is open.
    if (fetched) {
      if (auto near = OpenNear(waiting, digest); near && *near) return near;
    }
    return reader;
  }
}

Result<std::shared_ptr<BlobReader>> NearBlobs::OpenFar(const Waiting& waiting, const Digest& digest) {
  while (true) {
    std::shared_ptr<BlobReader> reader;
    STRATA_ASSIGN(const bool done_here, copies_.Do(waiting, digest, [&]() -> Result<void> {
      STRATA_ASSIGN(reader, FetchPiece(waiting, digest));
      return {};
    }));
    if (done_here) return reader;
  }
}

Result<std::shared_ptr<BlobReader>> NearBlobs::FetchPiece(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(auto reader, far_->Open(waiting, digest));
  if (!reader || reader->size() > kMaxChunkBytes) return reader;
  auto bytes = std::make_shared<std::vector<std::byte>>(reader->size());
  STRATA_ASSIGN(const std::size_t got, reader->ReadAt(waiting, 0, *bytes));
  if (const Digest found = Digest::Of(ByteSpan(*bytes).first(got)); found != digest) {
    return Fail(Errc::kCorrupt, "the blob " + digest.Text() + " of " + far_->Describe() +
                                    " is damaged: its bytes hash to " + found.Text());
  }
  // A near store that cannot take it costs time, and not the answer.
  if (const auto put = near_->Put(*bytes); !put) Complain("keep " + digest.Text(), put.error());
  const ByteSpan span(*bytes);
  return ReadBytes({span, std::move(bytes)});
}

Result<void> NearBlobs::Sync() {
  // What the near store has is had elsewhere.
  if (const auto synced = near_->Sync(); !synced) Complain("make durable what was kept", synced.error());
  return far_->Sync();
}

}  // namespace strata::store
