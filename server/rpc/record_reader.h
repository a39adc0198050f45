// RecordReader: finds the records (RFC 5531 section 11) in the bytes of a stream, in place.
//
// Bytes are received at the end of one buffer. A record that lies whole in one fragment is served where it lies.
// Fragments are pushed together in the same buffer, each byte moved at most once. A record that does not fit gets a
// larger buffer once a small one is filled by it, if the pool's budget has room. So a length that a client merely
// claims costs nothing. The rest is then received straight into its place.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "server/rpc/buffer_pool.h"

namespace strata::rpc {

// Before each fragment stands its length, and whether it is the last of its record.
inline constexpr std::size_t kRecordMarkBytes = 4;
inline constexpr std::uint32_t kLastFragment = 0x8000'0000;

// Of one record. Enough for a WRITE of 1 MiB in fragments of 16 bytes; zero-length ones count.
inline constexpr std::uint32_t kMaxFragments = 65536;

// Not thread-safe: belongs to one connection, on the thread of `pool`.
class RecordReader {
 public:
  enum class Found : std::uint8_t { kRecord, kMore, kTooLarge, kTooManyFragments };

  explicit RecordReader(BufferPool& pool) : pool_(pool) {}
  ~RecordReader() { Reset(); }
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;

  // Where the next bytes go. Empty: there is no memory for them now. Only after Take() said kMore; what it gave is then
  // no longer valid, but for who holds the buffer.
  MutableByteSpan Room();
  // So many bytes were put there.
  void Received(std::size_t size) { end_ += size; }
  // The next record's payload, good until Room or Shrink. After kTooLarge or kTooManyFragments the stream is lost.
  Found Take(ByteSpan* record);
  // Keeps the buffer that the last record lies in, for who works on it elsewhere; to be released on this thread.
  ReceiveBuffer* HoldBuffer() { return BufferPool::Hold(buffer_); }

  bool has_buffer() const { return buffer_ != nullptr; }
  // A part of a record has come.
  bool has_part() const { return in_record_ || end_ != next_; }
  // That lies in a large buffer.
  bool has_large_part() const { return has_part() && buffer_->capacity > BufferPool::kSmallBytes; }
  // Bytes of memory held.
  std::size_t footprint() const { return buffer_ == nullptr ? 0 : buffer_->capacity; }
  // Gives back what is not needed for the bytes that have come of an unfinished record. Only after Take() said kMore.
  void Shrink();
  // Appends to `out` all that was received and not given by Take, as a stream that another reader goes on from.
  void CopyUntaken(std::vector<std::byte>& out) const;
  // Takes over such bytes, before anything else was received.
  void Restore(ByteSpan bytes);
  // Gives back all; what was received is forgotten.
  void Reset();

 private:
  // Of the unfinished record, or of the unread bytes: those that must stay.
  std::size_t Kept() const { return (in_record_ ? assembled_ : 0) + (end_ - next_); }
  // Whether the next record is likely to be large; where others wait for memory it gets none before it is.
  bool ExpectsLarge() const { return large_ && !pool_.budget().starving(); }
  // A large buffer that is already paid for, if `wanted` bytes lie well in it.
  ReceiveBuffer* LargeIfUseful(std::size_t wanted);
  // For `wanted` bytes, `kept` of which are there; null where there is no memory for it.
  ReceiveBuffer* Larger(std::size_t wanted, std::size_t kept);
  // Puts what must stay at the beginning of `target`, which may be the same buffer.
  void MoveTo(ReceiveBuffer* target);

  BufferPool& pool_;
  ReceiveBuffer* buffer_ = nullptr;
  // Offsets in the buffer.
  std::size_t next_ = 0;    // the first byte not looked at
  std::size_t end_ = 0;     // behind the last byte received
  std::size_t record_ = 0;  // of the unfinished record's payload, assembled_ bytes of which are in place
  std::size_t assembled_ = 0;
  std::uint32_t fragment_left_ = 0;  // payload of the present fragment still to come
  std::uint32_t fragments_ = 0;
  bool in_record_ = false;
  bool last_fragment_ = false;
  bool large_ = false;  // the last record was: the next is likely to be
};

}  // namespace strata::rpc
