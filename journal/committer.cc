#include "journal/committer.h"

#include <utility>

namespace strata::journal {

Result<void> FailureLatch::Check() const {
  if (!failed()) return {};
  const MutexLock lock(mutex_);
  return Fail(*status_);
}

std::unexpected<Status> FailureLatch::Set(const Status& status) {
  const MutexLock lock(mutex_);
  if (!status_) {
    status_ = status;
    if (on_first_) on_first_(status);
  }
  failed_.store(true, std::memory_order_release);
  return Fail(*status_);
}

Committer::Committer(Commit commit, End end, FailureLatch& failure, std::uint64_t durable,
                     std::chrono::nanoseconds interval)
    : commit_(std::move(commit)),
      end_(std::move(end)),
      interval_(interval),
      failure_(failure),
      durable_(durable),
      thread_([this] { Run(); }) {}

Committer::~Committer() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  thread_.join();
}

void Committer::Sync(std::uint64_t position, Done done) {
  if (failure_.failed()) return done(failure_.Check());
  if (position <= durable()) return done({});
  bool first;
  {
    const MutexLock lock(mutex_);
    first = waiting_.empty();
    waiting_.push_back({position, std::move(done)});
  }
  // The thread looks for more before it sleeps, so only the first of a gathering need wake it.
  if (first) wake_.NotifyOne();
}

bool Committer::Gather(std::vector<Waiter>& served) {
  const MutexLock lock(mutex_);
  while (waiting_.empty() && !stopping_) {
    if (!due_) {
      wake_.Wait(mutex_);
    } else if (Clock::now() < *due_) {
      (void)wake_.WaitUntil(mutex_, *due_);
    } else {
      due_.reset();
      return true;
    }
  }
  served.swap(waiting_);
  return !served.empty();
}

void Committer::SetDue() {
  {
    const MutexLock lock(mutex_);
    if (due_) return;
    due_ = Clock::now() + interval_ / 2;  // the sync itself takes time
  }
  wake_.NotifyOne();
}

void Committer::TakeServed(std::uint64_t reached, std::vector<Waiter>& served) {
  const MutexLock lock(mutex_);
  std::size_t later = 0;
  for (Waiter& waiter : waiting_) {
    if (waiter.position <= reached) {
      served.push_back(std::move(waiter));
    } else if (&waiter != &waiting_[later]) {
      waiting_[later++] = std::move(waiter);
    } else {
      ++later;
    }
  }
  waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(later), waiting_.end());
}

void Committer::Run() {
  std::vector<Waiter> served;
  while (Gather(served)) {
    const Result<std::uint64_t> reached = commit_();
    if (reached) {
      durable_.store(*reached, std::memory_order_seq_cst);
      TakeServed(*reached, served);
    }
    // What came meanwhile saw that something before it was not durable; without room, this comes again.
    if (interval_.count() != 0 && !failure_.failed() && end_() > durable()) SetDue();
    const Result<void> outcome = reached ? Result<void>{} : Result<void>(std::unexpected(reached.error()));
    for (Waiter& waiter : served) waiter.done(outcome);
    served.clear();
  }
}

}  // namespace strata::journal
