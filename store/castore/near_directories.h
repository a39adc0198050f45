// A near store of directories before a far one (spec castore CA-32, CA-37).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "store/castore/directory_service.h"
#include "store/single_flight.h"

namespace strata::store {

enum class NearRole : std::uint8_t {
  kCombined,  // the near one has its own; what is put goes there
  kCache,     // the near one holds copies of what the far one has; what is put goes to the far one
};

// As a cache, it has the whole tree beneath a directory that only the far one has copied, children first. So what the
// near one has, it has with all beneath. A near one that cannot take it, or fails, is passed over.
class NearDirectories final : public DirectoryService {
 public:
  NearDirectories(std::shared_ptr<DirectoryService> near, std::shared_ptr<DirectoryService> far, NearRole role)
      : near_(std::move(near)), far_(std::move(far)), role_(role) {}

  Result<std::optional<Directory>> Get(const Waiting& waiting, const Digest& digest) override;
  Result<Digest> Put(const Directory& directory) override { return Taker().Put(directory); }
  Result<std::unique_ptr<DirectoryPutter>> PutMany() override { return Taker().PutMany(); }
  Result<void> Sync() override;
  std::string Describe() const override { return near_->Describe() + " before " + far_->Describe(); }
  std::string WhyMissing() const override { return far_->WhyMissing(); }

 private:
  DirectoryService& Taker() const { return role_ == NearRole::kCache ? *far_ : *near_; }
  // The tree beneath `root`, and that, from the far store.
  Result<void> CopyTree(const Waiting& waiting, const Digest& root);
  // The near store failed at something that the far one does, a few lines a minute.
  void Complain(std::string_view doing, const Status& why);

  const std::shared_ptr<DirectoryService> near_, far_;
  const NearRole role_;
  SingleFlight copies_;
  log::RateLimit complaints_;
  std::atomic<bool> near_refuses_ = false;  // it failed to take a tree: no more are copied
};

// The same, as it is best for the far store: one that has directories in closures gives them to the near one itself.
std::shared_ptr<DirectoryService> PutBefore(std::shared_ptr<DirectoryService> near,
                                            std::shared_ptr<DirectoryService> far, NearRole role);

}  // namespace strata::store
