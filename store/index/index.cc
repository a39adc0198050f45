// Locks: read_mutex_ guards the reading connection; no call out is made under it. The writing connection belongs to the
// Writer that lives.
#include "store/index/index.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "store/index/log_watch.h"
#include "store/index/rows.h"
#include "store/index/scan_rows.h"
#include "store/index/sqlite.h"
#include "store/index/writer.h"

namespace strata::store {
namespace {

// The connection that reads, with its statements.
struct ReadConnection {
  std::unique_ptr<Database> database;
  Statement inode, entry, entries, extents, segments, meta;

  static Result<ReadConnection> On(std::unique_ptr<Database> database) {
    ReadConnection c;
    c.database = std::move(database);
    STRATA_ASSIGN(c.inode, c.database->Prepare(kSelectInode));
    STRATA_ASSIGN(c.entry, c.database->Prepare(
                               "SELECT hash, name, ino, kind FROM entries WHERE dir = ?1 AND hash = ?2 AND name = ?3"));
    STRATA_ASSIGN(c.entries,
                  c.database->Prepare("SELECT hash, name, ino, kind FROM entries WHERE dir = ?1 AND hash >= ?2 "
                                      "ORDER BY hash, name"));
    STRATA_ASSIGN(
        c.extents,
        c.database->Prepare(
            "SELECT offset, length, position, record FROM extents WHERE ino = ?1 AND offset < ?3 AND offset >= "
            "coalesce((SELECT max(offset) FROM extents WHERE ino = ?1 AND offset <= ?2), ?2) "
            "ORDER BY offset"));
    STRATA_ASSIGN(c.segments, c.database->Prepare("SELECT segment, bytes FROM segments WHERE segment BETWEEN ?1 AND ?2 "
                                                  "ORDER BY segment"));
    STRATA_ASSIGN(c.meta, c.database->Prepare("SELECT key, value FROM meta"));
    return c;
  }
};

struct Meta {
  std::uint64_t volume = 0;
  std::uint64_t sequence = 0;
  std::uint64_t segment_size = 0;
  IndexCounts counts;
  Index::Checkpoint checkpoint;
};

constexpr int kMetaRows = 13;

// One statement, and so one view of the database.
Result<Meta> ReadMeta(Statement& statement, const std::string& path) {
  const StatementScope scope(statement);
  Meta meta;
  int found = 0;
  while (true) {
    STRATA_ASSIGN(const bool row, statement.Step());
    if (!row) break;
    const std::string_view key = statement.Blob(0);
    const std::uint64_t value = statement.Uint(1);
    ++found;
    if (key == "volume") {
      meta.volume = value;
    } else if (key == "sequence") {
      meta.sequence = value;
    } else if (key == "inodes") {
      meta.counts.inodes = value;
    } else if (key == "entries") {
      meta.counts.entries = value;
    } else if (key == "extents") {
      meta.counts.extents = value;
    } else if (key == "data") {
      meta.counts.data = value;
    } else if (key == "segment_size") {
      meta.segment_size = value;
    } else if (key == "lsn") {
      meta.checkpoint.lsn = Lsn(value);
    } else if (key == "record") {
      meta.checkpoint.record = Lsn(value);
    } else if (key == "record_check") {
      meta.checkpoint.record_check = static_cast<std::uint32_t>(value);
    } else if (key == "requests") {
      meta.checkpoint.requests = Lsn(value);
    } else if (key == "journal_begin") {
      meta.checkpoint.journal_begin = Lsn(value);
    } else if (key == "highest_ino") {
      meta.checkpoint.highest_ino = InodeNumber(value);
    } else {
      --found;
    }
  }
  if (found != kMetaRows) {
    return Fail(Errc::kCorrupt, path + " lacks its meta rows; move the file away, to have it rebuilt");
  }
  return meta;
}

class SqliteIndex final : public Index {
 public:
  SqliteIndex(std::string path, IndexMode mode)
      : path_(std::move(path)),
        reads_(mode == IndexMode::kReadWrite ? Database::Mode::kRead : Database::Mode::kObserve),
        alone_(mode != IndexMode::kReadOnly) {}

