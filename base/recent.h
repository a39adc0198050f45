// Recent: what was used lately, within a bound of bytes. Thread-safe: divided into shards, so that threads seldom meet.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include "base/mutex.h"

namespace strata {

template <typename Key, typename Value>
class Recent {
 public:
  using Pointer = std::shared_ptr<const Value>;
  explicit Recent(std::size_t bytes) : shard_bytes_(bytes / kShards), large_bytes_(bytes) {}

  // Null: it is not there.
  Pointer Get(const Key& key) {
    const std::size_t hash = HashOf(key);
    if (Pointer found = shards_[hash % kShards].Get(key, hash)) return found;
    return has_large_.load(std::memory_order_relaxed) ? large_.Get(key, hash) : nullptr;
  }
  // What is there under the key by now: another thread may have been first. What no shard could hold is kept beside
  // others of its kind, within the same bound once more, and at least the last one.
  Pointer Put(const Key& key, Pointer value, std::size_t bytes) {
    bytes += sizeof(Item) + sizeof(Key) + sizeof(void*);
    if (bytes <= shard_bytes_) return shards_[HashOf(key) % kShards].Put(key, std::move(value), bytes, shard_bytes_);
    has_large_.store(true, std::memory_order_relaxed);
    return large_.Put(key, std::move(value), bytes, large_bytes_);
  }
  // Forgets it, unless another one has its place by now.
  void Drop(const Key& key, const Pointer& value) {
    shards_[HashOf(key) % kShards].Drop(key, value);
    if (has_large_.load(std::memory_order_relaxed)) large_.Drop(key, value);
  }

 private:
  static constexpr std::size_t kShards = 8;
  struct Item {
    Key key;
    Pointer value;
    std::size_t bytes = 0;
  };
  using Places = absl::flat_hash_map<Key, typename std::list<Item>::iterator>;
  struct Shard {
    Mutex mutex;
    std::list<Item> items STRATA_GUARDED_BY(mutex);  // the one used last first
    Places places STRATA_GUARDED_BY(mutex);
    std::size_t bytes STRATA_GUARDED_BY(mutex) = 0;

    Pointer Get(const Key& key, std::size_t hash) STRATA_EXCLUDES(mutex) {
      const MutexLock lock(mutex);
      const auto found = places.find(key, hash);
      if (found == places.end()) return nullptr;
      if (found->second != items.begin()) items.splice(items.begin(), items, found->second);
      return found->second->value;
    }
    Pointer Put(const Key& key, Pointer value, std::size_t size, std::size_t most) STRATA_EXCLUDES(mutex) {
      std::list<Item> dropped;  // freed without the lock
      const MutexLock lock(mutex);
      const auto [place, added] = places.try_emplace(key);
      if (!added) return place->second->value;
      items.push_front({key, value, size});
      place->second = items.begin();
      bytes += size;
      while (bytes > most && items.size() > 1) {
        bytes -= items.back().bytes;
        places.erase(items.back().key);
        dropped.splice(dropped.begin(), items, std::prev(items.end()));
      }
      return value;
    }
    void Drop(const Key& key, const Pointer& value) STRATA_EXCLUDES(mutex) {
      std::list<Item> dropped;
      const MutexLock lock(mutex);
      const auto found = places.find(key);
      if (found == places.end() || found->second->value != value) return;
      bytes -= found->second->bytes;
      dropped.splice(dropped.begin(), items, found->second);
      places.erase(found);
    }
  };

  // As the tables hash.
  static std::size_t HashOf(const Key& key) { return typename Places::hasher()(key); }

  const std::size_t shard_bytes_, large_bytes_;
  std::array<Shard, kShards> shards_;
  Shard large_;
  std::atomic<bool> has_large_{false};
};

}  // namespace strata
