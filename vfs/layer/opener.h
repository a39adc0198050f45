// Opening what a LayerSpec names: the one place for all kinds of layers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/hash.h"
#include "base/status.h"
#include "vfs/layer.h"
#include "vfs/layer/spec.h"

namespace strata::vfs {

// What a spec was found to name when it was opened, where it may name something else another time: of castore the
// digest of the root. A workspace keeps it, and is not laid over anything else unasked.
struct Resolution {
  std::string kind{};   // "digest"; "" where there is nothing to keep: a folder of the host is whatever lies there
  std::string value{};  // in printable ASCII
  bool empty() const { return kind.empty(); }
  // "digest 8b5b...", "nothing".
  std::string Text() const { return empty() ? "nothing" : kind + " " + value; }
  friend bool operator==(const Resolution&, const Resolution&) = default;
};

struct OpenedLayer {
  std::unique_ptr<Layer> layer;
  Resolution resolution{};
};

// What one layer may take and show.
struct LayerOptions {
  std::string hidden{};                           // a folder of the host that it is not to show, "" for none
  std::size_t memory = 0;                         // bytes for what it remembers
  std::size_t layers = 1;                         // how many divide the descriptors that may stay open
  std::int64_t recheck_after_ns = 1'000'000'000;  // HostLayerOptions
  // Of castore:
  bool show_xattr = true;   // digests as extended attributes (CA-63)
  bool list_roots = false;  // a store's names can be listed where all of them are served (CA-58)
  // What is equal shows one inode number, made with this key (CastoreOptions).
  std::optional<SipHashKey> share_key{};
  std::string home{};  // where what must be the same each time is kept; "" for nowhere
  bool hold = false;   // it is held against the store's garbage collection while it is open (CA-67)
};

// How each kind is opened. Programs that embed Strata, and tests, may bring openers of their own.
//
// An opener pays no regard to LayerSpec::at. Where ids are computed from the tree, as in castore, the generations of
// its nodes must be made of the resolution too: then a handle into what a spec named before is stale, and leads to
// nothing else.
class LayerOpeners {
 public:
  using Opener = std::function<Result<OpenedLayer>(const LayerSpec& spec, const LayerOptions& options)>;

  // Those that Strata has.
  LayerOpeners();
  static const LayerOpeners& Default();
  void Set(LayerKind kind, Opener opener);

  // The layer that `spec` names, lying where it says (`at`). Failures name the layer. kNotFound, kNotDirectory, kAccess
  // where it cannot be opened; kNotSupported for a kind without an opener.
  Result<OpenedLayer> Open(const LayerSpec& spec, const LayerOptions& options) const;

 private:
  std::map<LayerKind, Opener> openers_;
};

}  // namespace strata::vfs
