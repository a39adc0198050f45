// The castore data model (spec castore 1 to 4): nodes, directories, their canonical bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
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
};

// Which number a directory's edge bears (CA-14, CA-70).
enum class SizeRule : std::uint8_t {
  kDocumented,  // all descendants: tvix until 2024-08-16, and its Go library
  kDoubled,     // direct entries counted twice: tvix since, and snix
};

// kInvalid, with the rule's word ("Empty", "Parent", "CurDir", "TooLong", "Null", "Slashes") in the message (CA-3).
Result<void> CheckNodeName(std::string_view name);
// The same for a symlink's target (CA-4).
Result<void> CheckSymlinkTarget(std::string_view target);

// A directory: names and their nodes, in the order of the names' bytes. Never invalid. Copies share the bytes.
class Directory {
 public:
  // An entry, as it lies in the directory's memory.
  struct Entry {
    std::string_view name;
    NodeKind kind = NodeKind::kFile;
    bool executable = false;
    std::uint64_t size = 0;   // as Node::size
    const Digest* digest;     // null for a symlink
    std::string_view target;  // of a symlink

    Node node() const;
  };

  // Without entries.
  Directory();
  // Checks a message in the order of CA-8 to CA-11; kInvalid with the rule's error and the name. A message that is not
  // canonical is taken: its digest is another one, so nobody asks for it (CA-18). Unknown fields are passed over.
  static Result<Directory> Parse(ByteSpan message);
  // From entries in any order; kInvalid as Parse.
  static Result<Directory> Make(std::vector<std::pair<std::string, Node>> entries);

  std::size_t count() const;
  bool empty() const { return count() == 0; }
  // In the order of the names' bytes, all kinds mixed.
  Entry At(std::size_t index) const;
  // The index of `name`, or count() where it has none.
  std::size_t Find(std::string_view name) const;

  // CA-15.
  ByteSpan canonical() const;
  // Of canonical().
  const Digest& digest() const;
  // CA-14, from the sizes of the edges.
  std::uint64_t Size(SizeRule rule) const;
  // Whether an edge to this directory may bear `size`: by either rule (CA-70). An edge's own number is trusted to be
  // of either form too: a directory of both forms has two sizes at each level.
  bool MayHaveSize(std::uint64_t size) const;
  // Bytes of memory held.
  std::size_t Footprint() const;

  friend bool operator==(const Directory& a, const Directory& b) { return a.digest() == b.digest(); }

 private:
  struct Content;
  explicit Directory(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  std::shared_ptr<const Content> content_;
};

// A Node message (CA-13: without a name) and back; of what a root is.
std::vector<std::byte> EncodeNode(const Node& node);
Result<Node> ParseNode(ByteSpan message);

}  // namespace strata::store
