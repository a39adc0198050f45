#include "server/rpc/reply_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/resident.h"

namespace strata::rpc {
namespace {

// What Append copies rather than takes over.
constexpr std::size_t kAppendCopyBelow = 8 << 10;

}  // namespace

// Followed by its bytes.
struct ReplyBuffer::Chunk {
  std::size_t capacity = 0;
  std::size_t pieces = 0;  // closed pieces that lie here

  std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
  static Chunk* New(std::size_t capacity) {
    void* memory = ::operator new(sizeof(Chunk) + capacity);
    Chunk* chunk = new (memory) Chunk;
    chunk->capacity = capacity;
    return chunk;
  }
  static void Delete(Chunk* chunk) { ::operator delete(chunk); }
};

ReplyBuffer::ReplyBuffer(std::size_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}
ReplyBuffer::~ReplyBuffer() { Clear(false); }

ReplyBuffer::ReplyBuffer(ReplyBuffer&& other) noexcept { *this = std::move(other); }

ReplyBuffer& ReplyBuffer::operator=(ReplyBuffer&& other) noexcept {
  if (this == &other) return *this;
  Clear(false);
  cursor_ = std::exchange(other.cursor_, nullptr);
  chunk_end_ = std::exchange(other.chunk_end_, nullptr);
  open_ = std::exchange(other.open_, nullptr);
  size_ = std::exchange(other.size_, 0);
  chunk_ = std::exchange(other.chunk_, nullptr);
  first_piece_ = std::exchange(other.first_piece_, 0);
  pieces_ = std::move(other.pieces_);
  other.pieces_.clear();
  return *this;
}

void ReplyBuffer::CloseOpenPiece() {
  if (open_ == cursor_) return;
  pieces_.push_back({open_, static_cast<std::size_t>(cursor_ - open_), chunk_, nullptr});
  ++chunk_->pieces;
  open_ = cursor_;
}

void ReplyBuffer::NextChunk(std::size_t size) {
  CloseOpenPiece();
  if (chunk_ != nullptr && chunk_->pieces == 0) Chunk::Delete(chunk_);
  chunk_ = Chunk::New(std::max(size, chunk_bytes_));
  cursor_ = open_ = chunk_->data();
  chunk_end_ = cursor_ + chunk_->capacity;
}

void ReplyBuffer::Drop(const Piece& piece) {
  if (piece.chunk != nullptr && --piece.chunk->pieces == 0 && piece.chunk != chunk_) Chunk::Delete(piece.chunk);
}

void ReplyBuffer::Restart() {
  pieces_.clear();
  first_piece_ = 0;
  if (chunk_ == nullptr) return;
  if (chunk_->capacity > kChunkBytes) {
    Chunk::Delete(std::exchange(chunk_, nullptr));
    cursor_ = open_ = chunk_end_ = nullptr;
  } else {
    cursor_ = open_ = chunk_->data();
  }
}

void ReplyBuffer::Clear(bool keep_chunk) {
  for (std::size_t i = first_piece_; i < pieces_.size(); ++i) Drop(pieces_[i]);
  size_ = 0;
  Restart();
  if (keep_chunk) return;
  if (chunk_ != nullptr) Chunk::Delete(std::exchange(chunk_, nullptr));
  cursor_ = open_ = chunk_end_ = nullptr;
  std::vector<Piece>().swap(pieces_);
}

void ReplyBuffer::Reference(ByteSpan bytes, std::shared_ptr<const void> pin) {
  if (bytes.empty()) return;
  CloseOpenPiece();
  pieces_.push_back({bytes.data(), bytes.size(), nullptr, std::move(pin)});
  size_ += bytes.size();
}

void ReplyBuffer::Raw(ByteSpan bytes) {
  while (!bytes.empty()) {
    // What is left of the chunk first, where it is worth it.
    std::size_t room = static_cast<std::size_t>(chunk_end_ - cursor_);
    std::size_t part = std::min(bytes.size(), room >= 64 ? room : kChunkBytes);
    std::memcpy(Reserve(part), bytes.data(), part);
    Commit(part);
    bytes = bytes.subspan(part);
  }
}

void ReplyBuffer::Fixed(ByteSpan bytes) {
  if (bytes.size() > kChunkBytes) {
    Raw(bytes);
    return Pad(bytes.size());
  }
  const std::size_t padded = XdrPadded(bytes.size());
  std::byte* at = Reserve(padded);
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  std::memset(at + bytes.size(), 0, padded - bytes.size());
  Commit(padded);
}

void ReplyBuffer::Opaque(ByteSpan bytes) {
  U32(static_cast<std::uint32_t>(bytes.size()));
  Fixed(bytes);
}

void ReplyBuffer::Pad(std::size_t size) {
  const std::size_t padding = XdrPadded(size) - size;
  std::memset(Reserve(padding), 0, padding);
  Commit(padding);
}

void ReplyBuffer::Rewind(std::size_t size) {
  if (size >= size_) return;
  std::size_t drop = size_ - size;
  size_ = size;
  const std::size_t open = static_cast<std::size_t>(cursor_ - open_);
  if (drop <= open) {
    cursor_ -= drop;
    return;
  }
  cursor_ = open_;
  drop -= open;
  while (drop > 0) {
    Piece& last = pieces_.back();
    if (drop < last.size) {
      last.size -= drop;
      // The room behind it is not used again before the whole buffer is sent, unless it is the open chunk's end.
      return;
    }
    drop -= last.size;
    // The end of the open chunk is free again.
    if (last.chunk != nullptr && last.chunk == chunk_ && last.data + last.size == open_) {
      cursor_ = open_ = const_cast<std::byte*>(last.data);
    }
    Drop(last);
    pieces_.pop_back();
  }
}

void ReplyBuffer::Append(ReplyBuffer&& other) {
  if (other.size_ == 0) return;
  const bool refers = std::any_of(other.pieces_.begin() + static_cast<std::ptrdiff_t>(other.first_piece_),
                                  other.pieces_.end(), [](const Piece& piece) { return piece.chunk == nullptr; });
  if (other.size_ < kAppendCopyBelow && !refers) {
    for (std::size_t i = other.first_piece_; i < other.pieces_.size(); ++i) {
      Raw({other.pieces_[i].data, other.pieces_[i].size});
    }
    Raw({other.open_, other.cursor_});
    return other.Clear();
  }
  CloseOpenPiece();
  if (chunk_ != nullptr && chunk_->pieces == 0) Chunk::Delete(chunk_);
  pieces_.insert(pieces_.end(),
                 std::make_move_iterator(other.pieces_.begin() + static_cast<std::ptrdiff_t>(other.first_piece_)),
                 std::make_move_iterator(other.pieces_.end()));
  size_ += std::exchange(other.size_, 0);
  // Its open chunk becomes ours, so that what comes next goes on there.
  chunk_ = std::exchange(other.chunk_, nullptr);
  cursor_ = std::exchange(other.cursor_, nullptr);
  open_ = std::exchange(other.open_, nullptr);
  chunk_end_ = std::exchange(other.chunk_end_, nullptr);
  other.pieces_.clear();
  other.first_piece_ = 0;
}

template <typename Visit>
bool ReplyBuffer::VisitRange(std::size_t from, std::size_t size, Visit visit) const {
  const ByteSpan open(open_, cursor_);
  // From the end, since what is asked for is most often the last reply.
  std::size_t i = pieces_.size();
  std::size_t begin = size_ - open.size();
  while (from < begin) begin -= pieces_[--i].size;
  while (size > 0) {
    const Piece* const piece = i < pieces_.size() ? &pieces_[i++] : nullptr;
    const ByteSpan bytes = piece != nullptr ? ByteSpan(piece->data, piece->size) : open;
    const std::size_t part = std::min(bytes.size() - (from - begin), size);
    if (!visit(bytes.subspan(from - begin, part), piece)) return false;
    begin += bytes.size();
    from = begin;
    size -= part;
  }
  return true;
}

bool ReplyBuffer::CopyTo(std::size_t from, std::vector<std::byte>& out, std::size_t size) const {
  if (from >= size_) return true;
  size = std::min(size, size_ - from);
  std::size_t at = out.size();
  out.resize(at + size);
  return VisitRange(from, size, [&](ByteSpan bytes, const Piece* piece) {
    const bool referenced = piece != nullptr && piece->chunk == nullptr;
    std::byte* const to = &out[at];
    at += bytes.size();
    if (referenced) return CopyMapped(bytes, to);
    std::memcpy(to, bytes.data(), bytes.size());
    return true;
  });
}

void ReplyBuffer::Add(const ReplyBuffer& other, std::size_t from, std::size_t size) {
  other.VisitRange(from, size, [&](ByteSpan bytes, const Piece* piece) {
    if (piece != nullptr && piece->chunk == nullptr) {
      Reference(bytes, piece->pin);
    } else {
      Raw(bytes);
    }
    return true;
  });
}

std::size_t ReplyBuffer::Gather(iovec* pieces, std::size_t limit) const {
  std::size_t count = 0;
  for (std::size_t i = first_piece_; i < pieces_.size() && count < limit; ++i) {
    pieces[count++] = {const_cast<std::byte*>(pieces_[i].data), pieces_[i].size};
  }
  if (open_ != cursor_ && count < limit) pieces[count++] = {open_, static_cast<std::size_t>(cursor_ - open_)};
  return count;
}

void ReplyBuffer::Consume(std::size_t size) {
  size = std::min(size, size_);
  size_ -= size;
  while (size > 0 && first_piece_ < pieces_.size()) {
    Piece& first = pieces_[first_piece_];
    if (size < first.size) {
      first.data += size;
      first.size -= size;
      return;
    }
    size -= first.size;
    Drop(first);
    first.pin.reset();
    ++first_piece_;
  }
  if (size_ == 0) return Restart();
  open_ += size;
  if (first_piece_ > 256 && first_piece_ * 2 > pieces_.size()) {
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_piece_));
    first_piece_ = 0;
  }
}

}  // namespace strata::rpc
