#include "vfs/layer/host_cache.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace strata::vfs::host {
namespace {

// Stops a path that remembered places, out of date, bend into a ring. Deeper directories are found by looking for them.
constexpr std::size_t kDeepestPath = 8192;

}  // namespace

std::optional<PlaceCache::Place> PlaceCache::Get(std::uint64_t id) {
  const MutexLock lock(mutex_);
  const Place* place = table_.Find(id);
  return place == nullptr ? std::nullopt : std::optional(*place);
}

void PlaceCache::Put(std::uint64_t id, std::uint64_t parent, std::string_view name) {
  Place place{parent, std::string(name)};
  const MutexLock lock(mutex_);
  place = table_.Put(id, std::move(place));
}

void PlaceCache::PutIfRoom(std::uint64_t id, std::uint64_t parent, std::string_view name) {
  const MutexLock lock(mutex_);
  if (!table_.full()) table_.Put(id, {parent, std::string(name)});
}

void PlaceCache::Erase(std::uint64_t id) {
  const MutexLock lock(mutex_);
  table_.Erase(id);
}

std::optional<std::string> PlaceCache::PathTo(std::uint64_t id, std::uint64_t root) {
  std::vector<std::string> names;  // from the node up
  std::size_t size = 0;
  {
    const MutexLock lock(mutex_);
    while (id != root) {
      const Place* place = table_.Find(id);
      if (place == nullptr || names.size() == kDeepestPath) return std::nullopt;
      size += place->name.size() + 1;
      names.push_back(place->name);
      id = place->parent;
    }
  }
  std::string path;
  path.reserve(size);
  std::for_each(names.rbegin(), names.rend(), [&](const std::string& name) {
    if (!path.empty()) path += '/';
    path += name;
  });
  return path;
}

bool DirectoryIndex::Add(std::uint64_t id, std::string_view name) {
  if (name.size() > 255) return true;  // not found by the index, then, but by a pass
  if (names_.size() > std::numeric_limits<std::uint32_t>::max() - 256) return false;
  items_.push_back({static_cast<std::uint32_t>(id >> 32), static_cast<std::uint32_t>(id),
                    static_cast<std::uint32_t>(names_.size())});
  names_ += static_cast<char>(name.size());
  names_ += name;
  return true;
}

void DirectoryIndex::Sort() {
  std::sort(items_.begin(), items_.end(), [](const Item& a, const Item& b) { return a.id() < b.id(); });
  items_.shrink_to_fit();
  names_.shrink_to_fit();
}

std::optional<std::string> DirectoryIndex::Find(std::uint64_t id) const {
  const auto at =
      std::lower_bound(items_.begin(), items_.end(), id, [](const Item& a, std::uint64_t b) { return a.id() < b; });
  if (at == items_.end() || at->id() != id) return std::nullopt;
  return names_.substr(at->name_at + 1, static_cast<unsigned char>(names_[at->name_at]));
}

std::shared_ptr<const DirectoryIndex> IndexCache::Get(std::uint64_t directory) {
  const MutexLock lock(mutex_);
  const auto at =
      std::find_if(held_.begin(), held_.end(), [&](const Held& held) { return held.directory == directory; });
  if (at == held_.end()) return nullptr;
  std::rotate(at, at + 1, held_.end());
  return held_.back().index;
}

void IndexCache::Put(std::uint64_t directory, std::shared_ptr<const DirectoryIndex> index) {
  if (index->Footprint() > max_bytes_) return;
  std::vector<Held> dropped;  // freed after the lock is
  const MutexLock lock(mutex_);
  std::size_t bytes = index->Footprint();
  for (const Held& held : held_) bytes += held.index->Footprint();
  std::size_t keep_from = 0;
  for (; keep_from < held_.size() && bytes > max_bytes_; ++keep_from) bytes -= held_[keep_from].index->Footprint();
  const auto end = held_.begin() + static_cast<std::ptrdiff_t>(keep_from);
  dropped.assign(std::make_move_iterator(held_.begin()), std::make_move_iterator(end));
  held_.erase(held_.begin(), end);
  std::erase_if(held_, [&](const Held& held) { return held.directory == directory; });
  held_.push_back({directory, std::move(index)});
}

void IndexCache::Erase(std::uint64_t directory) {
  const MutexLock lock(mutex_);
  std::erase_if(held_, [&](const Held& held) { return held.directory == directory; });
}

DescriptorRef DescriptorCache::Get(std::uint64_t id) {
  const MutexLock lock(mutex_);
  const DescriptorRef* held = table_.Find(id);
  return held == nullptr ? nullptr : *held;
}

void DescriptorCache::Put(std::uint64_t id, DescriptorRef descriptor) {
  DescriptorRef dropped;  // closed after the lock is free
  const MutexLock lock(mutex_);
  dropped = table_.Put(id, std::move(descriptor));
}

void DescriptorCache::Erase(std::uint64_t id) {
  DescriptorRef dropped;
  const MutexLock lock(mutex_);
  dropped = table_.Erase(id);
}

}  // namespace strata::vfs::host
