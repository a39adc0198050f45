#include "store/pack/catalog.h"

#include <algorithm>

#include "base/log.h"

namespace strata::store::pack {
namespace {

constexpr int kListings = 16;              // until one is of a folder that stays as it is
constexpr std::size_t kMostBad = 1 << 16;  // places that are remembered; a disk with more has other worries

}  // namespace

Catalog::Catalog(Env& env, const Layout& layout, PackFiles& files, const CatalogOptions& options)
    : env_(env),
      layout_(layout),
      files_(files),
      options_(options),
      changes_(env, layout.changes()),
      view_(std::make_shared<CatalogView>()),
      growing_(std::make_shared<std::vector<Tail>>()) {}

Result<std::unique_ptr<Catalog>> Catalog::Open(Env& env, const Layout& layout, PackFiles& files,
                                               const CatalogOptions& options) {
  std::unique_ptr<Catalog> catalog(new Catalog(env, layout, files, options));
  STRATA_TRY(catalog->Reload());
  return catalog;
}

std::shared_ptr<const CatalogView> Catalog::view() const {
  const MutexLock lock(mutex_);
  return view_;
}

Result<void> Catalog::Find(bool may_block, PackClass pack_class, const Digest& digest, bool with_bad, Places& places) {
  const auto add = [&](const Location& location, bool durable) {
    if (with_bad || !IsBad(location)) places.push_back({location, durable});
  };
  if (const auto location = tails(pack_class).Find(digest)) add(*location, false);
  const std::shared_ptr<const CatalogView> view = this->view();
  IndexFile::FoundList found;
  for (const CatalogView::Index& index : view->indexes) {
    if (!index.file->MayHold(digest)) continue;
    found.clear();
    STRATA_TRY(index.file->Find(may_block, digest, found));
    for (const IndexFile::Found& one : found) {
      if (ClassOf(one.location.kind) == pack_class && index.alive[one.range]) add(one.location, true);
    }
  }
  return {};
}

std::vector<Catalog::Tail> Catalog::Growing() const {
  const MutexLock lock(mutex_);
  return *growing_;
}

void Catalog::MarkBad(const Location& location) {
  const MutexLock lock(mutex_);
  if (bad_.size() < kMostBad) bad_.insert({location.pack.value, location.offset});
  any_bad_.store(true, std::memory_order_relaxed);
}

void Catalog::MarkGood(const Location& location) {
  if (!any_bad_.load(std::memory_order_relaxed)) return;
  const MutexLock lock(mutex_);
  bad_.erase({location.pack.value, location.offset});
}

bool Catalog::IsBad(const Location& location) const {
  if (!any_bad_.load(std::memory_order_relaxed)) return false;
  const MutexLock lock(mutex_);
  return bad_.contains({location.pack.value, location.offset});
}

Result<bool> Catalog::IsCurrent(bool may_block) {
  const auto mark = changes_.Read(may_block);
  if (!mark && mark.error().code() == Errc::kWouldBlock) return Fail(mark.error());
  return !mark || *mark == view()->mark;
}

Result<void> Catalog::Follow() {
  const MutexLock lock(reload_mutex_);
  // Of several threads that saw the change one is enough.
  STRATA_ASSIGN(const bool current, IsCurrent(true));
  return current ? Result<void>{} : ReloadLocked();
}

Result<bool> Catalog::Look() {
  std::shared_ptr<const std::vector<Tail>> growing;
  std::uint64_t mark = 0;
  bool damaged = false;
  {
    const MutexLock lock(mutex_);
    growing = growing_;
    mark = view_->mark;
    for (const CatalogView::Index& index : view_->indexes) damaged = damaged || index.file->damaged();
  }
  const bool grown = std::ranges::any_of(*growing, [](const Tail& tail) {
    const auto size = tail.pack->file->Size();
    return size && *size != tail.seen;
  });
  if (!damaged && changes_.Look() == mark && !grown) return false;
  const MutexLock lock(reload_mutex_);
  STRATA_TRY(ReloadLocked());
  return true;
}

Result<void> Catalog::Reload() {
  const MutexLock lock(reload_mutex_);
  return ReloadLocked();
}

Result<void> Catalog::ReloadLocked() {
  for (int attempt = 0; attempt < kListings; ++attempt) {
    STRATA_ASSIGN(const Listing listing, List());
    std::vector<std::shared_ptr<IndexFile>> indexes;
    STRATA_ASSIGN(const bool all, OpenIndexes(listing, indexes));
    if (!all) continue;
    Install(listing.mark, listing.packs, std::move(indexes));
    STRATA_TRY(ScanTails());
    return RemoveDamaged();
  }
  return Fail(Errc::kIo, "list " + layout_.packs() + ": its indexes change faster than they can be opened");
}

Result<Catalog::Listing> Catalog::List() {
  Listing listing;
  listing.mark = changes_.Look();
  STRATA_ASSIGN(const auto names, env_.ListDirectory(layout_.packs()));
  for (const std::string& name : names) {
    if (const auto pack = ParsePackFileName(name)) {
      listing.packs.push_back(*pack);
    } else if (const auto index = ParseIndexFileName(name)) {
      listing.indexes.push_back(*index);
    }
  }
  return listing;
}

Result<bool> Catalog::OpenIndexes(const Listing& listing, std::vector<std::shared_ptr<IndexFile>>& indexes) {
  absl::flat_hash_map<std::uint64_t, std::shared_ptr<IndexFile>> known;
  for (const CatalogView::Index& index : view()->indexes) known.emplace(index.file->id(), index.file);
  std::uint64_t filters = 0;
  std::vector<std::uint64_t> fresh;
  for (const std::uint64_t id : listing.indexes) {
    const auto at = known.find(id);
    if (at == known.end()) {
      fresh.push_back(id);
    } else if (at->second->damaged()) {
      damaged_.insert(id);
    } else {
      filters += at->second->filter_bytes();
      indexes.push_back(at->second);
    }
  }
  for (const std::uint64_t id : fresh) {
    if (damaged_.contains(id)) continue;
    auto opened = IndexFile::Open(env_, layout_.packs() + '/' + IndexFileName(id),
                                  options_.filter_bytes - std::min(options_.filter_bytes, filters));
    if (opened && (*opened)->id() == id) {
      filters += (*opened)->filter_bytes();
      indexes.push_back(std::move(*opened));
    } else if (opened || opened.error().code() == Errc::kCorrupt) {
      log::Warning("pack_index_damaged",
                   {{"file", layout_.packs() + '/' + IndexFileName(id)},
                    {"error", opened ? "it is the file of another index" : opened.error().ToString()},
                    {"hint", "nothing is lost: it is made anew from the packs; look after the disk"}});
      damaged_.insert(id);
    } else if (opened.error().code() == Errc::kNotFound) {
      return false;
    } else {
      return Fail(opened.error());
    }
  }
  return true;
}

void Catalog::Install(std::uint64_t mark, std::span<const PackId> packs,
                      std::vector<std::shared_ptr<IndexFile>> indexes) {
  auto fresh = std::make_shared<CatalogView>();
  fresh->mark = mark;
  for (const PackId pack : packs) fresh->packs.emplace(pack, CatalogView::Pack{});
  for (const PackId pack : own_) fresh->packs.emplace(pack, CatalogView::Pack{});
  for (const auto& index : spilled_) {
    if (std::ranges::find(indexes, index) == indexes.end()) indexes.push_back(index);
  }
  absl::flat_hash_map<PackId, std::vector<std::pair<std::uint32_t, std::uint32_t>>> stretches;
  for (auto& file : indexes) {
    CatalogView::Index& index = fresh->indexes.emplace_back();
    for (const PackRange& range : file->ranges()) {
      const bool alive = fresh->packs.contains(range.pack);
      index.alive.push_back(alive);
      if (alive) stretches[range.pack].emplace_back(range.begin, range.end);
    }
    index.file = std::move(file);
  }
  for (auto& [pack, ranges] : stretches) {
    std::ranges::sort(ranges);
    std::uint64_t& covered = fresh->packs[pack].covered;
    for (const auto& [begin, end] : ranges) {
      if (begin <= covered) covered = std::max<std::uint64_t>(covered, end);
    }
  }
  const MutexLock lock(mutex_);
  view_ = std::move(fresh);
}

Result<void> Catalog::SyncFolder() {
  auto synced = env_.SyncDirectory(layout_.packs());
  if (synced) return synced;
  return failure_.Set(synced.error().WithContext("make the names in " + layout_.packs() + " durable"));
}

void Catalog::Own(PackId pack, std::uint64_t end) {
  const MutexLock lock(reload_mutex_);
  own_.insert(pack);
  ForgetTails(pack, kMaxPackBytes * 4);
  tail_states_.erase(pack);
  const MutexLock view_lock(mutex_);
  absl::erase_if(bad_, [&](const auto& place) { return place.first == pack.value && place.second >= end; });
  auto fresh = std::make_shared<CatalogView>(*view_);
  fresh->packs.emplace(pack, CatalogView::Pack{});
  view_ = std::move(fresh);
  auto growing = std::make_shared<std::vector<Tail>>(*growing_);
  std::erase_if(*growing, [&](const Tail& tail) { return tail.pack->header.id == pack; });
  growing_ = std::move(growing);
}

void Catalog::Disown(PackId pack) {
  const MutexLock lock(reload_mutex_);
  own_.erase(pack);
}

}  // namespace strata::store::pack
