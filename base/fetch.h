// Fetch: something on its way from elsewhere, such as a chunk from a far store, shared by all who want it. And how long
// a caller waits.
//
// A function that takes a Waiting answers from memory, or
//   - fails with kWouldBlock and leaves *fetch as it was: a local disk has to be asked; call again with may_block;
//   - fails with kWouldBlock and puts a Fetch into *fetch: nothing is to be done until that has come; then call again,
//     with *fetch as it was left;
//   - waits for either, where it may.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace strata {

// Thread-safe.
class Fetch {
 public:
  // `key`: what it brings, among all that its source fetches.
  explicit Fetch(std::string key) : key_(std::move(key)) {}

  const std::string& key() const { return key_; }
  bool done() const STRATA_EXCLUDES(mutex_);
  // What came of it, once it is done: whoever wants the thing asks its source again after a success.
  Result<void> result() const STRATA_EXCLUDES(mutex_);
  // Once, by the source.
  void Complete(Result<void> result) STRATA_EXCLUDES(mutex_);
  // Calls `then` once it is done: now, or from the thread that completes it. The functions are called in their order.
  void Then(std::move_only_function<void()> then) STRATA_EXCLUDES(mutex_);
  // Whether it was done within `limit`.
  bool WaitFor(std::chrono::nanoseconds limit) STRATA_EXCLUDES(mutex_);

 private:
  const std::string key_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::optional<Result<void>> result_ STRATA_GUARDED_BY(mutex_);
  std::vector<std::move_only_function<void()>> then_ STRATA_GUARDED_BY(mutex_);
};

// How long a caller waits for what is not in memory.
struct Waiting {
  // A local disk may be asked.
  bool may_block = true;
  // Where not null, the caller does not wait for what comes from elsewhere, but gets it here and comes again. The
  // caller keeps it from one call to the next, so that a failed Fetch is seen once.
  std::shared_ptr<Fetch>* fetch = nullptr;
};

}  // namespace strata
