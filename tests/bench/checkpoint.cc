#include "tests/bench/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <thread>

#include "tests/bench/options.h"
#include "tests/bench/pool.h"
#include "tests/bench/sample.h"
#include "tests/bench/server_log.h"
#include "tests/bench/support.h"
#include "tests/bench/target.h"

namespace nfsbench {
namespace {

constexpr std::uint32_t kFileBytes = 4096;
constexpr std::uint64_t kDirectories = 64;
// Load comes in bursts, so that there is load without a checkpoint too: one that rests between its pieces would else be
// under way all the time. In between what the last burst left is worked off.
constexpr double kBurstSeconds = 1.5;
constexpr useconds_t kRestMicroseconds = 2'000'000;
constexpr useconds_t kPauseBeside = 500;  // of the calls beside the creators: they are to see, not to load

enum What : std::uint32_t { kCreate, kWrite, kGetattr, kRead, kWhats };
constexpr std::array<const char*, kWhats> kNamesOfWhats = {"create", "write", "getattr", "read"};

struct Answered {
  std::uint64_t began, ended;  // NowNs()
  What what;
};

struct Heard {
  std::vector<Answered> calls;
  std::uint64_t errors = 0;
};

struct Span {
  std::uint64_t begin, end;  // NowNs()
};

// Each slot makes a file and writes it, then the next one, until `end`; they are numbered from `files` on, which counts
// them.
void Create(Pool& pool, std::uint32_t creators, const std::vector<Handle>& directories, std::uint64_t end,
            std::uint64_t& files, Heard& heard) {
  struct Slot {
    bool created = false;
    std::uint64_t began = 0;
    Handle file;
  };
  std::vector<Slot> slots(creators);
  pool.Run(
      [&](std::uint32_t index, const Reply* previous, Call& call) {
        Slot& slot = slots[index];
        const std::uint64_t now = NowNs();
        if (previous != nullptr) {
          heard.calls.push_back({slot.began, now, slot.created ? kWrite : kCreate});
          if (!previous->ok()) ++heard.errors;
          slot.created = !slot.created && previous->ok();
          if (slot.created) slot.file = previous->handle;
        }
        slot.began = now;
        if (slot.created) {
          call.procedure = Procedure::kWrite;
          call.handle = &slot.file;
          call.count = kFileBytes;
          call.stable = kFileSync;
          call.data = Payload().data();
          return true;
        }
        if (now >= end) return false;
        call.procedure = Procedure::kCreate;
        call.handle = &directories[files % directories.size()];
        call.name = NumberedName("f", files++);
        return true;
      },
      creators);
}

void LookOn(Pool& pool, const std::vector<Handle>& names, const Handle& large, std::uint64_t pages,
            const std::atomic<bool>& over, Heard& heard) {
  for (std::uint64_t i = 0; !over.load(std::memory_order_relaxed); ++i) {
    Call call;
    const bool reads = i % 2 == 1;
    call.procedure = reads ? Procedure::kRead : Procedure::kGetattr;
    call.handle = reads ? &large : &names[i / 2 % names.size()];
    call.offset = reads ? i * 7919 % pages * kFileBytes : 0;
    call.count = kFileBytes;
    const std::uint64_t began = NowNs();
    const Reply reply = pool.One(call);
    heard.calls.push_back({began, NowNs(), reads ? kRead : kGetattr});
    if (!reply.ok()) ++heard.errors;
    usleep(kPauseBeside);
  }
}

// The checkpoints' times within the bursts.
class Stretches {
 public:
  Stretches(const std::vector<CheckpointRun>& runs, const std::vector<Span>& bursts) {
    for (const Span& burst : bursts) {
      std::uint64_t with = 0;
      for (const CheckpointRun& run : runs) {
        const std::uint64_t from = std::max(run.begin, burst.begin),
                            to = std::min(run.end == 0 ? burst.end : run.end, burst.end);
        if (from >= to) continue;
        runs_.push_back(run);
        runs_.back().begin = from;
        runs_.back().end = to;
        with += to - from;
        longest_ = std::max(longest_, to - from);
      }
      with_ += with;
      without_ += burst.end - burst.begin - with;
    }
  }

  std::size_t count() const { return runs_.size(); }
  double with() const { return static_cast<double>(with_) * 1e-9; }
  double without() const { return static_cast<double>(without_) * 1e-9; }
  double longest() const { return static_cast<double>(longest_) * 1e-9; }
  // Whether one ran at some time between.
  bool Meets(std::uint64_t from, std::uint64_t to) const {
    const auto after = std::ranges::upper_bound(runs_, from, {}, &CheckpointRun::end);
    return after != runs_.end() && after->begin <= to;
  }

