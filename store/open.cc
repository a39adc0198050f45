#include "store/open.h"

#include <map>
#include <utility>

#include "store/blobs/combined.h"
#include "store/blobs/memory.h"
#include "store/blobs/near.h"
#include "store/castore/combined_roots.h"
#include "store/castore/memory_directories.h"
#include "store/castore/near_directories.h"
#include "store/castore/simple_roots.h"
#include "store/composition.h"
#include "store/kept_lease.h"
#include "store/leases.h"
#include "store/objects/folder_bucket.h"
#include "store/objects/memory_bucket.h"
#include "store/objects/object_blobs.h"
#include "store/objects/object_directories.h"
#include "store/objects/object_roots.h"
#include "store/pack/layout.h"
#include "store/pack/near_cache.h"
#include "store/pack/pack_store.h"

namespace strata::store {
namespace {

Result<Store> OpenObjects(Env& env, const StoreAddress& address, const StoreOptions& options,
                          std::shared_ptr<ObjectBucket> bucket) {
  const ChunkSizes sizes = address.avg_chunk_size ? ChunkSizes::OfAverage(*address.avg_chunk_size) : ChunkSizes();
  Store store;
  // Half for each.
  STRATA_ASSIGN(store.blobs, ObjectBlobs::Make(bucket, sizes, options.memory_bytes / 2));
  store.directories = std::make_shared<ObjectDirectories>(
      env, bucket, SpillOptions{.folder = options.spill_folder, .memory_bytes = options.memory_bytes / 2});
  store.roots = std::make_shared<ObjectRoots>(bucket);
  store.bucket = std::move(bucket);
  return store;
}

Result<Store> OpenNearPack(Env& env, const StoreAddress& address, const StoreOptions& options) {
  Store store;
  STRATA_ASSIGN(const auto cache, NearCache::Open(env, address.path,
                                                  {.bytes = options.near_bytes, .memory_bytes = options.memory_bytes}));
  store.blobs = cache->blobs();
  store.directories = cache->directories();
  store.roots = std::make_shared<NoRoots>(FormatStoreAddress(address));
  return store;
}

Result<Store> OpenPack(Env& env, const StoreAddress& address, const StoreOptions& options) {
  std::string path = address.path;
  if (path.empty()) {
    STRATA_ASSIGN(path, DefaultPackStorePath());
  }
  if (!options.read_only) {
    STRATA_ASSIGN(const bool is_near, IsNearCache(env, path));
    if (is_near) {
      return Fail(Errc::kInvalid,
                  "pack:" + path +
                      " is a near store, which drops what is old and looks after itself; put what is to "
                      "stay into another, and give this one a size where it stands before a far store");
    }
  }
  PackStoreOptions pack_options;
  pack_options.read_only = options.read_only;
  pack_options.create = options.create;
  pack_options.memory_bytes = options.memory_bytes;
  Store store;
  STRATA_ASSIGN(store.pack, PackStore::Open(env, path, pack_options));
  store.blobs = store.pack->blobs();
  store.directories = store.pack->directories();
  store.roots = store.pack->roots();
  return store;
}

Result<Store> OpenMemory() {
  Store store;
  store.blobs = std::make_shared<MemoryBlobService>();
  store.directories = std::make_shared<MemoryDirectoryService>();
  store.roots = std::make_shared<MemoryRootNodes>();
  return store;
}

// Puts a store together from what a composition file says.
class Composer {
 public:
  Composer(Env& env, const StoreAddress& address, const StoreOptions& options)
      : env_(env), address_(address), options_(options) {}

  Result<Store> Compose() {
    auto text = ReadWholeFile(env_, address_.path, kMaxCompositionBytes);
    if (!text) return Fail(text.error().WithContext("open the store " + FormatStoreAddress(address_)));
    STRATA_ASSIGN(composition_, ParseComposition(*text, address_.path));
    for (const auto* instances : {&composition_.blobs, &composition_.directories}) {
      const auto found = instances->find(address_.instance);
      if (found == instances->end() || found->second.near_bytes == 0) continue;
      return Fail(Errc::kInvalid,
                  "the composition file " + address_.path + ": \"" + address_.instance +
                      "\" has a size, beyond which it drops what is old; name a cache in which it is near");
    }
    Store store;
    STRATA_ASSIGN(store.blobs, Blobs(address_.instance));
    STRATA_ASSIGN(store.directories, Directories(address_.instance));
    if (composition_.roots.contains(address_.instance)) {
      STRATA_ASSIGN(store.roots, Roots(address_.instance));
    } else {
      store.roots = std::make_shared<NoRoots>(FormatStoreAddress(address_));
    }
    auto pack = TakerOf(composition_.blobs, address_.instance);
    if (pack == TakerOf(composition_.directories, address_.instance)) store.pack = std::move(pack);
    return store;
  }

