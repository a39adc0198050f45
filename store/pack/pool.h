// Pool: a few threads that work on what they are given, in order.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace strata::store::pack {

// Thread-safe. The threads are made when there is something to do.
class Pool {
 public:
  explicit Pool(unsigned threads) : most_(threads) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  // What was given is done before it ends.
  ~Pool();

  unsigned threads() const { return most_; }
  void Run(std::move_only_function<void()> work) STRATA_EXCLUDES(mutex_);

 private:
  void Work() STRATA_EXCLUDES(mutex_);

  const unsigned most_;
  Mutex mutex_;
  CondVar changed_;
  bool stop_ STRATA_GUARDED_BY(mutex_) = false;
  unsigned idle_ STRATA_GUARDED_BY(mutex_) = 0;
  std::deque<std::move_only_function<void()>> waiting_ STRATA_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::store::pack
