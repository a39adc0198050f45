#include "store/pack/pool.h"

namespace strata::store::pack {

Pool::~Pool() {
  std::vector<std::thread> threads;
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    threads.swap(threads_);
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads) thread.join();
}

void Pool::Run(std::move_only_function<void()> work) {
  const MutexLock lock(mutex_);
  waiting_.push_back(std::move(work));
  if (idle_ < waiting_.size() && threads_.size() < most_) threads_.emplace_back([this] { Work(); });
  changed_.NotifyOne();
}

void Pool::Work() {
  MutexLock lock(mutex_);
  while (true) {
    if (waiting_.empty()) {
      if (stop_) return;
      ++idle_;
      changed_.Wait(mutex_);
      --idle_;
      continue;
    }
    auto work = std::move(waiting_.front());
    waiting_.pop_front();
    mutex_.Unlock();
    work();
    work = nullptr;
    mutex_.Lock();
  }
}

}  // namespace strata::store::pack