 private:
  using Kind = CompositionInstance::Kind;
  enum class Use : std::uint8_t {
    kItself,
    kForCopies,  // near, in a cache
  };

  static bool CannotBeWritten(const Status& status) {
    return status.code() == Errc::kReadOnly || status.code() == Errc::kAccess || status.code() == Errc::kPermission;
  }

  Result<const CompositionInstance*> Find(const Composition::Instances& instances, const char* family,
                                          const std::string& name) const {
    const auto found = instances.find(name);
    if (found != instances.end()) return &found->second;
    return Fail(Errc::kNotFound, "the composition file " + address_.path + " has no instance \"" + name +
                                     "\" among its " + family +
                                     "; a store needs one among blobs and one among directories");
  }

  // The store at an address, opened once for all instances that name it; each in memory is one of its own.
  Result<Store> At(const CompositionInstance& instance, Use use = Use::kItself) {
    const StoreAddress& address = instance.address;
    StoreOptions options = options_;
    options.near_bytes = instance.near_bytes;
    // Copies are no change of what the store is for.
    options.read_only = options.read_only && use == Use::kItself;
    const std::pair key(FormatStoreAddress(address), options.read_only);
    if (const auto known = opened_.find(key); known != opened_.end()) return known->second;
    auto store = OpenStore(env_, address, options);
    if (!store && options_.read_only && !options.read_only && CannotBeWritten(store.error())) {
      options.read_only = true;
      store = OpenStore(env_, address, options);
    }
    if (!store) return Fail(store.error().WithContext("the composition file " + address_.path));
    if (address.kind != StoreKind::kMemory && address.kind != StoreKind::kObjectsInMemory) opened_[key] = *store;
    return store;
  }

  // The pack store that takes what is put; null where that is none. All that `name` leads to is open.
  std::shared_ptr<PackStore> TakerOf(const Composition::Instances& instances, std::string_view name) const {
    const auto found = instances.find(name);
    if (found == instances.end()) return nullptr;
    const CompositionInstance& instance = found->second;
    if (instance.kind == Kind::kCombined) return TakerOf(instances, instance.near);
    if (instance.kind == Kind::kCache) return TakerOf(instances, instance.far);
    const auto opened = opened_.find({FormatStoreAddress(instance.address), options_.read_only});
    return opened == opened_.end() ? nullptr : opened->second.pack;
  }

  static Use UseOfNear(const CompositionInstance& instance) {
    return instance.kind == Kind::kCache ? Use::kForCopies : Use::kItself;
  }

  // Instances do not lead back to themselves, and are not deep: ParseComposition has seen to that.
  Result<std::shared_ptr<BlobService>> Blobs(const std::string& name, Use use = Use::kItself) {
    STRATA_ASSIGN(const auto* instance, Find(composition_.blobs, "blobs", name));
    if (instance->kind == Kind::kStore) {
      STRATA_ASSIGN(Store store, At(*instance, use));
      return store.blobs;
    }
    STRATA_ASSIGN(auto near, Blobs(instance->near, UseOfNear(*instance)));
    STRATA_ASSIGN(auto far, Blobs(instance->far));
    if (instance->kind == Kind::kCombined) return Combine(std::move(near), std::move(far));
    return NearBlobs::Make(std::move(near), std::move(far));
  }

  Result<std::shared_ptr<DirectoryService>> Directories(const std::string& name, Use use = Use::kItself) {
    STRATA_ASSIGN(const auto* instance, Find(composition_.directories, "directories", name));
    if (instance->kind == Kind::kStore) {
      STRATA_ASSIGN(Store store, At(*instance, use));
      return store.directories;
    }
    STRATA_ASSIGN(auto near, Directories(instance->near, UseOfNear(*instance)));
    STRATA_ASSIGN(auto far, Directories(instance->far));
    return PutBefore(std::move(near), std::move(far),
                     instance->kind == Kind::kCache ? NearRole::kCache : NearRole::kCombined);
  }

