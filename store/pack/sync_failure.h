// What follows from a sync that failed. After it nobody knows what of the file is on the disk: the system may have
// dropped what was written, and says so once. docs/formats/pack.md, "What is durable".
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/pack/format.h"
#include "store/pack/layout.h"

namespace strata::store::pack {

// The end of writing: set once, for as long as a process has the store open. Thread-safe.
class SyncFailure {
 public:
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  // Fails with the first that failed, and says what to do.
  Result<void> Check() const STRATA_EXCLUDES(mutex_);
  // Keeps the first; gives that.
  std::unexpected<Status> Set(const Status& status) STRATA_EXCLUDES(mutex_);

 private:
  std::atomic<bool> failed_{false};
  mutable Mutex mutex_;
  std::optional<Status> first_ STRATA_GUARDED_BY(mutex_);
};

// Tells other processes that a sync of a pack failed: what no index has of it may be in memory alone, whatever a later
// sync says. The mark need not be durable: once the machine was started anew, what is read comes from the disk.
void MarkUnsynced(Env& env, const Layout& layout, PackId pack);
Result<bool> IsUnsynced(Env& env, const Layout& layout, PackId pack);
// Writes [begin, end) of a pack anew, as it reads: so that the next sync brings it to the disk. `file` is locked, and
// open to be written. From the pack's first record on its header is written too.
Result<void> WriteAnew(File& file, std::uint64_t begin, std::uint64_t end);
// A later sync of all that no index has did not fail, after it was written anew.
Result<void> ClearUnsynced(Env& env, const Layout& layout, PackId pack);

}  // namespace strata::store::pack
