#include "server/rpc/worker_pool.h"

#include <utility>

namespace strata::rpc {

WorkerPool::WorkerPool(unsigned threads, std::chrono::milliseconds patience) : patience_(patience) {
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

void WorkerPool::Queue::Append(Task* task) {
  task->next_ = nullptr;
  (first == nullptr ? first : last->next_) = task;
  last = task;
}

void WorkerPool::Queue::Unpark(const Place& place) {
  {
    const MutexLock lock(mutex);
    const auto at = parked.find(place);
    if (at == parked.end()) return;
    // Else one that always wants a thing more would never be answered.
    at->second->late_ = place.first <= Clock::now();
    Append(at->second);
    parked.erase(at);
  }
  wake.NotifyOne();
}

bool WorkerPool::Queue::UnparkLate(Clock::time_point now) {
  const std::size_t before = parked.size();
  while (!parked.empty() && parked.begin()->first.first <= now) {
    parked.begin()->second->late_ = true;
    Append(parked.begin()->second);
    parked.erase(parked.begin());
  }
  return parked.size() < before;
}

void WorkerPool::Submit(Task* task) {
  {
    const MutexLock lock(queue_->mutex);
    queue_->Append(task);
  }
  queue_->wake.NotifyOne();
}

bool WorkerPool::Park(Task* task) {
  if (task->late_ || !task->fetch) return false;
  if (task->deadline_ == Clock::time_point{}) task->deadline_ = Clock::now() + patience_;
  // Once it is parked it may run, and be gone.
  const std::shared_ptr<Fetch> fetch = task->fetch;
  Place place;
  {
    const MutexLock lock(queue_->mutex);
    place = {queue_->hurry ? Clock::time_point::min() : task->deadline_, queue_->next_place++};
    queue_->parked.emplace(place, task);
  }
  // A thread that waits does so until the first deadline, which this may be.
  queue_->wake.NotifyOne();
  fetch->Then([queue = std::weak_ptr(queue_), place] {
    if (const auto alive = queue.lock()) alive->Unpark(place);
  });
  return true;
}

void WorkerPool::Hurry(bool hurry) {
  {
    const MutexLock lock(queue_->mutex);
    queue_->hurry = hurry;
    if (hurry) (void)queue_->UnparkLate(Clock::time_point::max());
  }
  queue_->wake.NotifyAll();
}

void WorkerPool::Stop() {
  {
    const MutexLock lock(queue_->mutex);
    queue_->stop = queue_->hurry = true;
    (void)queue_->UnparkLate(Clock::time_point::max());
  }
  queue_->wake.NotifyAll();
  threads_.clear();
}

std::size_t WorkerPool::parked() const {
  const MutexLock lock(queue_->mutex);
  return queue_->parked.size();
}

WorkerPool::Task* WorkerPool::Next() {
  Queue& queue = *queue_;
  const MutexLock lock(queue.mutex);
  for (;;) {
    // Not for this thread alone: those that wait without a deadline know nothing of it.
    if (!queue.parked.empty() && queue.UnparkLate(Clock::now())) queue.wake.NotifyAll();
    if (queue.first != nullptr) return std::exchange(queue.first, queue.first->next_);
    if (queue.stop && queue.parked.empty()) return nullptr;
    if (queue.parked.empty()) {
      queue.wake.Wait(queue.mutex);
    } else {
      (void)queue.wake.WaitUntil(queue.mutex, queue.parked.begin()->first.first);
    }
  }
}

void WorkerPool::Loop() {
  while (Task* const task = Next()) task->Run();
}

}  // namespace strata::rpc
