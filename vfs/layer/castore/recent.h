// Recent: what was used lately, within a bound of bytes. Thread-safe: shared by number, so that threads seldom meet.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>

#include "base/mutex.h"

namespace strata::vfs::castore {

template <typename Key, typename Value>
class Recent {
 public:
  explicit Recent(std::size_t bytes) : shard_bytes_(bytes / kShards) {}

  // Null: it is not there.
  std::shared_ptr<const Value> Get(const Key& key) {
    Shard& shard = ShardOf(key);
    const MutexLock lock(shard.mutex);
    const auto found = shard.places.find(key);
    if (found == shard.places.end()) return nullptr;
    if (found->second != shard.items.begin()) shard.items.splice(shard.items.begin(), shard.items, found->second);
    return found->second->value;
  }
  // What is there under the key by now: another thread may have been first. One that is larger than a shard is not
  // kept, unless it is alone.
  std::shared_ptr<const Value> Put(const Key& key, std::shared_ptr<const Value> value, std::size_t bytes) {
    Shard& shard = ShardOf(key);
    const MutexLock lock(shard.mutex);
    const auto [place, added] = shard.places.try_emplace(key);
    if (!added) return place->second->value;
    shard.items.push_front({key, value, bytes + sizeof(Item) + sizeof(Key) + sizeof(void*)});
    place->second = shard.items.begin();
    shard.bytes += shard.items.front().bytes;
    while (shard.bytes > shard_bytes_ && shard.items.size() > 1) {
      shard.bytes -= shard.items.back().bytes;
      shard.places.erase(shard.items.back().key);
      shard.items.pop_back();
    }
    return value;
  }

 private:
  static constexpr std::size_t kShards = 8;
  struct Item {
    Key key;
    std::shared_ptr<const Value> value;
    std::size_t bytes = 0;
  };
  struct Shard {
    Mutex mutex;
    std::list<Item> items STRATA_GUARDED_BY(mutex);  // the one used last first
    absl::flat_hash_map<Key, typename std::list<Item>::iterator> places STRATA_GUARDED_BY(mutex);
    std::size_t bytes STRATA_GUARDED_BY(mutex) = 0;
  };

  Shard& ShardOf(const Key& key) { return shards_[absl::Hash<Key>()(key) % kShards]; }

  const std::size_t shard_bytes_;
  std::array<Shard, kShards> shards_;
};

}  // namespace strata::vfs::castore
