#include "store/pack/collect.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/log.h"
#include "store/castore/root_message.h"
#include "store/leases.h"
#include "store/pack/closure_walk.h"
#include "store/pack/roots.h"
#include "store/pack/scan.h"

namespace strata::store::pack {
namespace {

struct Tally {
  std::uint64_t live_records = 0, live_bytes = 0;
  std::uint64_t dead_records = 0, dead_bytes = 0;
  std::uint64_t covered_bytes = 0;  // of the stretches of it that indexes are of
  std::uint32_t newest = 0;
};

class Collector {
 public:
  Collector(Engine& engine, const CollectOptions& options) : engine_(engine), options_(options), env_(engine.env()) {}

  Result<CollectReport> Run() {
    STRATA_TRY(engine_.CheckWritable());
    STRATA_ASSIGN(const auto lock, TakeLock());
    STRATA_TRY(CleanUp());
    // So that what everybody has put is in indexes, and those are one where they can be.
    STRATA_TRY(engine_.PublishIndexes());
    STRATA_TRY(engine_.catalog().PublishTails());
    STRATA_TRY(engine_.catalog().Merge(true));
    // Of a name that is set meanwhile and leads to what is missing its setter hears, and the name goes again.
    walk_.emplace(engine_, [this](const Problem& problem) {
      if (options_.told && !sweeping_) options_.told(problem);
    });
    STRATA_TRY(AddRootsAndLeases());
    report_.names = seen_roots_.size();
    STRATA_TRY(WalkNew());
    STRATA_TRY(CheckWalked());
    STRATA_TRY(Count());
    const std::vector<PackId> chosen = Choose();
    const absl::flat_hash_set<PackId> avoided(chosen.begin(), chosen.end());
    for (const PackClass each : {PackClass::kData, PackClass::kDirectories}) engine_.appender(each).Avoid(avoided);
    Result<void> swept;
    sweeping_ = true;
    for (std::size_t i = 0; swept && i < chosen.size(); ++i) {
      swept = Step("rewrite packs", i, chosen.size());
      if (swept) swept = Sweep(chosen[i]);
    }
    for (const PackClass each : {PackClass::kData, PackClass::kDirectories}) engine_.appender(each).Avoid({});
    STRATA_TRY(swept);
    if (!options_.dry_run) STRATA_TRY(engine_.catalog().Merge(false));
    return report_;
  }

 private:
  Result<void> Step(std::string_view doing, std::uint64_t done, std::uint64_t total) const {
    if (!options_.progress || options_.progress(doing, done, total)) return {};
    return Fail(Errc::kInvalid, "the garbage collection was stopped");
  }

  Result<std::unique_ptr<File>> TakeLock() {
    STRATA_ASSIGN(auto file, env_.Open(engine_.layout().gc_lock(), OpenMode::kCreate));
    // Who only looks whether a collection runs holds it for a moment.
    Result<void> locked = file->Lock();
    for (int attempt = 0; !locked && locked.error().code() == Errc::kBusy && attempt < 1000; ++attempt) {
      locked = file->Lock();
    }
    if (locked) return file;
    if (locked.error().code() != Errc::kBusy) return Fail(locked.error());
    return Fail(Errc::kBusy, engine_.Describe() + ": another garbage collection is running");
  }

  // What collections and writers that were killed have left.
  Result<void> CleanUp() {
    if (options_.dry_run) return {};
    const Layout& layout = engine_.layout();
    STRATA_ASSIGN(const auto marks, env_.ListDirectory(layout.condemned()));
    for (const std::string& mark : marks) STRATA_TRY(Remove(layout.condemned() + '/' + mark));
    STRATA_ASSIGN(const auto temporary, env_.ListDirectory(layout.temporary()));
    for (const std::string& name : temporary) {
      const std::string path = layout.temporary() + '/' + name;
      const auto file = env_.Open(path, OpenMode::kReadWrite);
      if (file && (*file)->Lock()) STRATA_TRY(Remove(path));
    }
    STRATA_ASSIGN(const auto packs, env_.ListDirectory(layout.packs()));
    for (const std::string& name : packs) {
      if (const auto id = ParseUnsyncedFileName(name);
          id && std::ranges::find(packs, PackFileName(*id)) == packs.end()) {
        STRATA_TRY(ClearUnsynced(env_, layout, *id));
      }
      if (!ParsePackFileName(name)) continue;
      const auto file = env_.Open(layout.packs() + '/' + name, OpenMode::kReadWrite);
      if (!file || !(*file)->Lock()) continue;
      STRATA_ASSIGN(const std::uint64_t size, (*file)->Size());
      if (size <= kPackHeaderBytes) STRATA_TRY(Remove(layout.packs() + '/' + name));
    }
    return RemoveEndedLeases(env_, layout.leases());
  }

  Result<void> Remove(const std::string& path) {
    auto removed = env_.Remove(path);
    if (!removed && removed.error().code() == Errc::kNotFound) return {};
    return removed;
  }

