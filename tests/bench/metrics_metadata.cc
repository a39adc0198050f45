// Measurements that read names and attributes.
#include <cstring>

#include "tests/bench/metrics.h"
#include "tests/bench/support.h"

namespace nfsbench {
namespace {

constexpr double kLatencyLimitSeconds = 30;
constexpr int kPasses = 2;

// Two passes over the large directory, one call in flight: cookies chain.
Sample RunListing(Target& target, const Options& options, Pool& pool, Procedure procedure) {
  const Handle& directory = target.NeedLargeDirectory(pool, options);
  Sample sample;
  std::uint64_t entries = 0;
  std::uint64_t calls = 0;
  const Stopwatch stopwatch(target.spec().pid);
  for (int pass = 0; pass < kPasses && sample.errors == 0; ++pass) {
    Call call;
    call.procedure = procedure;
    call.handle = &directory;
    call.dircount = options.dircount;
    call.count = options.maxcount;
    for (;;) {
      const Reply reply = pool.One(call);
      ++calls;
      if (!reply.ok()) {
        ++sample.errors;
        sample.note = "status " + std::to_string(reply.status);
        break;
      }
      entries += reply.entries;
      if (reply.eof || reply.entries == 0) break;
      if (reply.cookie == call.offset) {
        ++sample.errors;
        sample.note = "the same page again: the listing does not end";
        break;
      }
      call.offset = reply.cookie;
      std::memcpy(call.verifier, reply.verifier, sizeof call.verifier);
    }
  }
  stopwatch.Finish(static_cast<double>(entries), sample);
  if (sample.errors == 0) {
    if (entries < std::uint64_t{kPasses} * options.directory_entries) ++sample.errors;
    sample.note = std::to_string(entries / kPasses) + " entries in " + std::to_string(calls / kPasses) + " calls";
  }
  return sample;
}

}  // namespace

Sample RunNull(Target& target, const Options& options, Pool& pool, int) {
  return RunForATime(target, pool, options.depth, options.seconds,
                     [](std::uint64_t, Call& call) { call.procedure = Procedure::kNull; });
}

Sample RunGetattr(Target& target, const Options& options, Pool& pool, int) {
  target.NeedNames(pool, options);
  return RunForATime(target, pool, options.depth, options.seconds, [&](std::uint64_t i, Call& call) {
    call.procedure = Procedure::kGetattr;
    call.handle = &target.names()[i % kNames];
  });
}

Sample RunLookup(Target& target, const Options& options, Pool& pool, int) {
  target.NeedNames(pool, options);
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < kNames; ++i) names.push_back(NumberedName("name", i));
  return RunForATime(target, pool, options.depth, options.seconds, [&](std::uint64_t i, Call& call) {
    call.procedure = Procedure::kLookup;
    call.handle = &target.names_directory();
    call.name = names[i * 7 % kNames];
  });
}

Sample RunReaddirplus(Target& target, const Options& options, Pool& pool, int) {
  return RunListing(target, options, pool, Procedure::kReaddirplus);
}

Sample RunReaddir(Target& target, const Options& options, Pool& pool, int) {
  return RunListing(target, options, pool, Procedure::kReaddir);
}

Sample RunGetattrLatency(Target& target, const Options& options, Pool& pool, int) {
  target.NeedNames(pool, options);
  std::vector<std::uint32_t> latencies;
  latencies.reserve(options.latency_samples + 1);
  Sample sample = RunForATime(
      target, pool, 1, kLatencyLimitSeconds,
      [&](std::uint64_t i, Call& call) {
        call.procedure = Procedure::kGetattr;
        call.handle = &target.names()[i % kNames];
      },
      0, &latencies, options.latency_samples);
  sample.SetLatencies(latencies);
  return sample;
}

}  // namespace nfsbench
