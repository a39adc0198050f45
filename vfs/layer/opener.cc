#include "vfs/layer/opener.h"

#include <utility>

#include "vfs/layer/at_layer.h"
#include "vfs/layer/castore/opening.h"
#include "vfs/layer/host_layer.h"

namespace strata::vfs {
namespace {

// Of a place that a host folder's layer remembers: its name and its part of the table.
constexpr std::size_t kPlaceBytes = 130;

Result<OpenedLayer> OpenHost(const LayerSpec& spec, const LayerOptions& options) {
  HostLayerOptions host;
  host.markers = spec.markers;
  host.hidden = options.hidden;
  host.max_cached_nodes = options.memory / 2 / kPlaceBytes;
  host.max_index_bytes = options.memory / 2;
  host.max_open_files = OpenFilesOfEach(options.layers);
  host.recheck_after_ns = options.recheck_after_ns;
  STRATA_ASSIGN(auto layer, OpenHostLayer(spec.path, host));
  return OpenedLayer{std::move(layer), {}};
}

}  // namespace

LayerOpeners::LayerOpeners() : openers_{{LayerKind::kHost, OpenHost}, {LayerKind::kCastore, OpenCastore}} {}

const LayerOpeners& LayerOpeners::Default() {
  static const LayerOpeners openers;
  return openers;
}

void LayerOpeners::Set(LayerKind kind, Opener opener) { openers_[kind] = std::move(opener); }

Result<OpenedLayer> LayerOpeners::Open(const LayerSpec& spec, const LayerOptions& options) const {
  const auto opener = openers_.find(spec.kind);
  auto opened = opener == openers_.end() ? Result<OpenedLayer>(Fail(Errc::kNotSupported, "no opener for this kind"))
                                         : opener->second(spec, options);
  if (!opened) return Fail(opened.error().WithContext("layer " + FormatLayerSpec(spec)));
  auto placed = PlaceLayerAt(std::move(opened->layer), spec.at);
  if (!placed) return Fail(placed.error().WithContext("layer " + FormatLayerSpec(spec)));
  opened->layer = std::move(*placed);
  return opened;
}

}  // namespace strata::vfs
