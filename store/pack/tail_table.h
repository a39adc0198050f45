// TailTable: where records lie that no index has yet, in memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"
#include "store/pack/format.h"

namespace strata::store::pack {

// By digest, in many parts so that threads seldom meet. Thread-safe.
class TailTable {
 public:
  // Memory of a record, with what a table keeps free at most.
  static constexpr std::size_t kRecordBytes = 120;

  void Put(const Digest& digest, const Location& location) {
    Part& part = PartOf(digest);
    const MutexLock lock(part.mutex);
    if (part.map.insert_or_assign(digest, location).second) size_.fetch_add(1, std::memory_order_relaxed);
  }
  std::optional<Location> Find(const Digest& digest) const {
    if (size() == 0) return std::nullopt;
    const Part& part = PartOf(digest);
    const MutexLock lock(part.mutex);
    const auto at = part.map.find(digest);
    if (at == part.map.end()) return std::nullopt;
    return at->second;
  }
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }
  void EraseIf(const std::function<bool(const Location&)>& goes) {
    for (Part& part : parts_) {
      const MutexLock lock(part.mutex);
      size_.fetch_sub(absl::erase_if(part.map, [&](const auto& entry) { return goes(entry.second); }),
                      std::memory_order_relaxed);
    }
  }
  // In no order. `visit` must not come back to the table.
  void ForEach(const std::function<void(const Digest&, const Location&)>& visit) const {
    for (const Part& part : parts_) {
      const MutexLock lock(part.mutex);
      for (const auto& [digest, location] : part.map) visit(digest, location);
    }
  }

 private:
  struct Part {
    mutable Mutex mutex;
    absl::flat_hash_map<Digest, Location> map STRATA_GUARDED_BY(mutex);
  };
  static constexpr std::size_t kParts = 16;

  Part& PartOf(const Digest& digest) { return parts_[static_cast<std::size_t>(digest.bytes[31]) % kParts]; }
  const Part& PartOf(const Digest& digest) const { return parts_[static_cast<std::size_t>(digest.bytes[31]) % kParts]; }

  std::array<Part, kParts> parts_;
  std::atomic<std::size_t> size_{0};
};

}  // namespace strata::store::pack
