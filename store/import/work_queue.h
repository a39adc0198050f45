// WorkQueue: threads that work on tasks as these come, with a bound on what waits, and one error for all.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace strata::store {

// Used by one thread, beside its own. When it is destroyed, what has not begun is dropped, and what has is waited for.
template <typename Task>
class WorkQueue {
 public:
  using Work = std::function<Result<void>(Task&)>;

  // `work` runs on `threads` threads at once. Of tasks that are not done, those of `most_weight` in all are taken; one
  // that is heavier is taken alone. `tick` is called by Push and Finish about ten times a second while they wait.
  WorkQueue(unsigned threads, std::uint64_t most_weight, Work work, std::function<void()> tick)
      : most_weight_(most_weight), work_(std::move(work)), tick_(std::move(tick)) {
    for (unsigned i = 0; i < std::max(threads, 1U); ++i) threads_.emplace_back([this] { Run(); });
  }
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;
  ~WorkQueue() {
    {
      const MutexLock lock(mutex_);
      stopped_ = true;
      tasks_.clear();
      changed_.NotifyAll();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  // Waits for room. The first error of any task, once there is one: no task begins after that.
  Result<void> Push(Task task, std::uint64_t weight) STRATA_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      if (weight_ == 0 || weight_ + weight <= most_weight_ || error_) return Take(std::move(task), weight);
    }
    for (;;) {
      tick_();
      const MutexLock lock(mutex_);
      const auto deadline = std::chrono::steady_clock::now() + kTick;
      while (weight_ > 0 && weight_ + weight > most_weight_ && !error_) {
        if (!done_.WaitUntil(mutex_, deadline)) break;
      }
      if (weight_ == 0 || weight_ + weight <= most_weight_ || error_) return Take(std::move(task), weight);
    }
  }
  // Waits until all are done.
  Result<void> Finish() STRATA_EXCLUDES(mutex_) {
    for (;;) {
      tick_();
      const MutexLock lock(mutex_);
      const auto deadline = std::chrono::steady_clock::now() + kTick;
      while (weight_ > 0 && !error_) {
        if (!done_.WaitUntil(mutex_, deadline)) break;
      }
      if (error_) return Fail(*error_);
      if (weight_ == 0) return {};
    }
  }

 private:
  static constexpr std::chrono::milliseconds kTick{100};

  struct Item {
    Task task;
    std::uint64_t weight = 0;
  };

  Result<void> Take(Task task, std::uint64_t weight) STRATA_REQUIRES(mutex_) {
    if (error_) return Fail(*error_);
    weight = std::max<std::uint64_t>(weight, 1);
    weight_ += weight;
    tasks_.push_back({std::move(task), weight});
    changed_.NotifyOne();
    return {};
  }

  void Run() STRATA_EXCLUDES(mutex_) {
    for (;;) {
      std::optional<Item> item = Next();
      if (!item) return;
      Result<void> done = work_(item->task);
      const std::uint64_t weight = item->weight;
      item.reset();  // what it holds is free before others may take as much
      const MutexLock lock(mutex_);
      weight_ -= weight;
      if (!done && !error_) {
        error_ = std::move(done.error());
        for (const Item& left : tasks_) weight_ -= left.weight;
        tasks_.clear();
      }
      done_.NotifyAll();
    }
  }
  // Nothing: the end.
  std::optional<Item> Next() STRATA_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    while (tasks_.empty() && !stopped_) changed_.Wait(mutex_);
    if (tasks_.empty()) return std::nullopt;
    std::optional<Item> item(std::move(tasks_.front()));
    tasks_.pop_front();
    return item;
  }

  const std::uint64_t most_weight_;
  const Work work_;
  const std::function<void()> tick_;
  Mutex mutex_;
  CondVar changed_;  // a task has come, or the end
  CondVar done_;     // a task is done
  std::deque<Item> tasks_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t weight_ STRATA_GUARDED_BY(mutex_) = 0;  // of those that wait and those that are worked on
  std::optional<Status> error_ STRATA_GUARDED_BY(mutex_);
  bool stopped_ STRATA_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace strata::store
