#include "store/index/log_watch.h"

#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace strata::store {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kLooks = 10;  // within the patience

// Sleeps so long, or until `stop` is asked for.
void Rest(const std::stop_token& stop, std::chrono::nanoseconds time) {
  std::mutex mutex;
  std::condition_variable_any wakes;
  std::unique_lock lock(mutex);
  wakes.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace

LogState LogState::Of(const std::string& path) {
  struct stat log{};
  if (::stat((path + "-wal").c_str(), &log) != 0) return {};
  return {static_cast<std::uint64_t>(log.st_size), log.st_mtim.tv_sec * 1'000'000'000 + log.st_mtim.tv_nsec};
}

std::jthread WatchLog(std::string path, const LogState& begin, const ReaderPatience& patience,
                      std::function<void(const std::stop_token&)> end) {
  return std::jthread([path = std::move(path), begin, patience, end = std::move(end)](const std::stop_token& stop) {
    std::optional<Clock::time_point> changed;
    while (true) {
      Rest(stop, patience.time / kLooks);
      if (stop.stop_requested()) return;
      const LogState now = LogState::Of(path);
      if (now == begin) continue;
      if (!changed) changed = Clock::now();
      const bool grown = now.bytes >= begin.bytes + patience.log_bytes;
      if (grown || Clock::now() - *changed >= patience.time) return end(stop);
    }
  });
}

}  // namespace strata::store
