// What a server's log says of its checkpoints.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nfsbench {

struct CheckpointRun {
  std::uint64_t begin = 0, end = 0;  // NowNs(), to the millisecond; end is 0 for one that has not ended
  std::uint64_t bytes = 0;           // of the journal
  std::uint64_t records = 0;
  std::uint64_t milliseconds() const { return end > begin ? (end - begin) / 1'000'000 : 0; }
};

// Those that `strata --log-level debug` wrote of into the file so far. A line that is not whole yet is not read.
std::vector<CheckpointRun> ReadCheckpoints(const std::string& path);

}  // namespace nfsbench
