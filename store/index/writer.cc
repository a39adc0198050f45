#include "store/index/writer.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "store/index/rows.h"

namespace strata::store {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kLargestSigned = std::numeric_limits<std::int64_t>::max();

struct Touched {
  std::uint32_t nlink = 0;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;
  Time mtime{};
  Time ctime{};
};

struct Piece {
  std::uint64_t length = 0;
  Lsn position;
  Lsn record;
};
using Pieces = absl::btree_map<std::uint64_t, Piece>;  // by offset; they do not overlap

// Removes what lies in [begin, end), cutting those that lie across.
void CutPieces(Pieces& pieces, std::uint64_t begin, std::uint64_t end) {
  auto at = pieces.lower_bound(begin);
  if (at != pieces.begin()) {
    auto before = std::prev(at);
    const std::uint64_t before_end = before->first + before->second.length;
    if (before_end > begin) {
      const Piece whole = before->second;
      before->second.length = begin - before->first;
      if (before_end > end) {
        pieces.emplace(end, Piece{before_end - end, Lsn(whole.position.value + (end - before->first)), whole.record});
        return;
      }
    }
  }
  std::optional<std::pair<std::uint64_t, Piece>> tail;
  auto stop = at;
  for (; stop != pieces.end() && stop->first < end; ++stop) {
    const std::uint64_t piece_end = stop->first + stop->second.length;
    if (piece_end > end) {
      const Lsn position(stop->second.position.value + (end - stop->first));
      tail = {end, Piece{piece_end - end, position, stop->second.record}};
    }
  }
  pieces.erase(at, stop);
  if (tail) pieces.insert(*tail);
}

// What an entry is now; ino 0 and no type for one that is removed.
struct EntryState {
  std::uint64_t ino = 0;
  std::uint8_t kind = 0;  // EntryKind; 0: removed
};

// All that the batch says of one inode.
struct Pending {
  bool fresh = false;   // the database holds no row of it
  bool erased = false;  // purged: its rows go before anything else is written
  std::optional<InodeRecord> image;
  std::optional<Touched> touch;  // of the row that is there; with an image, it is merged into that
  // Extents of the database from here on are gone; within the pieces too, which cover all else that the batch wrote.
  std::uint64_t truncated = kNoLimit;
  Pieces pieces;
  // As a directory: what its entries are now.
  absl::btree_map<std::pair<std::uint64_t, std::string>, EntryState> entries;
};

// Estimates, allocator and the room that containers keep included.
constexpr std::size_t kPendingBytes = sizeof(Pending) + 64;
constexpr std::size_t kEntryBytes = (sizeof(std::uint64_t) + sizeof(std::string) + sizeof(EntryState)) * 3 / 2 + 48;
constexpr std::size_t kPieceBytes = 48;

class BatchWriter final : public Index::Writer {
 public:
  explicit BatchWriter(WriteState& state) : state_(state), highest_ino_(state.highest_ino) {}
  ~BatchWriter() override { state_.busy.store(false, std::memory_order_release); }

  Result<void> PutInode(const InodeRecord& inode) override {
    Pending& pending = Of(inode.ino);
    if (!pending.image) bytes_ += inode.symlink_target.size() + inode.origin.sources.size() * sizeof(Origin::Source);
    pending.image = inode;
    pending.touch.reset();
    return {};
  }

  Result<void> Touch(InodeNumber ino, std::uint32_t nlink, std::uint64_t size, std::uint32_t mode, Time mtime,
                     Time ctime) override {
    Pending& pending = Of(ino);
    if (!pending.image) {
      pending.touch = Touched{nlink, size, mode, mtime, ctime};
      return {};
    }
    pending.image->nlink = nlink;
    pending.image->size = size;
    pending.image->mode = mode;
    pending.image->mtime = mtime;
    pending.image->ctime = ctime;
    return {};
  }

  Result<void> PutEntry(InodeNumber directory, const IndexEntry& entry) override {
    if (!entry.whiteout) NoteNumber(entry.ino);
    Set(Of(directory), {entry.hash, entry.name}, {entry.ino.value, static_cast<std::uint8_t>(EntryKind(entry))});
    return {};
  }

  Result<void> RemoveEntry(InodeNumber directory, std::uint64_t hash, std::string_view name) override {
    Pending& pending = Of(directory);
    std::pair<std::uint64_t, std::string> key(hash, name);
    if (pending.fresh || pending.erased) {
      pending.entries.erase(key);
    } else {
      Set(pending, std::move(key), {});
    }
    return {};
  }

