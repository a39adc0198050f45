// InodeTable: the inodes that are in memory, and their locks.
//
// Locks. Inodes are spread over stripes by their number; a stripe's mutex guards its inodes with all that hangs on
// them. A call that needs several inodes takes their stripes together, in the order of the stripes (StripeLock), so
// that no two calls wait for each other. Order of all locks of a workspace:
//     WorkspaceImpl::rename_mutex_  ->  stripes, ascending  ->  the journal's own
// No stripe is held while a call waits for a disk: what is not in memory is fetched without locks, put into the table,
// and the call starts over. Which stripes a call holds is decided as it runs, which clang's thread safety analysis
// cannot follow: they are plain std::mutex, and what is said here of who holds them is checked by no compiler.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <memory>
#include <mutex>

#include "base/mutex.h"
#include "vfs/workspace/inode.h"
#include "vfs/workspace/memory_budget.h"

namespace strata::vfs {

class InodeTable {
 public:
  struct alignas(64) Stripe {
    std::mutex mutex;
    absl::flat_hash_map<InodeNumber, std::unique_ptr<Inode>> inodes;
  };
  static constexpr std::size_t kStripes = 1024;

  explicit InodeTable(const MemoryBudget& budget)
      : budget_(budget.inodes),
        shed_names_(budget.shed_names),
        shed_extents_(budget.shed_extents),
        filter_bytes_(budget.name_filter) {}

  Stripe& StripeOf(InodeNumber ino) { return stripes_[Index(ino)]; }
  Stripe& StripeOfIndex(std::size_t index) { return stripes_[index]; }
  // The caller holds the stripe. Null if it is not in memory.
  Inode* Find(InodeNumber ino) {
    auto& inodes = StripeOf(ino).inodes;
    auto found = inodes.find(ino);
    if (found == inodes.end()) return nullptr;
    found->second->referenced = true;
    return found->second.get();
  }
  // The caller holds the stripe, and the table has no such inode.
  Inode* Insert(std::unique_ptr<Inode> inode);
  // Takes the inode out, which the caller knows to say no more than layers and index do.
  void Drop(Inode& inode);
  // Counts the inode anew after it grew or shrank; the caller holds its stripe.
  void Recount(Inode& inode);

  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  bool over_budget() const { return bytes() > budget(); }
  // So much of the budget is used elsewhere for now; half of it stays the table's own whatever is said here.
  void Lend(std::size_t bytes) { lent_.store(std::min(bytes, budget_ / 2), std::memory_order_relaxed); }
  // Whether something was dropped that had changed after `checkpoint`. What was read from the index while that was the
  // checkpoint may then be older than what was dropped, and has to be read again. (What had not changed since, the
  // index held already.) Of an object whose stripe is held, and which is not in memory.
  bool DroppedSince(Lsn checkpoint) const { return newest_dropped_.load(std::memory_order_acquire) > checkpoint.value; }
  // Drops inodes that were not used lately and whose last change the index holds (changed <= `checkpoint`), until the
  // budget is met. The caller holds no stripe. False: the budget could not be met. Costs little where it is called
  // again before there can be anything to drop.
  bool Evict(Lsn checkpoint);

  // While one of these lives nothing is evicted: for a call whose objects were dropped again and again before it had
  // them all.
  class Hold {
   public:
    explicit Hold(InodeTable& table) : table_(table) { table_.holds_.fetch_add(1); }
    ~Hold() { table_.holds_.fetch_sub(1); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    InodeTable& table_;
  };

  // Calls visit(Inode&) for each, a stripe at a time, under its lock.
  template <typename Visit>
  void ForEach(Visit visit) {
    for (Stripe& stripe : stripes_) {
      std::lock_guard hold(stripe.mutex);
      for (auto& [ino, inode] : stripe.inodes) visit(*inode);
    }
  }

  static std::size_t Index(InodeNumber ino) { return (ino.value * 0x9e3779b97f4a7c15ULL) >> 54; }

 private:
  std::array<Stripe, kStripes> stripes_;
  bool EvictOne(Inode& inode, Lsn checkpoint, std::size_t goal, bool& futile) STRATA_REQUIRES(evictor_);
  void NoteDropped(Lsn changed) STRATA_REQUIRES(evictor_) {
    if (changed.value > newest_dropped_.load(std::memory_order_relaxed))
      newest_dropped_.store(changed.value, std::memory_order_release);
  }

  std::size_t budget() const { return budget_ - lent_.load(std::memory_order_relaxed); }

  const std::size_t budget_;
  std::atomic<std::size_t> lent_{0};
  const std::size_t shed_names_;
  const std::size_t shed_extents_;
  const std::size_t filter_bytes_;
  std::atomic<std::size_t> bytes_{0};
  std::atomic<std::uint64_t> newest_dropped_{0};  // Lsn; stored under evictor_
  std::atomic<std::uint64_t> serial_{0};
  std::atomic<int> holds_{0};
  Mutex evictor_;
  std::size_t hand_ STRATA_GUARDED_BY(evictor_) = 0;
  // A whole turn found nothing to drop: what the index held, and the bytes in memory, then.
  Lsn futile_checkpoint_ STRATA_GUARDED_BY(evictor_);
  std::size_t futile_bytes_ STRATA_GUARDED_BY(evictor_) = 0;
};
static_assert(InodeTable::kStripes == 1 << 10, "Index takes ten bits");

// Holds the stripes of up to four inodes.
class StripeLock {
 public:
  explicit StripeLock(InodeTable& table) : table_(table) {}
  ~StripeLock() { Unlock(); }
  StripeLock(const StripeLock&) = delete;
  StripeLock& operator=(const StripeLock&) = delete;

  // Holds nothing before. kNoInode is skipped.
  void Lock(std::initializer_list<InodeNumber> inos);
  void Unlock();

 private:
  InodeTable& table_;
  std::array<std::size_t, 4> held_{};
  std::size_t count_ = 0;
};

}  // namespace strata::vfs
