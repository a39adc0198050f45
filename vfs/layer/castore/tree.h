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
#include "base/status.h"
#include "store/castore/attributes.h"
#include "store/castore/directory_service.h"
#include "vfs/layer/castore/numbered_directory.h"
#include "vfs/layer/castore/recent.h"

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

// What may differ from one tree to another.
struct TreeRoot {
  store::Node node;  // a directory
  // With attributes the tree's numbers must be dense: they are those of the attributes.
  std::shared_ptr<const store::AttributesReader> attributes{};
};

class Tree {
 public:
  using Directories = Recent<std::uint64_t, OpenDirectory>;

  // `bytes`: of directories that are kept.
  Tree(std::shared_ptr<store::DirectoryService> service, TreeRoot root, std::size_t bytes);

  const store::Node& root() const { return root_.node; }
  const store::AttributesReader* attributes() const { return root_.attributes.get(); }
  // Numbers of nodes are below this.
  std::uint64_t end() const { return root_.node.size + 1; }

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

 private:
  Result<OpenDirectoryRef> Load(const Waiting& waiting, const Place& place);
  // The directory that holds the number, by way of those above it; `path` (may be null) gets their names.
  Result<OpenDirectoryRef> Descend(const Waiting& waiting, std::uint64_t number, std::string* path);
  Result<Span> SpanOf(const store::Directory& root_directory) const;

  const std::shared_ptr<store::DirectoryService> service_;
  const TreeRoot root_;
  Directories kept_;
  std::atomic<std::uint8_t> span_;  // Span; 0: not known before the root was read
};

}  // namespace strata::vfs::castore
