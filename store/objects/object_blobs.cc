#include "store/objects/object_blobs.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "store/blobs/bytes_reader.h"
#include "store/blobs/chunk_list.h"
#include "store/blobs/chunked_reader.h"
#include "store/objects/layout.h"
#include "store/objects/zstd.h"

namespace strata::store {
namespace {

// zstd makes nothing larger than this of a chunk.
constexpr std::size_t kMaxChunkObject = kMaxChunkBytes + kMaxChunkBytes / 128 + 1024;

}  // namespace

// The chunks alone: a list of chunks does not lead to another list.
class ObjectBlobs::ChunksAlone final : public BlobService {
 public:
  explicit ChunksAlone(std::shared_ptr<ObjectBlobs> blobs) : blobs_(std::move(blobs)) {}
  Result<bool> Has(const Waiting& waiting, const Digest& digest) override {
    return blobs_->bucket_->Has(waiting, ChunkKey(digest));
  }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    return blobs_->OpenChunk(waiting, digest);
  }
  std::string Describe() const override { return blobs_->Describe(); }

 private:
  const std::shared_ptr<ObjectBlobs> blobs_;
};

class ObjectBlobs::Writer final : public BlobWriter {
 public:
  explicit Writer(std::shared_ptr<ObjectBlobs> blobs) : blobs_(std::move(blobs)), splitter_(blobs_->chunker_) {}

  Result<void> Write(ByteSpan bytes) override {
    if (state_ != State::kOpen) return BlobWriterClosed();
    auto written = splitter_.Write(bytes, [this](ByteSpan chunk) { return Take(chunk); });
    if (!written) state_ = State::kFailed;
    return written;
  }

  Result<Digest> Close() override {
    if (state_ == State::kClosed) return digest_;
    if (state_ == State::kFailed) return BlobWriterClosed();
    state_ = State::kFailed;
    STRATA_TRY(splitter_.Finish([this](ByteSpan chunk) { return Take(chunk); }));
    digest_ = hasher_.Finish();
    // A blob of one chunk is that chunk (CA-29).
    if (chunks_.size() < 2) chunks_.clear();
    STRATA_TRY(blobs_->PutList(digest_, chunks_));
    state_ = State::kClosed;
    return digest_;
  }

 private:
  enum class State : std::uint8_t { kOpen, kClosed, kFailed };

  Result<void> Take(ByteSpan chunk) {
    hasher_.Update(chunk);
    // What the blob hashes to after its first chunk is the digest of that chunk.
    const Digest digest = chunks_.empty() ? hasher_.Finish() : Digest::Of(chunk);
    STRATA_TRY(blobs_->PutChunk(digest, chunk));
    chunks_.push_back({digest, chunk.size()});
    return {};
  }

  const std::shared_ptr<ObjectBlobs> blobs_;
  ChunkSplitter splitter_;
  Hasher hasher_;
  ChunkList chunks_;
  State state_ = State::kOpen;
  Digest digest_;
};

Result<std::shared_ptr<ObjectBlobs>> ObjectBlobs::Make(std::shared_ptr<ObjectBucket> bucket, const ChunkSizes& sizes,
                                                       std::size_t cache_bytes) {
  STRATA_ASSIGN(Chunker chunker, Chunker::Make(sizes));
  return std::shared_ptr<ObjectBlobs>(new ObjectBlobs(std::move(bucket), std::move(chunker), cache_bytes));
}

Result<std::shared_ptr<BlobReader>> ObjectBlobs::OpenChunk(const Waiting& waiting, const Digest& digest) {
  auto bytes = cache_.Get(waiting, digest, [&] { return ReadChunk(waiting, digest); });
  if (bytes) return ReadBytes(std::move(*bytes));
  if (bytes.error().code() == Errc::kNotFound) return nullptr;
  return Fail(std::move(bytes.error()));
}

