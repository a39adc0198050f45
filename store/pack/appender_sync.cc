// What makes appended records durable, and puts them into an index.
#include <algorithm>
#include <utility>

#include "base/log.h"
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
    for (const auto& pack : packs_) {
      if (pack->failed) continue;
      targets.emplace_back(pack, pack == pack_ ? written_ : pack->end);
    }
  }
  const MutexLock syncing(sync_mutex_);
  for (const auto& [pack, end] : targets) STRATA_TRY(SyncPack(pack, end));
  {
    const MutexLock lock(mutex_);
    if (std::exchange(new_name_, false)) names_synced_ = false;
  }
  if (names_synced_) return {};
  STRATA_TRY(env_.SyncDirectory(catalog_.layout().packs()));
  names_synced_ = true;
  return {};
}

Result<void> Appender::SyncPack(const std::shared_ptr<Pack>& pack, std::uint64_t end) {
  {
    // Another sync may have done it while this one waited.
    const MutexLock lock(mutex_);
    if (pack->failed)
      return Fail(Errc::kIo, pack->path + " could not be synced; what was put since is lost, put it again");
    if (pack->synced >= end) return {};
    end = std::max(end, pack == pack_ ? written_ : pack->end);
  }
  const auto synced = pack->file->SyncData();
  const MutexLock lock(mutex_);
  if (synced) {
    pack->synced = std::max(pack->synced, end);
    return {};
  }
  Abandon(*pack);
  return Fail(synced.error().WithContext("make what was put durable"));
}

void Appender::Abandon(Pack& pack) {
  // After a failed sync nobody knows what of the file is on the disk: the system may have dropped it. What was durable
  // before stays; the rest is forgotten here and, since the pack stays ours, not read from the file either.
  log::Error("pack_sync_failed", {{"file", pack.path},
                                  {"durable", pack.synced},
                                  {"hint", "look after the disk; what was put since must be put again"}});
  while (writing_) changed_.Wait(mutex_);
  pack.failed = true;
  const auto lost = [&](const Location& location) {
    return location.pack == pack.header.id && location.end() > pack.synced;
  };
  {
    const MutexLock tables(tables_mutex_);
    table_->EraseIf(lost);
    if (frozen_) frozen_->EraseIf(lost);
  }
  for (auto* ranges : {&ranges_, &frozen_ranges_}) {
    for (PackRange& range : *ranges) {
      if (range.pack == pack.header.id && range.end > pack.synced) {
        range.end = std::max(range.begin, static_cast<std::uint32_t>(pack.synced));
      }
    }
  }
  if (pack_.get() == &pack) {
    buffer_.clear();
    full_.clear();
    pack_.reset();
  }
  changed_.NotifyAll();
}

Result<void> Appender::WriteBack() {
  std::shared_ptr<Pack> pack;
  std::uint64_t begin = 0, end = 0;
  {
    const MutexLock lock(mutex_);
    for (const auto& candidate : packs_) {
      const std::uint64_t in_file = candidate == pack_ ? written_ : candidate->end;
      if (candidate->failed || in_file < candidate->back + kWriteBackAtOnce) continue;
      pack = candidate;
      begin = candidate->back;
      end = candidate->back = in_file;
      break;
    }
  }
  if (!pack) return {};
  return pack->file->WriteBack(begin, end - begin);
}

Result<void> Appender::PublishIndex() {
  if (!publish_mutex_.TryLock()) return {};
  const MutexLock publishing(publish_mutex_, std::adopt_lock);
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
    const std::vector<PackRange>& ranges = ranges_;
    std::erase_if(packs_, [&, current = pack_](const std::shared_ptr<Pack>& pack) {
      const bool more =
          std::ranges::any_of(ranges, [&](const PackRange& range) { return range.pack == pack->header.id; });
      if (pack == current || pack->failed || more) return false;
      left.push_back(pack->header.id);
      return true;
    });
  }
  for (const PackId pack : left) catalog_.Disown(pack);
  return {};
}

}  // namespace strata::store::pack
