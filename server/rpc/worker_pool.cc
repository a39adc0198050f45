#include "server/rpc/worker_pool.h"

#include <utility>

namespace strata::rpc {

WorkerPool::WorkerPool(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

void WorkerPool::Submit(Task* task) {
  {
    const std::lock_guard lock(mutex_);
    (first_ == nullptr ? first_ : last_->next_) = task;
    last_ = task;
  }
  wake_.notify_one();
}

void WorkerPool::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  threads_.clear();
}

void WorkerPool::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return first_ != nullptr || stop_; });
    if (first_ == nullptr) return;
    Task* task = std::exchange(first_, first_->next_);
    lock.unlock();
    task->Run();
    lock.lock();
  }
}

}  // namespace strata::rpc
