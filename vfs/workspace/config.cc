// workspace.json: what a workspace folder says of itself.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {
namespace {

constexpr int kFormatVersion = 1;
constexpr std::size_t kMaxConfigBytes = 1 << 20;

std::string Hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::uint64_t FromHex(const nlohmann::json& value) {
  const auto& text = value.get_ref<const std::string&>();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc() || end != text.data() + text.size()) throw std::invalid_argument("not a hexadecimal number");
  return number;
}

// A turned bit in the name key would hide every name, and one in the handle key make every handle stale.
std::uint32_t KeysCheck(const WorkspaceConfig& config) {
  std::array<std::byte, 40> bytes;
  StoreLe(bytes.data(), config.volume_id);
  for (std::size_t i = 0; i < 2; ++i) {
    StoreLe(&bytes[8 + 8 * i], config.handle_key[i]);
    StoreLe(&bytes[24 + 8 * i], config.name_key[i]);
  }
  return Crc32c(bytes);
}

// Numbers of JSON may be larger than any integer of ours, or have fractions.
std::int64_t VersionFrom(const nlohmann::json& value) {
  if (!value.is_number_unsigned()) throw std::invalid_argument("the version is not a whole number");
  return static_cast<std::int64_t>(
      std::min<std::uint64_t>(value.get<std::uint64_t>(), std::numeric_limits<std::int64_t>::max()));
}

nlohmann::json MarkersToJson(const MarkerStyles& markers) {
  nlohmann::json list = nlohmann::json::array();
  if (markers.files) list.push_back("files");
  if (markers.chardev) list.push_back("chardev");
  if (markers.xattr) list.push_back("xattr");
  return list;
}

MarkerStyles MarkersFromJson(const nlohmann::json& list) {
  MarkerStyles markers;
  for (const std::string style : list) {
    if (style == "files") markers.files = true;
    if (style == "chardev") markers.chardev = true;
    if (style == "xattr") markers.xattr = true;
    if (style != "files" && style != "chardev" && style != "xattr")
      throw std::invalid_argument("no such markers: " + style);
  }
  return markers;
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
  json["volume_id"] = Hex(config.volume_id);
  json["handle_key"] = {Hex(config.handle_key[0]), Hex(config.handle_key[1])};
  json["name_key"] = {Hex(config.name_key[0]), Hex(config.name_key[1])};
  json["keys_check"] = Hex(KeysCheck(config)).substr(8);
  json["layers"] = nlohmann::json::array();
  for (const LayerSpec& layer : config.layers) {
    json["layers"].push_back({{"path", layer.path}, {"markers", MarkersToJson(layer.markers)}});
  }
  try {
    return json.dump(2) + "\n";
  } catch (const nlohmann::json::exception&) {
    return Fail(Errc::kInvalid, "a layer's path is not valid UTF-8; give it by a symbolic link with a plain name");
  }
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
    const std::int64_t version = VersionFrom(json.at("version"));
    if (version > kFormatVersion) {
      return Fail(Errc::kNotSupported, file + " was made by a newer version of strata; use that one");
    }
    if (version != kFormatVersion) throw std::invalid_argument("there is no version " + std::to_string(version));
    WorkspaceConfig config;
    config.volume_id = FromHex(json.at("volume_id"));
    config.handle_key = {FromHex(json.at("handle_key").at(0)), FromHex(json.at("handle_key").at(1))};
    config.name_key = {FromHex(json.at("name_key").at(0)), FromHex(json.at("name_key").at(1))};
    if (FromHex(json.at("keys_check")) != KeysCheck(config)) throw std::invalid_argument("its keys do not check");
    for (const nlohmann::json& layer : json.at("layers")) {
      config.layers.push_back({layer.at("path").get<std::string>(), MarkersFromJson(layer.at("markers"))});
    }
    if (config.layers.size() > kMaxLayers) throw std::invalid_argument("too many layers");
    return config;
  } catch (const std::exception& error) {
    return Fail(Errc::kCorrupt, file + " does not parse (" + error.what() + "); restore it from a backup");
  }
}

}  // namespace strata::vfs
