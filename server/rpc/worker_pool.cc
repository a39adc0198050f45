#include "server/rpc/worker_pool.h"

#include <utility>

namespace strata::rpc {

WorkerPool::WorkerPool(unsigned threads) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

void WorkerPool::Submit(Task* task) {
  {
    const MutexLock lock(mutex_);
    (first_ == nullptr ? first_ : last_->next_) = task;
    last_ = task;
  }
  wake_.NotifyOne();
}

void WorkerPool::Stop() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
  }
  wake_.NotifyAll();
  threads_.clear();
}

WorkerPool::Task* WorkerPool::Next() {
  const MutexLock lock(mutex_);
  while (first_ == nullptr && !stop_) wake_.Wait(mutex_);
  return first_ == nullptr ? nullptr : std::exchange(first_, first_->next_);
}

void WorkerPool::Loop() {
  while (Task* const task = Next()) task->Run();
}

}  // namespace strata::rpc
