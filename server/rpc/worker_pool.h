// WorkerPool: a fixed set of threads for calls that wait for a disk.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

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

  std::mutex mutex_;
  std::condition_variable wake_;
  Task* first_ = nullptr;  // guarded by mutex_, as all below
  Task* last_ = nullptr;
  bool stop_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace strata::rpc
