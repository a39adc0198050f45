#include "store/pack/stat.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "store/leases.h"
#include "store/pack/directories.h"
#include "store/pack/roots.h"

namespace strata::store::pack {
namespace {

struct Beneath {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};

// Sums a tree up, each directory once, from below. Where something is missing it counts as nothing.
class Summing {
 public:
  Summing(Engine& engine, const std::function<bool()>& step) : directories_(engine), step_(step) {}

  Result<Beneath> Of(const Digest& root) {
    std::vector<Frame> path;
    STRATA_TRY(Enter(root, path));
    while (!path.empty()) {
      Frame& frame = path.back();
      if (frame.next == frame.directory.count()) {
        sums_[frame.directory.digest()] = frame.sum;
        path.pop_back();
        continue;
      }
      const Directory::Entry entry = frame.directory.At(frame.next);
      if (entry.kind == NodeKind::kDirectory) {
        const auto known = sums_.find(*entry.digest);
        if (known == sums_.end()) {
          STRATA_TRY(Enter(*entry.digest, path));
          continue;
        }
        Add(frame.sum, known->second);
      } else if (entry.kind == NodeKind::kFile) {
        Add(frame.sum, {entry.size, 1});
      }
      ++frame.next;
    }
    return sums_[root];
  }

  static void Add(Beneath& sum, const Beneath& more) {
    // What names itself over and over reaches any number.
    const auto add = [](std::uint64_t a, std::uint64_t b) { return a + b < a ? ~std::uint64_t{0} : a + b; };
    sum.bytes = add(sum.bytes, more.bytes);
    sum.files = add(sum.files, more.files);
  }

 private:
  struct Frame {
    Directory directory;
    std::size_t next = 0;
    Beneath sum{};
  };

  Result<void> Enter(const Digest& digest, std::vector<Frame>& path) {
    if (step_ && !step_()) return Fail(Errc::kInvalid, "stopped");
    auto directory = directories_.Get({}, digest);
    if (!directory && directory.error().code() != Errc::kCorrupt) return Fail(directory.error());
    if (!directory || !*directory) {
      sums_[digest] = {};
    } else {
      path.push_back({**std::move(directory)});
    }
    return {};
  }

  PackDirectories directories_;
  const std::function<bool()>& step_;
  absl::flat_hash_map<Digest, Beneath> sums_;
};

}  // namespace

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

  Summing summing(engine, options.step);
  Beneath all;
  Result<void> walked;
  STRATA_TRY(PackRoots(engine).List({}, [&](std::string_view, const Root& root) {
    ++stat.names;
    if (!options.logical) return true;
    if (root.node.kind == NodeKind::kFile) Summing::Add(all, {root.node.size, 1});
    if (root.node.kind == NodeKind::kDirectory) {
      const auto sum = summing.Of(root.node.digest);
      if (!sum) walked = Fail(sum.error());
      if (sum) Summing::Add(all, *sum);
    }
    return walked.has_value();
  }));
  STRATA_TRY(walked);
  if (options.logical) {
    stat.logical_bytes = all.bytes;
    stat.logical_files = all.files;
  }
  return stat;
}

}  // namespace strata::store::pack
