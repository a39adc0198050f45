#include <algorithm>
#include <string>
#include <tuple>

#include "vfs/check/tree.h"

namespace strata::vfs {
namespace {

// What differs, by the names of the index's columns.
std::string DifferentColumns(const store::IndexInode& a, const store::IndexInode& b) {
  std::string names;
  const auto compare = [&](const char* name, const auto& x, const auto& y) {
    if (x == y) return;
    names += names.empty() ? "" : ", ";
    names += name;
  };
  compare("generation", a.generation, b.generation);
  compare("locator", a.locator, b.locator);
  compare("type", a.type, b.type);
  compare("mode", a.mode, b.mode);
  compare("uid", a.uid, b.uid);
  compare("gid", a.gid, b.gid);
  compare("nlink", a.nlink, b.nlink);
  compare("size", a.size, b.size);
  compare("rdev", a.rdev, b.rdev);
  compare("atime", a.atime, b.atime);
  compare("mtime", a.mtime, b.mtime);
  compare("ctime", a.ctime, b.ctime);
  compare("parent", a.parent, b.parent);
  compare("opaque", a.opaque, b.opaque);
  compare("base_size", a.base_size, b.base_size);
  compare("verifier", a.create_verifier, b.create_verifier);
  compare("origin", a.origin, b.origin);
  compare("target", a.symlink_target, b.symlink_target);
  compare("used", a.used, b.used);
  return names;
}

struct InodeRows {
  using Row = store::IndexInode;
  static auto Next(store::IndexScan& scan) { return scan.NextInode(); }
  static auto Key(const Row& row) { return row.ino; }
  static InodeNumber Of(const Row& row) { return row.ino; }
  static std::string Name(const Row&) { return "the inode"; }
  static std::string Columns(const Row& a, const Row& b) { return DifferentColumns(a, b); }
};

struct EntryRows {
  using Row = store::IndexScan::Entry;
  static auto Next(store::IndexScan& scan) { return scan.NextEntry(); }
  static auto Key(const Row& row) { return std::tie(row.directory, row.entry.hash, row.entry.name); }
  static InodeNumber Of(const Row& row) { return row.directory; }
  static std::string Name(const Row& row) {
    return (row.entry.whiteout ? "the whiteout of '" : "the entry '") + row.entry.name + "'";
  }
  static std::string Columns(const Row& a, const Row& b) {
    if (a.entry.ino == b.entry.ino) return "kind";
    return a.entry.type == b.entry.type && a.entry.whiteout == b.entry.whiteout ? "ino" : "ino, kind";
  }
};

struct ExtentRows {
  using Row = store::IndexScan::FileExtent;
  static auto Next(store::IndexScan& scan) { return scan.NextExtent(); }
  static auto Key(const Row& row) { return std::tuple(row.ino, row.extent.offset); }
  static InodeNumber Of(const Row& row) { return row.ino; }
  static std::string Name(const Row& row) {
    return "the extent of " + std::to_string(row.extent.length) + " bytes at " + std::to_string(row.extent.offset);
  }
  static std::string Columns(const Row& a, const Row& b) {
    std::string names;
    if (a.extent.length != b.extent.length) names = "length";
    if (a.extent.position != b.extent.position) names += names.empty() ? "position" : ", position";
    if (a.extent.record != b.extent.record) names += names.empty() ? "record" : ", record";
    return names;
  }
};

struct SegmentRows {
  using Row = store::LivingSegment;
  static auto Next(store::IndexScan& scan) { return scan.NextSegment(); }
  static auto Key(const Row& row) { return row.segment; }
  static const char* Of(const Row&) { return "index.db"; }
  static std::string Name(const Row& row) {
    return "what lives in the journal's segment " + std::to_string(row.segment);
  }
  static std::string Columns(const Row&, const Row&) { return "bytes"; }
};

// One pass over a table of both.
template <typename Table>
Result<void> CompareTable(store::IndexScan& index, store::IndexScan& truth, Findings& findings,
                          const std::function<void()>& passed) {
  STRATA_ASSIGN(auto mine, Table::Next(index));
  STRATA_ASSIGN(auto other, Table::Next(truth));
  while (mine || other) {
    passed();
    if (!other || (mine && Table::Key(*mine) < Table::Key(*other))) {
      findings.Add(Severity::kDamage, Table::Of(*mine),
                   "extra in the index: " + Table::Name(*mine) + ", of which the journal knows nothing", kRebuildIndex);
      STRATA_ASSIGN(mine, Table::Next(index));
      continue;
    }
    if (!mine || Table::Key(*other) < Table::Key(*mine)) {
      findings.Add(Severity::kDamage, Table::Of(*other),
                   "missing in the index: " + Table::Name(*other) + ", of which the journal tells", kRebuildIndex);
      STRATA_ASSIGN(other, Table::Next(truth));
      continue;
    }
    if (*mine != *other) {
      findings.Add(Severity::kDamage, Table::Of(*mine),
                   "different in the index: " + Table::Name(*mine) + " (" + Table::Columns(*mine, *other) + ")",
                   kRebuildIndex);
    }
    STRATA_ASSIGN(mine, Table::Next(index));
    STRATA_ASSIGN(other, Table::Next(truth));
  }
  return {};
}

}  // namespace

Result<void> CompareIndexes(store::Index& index, store::Index& truth, Findings& findings,
                            const CheckProgress& progress) {
  STRATA_ASSIGN(const auto scan, index.Scan());
  STRATA_ASSIGN(const auto true_scan, truth.Scan());
  const store::IndexCounts counts = index.Counts(), true_counts = truth.Counts();
  const std::uint64_t all = true_counts.inodes + true_counts.entries + true_counts.extents;
  std::uint64_t rows = 0;
  const auto passed = [&] {
    if (++rows % 4096 == 0) progress(std::min(1.0, static_cast<double>(rows) / static_cast<double>(all + 1)));
  };
  STRATA_TRY(CompareTable<InodeRows>(*scan, *true_scan, findings, passed));
  STRATA_TRY(CompareTable<EntryRows>(*scan, *true_scan, findings, passed));
  STRATA_TRY(CompareTable<ExtentRows>(*scan, *true_scan, findings, passed));
  STRATA_TRY(CompareTable<SegmentRows>(*scan, *true_scan, findings, passed));
  findings.Count("index rows compared", rows);

  STRATA_ASSIGN(const store::Index::Checkpoint mine, index.LastCheckpoint());
  STRATA_ASSIGN(const store::Index::Checkpoint other, truth.LastCheckpoint());
  const auto compare = [&](const char* key, std::uint64_t has, std::uint64_t must) {
    if (has == must) return;
    findings.Add(Severity::kDamage, "index.db",
                 "different in the index: meta row " + std::string(key) + " is " + std::to_string(has) +
                     ", by the journal it is " + std::to_string(must),
                 kRebuildIndex);
  };
  compare("inodes", counts.inodes, true_counts.inodes);
  compare("entries", counts.entries, true_counts.entries);
  compare("extents", counts.extents, true_counts.extents);
  compare("data", counts.data, true_counts.data);
  // Numbers that only segments given up since have named need not be kept.
  if (other.journal_begin.value == 0 || mine.highest_ino < other.highest_ino)
    compare("highest_ino", mine.highest_ino.value, other.highest_ino.value);
  compare("journal_begin", mine.journal_begin.value, other.journal_begin.value);
  compare("lsn", mine.lsn.value, other.lsn.value);
  compare("record", mine.record.value, other.record.value);
  compare("record_check", mine.record_check, other.record_check);
  progress(1);
  return {};
}

}  // namespace strata::vfs
