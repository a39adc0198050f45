// Strata's log: one line an event, key=value. spdlog stands behind it, in one place.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace strata::log {

void Debug(std::string_view line);
void Info(std::string_view line);
void Warning(std::string_view line);
void Error(std::string_view line);

// For what a client can cause in a loop: says yes a few times a minute. Thread-safe.
class RateLimit {
 public:
  bool Allow();

 private:
  std::atomic<std::int64_t> minute_{-1};
  std::atomic<std::uint32_t> count_{0};
};

}  // namespace strata::log
