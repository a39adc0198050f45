#include "store/index/writer.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/extent_pieces.h"
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

// What an entry is now; ino 0 and no type for one that is removed.
struct EntryState {
  std::uint64_t ino = 0;
  std::uint8_t kind = 0;  // EntryKind; 0: removed
};

struct EntryKey {
  std::uint64_t hash = 0;
  std::string name;
  auto operator<=>(const EntryKey&) const = default;
  // Names are hashed with a key already.
  struct Hash {
    std::size_t operator()(const EntryKey& key) const { return key.hash; }
  };
};

// All that the batch says of one inode.
struct Pending {
  bool fresh = false;   // the database holds no row of it
  bool erased = false;  // purged: its rows go before anything else is written
  std::optional<InodeRecord> image;
  std::optional<Touched> touch;  // of the row that is there; with an image, it is merged into that
  // Extents of the database from here on are gone; within the pieces too, which cover all else that the batch wrote.
  std::uint64_t truncated = kNoLimit;
  ExtentPieces pieces;
  // As a directory: what its entries are now.
  absl::flat_hash_map<EntryKey, EntryState, EntryKey::Hash> entries;
};

// Estimates, allocator and the room that containers keep included.
constexpr std::size_t kPendingBytes = sizeof(Pending) + 64;
constexpr std::size_t kEntryBytes = (sizeof(EntryKey) + sizeof(EntryState)) * 2 + 24;
constexpr std::size_t kPieceBytes = 48;
// Rows that are dropped by one statement.
constexpr std::size_t kDroppedAtOnce = 4096;

