#include "store/index/scan.h"

#include "store/index/rows.h"
#include "store/index/scan_rows.h"

namespace strata::store {
namespace {

class RowScan final : public IndexScan {
 public:
  static Result<std::unique_ptr<IndexScan>> Make(std::unique_ptr<Database> database) {
    auto scan = std::make_unique<RowScan>();
    STRATA_ASSIGN(scan->inodes_, database->Prepare(kSelectAllInodes));
    STRATA_ASSIGN(scan->entries_,
                  database->Prepare("SELECT hash, name, ino, kind, dir FROM entries ORDER BY dir, hash, name"));
    STRATA_ASSIGN(scan->extents_,
                  database->Prepare("SELECT offset, length, position, record, ino FROM extents ORDER BY ino, offset"));
    STRATA_ASSIGN(scan->segments_, database->Prepare("SELECT segment, bytes FROM segments ORDER BY segment"));
    STRATA_ASSIGN(scan->links_,
                  database->Prepare("SELECT hash, name, ino, kind, dir FROM entries WHERE kind < 16 ORDER BY ino"));
    STRATA_ASSIGN(
        scan->names_,
        database->Prepare("SELECT dir, sum(kind < 16), sum(kind = 2) FROM entries GROUP BY dir ORDER BY dir"));
    scan->database_ = std::move(database);
    return scan;
  }

  Result<std::optional<IndexInode>> NextInode() override {
    return Next<IndexInode>(inodes_, [&] { return ReadInode(inodes_, database_->path()); });
  }
  Result<std::optional<Entry>> NextEntry() override {
    return Next<Entry>(entries_, [&] { return ReadOwned(entries_); });
  }
  Result<std::optional<Entry>> NextLink() override {
    return Next<Entry>(links_, [&] { return ReadOwned(links_); });
  }
  Result<std::optional<FileExtent>> NextExtent() override {
    return Next<FileExtent>(extents_, [&]() -> Result<FileExtent> {
      const InodeNumber ino(extents_.Uint(4));
      if (ino != extents_of_) extents_end_ = 0;
      STRATA_ASSIGN(const Extent extent, ReadExtent(extents_, extents_end_, database_->path()));
      extents_of_ = ino;
      extents_end_ = extent.end();
      return FileExtent{ino, extent};
    });
  }
  Result<std::optional<LivingSegment>> NextSegment() override {
    return Next<LivingSegment>(
        segments_, [&]() -> Result<LivingSegment> { return LivingSegment{segments_.Uint(0), segments_.Uint(1)}; });
  }
  Result<std::optional<Names>> NextNames() override {
    return Next<Names>(
        names_, [&]() -> Result<Names> { return Names{InodeNumber(names_.Uint(0)), names_.Uint(1), names_.Uint(2)}; });
  }

 private:
  template <typename Row, typename Read>
  static Result<std::optional<Row>> Next(Statement& statement, Read read) {
    STRATA_ASSIGN(const bool row, statement.Step());
    if (!row) {
      statement.Reset();
      return std::nullopt;
    }
    STRATA_ASSIGN(Row value, read());
    return value;
  }
  Result<Entry> ReadOwned(const Statement& statement) {
    STRATA_ASSIGN(IndexEntry entry, ReadEntry(statement, database_->path()));
    return Entry{InodeNumber(statement.Uint(4)), std::move(entry)};
  }

  std::unique_ptr<Database> database_;  // first, so that the statements are gone before it
  Statement inodes_, entries_, extents_, segments_, links_, names_;
  InodeNumber extents_of_;
  std::uint64_t extents_end_ = 0;
};

}  // namespace

Result<std::unique_ptr<IndexScan>> ScanRows(std::unique_ptr<Database> database) {
  return RowScan::Make(std::move(database));
}

}  // namespace strata::store
