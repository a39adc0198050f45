#include "tree.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "vfs/layer/memory_layer.h"

namespace strata::vfs::testing {
namespace {

TreeNode Named(std::string path, FileType type, std::uint32_t mode) {
  TreeNode node;
  node.path = std::move(path);
  node.type = type;
  node.mode = mode;
  return node;
}

std::string MarkerPath(const std::string& path) {
  const std::filesystem::path whole(path);
  return (whole.parent_path() / (".wh." + whole.filename().string())).string();
}

timespec Spec(Time time) { return {time.ns / 1'000'000'000, time.ns % 1'000'000'000}; }

}  // namespace

TreeNode DirNode(std::string path, std::uint32_t mode, std::uint32_t uid, std::uint32_t gid) {
  TreeNode node = Named(std::move(path), FileType::kDirectory, mode);
  node.uid = uid;
  node.gid = gid;
  return node;
}
TreeNode OpaqueDirNode(std::string path) {
  TreeNode node = Named(std::move(path), FileType::kDirectory, 0755);
  node.opaque = true;
  return node;
}
TreeNode FileNode(std::string path, std::string content, std::uint32_t mode, std::uint32_t uid, std::uint32_t gid) {
  TreeNode node = Named(std::move(path), FileType::kRegular, mode);
  node.content = std::move(content);
  node.uid = uid;
  node.gid = gid;
  return node;
}
TreeNode SparseNode(std::string path, std::uint64_t size) {
  TreeNode node = Named(std::move(path), FileType::kRegular, 0644);
  node.size = size;
  return node;
}
TreeNode SymlinkNode(std::string path, std::string target) {
  TreeNode node = Named(std::move(path), FileType::kSymlink, 0777);
  node.content = std::move(target);
  return node;
}
TreeNode LinkNode(std::string path, std::string same_as) {
  TreeNode node = Named(std::move(path), FileType::kRegular, 0644);
  node.same_as = std::move(same_as);
  return node;
}
TreeNode WhiteoutNode(std::string path) {
  TreeNode node = Named(std::move(path), FileType::kRegular, 0644);
  node.whiteout = true;
  return node;
}
TreeNode WithXattrs(TreeNode node, std::map<std::string, std::string, std::less<>> xattrs) {
  node.xattrs = std::move(xattrs);
  return node;
}

std::unique_ptr<Layer> MakeLayer(const Tree& tree) {
  std::vector<MemoryEntry> entries;
  for (const TreeNode& node : tree) {
    MemoryEntry& entry = entries.emplace_back();
    entry.path = node.path;
    entry.type = node.type;
    entry.mode = node.mode;
    entry.uid = node.uid;
    entry.gid = node.gid;
    entry.mtime = node.mtime;
    entry.content = node.content;
    if (node.type == FileType::kRegular && node.size > entry.content.size()) entry.content.resize(node.size);
    entry.rdev = node.rdev;
    entry.link_to = node.same_as;
    entry.whiteout = node.whiteout;
    entry.opaque = node.opaque;
    entry.xattrs = node.xattrs;
  }
  auto layer = MakeMemoryLayer(entries);
  if (!layer) {
    ADD_FAILURE() << layer.error().ToString();
    return nullptr;
  }
  return std::move(*layer);
}

void BuildHostFolder(const std::string& folder, const Tree& tree) {
  namespace fs = std::filesystem;
  fs::create_directories(folder);
  const bool root = ::geteuid() == 0;
  for (const TreeNode& node : tree) {
    const std::string path = folder + "/" + node.path;
    fs::create_directories(fs::path(path).parent_path());
    if (node.whiteout) {
      std::ofstream(MarkerPath(path));
      continue;
    }
    if (!node.same_as.empty()) {
      ASSERT_EQ(::link((folder + "/" + node.same_as).c_str(), path.c_str()), 0) << path;
      continue;
    }
    switch (node.type) {
      case FileType::kDirectory:
        fs::create_directories(path);
        if (node.opaque) std::ofstream(path + "/.wh..wh..opq");
        break;
      case FileType::kSymlink:
        ASSERT_EQ(::symlink(node.content.c_str(), path.c_str()), 0) << path;
        break;
      case FileType::kRegular: {
        std::ofstream(path, std::ios::binary) << node.content;
        if (node.size > node.content.size()) {
          ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(node.size)), 0) << path;
        }
        break;
      }
      default:
        ASSERT_EQ(::mknod(path.c_str(), TypeBits(node.type) | node.mode, ::makedev(node.rdev.major, node.rdev.minor)),
                  0)
            << path;
    }
    if (root) {
      ASSERT_EQ(::lchown(path.c_str(), node.uid, node.gid), 0) << path;
    }
    if (node.type != FileType::kSymlink) {
      ASSERT_EQ(::chmod(path.c_str(), node.mode), 0) << path;
    }
  }
  // Last, and the deepest first: filling a directory changes its time.
  for (auto node = tree.rbegin(); node != tree.rend(); ++node) {
    if (node->whiteout || !node->same_as.empty()) continue;
    const timespec times[2] = {Spec(node->mtime), Spec(node->mtime)};
    const std::string path = folder + "/" + node->path;
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
  }
}

