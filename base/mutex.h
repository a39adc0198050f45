// Mutex, MutexLock and CondVar: std::mutex and its kin, at no cost over them, in the terms of clang's thread safety
// analysis (-Wthread-safety), which libstdc++'s own do not speak. A member says by which mutex it is guarded, a
// function which one its caller holds, and a build with clang refuses code that does otherwise. With GCC the words mean
// nothing.
//
// What the analysis does not follow: constructors and destructors, lambdas (it does not see that their caller holds a
// mutex: hence no predicate in CondVar), and mutexes that are chosen at run time (vfs/inode_table.h).
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define STRATA_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define STRATA_THREAD_ANNOTATION(x)
#endif

// Of a class: one that can be held; one that holds while it lives.
#define STRATA_CAPABILITY(name) STRATA_THREAD_ANNOTATION(capability(name))
#define STRATA_SCOPED_CAPABILITY STRATA_THREAD_ANNOTATION(scoped_lockable)
// Of a member: touched only with the mutex held; what it points to is touched only with the mutex held.
#define STRATA_GUARDED_BY(mutex) STRATA_THREAD_ANNOTATION(guarded_by(mutex))
#define STRATA_PT_GUARDED_BY(mutex) STRATA_THREAD_ANNOTATION(pt_guarded_by(mutex))
// Of a function: the caller holds the mutexes; does not hold them.
#define STRATA_REQUIRES(...) STRATA_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define STRATA_EXCLUDES(...) STRATA_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))
// Of a function: takes the mutex; gives it back; takes it where it returns the given value.
#define STRATA_ACQUIRE(...) STRATA_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define STRATA_RELEASE(...) STRATA_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define STRATA_TRY_ACQUIRE(...) STRATA_THREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
// Of a function whose locking cannot be expressed; say why.
#define STRATA_NO_THREAD_SAFETY_ANALYSIS STRATA_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace strata {

class STRATA_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() STRATA_ACQUIRE() { mutex_.lock(); }
  void Unlock() STRATA_RELEASE() { mutex_.unlock(); }
  [[nodiscard]] bool TryLock() STRATA_TRY_ACQUIRE(true) { return mutex_.try_lock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds the mutex while it lives.
class STRATA_SCOPED_CAPABILITY [[nodiscard]] MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) STRATA_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  // Of a mutex that the caller holds already, as after TryLock.
  MutexLock(Mutex& mutex, std::adopt_lock_t) STRATA_REQUIRES(mutex) : mutex_(mutex) {}
  ~MutexLock() STRATA_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// A wait may end without a reason: it stands in a loop that looks at what is waited for.
class CondVar {
 public:
  CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  // The mutex is free while this waits.
  void Wait(Mutex& mutex) STRATA_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False: the deadline has passed.
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline) STRATA_REQUIRES(mutex) {
    std::unique_lock lock(mutex.mutex_, std::adopt_lock);
    const std::cv_status status = condition_.wait_until(lock, deadline);
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace strata
