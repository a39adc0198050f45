#include "tests/bench/server_log.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>

#include "tests/bench/support.h"

namespace nfsbench {
namespace {

// "2026-11-21T09:41:02.123 ..." in local time as NowNs() would have said; 0 if it is none.
std::uint64_t TimeOf(const std::string& line) {
  std::tm local{};
  unsigned milliseconds = 0;
  if (std::sscanf(line.c_str(), "%d-%d-%dT%d:%d:%d.%u", &local.tm_year, &local.tm_mon, &local.tm_mday, &local.tm_hour,
                  &local.tm_min, &local.tm_sec, &milliseconds) != 7) {
    return 0;
  }
  local.tm_year -= 1900;
  local.tm_mon -= 1;
  local.tm_isdst = -1;
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t ago = (static_cast<std::int64_t>(now.tv_sec) - std::mktime(&local)) * 1'000'000'000 + now.tv_nsec -
                           std::int64_t{milliseconds} * 1'000'000;
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(NowNs()) - ago);
}

// The number behind " KEY=".
std::uint64_t Value(const std::string& line, const std::string& key) {
  const auto at = line.find(" " + key + "=");
  return at == std::string::npos ? 0 : std::strtoull(line.c_str() + at + key.size() + 2, nullptr, 10);
}

}  // namespace

std::vector<CheckpointRun> ReadCheckpoints(const std::string& path) {
  std::ifstream file(path);
  if (!file) Die("the log %s cannot be read", path.c_str());
  std::vector<CheckpointRun> runs;
  for (std::string line; std::getline(file, line) && !file.eof();) {
    if (line.find("event=checkpoint_begun") != std::string::npos) {
      // One that failed has no end of its own.
      if (!runs.empty() && runs.back().end == 0) runs.back().end = TimeOf(line);
      runs.push_back({TimeOf(line), 0, Value(line, "to") - Value(line, "from"), 0});
    } else if (line.find("event=checkpoint_ended") != std::string::npos && !runs.empty()) {
      runs.back().end = TimeOf(line);
      runs.back().records = Value(line, "records");
    }
  }
  return runs;
}

}  // namespace nfsbench
