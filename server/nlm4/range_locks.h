// RangeLocks: the byte-range locks of one file, as POSIX has them (fcntl(2)). A lock of an owner replaces what the same
// owner held of its range: what it held is cut, split, or merged with its neighbours. Locks of different owners overlap
// only where all are shared.
#pragma once

#include <absl/container/btree_map.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace strata::nlm4 {

// Bytes [first, last]; to the end of all files where `last` is kEnd.
struct Range {
  static constexpr std::uint64_t kEnd = ~std::uint64_t{0};
  std::uint64_t first = 0, last = kEnd;
  friend bool operator==(const Range&, const Range&) = default;
};

// Who holds a lock. What it is to the caller is nothing to this.
using OwnerId = std::uint32_t;

struct RangeLock {
  Range range;
  bool exclusive = false;
  OwnerId owner = 0;
  std::int64_t since_ns = 0;  // the caller's clock; of merged ones the earliest
};

// Not thread-safe. O(log n) in the number of locks, and for each that a call removes.
class RangeLocks {
 public:
  RangeLocks() = default;
  RangeLocks(RangeLocks&&) = default;
  RangeLocks& operator=(RangeLocks&&) = default;

  bool empty() const { return own_.empty(); }
  std::size_t size() const { return own_.size(); }
  // A lock of another owner that stands in the way of one such: that which begins first. Null for none.
  const RangeLock* Conflict(const Range& range, bool exclusive, OwnerId owner) const;
  // Takes the lock, which nothing stands in the way of. size() grows by at most kMostAdded. Whether the owner held
  // anything before.
  bool Lock(const RangeLock& lock);
  // Gives up what the owner holds of the range. size() grows by at most kMostAdded. Whether that was the last that the
  // owner held.
  bool Unlock(const Range& range, OwnerId owner);
  // Whether the owner holds all of the range, in that mode or a stronger one.
  bool Holds(const Range& range, bool exclusive, OwnerId owner) const;
  bool Has(OwnerId owner) const;
  // In the order of owners, then of ranges.
  void ForEach(const std::function<void(const RangeLock&)>& visit) const;

  // A lock in the middle of another of the same owner leaves three.
  static constexpr std::size_t kMostAdded = 2;
  // About how many bytes a lock takes, the allocator's own included.
  static constexpr std::size_t kLockBytes = 128;

 private:
  // Of a treap in the order of first bytes, whose nodes know what lies beneath them.
  struct Node {
    RangeLock lock;
    std::uint32_t priority = 0;
    std::unique_ptr<Node> left, right;
    // Of this one and all beneath it.
    std::uint64_t last = 0;
    std::uint64_t last_exclusive = 0;  // valid with any_exclusive
    bool any_exclusive = false;
    bool one_owner = true;  // and it is this one's

    void Update();
    // As Update, where all that has changed is that this lies beneath now.
    void Include(const RangeLock& below);
    bool Before(const RangeLock& other) const {
      return std::pair(lock.range.first, lock.owner) < std::pair(other.range.first, other.owner);
    }
  };
  using Tree = std::unique_ptr<Node>;
  using Key = std::pair<OwnerId, std::uint64_t>;
  using Own = absl::btree_map<Key, Node*>;

  static void Split(Tree tree, const RangeLock& at, Tree& before, Tree& rest);
  static Tree Merge(Tree left, Tree right);
  static const Node* FirstConflict(const Node* tree, const Range& range, bool exclusive, OwnerId owner);
  static void EraseFrom(Tree& tree, const RangeLock& lock);
  void Insert(const RangeLock& lock) { Insert(lock, own_.end()); }
  // `next`: the one of own_ behind it, if that is known.
  void Insert(const RangeLock& lock, Own::iterator next);
  void Erase(const RangeLock& lock);
  // Takes out what the owner holds of the range, and puts back what of it lies outside. Whether there was something,
  // and the owner has nothing left. `since_ns` becomes the earliest time of those that were of this mode.
  bool Cut(const Range& range, bool exclusive, OwnerId owner, std::int64_t& since_ns);

  Tree root_;
  Own own_;  // of each owner its ranges
  std::uint32_t random_ = 0x9e3779b9;
};

}  // namespace strata::nlm4