  // Marks the roots and leases that were not there the last time.
  Result<void> AddRootsAndLeases() {
    Result<void> added;
    STRATA_TRY(PackRoots(engine_).List({}, [&](std::string_view name, const Root& root) {
      std::string key(name);
      const std::vector<std::byte> bytes = EncodeRoot(root);
      key += '/';
      key += AsText(bytes);
      if (seen_roots_.insert(std::move(key)).second) added = walk_->AddRoot(root);
      return added.has_value();
    }));
    STRATA_TRY(added);
    STRATA_ASSIGN(const auto leases, ReadLeases(env_, engine_.layout().leases()));
    used_packs_.clear();
    report_.leases = 0;
    std::int64_t oldest = env_.Now().ns - options_.grace_ns;
    for (const LeaseState& lease : leases) {
      if (lease.ended) continue;
      ++report_.leases;
      oldest = std::min(oldest, lease.times.since.ns);
      for (const LeaseItem& item : lease.items) {
        if (item.kind == LeaseItem::Kind::kPack) {
          used_packs_.insert(PackId(LoadLe<std::uint64_t>(item.digest.bytes.data())));
        }
      }
      STRATA_TRY(walk_->AddLease(lease));
    }
    young_from_ = std::max<std::int64_t>(oldest, 0) / 1'000'000'000;
    return {};
  }

  Result<void> WalkNew() {
    std::uint64_t steps = 0;
    Result<void> stopped;
    auto walked = walk_->Run([&] {
      if (++steps % 1024 == 0) stopped = Step("mark what names reach", walk_->directories(), 0);
      return stopped.has_value();
    });
    STRATA_TRY(stopped);
    return walked;
  }

  Result<void> CheckWalked() {
    report_.problems = walk_->problems();
    if (report_.problems == 0 || options_.despite_damage || options_.dry_run) return {};
    return Fail(Errc::kCorrupt, engine_.Describe() + ": " + std::to_string(report_.problems) +
                                    " things that names or leases reach are missing or damaged, so nothing was "
                                    "removed; put them again (import what they are of), remove the names, or collect "
                                    "despite the damage");
  }

  Result<void> Count() {
    const CatalogView& view = walk_->view();
    for (std::size_t i = 0; i < view.indexes.size(); ++i) {
      const CatalogView::Index& index = view.indexes[i];
      const auto ranges = index.file->ranges();
      for (std::size_t r = 0; r < ranges.size(); ++r) {
        if (!index.alive[r]) continue;
        Tally& tally = tallies_[ranges[r].pack];
        tally.newest = std::max(tally.newest, ranges[r].newest);
        tally.covered_bytes += ranges[r].end - ranges[r].begin;
      }
      IndexCursor cursor(*index.file);
      std::uint64_t done = 0;
      while (true) {
        STRATA_ASSIGN(const bool more, cursor.Next());
        if (!more) break;
        if (++done % 65536 == 0) STRATA_TRY(Step("count", done, index.file->entries()));
        if (!index.alive[cursor.range()]) continue;
        const Location& location = cursor.entry().location;
        Tally& tally = tallies_[location.pack];
        const std::uint64_t bytes = location.end() - location.offset;
        if (walk_->IsMarked(i, cursor.place())) {
          ++tally.live_records;
          tally.live_bytes += bytes;
        } else {
          ++tally.dead_records;
          tally.dead_bytes += bytes;
        }
      }
    }
    for (auto& [pack, tally] : tallies_) {
      // Copies that no index has, and bytes that are no record.
      const std::uint64_t known = tally.live_bytes + tally.dead_bytes;
      tally.dead_bytes += std::max(tally.covered_bytes, known) - known;
      report_.live_records += tally.live_records;
      report_.live_bytes += tally.live_bytes;
      report_.dead_records += tally.dead_records;
      report_.dead_bytes += tally.dead_bytes;
    }
    return {};
  }

  // Those of which most is dead first: they give the most for the least.
  std::vector<PackId> Choose() {
    std::vector<std::pair<double, PackId>> order;
    for (const auto& [pack, tally] : tallies_) {
      if (tally.dead_bytes == 0) continue;
      const double dead =
          static_cast<double>(tally.dead_bytes) / static_cast<double>(tally.dead_bytes + tally.live_bytes);
      if (tally.newest >= young_from_) {
        report_.young_bytes += tally.dead_bytes;
      } else if (used_packs_.contains(pack)) {
        report_.used_bytes += tally.dead_bytes;
      } else if (tally.live_records > 0 && dead < options_.least_dead) {
        report_.sparse_bytes += tally.dead_bytes;
      } else {
        order.emplace_back(-dead, pack);
      }
    }
    std::ranges::sort(order);
    std::vector<PackId> chosen;
    for (const auto& [dead, pack] : order) chosen.push_back(pack);
    return chosen;
  }

