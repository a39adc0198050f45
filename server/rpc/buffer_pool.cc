#include "server/rpc/buffer_pool.h"

#include <new>
#include <utility>

namespace strata::rpc {
namespace {

// There may be many holders, and many that wait.
constexpr std::chrono::milliseconds kBetweenTelling(50);

}  // namespace

bool ReceiveBudget::TakeLarge(std::size_t size, bool replaces) {
  const std::size_t out = large_.fetch_add(1, std::memory_order_relaxed);
  const std::size_t before = large_bytes_.fetch_add(size, std::memory_order_relaxed);
  if (before + size <= limit_ || out == (replaces ? 1 : 0)) return true;
  GiveLarge(size);
  LeaveLarge();
  return false;
}

void ReceiveBudget::Join(Holder& holder) {
  const MutexLock lock(mutex_);
  holders_.push_back(&holder);
}

void ReceiveBudget::Leave(Holder& holder) {
  const MutexLock lock(mutex_);
  std::erase(holders_, &holder);
  std::erase(waiters_, &holder);
}

void ReceiveBudget::Await(Holder& holder) {
  const MutexLock lock(mutex_);
  if (!std::exchange(holder.waits_, true)) waiters_.push_back(&holder);
}

void ReceiveBudget::Starves() {
  starving_.fetch_add(1, std::memory_order_relaxed);
  const MutexLock lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (now - told_ < kBetweenTelling) return;
  told_ = now;
  for (Holder* holder : holders_) holder->GiveBack();
}

void ReceiveBudget::WakeFirst() {
  const MutexLock lock(mutex_);
  if (waiters_.empty()) return;
  Holder& first = *waiters_.front();
  waiters_.pop_front();
  first.waits_ = false;
  first.Wake();
}

BufferPool::BufferPool(ReceiveBudget& budget) : budget_(budget) {
  small_.reserve(kMaxKept);
  large_.reserve(kMaxLargeKept);
}

BufferPool::~BufferPool() {
  for (ReceiveBuffer* buffer : small_) Delete(buffer);
  for (ReceiveBuffer* buffer : large_) Delete(buffer);
}

ReceiveBuffer* BufferPool::New(std::size_t capacity) {
  ReceiveBuffer* buffer = new (::operator new(sizeof(ReceiveBuffer) + capacity)) ReceiveBuffer;
  buffer->capacity = capacity;
  return buffer;
}

void BufferPool::Delete(ReceiveBuffer* buffer) {
  buffer->capacity > kSmallBytes ? budget_.GiveLarge(buffer->capacity) : budget_.GiveSmall(buffer->capacity);
  ::operator delete(buffer);
}

ReceiveBuffer* BufferPool::Allocate(std::size_t capacity) {
  capacity > kSmallBytes ? budget_.ForceLarge(capacity) : budget_.TakeSmall(capacity);
  return New(capacity);
}

ReceiveBuffer* BufferPool::AllocateLarge(std::size_t capacity, bool replaces) {
  return budget_.TakeLarge(capacity, replaces) ? New(capacity) : nullptr;
}

ReceiveBuffer* BufferPool::Small() {
  ++lent_;
  ReceiveBuffer* buffer = nullptr;
  if (small_.empty()) {
    buffer = Allocate(kSmallBytes);
  } else {
    buffer = small_.back();
    small_.pop_back();
    buffer->holders = 1;
  }
  buffer->lent = true;
  return buffer;
}

ReceiveBuffer* BufferPool::LargeIfFree() {
  if (large_.empty()) return nullptr;
  ReceiveBuffer* buffer = large_.back();
  large_.pop_back();
  buffer->holders = 1;
  budget_.UseLarge();
  return buffer;
}

void BufferPool::Release(ReceiveBuffer* buffer) {
  if (--buffer->holders > 0) return;
  const bool large = buffer->capacity > kSmallBytes, lent = std::exchange(buffer->lent, false);
  if (large) budget_.LeaveLarge();
  if (lent) --lent_;
  if (buffer->capacity == kLargeBytes && large_.size() < kMaxLargeKept && budget_.MayKeep()) {
    large_.push_back(buffer);
  } else if (lent && (small_.empty() || (small_.size() < kMaxKept && budget_.MayKeep()))) {
    small_.push_back(buffer);
  } else {
    Delete(buffer);
  }
  budget_.WakeOne();
}

void BufferPool::DropKept() {
  const std::size_t before = large_.size() + small_.size();
  for (; !large_.empty(); large_.pop_back()) Delete(large_.back());
  for (; small_.size() > 1; small_.pop_back()) Delete(small_.back());
  if (large_.size() + small_.size() < before) budget_.WakeOne();
}

}  // namespace strata::rpc
