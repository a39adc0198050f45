#include "store/index/rows.h"

#include <algorithm>
#include <limits>

namespace strata::store {
namespace {

constexpr std::int64_t kWhiteoutKind = 16;  // added to the type

void EncodeOrigin(const Origin& origin, std::string& out) {
  out.resize(kOriginHeadBytes + kOriginSourceBytes * origin.sources.size());
  auto* at = reinterpret_cast<std::byte*>(out.data());
  StoreOriginHead(origin, at);
  StoreOriginSources(origin, at + kOriginHeadBytes);
}

bool DecodeOrigin(std::string_view bytes, Origin& origin) {
  if (bytes.size() < kOriginHeadBytes || (bytes.size() - kOriginHeadBytes) % kOriginSourceBytes != 0) return false;
  ByteReader reader(AsBytes(bytes));
  ReadOriginHead(reader, origin);
  ReadOriginSources(reader, reader.remaining() / kOriginSourceBytes, origin);
  return true;
}

bool IsType(std::int64_t type) {
  return type >= static_cast<std::int64_t>(FileType::kRegular) && type <= static_cast<std::int64_t>(FileType::kFifo);
}

std::unexpected<Status> BadRow(const std::string& path, std::string what) {
  return Fail(Errc::kCorrupt,
              path + ": " + std::move(what) +
                  " has impossible values; the index can be rebuilt from the journal: move the file away " +
                  "and start again");
}

}  // namespace

const char kSchema[] = R"(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE inodes (
  ino INTEGER PRIMARY KEY, generation INTEGER NOT NULL, locator INTEGER NOT NULL,
  type INTEGER NOT NULL, mode INTEGER NOT NULL,
  uid INTEGER NOT NULL, gid INTEGER NOT NULL, nlink INTEGER NOT NULL, size INTEGER NOT NULL, rdev INTEGER NOT NULL,
  atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, parent INTEGER NOT NULL,
  opaque INTEGER NOT NULL,
  base_size INTEGER NOT NULL, verifier BLOB, origin BLOB, target BLOB, used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE entries (
  dir INTEGER NOT NULL, hash INTEGER NOT NULL, name BLOB NOT NULL, ino INTEGER NOT NULL, kind INTEGER NOT NULL,
  PRIMARY KEY (dir, hash, name)) WITHOUT ROWID;
CREATE TABLE extents (
  ino INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, position INTEGER NOT NULL,
  record INTEGER NOT NULL,
  PRIMARY KEY (ino, offset)) WITHOUT ROWID;
CREATE TABLE segments (segment INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
)";

const char kUpgradeFrom1[] = R"(
BEGIN IMMEDIATE;
ALTER TABLE inodes ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE inodes SET used = (SELECT coalesce(sum(length), 0) FROM extents WHERE extents.ino = inodes.ino) WHERE type = 1;
CREATE TABLE segments (segment INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
INSERT INTO meta VALUES
  ('entries', (SELECT count(*) FROM entries)), ('extents', (SELECT count(*) FROM extents)),
  ('data', (SELECT coalesce(sum(length), 0) FROM extents)), ('segment_size', 0);
UPDATE meta SET value = value + 1 WHERE key = 'sequence';
PRAGMA user_version = 2;
COMMIT;
)";

void BindInode(Statement& statement, const InodeRecord& inode, std::string& scratch) {
  statement.Bind(1, inode.ino.value);
  statement.Bind(2, inode.generation.value);
  statement.Bind(3, inode.locator);
  statement.Bind(4, static_cast<std::int64_t>(inode.type));
  statement.Bind(5, inode.mode);
  statement.Bind(6, inode.uid);
  statement.Bind(7, inode.gid);
  statement.Bind(8, inode.nlink);
  statement.Bind(9, inode.size);
  statement.Bind(10, static_cast<std::uint64_t>(inode.rdev.major) << 32 | inode.rdev.minor);
  statement.Bind(11, inode.atime.ns);
  statement.Bind(12, inode.mtime.ns);
  statement.Bind(13, inode.ctime.ns);
  statement.Bind(14, inode.parent.value);
  statement.Bind(15, std::int64_t{inode.opaque ? 1 : 0});
  statement.Bind(16, inode.base_size);
  if (std::ranges::any_of(inode.create_verifier, [](std::uint8_t byte) { return byte != 0; })) {
    statement.BindBlob(17, {reinterpret_cast<const char*>(inode.create_verifier.data()), inode.create_verifier.size()});
  } else {
    statement.BindNull(17);
  }
  if (inode.origin != Origin{}) {
    EncodeOrigin(inode.origin, scratch);
    statement.BindBlob(18, scratch);
  } else {
    statement.BindNull(18);
  }
  if (!inode.symlink_target.empty()) {
    statement.BindBlob(19, inode.symlink_target);
  } else {
    statement.BindNull(19);
  }
}

Result<IndexInode> ReadInode(const Statement& statement, const std::string& path) {
  IndexInode inode;
  inode.ino = InodeNumber(statement.Uint(0));
  inode.generation = Generation(static_cast<std::uint32_t>(statement.Uint(1)));
  inode.locator = statement.Uint(2);
  const std::int64_t type = statement.Int(3);
  inode.mode = static_cast<std::uint32_t>(statement.Uint(4));
  inode.uid = static_cast<std::uint32_t>(statement.Uint(5));
  inode.gid = static_cast<std::uint32_t>(statement.Uint(6));
  inode.nlink = static_cast<std::uint32_t>(statement.Uint(7));
  inode.size = statement.Uint(8);
  inode.rdev.major = static_cast<std::uint32_t>(statement.Uint(9) >> 32);
  inode.rdev.minor = static_cast<std::uint32_t>(statement.Uint(9));
  inode.atime.ns = statement.Int(10);
  inode.mtime.ns = statement.Int(11);
  inode.ctime.ns = statement.Int(12);
  inode.parent = InodeNumber(statement.Uint(13));
  inode.opaque = statement.Int(14) != 0;
  inode.base_size = statement.Uint(15);
  const std::string_view verifier = statement.Blob(16);
  bool sound = IsType(type) && (verifier.empty() || verifier.size() == inode.create_verifier.size());
  if (sound && !verifier.empty()) std::ranges::copy(verifier, inode.create_verifier.begin());
  const std::string_view origin = statement.Blob(17);
  if (!origin.empty()) sound = DecodeOrigin(origin, inode.origin) && sound;
  inode.symlink_target = statement.Blob(18);
  inode.used = statement.Uint(19);
  if (!sound) return BadRow(path, "the row of inode " + std::to_string(inode.ino.value));
  inode.type = static_cast<FileType>(type);
  return inode;
}

std::int64_t EntryKind(const IndexEntry& entry) {
  return static_cast<std::int64_t>(entry.type) + (entry.whiteout ? kWhiteoutKind : 0);
}

Result<IndexEntry> ReadEntry(const Statement& statement, const std::string& path) {
  IndexEntry entry;
  entry.hash = statement.Uint(0);
  entry.name = statement.Blob(1);
  entry.ino = InodeNumber(statement.Uint(2));
  const std::int64_t kind = statement.Int(3);
  entry.whiteout = kind >= kWhiteoutKind;
  const std::int64_t type = entry.whiteout ? kind - kWhiteoutKind : kind;
  if (!IsType(type) || entry.name.empty()) return BadRow(path, "an entry");
  entry.type = static_cast<FileType>(type);
  return entry;
}

Result<Extent> ReadExtent(const Statement& statement, std::uint64_t after, const std::string& path) {
  const Extent extent{statement.Uint(0), statement.Uint(1), Lsn(statement.Uint(2)), Lsn(statement.Uint(3))};
  constexpr std::uint64_t kEnd = std::numeric_limits<std::int64_t>::max();
  const bool sound = extent.offset >= after && extent.offset < kEnd && extent.length > 0 &&
                     extent.length <= kEnd - extent.offset && extent.position.value <= kEnd - extent.length &&
                     extent.record < extent.position;
  if (!sound) return BadRow(path, "an extent");
  return extent;
}

}  // namespace strata::store
