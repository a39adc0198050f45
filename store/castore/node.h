// A node of castore's data model, and its messages (spec castore CA-1, CA-13, CA-15).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/digest.h"

namespace strata::store {

enum class NodeKind : std::uint8_t { kDirectory, kFile, kSymlink };

// A node bears no name: a directory, or RootNodes, gives it one.
struct Node {
  NodeKind kind = NodeKind::kFile;
  Digest digest;            // of a directory's message or a file's bytes; zeros for a symlink
  std::uint64_t size = 0;   // of a file its bytes; of a directory what its edge says (CA-14); of a symlink its target's
  bool executable = false;  // of a file
  std::string target;       // of a symlink
  friend bool operator==(const Node&, const Node&) = default;

  static Node OfDirectory(const Digest& digest, std::uint64_t size);
  static Node OfFile(const Digest& digest, std::uint64_t size, bool executable = false);
  static Node OfSymlink(std::string target);
};

// A Node message without a name (CA-13), and back; of what a root is. kInvalid, with the rule's word, for what is none,
// and for one with a name ("NameInAnonymousNode").
std::vector<std::byte> EncodeNode(const Node& node);
Result<Node> ParseNode(ByteSpan message);

// The same with a name, which a directory could hold.
std::vector<std::byte> EncodeNamedNode(std::string_view name, const Node& node);
Result<std::pair<std::string, Node>> ParseNamedNode(ByteSpan message);

}  // namespace strata::store