class BatchWriter final : public Index::Writer {
 public:
  BatchWriter(WriteState& state, std::uint64_t segment_size)
      : state_(state), segment_size_(segment_size), highest_ino_(state.highest_ino) {}
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
    EntryKey key{hash, std::string(name)};
    if (pending.fresh || pending.erased) {
      pending.entries.erase(key);
    } else {
      Set(pending, std::move(key), {});
    }
    return {};
  }

  std::size_t bytes() const override { return bytes_; }

  Result<void> PutExtent(InodeNumber ino, const Extent& extent) override {
    ExtentPieces& pieces = Of(ino).pieces;
    if (extent.length == 0) return {};
    bytes_ += kPieceBytes;
    if (extent.offset > kLargestSigned || extent.length > kLargestSigned - extent.offset) {
      return Fail(Errc::kInvalid, "an extent beyond the largest file");
    }
    const ExtentPiece piece{extent.length, extent.position, extent.record};
    // By far most writes append.
    if (pieces.empty() || std::prev(pieces.end())->first + std::prev(pieces.end())->second.length <= extent.offset) {
      pieces.emplace_hint(pieces.end(), extent.offset, piece);
      return {};
    }
    CutExtents(pieces, extent.offset, extent.offset + extent.length);
    pieces.emplace(extent.offset, piece);
    return {};
  }

  Result<void> Truncate(InodeNumber ino, std::uint64_t size) override {
    Pending& pending = Of(ino);
    pending.truncated = std::min(pending.truncated, size);
    CutExtents(pending.pieces, size, kNoLimit);
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
    counts_ = state_.counts.Get();
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
    state_.segment_size = segment_size_;
    state_.counts.Set(counts_);
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

  void Set(Pending& pending, EntryKey key, EntryState state) {
    const auto [at, added] = pending.entries.insert_or_assign(std::move(key), state);
    if (added) bytes_ += kEntryBytes;
  }

  Result<void> WriteAll(const Index::Checkpoint& checkpoint, std::uint32_t sequence,
                        const std::function<void()>& step) {
    if (state_.segment_size != segment_size_) STRATA_TRY(CountSegments());
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
      STRATA_TRY(WriteExtents(ino, *pending, step));
      if (step) step();
    }
    STRATA_TRY(WriteSegments());
    STRATA_TRY(SetMeta("lsn", checkpoint.lsn.value));
    STRATA_TRY(SetMeta("record", checkpoint.record.value));
    STRATA_TRY(SetMeta("record_check", checkpoint.record_check));
    STRATA_TRY(SetMeta("requests", checkpoint.requests.value));
    STRATA_TRY(SetMeta("journal_begin", checkpoint.journal_begin.value));
    STRATA_TRY(SetMeta("highest_ino", highest_ino_));
    STRATA_TRY(SetMeta("sequence", sequence));
    STRATA_TRY(SetMeta("segment_size", segment_size_));
    STRATA_TRY(SetMeta("inodes", counts_.inodes));
    STRATA_TRY(SetMeta("entries", counts_.entries));
    STRATA_TRY(SetMeta("extents", counts_.extents));
    return SetMeta("data", counts_.data);
  }

  Result<void> WriteInode(std::uint64_t ino, const Pending& pending) {
    if (pending.erased) {
      c_.delete_inode.Bind(1, ino);
      STRATA_TRY(c_.delete_inode.Run());
      counts_.inodes -= Changed();
    }
    if (pending.image) {
      std::uint64_t used = 0;
      if (!pending.fresh && !pending.erased) {
        BindInode(c_.update_inode, *pending.image, scratch_);
        STRATA_TRY(c_.update_inode.Run());
        if (Changed() != 0) return {};
        STRATA_ASSIGN(used, UsedOfRows(ino));
      } else {
        for (const auto& [offset, piece] : pending.pieces) used += piece.length;
      }
      BindInode(c_.insert_inode, *pending.image, scratch_);
      c_.insert_inode.Bind(kUsedParameter, used);
      ++counts_.inodes;
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
      counts_.entries -= Changed();
    }
    std::vector<const std::pair<const EntryKey, EntryState>*> order;
    order.reserve(pending.entries.size());
    for (const auto& entry : pending.entries) order.push_back(&entry);
    std::ranges::sort(order, {}, [](const auto* entry) -> const EntryKey& { return entry->first; });
    for (const auto* at : order) {
      const auto& [key, entry] = *at;
      const auto run = [&](Statement& statement) {
        statement.Bind(1, directory);
        statement.Bind(2, key.hash);
        statement.BindBlob(3, key.name);
        if (entry.kind != 0) {
          statement.Bind(4, entry.ino);
          statement.Bind(5, std::int64_t{entry.kind});
        }
        return statement.Run();
      };
      if (entry.kind == 0) {
        STRATA_TRY(run(c_.delete_entry));
        counts_.entries -= Changed();
      } else {
        // Most are new.
        STRATA_TRY(run(c_.insert_entry));
        if (Changed() != 0) {
          ++counts_.entries;
        } else {
          STRATA_TRY(run(c_.update_entry));
        }
      }
      if (step) step();
    }
    return {};
  }

  Result<void> WriteExtents(std::uint64_t ino, const Pending& pending, const std::function<void()>& step) {
    used_ = 0;
    std::uint64_t held = 0;  // extents of the database may reach up to here
    if (pending.erased) {
      STRATA_TRY(CutRows(ino, 0, kLargestSigned, step));
    } else if (!pending.fresh) {
      if (pending.truncated < kLargestSigned) STRATA_TRY(CutRows(ino, pending.truncated, kLargestSigned, step));
      if (!pending.pieces.empty()) {
        STRATA_ASSIGN(held, EndOfRows(ino));
      }
    }
    for (const auto& [offset, piece] : pending.pieces) {
      if (offset < held) STRATA_TRY(CutRows(ino, offset, offset + piece.length, {}));
      STRATA_TRY(PutRow(ino, {offset, piece.length, piece.position, piece.record}));
      if (step) step();
    }
    // What has a new row was counted as that was written.
    if (used_ == 0 || pending.fresh || pending.erased) return {};
    c_.add_used.Bind(1, ino);
    c_.add_used.Bind(2, used_);
    return c_.add_used.Run();
  }

  // Where the last extent of the database ends.
  Result<std::uint64_t> EndOfRows(std::uint64_t ino) {
    const StatementScope scope(c_.extents_before);
    c_.extents_before.Bind(1, ino);
    c_.extents_before.Bind(2, kLargestSigned);
    STRATA_ASSIGN(const bool row, c_.extents_before.Step());
    if (!row) return 0;
    STRATA_ASSIGN(const Extent last, ReadExtent(c_.extents_before, 0, c_.database->path()));
    return last.end();
  }

  Result<std::uint64_t> UsedOfRows(std::uint64_t ino) {
    const StatementScope scope(c_.sum_extents);
    c_.sum_extents.Bind(1, ino);
    STRATA_ASSIGN(const bool row, c_.sum_extents.Step());
    return row ? c_.sum_extents.Uint(0) : 0;
  }

  std::uint64_t Changed() const { return static_cast<std::uint64_t>(c_.database->Changes()); }

  // Counts `bytes` more, or fewer, of data that lies at `position`.
  void CountBytes(Lsn position, std::int64_t bytes) {
    counts_.data += static_cast<std::uint64_t>(bytes);
    segments_[position.value / segment_size_] += bytes;
    used_ += bytes;
  }

  Result<void> PutRow(std::uint64_t ino, const Extent& extent) {
    c_.put_extent.Bind(1, ino);
    c_.put_extent.Bind(2, extent.offset);
    c_.put_extent.Bind(3, extent.length);
    c_.put_extent.Bind(4, extent.position.value);
    c_.put_extent.Bind(5, extent.record.value);
    ++counts_.extents;
    CountBytes(extent.position, static_cast<std::int64_t>(extent.length));
    return c_.put_extent.Run();
  }

  Result<void> ShortenRow(std::uint64_t ino, const Extent& extent, std::uint64_t length) {
    CountBytes(extent.position, -static_cast<std::int64_t>(extent.length - length));
    c_.shorten_extent.Bind(1, ino);
    c_.shorten_extent.Bind(2, extent.offset);
    c_.shorten_extent.Bind(3, length);
    return c_.shorten_extent.Run();
  }

  // Cuts or drops what lies in [begin, end), from its end on, some rows at a time: they may be millions.
  Result<void> CutRows(std::uint64_t ino, std::uint64_t begin, std::uint64_t end, const std::function<void()>& step) {
    std::optional<Extent> head;  // lies across `begin`
    std::optional<Extent> tail;  // what of the last one cut lies behind the range
    for (std::uint64_t from = end;;) {
      std::size_t dropped = 0;
      const std::uint64_t until = from;
      {
        const StatementScope scope(c_.extents_before);
        c_.extents_before.Bind(1, ino);
        c_.extents_before.Bind(2, until);
        while (dropped < kDroppedAtOnce) {
          STRATA_ASSIGN(const bool row, c_.extents_before.Step());
          if (!row) break;
          STRATA_ASSIGN(const Extent extent, ReadExtent(c_.extents_before, 0, c_.database->path()));
          if (extent.end() <= begin) break;
          if (extent.end() > end) tail = extent.From(end);
          if (extent.offset < begin) {
            head = extent;
            break;
          }
          CountBytes(extent.position, -static_cast<std::int64_t>(extent.length));
          from = extent.offset;
          ++dropped;
        }
      }
      if (dropped > 0) {
        c_.delete_extents.Bind(1, ino);
        c_.delete_extents.Bind(2, from);
        c_.delete_extents.Bind(3, until);
        STRATA_TRY(c_.delete_extents.Run());
        counts_.extents -= dropped;
      }
      if (dropped < kDroppedAtOnce) break;
      if (step) step();
    }
    if (head) STRATA_TRY(ShortenRow(ino, *head, begin - head->offset));
    if (tail) return PutRow(ino, *tail);
    return {};
  }

  // All that lives, anew: nothing is counted yet, or in segments of another size.
  Result<void> CountSegments() {
    STRATA_TRY(c_.delete_segments.Run());
    const StatementScope scope(c_.all_extents);
    while (true) {
      STRATA_ASSIGN(const bool row, c_.all_extents.Step());
      if (!row) return {};
      segments_[c_.all_extents.Uint(0) / segment_size_] += c_.all_extents.Int(1);
    }
  }

  Result<void> WriteSegments() {
    for (const auto& [segment, bytes] : segments_) {
      if (bytes == 0) continue;
      c_.add_segment.Bind(1, segment);
      c_.add_segment.Bind(2, bytes);
      STRATA_TRY(c_.add_segment.Run());
      if (Changed() == 0) {
        c_.insert_segment.Bind(1, segment);
        c_.insert_segment.Bind(2, bytes);
        STRATA_TRY(c_.insert_segment.Run());
      } else if (bytes < 0) {
        c_.delete_segment.Bind(1, segment);
        STRATA_TRY(c_.delete_segment.Run());
      }
    }
    return {};
  }

  Result<void> SetMeta(std::string_view key, std::uint64_t value) {
    c_.set_meta.Bind(1, value);
    c_.set_meta.BindText(2, key);
    return c_.set_meta.Run();
  }

  WriteState& state_;
  const std::uint64_t segment_size_;
  WriteConnection& c_ = *state_.connection;
  bool spent_ = false;
  std::uint64_t highest_ino_;
  IndexCounts counts_;                                         // as they are once it is committed
  absl::flat_hash_map<std::uint64_t, std::int64_t> segments_;  // bytes that came to live there, or live there no more
  std::int64_t used_ = 0;                                      // the same of the file whose extents are written
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
      {&c->insert_entry, "INSERT OR IGNORE INTO entries (dir, hash, name, ino, kind) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&c->update_entry, "UPDATE entries SET ino = ?4, kind = ?5 WHERE dir = ?1 AND hash = ?2 AND name = ?3"},
      {&c->delete_entry, "DELETE FROM entries WHERE dir = ?1 AND hash = ?2 AND name = ?3"},
      {&c->delete_entries, "DELETE FROM entries WHERE dir = ?1"},
      {&c->put_extent, "INSERT INTO extents (ino, offset, length, position, record) VALUES (?1, ?2, ?3, ?4, ?5)"},
      {&c->shorten_extent, "UPDATE extents SET length = ?3 WHERE ino = ?1 AND offset = ?2"},
      {&c->delete_extents, "DELETE FROM extents WHERE ino = ?1 AND offset >= ?2 AND offset < ?3"},
      {&c->extents_before,
       "SELECT offset, length, position, record FROM extents WHERE ino = ?1 AND offset < ?2 ORDER BY offset DESC"},
      {&c->all_extents, "SELECT position, length FROM extents"},
      {&c->add_used, "UPDATE inodes SET used = used + ?2 WHERE ino = ?1"},
      {&c->sum_extents, "SELECT coalesce(sum(length), 0) FROM extents WHERE ino = ?1"},
      {&c->insert_segment, "INSERT INTO segments (segment, bytes) VALUES (?1, ?2)"},
      {&c->add_segment, "UPDATE segments SET bytes = bytes + ?2 WHERE segment = ?1"},
      {&c->delete_segment, "DELETE FROM segments WHERE segment = ?1 AND bytes = 0"},
      {&c->delete_segments, "DELETE FROM segments"},
      {&c->set_meta, "UPDATE meta SET value = ?1 WHERE key = ?2"},
  };
  for (const Row& row : rows) {
    STRATA_ASSIGN(*row.statement, c->database->Prepare(row.sql));
  }
  return c;
}

std::unique_ptr<Index::Writer> MakeWriter(WriteState& state, std::uint64_t segment_size) {
  return std::make_unique<BatchWriter>(state, segment_size);
}

}  // namespace strata::store