Result<BlobBytes> ObjectBlobs::ReadChunk(const Waiting& waiting, const Digest& digest) {
  const std::string key = ChunkKey(digest);
  STRATA_ASSIGN(const auto object, bucket_->Get(waiting, key, kMaxChunkObject));
  if (!object) return Fail(Errc::kNotFound);
  const auto damaged = [&](std::string_view why) {
    return Fail(Errc::kCorrupt, "the chunk " + digest.Text() + " of " + Describe() + " is damaged (" +
                                    bucket_->DescribeObject(key) + "): " + std::string(why) +
                                    "; remove the object and import what it was part of again");
  };
  auto content = ZstdDecompress(*object, kMaxChunkBytes);
  if (!content) {
    return content.error().code() == Errc::kCorrupt ? damaged(content.error().message()) : Fail(content.error());
  }
  if (const Digest found = Digest::Of(*content); found != digest) return damaged("its bytes hash to " + found.Text());
  auto held = std::make_shared<const std::vector<std::byte>>(std::move(*content));
  const ByteSpan bytes(*held);
  return BlobBytes{bytes, std::move(held)};
}

Result<std::optional<ChunkList>> ObjectBlobs::ReadList(const Waiting& waiting, const Digest& digest) {
  const std::string key = BlobKey(digest);
  STRATA_ASSIGN(const auto object, bucket_->Get(waiting, key, kMaxChunkListBytes));
  if (!object) return std::nullopt;
  auto chunks = ParseChunkList(*object);
  if (!chunks) return DamagedList(digest, chunks.error());
  return std::move(*chunks);
}

std::unexpected<Status> ObjectBlobs::DamagedList(const Digest& digest, const Status& why) const {
  return Fail(Errc::kCorrupt, "the list of chunks of the blob " + digest.Text() + " of " + Describe() +
                                  " is damaged (" + bucket_->DescribeObject(BlobKey(digest)) +
                                  "): " + std::string(why.message()) + "; remove the object and import the file again");
}

Result<bool> ObjectBlobs::Has(const Waiting& waiting, const Digest& digest) {
  if (digest == Digest::OfEmpty()) return true;
  STRATA_ASSIGN(const bool blob, bucket_->Has(waiting, BlobKey(digest)));
  if (blob) return true;
  return bucket_->Has(waiting, ChunkKey(digest));
}

Result<std::shared_ptr<BlobReader>> ObjectBlobs::Open(const Waiting& waiting, const Digest& digest) {
  if (digest == Digest::OfEmpty()) return ReadBytes({});
  STRATA_ASSIGN(auto chunk, OpenChunk(waiting, digest));
  if (chunk) return chunk;
  STRATA_ASSIGN(auto chunks, ReadList(waiting, digest));
  if (!chunks) return nullptr;
  if (chunks->empty() || (chunks->size() == 1 && chunks->front().digest == digest)) {
    return Fail(Errc::kNotFound, "the blob " + digest.Text() + " of " + Describe() +
                                     " cannot be read: its one chunk, " + bucket_->DescribeObject(ChunkKey(digest)) +
                                     ", is missing; import the file again, or fetch it from where it is whole");
  }
  auto reader = OpenChunked(std::make_shared<ChunksAlone>(shared_from_this()), digest, std::move(*chunks));
  if (!reader) return DamagedList(digest, reader.error());
  return reader;
}

Result<std::optional<ChunkList>> ObjectBlobs::Chunks(const Waiting& waiting, const Digest& digest) {
  if (digest == Digest::OfEmpty()) return ChunkList();
  STRATA_ASSIGN(auto chunks, ReadList(waiting, digest));
  if (chunks) return chunks;
  STRATA_ASSIGN(const bool chunk, bucket_->Has(waiting, ChunkKey(digest)));
  if (!chunk) return std::nullopt;
  return ChunkList();
}

Result<void> ObjectBlobs::PutChunk(const Digest& digest, ByteSpan chunk) {
  const std::string key = ChunkKey(digest);
  STRATA_ASSIGN(const bool there, bucket_->Has({}, key));
  if (there) return {};
  STRATA_ASSIGN(const auto object, ZstdCompress(chunk));
  return bucket_->PutIfAbsent(key, ObjectRank::kChunk, object);
}

Result<void> ObjectBlobs::PutList(const Digest& digest, const ChunkList& chunks) {
  return bucket_->PutIfAbsent(BlobKey(digest), ObjectRank::kBlob, EncodeChunkList(chunks));
}

Result<std::unique_ptr<BlobWriter>> ObjectBlobs::Create() { return std::make_unique<Writer>(shared_from_this()); }

Result<Digest> ObjectBlobs::Put(ByteSpan blob) {
  Writer writer(shared_from_this());
  STRATA_TRY(writer.Write(blob));
  return writer.Close();
}

}  // namespace strata::store
