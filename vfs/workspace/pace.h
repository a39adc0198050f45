// Pace: background work leaves room for those who are served. It rests, after each piece, in proportion to the time
// that it has worked, so that beside it there is always a processor and a disk for a call that comes.
#pragma once

#include <time.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>
#include <utility>

namespace strata::vfs {

// For one thread.
class Pace {
 public:
  using Rest = std::function<void(std::chrono::nanoseconds)>;
  // `ease`: how much rest there is for a time of work now; 0 for none. `rest` waits.
  explicit Pace(
      std::function<double()> ease,
      Rest rest = [](std::chrono::nanoseconds time) { std::this_thread::sleep_for(time); })
      : ease_(std::move(ease)), rest_(std::move(rest)) {}

  // To be called every few microseconds of work, with no lock held that others wait for.
  void Step() {
    if (++steps_ % kStepsAtOnce != 0) return;
    // The clock of all time is read without a system call, and a thread cannot have worked longer.
    if (Clock::now() - piece_ < kPiece) return;
    const std::chrono::nanoseconds worked = Worked() - began_;
    if (worked < kPiece) return;
    const double ease = ease_();
    if (ease > 0) rest_(std::chrono::duration_cast<std::chrono::nanoseconds>(std::min(worked, kLongestPiece) * ease));
    began_ = Worked();
    piece_ = Clock::now();
  }

  static constexpr int kStepsAtOnce = 16;
  // Shorter than what a call takes from the client and back: on few processors, whoever serves would wait for the end
  // of a piece.
  static constexpr std::chrono::microseconds kPiece{150};
  // What cannot be divided, such as a transaction's end, is not made up for by as long a rest.
  static constexpr std::chrono::nanoseconds kLongestPiece = std::chrono::milliseconds(5);

 private:
  using Clock = std::chrono::steady_clock;

  // Of this thread, on a processor.
  static std::chrono::nanoseconds Worked() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  const std::function<double()> ease_;
  const Rest rest_;
  std::chrono::nanoseconds began_ = Worked();  // the piece, in this thread's time
  Clock::time_point piece_ = Clock::now();     // the same, in all time
  unsigned steps_ = 0;
};

}  // namespace strata::vfs
