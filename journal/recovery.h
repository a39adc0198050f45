// Finding the end of a journal.
//
// What was not synced when the power went may be there in part, and not from front to back: pages reach the disk in any
// order. So valid records behind a hole prove nothing by themselves. A later record (or segment header) proves damage
// if it says that the hole was durable when it was appended. Each carries the durable position of that moment. So:
//   - The log ends at the first place where no whole record lies.
//   - If anything behind says that the place was durable, bytes that were promised are gone. That is kCorrupt, and
//     nothing is changed.
//   - Else it is the torn tail. It is cut: overwritten with zeros, so that nothing stale can ever be taken for a
//     record.
//
// A damaged record that no later one vouches for cannot be told from a torn tail, and is cut with it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "journal/journal.h"
#include "journal/segment.h"

namespace strata::journal {

struct Recovered {
  std::vector<std::unique_ptr<Segment>>
      segments;  // in order, at least one; all but the last are complete, that one is open
  std::uint32_t salt = 0;
  std::uint64_t segment_size = 0;
  std::uint64_t end = 0;
  std::uint64_t cut_segments = 0;  // files that were removed at the end
  std::uint64_t cut_bytes = 0;     // what lay behind the end and was cut: records that never were whole
  std::uint32_t last_check = 0;    // Frame::check of the last record; 0 where there is none
};

// Nothing where the directory holds no journal yet. Unless `options.read_only`, cuts a torn tail and syncs what is
// left.
Result<std::optional<Recovered>> Recover(Env& env, const std::string& directory, const JournalOptions& options);

}  // namespace strata::journal
