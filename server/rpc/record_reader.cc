#include "server/rpc/record_reader.h"

#include <algorithm>
#include <cstring>

#include "server/rpc/xdr.h"

namespace strata::rpc {
namespace {

// A record of this size makes us expect the next to be as large.
constexpr std::size_t kLargeRecord = 32 << 10;
// Less room than this is not worth a system call.
constexpr std::size_t kLeastRoom = 4 << 10;
// Smallest buffer of a stalled record.
constexpr std::size_t kLeastPrivate = 256;

}  // namespace

RecordReader::Found RecordReader::Take(ByteSpan* record) {
  if (buffer_ == nullptr) return Found::kMore;
  std::byte* const data = buffer_->data();
  for (;;) {
    if (!in_record_ || (fragment_left_ == 0 && !last_fragment_)) {
      if (end_ - next_ < kRecordMarkBytes) return Found::kMore;
      const std::uint32_t mark = LoadBe32(data + next_);
      next_ += kRecordMarkBytes;
      if (!in_record_) {
        in_record_ = true;
        record_ = next_;
        assembled_ = 0;
        fragments_ = 0;
      }
      if (++fragments_ > kMaxFragments) return Found::kTooManyFragments;
      fragment_left_ = mark & ~kLastFragment;
      last_fragment_ = (mark & kLastFragment) != 0;
      if (fragment_left_ > kMaxRecordBytes - assembled_) return Found::kTooLarge;
    }
    const std::size_t part = std::min<std::size_t>(fragment_left_, end_ - next_);
    if (record_ + assembled_ != next_) std::memmove(data + record_ + assembled_, data + next_, part);
    assembled_ += part;
    next_ += part;
    fragment_left_ -= static_cast<std::uint32_t>(part);
    if (fragment_left_ > 0) return Found::kMore;
    if (!last_fragment_) continue;
    *record = {data + record_, assembled_};
    large_ = assembled_ >= kLargeRecord;
    in_record_ = false;
    last_fragment_ = false;
    return Found::kRecord;
  }
}

void RecordReader::MoveTo(ReceiveBuffer* target) {
  std::size_t at = 0;
  if (in_record_) {
    std::memmove(target->data(), buffer_->data() + record_, assembled_);
    at = assembled_;
    record_ = 0;
  }
  const std::size_t unread = end_ - next_;
  std::memmove(target->data() + at, buffer_->data() + next_, unread);
  next_ = at;
  end_ = at + unread;
  if (target == buffer_) return;
  pool_.Release(buffer_);
  buffer_ = target;
}

MutableByteSpan RecordReader::Room() {
  if (buffer_ == nullptr) {
    buffer_ = ExpectsLarge() ? pool_.LargeIfFree() : nullptr;
    if (buffer_ == nullptr) buffer_ = pool_.Small();
    next_ = end_ = record_ = 0;
    return {buffer_->data(), buffer_->capacity};
  }
  const std::size_t kept = Kept();
  const bool alone = buffer_->holders == 1;
  // What the unfinished record still lacks, as far as it says.
  const std::size_t lacks = in_record_ ? fragment_left_ + (last_fragment_ ? 0 : kRecordMarkBytes) : kRecordMarkBytes;
  if (kept == 0 && alone) {
    const bool other_size = buffer_->capacity < BufferPool::kSmallBytes ||
                            buffer_->capacity > BufferPool::kLargeBytes ||
                            (ExpectsLarge() != (buffer_->capacity > BufferPool::kSmallBytes));
    if (!other_size) {
      next_ = end_ = record_ = 0;
      return {buffer_->data(), buffer_->capacity};
    }
  }
  if (kept == 0) {
    ReceiveBuffer* fresh = ExpectsLarge() ? pool_.LargeIfFree() : nullptr;
    MoveTo(fresh != nullptr ? fresh : pool_.Small());
    return {buffer_->data() + end_, buffer_->capacity - end_};
  }
  const std::size_t capacity = buffer_->capacity;
  const bool fits = kept + lacks <= capacity;
  // One that a record will not fit into is filled all the same, before another is asked for.
  const bool goes_on = capacity >= BufferPool::kSmallBytes && kept + kLeastRoom <= capacity;
  ReceiveBuffer* target = fits && alone ? buffer_ : LargeIfUseful(kept + lacks);
  if (target == nullptr) target = goes_on && alone ? buffer_ : Larger(kept + lacks, kept);
  if (target == nullptr) return {};
  const std::size_t begin = in_record_ ? record_ : next_;
  const bool gap = in_record_ && record_ + assembled_ != next_;
  const bool enough = (!fits || begin + kept + lacks <= capacity) && capacity - end_ >= std::min(kLeastRoom, lacks) &&
                      !(gap && capacity - end_ < kLeastRoom);
  if (target != buffer_ || !enough) MoveTo(target);
  return {buffer_->data() + end_, buffer_->capacity - end_};
}

ReceiveBuffer* RecordReader::LargeIfUseful(std::size_t wanted) {
  return wanted > BufferPool::kSmallBytes && wanted <= BufferPool::kLargeBytes ? pool_.LargeIfFree() : nullptr;
}

ReceiveBuffer* RecordReader::Larger(std::size_t wanted, std::size_t kept) {
  if (wanted <= BufferPool::kSmallBytes || kept + kLeastRoom <= BufferPool::kSmallBytes) {
    if (pool_.CanLend()) return pool_.Small();
    return pool_.Allocate(std::min({wanted, BufferPool::kSmallBytes, std::max(kLeastPrivate, 2 * kept)}));
  }
  // Beyond the usual size the buffer doubles, since fragments tell of a record only piece by piece.
  const std::size_t capacity = wanted <= BufferPool::kLargeBytes
                                   ? BufferPool::kLargeBytes
                                   : std::max(wanted, std::min(2 * kept, kMaxRecordBytes + kRecordMarkBytes));
  return pool_.AllocateLarge(capacity, buffer_->capacity > BufferPool::kSmallBytes && buffer_->holders == 1);
}

void RecordReader::Shrink() {
  if (buffer_ == nullptr) return;
  const std::size_t kept = Kept();
  if (kept == 0 && !in_record_) return Reset();
  const std::size_t enough = std::max(kLeastPrivate, kept + kept / 2);
  if (buffer_->capacity > enough) MoveTo(pool_.Allocate(enough));
}

void RecordReader::CopyUntaken(std::vector<std::byte>& out) const {
  if (buffer_ == nullptr) return;
  const std::byte* const data = buffer_->data();
  if (in_record_) {
    // The fragments that have come are one by now.
    const bool last = fragment_left_ > 0 && last_fragment_;
    const auto size = static_cast<std::uint32_t>(assembled_ + fragment_left_);
    out.resize(out.size() + kRecordMarkBytes);
    StoreBe32(out.data() + out.size() - kRecordMarkBytes, size | (last ? kLastFragment : 0));
    out.insert(out.end(), data + record_, data + record_ + assembled_);
  }
  out.insert(out.end(), data + next_, data + end_);
}

void RecordReader::Restore(ByteSpan bytes) {
  Reset();
  if (bytes.empty()) return;
  buffer_ = pool_.Allocate(std::max(kLeastPrivate, bytes.size()));
  std::memcpy(buffer_->data(), bytes.data(), bytes.size());
  end_ = bytes.size();
}

void RecordReader::Reset() {
  if (buffer_ != nullptr) pool_.Release(buffer_);
  buffer_ = nullptr;
  next_ = end_ = record_ = assembled_ = 0;
  in_record_ = last_fragment_ = false;
  fragment_left_ = 0;
}

}  // namespace strata::rpc