  std::size_t bytes() const override { return bytes_; }

  Result<void> PutExtent(InodeNumber ino, const Extent& extent) override {
    Pieces& pieces = Of(ino).pieces;
    if (extent.length == 0) return {};
    bytes_ += kPieceBytes;
    if (extent.offset > kLargestSigned || extent.length > kLargestSigned - extent.offset) {
      return Fail(Errc::kInvalid, "an extent beyond the largest file");
    }
    const Piece piece{extent.length, extent.position, extent.record};
    // By far most writes append.
    if (pieces.empty() || std::prev(pieces.end())->first + std::prev(pieces.end())->second.length <= extent.offset) {
      pieces.emplace_hint(pieces.end(), extent.offset, piece);
      return {};
    }
    CutPieces(pieces, extent.offset, extent.offset + extent.length);
    pieces.emplace(extent.offset, piece);
    return {};
  }

  Result<void> Truncate(InodeNumber ino, std::uint64_t size) override {
    Pending& pending = Of(ino);
    pending.truncated = std::min(pending.truncated, size);
    CutPieces(pending.pieces, size, kNoLimit);
    return {};
  }

  Result<void> Purge(InodeNumber ino) override {
    if (Of(ino).fresh) {
      pending_.erase(ino.value);
      bytes_ -= std::min(bytes_, kPendingBytes);
      return {};
    }
    Pending& erased = Of(ino);
    erased = Pending();
    erased.erased = true;
    return {};
  }

  Result<void> Commit(const Index::Checkpoint& checkpoint, const std::function<void()>& step) override {
    if (spent_) return Fail(Errc::kInvalid, "a second commit of one index writer");
    spent_ = true;
    inode_count_ = state_.inode_count;
    const std::uint32_t sequence = state_.sequence.newest.load(std::memory_order_relaxed) + 1;
    state_.sequence.limit.store(sequence, std::memory_order_release);
    STRATA_TRY(c_.begin.Run());
    auto written = WriteAll(checkpoint, sequence, step);
    if (written) written = c_.commit.Run();
    if (!written) {
      (void)c_.rollback.Run();
      return written;
    }
    state_.sequence.newest.store(sequence, std::memory_order_relaxed);
    state_.highest_ino = highest_ino_;
    state_.inode_count = inode_count_;
    return {};
  }

 private:
  void NoteNumber(InodeNumber ino) {
    if (ino.value < kFirstLowerIno) highest_ino_ = std::max(highest_ino_, ino.value);
  }

  Pending& Of(InodeNumber ino) {
    const auto [at, added] = pending_.try_emplace(ino.value);
    if (added) {
      at->second = std::make_unique<Pending>();
      at->second->fresh = ino.value < kFirstLowerIno && ino.value > state_.highest_ino;
      bytes_ += kPendingBytes;
      NoteNumber(ino);
    }
    return *at->second;
  }

  void Set(Pending& pending, std::pair<std::uint64_t, std::string> key, EntryState state) {
    const auto [at, added] = pending.entries.insert_or_assign(std::move(key), state);
    if (added) bytes_ += kEntryBytes;
  }

  Result<void> WriteAll(const Index::Checkpoint& checkpoint, std::uint32_t sequence,
                        const std::function<void()>& step) {
    // In the tables' order, so that each page is visited once.
    std::vector<std::pair<std::uint64_t, const Pending*>> order;
    order.reserve(pending_.size());
    for (const auto& [ino, pending] : pending_) order.emplace_back(ino, pending.get());
    std::ranges::sort(order, {}, &std::pair<std::uint64_t, const Pending*>::first);
    for (const auto& [ino, pending] : order) {
      STRATA_TRY(WriteInode(ino, *pending));
      if (step) step();
    }
    for (const auto& [ino, pending] : order) STRATA_TRY(WriteEntries(ino, *pending, step));
    for (const auto& [ino, pending] : order) {
      STRATA_TRY(WriteExtents(ino, *pending));
      if (step) step();
    }
    STRATA_TRY(SetMeta("lsn", checkpoint.lsn.value));
    STRATA_TRY(SetMeta("record", checkpoint.record.value));
    STRATA_TRY(SetMeta("record_check", checkpoint.record_check));
    STRATA_TRY(SetMeta("requests", checkpoint.requests.value));
    STRATA_TRY(SetMeta("journal_begin", checkpoint.journal_begin.value));
    STRATA_TRY(SetMeta("highest_ino", highest_ino_));
    STRATA_TRY(SetMeta("sequence", sequence));
    return SetMeta("inodes", static_cast<std::uint64_t>(inode_count_));
  }

