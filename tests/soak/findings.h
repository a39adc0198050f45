// What the soak found wrong, by the invariant that does not hold.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

namespace strata::soak {

// Seconds of the steady clock.
double Now();

enum class Invariant : std::uint8_t {
  kSpaceComesBack = 1,  // the journal is at most 2 x what lives + 256 MiB, 10 s after the last change
  kFullDiskEmpties,     // REMOVE works on a full disk, and writing goes on within 10 s
  kDurableInTime,       // relaxed: nothing waits longer than the interval for its sync
  kMemory,              // --memory + 64 MiB
  kHandles,             // descriptors and mappings are bounded
  kIdle,                // no CPU time and no reading when nobody asks
  kNoCallWaits,         // longer than 1 s
  kEndsInTime,          // SIGTERM: 2 s
  kNothingLost,         // nor torn, nor stale
  kLocksHold,           // also over a death of the server, and new ones are granted after a while
};
inline constexpr std::size_t kInvariants = 10;
const char* NameOf(Invariant invariant);

// Thread-safe.
class Findings {
 public:
  // The first of each kind is kept and printed at once, and so is the worst; `amount` says how bad it is.
  void Note(Invariant invariant, double amount, const std::string& text);
  // Such as "at second 4.1", by Now().
  std::string When(double at) const;
  // Nothing that is seen after this says anything.
  bool hopeless() const;
  void GiveUp();
  // Whether any of these was found.
  bool Has(Invariant invariant) const;
  // A line or two for each invariant that does not hold; empty if all do.
  std::string Report() const;

 private:
  struct Found {
    std::uint64_t count = 0;
    double worst = 0;
    std::string first, worst_text;
  };
  mutable std::mutex mutex_;
  const double began_ = Now();
  std::array<Found, kInvariants + 1> found_;
  bool hopeless_ = false;
};

}  // namespace strata::soak
