#include "tests/soak/findings.h"

#include <chrono>
#include <cstdio>

namespace strata::soak {

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

const char* NameOf(Invariant invariant) {
  switch (invariant) {
    case Invariant::kSpaceComesBack:
      return "space comes back";
    case Invariant::kFullDiskEmpties:
      return "a full disk can be emptied";
    case Invariant::kDurableInTime:
      return "durable within the interval";
    case Invariant::kMemory:
      return "memory";
    case Invariant::kHandles:
      return "descriptors and mappings";
    case Invariant::kIdle:
      return "nothing to do, nothing done";
    case Invariant::kNoCallWaits:
      return "no call waits";
    case Invariant::kEndsInTime:
      return "SIGTERM ends it";
    case Invariant::kNothingLost:
      return "nothing lost, nothing torn";
    case Invariant::kLocksHold:
      return "locks hold";
  }
  return "?";
}

void Findings::Note(Invariant invariant, double amount, const std::string& text) {
  const std::lock_guard lock(mutex_);
  Found& found = found_[static_cast<std::size_t>(invariant)];
  const std::string seen = When(Now()) + ": " + text;
  if (found.count++ == 0) {
    found.first = seen;
    std::printf("soak: BROKEN %d (%s) %s\n", static_cast<int>(invariant), NameOf(invariant), found.first.c_str());
    std::fflush(stdout);
  }
  if (found.count == 1 || amount > found.worst) {
    found.worst = amount;
    found.worst_text = seen;
  }
}

std::string Findings::When(double at) const {
  char second[32];
  std::snprintf(second, sizeof second, "at second %.1f", at - began_);
  return second;
}

bool Findings::hopeless() const {
  const std::lock_guard lock(mutex_);
  return hopeless_;
}

void Findings::GiveUp() {
  const std::lock_guard lock(mutex_);
  hopeless_ = true;
}

bool Findings::Has(Invariant invariant) const {
  const std::lock_guard lock(mutex_);
  return found_[static_cast<std::size_t>(invariant)].count != 0;
}

std::string Findings::Report() const {
  const std::lock_guard lock(mutex_);
  std::string report;
  for (std::size_t i = 1; i <= kInvariants; ++i) {
    const Found& found = found_[i];
    if (found.count == 0) continue;
    report += "invariant " + std::to_string(i) + " (" + NameOf(static_cast<Invariant>(i)) + ") is broken, seen " +
              std::to_string(found.count) + " times\n  first " + found.first + "\n";
    if (found.worst_text != found.first) report += "  worst " + found.worst_text + "\n";
  }
  return report;
}

}  // namespace strata::soak
