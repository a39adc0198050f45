// Measurements of locks (NLM). All of them are exclusive, and LOCK says that it may wait, as flock(2) and F_SETLKW do.
#include <algorithm>

#include "tests/bench/metrics.h"
#include "tests/bench/support.h"

namespace nfsbench {
namespace {

constexpr int kTurns = 16;
constexpr std::uint32_t kOwners = 1000;
constexpr std::uint64_t kStride = 48271;  // a prime, which no number of locks is likely to be a multiple of

Sample LeftOut() {
  Sample sample;
  sample.left_out = true;
  sample.note = "the server has no NLM on NFS's port, or grants no locks";
  return sample;
}

// Which file and range, by the number of the slot's pairs so far.
using MakeLock = std::function<void(std::uint64_t pair, std::uint32_t slot, Call& call)>;

// Each slot is an owner, takes a lock and gives it up.
Sample RunPairsFor(double seconds, Target& target, const Options& options, Pool& pool, const MakeLock& what) {
  struct Slot {
    std::uint64_t pair = 0;
    bool holds = false;
  };
  std::vector<Slot> slots(options.depth);
  std::uint64_t pairs = 0;
  Sample sample;
  const Stopwatch stopwatch(target.spec().pid);
  const std::uint64_t end = NowNs() + static_cast<std::uint64_t>(seconds * 1e9);
  pool.Run(
      [&](std::uint32_t index, const Reply* previous, Call& call) {
        Slot& slot = slots[index];
        if (previous != nullptr) {
          if (!previous->ok()) ++sample.errors;
          if (!slot.holds) {
            ++pairs;
            ++slot.pair;
          }
        }
        if (!slot.holds && NowNs() >= end) return false;
        slot.holds = !slot.holds;
        call.procedure = slot.holds ? Procedure::kNlmLock : Procedure::kNlmUnlock;
        call.owner = index;
        what(slot.pair, index, call);
        return true;
      },
      options.depth);
  stopwatch.Finish(static_cast<double>(pairs), sample);
  return sample;
}

// In short turns with GETATTR: a shared machine is not as fast in one second as in the next.
Sample RunPairs(Target& target, const Options& options, Pool& pool, const MakeLock& what) {
  const double turn = options.seconds / kTurns;
  Sample pairs, getattrs;
  for (int i = 0; i < kTurns; ++i) {
    pairs.Add(RunPairsFor(turn, target, options, pool, what));
    getattrs.Add(RunForATime(target, pool, options.depth, turn / 2, [&](std::uint64_t number, Call& call) {
      call.procedure = Procedure::kGetattr;
      call.handle = &target.names()[number % kNames];
    }));
  }
  pairs.errors += getattrs.errors;
  if (pairs.work > 0 && getattrs.server_cpu > 0)
    pairs.getattrs = (pairs.server_cpu / pairs.work) / (getattrs.server_cpu / getattrs.work);
  return pairs;
}

enum class Held { kRanges, kOwners, kFiles };

// Options::locks calls of one kind, each of a lock of its own. Neither the ranges nor the files are in their order.
Pool::MakeCall OfMany(Procedure procedure, Held held, const std::vector<Handle>& files, std::uint32_t locks) {
  return [procedure, held, &files, locks](std::uint64_t i, Call& call) {
    const std::uint64_t at = i * kStride % locks;
    call.procedure = procedure;
    call.handle = &files[held == Held::kFiles ? at : 0];
    call.owner = held == Held::kOwners ? static_cast<std::uint32_t>(at % kOwners) : 0;
    // Every second byte, so that no two are one.
    call.offset = held == Held::kFiles ? 0 : 2 * at;
    call.count = 1;
  };
}

// All are taken, and then given up; which of the two is the result?
Sample RunMany(Target& target, const Options& options, Pool& pool, Held held, bool want_locks) {
  if (!target.NeedLocks(pool, options)) return LeftOut();
  if (options.locks % kStride == 0) Die("--locks must be no multiple of %d", static_cast<int>(kStride));
  const std::vector<Handle>& files = held == Held::kFiles ? target.NeedLockFiles(pool, options) : target.names();
  Sample before;
  Stopwatch(target.spec().pid).Finish(0, before);
  const auto run = [&](Procedure procedure) {
    return RunCount(target, pool, options.depth, options.locks, OfMany(procedure, held, files, options.locks));
  };
  Sample locked = run(Procedure::kNlmLock);
  Sample unlocked = run(Procedure::kNlmUnlock);
  locked.note = unlocked.note = "with all held RSS was " + std::to_string(locked.rss_kb) + " kB, and " +
                                std::to_string(before.rss_kb) + " kB before";
  return want_locks ? locked : unlocked;
}

}  // namespace

// Ranges of one file.
Sample RunLockUnlock(Target& target, const Options& options, Pool& pool, int) {
  if (!target.NeedLocks(pool, options)) return LeftOut();
  return RunPairs(target, options, pool, [&](std::uint64_t, std::uint32_t slot, Call& call) {
    call.handle = &target.names()[0];
    call.offset = std::uint64_t{2} * slot;
    call.count = 1;
  });
}

// Each of a whole file, which nobody else locks where there are no more slots than files.
Sample RunLockUnlockFiles(Target& target, const Options& options, Pool& pool, int) {
  if (!target.NeedLocks(pool, options)) return LeftOut();
  const std::uint32_t each = std::max(kNames / options.depth, 1u);
  return RunPairs(target, options, pool, [&](std::uint64_t pair, std::uint32_t slot, Call& call) {
    call.handle = &target.names()[(slot * each + pair % each) % kNames];
    call.count = 0;
  });
}

Sample RunLockRanges(Target& target, const Options& options, Pool& pool, int) {
  return RunMany(target, options, pool, Held::kRanges, true);
}

Sample RunUnlockRanges(Target& target, const Options& options, Pool& pool, int) {
  return RunMany(target, options, pool, Held::kRanges, false);
}

Sample RunLockOwners(Target& target, const Options& options, Pool& pool, int) {
  return RunMany(target, options, pool, Held::kOwners, true);
}

Sample RunUnlockOwners(Target& target, const Options& options, Pool& pool, int) {
  return RunMany(target, options, pool, Held::kOwners, false);
}

Sample RunLockFiles(Target& target, const Options& options, Pool& pool, int) {
  return RunMany(target, options, pool, Held::kFiles, true);
}

Sample RunUnlockFiles(Target& target, const Options& options, Pool& pool, int) {
  return RunMany(target, options, pool, Held::kFiles, false);
}

}  // namespace nfsbench