  Result<void> WriteInode(std::uint64_t ino, const Pending& pending) {
    if (pending.erased) {
      c_.delete_inode.Bind(1, ino);
      STRATA_TRY(c_.delete_inode.Run());
      inode_count_ -= c_.database->Changes();
    }
    if (pending.image) {
      if (!pending.fresh && !pending.erased) {
        BindInode(c_.update_inode, *pending.image, scratch_);
        STRATA_TRY(c_.update_inode.Run());
        if (c_.database->Changes() != 0) return {};
      }
      BindInode(c_.insert_inode, *pending.image, scratch_);
      ++inode_count_;
      return c_.insert_inode.Run();
    }
    if (!pending.touch || pending.fresh || pending.erased) return {};
    c_.touch_inode.Bind(1, ino);
    c_.touch_inode.Bind(2, pending.touch->nlink);
    c_.touch_inode.Bind(3, pending.touch->size);
    c_.touch_inode.Bind(4, pending.touch->mode);
    c_.touch_inode.Bind(5, pending.touch->mtime.ns);
    c_.touch_inode.Bind(6, pending.touch->ctime.ns);
    return c_.touch_inode.Run();
  }

  Result<void> WriteEntries(std::uint64_t directory, const Pending& pending, const std::function<void()>& step) {
    if (pending.erased) {
      c_.delete_entries.Bind(1, directory);
      STRATA_TRY(c_.delete_entries.Run());
    }
    for (const auto& [key, entry] : pending.entries) {
      Statement& statement = entry.kind != 0 ? c_.put_entry : c_.delete_entry;
      statement.Bind(1, directory);
      statement.Bind(2, key.first);
      statement.BindBlob(3, key.second);
      if (entry.kind != 0) {
        statement.Bind(4, entry.ino);
        statement.Bind(5, std::int64_t{entry.kind});
      }
      STRATA_TRY(statement.Run());
      if (step) step();
    }
    return {};
  }

  Result<void> WriteExtents(std::uint64_t ino, const Pending& pending) {
    std::uint64_t held = 0;  // extents of the database may reach up to here
    if (pending.erased) {
      c_.delete_all_extents.Bind(1, ino);
      STRATA_TRY(c_.delete_all_extents.Run());
    } else if (!pending.fresh) {
      if (pending.truncated <= kLargestSigned) STRATA_TRY(TruncateRows(ino, pending.truncated));
      if (!pending.pieces.empty()) {
        STRATA_ASSIGN(const auto last, ExtentBefore(ino, kLargestSigned));
        held = last ? last->offset + last->length : 0;
      }
    }
    for (const auto& [offset, piece] : pending.pieces) {
      if (offset < held) STRATA_TRY(CutRows(ino, offset, offset + piece.length));
      STRATA_TRY(PutRow(ino, {offset, piece.length, piece.position, piece.record}));
    }
    return {};
  }

  // The extent with the greatest offset below `offset`.
  Result<std::optional<Extent>> ExtentBefore(std::uint64_t ino, std::uint64_t offset) {
    const StatementScope scope(c_.extent_before);
    c_.extent_before.Bind(1, ino);
    c_.extent_before.Bind(2, offset);
    STRATA_ASSIGN(const bool row, c_.extent_before.Step());
    if (!row) return std::nullopt;
    return ReadExtent(c_.extent_before, 0, c_.database->path());
  }

  Result<void> PutRow(std::uint64_t ino, const Extent& extent) {
    c_.put_extent.Bind(1, ino);
    c_.put_extent.Bind(2, extent.offset);
    c_.put_extent.Bind(3, extent.length);
    c_.put_extent.Bind(4, extent.position.value);
    c_.put_extent.Bind(5, extent.record.value);
    return c_.put_extent.Run();
  }

  Result<void> ShortenRow(std::uint64_t ino, std::uint64_t offset, std::uint64_t length) {
    c_.shorten_extent.Bind(1, ino);
    c_.shorten_extent.Bind(2, offset);
    c_.shorten_extent.Bind(3, length);
    return c_.shorten_extent.Run();
  }

