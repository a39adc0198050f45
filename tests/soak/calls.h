// How long calls wait for their answers.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "tests/soak/findings.h"
#include "tests/soak/pulse.h"

namespace strata::soak {

// Thread-safe.
class Calls {
 public:
  static constexpr double kLongest = 1.0;  // seconds

  Calls(Findings& findings, const Pulse& pulse) : findings_(findings), pulse_(pulse) {}
  void Note(const std::string& what, double sent, double answered) {
    const double took = answered - sent;
    const double ours = took < kLongest / 4 ? took : pulse_.Ours(sent, answered);
    if (ours > kLongest) {
      findings_.Note(Invariant::kNoCallWaits, ours,
                     what + " was answered after " + std::to_string(took) + " s (" + std::to_string(ours) +
                         " s on a quiet machine)");
    }
    const std::lock_guard lock(mutex_);
    ++count_;
    if (ours <= longest_) return;
    longest_ = ours;
    longest_what_ = what + " " + findings_.When(sent);
  }
  std::uint64_t count() const { return Locked(count_); }
  double longest() const { return Locked(longest_); }
  std::string longest_what() const { return Locked(longest_what_); }

 private:
  template <typename T>
  T Locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  Findings& findings_;
  const Pulse& pulse_;
  mutable std::mutex mutex_;
  std::uint64_t count_ = 0;
  double longest_ = 0;
  std::string longest_what_;
};

}  // namespace strata::soak
