#include "store/index/sqlite.h"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>

namespace strata::store {
namespace {

constexpr int kBusyTimeoutMs = 10'000;
constexpr int kPagesCopiedAtOnce = 256;

Errc CodeOf(int rc) {
  if (rc == SQLITE_IOERR_DATA) return Errc::kCorrupt;  // a page does not check
  switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return Errc::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Errc::kBusy;
    case SQLITE_FULL:
      return Errc::kNoSpace;
    case SQLITE_READONLY:
      return Errc::kReadOnly;
    case SQLITE_CANTOPEN:
      return Errc::kNotFound;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Errc::kAccess;
    case SQLITE_ERROR:  // such as a table that is missing: not the database that we made
      return Errc::kCorrupt;
    default:
      return Errc::kIo;
  }
}

std::unexpected<Status> Failure(int rc, sqlite3* handle, const std::string& path) {
  std::string message = path + ": ";
  message += handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(rc);
  Errc code = CodeOf(rc);
  if (const int err = handle != nullptr ? sqlite3_system_errno(handle) : 0;
      (rc & 0xff) == SQLITE_CANTOPEN && err != 0) {
    code = ErrcFromErrno(err);
  }
  if (code == Errc::kCorrupt)
    message += "; the index can be rebuilt from the journal: move the file away and start again";
  return Fail(code, std::move(message));
}

// `path` as a URI that SQLite opens for reading alone. Where there is a log's -shm, SQLite reads it (or, where no
// process holds it, makes its own in memory); a file without one was closed with all in it, or was copied, and is taken
// as it is.
std::string ObservedUri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      static constexpr char kDigits[] = "0123456789abcdef";
      uri += {'%', kDigits[static_cast<unsigned char>(c) >> 4], kDigits[c & 15]};
    } else {
      uri += c;
    }
  }
  const bool logged = ::access((path + "-shm").c_str(), F_OK) == 0 && ::access((path + "-wal").c_str(), F_OK) == 0;
  return uri + (logged ? "?readonly_shm=1" : "?immutable=1");
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

// Binding fails only for a parameter that the statement lacks, which the tests would show at once.
void Statement::Bind(int parameter, std::int64_t value) { sqlite3_bind_int64(statement_.get(), parameter, value); }
void Statement::BindNull(int parameter) { sqlite3_bind_null(statement_.get(), parameter); }
void Statement::BindBlob(int parameter, std::string_view bytes) {
  // A null pointer would bind NULL.
  sqlite3_bind_blob64(statement_.get(), parameter, bytes.empty() ? "" : bytes.data(), bytes.size(), SQLITE_STATIC);
}
void Statement::BindText(int parameter, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

Result<bool> Statement::Step() {
  const int rc = sqlite3_step(statement_.get());
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  return Failure(rc, sqlite3_db_handle(statement_.get()), *path_);
}

Result<void> Statement::Run() {
  auto stepped = Step();
  Reset();
  if (!stepped) return Fail(stepped.error());
  return {};
}

void Statement::Reset() { sqlite3_reset(statement_.get()); }

std::int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string_view Statement::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(size)};
}

Result<std::unique_ptr<Database>> Database::Open(const std::string& path, Mode mode, const PageSequence* sequence) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |= mode == Mode::kRead || mode == Mode::kObserve ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (mode == Mode::kCreate) flags |= SQLITE_OPEN_CREATE;
  if (mode == Mode::kObserve) flags |= SQLITE_OPEN_URI;
  sqlite3* handle = nullptr;
  const int rc =
      sqlite3_open_v2((mode == Mode::kObserve ? ObservedUri(path) : path).c_str(), &handle, flags, CheckedVfs());
  // SQLite gives a handle, which must be closed, on most failures too.
  std::unique_ptr<Database> database(new Database(handle, path));
  if (rc != SQLITE_OK) return Failure(rc, handle, path);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  if (sequence != nullptr) {
    sqlite3_file_control(handle, "main", kSetPageSequence, const_cast<PageSequence*>(sequence));
  }
  if (mode == Mode::kCreate) {
    int reserved = kPageCheckBytes;
    sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
  }
  return database;
}

Database::~Database() { sqlite3_close_v2(handle_); }

void Database::KeepLog() {
  int keep = 1;
  sqlite3_file_control(handle_, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
}

Result<bool> Database::SettleLog() {
  sqlite3_busy_timeout(handle_, 0);
  const int rc = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
  if (rc == SQLITE_OK) return true;
  if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED || rc == SQLITE_INTERRUPT) return false;
  return Failure(rc, handle_, path_);
}

Result<void> Database::Execute(const char* sql) {
  const int rc = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return Failure(rc, handle_, path_);
  return {};
}

Result<void> Database::SetCache(std::size_t bytes) {
  return Execute(("PRAGMA cache_size = -" + std::to_string(std::max<std::size_t>(bytes >> 10, 1))).c_str());
}

Result<std::int64_t> Database::QueryInt(const char* sql) {
  STRATA_ASSIGN(Statement statement, Prepare(sql));
  STRATA_ASSIGN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

Result<Statement> Database::Prepare(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  const int rc = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  Statement statement;
  statement.statement_.reset(raw);
  statement.path_ = &path_;
  if (rc != SQLITE_OK) return Failure(rc, handle_, path_);
  return statement;
}

std::int64_t Database::Changes() const { return sqlite3_changes64(handle_); }

void DatabaseCopy::Finish::operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }

Result<DatabaseCopy> DatabaseCopy::Begin(Database& source, std::size_t cache_bytes) {
  sqlite3* handle = nullptr;
  constexpr int kFlags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int rc = sqlite3_open_v2("", &handle, kFlags, nullptr);
  DatabaseCopy copy;
  copy.database_.reset(new Database(handle, "a temporary copy of " + source.path()));
  if (rc != SQLITE_OK) return Failure(rc, handle, copy.database_->path());
  STRATA_TRY(copy.database_->SetCache(cache_bytes));
  STRATA_TRY(copy.database_->Execute("PRAGMA journal_mode = OFF"));
  int reserved = kPageCheckBytes;
  sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
  copy.backup_.reset(sqlite3_backup_init(handle, "main", source.handle_, "main"));
  if (!copy.backup_) return Failure(sqlite3_errcode(handle), handle, copy.database_->path());
  return copy;
}

Result<bool> DatabaseCopy::Step() {
  const int rc = sqlite3_backup_step(backup_.get(), kPagesCopiedAtOnce);
  if (rc == SQLITE_OK || rc == SQLITE_DONE) return rc == SQLITE_DONE;
  return Failure(rc, nullptr, database_->path());
}

std::unique_ptr<Database> DatabaseCopy::Take() {
  backup_.reset();
  return std::move(database_);
}

}  // namespace strata::store