  Result<void> TruncateRows(std::uint64_t ino, std::uint64_t size) {
    c_.delete_extents_from.Bind(1, ino);
    c_.delete_extents_from.Bind(2, size);
    STRATA_TRY(c_.delete_extents_from.Run());
    STRATA_ASSIGN(const auto last, ExtentBefore(ino, size));
    if (last && last->offset + last->length > size) return ShortenRow(ino, last->offset, size - last->offset);
    return {};
  }

  // Cuts or drops what lies in [begin, end).
  Result<void> CutRows(std::uint64_t ino, std::uint64_t begin, std::uint64_t end) {
    STRATA_ASSIGN(const auto before, ExtentBefore(ino, begin));
    // What of the last one cut lies behind the range.
    std::optional<Extent> tail;
    const auto keep_tail = [&](const Extent& extent) {
      if (extent.end() > end) tail = extent.From(end);
    };
    if (before && before->offset + before->length > begin) {
      keep_tail(*before);
      STRATA_TRY(ShortenRow(ino, before->offset, begin - before->offset));
    }
    STRATA_ASSIGN(const auto last, ExtentBefore(ino, end));
    if (last && last->offset >= begin) {
      keep_tail(*last);
      c_.delete_extents.Bind(1, ino);
      c_.delete_extents.Bind(2, begin);
      c_.delete_extents.Bind(3, end);
      STRATA_TRY(c_.delete_extents.Run());
    }
    if (tail) return PutRow(ino, *tail);
    return {};
  }

  Result<void> SetMeta(std::string_view key, std::uint64_t value) {
    c_.set_meta.Bind(1, value);
    c_.set_meta.BindText(2, key);
    return c_.set_meta.Run();
  }

  WriteState& state_;
  WriteConnection& c_ = *state_.connection;
  bool spent_ = false;
  std::uint64_t highest_ino_;
  std::int64_t inode_count_ = 0;
  absl::flat_hash_map<std::uint64_t, std::unique_ptr<Pending>> pending_;
  std::size_t bytes_ = 0;  // an estimate, rather too high
  std::string scratch_;
};

}  // namespace

Result<std::unique_ptr<WriteConnection>> WriteConnection::Make(std::unique_ptr<Database> database) {
  auto c = std::make_unique<WriteConnection>();
  c->database = std::move(database);
  struct Row {
    Statement* statement;
    const char* sql;
  };
  const Row rows[] = {
      {&c->begin, "BEGIN IMMEDIATE"},
      {&c->commit, "COMMIT"},
      {&c->rollback, "ROLLBACK"},
      {&c->insert_inode, kInsertInode},
      {&c->update_inode, kUpdateInode},
      {&c->touch_inode, "UPDATE inodes SET nlink = ?2, size = ?3, mode = ?4, mtime = ?5, ctime = ?6 WHERE ino = ?1"},
      {&c->delete_inode, "DELETE FROM inodes WHERE ino = ?1"},
      {&c->put_entry, "INSERT OR REPLACE INTO entries (dir, hash, name, ino, kind) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&c->delete_entry, "DELETE FROM entries WHERE dir = ?1 AND hash = ?2 AND name = ?3"},
      {&c->delete_entries, "DELETE FROM entries WHERE dir = ?1"},
      {&c->put_extent, "INSERT INTO extents (ino, offset, length, position, record) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&c->shorten_extent, "UPDATE extents SET length = ?3 WHERE ino = ?1 AND offset = ?2"},
      {&c->delete_extents, "DELETE FROM extents WHERE ino = ?1 AND offset >= ?2 AND offset < ?3"},
      {&c->delete_extents_from, "DELETE FROM extents WHERE ino = ?1 AND offset >= ?2"},
      {&c->delete_all_extents, "DELETE FROM extents WHERE ino = ?1"},
      {&c->extent_before,
       "SELECT offset, length, position, record FROM extents WHERE ino = ?1 AND offset < ?2 ORDER BY offset DESC LIMIT "
       "1"},
      {&c->set_meta, "UPDATE meta SET value = ?1 WHERE key = ?2"},
  };
  for (const Row& row : rows) {
    STRATA_ASSIGN(*row.statement, c->database->Prepare(row.sql));
  }
  return c;
}

std::unique_ptr<Index::Writer> MakeWriter(WriteState& state) { return std::make_unique<BatchWriter>(state); }

}  // namespace strata::store
