// What a test is given: a list of files, made ready in a layer, in a host folder, or through a FileSystem.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/attributes.h"
#include "harness.h"
#include "vfs/layer.h"

namespace strata::vfs::testing {

struct TreeNode {
  std::string path;  // "a/b"; each directory stands before what is in it; the root needs no line
  FileType type = FileType::kRegular;
  std::string content;  // or a symlink's target
  std::uint32_t mode = 0644;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Time mtime{1'600'000'000'123'456'789};
  std::uint64_t size = 0;  // beyond `content` the file is a hole
  DeviceNumber rdev;
  std::string same_as;    // a hard link of that path; nothing else counts then
  bool whiteout = false;  // of a layer: the name is deleted below; nothing else counts then
  bool opaque = false;    // of a layer's directory: those below are hidden
  std::map<std::string, std::string, std::less<>> xattrs = {};  // of a layer in memory
};
using Tree = std::vector<TreeNode>;

TreeNode DirNode(std::string path, std::uint32_t mode = 0755, std::uint32_t uid = 0, std::uint32_t gid = 0);
TreeNode OpaqueDirNode(std::string path);
TreeNode FileNode(std::string path, std::string content, std::uint32_t mode = 0644, std::uint32_t uid = 0,
                  std::uint32_t gid = 0);
TreeNode SparseNode(std::string path, std::uint64_t size);
TreeNode SymlinkNode(std::string path, std::string target);
TreeNode LinkNode(std::string path, std::string same_as);
TreeNode WhiteoutNode(std::string path);
TreeNode WithXattrs(TreeNode node, std::map<std::string, std::string, std::less<>> xattrs);

// The tree as a layer in memory; its nodes' ids depend on the tree alone.
std::unique_ptr<Layer> MakeLayer(const Tree& tree);
// The tree as a folder of the host (made if missing); whiteouts and opaque marks as .wh. files. Owners only where the
// test runs as root.
void BuildHostFolder(const std::string& folder, const Tree& tree);
// Every name, type, mode, owner, mtime and byte beneath a host folder, as text: equal before and after means unchanged.
std::string HostFolderImage(const std::string& folder);
// Makes the tree through a file system, as the superuser.
void BuildThrough(Client& client, const Tree& tree);

}  // namespace strata::vfs::testing
