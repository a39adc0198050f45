#include "base/mutex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace strata {
namespace {

using std::chrono::steady_clock;

struct Box {
  Mutex mutex;
  CondVar changed;
  int value STRATA_GUARDED_BY(mutex) = 0;
};

// Whether another thread could take the mutex now.
bool IsFree(Mutex& mutex) {
  bool free = false;
  std::thread([&] {
    if (!mutex.TryLock()) return;
    free = true;
    mutex.Unlock();
  }).join();
  return free;
}

TEST(Mutex, ALockHoldsItWhileItLives) {
  Mutex mutex;
  {
    const MutexLock lock(mutex);
    EXPECT_FALSE(IsFree(mutex));
  }
  EXPECT_TRUE(IsFree(mutex));
}

TEST(Mutex, ALockGivesBackWhatItAdopted) {
  Mutex mutex;
  if (!mutex.TryLock()) FAIL() << "nobody else holds it";
  {
    const MutexLock lock(mutex, std::adopt_lock);
    EXPECT_FALSE(IsFree(mutex));
  }
  EXPECT_TRUE(IsFree(mutex));
}

TEST(CondVar, TheMutexIsFreeDuringAWaitAndHeldAfterIt) {
  Box box;
  std::thread other;
  {
    const MutexLock lock(box.mutex);
    // The other thread can get the mutex only from the wait.
    other = std::thread([&] {
      const MutexLock held(box.mutex);
      box.value = 1;
      box.changed.NotifyOne();
    });
    const auto limit = steady_clock::now() + std::chrono::seconds(30);
    while (box.value == 0 && box.changed.WaitUntil(box.mutex, limit)) {
    }
    EXPECT_EQ(box.value, 1);
    EXPECT_FALSE(IsFree(box.mutex));
  }
  other.join();
}

TEST(CondVar, AWaitWithADeadlineEndsByItAndHoldsTheMutex) {
  Box box;
  const MutexLock lock(box.mutex);
  const auto deadline = steady_clock::now() + std::chrono::milliseconds(1);
  while (box.changed.WaitUntil(box.mutex, deadline)) {
  }
  EXPECT_GE(steady_clock::now(), deadline);
  EXPECT_FALSE(IsFree(box.mutex));
}

TEST(CondVar, AllWhoWaitAreWoken) {
  Box box;
  const auto wait = [&] {
    const MutexLock lock(box.mutex);
    while (box.value == 0) box.changed.Wait(box.mutex);
  };
  std::thread one(wait), two(wait);
  {
    const MutexLock lock(box.mutex);
    box.value = 1;
  }
  box.changed.NotifyAll();
  one.join();
  two.join();
}

}  // namespace
}  // namespace strata
