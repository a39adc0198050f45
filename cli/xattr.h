// Extended attributes, as `strata xattr` and `strata stat` show them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "vfs/file_system.h"

namespace strata::cli {

struct Xattr {
  std::string name;
  std::optional<std::string> value;  // absent where this process may not read it
};

// All that the object has, by name.
Result<std::vector<Xattr>> ReadXattrs(vfs::FileSystem& volume, const vfs::ObjectId& id);
// A list of {"name", "size", "encoding", "value"} (BytesToJson), or {"name", "value": null} for an absent one.
nlohmann::ordered_json ToJson(const std::vector<Xattr>& xattrs);
// The value where a terminal can show it on one line, else "N bytes"; "not readable" for an absent one.
std::string ShownValue(const Xattr& xattr);

}  // namespace strata::cli
