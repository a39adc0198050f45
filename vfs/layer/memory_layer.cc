#include "vfs/layer/memory_layer.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "vfs/file_system.h"
#include "vfs/layer/host_xattr.h"

namespace strata::vfs {
namespace {

constexpr std::uint64_t kRootId = 1;
constexpr std::uint64_t kBlock = 4096;

// The ids are the nodes' positions in the vector, from 1 on; nodes never change once the layer is built.
class MemoryLayer final : public Layer {
 public:
  explicit MemoryLayer(const MemoryLayerOptions& options) : options_(options) {
    Append(0, "", FileType::kDirectory);
    nodes_.back().attributes.mode = 0755;
  }

  Result<void> Add(const MemoryEntry& entry);

  const LayerTraits& Traits() const override { return traits_; }
  LayerNode Root() const override { return {kRootId, 0}; }
  Result<LayerStat> Stat(const OpContext& context, const LayerNode& node) override;
  Result<LayerStat> Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) override;
  Result<void> ReadDirectory(const OpContext& context, const LayerNode& directory,
                             const std::function<bool(const LayerEntry&)>& visit) override;
  Result<std::size_t> Read(const OpContext& context, const LayerNode& node, std::uint64_t offset, std::size_t length,
                           const LayerVersion* expected, ReadSink& sink) override;
  Result<std::string> ReadLink(const OpContext& context, const LayerNode& node) override;
  Result<std::string> PathOf(const OpContext& context, const LayerNode& node) override;
  Result<std::vector<std::string>> ListXattr(const OpContext& context, const LayerNode& node) override;
  Result<std::string> GetXattr(const OpContext& context, const LayerNode& node, std::string_view name) override;
  std::string Describe() const override { return options_.description; }

 private:
  struct Child {
    std::uint64_t id = 0;        // 0: the layer only deletes the name
    std::uint64_t whiteout = 0;  // the id of the marker; 0: none
  };
  struct Node {
    std::uint64_t parent = 0;  // of the first link
    std::string name;
    Attributes attributes;
    std::shared_ptr<const std::string> content = std::make_shared<const std::string>();
    std::map<std::string, std::string, std::less<>> xattrs;
    bool opaque = false;
    bool marker = false;
    std::map<std::string, Child, std::less<>> children;
  };

  const Node* Find(const LayerNode& node) const {
    return node.id == 0 || node.id > nodes_.size() ? nullptr : &nodes_[node.id - 1];
  }
  Node& At(std::uint64_t id) { return nodes_[id - 1]; }
  std::uint64_t Append(std::uint64_t parent, std::string_view name, FileType type);
  Result<std::uint64_t> DirectoryFor(std::string_view path);
  LayerNode NodeOf(std::uint64_t id) const;
  Result<const Node*> FindDirectory(const LayerNode& node) const;

