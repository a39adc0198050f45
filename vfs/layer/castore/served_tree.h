// ServedTree: one tree of a store as a part of a layer: statuses, names, bytes and extended attributes of its nodes, by
// their ids. A layer over one tree is little more than this (castore_layer.h); one over many has one for each
// (roots_layer.h). Thread-safe.
//
// A node's id is `first_id` and its number in the tree's pre-order (tree.h). With attributes the links of a file share
// the id of the first. What castore cannot hold (devices, fifos, sockets) is numbered behind the nodes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "vfs/layer.h"
#include "vfs/layer/castore/castore_layer.h"
#include "vfs/layer/castore/files.h"
#include "vfs/layer/castore/siblings.h"
#include "vfs/layer/castore/tree.h"

namespace strata::vfs::castore {

// What all trees of one layer share.
struct TreeSource {
  TreeSource(std::shared_ptr<store::BlobService> blob_service,
             std::shared_ptr<store::DirectoryService> directory_service, CastoreOptions tree_options);

  const CastoreOptions options;
  const std::shared_ptr<store::BlobService> blobs;
  const std::shared_ptr<store::DirectoryService> directories;
  Directories kept;
  Files files;
  Siblings siblings;

  // Says once in a while in the log what the store could not give for `path`.
  void Tell(std::string_view path, const Status& error);

 private:
  log::RateLimit told_;
};

// Where a tree lies in its layer.
struct TreePlace {
  std::uint64_t first_id = 1;      // of the root
  std::uint64_t parent_id = 0;     // of what holds the root; 0 for nothing
  std::string name{};              // of the root there
  std::uint32_t generation = 1;    // of all nodes, not 0
  std::uint64_t ids = UINT64_MAX;  // how many the tree may have
};

// The tree with its attributes, if it has such a blob. kIo where that cannot be had, or is none; kWouldBlock.
Result<TreeRoot> OpenTreeRoot(TreeSource& source, const Waiting& waiting, const store::Node& node,
                              const std::optional<store::Digest>& attributes);
// A number that tells trees apart: of the nodes' generation. Not 0.
std::uint32_t GenerationOf(const store::Digest& digest);

// What all nodes show that are equal in what a client sees of them: type, content (of a directory, by its digest) and
// attributes (spec castore CA-53, T16 to T18).
//
// It is a keyed hash and not a row of a table. So nothing is kept that would grow with the tree and had to be there
// after a restart, and servers with the same home show the same. Two that differ have the same number by chance alone:
// among 10,000,000 with a probability of one in 90,000. They are no more than shown alike then. Each place has a handle
// of its own (CA-55), which is what clients know it by. The key is a secret of the volume. By the digest alone whoever
// may import a tree could make two files that show one number, which programs take for one file without a look, or a
// directory that shows the number of one above it, which find takes for a loop.
std::uint64_t SharedNumber(const SipHashKey& key, const store::Node& node, const Attributes& attributes);

class ServedTree {
 public:
  // `source` must outlive it.
  ServedTree(TreeSource& source, TreeRoot root, TreePlace place);

  // As Layer's methods. A node's id is of this tree, or below `first_id` or beyond it (kStale).
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node);
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name);
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit);
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink);
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node);
  // From the tree's root on, which is "".
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node);
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node);
  Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name);

  // kIo where it has more nodes than TreePlace::ids, or its attributes are of another number of nodes; asks nobody.
  Result<void> CheckSize() const;
  // The same, and kIo unless its root directory can be had and is what it should be.
  Result<void> CheckRoot(const Waiting& waiting);
  LayerNode root() const { return {place_.first_id, place_.parent_id}; }
  const std::string& name() const { return place_.name; }
  // How many ids it takes.
  std::uint64_t ids() const;

 private:
  // What an id leads to: a node, by its number, or an entry that is none, by its index.
  struct Target {
    std::uint64_t number = 0;
    std::optional<std::uint64_t> special{};
  };
  Result<Target> TargetOf(const LayerNode& node) const;
  // As TargetOf, for what is no directory and no file.
  Result<std::uint64_t> NumberOf(const LayerNode& node, Errc of_special) const;
  std::uint64_t IdOf(std::uint64_t number) const { return place_.first_id + number; }
  std::uint64_t IdOfSpecial(std::uint64_t index) const { return place_.first_id + attributes()->nodes() + index; }

  const store::AttributesReader* attributes() const { return tree_.attributes(); }
  // Of what was read of the attributes: whatever failed there, it cannot be had.
  template <typename T>
  Result<T> Had(Result<T> result) const;
  Result<store::StoredAttributes> AttributesOf(const Waiting& waiting, std::uint64_t number) const;
  // The entry with the index, of which the attributes say that it lies in that directory.
  Result<store::SpecialEntry> SpecialIn(const Waiting& waiting, std::uint64_t directory, std::uint64_t index) const;

  Result<Place> FindPlace(const Waiting& waiting, const LayerNode& node, std::uint64_t number);
  Result<LayerStat> StatOf(const Waiting& waiting, const Place& place);
  Result<LayerStat> StatOfSpecial(const Waiting& waiting, std::uint64_t index);
  LayerStat StatOfEntry(std::uint64_t index, const store::SpecialEntry& entry) const;
  // Whether it is told apart from all others by more than these: by its extended attributes, or its links.
  Result<bool> AddAttributes(const Waiting& waiting, std::uint64_t number, LayerStat& stat);
  Result<LayerStat> LookupIn(const Waiting& waiting, const OpenDirectory& directory, std::string_view name);
  Result<void> VisitNodes(const Waiting& waiting, const OpenDirectory& directory,
                          const std::function<bool(const LayerEntry&)>& visit, bool& go_on);
  Result<void> VisitSpecials(const Waiting& waiting, const OpenDirectory& directory,
                             const std::function<bool(const LayerEntry&)>& visit);
  // The file was read, and was not in memory: has the small files that follow it in its directory brought, where it
  // looks as if they were read next.
  void BringSiblings(const Place& file);
  // Of the node, those that the attributes have and that of its digest, in the order of their names.
  Result<std::vector<store::Xattr>> Xattrs(const Waiting& waiting, const LayerNode& node);

  // Tells the log of what the store could not give, and returns it.
  template <typename T>
  Result<T> Told(Result<T> result, const LayerNode& node);

  TreeSource& source_;
  const TreePlace place_;
  Tree tree_;
};

}  // namespace strata::vfs::castore
