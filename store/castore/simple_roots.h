// Names of trees that no store keeps: in memory, and the entries of one directory (spec castore CA-49).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/mutex.h"
#include "store/castore/root_nodes.h"

namespace strata::store {

class MemoryRootNodes final : public RootNodes {
 public:
  Result<std::optional<Root>> Get(const Waiting& waiting, std::string_view name) override STRATA_EXCLUDES(mutex_);
  // Of the names as they were when it was called: `visit` may call any method.
  Result<void> List(const Waiting& waiting,
                    const std::function<bool(std::string_view name, const Root& root)>& visit) override
      STRATA_EXCLUDES(mutex_);
  Result<void> Set(std::string_view name, const Root& root) override STRATA_EXCLUDES(mutex_);
  Result<void> Remove(std::string_view name) override STRATA_EXCLUDES(mutex_);

 private:
  using Roots = std::map<std::string, Root, std::less<>>;
  Mutex mutex_;
  Roots roots_ STRATA_GUARDED_BY(mutex_);
};

// The entries are the roots. Read-only.
class DirectoryRootNodes final : public RootNodes {
 public:
  explicit DirectoryRootNodes(Directory directory) : directory_(std::move(directory)) {}

  Result<std::optional<Root>> Get(const Waiting& waiting, std::string_view name) override;
  Result<void> List(const Waiting& waiting,
                    const std::function<bool(std::string_view name, const Root& root)>& visit) override;

 private:
  const Directory directory_;
};

}  // namespace strata::store
