// SQLite in our terms. Connections and prepared statements are values with owners, and errors are Status. A connection
// and its statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "store/index/page_check.h"

struct sqlite3;
struct sqlite3_backup;
struct sqlite3_stmt;

namespace strata::store {

class Database;

// A prepared statement, reusable. Parameters count from 1, columns from 0. Blobs are bound by reference: they must live
// until Reset.
class Statement {
 public:
  Statement() = default;

  void Bind(int parameter, std::int64_t value);
  void Bind(int parameter, std::uint64_t value) { Bind(parameter, static_cast<std::int64_t>(value)); }
  void Bind(int parameter, std::uint32_t value) { Bind(parameter, static_cast<std::int64_t>(value)); }
  void BindBlob(int parameter, std::string_view bytes);
  void BindText(int parameter, std::string_view text);
  void BindNull(int parameter);
  // True: a row is there to read; false: the end.
  Result<bool> Step();
  // Runs a statement that gives no row, and resets it.
  Result<void> Run();
  void Reset();

  std::int64_t Int(int column) const;
  std::uint64_t Uint(int column) const { return static_cast<std::uint64_t>(Int(column)); }
  // Valid until the next Step or Reset.
  std::string_view Blob(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  const std::string* path_ = nullptr;  // of the Database, for messages
};

// Resets a statement when the scope ends, so that no read transaction is left open.
class StatementScope {
 public:
  explicit StatementScope(Statement& statement) : statement_(statement) {}
  StatementScope(const StatementScope&) = delete;
  StatementScope& operator=(const StatementScope&) = delete;
  ~StatementScope() { statement_.Reset(); }

 private:
  Statement& statement_;
};

class Database {
 public:
  // kObserve: as kRead, and nothing is written beside the file either, not even to the memory that its users share
  // (-shm).
  enum class Mode : std::uint8_t { kObserve, kRead, kWrite, kCreate };
  // `sequence`, which may be null, must outlive it.
  static Result<std::unique_ptr<Database>> Open(const std::string& path, Mode mode, const PageSequence* sequence);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Lets -wal and -shm stay when the last user closes: without them nobody can observe the file.
  void KeepLog();
  // Brings all of the write-ahead log into the file, syncs both, and empties the log. False: the log stays, since
  // somebody still reads an older state, or PageSequence::stop ended it.
  Result<bool> SettleLog();
  Result<void> Execute(const char* sql);
  // How many bytes it may keep of its pages in memory.
  Result<void> SetCache(std::size_t bytes);
  // The first column of the first row; 0 where there is none.
  Result<std::int64_t> QueryInt(const char* sql);
  Result<Statement> Prepare(const char* sql);
  // Rows that the last INSERT, UPDATE or DELETE changed.
  std::int64_t Changes() const;
  const std::string& path() const { return path_; }

 private:
  friend class DatabaseCopy;
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}

  sqlite3* handle_;
  const std::string path_;
};

// A copy of what one Database sees, made a few pages at a time. The source must outlive it. Where the source has a
// transaction open, it may be read in between, and the copy is of the state that the transaction sees.
class DatabaseCopy {
 public:
  // The copy goes into a temporary file without a name (sqlite.org/tempfiles.html section 5 says where). `cache_bytes`
  // of it stay in memory.
  static Result<DatabaseCopy> Begin(Database& source, std::size_t cache_bytes);
  // True: all is copied.
  Result<bool> Step();
  // Once all is copied.
  std::unique_ptr<Database> Take();

 private:
  struct Finish {
    void operator()(sqlite3_backup* backup) const;
  };
  std::unique_ptr<Database> database_;
  std::unique_ptr<sqlite3_backup, Finish> backup_;  // ends before its Database
};

}  // namespace strata::store