std::string HostFolderImage(const std::string& folder) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> lines;
  for (auto at = fs::recursive_directory_iterator(folder); at != fs::recursive_directory_iterator(); ++at) {
    const std::string path = at->path().string();
    struct stat stat{};
    EXPECT_EQ(::lstat(path.c_str(), &stat), 0) << path;
    std::ostringstream line;
    line << std::oct << stat.st_mode << std::dec << ' ' << stat.st_uid << ' ' << stat.st_gid << ' ' << stat.st_nlink
         << ' ' << stat.st_mtim.tv_sec << '.' << stat.st_mtim.tv_nsec << ' ' << stat.st_size << ' ';
    if (S_ISLNK(stat.st_mode)) line << fs::read_symlink(path).string();
    // What a sparse file of many gigabytes holds is not worth the reading.
    if (S_ISREG(stat.st_mode) && stat.st_size < (16 << 20)) line << std::ifstream(path, std::ios::binary).rdbuf();
    lines[path] = line.str();
  }
  std::string image;
  for (const auto& [path, line] : lines) image += path + ' ' + line + '\n';
  return image;
}

void BuildThrough(Client& client, const Tree& tree) {
  for (const TreeNode& node : tree) {
    const std::size_t slash = node.path.rfind('/');
    const ObjectId parent = client.IdOf(slash == std::string::npos ? "" : std::string_view(node.path).substr(0, slash));
    const std::string name = slash == std::string::npos ? node.path : node.path.substr(slash + 1);
    if (!node.same_as.empty()) {
      ASSERT_OK(client.Link(client.IdOf(node.same_as), parent, name));
      continue;
    }
    SetAttributes set = Mode(node.mode);
    set.uid = node.uid;
    set.gid = node.gid;
    switch (node.type) {
      case FileType::kDirectory:
        ASSERT_OK(client.MakeDirectory(parent, name, set));
        break;
      case FileType::kSymlink:
        ASSERT_OK(client.MakeSymlink(parent, name, node.content, Owner(node.uid, node.gid)));
        break;
      case FileType::kRegular: {
        auto made = client.Create(parent, name, CreateMode::kGuarded, set);
        ASSERT_OK(made);
        if (!node.content.empty()) {
          ASSERT_OK(client.Write(made->id, 0, node.content));
        }
        if (node.size > node.content.size()) {
          ASSERT_OK(client.Set(made->id, Size(node.size)));
        }
        break;
      }
      default:
        ASSERT_OK(client.MakeNode(parent, name, node.type, node.rdev, set));
    }
  }
  for (auto node = tree.rbegin(); node != tree.rend(); ++node) {
    if (!node->same_as.empty()) continue;
    SetAttributes set;
    set.set_atime = set.set_mtime = SetTime::kClient;
    set.atime = set.mtime = node->mtime;
    ASSERT_OK(client.Set(client.IdOf(node->path), set));
  }
}

}  // namespace strata::vfs::testing
