#include "server/mount3/mount_list.h"

#include <algorithm>

namespace strata::mount3 {

void MountList::Add(std::string_view host, std::string_view directory) {
  const MutexLock lock(mutex_);
  const auto same = [&](const Mount& mount) { return mount.host == host && mount.directory == directory; };
  if (std::ranges::any_of(mounts_, same)) return;
  if (mounts_.size() >= limit_) mounts_.pop_front();
  mounts_.push_back({std::string(host), std::string(directory)});
}

void MountList::Remove(std::string_view host, std::string_view directory) {
  const MutexLock lock(mutex_);
  std::erase_if(mounts_, [&](const Mount& mount) { return mount.host == host && mount.directory == directory; });
}

void MountList::RemoveAll(std::string_view host) {
  const MutexLock lock(mutex_);
  std::erase_if(mounts_, [&](const Mount& mount) { return mount.host == host; });
}

std::vector<Mount> MountList::All() const {
  const MutexLock lock(mutex_);
  return {mounts_.begin(), mounts_.end()};
}

}  // namespace strata::mount3
