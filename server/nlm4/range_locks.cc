#include "server/nlm4/range_locks.h"

#include <absl/container/inlined_vector.h>

#include <algorithm>

namespace strata::nlm4 {

void RangeLocks::Node::Update() {
  last = lock.range.last;
  any_exclusive = lock.exclusive;
  last_exclusive = lock.exclusive ? lock.range.last : 0;
  one_owner = true;
  for (const Tree* child : {&left, &right}) {
    if (!*child) continue;
    const Node& below = **child;
    last = std::max(last, below.last);
    any_exclusive |= below.any_exclusive;
    last_exclusive = std::max(last_exclusive, below.last_exclusive);
    one_owner &= below.one_owner && below.lock.owner == lock.owner;
  }
}

void RangeLocks::Node::Include(const RangeLock& below) {
  last = std::max(last, below.range.last);
  if (below.exclusive) last_exclusive = std::max(last_exclusive, below.range.last);
  any_exclusive |= below.exclusive;
  one_owner &= below.owner == lock.owner;
}

void RangeLocks::Split(Tree tree, const RangeLock& at, Tree& before, Tree& rest) {
  if (!tree) {
    before = nullptr;
    rest = nullptr;
    return;
  }
  if (tree->Before(at)) {
    Split(std::move(tree->right), at, tree->right, rest);
    tree->Update();
    before = std::move(tree);
  } else {
    Split(std::move(tree->left), at, before, tree->left);
    tree->Update();
    rest = std::move(tree);
  }
}

RangeLocks::Tree RangeLocks::Merge(Tree left, Tree right) {
  if (!left) return right;
  if (!right) return left;
  if (left->priority > right->priority) {
    left->right = Merge(std::move(left->right), std::move(right));
    left->Update();
    return left;
  }
  right->left = Merge(std::move(left), std::move(right->left));
  right->Update();
  return right;
}

const RangeLocks::Node* RangeLocks::FirstConflict(const Node* tree, const Range& range, bool exclusive, OwnerId owner) {
  if (tree == nullptr || (tree->one_owner && tree->lock.owner == owner)) return nullptr;
  if (exclusive ? tree->last < range.first : !tree->any_exclusive || tree->last_exclusive < range.first) return nullptr;
  if (const Node* found = FirstConflict(tree->left.get(), range, exclusive, owner)) return found;
  const RangeLock& lock = tree->lock;
  if (lock.range.first > range.last) return nullptr;
  if (lock.owner != owner && lock.range.last >= range.first && (exclusive || lock.exclusive)) return tree;
  return FirstConflict(tree->right.get(), range, exclusive, owner);
}

const RangeLock* RangeLocks::Conflict(const Range& range, bool exclusive, OwnerId owner) const {
  const Node* const found = FirstConflict(root_.get(), range, exclusive, owner);
  return found == nullptr ? nullptr : &found->lock;
}

void RangeLocks::Insert(const RangeLock& lock, Own::iterator next) {
  auto node = std::make_unique<Node>();
  node->lock = lock;
  // xorshift: what a client sends has no say in the tree's shape.
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  node->priority = random_;
  own_.emplace_hint(next, Key(lock.owner, lock.range.first), node.get());
  Tree* place = &root_;
  while (*place && (*place)->priority > node->priority) {
    (*place)->Include(lock);
    place = (*place)->Before(lock) ? &(*place)->right : &(*place)->left;
  }
  Split(std::move(*place), lock, node->left, node->right);
  node->Update();
  *place = std::move(node);
}

void RangeLocks::EraseFrom(Tree& tree, const RangeLock& lock) {
  if (tree->Before(lock)) {
    EraseFrom(tree->right, lock);
  } else if (tree->lock.range.first != lock.range.first || tree->lock.owner != lock.owner) {
    EraseFrom(tree->left, lock);
  } else {
    tree = Merge(std::move(tree->left), std::move(tree->right));
    return;
  }
  tree->Update();
}

void RangeLocks::Erase(const RangeLock& lock) {
  EraseFrom(root_, lock);
  own_.erase(Key(lock.owner, lock.range.first));
}

bool RangeLocks::Cut(const Range& range, bool exclusive, OwnerId owner, std::int64_t& since_ns) {
  absl::InlinedVector<RangeLock, 2> rests;
  bool any = false;
  auto at = own_.upper_bound(Key(owner, range.first));
  if (at != own_.begin()) {
    const RangeLock& before = std::prev(at)->second->lock;
    if (before.owner == owner && before.range.last >= range.first) --at;
  }
  while (at != own_.end() && at->first.first == owner && at->first.second <= range.last) {
    const RangeLock lock = at->second->lock;
    EraseFrom(root_, lock);
    at = own_.erase(at);
    any = true;
    if (lock.exclusive == exclusive) since_ns = std::min(since_ns, lock.since_ns);
    RangeLock rest = lock;
    if (lock.range.first < range.first) {
      rest.range = {lock.range.first, range.first - 1};
      rests.push_back(rest);
    }
    if (lock.range.last > range.last) {
      rest.range = {range.last + 1, lock.range.last};
      rests.push_back(rest);
    }
  }
  const bool more = !rests.empty() || (at != own_.end() && at->first.first == owner) ||
                    (at != own_.begin() && std::prev(at)->first.first == owner);
  for (const RangeLock& rest : rests) Insert(rest);
  return any && !more;
}

bool RangeLocks::Lock(const RangeLock& lock) {
  const auto next = own_.upper_bound(Key(lock.owner, lock.range.first));
  const RangeLock* after = next == own_.end() ? nullptr : &next->second->lock;
  const RangeLock* before = next == own_.begin() ? nullptr : &std::prev(next)->second->lock;
  if (after != nullptr && after->owner != lock.owner) after = nullptr;
  if (before != nullptr && before->owner != lock.owner) before = nullptr;
  // Most touch nothing.
  if ((after == nullptr || lock.range.last < after->range.first - 1) &&
      (before == nullptr || (before->range.last < lock.range.first && before->range.last != lock.range.first - 1))) {
    Insert(lock, next);
    return after != nullptr || before != nullptr;
  }
  RangeLock merged = lock;
  (void)Cut(lock.range, lock.exclusive, lock.owner, merged.since_ns);
  // What it touches is one with it.
  if (merged.range.first > 0) {
    auto at = own_.lower_bound(Key(lock.owner, merged.range.first));
    if (at != own_.begin()) {
      const RangeLock before = std::prev(at)->second->lock;
      if (before.owner == lock.owner && before.exclusive == lock.exclusive &&
          before.range.last == merged.range.first - 1) {
        Erase(before);
        merged.range.first = before.range.first;
        merged.since_ns = std::min(merged.since_ns, before.since_ns);
      }
    }
  }
  if (merged.range.last < Range::kEnd) {
    const auto at = own_.find(Key(lock.owner, merged.range.last + 1));
    if (at != own_.end() && at->second->lock.exclusive == lock.exclusive) {
      const RangeLock after = at->second->lock;
      Erase(after);
      merged.range.last = after.range.last;
      merged.since_ns = std::min(merged.since_ns, after.since_ns);
    }
  }
  Insert(merged);
  return true;
}

bool RangeLocks::Unlock(const Range& range, OwnerId owner) {
  std::int64_t since_ns = 0;
  return Cut(range, false, owner, since_ns);
}

bool RangeLocks::Holds(const Range& range, bool exclusive, OwnerId owner) const {
  std::uint64_t from = range.first;
  auto at = own_.upper_bound(Key(owner, from));
  if (at != own_.begin() && std::prev(at)->first.first == owner) --at;
  for (; at != own_.end() && at->first.first == owner; ++at) {
    const RangeLock& lock = at->second->lock;
    if (lock.range.last < from) continue;
    if (lock.range.first > from || (exclusive && !lock.exclusive)) return false;
    if (lock.range.last >= range.last) return true;
    from = lock.range.last + 1;
  }
  return false;
}

bool RangeLocks::Has(OwnerId owner) const {
  const auto at = own_.lower_bound(Key(owner, 0));
  return at != own_.end() && at->first.first == owner;
}

void RangeLocks::ForEach(const std::function<void(const RangeLock&)>& visit) const {
  for (const auto& [key, node] : own_) visit(node->lock);
}

}  // namespace strata::nlm4
