// Extents of large files, of which some are in memory and for others the index is asked.
#include "vfs/workspace/loader.h"

namespace strata::vfs {
namespace {

// Extents that are read of the index at a time, while others wait to read: ahead of a reader, and where all are needed.
constexpr std::size_t kReadAhead = 128;
constexpr std::size_t kAllAtOnce = 2048;

}  // namespace

Result<void> Loader::KnowExtents(Inode& file, std::uint64_t from, std::uint64_t to, Need& need) {
  const std::uint64_t known = file.extents.KnownUntil(from, to);
  if (known == to) return {};
  return need.Range(Need::Kind::kExtents, file, known, to);
}

Result<void> Loader::KnowForTruncation(Inode& file, std::uint64_t size, Need& need) {
  if (!file.extents.partial() || size == 0) return {};
  const auto [from, to] = ExtentMap::CountedFor(size, file.record.size);
  if (file.extents.CountOf(from, to).done()) return {};
  return need.Range(Need::Kind::kCount, file, from, to);
}

Result<void> Loader::LoadExtents(const Need& need) {
  const Lsn read_at = position();
  std::vector<Extent> rows;
  std::uint64_t until = need.to;
  if (index_) {
    STRATA_ASSIGN(until, index_->LoadExtents(need.id.ino, need.from, need.to,
                                             need.to == ExtentMap::kEnd ? kReadAhead : kAllAtOnce, rows));
  }
  StripeLock lock(table_);
  lock.Lock({need.id.ino});
  Inode* inode = table_.Find(need.id.ino);
  // What was read may be older than what was given up: the call finds it still missing and comes again.
  if (inode == nullptr || !inode->extents.partial() || table_.DroppedSince(read_at)) return {};
  inode->extents.Fill(rows, need.from, until);
  table_.Recount(*inode);
  return {};
}

Result<void> Loader::CountExtents(const Need& need) {
  // Of two ranges of one file only one is counted at a time.
  const MutexLock one(count_mutex_);
  std::vector<Extent> rows;
  for (std::uint64_t from = need.from;;) {
    const Lsn read_at = position();
    rows.clear();
    std::uint64_t until = need.to;
    if (index_) {
      STRATA_ASSIGN(until, index_->LoadExtents(need.id.ino, from, need.to, kAllAtOnce, rows));
    }
    StripeLock lock(table_);
    lock.Lock({need.id.ino});
    Inode* inode = table_.Find(need.id.ino);
    if (inode == nullptr || !inode->extents.partial()) return {};
    if (inode->extents.CountOf(need.from, need.to).reached == from && !table_.DroppedSince(read_at)) {
      inode->extents.GoOnCounting(rows, until);
    }
    const ExtentMap::Count& count = inode->extents.CountOf(need.from, need.to);
    if (count.done()) return {};
    from = count.reached;
  }
}

}  // namespace strata::vfs
