#include "server/rpc/completion_queue.h"

#include <utility>

namespace strata::rpc {

void CompletionQueue::Push(Completion* completion) {
  {
    const MutexLock lock(mutex_);
    if (!closed_) {
      completion->next_ = nullptr;
      const bool was_empty = first_ == nullptr;
      (was_empty ? first_ : last_->next_) = completion;
      last_ = completion;
      if (was_empty) wake_();
      return;
    }
  }
  completion->Drop();
}

Completion* CompletionQueue::TakeAll() {
  const MutexLock lock(mutex_);
  last_ = nullptr;
  return std::exchange(first_, nullptr);
}

void CompletionQueue::Close() {
  Completion* left = nullptr;
  {
    const MutexLock lock(mutex_);
    closed_ = true;
    wake_ = nullptr;
    last_ = nullptr;
    left = std::exchange(first_, nullptr);
  }
  while (left != nullptr) std::exchange(left, left->next_)->Drop();
}

}  // namespace strata::rpc
