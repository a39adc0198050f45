// The measurements, as a table.
#pragma once

#include <span>
#include <string_view>

#include "tests/bench/options.h"
#include "tests/bench/sample.h"
#include "tests/bench/target.h"

namespace nfsbench {

// One repetition.
using RunMetric = Sample (*)(Target& target, const Options& options, Pool& pool, int repetition);

enum class Depth { kOne, kOptions, kSequential, kSixtyFour };

struct Metric {
  std::string_view name;
  std::string_view unit;
  Depth depth;  // calls in flight
  RunMetric run;
};

std::span<const Metric> AllMetrics();
const Metric* FindMetric(std::string_view name);
std::uint32_t DepthOf(const Metric& metric, const Options& options);

// Calls made by `make` for Options::seconds, or until `most` were made; a READ must give `expected_count` bytes where
// that is not 0.
Sample RunForATime(Target& target, Pool& pool, std::uint32_t depth, double seconds, const Pool::MakeCall& make,
                   std::uint32_t expected_count = 0, std::vector<std::uint32_t>* latencies = nullptr,
                   std::uint64_t most = ~0ull);
// `count` calls made by `make`.
Sample RunCount(Target& target, Pool& pool, std::uint32_t depth, std::uint64_t count, const Pool::MakeCall& make);

// metrics_metadata.cc
Sample RunNull(Target&, const Options&, Pool&, int);
Sample RunGetattr(Target&, const Options&, Pool&, int);
Sample RunLookup(Target&, const Options&, Pool&, int);
Sample RunReaddirplus(Target&, const Options&, Pool&, int);
Sample RunReaddir(Target&, const Options&, Pool&, int);
Sample RunGetattrLatency(Target&, const Options&, Pool&, int);
// metrics_create.cc
Sample RunCreateFileSync(Target&, const Options&, Pool&, int);
Sample RunCreateCommit(Target&, const Options&, Pool&, int);
Sample RunCreateFileSync64(Target&, const Options&, Pool&, int);
Sample RunCreateCommit64(Target&, const Options&, Pool&, int);
Sample RunRemove(Target&, const Options&, Pool&, int);
Sample RunMkdir(Target&, const Options&, Pool&, int);
Sample RunRmdir(Target&, const Options&, Pool&, int);
Sample RunRename(Target&, const Options&, Pool&, int);
// metrics_data.cc
Sample RunSequentialWrite(Target&, const Options&, Pool&, int);
Sample RunSequentialRead(Target&, const Options&, Pool&, int);
Sample RunRandomRead(Target&, const Options&, Pool&, int);
Sample RunReadLatency(Target&, const Options&, Pool&, int);
// metrics_locks.cc
Sample RunLockUnlock(Target&, const Options&, Pool&, int);
Sample RunLockUnlockFiles(Target&, const Options&, Pool&, int);
Sample RunLockRanges(Target&, const Options&, Pool&, int);
Sample RunUnlockRanges(Target&, const Options&, Pool&, int);
Sample RunLockOwners(Target&, const Options&, Pool&, int);
Sample RunUnlockOwners(Target&, const Options&, Pool&, int);
Sample RunLockFiles(Target&, const Options&, Pool&, int);
Sample RunUnlockFiles(Target&, const Options&, Pool&, int);

}  // namespace nfsbench
