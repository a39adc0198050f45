#include "vfs/layer/castore/siblings.h"

#include <algorithm>

namespace strata::vfs::castore {

Siblings::Directory* Siblings::Find(std::uint64_t id) {
  const auto found = std::ranges::find(directories_, id, &Directory::id);
  if (found == directories_.end()) return nullptr;
  found->used = ++clock_;
  return &*found;
}

void Siblings::Listed(std::uint64_t directory) {
  const MutexLock lock(mutex_);
  Directory* place = Find(directory);
  if (place == nullptr) place = &*std::ranges::min_element(directories_, {}, &Directory::used);
  *place = {.id = directory, .used = ++clock_};
}

bool Siblings::Read(std::uint64_t directory, std::size_t index) {
  const MutexLock lock(mutex_);
  Directory* const found = Find(directory);
  if (found == nullptr) return false;
  if (found->brought) return index >= found->next && index - found->next < kNear;
  if (found->reads > 0 && found->last == index) return false;
  found->last = index;
  return ++found->reads == kReads;
}

void Siblings::Brought(std::uint64_t directory, std::size_t next) {
  const MutexLock lock(mutex_);
  Directory* const found = Find(directory);
  if (found == nullptr) return;
  found->brought = true;
  found->next = next;
}

}  // namespace strata::vfs::castore
