#include "base/fetch.h"

namespace strata {

bool Fetch::done() const {
  MutexLock lock(mutex_);
  return result_.has_value();
}

Result<void> Fetch::result() const {
  MutexLock lock(mutex_);
  return result_ ? *result_ : Fail(Errc::kWouldBlock);
}

void Fetch::Complete(Result<void> result) {
  std::vector<std::move_only_function<void()>> then;
  {
    MutexLock lock(mutex_);
    if (result_) return;
    result_ = std::move(result);
    then.swap(then_);
    changed_.NotifyAll();
  }
  for (auto& function : then) function();
}

void Fetch::Then(std::move_only_function<void()> then) {
  {
    MutexLock lock(mutex_);
    if (!result_) {
      then_.push_back(std::move(then));
      return;
    }
  }
  then();
}

bool Fetch::WaitFor(std::chrono::nanoseconds limit) {
  using TimePoint = std::chrono::steady_clock::time_point;
  const TimePoint now = std::chrono::steady_clock::now();
  const TimePoint deadline = limit < TimePoint::max() - now ? now + limit : TimePoint::max();
  MutexLock lock(mutex_);
  while (!result_) {
    if (!changed_.WaitUntil(mutex_, deadline)) return result_.has_value();
  }
  return true;
}

}  // namespace strata
