// Garbage collection: removes what no name and no lease reaches.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/pack/engine.h"
#include "store/pack/problem.h"

namespace strata::store::pack {

struct CollectOptions {
  bool dry_run = false;  // counts, and changes nothing
  // Packs of which at least so much is dead are rewritten; those in which nothing lives go in any case.
  double least_dead = 0.25;
  // What was put less than this ago stays, in nanoseconds; and what was put since the oldest lease began.
  std::int64_t grace_ns = 3600LL * 1'000'000'000;
  // Also where something that is reached is missing or damaged: what only that would have led to is then removed.
  bool despite_damage = false;
  // Called now and then, with what is being done and how far it is; false stops it (kInvalid). What was removed by then
  // stays removed.
  std::function<bool(std::string_view doing, std::uint64_t done, std::uint64_t total)> progress;
  std::function<void(const Problem&)> told;
};

struct CollectReport {
  std::uint64_t names = 0, leases = 0;
  std::uint64_t live_records = 0, live_bytes = 0;  // of all packs, headers included
  std::uint64_t dead_records = 0, dead_bytes = 0;
  std::uint64_t young_bytes = 0;   // of dead_bytes: in packs in which something is too young
  std::uint64_t used_bytes = 0;    // in packs that an import uses, or a process appends to
  std::uint64_t sparse_bytes = 0;  // in packs in which much lives
  std::uint64_t freed_bytes = 0;   // what is gone; of a dry run, what would be
  std::uint64_t removed_packs = 0, rewritten_packs = 0, rewritten_bytes = 0;
  std::uint64_t problems = 0;
};

// Beside imports, readers and servers of other processes and this one. A crash at any point leaves a store that is
// whole. kBusy where another collection runs. kCorrupt where something is missing or damaged, before anything is
// removed, unless `despite_damage`.
Result<CollectReport> CollectGarbage(Engine& engine, const CollectOptions& options = {});

}  // namespace strata::store::pack