  Result<std::shared_ptr<RootNodes>> Roots(const std::string& name) {
    STRATA_ASSIGN(const auto* instance, Find(composition_.roots, "roots", name));
    if (instance->kind == Kind::kStore) {
      STRATA_ASSIGN(Store store, At(*instance));
      return store.roots;
    }
    STRATA_ASSIGN(auto near, Roots(instance->near));
    STRATA_ASSIGN(auto far, Roots(instance->far));
    return std::make_shared<CombinedRoots>(std::move(near), std::move(far));
  }

  Env& env_;
  const StoreAddress& address_;
  const StoreOptions& options_;
  Composition composition_;
  std::map<std::pair<std::string, bool>, Store> opened_;  // by address, and whether it is only read
};

Result<Store> OpenByKind(Env& env, const StoreAddress& address, const StoreOptions& options) {
  if (options.near_bytes > 0 && (address.kind != StoreKind::kPack || address.path.empty())) {
    return Fail(Errc::kInvalid, "the near store " + FormatStoreAddress(address) +
                                    ": only a pack store with a path can have a bound (pack:/PATH)");
  }
  switch (address.kind) {
    case StoreKind::kPack:
      return options.near_bytes > 0 ? OpenNearPack(env, address, options) : OpenPack(env, address, options);
    case StoreKind::kMemory:
      return OpenMemory();
    case StoreKind::kObjectsInMemory:
      return OpenObjects(env, address, options, std::make_shared<MemoryBucket>());
    case StoreKind::kObjectsInFolder: {
      STRATA_ASSIGN(auto bucket,
                    FolderBucket::Open(env, address.path, {.create = options.create, .read_only = options.read_only}));
      return OpenObjects(env, address, options, std::move(bucket));
    }
    case StoreKind::kObjectsFar:
    case StoreKind::kGrpc:
      return Fail(Errc::kNotSupported,
                  "open the store " + FormatStoreAddress(address) +
                      ": far stores come later; use pack:/PATH or objectstore+file:///PATH, on a file system that "
                      "reaches it where there is one");
    case StoreKind::kComposition:
      return Composer(env, address, options).Compose();
  }
  return Fail(Errc::kServerFault, "open the store " + FormatStoreAddress(address) + ": its kind has no code");
}

}  // namespace

Result<void> Store::Sync() const {
  STRATA_TRY(blobs->Sync());
  return directories->Sync();
}

Store PutNear(const Store& near, const Store& far) {
  Store both = far;
  both.blobs = NearBlobs::Make(near.blobs, far.blobs);
  both.directories = PutBefore(near.directories, far.directories, NearRole::kCache);
  return both;
}

Result<Store> OpenStore(Env& env, const StoreAddress& address, const StoreOptions& options) {
  STRATA_ASSIGN(Store store, OpenByKind(env, address, options));
  store.sizes = options.sizes;
  store.address = FormatStoreAddress(address);
  return store;
}

Result<Store> OpenStore(Env& env, std::string_view address, const StoreOptions& options) {
  STRATA_ASSIGN(const StoreAddress parsed, ParseStoreAddress(address, options.base_folder));
  return OpenStore(env, parsed, options);
}

Result<std::shared_ptr<const void>> HoldTree(Env& env, std::string_view address, const Root& root,
                                             const std::string& holder) {
  STRATA_ASSIGN(const StoreAddress parsed, ParseStoreAddress(address));
  if (parsed.kind != StoreKind::kPack) return nullptr;
  LeaseOptions lease;
  lease.holder = holder;
  const bool directory = root.node.kind == NodeKind::kDirectory;
  lease.items.push_back({directory ? LeaseItem::Kind::kDirectory : LeaseItem::Kind::kBlob, root.node.digest});
  if (root.attributes) lease.items.push_back({LeaseItem::Kind::kBlob, *root.attributes});
  STRATA_ASSIGN(auto taken, Lease::Take(env, pack::Layout{parsed.path}.leases(), lease));
  // It needs that tree and nothing else: what is put while it lasts, perhaps for months, may go.
  STRATA_TRY(taken->Renew(Time{INT64_MAX}));
  return std::make_shared<const KeptLease>(std::move(taken));
}

}  // namespace strata::store
