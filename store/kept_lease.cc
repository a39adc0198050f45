#include "store/kept_lease.h"

#include <utility>

#include "base/log.h"

namespace strata::store {

KeptLease::KeptLease(std::unique_ptr<Lease> lease, std::chrono::nanoseconds each)
    : lease_(std::move(lease)), each_(each), thread_([this] { Keep(); }) {}

KeptLease::~KeptLease() {
  {
    const MutexLock lock(mutex_);
    ends_ = true;
    wakes_.NotifyAll();
  }
  thread_.join();
}

void KeptLease::Keep() {
  while (true) {
    {
      const MutexLock lock(mutex_);
      const auto until = std::chrono::steady_clock::now() + each_;
      while (!ends_ && wakes_.WaitUntil(mutex_, until)) {
      }
      if (ends_) return;
    }
    if (auto renewed = lease_->Renew(); !renewed) {
      log::Warning("lease_not_renewed", {{"lease", lease_->id()},
                                         {"error", renewed.error()},
                                         {"meaning", "if this process is killed, what it holds may be collected"}});
    }
  }
}

}  // namespace strata::store
