#include "server/rpc/buffer_pool.h"

#include <algorithm>
#include <new>

namespace strata::rpc {
namespace {

void Delete(ReceiveBuffer* buffer) { ::operator delete(buffer); }

}  // namespace

BufferPool::BufferPool(std::size_t kept_bytes)
    : max_small_kept_(std::clamp<std::size_t>(kept_bytes / 3 / kSmallBytes, 4, kMaxKept)),
      max_large_kept_(std::clamp<std::size_t>(kept_bytes / 3 * 2 / kLargeBytes, 2, kMaxLargeKept)) {
  small_.reserve(max_small_kept_);
  large_.reserve(max_large_kept_);
}

BufferPool::~BufferPool() {
  for (ReceiveBuffer* buffer : small_) Delete(buffer);
  for (ReceiveBuffer* buffer : large_) Delete(buffer);
}

ReceiveBuffer* BufferPool::Allocate(std::size_t capacity) {
  ReceiveBuffer* buffer = new (::operator new(sizeof(ReceiveBuffer) + capacity)) ReceiveBuffer;
  buffer->capacity = capacity;
  buffer->pooled = capacity == kLargeBytes;
  return buffer;
}

ReceiveBuffer* BufferPool::Small() {
  ++lent_;
  if (small_.empty()) {
    ReceiveBuffer* buffer = Allocate(kSmallBytes);
    buffer->pooled = true;
    return buffer;
  }
  ReceiveBuffer* buffer = small_.back();
  small_.pop_back();
  buffer->holders = 1;
  return buffer;
}

ReceiveBuffer* BufferPool::LargeIfFree() {
  if (large_.empty()) return nullptr;
  ReceiveBuffer* buffer = large_.back();
  large_.pop_back();
  buffer->holders = 1;
  return buffer;
}

void BufferPool::Release(ReceiveBuffer* buffer) {
  if (--buffer->holders > 0) return;
  if (!buffer->pooled) return Delete(buffer);
  const bool large = buffer->capacity == kLargeBytes;
  if (!large) --lent_;
  auto& kept = large ? large_ : small_;
  if (kept.size() >= (large ? max_large_kept_ : max_small_kept_)) return Delete(buffer);
  kept.push_back(buffer);
}

}  // namespace strata::rpc
