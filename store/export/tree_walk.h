// TreeWalk: a tree in the order of its paths, with what the attribute blob says of each node.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "store/export/export.h"

namespace strata::store {

// A node of the tree, or an entry beside it that is none.
struct WalkedEntry {
  std::string_view path;  // from the root, with slashes; empty for the root
  std::string_view name;  // its last part
  std::size_t depth = 0;  // of the root 0
  Node node;              // unless special
  const SpecialEntry* special = nullptr;
  std::optional<NodeAttributes> attributes;  // where they are kept
  std::string_view link_to;  // the path of the first name, where this is another name of a file or symlink
};

class TreeVisitor {
 public:
  virtual ~TreeVisitor() = default;
  // A directory, before what lies in it.
  virtual Result<void> Enter(const WalkedEntry& directory) = 0;
  // The same after it.
  virtual Result<void> Leave(const WalkedEntry& directory) = 0;
  // Anything else.
  virtual Result<void> Visit(const WalkedEntry& entry) = 0;
};

// Fails with what a visitor fails with. kNotFound for a directory that the store does not have, kCorrupt for attributes
// that do not belong to the tree; both name the path.
Result<void> WalkTree(const ExportSource& source, TreeVisitor& visitor);

// Gives the content of a file in pieces; kNotFound where the store does not have it, kCorrupt "unexpected size for PATH
// wanted: X got: Y" where it has another size.
Result<void> ReadFile(const ExportSource& source, const WalkedEntry& file,
                      const std::function<Result<void>(ByteSpan)>& piece);

}  // namespace strata::store
