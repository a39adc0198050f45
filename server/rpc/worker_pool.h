// WorkerPool: a fixed set of threads for calls that wait for a disk.
#pragma once

#include <thread>
#include <vector>

#include "base/mutex.h"

namespace strata::rpc {

// Thread-safe. The queue has no limit of its own: who submits limits what it has under way.
class WorkerPool {
 public:
  class Task {
   public:
    virtual ~Task() = default;
    // On one of the threads. The task disposes of itself.
    virtual void Run() = 0;

   private:
    friend class WorkerPool;
    Task* next_ = nullptr;
  };

  explicit WorkerPool(unsigned threads);
  ~WorkerPool() { Stop(); }

  void Submit(Task* task);
  // Runs what is queued, then ends the threads. Nothing may be submitted afterwards.
  void Stop();

 private:
  void Loop();
  // Waits for a task; null once the pool is stopped and none is left.
  Task* Next();

  Mutex mutex_;
  CondVar wake_;
  Task* first_ STRATA_GUARDED_BY(mutex_) = nullptr;
  Task* last_ STRATA_GUARDED_BY(mutex_) = nullptr;
  bool stop_ STRATA_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace strata::rpc
