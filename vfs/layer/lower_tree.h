// LowerTree: a workspace's layers merged into one read-only tree (specs overlay X1 to X4, X17). Thread-safe. It holds
// no cache of its own but what its layers hold, so it says what is so when it is asked.
//
// An error of a layer for which IsAbsence holds means that this layer has nothing here. The others are still asked.
// Every other error ends the call. How long a call may take is for the layers to heed (vfs/layer.h).
//
// Numbers are computed, not stored. Of a file, the number has its layer and its id there; of a directory, those of the
// LOWEST layer that contributes to it. So no row is written for what was only looked at, and numbers stay when layers
// are put on top.
//     bit 63       0
//     bits 55..62  1 + (number of layers - 1 - position), so counted from the lowest
//     bits 0..54   id in the layer
// The merged root is kRootInode.
//
// A host uses inode numbers again, ext4 at once: a new object may come to bear the number of one that lives on in the
// upper. It is then known by its *again number*, which is computed too:
//     bits 55..63 as above | bit 54: 1 | bits 40..53: hash of its generation and type | bits 0..39: id in the layer
// The own number can be told from it, so that the layer finds the object as fast by either. Ids of 2^40 and more have
// no again number: no file system that uses inode numbers again has such large ones, but ids that are hashes do
// (host_identity.h). Which of the two numbers an object bears is for the workspace to say. Here a node's number, and
// that in a locator, is always its own.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/inode_record.h"
#include "vfs/layer.h"
#include "vfs/types.h"

namespace strata::vfs {

// A node of the merged tree. Origin::Source lists the contributing layers, highest first; only directories have
// several.
struct LowerNode {
  InodeNumber number;  // its own, never an again number
  Generation generation;
  // The number of the merged directory that holds it (0 for the root and for a file with several links): lets Resolve
  // find it again.
  std::uint64_t locator = 0;
  std::vector<Origin::Source> sources;
};

struct LowerFound {
  LowerNode node;
  // LayerStat::shared of the highest source; of the merged root 0.
  std::uint64_t shared = 0;
  // Of the highest source that is not made up; attributes.ino is node.number. Of a directory mtime and ctime are the
  // latest of all sources.
  // Its nlink is 1 where several contribute, as where a file system does not count: counting would take a listing.
  Attributes attributes;
  // Of a directory: another one whenever an entry came or went in a layer that contributes, as far as times tell.
  std::uint64_t version = 0;

  // Whether it is the object of that type and generation that bore its number, and not one that came to bear it later,
  // as far as they tell.
  bool Is(FileType type, Generation generation) const {
    const bool known = generation.value != 0 && node.generation.value != 0;
    return attributes.type == type && (!known || generation == node.generation);
  }
};

// Of a walk through a whole tree: whether it goes on without the directory that gave this error. What may not be read
// or listed shows nothing.
inline bool MayPassOver(Errc code) { return IsAbsence(code) || code == Errc::kAccess || code == Errc::kPermission; }

// The merged entries of a directory, ordered by (NameHash, name).
struct LowerListing {
  struct Item {
    std::uint64_t hash = 0;
    InodeNumber number;
    std::uint32_t name_offset = 0;  // into `names`
    std::uint16_t name_size = 0;
    FileType type = FileType::kRegular;
  };
  std::vector<Item> items;
  std::string names;
  std::string_view Name(const Item& item) const { return {names.data() + item.name_offset, item.name_size}; }
  // Bytes of memory held.
  std::size_t Footprint() const { return sizeof *this + items.capacity() * sizeof(Item) + names.capacity(); }
};

// The position of a name in directory order: the volume's keyed hash, in [kFirstNameHash, 2^63).
inline constexpr std::uint64_t kFirstNameHash = 16;
std::uint64_t NameHash(const SipHashKey& key, std::string_view name);

// A layer's place in a node's number has 8 bits (kLayerIdBits), of which 0 stands for the upper. Formats that name more
// are refused.
inline constexpr std::size_t kMaxLayers = 255;

class LowerTree {
 public:
  // `layers`: highest first; may be empty. With more than kMaxLayers, Root() is kInvalid.
  LowerTree(std::vector<std::unique_ptr<Layer>> layers, SipHashKey name_key);

