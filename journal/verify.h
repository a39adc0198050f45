// Verify: reads all of a journal as it lies on disk and says what does not check. It goes on behind a fault as far as
// it finds records, and changes nothing. Grammar, and where a log ends: docs/formats/journal.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "journal/journal.h"

namespace strata::journal {

// A place that was durable, by the journal's own words, and does not check.
struct JournalFault {
  enum class Kind : std::uint8_t {
    kHeader,   // the header of a segment
    kMissing,  // segments between two others
    kChain,    // a segment that does not follow the one before
    kRecord,   // no whole record where there must be one
  };
  Kind kind = Kind::kRecord;
  std::string file;
  Lsn position;      // where it begins
  Lsn until;         // where sound bytes begin again, or must; position for none in between
  std::string what;  // in words
};

struct VerifiedJournal {
  std::uint64_t segments = 0, records = 0, record_bytes = 0, headers = 0;
  std::uint64_t given_up = 0;  // of the segments: stubs
  Lsn begin;                   // the first position that may hold a record
  Lsn end;                     // of the sound records from the front: the log's end, or its first fault
  Lsn promised;                // everything before was durable, by the journal's own words
  std::uint64_t tail_bytes =
      0;  // behind the end where there is no fault: of records that were not whole, and which nobody was promised
  std::uint64_t records_behind = 0;  // sound ones behind the first fault
  std::uint64_t segment_size = 0;
  std::vector<JournalFault> faults;  // in the journal's order
  std::vector<std::string> files;    // of the segments, in order
};

// Called for every record that checks; `behind`: records before it are missing.
using TakeRecord = std::function<void(const RecordView& record, bool behind)>;

// kNotFound where there is no journal, kNotSupported where it is of a newer version. `progress` hears how much of the
// bytes is read, 0 to 1.
Result<VerifiedJournal> VerifyJournal(Env& env, const std::string& directory, std::uint64_t volume_id,
                                      const TakeRecord& take, const std::function<void(double)>& progress);

}  // namespace strata::journal
