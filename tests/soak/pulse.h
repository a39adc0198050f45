// How much of the machine was ours. A limit of time holds for a machine that has nothing else to do: what others took
// of it, and what the test itself slept through, does not count.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

namespace strata::soak {

// Thread-safe. A thread of its own wakes many times a second and looks at what the processors did.
class Pulse {
 public:
  Pulse();
  ~Pulse();
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;
  // Whose CPU time is ours, beside that of this process; 0 for nobody's.
  void SetServer(pid_t pid) { server_.store(pid, std::memory_order_relaxed); }
  // The server is down from now on, or serves again: time that counts for nobody.
  void SetDown(bool down);
  // Of the seconds in between, so many as would have passed on a quiet machine, while the server was up.
  double Ours(double from, double until) const;
  // Seconds that did not count because the machine was busy with others.
  double taken() const;

 private:
  struct Stretch {
    double from = 0, until = 0, share = 1;
  };
  void Run();
  void Add(double from, double until, double share);

  std::atomic<pid_t> server_ = 0;
  std::atomic<bool> ends_ = false;
  mutable std::mutex mutex_;
  std::deque<Stretch> stretches_;  // of the last minutes
  std::deque<Stretch> downs_;
  double taken_ = 0;
  std::thread thread_;
};

}  // namespace strata::soak