  bool empty() const { return layers_.empty(); }
  // kNotDirectory and the like where a layer's root is not what it should be.
  Result<LowerFound> Root(const OpContext& context);
  // kNotFound also where a whiteout hides the name.
  Result<LowerFound> Lookup(const OpContext& context, const LowerNode& directory, std::string_view name);
  // From what is left of its sources; kStale if none is.
  Result<LowerFound> Stat(const OpContext& context, const LowerNode& node);
  // In one pass over each layer, and without a Stat but of what several layers have as a directory. kNotFound if no
  // layer lists it (X18).
  Result<LowerListing> List(const OpContext& context, const LowerNode& directory);
  // Finds the node that bears `number`, its own or its again number, from that and its locator alone; kStale if the
  // layers no longer show it. `parent` and `name` (may be null) get the merged directory that holds it and its name
  // there.
  Result<LowerFound> Resolve(const OpContext& context, InodeNumber number, std::uint64_t locator, LowerNode* parent,
                             std::string* name);
  // As Layer::Read.
  Result<std::size_t> Read(const OpContext& context, const LowerNode& file, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink);
  Result<std::string> ReadLink(const OpContext& context, const LowerNode& symlink);
  // Of the highest source.
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LowerNode& node);
  Result<std::string> GetXattr(const OpContext& context, const LowerNode& node, std::string_view name);

  // Adds Layer::Describe of each layer that contributes to the node, highest first.
  void Describe(const LowerNode& node, std::vector<std::string>& descriptions) const;
  // Whether a layer does (LayerTraits::shares_numbers).
  bool SharesNumbers() const;
  // Whether no layer that contributes to the node ever changes.
  bool IsImmutable(const LowerNode& node) const;
  // Whether each layer that contributes to the directory tells its names (LayerTraits::unlisted).
  bool MayBeListed(const LowerNode& directory) const;
  // Whether `number` is one that a layer's node bears.
  static bool IsLower(InodeNumber number) { return (number.value >> kLayerIdBits) != 0; }
  // kNoInode where it has none.
  static InodeNumber AgainNumber(const LowerNode& node, FileType type);
  // The own number of what bears `number` if that is an again number, which it cannot tell; else any, or `number`.
  static InodeNumber OwnNumber(InodeNumber number);
  // Where layers hold an object of the upper.
  LowerNode NodeOf(const InodeRecord& record) const;

 private:
  struct Candidate;

  // The layer of the highest source, null where there is none, and what it knows the node by.
  struct Top {
    Layer* layer = nullptr;
    LayerNode node;
  };
  Top TopOf(const LowerNode& node) const;
  Layer* LayerAt(std::uint32_t position) const { return position < layers_.size() ? layers_[position].get() : nullptr; }
  InodeNumber NumberOf(std::uint32_t position, std::uint64_t id) const {
    return InodeNumber(((layers_.size() - position) << kLayerIdBits) | id);
  }
  // The position of the layer that `number` names; nothing where there is none such.
  std::optional<std::uint32_t> PositionOf(InodeNumber number) const;
  Result<void> Collect(const OpContext& context, const LowerNode& directory, const Origin::Source& source,
                       std::uint32_t rank, LowerListing& listing, std::vector<Candidate>& candidates);
  Result<InodeNumber> LowestNumber(const OpContext& context, const LowerNode& directory, const LowerListing& listing,
                                   const Candidate* group, std::size_t size);
  Result<LowerListing> ListMerged(const OpContext& context, const LowerNode& directory);
  Result<LowerFound> ResolveOwn(const OpContext& context, InodeNumber number, std::uint64_t locator, LowerNode* parent,
                                std::string* name);
  Result<LowerFound> Walk(const OpContext& context, InodeNumber number, LowerNode* parent, std::string* name);
  Result<LowerFound> Descend(const OpContext& context, std::string_view path, LowerNode* parent, std::string* name);

  std::vector<std::unique_ptr<Layer>> layers_;
  SipHashKey name_key_;
};

}  // namespace strata::vfs
