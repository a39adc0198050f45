// Pace: reading no faster than somebody wants.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/mutex.h"

namespace strata::store::pack {

// Waits so that no more than so many bytes a second go by; 0: never. Not thread-safe.
class Pace {
 public:
  explicit Pace(std::uint64_t bytes_a_second) : rate_(bytes_a_second), begun_(std::chrono::steady_clock::now()) {}
  void Spend(std::uint64_t bytes) {
    if (rate_ == 0) return;
    spent_ += bytes;
    const auto due = begun_ + std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(spent_) /
                                                                                 static_cast<double>(rate_) * 1e9));
    Mutex mutex;
    CondVar never;
    const MutexLock lock(mutex);
    while (std::chrono::steady_clock::now() < due) (void)never.WaitUntil(mutex, due);
  }

 private:
  const std::uint64_t rate_;
  const std::chrono::steady_clock::time_point begun_;
  std::uint64_t spent_ = 0;
};

}  // namespace strata::store::pack
