#include "vfs/layer/castore/opening.h"

#include <algorithm>
#include <utility>

#include "base/env.h"
#include "base/log.h"
#include "store/open.h"
#include "vfs/layer/castore/castore_layer.h"
#include "vfs/layer/castore/roots_layer.h"

namespace strata::vfs {
namespace {

// A store's caches do nothing with less.
constexpr std::size_t kLeastMemory = 4 << 20;
// Of a store's memory, what is brought there before it is asked for. Its cache of chunks is three times as large and
// more (store/pack/engine.cc, store/open.cc).
constexpr std::size_t kAheadPart = 8;

// The store's address; a path alone is that of a store of packs.
Result<store::StoreAddress> AddressOf(const LayerSpec& spec) {
  if (!spec.store.starts_with('/')) return store::ParseStoreAddress(spec.store);
  store::StoreAddress address;
  address.path = spec.store;
  return address;
}

// The node that the spec's root names: of a digest, a directory whose size is yet to be found out.
Result<store::Root> FindRoot(const store::Store& store, const std::string& text) {
  if (auto digest = store::Digest::Parse(text)) {
    store::Root root;
    root.node.kind = store::NodeKind::kDirectory;
    root.node.digest = *digest;
    return root;
  }
  STRATA_ASSIGN(std::optional<store::Root> root, store.roots->Get({}, text));
  if (!root) {
    return Fail(Errc::kNotFound, "the store " + store.Describe() + " has no tree of the name " + text +
                                     "; strata store ls shows those that it has");
  }
  return *std::move(root);
}

// A store that cannot be written gives no lease; then its names alone keep what is served.
std::shared_ptr<const void> Hold(const LayerSpec& spec, const store::Store& store, const store::Root& root) {
  const std::string text = FormatLayerSpec(spec);
  auto held = store::HoldTree(Env::System(), store.Describe(), root, "serving " + text);
  if (held) return std::move(*held);
  log::Warning("castore_not_held", {{"layer", text},
                                    {"error", held.error()},
                                    {"meaning", "a garbage collection of the store keeps only what a name leads to"}});
  return nullptr;
}

Result<OpenedLayer> OpenAllRoots(const store::Store& store, CastoreOptions trees, const LayerOptions& options) {
  RootsOptions roots;
  roots.trees = std::move(trees);
  roots.home = options.home;
  roots.list_roots = options.list_roots;
  roots.recheck_after_ns = options.recheck_after_ns;
  OpenedLayer opened;
  STRATA_ASSIGN(opened.layer, OpenRootsLayer(Env::System(), store.blobs, store.directories, store.roots, roots));
  return opened;
}

}  // namespace

Result<OpenedLayer> OpenCastore(const LayerSpec& spec, const LayerOptions& options) {
  const std::size_t memory = std::max(options.memory, kLeastMemory);
  STRATA_ASSIGN(const store::StoreAddress address, AddressOf(spec));
  STRATA_ASSIGN(const store::Store store,
                store::OpenStore(Env::System(), address,
                                 {.memory_bytes = memory / 3 * 2, .read_only = true, .spill_folder = options.home}));
  CastoreOptions castore;
  castore.description = FormatLayerSpec(spec);
  castore.memory_bytes = memory / 3;
  castore.show_xattr = options.show_xattr;
  castore.share_key = options.share_key;
  castore.ahead.bytes = memory / 2 / kAheadPart;
  if (spec.root.empty()) return OpenAllRoots(store, std::move(castore), options);
  STRATA_ASSIGN(const store::Root root, FindRoot(store, spec.root));
  if (options.hold) castore.hold = Hold(spec, store, root);
  OpenedLayer opened;
  STRATA_ASSIGN(opened.layer, OpenCastoreLayer(store.blobs, store.directories, root.node, root.attributes, castore));
  opened.resolution = {.kind = "digest", .value = root.node.digest.Hex()};
  if (root.attributes) opened.resolution.value += '+' + root.attributes->Hex();
  return opened;
}

}  // namespace strata::vfs