  const LayerTraits traits_{.immutable = true};
  MemoryLayerOptions options_;
  std::vector<Node> nodes_;
};

std::uint64_t MemoryLayer::Append(std::uint64_t parent, std::string_view name, FileType type) {
  Node& node = nodes_.emplace_back();
  node.parent = parent;
  node.name = name;
  node.attributes.type = type;
  node.attributes.nlink = type == FileType::kDirectory ? 2 : 1;
  node.attributes.mode = type == FileType::kDirectory ? 0755 : 0644;
  node.attributes.ino = InodeNumber(nodes_.size());
  if (type == FileType::kDirectory && parent != 0) ++At(parent).attributes.nlink;
  return nodes_.size();
}

// The id of the directory at `path`, made where it is missing.
Result<std::uint64_t> MemoryLayer::DirectoryFor(std::string_view path) {
  std::uint64_t id = kRootId;
  while (!path.empty()) {
    const std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    STRATA_TRY(CheckNewName(name, Errc::kInvalid));
    std::uint64_t child = At(id).children[std::string(name)].id;
    if (child == 0) {
      child = Append(id, name, FileType::kDirectory);
      At(id).children[std::string(name)].id = child;
    } else if (At(child).attributes.type != FileType::kDirectory) {
      return Fail(Errc::kNotDirectory);
    }
    id = child;
  }
  return id;
}

Result<void> MemoryLayer::Add(const MemoryEntry& entry) {
  if (entry.path.starts_with('/') || entry.path.find("//") != std::string::npos) return Fail(Errc::kInvalid);
  const std::size_t slash = entry.path.rfind('/');
  const std::string name = slash == std::string::npos ? entry.path : entry.path.substr(slash + 1);
  const std::string_view above = std::string_view(entry.path).substr(0, slash == std::string::npos ? 0 : slash);
  std::uint64_t id = 0;
  if (entry.path.empty()) {
    if (entry.whiteout || entry.type != FileType::kDirectory || !entry.link_to.empty()) return Fail(Errc::kInvalid);
    id = kRootId;
  } else {
    STRATA_ASSIGN(const std::uint64_t parent, DirectoryFor(above));
    STRATA_TRY(CheckNewName(name, Errc::kInvalid));
    if (entry.whiteout) {
      const std::uint64_t marker = Append(0, "", FileType::kRegular);
      At(marker).marker = true;
      At(parent).children[name].whiteout = marker;
      return {};
    }
    id = At(parent).children[name].id;
    if (!entry.link_to.empty()) {
      if (id != 0) return Fail(Errc::kExists);
      LayerNode target = Root();
      std::string_view rest = entry.link_to;
      while (!rest.empty()) {
        const std::string_view step = rest.substr(0, rest.find('/'));
        rest.remove_prefix(std::min(rest.size(), step.size() + 1));
        STRATA_ASSIGN(const LayerStat stat, Lookup(kBackground, target, step));
        target = stat.node;
      }
      Node& linked = At(target.id);
      if (linked.marker) return Fail(Errc::kNotFound);
      if (linked.attributes.type == FileType::kDirectory) return Fail(Errc::kIsDirectory);
      ++linked.attributes.nlink;
      At(parent).children[name].id = target.id;
      return {};
    }
    const bool both_directories =
        id != 0 && entry.type == FileType::kDirectory && At(id).attributes.type == FileType::kDirectory;
    if (id != 0 && !both_directories) return Fail(Errc::kExists);
    if (id == 0) {
      id = Append(parent, name, entry.type);
      At(parent).children[name].id = id;
    }
  }
  Node& node = At(id);
  node.attributes.mode = entry.mode & kModeMask;
  node.attributes.uid = entry.uid;
  node.attributes.gid = entry.gid;
  node.attributes.atime = node.attributes.mtime = node.attributes.ctime = entry.mtime;
  node.attributes.rdev = entry.rdev;
  node.opaque = entry.opaque;
  node.xattrs = entry.xattrs;
  std::erase_if(node.xattrs, [](const auto& attribute) { return host::IsOverlayAttribute(attribute.first); });
  if (entry.type == FileType::kRegular || entry.type == FileType::kSymlink) {
    node.content = std::make_shared<const std::string>(entry.content);
    node.attributes.size = entry.content.size();
    node.attributes.used = (entry.content.size() + kBlock - 1) / kBlock * kBlock;
  }
  return {};
}

LayerNode MemoryLayer::NodeOf(std::uint64_t id) const {
  const Node& node = nodes_[id - 1];
  const bool several = node.attributes.type != FileType::kDirectory && node.attributes.nlink > 1;
  return {id, several ? 0 : node.parent};
}

Result<const MemoryLayer::Node*> MemoryLayer::FindDirectory(const LayerNode& node) const {
  const Node* found = Find(node);
  if (found == nullptr) return Fail(Errc::kStale);
  if (found->attributes.type != FileType::kDirectory) return Fail(Errc::kNotDirectory);
  return found;
}

// The directory's own mark alone, or also that its name is deleted in its parent: either hides what lies below.
Result<LayerStat> MemoryLayer::Stat(const OpContext&, const LayerNode& node) {
  const Node* found = Find(node);
  if (found == nullptr) return Fail(Errc::kStale);
  LayerStat stat;
  stat.node = NodeOf(node.id);
  stat.attributes = found->attributes;
  stat.whiteout = found->marker;
  stat.opaque = found->opaque;
  if (found->attributes.type == FileType::kDirectory && found->parent != 0) {
    const auto& siblings = nodes_[found->parent - 1].children;
    if (auto child = siblings.find(found->name); child != siblings.end() && child->second.whiteout != 0)
      stat.opaque = true;
  }
  return stat;
}

Result<LayerStat> MemoryLayer::Lookup(const OpContext& context, const LayerNode& directory, std::string_view name) {
  STRATA_ASSIGN(const Node* node, FindDirectory(directory));
  const auto child = node->children.find(name);
  if (child == node->children.end()) return Fail(Errc::kNotFound);
  return Stat(context, {child->second.id != 0 ? child->second.id : child->second.whiteout, directory.id});
}

Result<void> MemoryLayer::ReadDirectory(const OpContext&, const LayerNode& directory,
                                        const std::function<bool(const LayerEntry&)>& visit) {
  STRATA_ASSIGN(const Node* node, FindDirectory(directory));
  for (const auto& [name, child] : node->children) {
    if (child.whiteout != 0 && !visit({name, {child.whiteout, directory.id}, FileType::kRegular, true})) return {};
    if (child.id == 0) continue;
    if (!visit({name, NodeOf(child.id), nodes_[child.id - 1].attributes.type, false})) return {};
  }
  return {};
}

Result<std::size_t> MemoryLayer::Read(const OpContext& context, const LayerNode& node, std::uint64_t offset,
                                      std::size_t length, const LayerVersion* expected, ReadSink& sink) {
  const Node* found = Find(node);
  if (found == nullptr) return Fail(Errc::kStale);
  if (found->attributes.type == FileType::kDirectory) return Fail(Errc::kIsDirectory);
  if (found->attributes.type != FileType::kRegular) return Fail(Errc::kInvalid);
  if (options_.reads_block && !context.may_block) return Fail(Errc::kWouldBlock);
  const Attributes& now = found->attributes;
  if (expected != nullptr && !expected->Matches(now.size, now.mtime, now.ctime)) return Fail(Errc::kNotSync);
  if (offset >= found->content->size()) return 0;
  const ByteSpan rest = AsBytes(*found->content).subspan(offset);
  const ByteSpan bytes = rest.first(std::min(rest.size(), length));
  sink.Reference(bytes, found->content);
  return bytes.size();
}

Result<std::string> MemoryLayer::ReadLink(const OpContext&, const LayerNode& node) {
  const Node* found = Find(node);
  if (found == nullptr) return Fail(Errc::kStale);
  if (found->attributes.type != FileType::kSymlink) return Fail(Errc::kInvalid);
  return *found->content;
}

Result<std::string> MemoryLayer::PathOf(const OpContext&, const LayerNode& node) {
  const Node* found = Find(node);
  if (found == nullptr || found->marker) return Fail(Errc::kStale);
  std::string path = found->name;
  for (std::uint64_t above = found->parent; above > kRootId; above = nodes_[above - 1].parent) {
    path.insert(0, "/").insert(0, nodes_[above - 1].name);
  }
  return path;
}

Result<std::vector<std::string>> MemoryLayer::ListXattr(const OpContext&, const LayerNode& node) {
  const Node* found = Find(node);
  if (found == nullptr) return Fail(Errc::kStale);
  std::vector<std::string> names;
  for (const auto& [name, value] : found->xattrs) names.push_back(name);
  return names;
}

Result<std::string> MemoryLayer::GetXattr(const OpContext&, const LayerNode& node, std::string_view name) {
  const Node* found = Find(node);
  if (found == nullptr) return Fail(Errc::kStale);
  const auto value = found->xattrs.find(name);
  if (value == found->xattrs.end()) return Fail(Errc::kNotFound);
  return value->second;
}

MemoryEntry MakeEntry(std::string_view path, FileType type, std::uint32_t mode) {
  MemoryEntry entry;
  entry.path = path;
  entry.type = type;
  entry.mode = mode;
  return entry;
}

}  // namespace