  Result<void> Sweep(PackId pack) {
    const Tally& tally = tallies_[pack];
    if (options_.dry_run) {
      report_.freed_bytes += tally.dead_bytes;
      ++(tally.live_records > 0 ? report_.rewritten_packs : report_.removed_packs);
      return {};
    }
    const std::string path = engine_.files().PathOf(pack);
    auto file = env_.Open(path, OpenMode::kReadWrite);
    if (!file && file.error().code() == Errc::kNotFound) return {};
    if (!file) return Fail(file.error());
    // Whoever appends to it has it, perhaps this process.
    if (auto locked = (*file)->Lock(); !locked) {
      if (locked.error().code() != Errc::kBusy) return locked;
      report_.used_bytes += tally.dead_bytes;
      return {};
    }
    const std::string mark = engine_.layout().condemned() + '/' + Hex16(pack.value);
    STRATA_ASSIGN(const auto made, env_.Open(mark, OpenMode::kCreate));
    auto swept = SweepCondemned(pack, **file, path);
    auto unmarked = Remove(mark);
    STRATA_TRY(swept);
    return unmarked;
  }

  Result<void> SweepCondemned(PackId pack, File& file, const std::string& path) {
    // From here on whoever wants to rely on something in the pack sees that it may go. What they relied on before is in
    // the leases, and what was named before in the names: those are read now.
    STRATA_TRY(AddRootsAndLeases());
    STRATA_TRY(WalkNew());
    const Tally& tally = tallies_[pack];
    if (used_packs_.contains(pack)) {
      report_.used_bytes += tally.dead_bytes;
      return {};
    }
    STRATA_ASSIGN(const std::uint64_t size, file.Size());
    std::uint64_t found_live = 0, copied = 0;
    PackScan scan(file, pack, kPackHeaderBytes, size, PackScan::Depth::kHeaders);
    while (true) {
      STRATA_ASSIGN(const PackScan::Found found, scan.Next());
      if (found == PackScan::Found::kEnd) break;
      if (found == PackScan::Found::kDamage) continue;
      // Put since this began, by one who has let the pack go again.
      if (scan.header().time >= young_from_) {
        report_.young_bytes += tally.dead_bytes;
        return {};
      }
      STRATA_ASSIGN(const bool lives, walk_->IsMarked(scan.header().digest, scan.location()));
      if (!lives) continue;
      STRATA_ASSIGN(const bool kept, CopyRecord(scan.header(), scan.location(), file));
      if (!kept) return {};
      ++found_live;
      copied += scan.header().RecordBytes();
      STRATA_TRY(Step("rewrite a pack", scan.offset(), size));
    }
    if (found_live < tally.live_records) {
      ++report_.problems;
      if (options_.told) {
        options_.told({.what = Problem::What::kLostBytes,
                       .digest = {},
                       .kind = {},
                       .pack = pack,
                       .begin = 0,
                       .end = size,
                       .message = path + " lacks records that names or leases reach; it is left as it is"});
      }
      return {};
    }
    if (found_live > 0) STRATA_TRY(engine_.Sync());
    // Who lists the folder while one pack comes and the other goes may miss both: the mark changes between.
    engine_.catalog().changes().Put();
    STRATA_TRY(Remove(path));
    engine_.files().Forget(pack);
    STRATA_TRY(engine_.catalog().SyncFolder());
    STRATA_TRY(ClearUnsynced(env_, engine_.layout(), pack));
    engine_.catalog().changes().Put();
    ++(found_live > 0 ? report_.rewritten_packs : report_.removed_packs);
    report_.rewritten_bytes += copied;
    report_.freed_bytes += size - std::min(size, copied);
    return {};
  }

  // Appends it anew, with the time that it has. False: it is damaged and there is no other, so the pack has to stay.
  Result<bool> CopyRecord(const RecordHeader& header, const Location& location, File& file) {
    auto content = engine_.files().Read(true, header.digest, location);
    if (!content && content.error().code() != Errc::kCorrupt) return Fail(content.error());
    if (!content) {
      engine_.catalog().MarkBad(location);
      const auto other = engine_.Read({}, header.kind, header.digest);
      if (other) return true;
      ++report_.problems;
      if (options_.told) {
        options_.told({.what = Problem::What::kDamagedRecord,
                       .digest = header.digest,
                       .kind = header.kind,
                       .pack = location.pack,
                       .begin = location.offset,
                       .end = location.end(),
                       .message = std::string(content.error().message()) + "; its pack is left as it is"});
      }
      return false;
    }
    std::vector<std::byte> stored(location.stored);
    STRATA_ASSIGN(const std::size_t got, file.ReadAt(location.offset + kRecordHeaderBytes, stored));
    if (got != stored.size()) return Fail(Errc::kIo, "a pack became shorter while it was read");
    STRATA_TRY(engine_.PutStored(header, stored));
    return true;
  }

  Engine& engine_;
  const CollectOptions& options_;
  Env& env_;
  CollectReport report_;
  std::optional<ClosureWalk> walk_;
  std::set<std::string> seen_roots_;
  absl::flat_hash_set<PackId> used_packs_;
  std::int64_t young_from_ = 0;  // RecordHeader::time
  bool sweeping_ = false;
  absl::flat_hash_map<PackId, Tally> tallies_;
};

}  // namespace

Result<CollectReport> CollectGarbage(Engine& engine, const CollectOptions& options) {
  return Collector(engine, options).Run();
}

}  // namespace strata::store::pack
