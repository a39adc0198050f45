#include "vfs/host_cache.h"

#include <algorithm>

namespace strata::vfs::host {
namespace {

// Stops a path that remembered places, out of date, bend into a ring. Deeper directories are found by looking for them.
constexpr std::size_t kDeepestPath = 8192;

}  // namespace

std::optional<PlaceCache::Place> PlaceCache::Get(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const Place* place = table_.Find(id);
  return place == nullptr ? std::nullopt : std::optional(*place);
}

void PlaceCache::Put(std::uint64_t id, std::uint64_t parent, std::string_view name) {
  Place place{parent, std::string(name)};
  const std::lock_guard lock(mutex_);
  place = table_.Put(id, std::move(place));
}

void PlaceCache::PutIfRoom(std::uint64_t id, std::uint64_t parent, std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (!table_.full()) table_.Put(id, {parent, std::string(name)});
}

void PlaceCache::Erase(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  table_.Erase(id);
}

std::optional<std::string> PlaceCache::PathTo(std::uint64_t id, std::uint64_t root) {
  std::vector<std::string> names;  // from the node up
  std::size_t size = 0;
  {
    const std::lock_guard lock(mutex_);
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

DescriptorRef DescriptorCache::Get(std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  const DescriptorRef* held = table_.Find(id);
  return held == nullptr ? nullptr : *held;
}

void DescriptorCache::Put(std::uint64_t id, DescriptorRef descriptor) {
  DescriptorRef dropped;  // closed after the lock is free
  const std::lock_guard lock(mutex_);
  dropped = table_.Put(id, std::move(descriptor));
}

void DescriptorCache::Erase(std::uint64_t id) {
  DescriptorRef dropped;
  const std::lock_guard lock(mutex_);
  dropped = table_.Erase(id);
}

}  // namespace strata::vfs::host
