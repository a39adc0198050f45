// Rows of the index: their columns, in one place. Schema: docs/formats/index.md.
#pragma once

#include "base/inode_record.h"
#include "store/index/index.h"
#include "store/index/sqlite.h"

namespace strata::store {

inline constexpr std::int64_t kApplicationId = 0x53545249;  // "STRI"
inline constexpr std::int64_t kSchemaVersion = 2;
extern const char kSchema[];
// Makes version 2 of version 1, in one transaction. No journal segment is counted yet.
extern const char kUpgradeFrom1[];

// The columns of an inode, `ino` first and `used` last.
#define STRATA_INODE_COLUMNS                                                                                 \
  "ino, generation, locator, type, mode, uid, gid, nlink, size, rdev, atime, mtime, ctime, parent, opaque, " \
  "base_size, "                                                                                              \
  "verifier, origin, target, used"
inline constexpr const char* kSelectInode = "SELECT " STRATA_INODE_COLUMNS " FROM inodes WHERE ino = ?1";
inline constexpr const char* kSelectAllInodes = "SELECT " STRATA_INODE_COLUMNS " FROM inodes ORDER BY ino";
inline constexpr const char* kInsertInode =
    "INSERT INTO inodes (" STRATA_INODE_COLUMNS
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";
// All but `used`.
inline constexpr const char* kUpdateInode =
    "UPDATE inodes SET generation = ?2, locator = ?3, type = ?4, mode = ?5, uid = ?6, gid = ?7, nlink = ?8, size = ?9, "
    "rdev = ?10, atime = ?11, mtime = ?12, ctime = ?13, parent = ?14, opaque = ?15, base_size = ?16, verifier = ?17, "
    "origin = ?18, target = ?19 WHERE ino = ?1";

// Binds all columns but `used`, which is kUsedParameter; `scratch` holds what the statement refers to, and both must
// live until it is reset.
inline constexpr int kUsedParameter = 20;
void BindInode(Statement& statement, const InodeRecord& inode, std::string& scratch);
// The row at which the statement stands. kCorrupt for values that cannot be.
Result<IndexInode> ReadInode(const Statement& statement, const std::string& path);

// Columns hash, name, ino, kind.
std::int64_t EntryKind(const IndexEntry& entry);
Result<IndexEntry> ReadEntry(const Statement& statement, const std::string& path);

// Columns offset, length, position, record. kCorrupt too for one that begins before `after`, where the file's extent
// before it ends.
Result<Extent> ReadExtent(const Statement& statement, std::uint64_t after, const std::string& path);

}  // namespace strata::store
