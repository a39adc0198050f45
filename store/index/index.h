// Index: the SQLite database of a workspace's upper inodes, names and extents, up to a journal position. It is a
// checkpoint of the journal and can be rebuilt from it. Schema: docs/formats/index.md.
//
// One Writer applies journal effects in a transaction that also records the position reached. Readers see whole
// transactions only. Thread-safe but for Writer, which belongs to one thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/extent.h"
#include "base/inode_record.h"
#include "base/status.h"

namespace strata::store {

struct IndexEntry {
  std::string name;
  std::uint64_t hash = 0;  // directory order (vfs::NameHash)
  bool whiteout = false;
  InodeNumber ino;  // of a whiteout: 0
  FileType type = FileType::kRegular;
  friend bool operator==(const IndexEntry&, const IndexEntry&) = default;
};

// An inode as the index keeps it.
struct IndexInode : InodeRecord {
  std::uint64_t used = 0;  // the sum of the lengths of its extents
  friend bool operator==(const IndexInode&, const IndexInode&) = default;
};

// How much the index holds.
struct IndexCounts {
  std::uint64_t inodes = 0;
  std::uint64_t entries = 0;  // whiteouts too
  std::uint64_t extents = 0;
  std::uint64_t data = 0;  // bytes that the extents cover
  friend bool operator==(const IndexCounts&, const IndexCounts&) = default;
};

// Bytes of file data that live in one segment of the journal.
struct LivingSegment {
  std::uint64_t segment = 0;  // its first position / the segment size
  std::uint64_t bytes = 0;    // never 0: what nothing lives in has no row
  friend bool operator==(const LivingSegment&, const LivingSegment&) = default;
};

// What the connections may keep of the database in memory.
struct IndexMemory {
  std::size_t written_pages = 32 << 20;
  std::size_t read_pages = 2 << 20;
};

// How long a reader beside the writer may keep the writer from emptying its write-ahead log. Its time is over once the
// log has grown by so much since Open, or so long after the log's first change since. Then the reader copies what it
// sees.
struct ReaderPatience {
  std::uint64_t log_bytes = 64 << 20;
  std::chrono::nanoseconds time = std::chrono::seconds(10);
};

enum class IndexMode : std::uint8_t {
  // Shows the state at Open for as long as it lives, whatever another process writes meanwhile. Once the patience is
  // over that is a copy in a temporary file. Where it cannot be made, every call fails with kIo from then on.
  kReadOnly,
  kInspect,  // as kReadOnly, for who knows that nobody writes: pages newer than the last transaction are damage too
  kReadWrite,
};

class IndexScan;

class Index {
 public:
  // Opens, or with kReadWrite makes, the database at `path`. Every page is checked as it is read: damage gives
  // kCorrupt, here or from any call. So does a database of another volume. Either may be rebuilt. A version newer than
  // this program is kNotSupported. One of an older version is brought up to date with kReadWrite, in one transaction,
  // and is kNotSupported with the others.
  static Result<std::unique_ptr<Index>> Open(const std::string& path, IndexMode mode, std::uint64_t volume_id,
                                             const IndexMemory& memory = {}, const ReaderPatience& patience = {});
  virtual ~Index() = default;

