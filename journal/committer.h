// Committer: the thread of the group commit. While one sync runs, those who ask meanwhile gather, and one more sync
// serves them all.
#pragma once

#include <atomic>
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

  Committer(Commit commit, FailureLatch& failure, std::uint64_t durable);
  // Serves all who wait, then ends.
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // `position` must have been appended already.
  void Sync(std::uint64_t position, Done done);
  std::uint64_t durable() const { return durable_.load(std::memory_order_acquire); }

 private:
  struct Waiter {
    std::uint64_t position;
    Done done;
  };

  void Run();
  // Waits for those who wait, and takes them; none: it is time to end.
  void Gather(std::vector<Waiter>& served);
  // Those who came during the sync that reached `reached`, but whose records were in it, need not wait for another.
  void TakeServed(std::uint64_t reached, std::vector<Waiter>& served);

  const Commit commit_;
  FailureLatch& failure_;
  std::atomic<std::uint64_t> durable_;
  Mutex mutex_;
  CondVar wake_;
  std::vector<Waiter> waiting_ STRATA_GUARDED_BY(mutex_);
  bool stopping_ STRATA_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace strata::journal
