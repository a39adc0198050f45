// Two machines, as the server takes them for, that lock one file (NLM). What one holds the other never gets, over any
// number of deaths of the server: the holder claims it again, as a client that is told of a restart does.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "tests/e2e/wire.h"
#include "tests/soak/findings.h"
#include "tests/soak/pulse.h"

namespace strata::soak {

class Locker {
 public:
  // `port`: where the server is; 0 while it is down.
  Locker(std::uint64_t seed, std::function<std::uint16_t()> port, Findings& findings, Pulse& pulse);
  // Locks and gives up until then. What is held stays so.
  void Run(const std::atomic<bool>& over);

  std::uint64_t grants() const { return grants_; }
  std::uint64_t claims() const { return claims_; }

 private:
  // nlm4_stats, or that no answer came.
  enum class Answer : std::uint32_t { kGranted = 0, kDenied = 1, kNoLocks = 2, kGrace = 4, kNone = ~0u };

  bool Connect();
  void Step();
  Answer Lock(int who, bool claims);
  Answer Unlock(int who);
  Answer Call(int who, std::uint32_t procedure, const std::string& arguments);
  void Wrong(const std::string& text);

  const std::function<std::uint16_t()> port_;
  Findings& findings_;
  Pulse& pulse_;
  std::mt19937_64 random_;
  std::unique_ptr<e2e::Wire> wires_[2];  // null: not connected
  std::string handle_;
  std::optional<int> holder_;  // who has heard that it has the lock, and has not given it up
  bool claimed_ = false;       // in this life of the server
  double waits_since_ = 0;     // how long nobody has been granted anything, in this life
  std::uint64_t grants_ = 0, claims_ = 0;
};

}  // namespace strata::soak