 private:
  std::vector<CheckpointRun> runs_;
  std::uint64_t with_ = 0, without_ = 0, longest_ = 0;
};

void PrintCalls(const char* label, What what, const char* when, std::vector<std::uint32_t>& latencies) {
  Sample sample;
  sample.SetLatencies(latencies);
  std::printf(
      "{\"metric\":\"checkpoint_%s_%s\",\"server\":\"%s\",\"unit\":\"us_p50\",\"median\":%.1f,\"p50_us\":%.1f,\"p99_"
      "us\":%.1f,"
      "\"p999_us\":%.1f,\"max_us\":%.1f,\"work\":%zu,\"errors\":0}\n",
      kNamesOfWhats[what], when, label, sample.p50, sample.p50, sample.p99, sample.p999, sample.slowest,
      latencies.size());
}

int Report(const char* label, const Heard& heard, const Stretches& stretches, const std::vector<Span>& bursts) {
  std::array<std::array<std::vector<std::uint32_t>, 2>, kWhats> latencies;
  std::array<std::uint64_t, 2> files{};
  for (const Answered& call : heard.calls) {
    const auto burst = std::ranges::upper_bound(bursts, call.ended, {}, &Span::end);
    if (burst == bursts.end() || call.began < burst->begin) continue;
    const auto took = static_cast<std::uint32_t>(std::min<std::uint64_t>(call.ended - call.began, ~0u));
    latencies[call.what][stretches.Meets(call.began, call.ended)].push_back(took);
    if (call.what == kWrite) ++files[stretches.Meets(call.ended, call.ended)];
  }
  const double with = stretches.with() > 0 ? static_cast<double>(files[1]) / stretches.with() : 0;
  const double without = stretches.without() > 0 ? static_cast<double>(files[0]) / stretches.without() : 0;
  std::printf(
      "{\"metric\":\"checkpoint_rate\",\"server\":\"%s\",\"unit\":\"files/"
      "s\",\"median\":%.1f,\"with\":%.1f,\"without\":%.1f,\"ratio\":%.3f,"
      "\"checkpoints\":%zu,\"secs_with\":%.2f,\"secs_without\":%.2f,\"longest_ms\":%.0f,\"errors\":%llu}\n",
      label, with, with, without, without > 0 ? with / without : 0, stretches.count(), stretches.with(),
      stretches.without(), stretches.longest() * 1e3, static_cast<unsigned long long>(heard.errors));
  for (std::uint32_t what = 0; what < kWhats; ++what) {
    PrintCalls(label, static_cast<What>(what), "without", latencies[what][0]);
    PrintCalls(label, static_cast<What>(what), "with", latencies[what][1]);
  }
  if (stretches.count() == 0) Die("no checkpoint ran: longer, with --secs");
  return heard.errors == 0 ? 0 : 1;
}

}  // namespace

int CheckpointMain(std::vector<std::string> arguments) {
  const std::string log = TakeOption(arguments, "--log", "");
  const auto creators = static_cast<std::uint32_t>(std::stoul(TakeOption(arguments, "--creators", "64")));
  if (log.empty()) Die("checkpoint: --log wants the server's log");
  if (creators == 0) Die("checkpoint: --creators is at least 1");
  Options options = ParseOptions(arguments);
  options.file_mib = std::min<std::uint64_t>(options.file_mib, 64);

  Payload();
  Target target(options.targets.front(), options);
  Pool pool(target.spec(), options, options.connections);
  Pool beside(target.spec(), options, 1);
  target.NeedNames(pool, options);
  const Handle& large = target.NeedLargeFile(pool, options);
  std::vector<Handle> directories;
  for (std::uint64_t i = 0; i < kDirectories; ++i)
    directories.push_back(MakeDirectory(pool, target.work(), NumberedName("d", i)));

  Heard made, seen;
  std::atomic<bool> over = false;
  std::thread looker([&] { LookOn(beside, target.names(), large, (options.file_mib << 20) / kFileBytes, over, seen); });
  std::vector<Span> bursts;
  std::uint64_t files = 0;
  for (double left = options.seconds; left > 0; left -= kBurstSeconds) {
    if (!bursts.empty()) ::usleep(kRestMicroseconds);
    const std::uint64_t begin = NowNs();
    bursts.push_back({begin, begin + static_cast<std::uint64_t>(std::min(left, kBurstSeconds) * 1e9)});
    Create(pool, creators, directories, bursts.back().end, files, made);
  }
  over.store(true);
  looker.join();

  const Stretches stretches(ReadCheckpoints(log), bursts);
  made.calls.insert(made.calls.end(), seen.calls.begin(), seen.calls.end());
  made.errors += seen.errors;
  return Report(target.spec().label.c_str(), made, stretches, bursts);
}

}  // namespace nfsbench
