#include "store/objects/object_roots.h"

#include <string>
#include <vector>

#include "store/castore/names.h"
#include "store/castore/root_message.h"
#include "store/objects/layout.h"

namespace strata::store {

Result<std::optional<Root>> ObjectRoots::Get(const Waiting& waiting, std::string_view name) {
  if (!CheckNodeName(name)) return std::nullopt;
  const std::string key = RootKey(name);
  STRATA_ASSIGN(const auto bytes, bucket_->Get(waiting, key, kMaxRootBytes));
  if (!bytes) return std::nullopt;
  auto root = ParseRoot(*bytes);
  if (!root) {
    return Fail(Errc::kCorrupt, "the name " + std::string(name) + " (" + bucket_->DescribeObject(key) +
                                    ") cannot be read: " + std::string(root.error().message()) +
                                    "; set it again, or remove it");
  }
  return *root;
}

Result<void> ObjectRoots::List(const Waiting& waiting,
                               const std::function<bool(std::string_view name, const Root& root)>& visit) {
  std::vector<std::string> names;
  STRATA_TRY(bucket_->List(waiting, std::string(kRootsFolder), [&](std::string_view key) {
    const std::string_view name = key.substr(kRootsFolder.size() + 1);
    if (CheckNodeName(name)) names.emplace_back(name);
    return true;
  }));
  for (const std::string& name : names) {
    STRATA_ASSIGN(const auto root, Get(waiting, name));
    if (!root) continue;  // removed meanwhile
    if (!visit(name, *root)) break;
  }
  return {};
}

Result<void> ObjectRoots::Set(std::string_view name, const Root& root) {
  STRATA_TRY(CheckNodeName(name));
  STRATA_TRY(bucket_->Replace(RootKey(name), ObjectRank::kRoot, EncodeRoot(root)));
  return bucket_->Sync();
}

Result<void> ObjectRoots::Remove(std::string_view name) {
  STRATA_TRY(CheckNodeName(name));
  STRATA_ASSIGN(const bool there, bucket_->Remove(RootKey(name)));
  if (!there) return Fail(Errc::kNotFound, "there is no name " + std::string(name) + " in " + bucket_->Describe());
  return {};
}

}  // namespace strata::store