  Result<void> Start(std::uint64_t volume_id, const IndexMemory& memory, const ReaderPatience& patience);

  Result<Checkpoint> LastCheckpoint() override {
    const MutexLock lock(read_mutex_);
    STRATA_ASSIGN(ReadConnection* const reader, Reader());
    STRATA_ASSIGN(const Meta meta, ReadMeta(reader->meta, path_));
    return meta.checkpoint;
  }

  Result<std::optional<IndexInode>> LoadInode(InodeNumber ino) override {
    const MutexLock lock(read_mutex_);
    STRATA_ASSIGN(ReadConnection* const reader, Reader());
    const StatementScope scope(reader->inode);
    reader->inode.Bind(1, ino.value);
    STRATA_ASSIGN(const bool row, reader->inode.Step());
    if (!row) return std::nullopt;
    return ReadInode(reader->inode, path_);
  }

  Result<std::optional<IndexEntry>> LoadEntry(InodeNumber directory, std::uint64_t hash,
                                              std::string_view name) override {
    const MutexLock lock(read_mutex_);
    STRATA_ASSIGN(ReadConnection* const reader, Reader());
    const StatementScope scope(reader->entry);
    reader->entry.Bind(1, directory.value);
    reader->entry.Bind(2, hash);
    reader->entry.BindBlob(3, name);
    STRATA_ASSIGN(const bool row, reader->entry.Step());
    if (!row) return std::nullopt;
    return ReadEntry(reader->entry, path_);
  }

  Result<bool> LoadEntries(InodeNumber directory, std::uint64_t first, std::size_t limit,
                           const std::function<void(const IndexEntry&)>& visit) override {
    std::vector<IndexEntry> entries;
    bool more = false;
    {
      const MutexLock lock(read_mutex_);
      STRATA_ASSIGN(ReadConnection* const reader, Reader());
      const StatementScope scope(reader->entries);
      reader->entries.Bind(1, directory.value);
      reader->entries.Bind(2, first);
      while (true) {
        STRATA_ASSIGN(const bool row, reader->entries.Step());
        if (!row) break;
        STRATA_ASSIGN(IndexEntry entry, ReadEntry(reader->entries, path_));
        more = entries.size() >= limit && (entries.empty() || entries.back().hash != entry.hash);
        if (more) break;
        entries.push_back(std::move(entry));
      }
    }
    for (const IndexEntry& entry : entries) visit(entry);
    return more;
  }

  Result<std::uint64_t> LoadExtents(InodeNumber ino, std::uint64_t from, std::uint64_t to, std::size_t limit,
                                    std::vector<Extent>& extents) override {
    constexpr std::uint64_t kLast = std::numeric_limits<std::int64_t>::max();
    const MutexLock lock(read_mutex_);
    STRATA_ASSIGN(ReadConnection* const reader, Reader());
    const StatementScope scope(reader->extents);
    reader->extents.Bind(1, ino.value);
    reader->extents.Bind(2, std::min(from, kLast));
    reader->extents.Bind(3, std::min(to, kLast));
    std::uint64_t after = 0;
    for (std::size_t given = 0;;) {
      STRATA_ASSIGN(const bool row, reader->extents.Step());
      if (!row) return to;
      STRATA_ASSIGN(const Extent extent, ReadExtent(reader->extents, after, path_));
      after = extent.end();
      if (after <= from) continue;
      if (given++ == limit) return extent.offset;
      extents.push_back(extent);
    }
  }

  IndexCounts Counts() const override { return write_.counts.Get(); }

  Result<std::vector<LivingSegment>> LivingIn(std::uint64_t first, std::uint64_t last) override {
    const MutexLock lock(read_mutex_);
    STRATA_ASSIGN(ReadConnection* const reader, Reader());
    const StatementScope scope(reader->segments);
    constexpr std::uint64_t kLast = std::numeric_limits<std::int64_t>::max();
    reader->segments.Bind(1, std::min(first, kLast));
    reader->segments.Bind(2, std::min(last, kLast));
    std::vector<LivingSegment> segments;
    while (true) {
      STRATA_ASSIGN(const bool row, reader->segments.Step());
      if (!row) return segments;
      segments.push_back({reader->segments.Uint(0), reader->segments.Uint(1)});
    }
  }

