// WorkerPool: a fixed set of threads for calls that wait for a disk, and the place where calls stand that wait for
// something from elsewhere (base/fetch.h), which hold no thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/fetch.h"
#include "base/mutex.h"

namespace strata::rpc {

// Thread-safe. The queue has no limit of its own: who submits limits what it has under way.
class WorkerPool {
 public:
  using Clock = std::chrono::steady_clock;

  class Task {
   public:
    virtual ~Task() = default;
    // On one of the threads. The task disposes of itself, or parks.
    virtual void Run() = 0;

    // What it waits for, before Park and after it.
    std::shared_ptr<Fetch> fetch;

   protected:
    // Nothing is to be waited for any more: it answers with what there is.
    bool late() const { return late_; }

   private:
    friend class WorkerPool;
    Task* next_ = nullptr;
    bool late_ = false;
    Clock::time_point deadline_{};  // of all its parking together
  };

  // `patience`: how long a task may stand parked, in all.
  explicit WorkerPool(unsigned threads, std::chrono::milliseconds patience = std::chrono::seconds(10));
  ~WorkerPool() { Stop(); }

  void Submit(Task* task);
  // Runs it again once task->fetch is done, or when its patience is over; then it is late, even if the fetch is done at
  // last. False, and it stays with the caller: it is late already, or waits for nothing.
  bool Park(Task* task);
  // Whether those who are parked, and who want to be, are late at once: somebody waits for all that is under way.
  void Hurry(bool hurry);
  // Runs what is queued and parked, then ends the threads. Nothing may be submitted afterwards.
  void Stop();
  std::size_t parked() const;

 private:
  // By when their patience is over.
  using Place = std::pair<Clock::time_point, std::uint64_t>;
  // Outlives the pool where a Fetch still knows of it.
  struct Queue {
    Mutex mutex;
    CondVar wake;
    Task* first STRATA_GUARDED_BY(mutex) = nullptr;
    Task* last STRATA_GUARDED_BY(mutex) = nullptr;
    std::map<Place, Task*> parked STRATA_GUARDED_BY(mutex);
    std::uint64_t next_place STRATA_GUARDED_BY(mutex) = 1;
    bool hurry STRATA_GUARDED_BY(mutex) = false;
    bool stop STRATA_GUARDED_BY(mutex) = false;

    void Append(Task* task) STRATA_REQUIRES(mutex);
    void Unpark(const Place& place) STRATA_EXCLUDES(mutex);
    // Those whose patience is over at `now`; whether there were any.
    bool UnparkLate(Clock::time_point now) STRATA_REQUIRES(mutex);
  };

  void Loop();
  // Waits for a task; null once the pool is stopped and none is left.
  Task* Next();

  const std::chrono::milliseconds patience_;
  const std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
  std::vector<std::jthread> threads_;
};

}  // namespace strata::rpc
