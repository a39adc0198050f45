#include "vfs/layer/castore/files.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>
#include <utility>

namespace strata::vfs::castore {
namespace {

// What an open blob may take: its list of chunks, of which there are few below a MiB.
constexpr std::size_t kReaderBytes = 256;
constexpr std::size_t kChunkEntryBytes = 48;
constexpr std::uint64_t kLikelyChunkBytes = 256 << 10;

// The store's word, as the client's: whatever fails there, the bytes cannot be had.
Status Unreadable(const store::BlobService& blobs, const store::Digest& digest, std::string_view why) {
  return Status(Errc::kIo, "blob " + digest.Text() + " of " + blobs.Describe() + ": " + std::string(why));
}

}  // namespace

Result<Files::OpenBlobRef> Files::Open(const Waiting& waiting, const store::Digest& digest) {
  if (auto known = readers_.Get(digest)) return known;
  auto opened = blobs_->Open(waiting, digest);
  if (!opened) {
    if (opened.error().code() == Errc::kWouldBlock) return Fail(opened.error());
    return Fail(Unreadable(*blobs_, digest, opened.error().message()));
  }
  if (!*opened) {
    return Fail(Unreadable(*blobs_, digest, "it is not there; strata store verify tells what else is missing"));
  }
  const std::size_t bytes =
      kReaderBytes + static_cast<std::size_t>((*opened)->size() / kLikelyChunkBytes) * kChunkEntryBytes;
  return readers_.Put(digest, std::make_shared<const OpenBlob>(std::move(*opened)), bytes);
}

Result<std::size_t> Files::Read(const Waiting& waiting, const store::Digest& digest, std::uint64_t size,
                                std::uint64_t offset, std::size_t length, ReadSink& sink) {
  if (size == 0 && digest != store::Digest::OfEmpty()) {
    return Fail(Unreadable(*blobs_, digest, "it is not empty, and the tree says that it is"));
  }
  if (offset >= size) return 0;
  length = static_cast<std::size_t>(std::min<std::uint64_t>(length, size - offset));
  STRATA_ASSIGN(const OpenBlobRef open, Open(waiting, digest));
  store::BlobReader& reader = *open->reader;
  // Who comes again after a failure finds what the store has then: a reader may remember that it failed.
  const auto failed = [&](std::string_view why) {
    readers_.Drop(digest, open);
    return Fail(Unreadable(*blobs_, digest, why));
  };
  if (reader.size() != size) {
    return failed("it has " + std::to_string(reader.size()) + " bytes, and the tree says " + std::to_string(size));
  }
  absl::InlinedVector<store::BlobBytes, 8> pieces;
  for (std::size_t done = 0; done < length;) {
    auto piece = reader.Pin(waiting, offset + done, length - done);
    if (!piece) {
      if (piece.error().code() == Errc::kWouldBlock) return Fail(piece.error());
      return failed(piece.error().message());
    }
    if (piece->bytes.empty()) return failed("it ends before its end");
    if (piece->bytes.size() > length - done) piece->bytes = piece->bytes.first(length - done);
    done += piece->bytes.size();
    pieces.push_back(std::move(*piece));
  }
  for (store::BlobBytes& piece : pieces) sink.Reference(piece.bytes, std::move(piece.pin));
  return length;
}

}  // namespace strata::vfs::castore
