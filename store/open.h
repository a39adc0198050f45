// OpenStore: from an address to what stands there. The one place that knows every kind of store.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "store/address.h"
#include "store/blobs/blob_service.h"
#include "store/castore/directory_service.h"
#include "store/castore/root_nodes.h"

namespace strata::store {

struct StoreOptions {
  // What the store may hold in memory, about: caches, and what is gathered while a tree is read.
  std::uint64_t memory_bytes = 64 << 20;
  // Write nothing to it at all.
  bool read_only = false;
  // Make it where it is missing.
  bool create = false;
  // Not 0: it is a pack store that holds copies of what a far one has, and at most so many bytes (NearCache). It is
  // made where it is missing, and written whatever `read_only` says.
  std::uint64_t near_bytes = 0;
  // Which sizes the trees bear that are written here (CA-70); those that are read may bear either.
  SizeRule sizes = SizeRule::kDocumented;
  // A folder for temporary files, such as that of a volume's home; empty: what would lie there stays in memory.
  std::string spill_folder{};
  // Where relative paths of an address begin; empty: they are refused.
  std::string base_folder{};
};

class ObjectBucket;
class PackStore;

// Never null but for `pack` and `bucket`. All are of the same store, and hold what they need of each other.
struct Store {
  std::shared_ptr<BlobService> blobs{};
  std::shared_ptr<DirectoryService> directories{};
  std::shared_ptr<RootNodes> roots{};
  // Where it is a pack store, or the one of a composition that takes what is put: for PackStore::Work while a tree is
  // put, and for what looks after a store.
  std::shared_ptr<PackStore> pack{};
  // Where it is a store of objects: for what looks after one (store/objects/verify.h).
  std::shared_ptr<ObjectBucket> bucket{};
  SizeRule sizes = SizeRule::kDocumented;
  std::string address{};  // in its one spelling, for messages

  const std::string& Describe() const { return address; }
  // Makes durable what was put so far: chunks, then directories.
  Result<void> Sync() const;
};

// `env` must outlive the store. kNotFound, with what to do, where there is no store; kNotSupported for kinds that come
// later, with what to use instead.
Result<Store> OpenStore(Env& env, const StoreAddress& address, const StoreOptions& options);
Result<Store> OpenStore(Env& env, std::string_view address, const StoreOptions& options);

// `far` with `near` before it: what is read is kept there. Names, and what is put, are the far one's.
Store PutNear(const Store& near, const Store& far);

// A lease on a tree of the store, which no garbage collection frees while the returned thing lives, and for a day
// after that (CA-67). `holder`: for people who look at leases. Null for a kind of store that has none.
Result<std::shared_ptr<const void>> HoldTree(Env& env, std::string_view address, const Root& root,
                                             const std::string& holder);

}  // namespace strata::store
