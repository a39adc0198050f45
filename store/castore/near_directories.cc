#include "store/castore/near_directories.h"

#include "store/objects/object_directories.h"

namespace strata::store {

Result<std::optional<Directory>> NearDirectories::Get(const Waiting& waiting, const Digest& digest) {
  auto near = near_->Get(waiting, digest);
  if (near ? near->has_value() : (role_ == NearRole::kCombined || near.error().code() == Errc::kWouldBlock))
    return near;
  // A copy that cannot be read is had from where it came.
  if (!near) Complain("get the directory " + digest.Text(), near.error());
  if (role_ == NearRole::kCombined) return far_->Get(waiting, digest);
  STRATA_ASSIGN(auto far, far_->Get(waiting, digest));
  if (!far || near_refuses_.load(std::memory_order_relaxed)) return far;
  const auto copied = copies_.Do(waiting, digest, [&] { return CopyTree(waiting, digest); });
  if (copied) return far;
  if (copied.error().code() == Errc::kWouldBlock) return Fail(copied.error());
  Complain("copy the tree " + digest.Text() + ", and any other from now on", copied.error());
  near_refuses_.store(true, std::memory_order_relaxed);
  return far;
}

void NearDirectories::Complain(std::string_view doing, const Status& why) {
  if (!complaints_.Allow()) return;
  log::Warning("near_store_passed_over",
               {{"near", near_->Describe()},
                {"doing", doing},
                {"error", why},
                {"hint", "the far store is asked instead; the error says what to look after"}});
}

Result<void> NearDirectories::CopyTree(const Waiting& waiting, const Digest& root) {
  STRATA_ASSIGN(const auto there, near_->Get(waiting, root));
  if (there) return {};
  STRATA_ASSIGN(const auto putter, near_->PutMany());
  Result<void> put;
  STRATA_TRY(VisitLeavesToRoot(*far_, waiting, root, [&](const Directory& directory) {
    put = putter->Put(directory);
    return put.has_value();
  }));
  STRATA_TRY(put);
  STRATA_TRY(putter->Close());
  return {};
}

Result<void> NearDirectories::Sync() {
  const auto synced = near_->Sync();
  if (role_ == NearRole::kCombined) return synced;
  if (!synced) Complain("make durable what was kept", synced.error());
  return far_->Sync();
}

std::shared_ptr<DirectoryService> PutBefore(std::shared_ptr<DirectoryService> near,
                                            std::shared_ptr<DirectoryService> far, NearRole role) {
  if (role == NearRole::kCache) {
    if (const auto objects = std::dynamic_pointer_cast<ObjectDirectories>(far)) return objects->WithNear(near);
  }
  return std::make_shared<NearDirectories>(std::move(near), std::move(far), role);
}

}  // namespace strata::store
