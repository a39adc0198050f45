// MountList: who has mounted what, for DUMP. It is advice only (RFC 1813 I.3): nothing depends on it, and a restart
// forgets it.
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"

namespace strata::mount3 {

struct Mount {
  std::string host;
  std::string directory;
  friend bool operator==(const Mount&, const Mount&) = default;
};

// Thread-safe.
class MountList {
 public:
  // Beyond `limit` mounts the oldest is forgotten.
  explicit MountList(std::size_t limit) : limit_(limit) {}
  // Once, however often it is mounted.
  void Add(std::string_view host, std::string_view directory);
  void Remove(std::string_view host, std::string_view directory);
  void RemoveAll(std::string_view host);
  std::vector<Mount> All() const;

 private:
  const std::size_t limit_;
  mutable Mutex mutex_;
  std::deque<Mount> mounts_ STRATA_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace strata::mount3
