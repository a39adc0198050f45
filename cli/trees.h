// What the commands that deal with trees of a store share.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"
#include "store/castore/node.h"
#include "store/castore/root_nodes.h"
#include "store/open.h"

namespace strata::cli {

// Opens the store that --store names; "" is the user's own.
Result<store::Store> OpenNamedStore(const std::string& text, store::StoreOptions options);
// The tree of a name, or by its digest; a file by its digest too. kNotFound where the store has neither.
Result<store::Root> FindTree(const store::Store& store, const std::string& text);
// A directory's digest; of a file "file DIGEST SIZE" and "executable" where it is, of a symlink "symlink TARGET".
std::string NodeText(const store::Node& node);
nlohmann::ordered_json ToJson(const store::Node& node);
// "20M", "65536K", "1G", "1T": bytes; a bare number is MiB. kInvalid, with the option's name, for anything else and 0.
Result<std::uint64_t> ReadSize(const std::string& option, const std::string& text);
// Where large temporary files go: $TMPDIR, by default /var/tmp, which a reboot does not empty and which is no memory.
std::string TemporaryFolder();

}  // namespace strata::cli
