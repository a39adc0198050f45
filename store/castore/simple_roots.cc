#include "store/castore/simple_roots.h"

#include <utility>

namespace strata::store {
namespace {

Root RootOf(const Directory::Entry& entry) { return {.node = entry.node(), .attributes = std::nullopt, .set = {}}; }

}  // namespace

Result<std::optional<Root>> MemoryRootNodes::Get(const Waiting&, std::string_view name) {
  const MutexLock lock(mutex_);
  const auto found = roots_.find(name);
  if (found == roots_.end()) return std::nullopt;
  return found->second;
}

Result<void> MemoryRootNodes::List(const Waiting&,
                                   const std::function<bool(std::string_view name, const Root& root)>& visit) {
  Roots roots;
  {
    const MutexLock lock(mutex_);
    roots = roots_;
  }
  for (const auto& [name, root] : roots) {
    if (!visit(name, root)) break;
  }
  return {};
}

Result<void> MemoryRootNodes::Set(std::string_view name, const Root& root) {
  STRATA_TRY(CheckNodeName(name));
  const MutexLock lock(mutex_);
  roots_.insert_or_assign(std::string(name), root);
  return {};
}

Result<void> MemoryRootNodes::Remove(std::string_view name) {
  const MutexLock lock(mutex_);
  const auto found = roots_.find(name);
  if (found == roots_.end()) return Fail(Errc::kNotFound, "there is no root " + QuoteName(name) + " to remove");
  roots_.erase(found);
  return {};
}

Result<std::optional<Root>> DirectoryRootNodes::Get(const Waiting&, std::string_view name) {
  const std::size_t index = directory_.Find(name);
  if (index == directory_.count()) return std::nullopt;
  return RootOf(directory_.At(index));
}

Result<void> DirectoryRootNodes::List(const Waiting&,
                                      const std::function<bool(std::string_view name, const Root& root)>& visit) {
  for (std::size_t i = 0; i < directory_.count(); ++i) {
    const Directory::Entry entry = directory_.At(i);
    if (!visit(entry.name, RootOf(entry))) break;
  }
  return {};
}

}  // namespace strata::store
