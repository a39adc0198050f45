// ChangeLog: where a workspace tells each change, and learns again what was told. It is the truth.
//
// A position (Lsn) is a byte position in the log, which is divided into segments of one size, so that old ones can be
// given up. Whoever reads changes does not know in which format they lie. The native format is Journal's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"
#include "journal/change.h"

namespace strata::journal {

// Where a record came to lie.
struct Appended {
  Lsn begin;    // of the record's frame: what Data takes as `record`
  Lsn end;      // of the next record; Sync(end) makes this one durable
  Lsn payload;  // of the payload's first byte
};

// A record as the reader finds it; the spans stay valid while `pin` lives.
struct RecordView {
  Lsn begin;
  Lsn end;
  Lsn payload_position;
  std::uint32_t payload_size = 0;
  ByteSpan head;
  ByteSpan payload = {};    // empty from NextHead
  std::uint32_t check = 0;  // of the frame: with `begin` it names the record among those of all journals with the same
                            // salt, such as copies of one
  std::shared_ptr<const void> pin;

  // Decodes the head and visits every effect. kCorrupt for bytes that are no record head; effects before the fault may
  // have been visited. Stops at the first error a visit gives, and returns it.
  Result<RecordHeader> Visit(EffectVisitor& visitor) const;
  // The header alone.
  Result<RecordHeader> Header() const;
};

struct PinnedBytes {
  ByteSpan bytes;
  std::shared_ptr<const void> pin;
  // Nothing is pinned: the process holds as many mapped pages as it may, and so few bytes are better copied
  // (Journal::Copy).
  bool unmapped = false;
};

class ChangeLog {
 public:
  virtual ~ChangeLog() = default;

  // Appends one change. kNoSpace, kQuota: nothing was appended. A Flush or Sync that gives them has left what was
  // appended before where it was, and may succeed later. Any other error of a write, and any of a sync, ends the
  // log for good: every later Append, Flush and Sync gives it.
  virtual Result<Appended> Append(const Change& change) = 0;
  // Hands everything appended to the operating system.
  virtual Result<void> Flush() = 0;
  // Calls `done` once everything before `lsn` is durable or the log has failed. The committer's thread calls it, or
  // Sync itself where it is so already. `done` must not wait.
  virtual void Sync(Lsn lsn, std::move_only_function<void(Result<void>)> done) = 0;
  // Waits for Sync.
  Result<void> SyncAndWait(Lsn lsn);

  // The position after the last record appended, and after the last durable one.
  virtual Lsn end() const = 0;
  virtual Lsn durable() const = 0;
  // How often a flush or sync has failed: 0 or 1.
  virtual bool failed() const = 0;

  // `length` bytes at `position`, of the payload of the record that begins at `record`; flushed first if need be. They
  // lie in one segment and so in one span. A record that this process did not write is checked in full the first time.
  // kWouldBlock where that is due and `may_block` is false. kCorrupt where it does not check, or the log holds no
  // such range.
  virtual Result<PinnedBytes> Data(Lsn record, Lsn position, std::uint64_t length, bool may_block) = 0;
  // Copies out.size() bytes at `position`, for which Data gave `unmapped`. kWouldBlock where the disk would have to be
  // asked and `may_block` is false.
  virtual Result<void> Copy(Lsn position, MutableByteSpan out, bool may_block) = 0;
  // The first record at or after `from` (a record's begin or end, or 0), checked in full; nothing at the end. Flushes
  // first if need be.
  virtual Result<std::optional<RecordView>> Next(Lsn from) = 0;
  // The same with its frame and head checked and its payload not read: for who wants to know what changed, not the file
  // data.
  virtual Result<std::optional<RecordView>> NextHead(Lsn from) = 0;
  // Lets the pages that were read through the mappings leave this process's memory; they come back as they are read
  // again. Happens by itself beyond JournalOptions::mapped_bytes. This is for a quiet moment: a process that read much
  // once is then not seen to hold it for ever.
  virtual void ReleasePages() = 0;
  // Gives up the segments that lie wholly before `lsn`, which must be durable: their files are removed, the oldest
  // first. What still points into them is lost.
  virtual Result<void> Retire(Lsn lsn) = 0;
  // Gives up one complete segment, wherever it lies, but not the last. A stub replaces its file and says where its
  // records ended. Readers go on behind it. It and the beginning of the next one must be durable. What still points
  // into it is lost. Once this has failed, the file may be either.
  virtual Result<void> GiveUp(std::uint64_t segment) = 0;
  virtual bool IsGivenUp(std::uint64_t segment) const = 0;
  // The first position that may hold a record: segments before it were given up.
  virtual Lsn begin() const = 0;
  // Whether the segment of this position has not been given up.
  bool Holds(Lsn lsn) const { return lsn >= begin() && !IsGivenUp(lsn.value / segment_size()); }
  virtual std::uint64_t segment_size() const = 0;
  // Bytes that Open cut from the end: of records that were not whole when the process or the machine before stopped.
  virtual std::uint64_t cut_bytes() const = 0;
  // Whole segments that Open removed from the end: no record in them followed on.
  virtual std::uint64_t cut_segments() const = 0;
  // Bytes that the log's segments occupy on disk.
  virtual std::uint64_t disk_bytes() const = 0;
  // Bytes of records, of the segments that were not given up.
  virtual std::uint64_t held_bytes() const = 0;

  // Gives the reserve's room to whoever needs it on the same disk. False: there was none.
  virtual bool GiveReserveUp() = 0;
  // Makes the reserve again where the disk would then still have room. Cheap where nothing is missing.
  virtual void RestoreReserve() = 0;
  // Bytes of the reserve that are given up now: of the room on the disk, they are not for ordinary appends.
  virtual std::uint64_t missing_reserve() const = 0;
};

}  // namespace strata::journal
