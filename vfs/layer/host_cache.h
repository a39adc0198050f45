// What a host folder's layer remembers, bounded: where nodes were last seen, and open descriptors. The locks are held
// for a few memory accesses, never over a system call. They are taken one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "vfs/layer/host_files.h"

namespace strata::vfs::host {

// A map of at most `capacity` keys, none of them 0. When it is full it drops one not lately used (clock: each use sets
// a bit, a hand that goes round clears it and takes the first slot found clear). Not thread-safe.
template <typename Value>
class ClockTable {
 public:
  explicit ClockTable(std::size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

  // Null where the key is not held. Valid until the next call.
  Value* Find(std::uint64_t key) {
    const auto at = index_.find(key);
    if (at == index_.end()) return nullptr;
    slots_[at->second].used = true;
    return &slots_[at->second].value;
  }
  // Gives back what had to go, for the caller to destroy when it holds no lock.
  Value Put(std::uint64_t key, Value value) {
    const auto [at, fresh] = index_.try_emplace(key, 0);
    if (!fresh) return std::exchange(slots_[at->second].value, std::move(value));
    if (slots_.size() < capacity_) {
      at->second = static_cast<std::uint32_t>(slots_.size());
      slots_.push_back({key, std::move(value), false});
      return Value();
    }
    const std::size_t free = NextFree();
    at->second = static_cast<std::uint32_t>(free);
    Slot& slot = slots_[free];
    if (slot.key != 0) index_.erase(slot.key);
    slot.key = key;
    slot.used = false;
    return std::exchange(slot.value, std::move(value));
  }
  Value Erase(std::uint64_t key) {
    const auto at = index_.find(key);
    if (at == index_.end()) return Value();
    Slot& slot = slots_[at->second];
    index_.erase(at);
    slot.key = 0;
    slot.used = false;
    return std::exchange(slot.value, Value());
  }
  bool full() const { return index_.size() >= capacity_; }

 private:
  struct Slot {
    std::uint64_t key = 0;  // 0: free
    Value value;
    bool used = false;
  };
  std::size_t NextFree() {
    for (;;) {
      const std::size_t at = hand_;
      hand_ = hand_ + 1 == slots_.size() ? 0 : hand_ + 1;
      if (slots_[at].key == 0 || !slots_[at].used) return at;
      slots_[at].used = false;
    }
  }

  const std::size_t capacity_;
  absl::flat_hash_map<std::uint64_t, std::uint32_t> index_;
  std::vector<Slot> slots_;
  std::size_t hand_ = 0;
};

// Where nodes were last seen. What it says may be out of date; who uses it checks. Thread-safe.
class PlaceCache {
 public:
  struct Place {
    std::uint64_t parent = 0;
    std::string name;
  };
  explicit PlaceCache(std::size_t capacity) : table_(capacity) {}

  std::optional<Place> Get(std::uint64_t id);
  void Put(std::uint64_t id, std::uint64_t parent, std::string_view name);
  // As Put, but drops nothing for it.
  void PutIfRoom(std::uint64_t id, std::uint64_t parent, std::string_view name);
  void Erase(std::uint64_t id);
  // The names from `root` to the node, where each of them is remembered.
  std::optional<std::string> PathTo(std::uint64_t id, std::uint64_t root);

 private:
  Mutex mutex_;
  ClockTable<Place> table_ STRATA_GUARDED_BY(mutex_);
};

// The entries of one directory by id, packed: 12 bytes each and the name. Immutable once sorted.
class DirectoryIndex {
 public:
  // False: the index is full.
  bool Add(std::uint64_t id, std::string_view name);
  void Sort();
  // Some name that the id had; nothing where it had none.
  std::optional<std::string> Find(std::uint64_t id) const;
  std::size_t size() const { return items_.size(); }
  std::size_t Footprint() const { return sizeof *this + items_.capacity() * sizeof(Item) + names_.capacity(); }

 private:
  struct Item {
    std::uint32_t id_high, id_low;
    std::uint32_t name_at;  // its length as one byte, then its bytes
    std::uint64_t id() const { return std::uint64_t{id_high} << 32 | id_low; }
  };
  std::vector<Item> items_;
  std::string names_;
};

// Indices of the large directories that were searched, at most `max_bytes` of them. Without one, each forgotten file of
// a directory of a million would cost a pass over the million. What an index says may be out of date: who uses it
// checks. Thread-safe.
class IndexCache {
 public:
  explicit IndexCache(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  std::shared_ptr<const DirectoryIndex> Get(std::uint64_t directory);  // null where there is none
  // Drops those longest not used; one that is larger than all that may be held is not kept.
  void Put(std::uint64_t directory, std::shared_ptr<const DirectoryIndex> index);
  void Erase(std::uint64_t directory);

 private:
  struct Held {
    std::uint64_t directory;
    std::shared_ptr<const DirectoryIndex> index;
  };
  const std::size_t max_bytes_;
  Mutex mutex_;
  // The one used last at the end; few, since only large directories have one.
  std::vector<Held> held_ STRATA_GUARDED_BY(mutex_);
};

// Thread-safe.
class DescriptorCache {
 public:
  explicit DescriptorCache(std::size_t capacity) : table_(capacity) {}

  DescriptorRef Get(std::uint64_t id);  // null where there is none
  void Put(std::uint64_t id, DescriptorRef descriptor);
  void Erase(std::uint64_t id);

 private:
  Mutex mutex_;
  ClockTable<DescriptorRef> table_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace strata::vfs::host
