// ReplyBuffer: replies on their way to one socket. Bytes of its own lie in chunks that do not move; file data lies
// where it is and is referenced. One gathered write sends it all.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "server/rpc/xdr.h"

namespace strata::rpc {

// Not thread-safe: belongs to one connection, or to one call on a worker. An empty one that never held anything owns no
// memory. One that was emptied keeps one chunk for the next replies (Clear with false gives that back too).
class ReplyBuffer {
 public:
  // The largest contiguous reservation.
  static constexpr std::size_t kMaxReserve = 2 << 20;

  // Of a chunk; larger reservations get one of their own.
  static constexpr std::size_t kChunkBytes = 64 << 10;

  // `chunk_bytes`: of the chunks, for who knows that little will be written.
  explicit ReplyBuffer(std::size_t chunk_bytes = kChunkBytes);
  ~ReplyBuffer();
  ReplyBuffer(ReplyBuffer&&) noexcept;
  ReplyBuffer& operator=(ReplyBuffer&&) noexcept;

  // Contiguous room for `size` bytes at the end; nothing is added before Commit. The address is good until the bytes
  // are sent or rewound.
  std::byte* Reserve(std::size_t size) {
    if (static_cast<std::size_t>(chunk_end_ - cursor_) < size) NextChunk(size);
    return cursor_;
  }
  void Commit(std::size_t size) {
    cursor_ += size;
    size_ += size;
  }
  // Adds bytes that lie elsewhere, valid while `pin` lives. They are not looked at: if their file was cut, that is a
  // signal here, and an error where the system reads them.
  void Reference(ByteSpan bytes, std::shared_ptr<const void> pin);

  void U32(std::uint32_t v) { StoreBe32(Reserve(4), v), Commit(4); }
  void U64(std::uint64_t v) { StoreBe64(Reserve(8), v), Commit(8); }
  void Bool(bool v) { U32(v ? 1 : 0); }
  void Fixed(ByteSpan bytes);   // padded with zeros to a multiple of 4
  void Opaque(ByteSpan bytes);  // length, then Fixed
  void Text(std::string_view text) { Opaque(AsBytes(text)); }
  // Up to 3 zero bytes after `size` bytes of opaque data.
  void Pad(std::size_t size);
  // As they are, however many.
  void Raw(ByteSpan bytes);

  // Bytes in all.
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Drops everything after the first `size` bytes.
  void Rewind(std::size_t size);
  // Moves everything of `other` to the end. Little is copied.
  void Append(ReplyBuffer&& other);
  // Copies bytes from `from` on to the end of `out`: at most `size`. False where referenced ones cannot be read.
  bool CopyTo(std::size_t from, std::vector<std::byte>& out, std::size_t size = ~std::size_t{0}) const;
  // All of them, of a buffer that references none.
  std::vector<std::byte> Bytes() const {
    std::vector<std::byte> bytes;
    CopyTo(0, bytes);
    return bytes;
  }
  // Adds bytes [from, from + size) of `other`: its own are copied, those that it references are referenced.
  void Add(const ReplyBuffer& other, std::size_t from, std::size_t size);
  // Drops everything; the memory too unless `keep_chunk`.
  void Clear(bool keep_chunk = true);

  // For the socket: up to `limit` pieces from the beginning, and what was sent of them.
  std::size_t Gather(iovec* pieces, std::size_t limit) const;
  void Consume(std::size_t size);

 private:
  struct Chunk;
  struct Piece {
    const std::byte* data;
    std::size_t size;
    Chunk* chunk;                     // that holds the bytes; null where they are referenced
    std::shared_ptr<const void> pin;  // of referenced bytes
  };

  // Calls visit(ByteSpan, const Piece*) for each stretch of bytes [from, from + size), in order. The piece is null for
  // bytes that are no closed piece yet. Ends when it returns false.
  template <typename Visit>
  bool VisitRange(std::size_t from, std::size_t size, Visit visit) const;
  void NextChunk(std::size_t size);
  // Makes the bytes since open_ a piece of their own.
  void CloseOpenPiece();
  void Drop(const Piece& piece);
  // Once nothing is left: begins the chunk again.
  void Restart();

  // The bytes are those of pieces_ from first_piece_ on, then [open_, cursor_) of chunk_.
  std::byte* cursor_ = nullptr;
  std::byte* chunk_end_ = nullptr;
  std::byte* open_ = nullptr;
  std::size_t size_ = 0;
  Chunk* chunk_ = nullptr;
  std::size_t chunk_bytes_ = kChunkBytes;
  std::vector<Piece> pieces_;
  std::size_t first_piece_ = 0;
};

}  // namespace strata::rpc
