// TreeBuilder: makes directories of sorted paths, with one open directory for each level of the path in memory. It also
// settles what becomes of paths that come several times (CA-45): what comes later in the archive replaces what came
// before, unless both are directories, and takes what lay beneath it away; what lies beneath something makes that a
// directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "store/castore/directory_service.h"
#include "store/import/attributes_writer.h"
#include "store/import/tree_record.h"

namespace strata::store {

// Not thread-safe.
class TreeBuilder {
 public:
  struct Counts {
    std::uint64_t files = 0, directories = 0, symlinks = 0, specials = 0;
    std::uint64_t top_level = 0;  // entries of the archive's top
  };
  // `attributes`: gets those of each node, and the special entries; may be null.
  TreeBuilder(DirectoryPutter& putter, SizeRule sizes, AttributesWriter* attributes);

  // In sorted order; kLink has been resolved. `link_key`: as AttributesWriter::Set has it.
  Result<void> Add(std::string_view path, std::uint64_t order, TreeRecord record, std::string_view link_key);

  struct Built {
    Node root;
    std::uint64_t first_number = 0;  // the root's, for AttributesWriter::Finish
  };
  // Where the top holds exactly one entry, a directory, and was not itself an entry of the archive, that directory is
  // the root; else the top. `strict`: the former or kInvalid "unexpected number of top level directory entries".
  Result<Built> Finish(bool strict);
  // Complete after Finish.
  const Counts& counts() const { return counts_; }

 private:
  // A node whose entry has come and whose subtree may still come.
  struct Frame {
    std::size_t path_size = 0;  // its path is that much of path_
    std::string name;
    std::uint64_t number = 0;
    // Records of this order and before are void beneath it, and above_void ones for itself too.
    std::uint64_t void_to = 0, above_void = 0;
    std::optional<TreeRecord> leaf;  // what it is, where it is no directory
    std::string link_key;            // of the leaf
    NodeAttributes attributes;       // of the directory
    std::vector<std::pair<std::string, Node>> entries;

    void BecomeDirectory();
  };
  struct Special {
    std::string path;
    TreeRecord record;
  };

  bool Contains(const Frame& frame, std::string_view path) const;
  Result<void> PopTo(std::string_view path);
  void PushTo(std::string_view path);
  Result<void> Pop();
  Result<Node> NodeOf(Frame& frame);
  Result<void> EmitSpecial();

  DirectoryPutter& putter_;
  const SizeRule sizes_;
  AttributesWriter* const attributes_;
  Counts counts_;
  std::string path_;           // of the last frame
  std::vector<Frame> frames_;  // from the top on; never empty
  std::uint64_t next_number_ = 1;
  std::optional<Special> special_;  // waits for whether a node has its path
  bool top_is_entry_ = false;
};

}  // namespace strata::store
