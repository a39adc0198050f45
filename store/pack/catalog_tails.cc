// What other processes append: read from the packs until an index has it.
#include <algorithm>

#include "base/log.h"
#include "store/pack/catalog.h"
#include "store/pack/index_writer.h"
#include "store/pack/scan.h"

namespace strata::store::pack {

Result<void> Catalog::ScanTails() {
  std::vector<std::pair<PackId, std::uint64_t>> open;  // packs that may have more than the indexes say
  const auto view = this->view();
  for (const auto& [id, pack] : view->packs) {
    if (pack.covered < options_.pack_bytes && !own_.contains(id)) open.emplace_back(id, pack.covered);
  }
  // What was known of packs that are gone, or that indexes have meanwhile.
  std::vector<PackId> over;
  for (const auto& [id, state] : tail_states_) {
    const auto at = view->packs.find(id);
    if (at == view->packs.end() || at->second.covered >= options_.pack_bytes || own_.contains(id)) over.push_back(id);
  }
  for (const PackId id : over) {
    ForgetTails(id, kMaxPackBytes * 4);
    tail_states_.erase(id);
  }
  auto growing = std::make_shared<std::vector<Tail>>();
  for (const auto& [id, covered] : open) {
    auto pack = files_.Open(true, id);
    if (!pack) {
      // Gone, or so young that its header is not written.
      if (pack.error().code() == Errc::kNotFound || pack.error().code() == Errc::kCorrupt) continue;
      if (pack.error().code() != Errc::kNotSupported) return Fail(pack.error());
      if (unreadable_.insert(id).second) log::Error("pack_unreadable", {{"error", pack.error()}});
      continue;
    }
    STRATA_ASSIGN(const std::uint64_t size, (*pack)->file->Size());
    STRATA_TRY(ScanTail(*pack, covered, size));
    growing->push_back({*pack, covered, size});
  }
  const MutexLock lock(mutex_);
  growing_ = std::move(growing);
  return {};
}

Result<void> Catalog::ScanTail(const std::shared_ptr<OpenPack>& pack, std::uint64_t covered, std::uint64_t size) {
  const PackId id = pack->header.id;
  TailState& state = tail_states_[id];
  if (covered < state.from || covered > state.scanned || size < state.scanned) {
    ForgetTails(id, kMaxPackBytes * 4);
    state = {.from = covered, .scanned = covered, .pack = {}};
  } else if (covered > state.from) {
    ForgetTails(id, covered);
    state.from = covered;
  }
  if (state.seen == size) return {};
  if (!state.pack) state.pack = pack;
  // Also where it stopped the last time: what was not all there then may be so now.
  PackScan scan(*pack->file, id, state.scanned, size, PackScan::Depth::kStored);
  while (true) {
    STRATA_ASSIGN(const PackScan::Found found, scan.Next());
    if (found == PackScan::Found::kEnd) break;
    if (found == PackScan::Found::kDamage) continue;
    const RecordHeader& header = scan.header();
    tails_[static_cast<std::size_t>(ClassOf(header.kind))].Put(header.digest, scan.location());
    ++state.records;
    state.newest = std::max(state.newest, header.time);
    state.scanned = scan.sound_end();
    if (TailRecords() >= options_.tail_records) STRATA_TRY(SpillTails());
  }
  state.seen = size;
  return {};
}

void Catalog::ForgetTails(PackId pack, std::uint64_t below) {
  for (TailTable& table : tails_) {
    if (table.size() == 0) continue;
    table.EraseIf([&](const Location& location) { return location.pack == pack && location.offset < below; });
  }
}

Result<void> Catalog::SpillTails() {
  std::vector<PackRange> ranges;
  std::vector<TailState*> states;
  for (auto& [id, state] : tail_states_) {
    if (state.scanned == state.from || ranges.size() == kMaxIndexRanges) continue;
    // An index promises that its records are there.
    if (!Spills()) {
      STRATA_ASSIGN(const bool durable, SyncTail(id, state));
      if (!durable && !failure_.failed()) continue;
    }
    ranges.push_back({.pack = id,
                      .begin = static_cast<std::uint32_t>(state.from),
                      .end = static_cast<std::uint32_t>(state.scanned),
                      .records = state.records,
                      .newest = state.newest});
    states.push_back(&state);
  }
  if (ranges.empty()) return {};
  // If that fails the index is one for this process.
  if (!Spills()) (void)SyncFolder();
  std::vector<IndexEntry> entries;
  entries.reserve(TailRecords());
  for (const TailTable& table : tails_) {
    table.ForEach([&](const Digest& digest, const Location& location) { entries.push_back({digest, location}); });
  }
  STRATA_TRY(PublishLocked(ranges, entries));
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    ForgetTails(ranges[i].pack, ranges[i].end);
    states[i]->from = ranges[i].end;
    states[i]->records = 0;
  }
  return {};
}

