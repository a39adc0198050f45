#include "journal/committer.h"

#include <utility>

namespace strata::journal {

Result<void> FailureLatch::Check() const {
  if (!failed()) return {};
  const std::lock_guard lock(mutex_);
  return Fail(*status_);
}

std::unexpected<Status> FailureLatch::Set(const Status& status) {
  const std::lock_guard lock(mutex_);
  if (!status_) status_ = status;
  failed_.store(true, std::memory_order_release);
  return Fail(*status_);
}

Committer::Committer(Commit commit, FailureLatch& failure, std::uint64_t durable)
    : commit_(std::move(commit)), failure_(failure), durable_(durable), thread_([this] { Run(); }) {}

Committer::~Committer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Committer::Sync(std::uint64_t position, Done done) {
  if (failure_.failed()) return done(failure_.Check());
  if (position <= durable()) return done({});
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = waiting_.empty();
    waiting_.push_back({position, std::move(done)});
  }
  // The thread looks for more before it sleeps, so only the first of a gathering need wake it.
  if (first) wake_.notify_one();
}

void Committer::Run() {
  std::vector<Waiter> served;
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    served.swap(waiting_);
    lock.unlock();
    const Result<std::uint64_t> reached = commit_();
    if (reached) {
      durable_.store(*reached, std::memory_order_release);
      // Those who came during the sync, but whose records were in it, need not wait for another.
      lock.lock();
      std::size_t later = 0;
      for (Waiter& waiter : waiting_) {
        if (waiter.position <= *reached) {
          served.push_back(std::move(waiter));
        } else if (&waiter != &waiting_[later]) {
          waiting_[later++] = std::move(waiter);
        } else {
          ++later;
        }
      }
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(later), waiting_.end());
      lock.unlock();
    }
    const Result<void> outcome = reached ? Result<void>{} : Result<void>(std::unexpected(reached.error()));
    for (Waiter& waiter : served) waiter.done(outcome);
    served.clear();
    lock.lock();
  }
}

}  // namespace strata::journal
