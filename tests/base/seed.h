// What a long test is told by the environment.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace strata {

// The variable as a number; `otherwise` where it is not set.
inline std::uint64_t NumberFromEnvironment(const char* variable, std::uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

// STRATA_SEED, or one by chance; printed, so that the run can be repeated.
inline std::uint64_t SeedOfRun() {
  const std::uint64_t seed = NumberFromEnvironment("STRATA_SEED", std::random_device{}());
  std::printf("STRATA_SEED=%ju\n", static_cast<std::uintmax_t>(seed));
  std::fflush(stdout);
  return seed;
}

}  // namespace strata