MemoryEntry MemoryFile(std::string_view path, std::string_view content, std::uint32_t mode) {
  MemoryEntry entry = MakeEntry(path, FileType::kRegular, mode);
  entry.content = content;
  return entry;
}

MemoryEntry MemoryDirectory(std::string_view path, std::uint32_t mode) {
  return MakeEntry(path, FileType::kDirectory, mode);
}

MemoryEntry MemoryOpaqueDirectory(std::string_view path, std::uint32_t mode) {
  MemoryEntry entry = MakeEntry(path, FileType::kDirectory, mode);
  entry.opaque = true;
  return entry;
}

MemoryEntry MemorySymlink(std::string_view path, std::string_view target) {
  MemoryEntry entry = MakeEntry(path, FileType::kSymlink, 0777);
  entry.content = target;
  return entry;
}

MemoryEntry MemorySpecial(std::string_view path, FileType type, DeviceNumber rdev, std::uint32_t mode) {
  MemoryEntry entry = MakeEntry(path, type, mode);
  entry.rdev = rdev;
  return entry;
}

MemoryEntry MemoryLink(std::string_view path, std::string_view existing) {
  MemoryEntry entry = MakeEntry(path, FileType::kRegular, 0);
  entry.link_to = existing;
  return entry;
}

MemoryEntry MemoryWhiteout(std::string_view path) {
  MemoryEntry entry = MakeEntry(path, FileType::kRegular, 0);
  entry.whiteout = true;
  return entry;
}

Result<std::unique_ptr<Layer>> MakeMemoryLayer(std::span<const MemoryEntry> entries,
                                               const MemoryLayerOptions& options) {
  auto layer = std::make_unique<MemoryLayer>(options);
  for (const MemoryEntry& entry : entries) {
    if (auto added = layer->Add(entry); !added) {
      return Fail(added.error().WithContext(options.description + ": " + entry.path));
    }
  }
  return layer;
}

}  // namespace strata::vfs
