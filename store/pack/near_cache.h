// NearCache: a pack store that keeps copies of what a far store has, and no more than it may (NearBlobs, PutBefore).
//
// - What is over the bound goes pack by pack, the one that was made first before all others. A chunk that is read from
//   a pack that is soon to go is appended anew, so what is in use stays. No record is removed by itself, and no index
//   is written for it: who does not find a pack any more does not find what was in it, and asks the far store.
// - Nobody who reads waits for the disk to sync. One thread looks after the bound, and makes the indexes; while it is
//   behind, what comes is not kept.
// - Nothing is promised to be durable. What a crash leaves is what the packs' format makes of it
// (docs/formats/pack.md).
// - Directories are not dropped while anybody has the store open: whoever has a directory relies on those beneath it.
//   They take half of the bound at most, beyond which no more are taken. Who opens the store alone, and finds so many,
//   drops them all.
// - It takes no leases and has no names: the file `near` in its folder says so, and keeps out who would put what is to
//   stay. Whoever has the store open has a shared lock on that file.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/env.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "store/castore/directory_service.h"
#include "store/pack/format.h"
#include "store/pack/pack_store.h"

namespace strata::store {

// The least that a near store is bounded to. What is larger than a pack of it, which is a 32nd of the bound when the
// store is made, is not kept: below 16 MiB that is of matter for chunks of the usual size.
inline constexpr std::uint64_t kLeastNearBytes = 1 << 20;

struct NearCacheOptions {
  // Of all files that hold records or say where they are. It may be exceeded by a pack for each process.
  std::uint64_t bytes = 0;
  // As PackStoreOptions has it.
  std::uint64_t memory_bytes = 64 << 20;
};

// Whether the folder of a pack store is that of a near store, whose content is dropped at any time.
Result<bool> IsNearCache(Env& env, const std::string& path);

// Thread-safe, and many processes may use one at once. The services that it gives keep it alive.
class NearCache : public std::enable_shared_from_this<NearCache> {
 public:
  // Made where there is none, folders above it included. kInvalid for a bound of less than kLeastNearBytes; kNotEmpty
  // where the folder holds something else, such as a store that was not made to be a near one. `env` must outlive it.
  static Result<std::shared_ptr<NearCache>> Open(Env& env, const std::string& path, const NearCacheOptions& options);
  ~NearCache();

  // Blobs are taken in one piece, and a Put that succeeds may have kept nothing. What Has and Open say is here may be
  // gone when it is read: kNotFound.
  std::shared_ptr<BlobService> blobs();
  // A Put that keeps nothing fails with kNoSpace.
  std::shared_ptr<DirectoryService> directories();

  // Brings the store to its bound now, as far as others do not hold its packs. The store does so by itself.
  Result<void> Tidy() STRATA_EXCLUDES(tidy_mutex_, mutex_);

 private:
  class Blobs;
  class Directories;
  using PackSet = absl::flat_hash_set<pack::PackId>;

  struct PackState {
    std::int64_t created_ns = 0;
    pack::PackId id;
    std::uint64_t bytes = 0;
  };
  // What lies in the folder.
  struct Measured {
    std::uint64_t bytes = 0, directory_bytes = 0;
    std::vector<PackState> data;  // the packs of chunks, the first made first
    std::vector<pack::PackId> directories;
    PackSet packs;
  };

  NearCache(Env& env, std::string path, std::uint64_t bytes, std::shared_ptr<PackStore> store);
  Result<void> Begin();
  Result<void> CheckOurs();
  Result<void> DropDirectoriesIfAlone();

  // Appends a record; false: there is no room for it.
  Result<bool> Take(pack::RecordKind kind, const Digest& digest, ByteSpan content) STRATA_EXCLUDES(mutex_);
  // Counts the bytes of a record that is about to be appended; false: it is not to be.
  bool Reserve(pack::RecordKind kind, std::uint64_t bytes) STRATA_EXCLUDES(mutex_);
  // Whether all that has the record soon goes.
  bool GoesSoon(pack::RecordKind kind, const Digest& digest) STRATA_EXCLUDES(mutex_);

  Result<Measured> Measure() STRATA_REQUIRES(tidy_mutex_);
  // Removes packs from the beginning on until no more than the bound is left; whether one went.
  Result<bool> Evict(Measured& measured) STRATA_REQUIRES(tidy_mutex_);
  // False: somebody appends to it, or has what no index has yet.
  Result<bool> RemovePack(pack::PackId id);
  void Keep() STRATA_EXCLUDES(mutex_);

  Env& env_;
  const std::string path_;
  const std::uint64_t bytes_;
  const std::shared_ptr<PackStore> store_;
  pack::Engine& engine_;
  const std::uint64_t pack_bytes_;
  std::unique_ptr<File> lock_;
  std::unique_ptr<Blobs> blobs_;
  std::unique_ptr<Directories> directories_;

  Mutex tidy_mutex_;  // before mutex_; held over syncs

  Mutex mutex_;
  CondVar wakes_;
  bool stop_ STRATA_GUARDED_BY(mutex_) = false;
  bool wanted_ STRATA_GUARDED_BY(mutex_) = false;
  std::uint64_t measured_ STRATA_GUARDED_BY(mutex_) = 0;              // bytes in the folder, when it was looked last
  std::uint64_t measured_directories_ STRATA_GUARDED_BY(mutex_) = 0;  // those of directories
  std::uint64_t put_ STRATA_GUARDED_BY(mutex_) = 0;                   // bytes since
  std::uint64_t put_directories_ STRATA_GUARDED_BY(mutex_) = 0;
  std::uint64_t unindexed_ STRATA_GUARDED_BY(mutex_) = 0;         // bytes that were put and no index was asked for yet
  std::shared_ptr<const PackSet> old_ STRATA_GUARDED_BY(mutex_);  // packs that soon go
  log::RateLimit complaints_;
  std::thread keeper_;
};

}  // namespace strata::store
