// Layer: a read-only tree, one of those that a workspace is laid over. Thread-safe. Nothing here ever changes what it
// reads.
//
// Every call says how long it may take (OpContext::may_block, OpContext::fetch). What memory can answer is answered
// whatever these say. What a local disk has to tell, or what takes more than some tens of microseconds, is kWouldBlock
// where may_block is false. What has to come from elsewhere is kWouldBlock with a Fetch where the caller takes one
// (base/fetch.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/attributes.h"
#include "base/ids.h"
#include "base/status.h"
#include "vfs/types.h"

namespace strata::vfs {

// A node of a layer. `id` is unique in the layer, never 0, below kFirstFreeId, the same across restarts and the same
// for all hard links of a file. `parent` is the id of a directory that holds it: with it the layer finds a node that it
// has forgotten. It is 0 for the root and for a file with several links.
struct LayerNode {
  std::uint64_t id = 0;
  std::uint64_t parent = 0;
  friend bool operator==(const LayerNode&, const LayerNode&) = default;
};

inline constexpr int kLayerIdBits = 55;
// Layers leave the last ids free for what is put around them (vfs/layer/at_layer.h).
inline constexpr std::uint64_t kFirstFreeId = (std::uint64_t{1} << kLayerIdBits) - (1 << 12);

// How a layer's nodes may say that a name of the layers below is deleted, or that a directory hides theirs (specs
// overlay 7).
struct MarkerStyles {
  bool files = false;    // regular files .wh.NAME and .wh..wh..opq (OCI, AUFS)
  bool chardev = false;  // character devices 0:0
  bool xattr = false;    // {trusted,user}.overlay.opaque = "y", .whiteout
  friend bool operator==(const MarkerStyles&, const MarkerStyles&) = default;
};

struct LayerStat {
  LayerNode node;
  Attributes attributes;  // attributes.ino is node.id
  // Tells apart two files that bore the same id at different times, where the layer can; else 0.
  std::uint32_t generation = 0;
  bool whiteout = false;  // the name is deleted in the layers below; no other member but node counts then
  bool opaque = false;    // a directory that hides those of the layers below
  // A directory that no tree has: where a layer below has one, that one's attributes are the merged directory's.
  bool made_up = false;
  // The number that clients see of it (fileid) where it is not its own but that of all that are equal to it; else 0.
  // Never that of a layer's node, and below 2^63.
  std::uint64_t shared = 0;
};

// What a layer promises of itself.
struct LayerTraits {
  // Nothing in it ever changes: what was once read of it holds for as long as it is open.
  bool immutable = false;
  // Of an immutable one: what it is, such as a digest, the same whenever it is opened; empty where nothing tells.
  std::string fingerprint = {};
  // The id of a directory whose names are not told: ReadDirectory of it is kPermission, whatever its mode says. All in
  // it can be looked up. 0: there is none.
  std::uint64_t unlisted = 0;
  // LayerStat::shared may be set. Such a layer can only be served as it is (Workspace::OpenAsItIs): what is written to
  // a file does not show in those that are equal to it.
  bool shares_numbers = false;
};

// A state of a file, as its attributes tell it.
struct LayerVersion {
  std::uint64_t size = 0;
  Time mtime;
  std::optional<Time> ctime;  // absent: any

  bool Matches(std::uint64_t other_size, Time other_mtime, Time other_ctime) const {
    return size == other_size && mtime == other_mtime && (!ctime || *ctime == other_ctime);
  }
};

// Whether an error says how the tree is: that something is not, or no longer, there. Every other one is a failure of
// the layer, which says nothing of the tree: it is returned, and nothing is concluded from it.
inline bool IsAbsence(Errc code) {
  return code == Errc::kNotFound || code == Errc::kNotDirectory || code == Errc::kStale;
}

struct LayerEntry {
  std::string_view name;
  LayerNode node;
  FileType type = FileType::kRegular;
  bool whiteout = false;
};

class Layer {
 public:
  virtual ~Layer() = default;

  virtual const LayerTraits& Traits() const = 0;
  virtual LayerNode Root() const = 0;
  // kStale if the node is gone. Of a directory other than the root `opaque` may be missing: Lookup tells it.
  virtual Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) = 0;
  // kNotFound where the layer says nothing of the name. `name` has been checked (vfs::CheckName) and is not "." or
  // "..".
  virtual Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) = 0;
  // Each entry but "." and "..", in any order, whiteouts too, until `visit` says false. `opaque` markers are not
  // entries.
  virtual Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                                     const std::function<bool(const LayerEntry&)>& visit) = 0;
  // Gives `length` bytes from `offset` on to the sink, fewer only where the file ends, and their number. Bytes that
  // stay where they are while something pins them are referenced, never copied. kNotSync unless all of it is of the
  // state `expected` (null: any), as far as the attributes tell. After a failure the sink has got nothing.
  virtual Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset,
                                   std::size_t length, const LayerVersion* expected, ReadSink& sink) = 0;
  virtual Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) = 0;
  // The names from the root to the node, separated by '/', "" for the root. Of several links, any one. kStale if it is
  // gone.
  virtual Result<std::string> PathOf(const OpContext& context, const LayerNode& node) = 0;
  // The names of the node's extended attributes, without those of an overlay's own (specs overlay S6). Default: none.
  virtual Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node);
  // The value of one; kNotFound where it has none of that name. Default: that.
  virtual Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name);
  // For messages: what this layer is, such as the host folder's path.
  virtual std::string Describe() const = 0;
};

}  // namespace strata::vfs
