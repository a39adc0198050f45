#include "store/pack/stat.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "store/castore/tree_sums.h"
#include "store/leases.h"
#include "store/pack/directories.h"
#include "store/pack/roots.h"

namespace strata::store::pack {
std::uint64_t StoreStat::UniqueBytes() const { return Of(RecordKind::kChunk).raw + Of(RecordKind::kDirectory).raw; }

std::uint64_t StoreStat::StoredBytes() const {
  std::uint64_t sum = 0;
  for (const Kind& kind : kinds) sum += kind.stored;
  return sum;
}

Result<void> ListRecords(Engine& engine, const std::function<Result<bool>(const IndexEntry&)>& visit) {
  STRATA_TRY(engine.catalog().Look());
  // What this process appended meanwhile is in a table until an index has it.
  for (const PackClass pack_class : {PackClass::kData, PackClass::kDirectories}) {
    std::vector<IndexEntry> entries = engine.appender(pack_class).Tail();
    engine.catalog().tails(pack_class).ForEach([&](const Digest& digest, const Location& location) {
      entries.push_back({digest, location});
    });
    for (const IndexEntry& entry : entries) {
      STRATA_ASSIGN(const bool more, visit(entry));
      if (!more) return {};
    }
  }
  const auto view = engine.catalog().view();
  for (const CatalogView::Index& index : view->indexes) {
    IndexCursor cursor(*index.file);
    while (true) {
      STRATA_ASSIGN(const bool more, cursor.Next());
      if (!more) break;
      if (!index.alive[cursor.range()]) continue;
      STRATA_ASSIGN(const bool wanted, visit(cursor.entry()));
      if (!wanted) return {};
    }
  }
  return {};
}

Result<void> CountNames(RootNodes& roots, DirectoryService& directories, const StatOptions& options, StoreStat& stat) {
  TreeSums sums(directories, options.step);
  TreeSum all;
  Result<void> walked;
  STRATA_TRY(roots.List({}, [&](std::string_view, const Root& root) {
    ++stat.names;
    if (!options.logical) return true;
    if (root.node.kind == NodeKind::kFile) all.Add({root.node.size, 1});
    if (root.node.kind == NodeKind::kDirectory) {
      const auto sum = sums.Of(root.node.digest);
      if (!sum) walked = Fail(sum.error());
      if (sum) all.Add(*sum);
    }
    return walked.has_value();
  }));
  STRATA_TRY(walked);
  if (options.logical) {
    stat.logical_bytes = all.bytes;
    stat.logical_files = all.files;
  }
  return {};
}

Result<StoreStat> StatStore(Engine& engine, const StatOptions& options) {
  StoreStat stat;
  STRATA_TRY(ListRecords(engine, [&](const IndexEntry& entry) -> Result<bool> {
    StoreStat::Kind& kind = stat.kinds[static_cast<std::size_t>(entry.location.kind) % kRecordKinds];
    ++kind.records;
    kind.raw += entry.location.raw;
    kind.stored += entry.location.stored;
    return !options.step || options.step();
  }));
  const auto view = engine.catalog().view();
  stat.packs = view->packs.size();
  for (const auto& [id, pack] : view->packs) {
    const auto file = engine.env().Open(engine.files().PathOf(id), OpenMode::kRead);
    if (!file) continue;
    STRATA_ASSIGN(const std::uint64_t size, (*file)->Size());
    stat.pack_bytes += size;
  }
  stat.indexes = view->indexes.size();
  for (const CatalogView::Index& index : view->indexes) stat.index_entries += index.file->entries();
  for (const PackClass pack_class : {PackClass::kData, PackClass::kDirectories}) {
    stat.unindexed += engine.catalog().tails(pack_class).size() + engine.appender(pack_class).tail_records();
  }
  STRATA_ASSIGN(const auto leases, ReadLeases(engine.env(), engine.layout().leases()));
  stat.leases = static_cast<std::uint64_t>(std::ranges::count(leases, false, &LeaseState::ended));

  PackDirectories directories(engine);
  PackRoots roots(engine);
  STRATA_TRY(CountNames(roots, directories, options, stat));
  return stat;
}

}  // namespace strata::store::pack
