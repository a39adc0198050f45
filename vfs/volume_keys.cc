#include "vfs/volume_keys.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <span>
#include <stdexcept>

#include "base/bytes.h"
#include "vfs/volume_keys_json.h"

namespace strata::vfs {
namespace {

// A turned bit in the name key would hide every name, and one in the handle key make every handle stale.
std::uint32_t KeysCheck(const VolumeKeys& keys) {
  std::array<std::byte, 40> bytes;
  StoreLe(bytes.data(), keys.volume_id);
  for (std::size_t i = 0; i < 2; ++i) {
    StoreLe(&bytes[8 + 8 * i], keys.handle_key[i]);
    StoreLe(&bytes[24 + 8 * i], keys.name_key[i]);
  }
  return Crc32c(bytes);
}

}  // namespace

VolumeKeys NewVolumeKeys(Env& env) {
  std::array<std::uint64_t, 5> random;
  env.Random(std::as_writable_bytes(std::span(random)));
  return {.volume_id = random[0] | 1, .handle_key = {random[1], random[2]}, .name_key = {random[3], random[4]}};
}

std::string Hex32(std::uint32_t value) { return Hex64(value).substr(8); }

std::string Hex64(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::uint64_t NumberFromHex(const nlohmann::json& value) {
  const auto& text = value.get_ref<const std::string&>();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc() || end != text.data() + text.size()) throw std::invalid_argument("not a hexadecimal number");
  return number;
}

void AddKeys(nlohmann::json& document, const VolumeKeys& keys) {
  document["volume_id"] = Hex64(keys.volume_id);
  document["handle_key"] = {Hex64(keys.handle_key[0]), Hex64(keys.handle_key[1])};
  document["name_key"] = {Hex64(keys.name_key[0]), Hex64(keys.name_key[1])};
  document["keys_check"] = Hex32(KeysCheck(keys));
}

VolumeKeys KeysIn(const nlohmann::json& document) {
  const auto key = [&](const char* name) {
    const nlohmann::json& pair = document.at(name);
    return SipHashKey{NumberFromHex(pair.at(0)), NumberFromHex(pair.at(1))};
  };
  const VolumeKeys keys{.volume_id = NumberFromHex(document.at("volume_id")),
                        .handle_key = key("handle_key"),
                        .name_key = key("name_key")};
  if (NumberFromHex(document.at("keys_check")) != KeysCheck(keys)) throw std::invalid_argument("its keys do not check");
  return keys;
}

std::int64_t VersionIn(const nlohmann::json& document) {
  const nlohmann::json& version = document.at("version");
  if (!version.is_number_unsigned()) throw std::invalid_argument("the version is not a whole number");
  return static_cast<std::int64_t>(
      std::min<std::uint64_t>(version.get<std::uint64_t>(), std::numeric_limits<std::int64_t>::max()));
}

}  // namespace strata::vfs
