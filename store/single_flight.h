// What many want at once is done once. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "base/fetch.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/digest.h"

namespace strata::store {

class SingleFlight {
 public:
  // Does `work` for `key`, without a lock, unless another thread is at it. True: it was done here, and well. False:
  // another thread has just done it; look for what came of it. Its failure is that of all who waited, but kWouldBlock,
  // which says nothing to others. Who may not wait gets kWouldBlock, and the Fetch where `waiting` asks for one.
  Result<bool> Do(const Waiting& waiting, const Digest& key, const std::function<Result<void>()>& work)
      STRATA_EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  std::map<Digest, std::shared_ptr<Fetch>> under_way_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store
