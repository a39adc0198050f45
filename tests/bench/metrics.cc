#include "tests/bench/metrics.h"

#include <algorithm>
#include <array>

#include "tests/bench/support.h"

namespace nfsbench {
namespace {

constexpr std::array kMetrics = {
    Metric{"null", "ops/s", Depth::kOptions, RunNull},
    Metric{"getattr", "ops/s", Depth::kOptions, RunGetattr},
    Metric{"lookup", "ops/s", Depth::kOptions, RunLookup},
    Metric{"create_write4k_filesync", "files/s", Depth::kOptions, RunCreateFileSync},
    Metric{"create_write4k_unstable_commit", "files/s", Depth::kOptions, RunCreateCommit},
    Metric{"create64_write4k_filesync", "files/s", Depth::kSixtyFour, RunCreateFileSync64},
    Metric{"create64_write4k_unstable_commit", "files/s", Depth::kSixtyFour, RunCreateCommit64},
    Metric{"remove", "ops/s", Depth::kOptions, RunRemove},
    Metric{"mkdir", "ops/s", Depth::kOptions, RunMkdir},
    Metric{"rmdir", "ops/s", Depth::kOptions, RunRmdir},
    Metric{"rename", "ops/s", Depth::kOptions, RunRename},
    Metric{"seq_write", "MiB/s", Depth::kSequential, RunSequentialWrite},
    Metric{"seq_read", "MiB/s", Depth::kSequential, RunSequentialRead},
    Metric{"rand_read4k", "ops/s", Depth::kOptions, RunRandomRead},
    Metric{"readdirplus", "entries/s", Depth::kOne, RunReaddirplus},
    Metric{"readdir", "entries/s", Depth::kOne, RunReaddir},
    Metric{"lock_unlock", "pairs/s", Depth::kOptions, RunLockUnlock},
    Metric{"lock_unlock_files", "pairs/s", Depth::kOptions, RunLockUnlockFiles},
    Metric{"lock_many_ranges", "calls/s", Depth::kOptions, RunLockRanges},
    Metric{"unlock_many_ranges", "calls/s", Depth::kOptions, RunUnlockRanges},
    Metric{"lock_many_owners", "calls/s", Depth::kOptions, RunLockOwners},
    Metric{"unlock_many_owners", "calls/s", Depth::kOptions, RunUnlockOwners},
    Metric{"lock_many_files", "calls/s", Depth::kOptions, RunLockFiles},
    Metric{"unlock_many_files", "calls/s", Depth::kOptions, RunUnlockFiles},
    Metric{"lat_getattr", "us_p50", Depth::kOne, RunGetattrLatency},
    Metric{"lat_read4k", "us_p50", Depth::kOne, RunReadLatency},
};

}  // namespace

std::span<const Metric> AllMetrics() { return kMetrics; }

const Metric* FindMetric(std::string_view name) {
  const auto* found = std::ranges::find(kMetrics, name, &Metric::name);
  return found == kMetrics.end() ? nullptr : found;
}

std::uint32_t DepthOf(const Metric& metric, const Options& options) {
  switch (metric.depth) {
    case Depth::kOne:
      return 1;
    case Depth::kSequential:
      return options.sequential_depth;
    case Depth::kSixtyFour:
      return 64;
    case Depth::kOptions:
      break;
  }
  return options.depth;
}

Sample RunForATime(Target& target, Pool& pool, std::uint32_t depth, double seconds, const Pool::MakeCall& make,
                   std::uint32_t expected_count, std::vector<std::uint32_t>* latencies, std::uint64_t most) {
  Sample sample;
  std::uint64_t answered = 0;
  std::uint64_t issued = 0;
  bool over = false;
  const Stopwatch stopwatch(target.spec().pid);
  const std::uint64_t end = NowNs() + static_cast<std::uint64_t>(seconds * 1e9);
  pool.Run(
      [&](std::uint32_t, const Reply* previous, Call& call) {
        if (previous != nullptr) {
          ++answered;
          if (!previous->ok() || (expected_count != 0 && previous->count != expected_count)) ++sample.errors;
        }
        if ((issued & 15) == 0 && NowNs() >= end) over = true;  // the clock is read for one call in 16
        if (over || issued >= most) return false;
        make(issued++, call);
        return true;
      },
      depth, latencies);
  stopwatch.Finish(static_cast<double>(answered), sample);
  return sample;
}

Sample RunCount(Target& target, Pool& pool, std::uint32_t depth, std::uint64_t count, const Pool::MakeCall& make) {
  Sample sample;
  const Stopwatch stopwatch(target.spec().pid);
  sample.errors = pool.Batch(depth, count, make);
  stopwatch.Finish(static_cast<double>(count), sample);
  return sample;
}

}  // namespace nfsbench
