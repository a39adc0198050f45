// Directories in the layout of object stores (spec castore CA-34, CA-37, CA-69): an object holds the closure of a root,
// and a directory comes only in its root's closure. So the first who asks for a root has the whole closure read, once,
// and checked as it comes (CA-41, CA-42). Its directories go to a near store, or else to temporary files, from where
// they are got by digest. What is put is gathered there too, and written root first at the end.
//
// Memory while a closure is read or put: some 120 bytes for each of its directories (1,000,000: 120 MB); afterwards 17
// to 40, or none where there is a near store.
//
// The near store never fails a read: what it cannot take, or has lost, is read into temporary files, beneath the roots
// that were asked for first. (A directory by itself cannot be had from an object store.)
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/log.h"
#include "base/mutex.h"
#include "store/castore/directory_service.h"
#include "store/objects/bucket.h"
#include "store/objects/directory_spill.h"
#include "store/single_flight.h"

namespace strata::store {

class ObjectDirectories final : public DirectoryService {
 public:
  // `near` may be null. `env` must outlive the service.
  ObjectDirectories(Env& env, std::shared_ptr<ObjectBucket> bucket, SpillOptions spill,
                    std::shared_ptr<DirectoryService> near = nullptr)
      : env_(env),
        spill_options_(spill),
        bucket_(std::move(bucket)),
        near_(std::move(near)),
        spill_(env, std::move(spill)) {}

  // Nothing for a digest that is neither a root here nor beneath one that was got before.
  Result<std::optional<Directory>> Get(const Waiting& waiting, const Digest& digest) override;
  // kInvalid for a directory with directories in it: those come in one object, by PutMany (CA-37).
  Result<Digest> Put(const Directory& directory) override;
  Result<std::unique_ptr<DirectoryPutter>> PutMany() override;
  Result<void> Sync() override { return bucket_->Sync(); }
  std::string Describe() const override { return bucket_->Describe(); }
  std::string WhyMissing() const override {
    return "an object store has directories only together with their tree's root: give the digest of a root";
  }
  // The same store with another near one.
  std::shared_ptr<ObjectDirectories> WithNear(std::shared_ptr<DirectoryService> near) const {
    return std::make_shared<ObjectDirectories>(env_, bucket_, spill_options_, std::move(near));
  }

 private:
  class Putter;

  enum class To : std::uint8_t {
    kNear,   // where it takes them
    kSpill,  // temporary files
  };

  // Of what is at hand. A near store that fails counts as one that has nothing.
  Result<std::optional<Directory>> GetNear(const Waiting& waiting, const Digest& digest);
  // Whether there is such a root; then it is at hand.
  Result<bool> Load(const Waiting& waiting, const Digest& root, To to) STRATA_EXCLUDES(roots_mutex_);
  Result<bool> LoadClosure(const Waiting& waiting, const Digest& root, To to);
  Result<void> FillNear(const Digest& root, SpillStage& stage);
  // What the near store should have beneath one of the roots, and does not.
  Result<std::optional<Directory>> GetLost(const Waiting& waiting, const Digest& digest) STRATA_EXCLUDES(roots_mutex_);
  // Of the first that were asked for: a tree is entered by its root.
  void Remember(const Digest& digest) STRATA_EXCLUDES(roots_mutex_);
  void Complain(std::string_view doing, const Status& why);

  Env& env_;
  const SpillOptions spill_options_;
  const std::shared_ptr<ObjectBucket> bucket_;
  const std::shared_ptr<DirectoryService> near_;
  DirectorySpill spill_;

  SingleFlight loads_;
  struct Asked {
    Digest digest;
    bool spilled = false;  // or it is no root
  };
  Mutex roots_mutex_;
  std::vector<Asked> asked_ STRATA_GUARDED_BY(roots_mutex_);
  log::RateLimit complaints_;
};

}  // namespace strata::store
