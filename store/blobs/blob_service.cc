#include "store/blobs/blob_service.h"

#include <algorithm>
#include <string>
#include <utility>

namespace strata::store {
namespace {

// The most that a Pin copies at once.
constexpr std::uint64_t kMostCopied = 1 << 20;

}  // namespace

Result<BlobBytes> BlobReader::Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length) {
  if (offset >= size()) return BlobBytes();
  const auto wanted = static_cast<std::size_t>(std::min({std::uint64_t{length}, size() - offset, kMostCopied}));
  auto memory = std::make_shared_for_overwrite<std::byte[]>(wanted);
  STRATA_ASSIGN(const std::size_t got, ReadAt(waiting, offset, {memory.get(), wanted}));
  const ByteSpan bytes(memory.get(), got);
  return BlobBytes{bytes, std::move(memory)};
}

Result<std::unique_ptr<BlobWriter>> BlobService::Create() {
  return Fail(Errc::kReadOnly, Describe() + " takes no blobs: it is read-only");
}

Result<Digest> BlobService::Put(ByteSpan blob) {
  STRATA_ASSIGN(const auto writer, Create());
  STRATA_TRY(writer->Write(blob));
  return writer->Close();
}

Result<std::optional<ChunkList>> BlobService::Chunks(const Waiting& waiting, const Digest& digest) {
  STRATA_ASSIGN(const bool has, Has(waiting, digest));
  return has ? std::optional(ChunkList()) : std::nullopt;
}

Result<void> BlobService::Sync() { return {}; }

std::unexpected<Status> BlobWriterClosed() {
  return Fail(Errc::kInvalid, "a blob that is written is already closed; write another one");
}

Result<std::size_t> BlobCursor::Read(const Waiting& waiting, MutableByteSpan out) {
  STRATA_ASSIGN(const std::size_t got, reader_->ReadAt(waiting, position_, out));
  position_ += got;
  return got;
}

Result<std::uint64_t> BlobCursor::Seek(std::int64_t offset, Whence whence) {
  const std::uint64_t base = whence == Whence::kStart ? 0 : whence == Whence::kCurrent ? position_ : reader_->size();
  std::uint64_t position = 0;
  if (__builtin_add_overflow(base, offset, &position)) {
    return Fail(Errc::kInvalid, "seek " + std::to_string(offset) + " bytes from " + std::to_string(base) +
                                    " in a blob: it has no such place");
  }
  return position_ = position;
}

}  // namespace strata::store
