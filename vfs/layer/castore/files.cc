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
// What is brought is asked for by so much at once. A reader that has no chunks copies that much.
constexpr std::uint64_t kMostPinned = 1 << 20;

// The store's word, as the client's: whatever fails there, the bytes cannot be had.
Status Unreadable(const store::BlobService& blobs, const store::Digest& digest, std::string_view why) {
  return Status(Errc::kIo, "blob " + digest.Text() + " of " + blobs.Describe() + ": " + std::string(why));
}

}  // namespace

Files::Files(std::shared_ptr<store::BlobService> blobs, std::size_t bytes, const AheadOptions& ahead)
    : blobs_(std::move(blobs)),
      fetches_(ahead.bytes > 0),
      readers_(bytes),
      ahead_(ahead.bytes / 2),
      background_(
          ahead.threads, ahead.bytes,
          [this](const Waiting& waiting, Piece& piece) { return BringPiece(waiting, piece); },
          [this](const Piece& piece, bool well) {
            const auto came = piece.loaded ? ReadAhead::Outcome::kLoaded : ReadAhead::Outcome::kWasThere;
            ahead_.Fetched(piece.run, piece.at, well ? came : ReadAhead::Outcome::kFailed);
          }) {}

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

Result<store::BlobBytes> Files::Pin(const Waiting& waiting, store::BlobReader& reader, std::uint64_t offset,
                                    std::size_t length, bool& waited) {
  if (fetches_ && waiting.may_block) {
    auto there = reader.Pin({.may_block = false, .fetch = nullptr}, offset, length);
    if (there || there.error().code() != Errc::kWouldBlock) return there;
    waited = true;
  }
  return reader.Pin(waiting, offset, length);
}

Result<std::size_t> Files::Read(const Waiting& waiting, const store::Digest& digest, std::uint64_t size,
                                std::uint64_t offset, std::size_t length, ReadSink& sink, bool* waited) {
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
  bool had_to_wait = false;
  absl::InlinedVector<store::BlobBytes, 8> pieces;
  for (std::size_t done = 0; done < length;) {
    auto piece = Pin(waiting, reader, offset + done, length - done, had_to_wait);
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
  if (const auto range = ahead_.Read(digest, size, offset, length, had_to_wait)) FetchAhead(digest, size, *range);
  if (waited != nullptr) *waited = had_to_wait;
  return length;
}

void Files::FetchAhead(const store::Digest& digest, std::uint64_t size, const ReadAhead::Range& range) {
  for (std::uint64_t begin = range.begin; begin < range.end; begin += ReadAhead::kPiece) {
    const std::uint64_t end = std::min(range.end, begin + ReadAhead::kPiece);
    const bool added = background_.Add({.blob = digest, .size = size, .begin = begin, .end = end, .run = range.run});
    if (!added) ahead_.Fetched(range.run, begin, ReadAhead::Outcome::kFailed);
  }
}

bool Files::Bring(const store::Digest& digest, std::uint64_t size) {
  return background_.Add({.blob = digest, .size = size, .begin = 0, .end = size});
}

Result<void> Files::BringPiece(const Waiting& waiting, Piece& piece) {
  piece.at = std::max(piece.at, piece.begin);
  STRATA_ASSIGN(const OpenBlobRef open, Open(waiting, piece.blob));
  if (open->reader->size() != piece.size) return Fail(Errc::kIo);
  while (piece.at < piece.end) {
    // As far as the chunk goes: what is read next begins there.
    const auto length = static_cast<std::size_t>(std::min(piece.size - piece.at, kMostPinned));
    const auto bytes = Pin(waiting, *open->reader, piece.at, length, piece.loaded);
    if (!bytes || bytes->bytes.empty()) {
      const Status error = bytes ? Status(Errc::kIo) : bytes.error();
      if (error.code() != Errc::kWouldBlock) readers_.Drop(piece.blob, open);
      return Fail(error);
    }
    piece.at += std::min(bytes->bytes.size(), length);
  }
  return {};
}

}  // namespace strata::vfs::castore