  // On a connection of its own: it may take long, sees one state throughout, and `visit` may use the index.
  Result<void> VisitInodes(const std::function<void(const InodeRecord&)>& visit) override {
    if (reads_ == Database::Mode::kObserve) {
      std::vector<InodeRecord> inodes;
      {
        const MutexLock lock(read_mutex_);
        STRATA_ASSIGN(ReadConnection* const reader, Reader());
        STRATA_TRY(EachInode(*reader->database, [&](const InodeRecord& inode) { inodes.push_back(inode); }));
      }
      for (const InodeRecord& inode : inodes) visit(inode);
      return {};
    }
    STRATA_ASSIGN(const std::unique_ptr<Database> database, Database::Open(path_, reads_, Sequence()));
    return EachInode(*database, visit);
  }

  Result<void> VisitNumbers(InodeNumber first, const std::function<void(InodeNumber)>& visit) override {
    if (reads_ == Database::Mode::kObserve) {
      std::vector<InodeNumber> inodes;
      {
        const MutexLock lock(read_mutex_);
        STRATA_ASSIGN(ReadConnection* const reader, Reader());
        STRATA_TRY(EachNumber(*reader->database, first, [&](InodeNumber ino) { inodes.push_back(ino); }));
      }
      for (const InodeNumber ino : inodes) visit(ino);
      return {};
    }
    STRATA_ASSIGN(const std::unique_ptr<Database> database, Database::Open(path_, reads_, Sequence()));
    return EachNumber(*database, first, visit);
  }

  Result<void> Check() override {
    STRATA_ASSIGN(const std::unique_ptr<Database> database, Database::Open(path_, reads_, Sequence()));
    STRATA_ASSIGN(Statement check, database->Prepare("PRAGMA integrity_check"));
    std::string words;
    while (true) {
      STRATA_ASSIGN(const bool row, check.Step());
      if (!row) break;
      if (check.Blob(0) == "ok") continue;
      words += words.empty() ? "" : "; ";
      words += check.Blob(0);
    }
    if (words.empty()) return {};
    return Fail(Errc::kCorrupt, path_ + ": " + words + "; move the file away, to have it rebuilt from the journal");
  }

  bool damaged() const override { return write_.sequence.damaged.load(std::memory_order_relaxed); }

  Result<std::unique_ptr<IndexScan>> Scan() override {
    STRATA_ASSIGN(std::unique_ptr<Database> database, Database::Open(path_, reads_, Sequence()));
    return ScanRows(std::move(database));
  }

  Result<std::unique_ptr<Writer>> Begin(std::uint64_t segment_size) override {
    if (segment_size == 0) return Fail(Errc::kInvalid, "an index writer for segments of no bytes");
    if (!write_.connection) return Fail(Errc::kReadOnly, "write to an index that is open for reading");
    if (write_.busy.exchange(true, std::memory_order_acquire)) {
      return Fail(Errc::kBusy, "another writer of the index has not ended yet");
    }
    return MakeWriter(write_, segment_size);
  }

  Result<bool> Settle(const std::function<void()>& step, const std::function<bool()>& stop) override {
    if (!write_.connection || write_.busy.load(std::memory_order_acquire)) {
      return Fail(Errc::kBusy, "settling an index that is not open for writing, or is being written");
    }
    if (stop && stop()) return false;  // what comes first is a sync of the whole log
    write_.sequence.stop = [&] {
      if (step) step();
      return stop && stop();
    };
    auto settled = write_.connection->database->SettleLog();
    write_.sequence.stop = {};
    return settled;
  }

 private:
  // What reads; kIo once that is gone.
  Result<ReadConnection*> Reader() STRATA_REQUIRES(read_mutex_) {
    if (gone_) return Fail(*gone_);
    return &reader_;
  }

  // Ends the transaction of a reader beside the writer, who goes on with a copy.
  void LeaveLog(const std::stop_token& stop, std::size_t cache_bytes) STRATA_EXCLUDES(read_mutex_);
  // True: it is made, and what reads now.
  Result<bool> CopySome(std::optional<DatabaseCopy>& copy, std::size_t cache_bytes) STRATA_REQUIRES(read_mutex_);

