// workspace.json: what a workspace folder says of itself.
#include <algorithm>
#include <string>
#include <utility>

#include "base/hash.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/volume_keys_json.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {
namespace {

constexpr int kFormatVersion = 2;
constexpr std::size_t kMaxConfigBytes = 1 << 20;
// Of one resolution.
constexpr std::size_t kMaxResolutionBytes = 1024;

bool IsPrintable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7f; });
}

// What is wrong with a layer that a workspace is to lie over, in words; "" for nothing.
std::string FaultOf(const WorkspaceLayer& layer) {
  const LayerSpec& spec = layer.spec;
  const auto again = ParseLayerSpec(FormatLayerSpec(spec));
  if (!again) return std::string(again.error().message());
  if (*again != spec) return FormatLayerSpec(spec) + " is not what its spec says";
  if (spec.kind == LayerKind::kHost && !spec.path.starts_with('/')) return spec.path + " is not an absolute path";
  const Resolution& resolution = layer.resolution;
  if (resolution.kind.size() + resolution.value.size() > kMaxResolutionBytes || !IsPrintable(resolution.kind) ||
      !IsPrintable(resolution.value) || (resolution.empty() && !resolution.value.empty())) {
    return FormatLayerSpec(spec) + " was resolved to what cannot be kept";
  }
  return {};
}

// A turned bit in a layer's spec could show other files, or the same at another place.
class LayersCheck {
 public:
  void Add(std::string_view spec, const Resolution& resolution) {
    const std::string lines = std::string(spec) + '\n' + resolution.kind + '=' + resolution.value + '\n';
    check_ = Crc32c(AsBytes(lines), check_);
  }
  std::uint32_t value() const { return check_; }

 private:
  std::uint32_t check_ = 0;
};

// Version 1 had folders of the host alone.
WorkspaceLayer LayerOfVersion1(const nlohmann::json& json) {
  WorkspaceLayer layer;
  layer.spec.path = json.at("path").get<std::string>();
  layer.spec.markers = {};
  for (const std::string style : json.at("markers")) {
    const auto markers = ParseMarkers(style);
    if (!markers || style.find('+') != std::string::npos || style == "none")
      throw std::invalid_argument("no such markers: " + style);
    layer.spec.markers.files |= markers->files;
    layer.spec.markers.chardev |= markers->chardev;
    layer.spec.markers.xattr |= markers->xattr;
  }
  return layer;
}

WorkspaceLayer LayerIn(const nlohmann::json& json, LayersCheck& check) {
  WorkspaceLayer layer;
  const auto& text = json.at("spec").get_ref<const std::string&>();
  auto spec = ParseLayerSpec(text);
  if (!spec) throw std::invalid_argument(std::string(spec.error().message()));
  layer.spec = std::move(*spec);
  if (const auto resolved = json.find("resolved"); resolved != json.end()) {
    layer.resolution = {.kind = resolved->at("kind").get<std::string>(),
                        .value = resolved->at("value").get<std::string>()};
    if (layer.resolution.empty()) throw std::invalid_argument("a layer was resolved to nothing");
  }
  check.Add(text, layer.resolution);
  return layer;
}

}  // namespace

bool IsWorkspace(Env& env, const std::string& path) {
  auto file = env.Open(WorkspaceConfigPath(path), OpenMode::kRead);
  return file.has_value();
}

Result<std::string> FormatWorkspaceConfig(const WorkspaceConfig& config) {
  nlohmann::json json;
  json["format"] = "strata workspace";
  json["version"] = kFormatVersion;
  AddKeys(json, config);
  json["layers"] = nlohmann::json::array();
  LayersCheck check;
  for (const WorkspaceLayer& layer : config.layers) {
    if (const std::string fault = FaultOf(layer); !fault.empty()) return Fail(Errc::kInvalid, fault);
    const std::string spec = FormatLayerSpec(layer.spec);
    nlohmann::json item = {{"spec", spec}};
    const Resolution& resolution = layer.resolution;
    if (!resolution.empty()) item["resolved"] = {{"kind", resolution.kind}, {"value", resolution.value}};
    json["layers"].push_back(std::move(item));
    check.Add(spec, resolution);
  }
  json["layers_check"] = Hex32(check.value());
  std::string text = json.dump(2) + "\n";
  if (text.size() > kMaxConfigBytes)
    return Fail(Errc::kInvalid, "the layers' specs take more than 1 MiB; give shorter ones");
  return text;
}

Result<WorkspaceConfig> LoadWorkspaceConfig(Env& env, const std::string& path) {
  auto text = ReadWholeFile(env, WorkspaceConfigPath(path), kMaxConfigBytes);
  if (!text) {
    if (text.error().code() == Errc::kNotFound) {
      return Fail(Errc::kNotFound, path + " is not a workspace; make one with: strata init " + path);
    }
    return Fail(text.error().WithContext("reading " + WorkspaceConfigPath(path)));
  }
  return ParseWorkspaceConfig(*text, WorkspaceConfigPath(path));
}

Result<WorkspaceConfig> ParseWorkspaceConfig(std::string_view text, const std::string& file) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    if (json.at("format") != "strata workspace") throw std::invalid_argument("not a strata workspace");
    const std::int64_t version = VersionIn(json);
    if (version > kFormatVersion) {
      return Fail(Errc::kNotSupported, file + " was made by a newer version of strata; use that one");
    }
    if (version < 1) throw std::invalid_argument("there is no version " + std::to_string(version));
    WorkspaceConfig config;
    static_cast<VolumeKeys&>(config) = KeysIn(json);
    const nlohmann::json& layers = json.at("layers");
    if (layers.size() > kMaxLayers) throw std::invalid_argument("too many layers");
    LayersCheck check;
    for (const nlohmann::json& layer : layers) {
      config.layers.push_back(version == 1 ? LayerOfVersion1(layer) : LayerIn(layer, check));
      if (const std::string fault = FaultOf(config.layers.back()); !fault.empty()) throw std::invalid_argument(fault);
    }
    // Who changes the layers by hand leaves it out.
    const auto kept = json.find("layers_check");
    if (version > 1 && kept != json.end() && NumberFromHex(*kept) != check.value()) {
      throw std::invalid_argument("its layers do not check; if they were changed by hand, take layers_check out");
    }
    return config;
  } catch (const std::exception& error) {
    return Fail(Errc::kCorrupt, file + " does not parse (" + error.what() + "); restore it from a backup");
  }
}

}  // namespace strata::vfs
