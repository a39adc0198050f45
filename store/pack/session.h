// Session: what this process relies on without having put it, while nothing names it yet. A garbage collection beside
// it leaves all of that alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/leases.h"
#include "store/pack/format.h"
#include "store/pack/layout.h"

namespace strata::store::pack {

// Whether a collection is being made by some process.
Result<bool> CollectionIsRunning(Env& env, const Layout& layout);
// Whether a running collection may remove a pack. What is not in use then must not be relied on.
Result<bool> IsCondemned(Env& env, const Layout& layout, PackId pack);

// A lease that names packs. Who collects first condemns a pack and then reads the leases; who uses a pack first writes
// it into its lease and then looks whether it is condemned. So one of the two sees the other. Thread-safe.
class Session {
 public:
  Session(Env& env, const Layout& layout, std::string holder)
      : env_(env), layout_(layout), holder_(std::move(holder)) {}
  // The lease stays for `kAfterwards`: what was put is yet to get a name.
  ~Session();

  // From now on what is put is held.
  Result<void> Begin() STRATA_EXCLUDES(mutex_);
  // All that a pack has is held. False: it may be about to go, and is not to be relied on.
  Result<bool> Use(PackId pack) STRATA_EXCLUDES(mutex_);
  // To be called now and then: the lease begins to last anew; and where nobody works (Working), and an hour has passed,
  // a new one takes its place, so that not all that a long process ever used is held for its whole life.
  Result<void> Renew() STRATA_EXCLUDES(mutex_);
  // While what it gives lives, nothing that is used is let go.
  std::shared_ptr<const void> Work();

 private:
  Result<void> BeginLocked() STRATA_REQUIRES(mutex_);

  Env& env_;
  const Layout layout_;
  const std::string holder_;
  const std::shared_ptr<std::atomic<int>> workers_ = std::make_shared<std::atomic<int>>(0);
  Mutex mutex_;
  std::unique_ptr<Lease> lease_ STRATA_GUARDED_BY(mutex_);
  std::int64_t begun_ns_ STRATA_GUARDED_BY(mutex_) = 0;    // Env::MonotonicNs
  std::int64_t renewed_ns_ STRATA_GUARDED_BY(mutex_) = 0;  // Env::MonotonicNs
  absl::flat_hash_set<PackId> used_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store::pack
