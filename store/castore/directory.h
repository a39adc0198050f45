// A directory of castore's data model: names and their nodes, and its canonical bytes (spec castore 1 to 4).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "store/castore/names.h"
#include "store/castore/node.h"
#include "store/digest.h"

namespace strata::store {

// Which number a directory's edge bears (CA-14, CA-70).
enum class SizeRule : std::uint8_t {
  kDocumented,  // all descendants: tvix until 2024-08-16, and its Go library
  kDoubled,     // direct entries counted twice: tvix since, and snix
};

// A message of more bytes is refused: the most that a frame of a stored closure may have (CA-37).
inline constexpr std::size_t kMaxDirectoryBytes = 1000 << 20;

// In the order of the names' bytes. Never invalid; not to be used once it was moved from. Copies share the bytes.
//
// It is one piece of memory: the canonical message, and 4 bytes for each entry, which say where the entries lie in the
// order of their names. An entry is decoded where it lies, each time.
class Directory {
 public:
  // An entry, as it lies in the directory's memory.
  struct Entry {
    std::string_view name;
    NodeKind kind = NodeKind::kFile;
    bool executable = false;
    std::uint64_t size = 0;          // as Node::size
    const Digest* digest = nullptr;  // null for a symlink
    std::string_view target;         // of a symlink

    Node node() const;
  };

  // Without entries.
  Directory();
  // Checks a message in the order of CA-8 to CA-11; kInvalid with the rule's error and the name. A message that is not
  // canonical is taken: its digest is another one, so nobody asks for it (CA-18). Unknown fields are passed over.
  // While it works it takes no more memory than five times the message's.
  static Result<Directory> Parse(ByteSpan message);
  // As Parse, but kCorrupt where the message does not hash to `digest`; that is looked at first.
  static Result<Directory> ParseVerified(ByteSpan message, const Digest& digest);
  // From entries in any order; kInvalid as Parse.
  static Result<Directory> Make(std::vector<std::pair<std::string, Node>> entries);

  std::size_t count() const;
  bool empty() const { return count() == 0; }
  // In the order of the names' bytes, all kinds mixed.
  Entry At(std::size_t index) const;
  // The index of `name`, or count() where it has none.
  std::size_t Find(std::string_view name) const;
  // The first index whose name does not come before `name`; count() where there is none.
  std::size_t LowerBound(std::string_view name) const;

  // CA-15.
  ByteSpan canonical() const;
  // Of canonical().
  const Digest& digest() const;
  // CA-14, from the sizes of the edges. Where the doubled one does not fit into 64 bits it is the largest number: no
  // directory can bear an edge of that size.
  std::uint64_t Size(SizeRule rule) const;
  // Whether an edge to this directory may bear `size`: by either rule (CA-70). An edge's own number is trusted to be
  // of either form too: a directory of both forms has two sizes at each level.
  bool MayHaveSize(std::uint64_t size) const {
    return size == Size(SizeRule::kDocumented) || size == Size(SizeRule::kDoubled);
  }
  // Bytes of memory held.
  std::size_t Footprint() const;

  friend bool operator==(const Directory& a, const Directory& b) { return a.digest() == b.digest(); }

 private:
  struct Content;
  class Builder;
  explicit Directory(std::shared_ptr<const Content> content) : content_(std::move(content)) {}
  std::shared_ptr<const Content> content_;
};

}  // namespace strata::store
