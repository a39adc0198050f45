// VolumeKeys as members of a JSON document (docs/formats/workspace.md), for the files that hold them. What reads throws
// std::exception for a document that does not fit, as the library does; the caller knows which file it was.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "vfs/volume_keys.h"

namespace strata::vfs {

// Adds volume_id, handle_key, name_key, and keys_check, by which a turned bit in any of them is noticed.
void AddKeys(nlohmann::json& document, const VolumeKeys& keys);
VolumeKeys KeysIn(const nlohmann::json& document);
// The member "version". Numbers of JSON may be larger than any integer of ours, or have fractions.
std::int64_t VersionIn(const nlohmann::json& document);
// 8 or 16 hexadecimal digits.
std::string Hex32(std::uint32_t value);
std::string Hex64(std::uint64_t value);
std::uint64_t NumberFromHex(const nlohmann::json& value);

}  // namespace strata::vfs