  // What the database says of the journal.
  struct Checkpoint {
    Lsn lsn = {};     // it covers the journal up to here
    Lsn record = {};  // where the last record before begins, and the check in its frame: the journal is the one that
                      // the database was
    std::uint32_t record_check = 0;  // made from if it has that record. 0 where there is none.
    Lsn requests = {};               // records from here on may carry requests that clients may still ask for again
    Lsn journal_begin = {};          // journal segments before may have been given up
    InodeNumber highest_ino = {};    // the highest number of the upper's own that was ever used
  };
  virtual Result<Checkpoint> LastCheckpoint() = 0;
  virtual Result<std::optional<IndexInode>> LoadInode(InodeNumber ino) = 0;
  virtual Result<std::optional<IndexEntry>> LoadEntry(InodeNumber directory, std::uint64_t hash,
                                                      std::string_view name) = 0;
  // Those whose hash is at least `first`, in directory order (hash, name), at least `limit` of them if there are so
  // many. All of a hash come, or none. True: there are more.
  virtual Result<bool> LoadEntries(InodeNumber directory, std::uint64_t first, std::size_t limit,
                                   const std::function<void(const IndexEntry&)>& visit) = 0;
  // Adds the extents that reach into [from, to), in file order, but no more than `limit` (not 0). It returns up to
  // where all are given: `to`, or less where there are more.
  virtual Result<std::uint64_t> LoadExtents(InodeNumber ino, std::uint64_t from, std::uint64_t to, std::size_t limit,
                                            std::vector<Extent>& extents) = 0;
  // As of the last commit; of a reader, of the state that it sees. From memory.
  virtual IndexCounts Counts() const = 0;
  // Calls visit for each directory that has entries or whiteouts, and each inode (for `strata diff`).
  virtual Result<void> VisitInodes(const std::function<void(const InodeRecord&)>& visit) = 0;
  // Calls visit for each inode's number from `first` on, ascending.
  virtual Result<void> VisitNumbers(InodeNumber first, const std::function<void(InodeNumber)>& visit) = 0;
  // About how many bytes of journal all that it holds would take, file data included. From memory.
  std::uint64_t LivingBytes() const;
  // The segments from `first` to `last` in which file data lives, ascending. Of an index that was brought up to date
  // from version 1 none are known before the first commit.
  virtual Result<std::vector<LivingSegment>> LivingIn(std::uint64_t first, std::uint64_t last) = 0;
  // PRAGMA integrity_check, through the checks of all pages; kCorrupt with its words.
  virtual Result<void> Check() = 0;
  // Whether any page that was read since Open did not check: what it holds is told wrong, or not at all.
  virtual bool damaged() const = 0;
  // All rows, in order (scan.h).
  virtual Result<std::unique_ptr<IndexScan>> Scan() = 0;

  // Effects of journal records, to be given in the journal's order. Nothing is visible before Commit. Destroying a
  // Writer without Commit leaves the database as it was.
  class Writer {
   public:
    virtual ~Writer() = default;
    virtual Result<void> PutInode(const InodeRecord& inode) = 0;
    virtual Result<void> Touch(InodeNumber ino, std::uint32_t nlink, std::uint64_t size, std::uint32_t mode, Time mtime,
                               Time ctime) = 0;
    virtual Result<void> PutEntry(InodeNumber directory, const IndexEntry& entry) = 0;
    virtual Result<void> RemoveEntry(InodeNumber directory, std::uint64_t hash, std::string_view name) = 0;
    // Extents that the range covers are cut or dropped.
    virtual Result<void> PutExtent(InodeNumber ino, const Extent& extent) = 0;
    virtual Result<void> Truncate(InodeNumber ino, std::uint64_t size) = 0;
    virtual Result<void> Purge(InodeNumber ino) = 0;
    // About how much memory it takes: all that was given is held until Commit.
    virtual std::size_t bytes() const = 0;
    // Ends the transaction with the checkpoint (its highest_ino is not looked at). The Writer is spent.
    // `step` is called in between, often: it may wait, and nobody waits for it who reads.
    virtual Result<void> Commit(const Checkpoint& checkpoint, const std::function<void()>& step = {}) = 0;
  };
  // kBusy while another Writer of this Index lives. `segment_size`: the journal's, in which the positions of extents
  // count.
  virtual Result<std::unique_ptr<Writer>> Begin(std::uint64_t segment_size) = 0;
  // Makes what was committed durable in the database's own file. False: a reader of an older state is in the way, or
  // `stop` has said so. It is asked as often as `step` is called. The next Settle then begins anew. Not while a Writer
  // lives. `step`: as Commit's.
  virtual Result<bool> Settle(const std::function<void()>& step = {}, const std::function<bool()>& stop = {}) = 0;
};

}  // namespace strata::store
