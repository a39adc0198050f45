// A lease that is renewed for as long as somebody lives who needs it.
#pragma once

#include <chrono>
#include <memory>
#include <thread>

#include "base/mutex.h"
#include "store/leases.h"

namespace strata::store {

// While its process lives a lease does not end, renewed or not. But if the process is killed, what it held must stay
// for the day in which somebody may start it again, however long it had run. So a thread renews it. Where that fails
// the log says so, and it is tried again.
class KeptLease {
 public:
  static constexpr std::chrono::nanoseconds kEach = std::chrono::hours(1);
  explicit KeptLease(std::unique_ptr<Lease> lease, std::chrono::nanoseconds each = kEach);
  ~KeptLease();
  KeptLease(const KeptLease&) = delete;
  KeptLease& operator=(const KeptLease&) = delete;

 private:
  void Keep() STRATA_EXCLUDES(mutex_);

  const std::unique_ptr<Lease> lease_;
  const std::chrono::nanoseconds each_;
  Mutex mutex_;
  CondVar wakes_;
  bool ends_ STRATA_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // the last: it uses the others
};

}  // namespace strata::store