  Result<void> EachInode(Database& database, const std::function<void(const InodeRecord&)>& visit) const {
    STRATA_ASSIGN(Statement all, database.Prepare(kSelectAllInodes));
    while (true) {
      STRATA_ASSIGN(const bool row, all.Step());
      if (!row) return {};
      STRATA_ASSIGN(const InodeRecord inode, ReadInode(all, path_));
      visit(inode);
    }
  }

  static Result<void> EachNumber(Database& database, InodeNumber first, const std::function<void(InodeNumber)>& visit) {
    STRATA_ASSIGN(Statement numbers, database.Prepare("SELECT ino FROM inodes WHERE ino >= ?1 ORDER BY ino"));
    numbers.Bind(1, first.value);
    while (true) {
      STRATA_ASSIGN(const bool row, numbers.Step());
      if (!row) return {};
      visit(InodeNumber(numbers.Uint(0)));
    }
  }

  // A reader beside the server cannot know how far that has come.
  const PageSequence* Sequence() const { return alone_ ? &write_.sequence : nullptr; }

  const std::string path_;
  const Database::Mode reads_;  // how connections that only read are opened
  const bool alone_;            // nobody else writes
  WriteState write_;  // first, so that it is closed last: that is when SQLite folds the write-ahead log into the file
  Mutex read_mutex_;
  ReadConnection reader_ STRATA_GUARDED_BY(read_mutex_);
  std::optional<Status> gone_ STRATA_GUARDED_BY(read_mutex_);  // why there is no reader_ any more
  std::jthread watch_;                                         // last: it uses the others
};

// Makes the tables in a database that is empty; checks that one which is not is ours.
Result<void> Prepare(Database& database, IndexMode mode, std::uint64_t volume_id) {
  STRATA_ASSIGN(const std::int64_t tables, database.QueryInt("SELECT count(*) FROM sqlite_master"));
  STRATA_ASSIGN(const std::int64_t application, database.QueryInt("PRAGMA application_id"));
  STRATA_ASSIGN(const std::int64_t version, database.QueryInt("PRAGMA user_version"));
  if (tables == 0 && application == 0 && mode == IndexMode::kReadWrite) {
    const std::string sql =
        "BEGIN IMMEDIATE;" + std::string(kSchema) + "PRAGMA application_id = " + std::to_string(kApplicationId) +
        "; PRAGMA user_version = " + std::to_string(kSchemaVersion) + "; INSERT INTO meta VALUES ('volume', " +
        std::to_string(static_cast<std::int64_t>(volume_id)) +
        "), ('sequence', 0), ('inodes', 0), ('entries', 0), ('extents', 0), ('data', 0), ('segment_size', 0), ('lsn', "
        "0), ('record', 0), ('record_check', 0), ('requests', 0), "
        "('journal_begin', 0), ('highest_ino', 0); COMMIT;";
    return database.Execute(sql.c_str());
  }
  if (application != kApplicationId) return Fail(Errc::kCorrupt, database.path() + " is no index of Strata");
  if (version > kSchemaVersion) {
    return Fail(Errc::kNotSupported, database.path() + " is of a newer version of Strata; use that version");
  }
  if (version == 1) {
    if (mode == IndexMode::kReadWrite) return database.Execute(kUpgradeFrom1);
    return Fail(Errc::kNotSupported, database.path() +
                                         " is of an older version of Strata, and is brought up to date only where it "
                                         "is written: serve the workspace once (strata serve), then look at it");
  }
  return {};
}

Result<bool> SqliteIndex::CopySome(std::optional<DatabaseCopy>& copy, std::size_t cache_bytes) {
  if (!copy) {
    STRATA_ASSIGN(copy, DatabaseCopy::Begin(*reader_.database, cache_bytes));
  }
  STRATA_ASSIGN(const bool all, copy->Step());
  if (!all) return false;
  STRATA_ASSIGN(reader_, ReadConnection::On(copy->Take()));
  return true;
}

void SqliteIndex::LeaveLog(const std::stop_token& stop, std::size_t cache_bytes) {
  // Between two steps others read; who waits for a mutex needs a moment to get it.
  constexpr std::chrono::microseconds kMoment(100);
  std::optional<DatabaseCopy> copy;
  for (;; std::this_thread::sleep_for(kMoment)) {
    const MutexLock lock(read_mutex_);
    auto done = CopySome(copy, cache_bytes);
    if (done && !*done && !stop.stop_requested()) continue;
    copy.reset();  // it belongs to the connection
    if (done) {
      log::Debug("index_copied", {{"file", path_}, {"whole", *done}});
      return;
    }
    gone_ = Status(Errc::kIo, "another process writes " + path_ +
                                  ", and what this one looks at could not be copied to let it: " +
                                  std::string(done.error().message()) +
                                  "; free space where temporary files go (TMPDIR), then open the workspace anew");
    reader_ = ReadConnection();
    log::Error("index_copy_failed", {{"file", path_}, {"error", *gone_}, {"meaning", "reading it fails from now on"}});
    return;
  }
}

Result<void> SqliteIndex::Start(std::uint64_t volume_id, const IndexMemory& memory, const ReaderPatience& patience) {
  const bool writes = reads_ == Database::Mode::kRead;
  STRATA_ASSIGN(std::unique_ptr<Database> database,
                Database::Open(path_, writes ? Database::Mode::kCreate : Database::Mode::kObserve, Sequence()));
  if (writes) {
    database->KeepLog();
    // The log is brought into the file by Settle alone.
    STRATA_TRY(
        database->Execute("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
                          "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 0; PRAGMA temp_store = MEMORY"));
    STRATA_TRY(database->SetCache(memory.written_pages));
  }
  STRATA_TRY(Prepare(*database, writes ? IndexMode::kReadWrite : IndexMode::kReadOnly, volume_id));
  STRATA_ASSIGN(std::unique_ptr<Database> reads, Database::Open(path_, reads_, Sequence()));
  STRATA_ASSIGN(ReadConnection reader, ReadConnection::On(std::move(reads)));
  STRATA_TRY(reader.database->SetCache(memory.read_pages));
  // Who only looks sees one state for as long as it looks, the one that ReadMeta finds, whatever the server checkpoints
  // meanwhile. While that transaction lasts, the server's write-ahead log grows by what it checkpoints.
  const LogState log = LogState::Of(path_);
  if (!writes) STRATA_TRY(reader.database->Execute("BEGIN"));
  STRATA_ASSIGN(const Meta meta, ReadMeta(reader.meta, path_));
  if (meta.volume != volume_id) {
    return Fail(Errc::kCorrupt, path_ + " belongs to another volume; move the file away, to have it rebuilt");
  }
  write_.sequence.newest.store(static_cast<std::uint32_t>(meta.sequence));
  write_.counts.Set(meta.counts);
  write_.sequence.limit.store(static_cast<std::uint32_t>(meta.sequence));
  if (writes) {
    STRATA_ASSIGN(write_.connection, WriteConnection::Make(std::move(database)));
    write_.highest_ino = meta.checkpoint.highest_ino.value;
    write_.segment_size = meta.segment_size;
  }
  const MutexLock lock(read_mutex_);
  reader_ = std::move(reader);
  if (!alone_) {
    watch_ = WatchLog(path_, log, patience,
                      [this, cache = memory.read_pages](const std::stop_token& stop) { LeaveLog(stop, cache); });
  }
  return {};
}

}  // namespace

std::uint64_t Index::LivingBytes() const {
  // What a record takes beside file data, about.
  constexpr std::uint64_t kInode = 200, kEntry = 120, kExtent = 100;
  const IndexCounts counts = Counts();
  return counts.data + counts.inodes * kInode + counts.entries * kEntry + counts.extents * kExtent;
}

Result<std::unique_ptr<Index>> Index::Open(const std::string& path, IndexMode mode, std::uint64_t volume_id,
                                           const IndexMemory& memory, const ReaderPatience& patience) {
  auto index = std::make_unique<SqliteIndex>(path, mode);
  STRATA_TRY(index->Start(volume_id, memory, patience));
  return index;
}

}  // namespace strata::store
