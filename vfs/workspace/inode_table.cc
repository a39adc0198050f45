#include "vfs/workspace/inode_table.h"

#include <algorithm>

namespace strata::vfs {
namespace {

// Names of a directory, or extents of a file, that are looked at under its lock: some milliseconds.
constexpr std::size_t kShedAtOnce = 1 << 14;

}  // namespace

Inode* InodeTable::Insert(std::unique_ptr<Inode> inode) {
  Inode* raw = inode.get();
  raw->footprint = raw->Footprint();
  raw->serial = serial_.fetch_add(1, std::memory_order_relaxed) + 1;
  bytes_.fetch_add(raw->footprint, std::memory_order_relaxed);
  StripeOf(raw->record.ino).inodes.emplace(raw->record.ino, std::move(inode));
  return raw;
}

void InodeTable::Drop(Inode& inode) {
  bytes_.fetch_sub(inode.footprint, std::memory_order_relaxed);
  StripeOf(inode.record.ino).inodes.erase(inode.record.ino);
}

void InodeTable::Recount(Inode& inode) {
  const std::size_t now = inode.Footprint();
  bytes_.fetch_add(now - inode.footprint, std::memory_order_relaxed);  // modulo 2^64, so shrinking works too
  inode.footprint = now;
}

// Whether the inode is to go, which is then counted as gone; if not, it may have given up some of what hangs on it.
bool InodeTable::EvictOne(Inode& inode, Lsn checkpoint, std::size_t goal, bool& futile) {
  Directory* const names = inode.directory.get();
  if (names != nullptr && names->names.size() > shed_names_ && bytes() > goal &&
      (inode.referenced || inode.changed > checkpoint)) {
    // The directory is in use, most of its names are not.
    const Directory::Shed shed = names->ShedNames(checkpoint, kShedAtOnce, filter_bytes_);
    NoteDropped(shed.newest);
    Recount(inode);
    if (shed.dropped > 0 || shed.cleared) futile = false;
  }
  if (inode.extents.Footprint() > shed_extents_ * ExtentMap::kExtentFootprint && bytes() > goal &&
      (inode.referenced || inode.changed > checkpoint)) {
    const ExtentMap::Shed shed = inode.extents.ShedExtents(checkpoint, kShedAtOnce);
    NoteDropped(shed.newest);
    Recount(inode);
    if (shed.dropped > 0 || shed.more) futile = false;
  }
  if (inode.referenced) {
    inode.referenced = false;
    futile = false;
    return false;
  }
  if (inode.changed <= checkpoint && inode.record.ino != kRootInode) {
    bytes_.fetch_sub(inode.footprint, std::memory_order_relaxed);
    NoteDropped(inode.changed);
    futile = false;
    return true;
  }
  if (names != nullptr && names->listing) {
    names->listing = nullptr;
    Recount(inode);
    futile = false;
  }
  return false;
}

bool InodeTable::Evict(Lsn checkpoint) {
  if (!evictor_.TryLock()) return true;  // somebody else is at it
  const MutexLock one(evictor_, std::adopt_lock);
  if (holds_.load() > 0) return true;  // somebody must not be disturbed
  // Little at a time: it is a call that is held up meanwhile.
  const std::size_t whole = budget();
  const std::size_t step = whole / 64;
  const std::size_t goal = whole - step;
  if (checkpoint == futile_checkpoint_ && bytes() < futile_bytes_ + step) return false;
  bool futile = true;
  // One turn: what was used since the last one stays, so that a call which brings in one object after another keeps
  // those it has, however small the budget.
  for (std::size_t looked = 0; looked < kStripes && bytes() > goal && holds_.load() == 0; ++looked) {
    Stripe& stripe = stripes_[hand_];
    hand_ = (hand_ + 1) % kStripes;
    std::lock_guard hold(stripe.mutex);
    for (auto at = stripe.inodes.begin(); at != stripe.inodes.end();) {
      const auto one = at++;
      if (EvictOne(*one->second, checkpoint, goal, futile)) stripe.inodes.erase(one);
    }
  }
  futile_checkpoint_ = futile ? checkpoint : Lsn();
  futile_bytes_ = futile ? bytes() : 0;
  return bytes() <= whole;
}

void StripeLock::Lock(std::initializer_list<InodeNumber> inos) {
  for (InodeNumber ino : inos) {
    if (ino == kNoInode) continue;
    const std::size_t index = InodeTable::Index(ino);
    auto end = held_.begin() + static_cast<std::ptrdiff_t>(count_);
    auto at = std::lower_bound(held_.begin(), end, index);
    if (at != end && *at == index) continue;
    std::copy_backward(at, end, end + 1);
    *at = index;
    ++count_;
  }
  for (std::size_t i = 0; i < count_; ++i) {
    table_.StripeOfIndex(held_[i]).mutex.lock();
  }
}

void StripeLock::Unlock() {
  while (count_ > 0) table_.StripeOfIndex(held_[--count_]).mutex.unlock();
}

}  // namespace strata::vfs
