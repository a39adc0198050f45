#include "journal/change_log.h"

#include "base/mutex.h"

namespace strata::journal {

Result<void> ChangeLog::SyncAndWait(Lsn lsn) {
  struct {
    Mutex mutex;
    CondVar met;
    std::optional<Result<void>> outcome STRATA_GUARDED_BY(mutex);
  } wait;
  Sync(lsn, [&wait](Result<void> result) {
    const MutexLock lock(wait.mutex);
    wait.outcome = std::move(result);
    wait.met.NotifyOne();  // under the lock: `wait` ends with the wait
  });
  const MutexLock lock(wait.mutex);
  while (!wait.outcome) wait.met.Wait(wait.mutex);
  return *wait.outcome;
}

}  // namespace strata::journal
