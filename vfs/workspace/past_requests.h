// The requests whose changes the journal holds: what a client that heard no answer may ask for again after a restart
// (spec nfsv3 1.6).
#pragma once

#include <deque>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "journal/change_log.h"

namespace strata::vfs {

// How many requests are remembered over a restart, and from how much of the journal's end.
inline constexpr std::size_t kMaxPastRequests = 4096;
inline constexpr std::uint64_t kPastRequestBytes = 32 << 20;

struct FoundRequest {
  std::vector<std::byte> request;
  InodeNumber made;
  Generation generation;
  Lsn record = {};             // where it is said
  std::uint64_t distance = 0;  // the same, without what the cleaner wrote before
};

struct PastRequestsFound {
  std::deque<FoundRequest> requests;
  std::uint64_t moved = 0;  // bytes that the cleaner wrote between
};

// The last requests of the journal, the oldest first, of records from `from` on. Where a record before `sound` does not
// check, those from there to `sound` are left out, with a warning.
Result<PastRequestsFound> FindPastRequests(journal::ChangeLog& journal, Lsn from, Lsn sound);

}  // namespace strata::vfs
