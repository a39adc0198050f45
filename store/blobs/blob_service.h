// BlobService: blobs by their digest (spec castore 5: CA-20 to CA-25). The interface that a store, or a program with
// blobs of its own, implements. Thread-safe. What is put in is never changed. What is served was verified: the bytes
// that a reader gives hash to what names them, or the read fails.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/fetch.h"
#include "base/status.h"
#include "store/blobs/chunk_list.h"
#include "store/digest.h"

namespace strata::store {

// Bytes in memory for as long as `pin` lives.
struct BlobBytes {
  ByteSpan bytes;
  std::shared_ptr<const void> pin;
};

// One blob, open. Thread-safe: reads at different places may run side by side.
class BlobReader {
 public:
  virtual ~BlobReader() = default;

  virtual std::uint64_t size() const = 0;
  // Fills `out` until it is full or the blob ends; the number of bytes, 0 at and beyond its end. kCorrupt, with digest
  // and place in the message, for bytes that do not hash to what names them; kNotFound for a chunk that is missing.
  virtual Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) = 0;
  // The bytes from `offset` on as they lie in memory: at most `length`, perhaps fewer, none only at and beyond the end.
  // Default: reads into memory made for it, a MiB at most. The bytes outlive the reader.
  virtual Result<BlobBytes> Pin(const Waiting& waiting, std::uint64_t offset, std::size_t length);
};

// Takes one blob. Nothing is visible before Close; dropped without it, nothing stays. Not thread-safe.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;

  // kInvalid after Close ("already closed").
  virtual Result<void> Write(ByteSpan bytes) = 0;
  // The blob's digest; the same again when it is called again. After a Close that failed: kInvalid ("already closed").
  virtual Result<Digest> Close() = 0;
};

// What a writer answers that was closed before.
std::unexpected<Status> BlobWriterClosed();

class BlobService {
 public:
  virtual ~BlobService() = default;

  // `digest` may also be a chunk's, where the service stores chunks.
  virtual Result<bool> Has(const Waiting& waiting, const Digest& digest) = 0;
  // Null: it does not have it.
  virtual Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) = 0;
  // Default: kReadOnly.
  virtual Result<std::unique_ptr<BlobWriter>> Create();
  // Takes a whole blob that lies in memory; default: by Create.
  virtual Result<Digest> Put(ByteSpan blob);
  // What the blob is made of, in order. Nothing: it does not have it. Empty: it has it in one piece. Default: by Has.
  // A list is only as good as who gives it: of each chunk the bytes are verified, of the whole only once it was read
  // (CA-25, OpenChunked).
  virtual Result<std::optional<ChunkList>> Chunks(const Waiting& waiting, const Digest& digest);
  // Makes durable what was put so far; default: it is so already.
  virtual Result<void> Sync();
  // For messages: which store this is, such as "pack:/srv/store".
  virtual std::string Describe() const = 0;
};

// Reads from a blob in order, and elsewhere after a Seek (CA-22). Not thread-safe.
class BlobCursor {
 public:
  enum class Whence : std::uint8_t { kStart, kCurrent, kEnd };
  explicit BlobCursor(std::shared_ptr<BlobReader> reader) : reader_(std::move(reader)) {}

  // Nothing at and beyond the end.
  Result<std::size_t> Read(const Waiting& waiting, MutableByteSpan out);
  // The new position, which may lie beyond the end; kInvalid for one that is negative or overflows.
  Result<std::uint64_t> Seek(std::int64_t offset, Whence whence);

 private:
  std::shared_ptr<BlobReader> reader_;
  std::uint64_t position_ = 0;
};

}  // namespace strata::store
