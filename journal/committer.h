// Committer: the thread of the group commit. While one sync runs, those who ask meanwhile gather, and one more sync
// serves them all.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace strata::journal {

// The first failure, kept for good. Thread-safe.
class FailureLatch {
 public:
  // `on_first` may be null; called under a lock, and must not come back here.
  explicit FailureLatch(std::function<void(const Status&)> on_first) : on_first_(std::move(on_first)) {}
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  // The failure; success where there is none.
  Result<void> Check() const;
  // Keeps `status` if it is the first; gives the one kept.
  std::unexpected<Status> Set(const Status& status);

 private:
  const std::function<void(const Status&)> on_first_;
  std::atomic<bool> failed_{false};
  mutable Mutex mutex_;
  std::optional<Status> status_ STRATA_GUARDED_BY(mutex_);
};

class Committer {
 public:
  using Done = std::move_only_function<void(Result<void>)>;
  // Makes everything durable that was appended before the call; the position reached.
  using Commit = std::function<Result<std::uint64_t>()>;
  // The position after all that was appended; to be loaded in the one order of all (memory_order_seq_cst).
  using End = std::function<std::uint64_t()>;

  // `interval`: what was appended is committed within it though nobody asks; 0 for not.
  Committer(Commit commit, End end, FailureLatch& failure, std::uint64_t durable, std::chrono::nanoseconds interval);
  // Serves all who wait, then ends.
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // `position` must have been appended already.
  void Sync(std::uint64_t position, Done done);
  // Called after each append, once `end` says so, with where it began.
  void Appended(std::uint64_t begin) {
    if (interval_.count() != 0 && durable_.load(std::memory_order_seq_cst) >= begin) SetDue();
  }
  std::uint64_t durable() const { return durable_.load(std::memory_order_acquire); }

 private:
  struct Waiter {
    std::uint64_t position;
    Done done;
  };

  using Clock = std::chrono::steady_clock;

  void Run();
  // Waits for those who wait, and takes them, or for what is due. False: it is time to end.
  bool Gather(std::vector<Waiter>& served);
  // The first record after those that are durable was appended.
  void SetDue();
  // Those who came during the sync that reached `reached`, but whose records were in it, need not wait for another.
  void TakeServed(std::uint64_t reached, std::vector<Waiter>& served);

  const Commit commit_;
  const End end_;
  const std::chrono::nanoseconds interval_;
  FailureLatch& failure_;
  std::atomic<std::uint64_t> durable_;
  Mutex mutex_;
  CondVar wake_;
  std::vector<Waiter> waiting_ STRATA_GUARDED_BY(mutex_);
  std::optional<Clock::time_point> due_ STRATA_GUARDED_BY(mutex_);  // when what is not durable has to be
  bool stopping_ STRATA_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace strata::journal
