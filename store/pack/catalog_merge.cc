// Many indexes become one, so that a lookup asks few.
#include <algorithm>
#include <bit>

#include "store/pack/catalog.h"
#include "store/pack/index_writer.h"

namespace strata::store::pack {
namespace {

// Of so many indexes of one size one is made. An entry is written again once for each step of sizes.
constexpr std::size_t kIndexesOfASize = 8;
constexpr std::uint64_t kSmallIndex = 4096;  // entries; all smaller ones are of one size

int SizeStep(const IndexFile& index) {
  return static_cast<int>(std::bit_width(std::max(index.entries(), kSmallIndex) / kSmallIndex) - 1) / 3;
}

// Whether a quarter of what it has is of packs that are gone, or all packs are.
bool IsStale(const CatalogView::Index& index) {
  if (std::ranges::find(index.alive, true) == index.alive.end()) return true;
  std::uint64_t gone = 0, all = 0;
  const auto ranges = index.file->ranges();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    all += ranges[i].records;
    if (!index.alive[i]) gone += ranges[i].records;
  }
  return gone > 0 && gone >= all / 4;
}

}  // namespace

std::vector<std::shared_ptr<IndexFile>> Catalog::ChooseToMerge(bool all) {
  const auto view = this->view();
  std::array<std::size_t, 32> of_size{};
  for (const CatalogView::Index& index : view->indexes) ++of_size[static_cast<std::size_t>(SizeStep(*index.file))];
  int step = -1;
  for (std::size_t i = 0; i < of_size.size(); ++i) {
    if (of_size[i] >= kIndexesOfASize) step = static_cast<int>(i);
  }
  std::vector<std::shared_ptr<IndexFile>> chosen;
  std::size_t ranges = 0;
  bool stale = false;
  for (const CatalogView::Index& index : view->indexes) {
    if (!all && SizeStep(*index.file) > step && !IsStale(index)) continue;
    if (std::ranges::find(spilled_, index.file) != spilled_.end() || index.file->damaged()) continue;
    ranges += index.file->ranges().size();
    if (ranges > kMaxIndexRanges) break;
    stale = stale || index.alive.empty() || std::ranges::find(index.alive, false) != index.alive.end();
    chosen.push_back(index.file);
  }
  if (chosen.size() < 2 && !stale) chosen.clear();
  return chosen;
}

Result<void> Catalog::Merge(bool all) {
  if (options_.read_only) return {};
  STRATA_TRY(failure_.Check());
  const MutexLock lock(reload_mutex_);
  STRATA_ASSIGN(const bool current, IsCurrent(true));
  if (!current) STRATA_TRY(ReloadLocked());
  if (ChooseToMerge(all).empty()) return {};
  STRATA_ASSIGN(const auto merging, env_.Open(layout_.merge_lock(), OpenMode::kCreate));
  if (auto locked = merging->Lock(); !locked) {
    return locked.error().code() == Errc::kBusy ? Result<void>{} : locked;
  }
  // Whoever had the lock before may have done it.
  STRATA_TRY(ReloadLocked());
  return MergeLocked(all);
}

Result<void> Catalog::MergeLocked(bool all) {
  const std::vector<std::shared_ptr<IndexFile>> sources = ChooseToMerge(all);
  if (sources.empty()) return {};
  const auto view = this->view();
  const auto is_there = [&](PackId pack) { return view->packs.contains(pack); };
  const bool any = std::ranges::any_of(
      sources, [&](const auto& source) { return std::ranges::any_of(source->ranges(), is_there, &PackRange::pack); });
  // Of indexes whose packs are all gone nothing is left to be written.
  if (any) {
    const std::uint64_t id = RandomId(env_);
    const std::string temporary = layout_.NewTemporary(env_);
    const auto merged = MergeIndexes(env_, temporary, id, sources, is_there);
    Result<void> moved;
    if (merged) moved = env_.Rename(temporary, layout_.packs() + '/' + IndexFileName(id));
    if (!merged || !moved) {
      (void)env_.Remove(temporary);
      const Status& status = merged ? moved.error() : merged.error();
      // A source that does not check is left out from now on, and what it had is read from the packs.
      if (status.code() == Errc::kCorrupt) return ReloadLocked();
      return Fail(status.WithContext("merge the indexes of packs"));
    }
    STRATA_TRY(SyncFolder());
  }
  // Who lists the folder while files come and go may miss both: the mark changes between.
  changes_.Put();
  for (const auto& source : sources) {
    if (auto removed = env_.Remove(source->path()); !removed && removed.error().code() != Errc::kNotFound) {
      return removed;
    }
  }
  changes_.Put();
  return ReloadLocked();
}

}  // namespace strata::store::pack
