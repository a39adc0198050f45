#include "store/castore/memory_directories.h"

#include <string>

namespace strata::store {

Result<std::optional<Directory>> MemoryDirectoryService::Get(const Waiting&, const Digest& digest) {
  const MutexLock lock(mutex_);
  const auto found = directories_.find(digest);
  if (found == directories_.end()) return std::nullopt;
  return found->second;
}

Result<Digest> MemoryDirectoryService::Put(const Directory& directory) {
  const MutexLock lock(mutex_);
  if (directories_.contains(directory.digest())) return directory.digest();
  const std::size_t bytes = directory.Footprint() + sizeof(decltype(directories_)::value_type);
  if (bytes > most_bytes_ - bytes_) {
    return Fail(Errc::kNoSpace, "put a directory into memory: " + std::to_string(bytes_) + " of at most " +
                                    std::to_string(most_bytes_) + " bytes are taken");
  }
  bytes_ += bytes;
  directories_.emplace(directory.digest(), directory);
  return directory.digest();
}

}  // namespace strata::store
