// The directories that the specification names (CA-19, 12), and quick ways to make others.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/castore/directory.h"

namespace strata::store {

using NamedNodes = std::vector<std::pair<std::string, Node>>;

inline constexpr std::string_view kElsewhere = "/nix/store/somewhereelse";

// Make, or the end of the test program.
Directory MakeDirectory(NamedNodes entries);
// The edge to a directory.
Node NodeTo(const Directory& directory, SizeRule rule = SizeRule::kDocumented);

Directory WithKeep();     // {.keep: an empty file}
Directory Complicated();  // {.keep: an empty file, aa -> kElsewhere, keep: WithKeep}
Directory DirectoryA();   // nothing
Directory DirectoryB();   // {a: A}
Directory DirectoryC();   // {a: A, a': A}
Directory DirectoryD(SizeRule rule = SizeRule::kDocumented);  // {a: A, b: B}

}  // namespace strata::store
