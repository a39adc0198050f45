// Measurements that move file data.
#include <random>

#include "tests/bench/metrics.h"
#include "tests/bench/support.h"

namespace nfsbench {
namespace {

constexpr std::uint32_t kPage = 4096;
constexpr double kLatencyLimitSeconds = 30;

// Makes a READ of a random page of the large file.
Pool::MakeCall RandomPage(const Handle& file, std::uint64_t file_mib, unsigned seed) {
  return [&file, pages = (file_mib << 20) / kPage, random = std::mt19937_64(seed)](std::uint64_t, Call& call) mutable {
    call.procedure = Procedure::kRead;
    call.handle = &file;
    call.offset = random() % pages * kPage;
    call.count = kPage;
  };
}

}  // namespace

// A new file, one COMMIT behind it; all of it timed.
Sample RunSequentialWrite(Target& target, const Options& options, Pool& pool, int) {
  const Handle file = MakeFile(pool, target.work(), "sequential");
  Sample sample;
  const Stopwatch stopwatch(target.spec().pid);
  sample.errors = WriteLargeFile(target, pool, options, file, &sample);
  stopwatch.Finish(static_cast<double>(options.file_mib), sample);
  Remove(pool, Procedure::kRemove, target.work(), "sequential");
  return sample;
}

Sample RunSequentialRead(Target& target, const Options& options, Pool& pool, int) {
  const Handle& file = target.NeedLargeFile(pool, options);
  const std::uint32_t size = target.read_size(options);
  const std::uint64_t reads = (options.file_mib << 20) / size;
  std::uint64_t issued = 0;
  Sample sample;
  const Stopwatch stopwatch(target.spec().pid);
  pool.Run(
      [&](std::uint32_t, const Reply* previous, Call& call) {
        if (previous != nullptr && (!previous->ok() || previous->count != size)) ++sample.errors;
        if (issued == reads) return false;
        call.procedure = Procedure::kRead;
        call.handle = &file;
        call.offset = issued++ * size;
        call.count = size;
        return true;
      },
      options.sequential_depth);
  stopwatch.Finish(static_cast<double>(reads) * size / (1 << 20), sample);
  sample.note = "rsize " + std::to_string(size);
  return sample;
}

Sample RunRandomRead(Target& target, const Options& options, Pool& pool, int repetition) {
  const Handle& file = target.NeedLargeFile(pool, options);
  return RunForATime(target, pool, options.depth, options.seconds,
                     RandomPage(file, options.file_mib, static_cast<unsigned>(repetition) + 17), kPage);
}

Sample RunReadLatency(Target& target, const Options& options, Pool& pool, int repetition) {
  const Handle& file = target.NeedLargeFile(pool, options);
  std::vector<std::uint32_t> latencies;
  latencies.reserve(options.latency_samples + 1);
  Sample sample = RunForATime(target, pool, 1, kLatencyLimitSeconds,
                              RandomPage(file, options.file_mib, static_cast<unsigned>(repetition) + 3), kPage,
                              &latencies, options.latency_samples);
  sample.SetLatencies(latencies);
  return sample;
}

}  // namespace nfsbench
