// Journal: the append-only log of every change of a workspace. It is the truth. Grammar: docs/formats/journal.md.
//
// A position (Lsn) is a byte position in the log. Segment k is one file and holds the positions [k * S, (k + 1) * S), S
// being the segment size. Its first kSegmentHeaderBytes are its header. A record never spans segments. The rest of a
// segment that a record did not fit in is unused. So a position leads to its segment by a division, and a READ of file
// data in a record reads the mapped segment.
//
// Appending copies small records into a buffer. Flush hands the buffer to the operating system in one write. Sync waits
// for one fdatasync that serves all who wait (group commit). A large payload is written straight from the caller's
// memory.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/env.h"
#include "base/ids.h"
#include "base/status.h"
#include "journal/change_log.h"

namespace strata::journal {

inline constexpr std::uint64_t kDefaultSegmentSize = 64ULL << 20;
inline constexpr std::uint64_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kMaxHeadBytes = 64 << 10;

struct JournalOptions {
  std::uint64_t segment_size = kDefaultSegmentSize;  // of a new journal; an old one keeps its own
  bool read_only = false;                            // never writes, cuts nothing; Append fails with kReadOnly
  std::uint64_t volume_id = 0;                       // must match that in the segments' headers
  // A record that is known to be durable, as `check` of its frame. If it is there, what lies before it is not read when
  // the journal is opened: damage there is found when it is read.
  struct Known {
    Lsn begin;
    std::uint32_t check = 0;
  };
  std::optional<Known> known = {};
  // For a repair: the journal is what lies before this position (where a record begins or ends), whatever was promised
  // behind it.
  std::optional<Lsn> ends_at = {};
  // Bytes of the mapped segments that reading may hold in this process's memory. Beyond, small reads are copied, and
  // for large ones pages are let go.
  std::uint64_t mapped_bytes = 64 << 20;
  // Segments whose files and mappings are held at once; 0 for as many as this process may well open.
  std::size_t open_segments = 0;
  std::function<void(const Status&)> on_failure =
      {};  // told once, from any thread, when the journal fails for good; must not use it
  // Room on the disk that is kept, as a file of this size, for appends with Room::kReserve; 0 for none.
  std::uint64_t reserve_bytes = 0;
  // The journal syncs by itself, so that nothing which was appended stays undurable for longer; 0 for never.
  std::int64_t sync_interval_ns = 0;
};

class Journal : public ChangeLog {
 public:
  // Opens the journal in `directory`, made if missing, finds its end and, unless read-only, cuts a torn tail.
  // Everything that is found is durable when Open returns (unless read-only). kCorrupt, with what to do next, where a
  // record before the tail does not check.
  static Result<std::unique_ptr<Journal>> Open(Env& env, const std::string& directory, const JournalOptions& options);

  Result<Appended> Append(const Change& change) final;
  // The same with the bytes of a record as they are to lie there.
  virtual Result<Appended> Append(ByteSpan head, ByteSpan payload, Room room = Room::kOrdinary) = 0;
};

}  // namespace strata::journal
