#include "base/log.h"

#include <spdlog/spdlog.h>

#include <chrono>

namespace strata::log {
namespace {

constexpr std::uint32_t kLinesAMinute = 10;

spdlog::logger& Logger() {
  // The library makes its registry under a guard of its own, which ThreadSanitizer does not see; this one it does.
  [[maybe_unused]] static const bool made = spdlog::default_logger_raw() != nullptr;
  return *spdlog::default_logger_raw();
}

}  // namespace

void Debug(std::string_view line) { Logger().debug(line); }
void Info(std::string_view line) { Logger().info(line); }
void Warning(std::string_view line) { Logger().warn(line); }
void Error(std::string_view line) { Logger().error(line); }

bool RateLimit::Allow() {
  const auto now =
      std::chrono::duration_cast<std::chrono::minutes>(std::chrono::steady_clock::now().time_since_epoch()).count();
  if (minute_.exchange(now, std::memory_order_relaxed) != now) count_.store(0, std::memory_order_relaxed);
  return count_.fetch_add(1, std::memory_order_relaxed) < kLinesAMinute;
}

}  // namespace strata::log
