// What makes appended records durable, and puts them into an index.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "store/pack/appender.h"

namespace strata::store::pack {
namespace {

constexpr std::uint64_t kWriteBackAtOnce = 16 << 20;

}  // namespace

Result<void> Appender::Sync() {
  std::vector<std::pair<std::shared_ptr<Pack>, std::uint64_t>> targets;
  {
    const MutexLock lock(mutex_);
    STRATA_TRY(FlushLocked());
    for (const auto& pack : packs_) targets.emplace_back(pack, pack == pack_ ? written_ : pack->end);
  }
  const MutexLock syncing(sync_mutex_);
  for (const auto& [pack, end] : targets) STRATA_TRY(SyncPack(pack, end));
  {
    const MutexLock lock(mutex_);
    if (std::exchange(new_name_, false)) names_synced_ = false;
  }
  if (!names_synced_) {
    if (auto synced = catalog_.SyncFolder(); !synced) return GiveUp(nullptr, synced.error());
    names_synced_ = true;
  }
  const MutexLock lock(mutex_);
  for (const auto& [pack, end] : targets) pack->named = true;
  return {};
}

Result<void> Appender::SyncPack(const std::shared_ptr<Pack>& pack, std::uint64_t end) {
  {
    // Another sync may have done it while this one waited.
    const MutexLock lock(mutex_);
    STRATA_TRY(catalog_.failure().Check());
    if (pack->synced >= end) return {};
    end = std::max(end, pack == pack_ ? written_ : pack->end);
  }
  auto synced = pack->found ? pack->found->file->SyncData() : Result<void>{};
  if (synced) synced = pack->file->SyncData();
  if (!synced) return GiveUp(pack.get(), synced.error().WithContext("make durable what was put into " + pack->path));
  const MutexLock lock(mutex_);
  pack->found.reset();
  pack->synced = std::max(pack->synced, end);
  return {};
}

Result<void> Appender::GiveUp(const Pack* pack, const Status& status) {
  {
    const MutexLock lock(mutex_);
    for (const auto& held : packs_) {
      if (held.get() == pack || (pack == nullptr && !held->named))
        MarkUnsynced(env_, catalog_.layout(), held->header.id);
    }
  }
  Result<void> failed = catalog_.failure().Set(status);
  Abandon();
  return failed;
}

void Appender::Abandon() {
  const MutexLock lock(mutex_);
  if (std::exchange(abandoned_, true)) return;
  // The packs stay ours while the process lives: so nobody else appends to them, and here they are not read for
  // records.
  while (writing_) changed_.Wait(mutex_);
  absl::flat_hash_map<PackId, std::uint64_t> durable;
  for (const auto& pack : packs_) durable[pack->header.id] = pack->named ? pack->synced : 0;
  const auto lost = [&](const Location& location) {
    const auto at = durable.find(location.pack);
    return at == durable.end() || location.end() > at->second;
  };
  {
    const MutexLock tables(tables_mutex_);
    table_->EraseIf(lost);
    if (frozen_) frozen_->EraseIf(lost);
  }
  buffer_.clear();
  full_.clear();
  pack_.reset();
  changed_.NotifyAll();
}

Result<void> Appender::WriteBack() {
  std::shared_ptr<Pack> pack;
  std::uint64_t begin = 0, end = 0;
  {
    const MutexLock lock(mutex_);
    if (abandoned_) return {};
    for (const auto& candidate : packs_) {
      const std::uint64_t in_file = candidate == pack_ ? written_ : candidate->end;
      if (in_file < candidate->back + kWriteBackAtOnce) continue;
      pack = candidate;
      begin = candidate->back;
      end = candidate->back = in_file;
      break;
    }
  }
  if (!pack) return {};
  auto back = pack->file->WriteBack(begin, end - begin);
  // The next sync of the file would not hear of it.
  return back ? back : GiveUp(pack.get(), back.error().WithContext("write back what was put into " + pack->path));
}

Result<void> Appender::PublishIndex() {
  if (!publish_mutex_.TryLock()) return {};
  const MutexLock publishing(publish_mutex_, std::adopt_lock);
  STRATA_TRY(catalog_.failure().Check());
  std::shared_ptr<TailTable> frozen;
  {
    const MutexLock lock(mutex_);
    const MutexLock tables(tables_mutex_);
    // One that could not be written the last time goes first.
    if (!frozen_) {
      if (table_->size() == 0) return {};
      frozen_ = std::exchange(table_, std::make_shared<TailTable>());
      frozen_ranges_ = std::exchange(ranges_, {});
      if (pack_) {
        const auto end = static_cast<std::uint32_t>(pack_->end);
        ranges_.push_back({.pack = pack_->header.id, .begin = end, .end = end});
      }
      changed_.NotifyAll();
    }
    frozen = frozen_;
  }
  auto published = Sync();
  if (published) {
    std::vector<PackRange> ranges;
    {
      const MutexLock lock(mutex_);
      ranges = frozen_ranges_;
    }
    std::erase_if(ranges, [](const PackRange& range) { return range.begin >= range.end; });
    std::vector<IndexEntry> entries;
    entries.reserve(frozen->size());
    frozen->ForEach([&](const Digest& digest, const Location& location) { entries.push_back({digest, location}); });
    if (!ranges.empty()) published = catalog_.Publish(std::move(ranges), entries);
  }
  std::vector<PackId> left;
  {
    const MutexLock lock(mutex_);
    index_error_.reset();
    changed_.NotifyAll();
    if (!published) {
      index_error_ = published.error();
      return published;
    }
    frozen_ranges_.clear();
    const MutexLock tables(tables_mutex_);
    frozen_.reset();
    // Packs that were left, and whose last record an index has by now.
    absl::flat_hash_set<PackId> waiting;
    for (const PackRange& range : ranges_) waiting.insert(range.pack);
    std::erase_if(packs_, [&, current = pack_](const std::shared_ptr<Pack>& pack) {
      if (pack == current || waiting.contains(pack->header.id)) return false;
      left.push_back(pack->header.id);
      return true;
    });
  }
  for (const PackId pack : left) catalog_.Disown(pack);
  return {};
}

}  // namespace strata::store::pack