Result<bool> Catalog::SyncTail(PackId pack, const TailState& state) {
  STRATA_ASSIGN(bool unsynced, IsUnsynced(env_, layout_, pack));
  if (unsynced) return MendTail(pack, state);
  if (auto synced = state.pack->file->SyncData(); !synced) {
    MarkUnsynced(env_, layout_, pack);
    (void)failure_.Set(
        synced.error().WithContext("make durable what another process has put into " + state.pack->path));
    return false;
  }
  // Who appends to it may have been told of what this sync was not.
  STRATA_ASSIGN(unsynced, IsUnsynced(env_, layout_, pack));
  return !unsynced;
}

Result<bool> Catalog::MendTail(PackId pack, const TailState& state) {
  const std::string path = files_.PathOf(pack);
  const auto file = env_.Open(path, OpenMode::kReadWrite);
  // While somebody appends to it, it is theirs.
  if (!file || !(*file)->Lock() || !env_.Open(path, OpenMode::kRead)) return false;
  if (!WriteAnew(**file, state.from, state.scanned) || !(*file)->SyncData()) return false;
  // Some of it may have been other bytes by then than when it was scanned.
  PackScan scan(**file, pack, state.from, state.scanned, PackScan::Depth::kStored);
  absl::flat_hash_set<std::uint32_t> sound;
  while (true) {
    STRATA_ASSIGN(const PackScan::Found found, scan.Next());
    if (found == PackScan::Found::kEnd) break;
    if (found == PackScan::Found::kRecord) sound.insert(scan.location().offset);
  }
  bool all = true;
  for (const TailTable& table : tails_) {
    table.ForEach([&](const Digest&, const Location& location) {
      all = all && (location.pack != pack || sound.contains(location.offset));
    });
  }
  if (!all) return false;
  STRATA_TRY(SyncFolder());
  STRATA_TRY(ClearUnsynced(env_, layout_, pack));
  return true;
}

Result<void> Catalog::PublishTails() {
  const MutexLock lock(reload_mutex_);
  STRATA_TRY(ReloadLocked());
  return SpillTails();
}

Result<void> Catalog::PublishLocked(std::vector<PackRange> ranges, std::vector<IndexEntry>& entries) {
  const std::uint64_t id = RandomId(env_);
  const bool spill = Spills();
  const std::string temporary =
      spill ? options_.spill_folder + "/strata-index-" + Hex16(id) : layout_.NewTemporary(env_);
  const std::string path = spill ? temporary : layout_.packs() + '/' + IndexFileName(id);
  const auto written = WriteIndex(env_, temporary, id, std::move(ranges), entries);
  Result<void> moved;
  if (written && !spill) moved = env_.Rename(temporary, path);
  if (!written || !moved) {
    (void)env_.Remove(temporary);
    return Fail((written ? moved.error() : written.error()).WithContext("write an index of packs"));
  }
  auto opened = IndexFile::Open(env_, path, options_.filter_bytes);
  if (spill) (void)env_.Remove(path);
  if (!opened) return Fail(opened.error());
  if (spill) spilled_.push_back(*opened);
  if (!spill) {
    STRATA_TRY(SyncFolder());
    changes_.Put();
  }
  const auto view = this->view();
  std::vector<std::shared_ptr<IndexFile>> indexes;
  indexes.push_back(std::move(*opened));
  for (const CatalogView::Index& index : view->indexes) indexes.push_back(index.file);
  std::vector<PackId> packs;
  for (const auto& [pack, state] : view->packs) packs.push_back(pack);
  // Whether others have changed something too is seen by the next look: the old mark stands.
  Install(view->mark, packs, std::move(indexes));
  return {};
}

Result<void> Catalog::Publish(std::vector<PackRange> ranges, std::vector<IndexEntry>& entries) {
  const MutexLock lock(reload_mutex_);
  return PublishLocked(std::move(ranges), entries);
}

Result<void> Catalog::RemoveDamaged() {
  if (damaged_.empty() || Spills()) return {};
  STRATA_TRY(SpillTails());
  STRATA_ASSIGN(const auto names, env_.ListDirectory(layout_.packs()));
  for (const std::string& name : names) {
    const auto id = ParseIndexFileName(name);
    if (!id || !damaged_.contains(*id)) continue;
    if (auto removed = env_.Remove(layout_.packs() + '/' + name);
        !removed && removed.error().code() != Errc::kNotFound) {
      return removed;
    }
  }
  damaged_.clear();
  return {};
}

}  // namespace strata::store::pack
