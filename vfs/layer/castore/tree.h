// Tree: one castore tree, node by node. It reads directories when they are needed, keeps those used lately, and knows
// each node by its number (CA-68): its place in the pre-order, the root 0. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/fetch.h"
#include "base/recent.h"
#include "base/status.h"
#include "store/castore/attributes.h"
#include "store/castore/directory_service.h"
#include "vfs/layer/castore/numbered_directory.h"

namespace strata::vfs::castore {

// A node and where it lies.
struct Place {
  std::uint64_t number = 0;
  std::uint64_t parent = 0;  // the number of the directory that holds it; 0 for the root
  store::Node node;
};

// A directory that was read.
struct OpenDirectory {
  std::uint64_t number = 0;
  std::uint64_t parent = 0;
  NumberedDirectory content;
};
using OpenDirectoryRef = std::shared_ptr<const OpenDirectory>;
// Directories that are kept, of one tree or of several, by the ids of their nodes.
using Directories = Recent<std::uint64_t, OpenDirectory>;

// What may differ from one tree to another.
struct TreeRoot {
  store::Node node;  // of any kind
  // With attributes the tree's numbers must be dense: they are those of the attributes.
  std::shared_ptr<const store::AttributesReader> attributes{};
  std::string attributes_from{};  // for messages: digest and store
};

class Tree {
 public:
  // `kept` must outlive it. There a directory has the id `first_id` and its number.
  Tree(std::shared_ptr<store::DirectoryService> service, TreeRoot root, Directories& kept, std::uint64_t first_id);

  const store::Node& root() const { return root_.node; }
  const store::AttributesReader* attributes() const { return root_.attributes.get(); }
  const std::string& attributes_from() const { return root_.attributes_from; }
  // Numbers of nodes are below this.
  std::uint64_t end() const { return EndOf(root_.node); }
  static std::uint64_t EndOf(const store::Node& root) {
    if (root.kind != store::NodeKind::kDirectory) return 1;
    return root.size < UINT64_MAX ? root.size + 1 : UINT64_MAX;
  }

  // kStale for a number that no node bears; kNotDirectory where it is none. kIo for a directory that cannot be had, or
  // is not what its edge says.
  Result<OpenDirectoryRef> Open(const Waiting& waiting, std::uint64_t number);
  // `near`: the number of the directory that should hold it, where that is quicker to find; 0 where it is not known.
  Result<Place> Find(const Waiting& waiting, std::uint64_t number, std::uint64_t near = 0);
  // kNotFound where the directory has no such name.
  static Result<Place> Lookup(const OpenDirectory& directory, std::string_view name);
  static Place PlaceAt(const OpenDirectory& directory, std::size_t index);
  // The names from the root on, separated by '/'.
  Result<std::string> PathOf(const Waiting& waiting, std::uint64_t number);
  // For messages: the same as far as memory tells, without a look into the store; then "..." stands for the rest.
  std::string KnownPathOf(std::uint64_t number);

 private:
  OpenDirectoryRef Kept(std::uint64_t number) { return kept_.Get(first_id_ + number); }
  Result<OpenDirectoryRef> Load(const Waiting& waiting, const Place& place);
  // The directory that holds the number, by way of those above it, each of which `load(Place)` gives; `path` (may be
  // null) gets their names, also where it fails.
  template <typename Loading>
  Result<OpenDirectoryRef> Descend(std::uint64_t number, std::string* path, Loading load);
  Result<Span> SpanOf(const store::Directory& root_directory) const;

  const std::shared_ptr<store::DirectoryService> service_;
  const TreeRoot root_;
  Directories& kept_;
  const std::uint64_t first_id_;
  std::atomic<Span> span_;  // kUnknown before the root was read
};

}  // namespace strata::vfs::castore
