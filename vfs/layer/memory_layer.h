// MemoryLayer: a layer built from a list, for tests and for programs that embed Strata and bring a tree of their own.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "vfs/layer.h"

namespace strata::vfs {

// What stands at one path. The helpers below make the usual ones.
struct MemoryEntry {
  std::string path;  // names separated by '/'; "" is the root, for its attributes
  FileType type = FileType::kRegular;
  std::uint32_t mode = 0644;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  Time mtime;           // atime and ctime too
  std::string content;  // of a file its bytes, of a symlink its target
  DeviceNumber rdev;
  std::string link_to;    // not empty: the path of an earlier entry, no directory, of which this is one more link
  bool whiteout = false;  // the path is deleted in the layers below; the layer may hold it all the same
  bool opaque = false;    // the directory hides those of the layers below
  std::map<std::string, std::string, std::less<>> xattrs = {};  // those of an overlay's own are left out
};

MemoryEntry MemoryFile(std::string_view path, std::string_view content, std::uint32_t mode = 0644);
MemoryEntry MemoryDirectory(std::string_view path, std::uint32_t mode = 0755);
MemoryEntry MemoryOpaqueDirectory(std::string_view path, std::uint32_t mode = 0755);
MemoryEntry MemorySymlink(std::string_view path, std::string_view target);
MemoryEntry MemorySpecial(std::string_view path, FileType type, DeviceNumber rdev = {}, std::uint32_t mode = 0600);
MemoryEntry MemoryLink(std::string_view path, std::string_view existing);
MemoryEntry MemoryWhiteout(std::string_view path);

struct MemoryLayerOptions {
  std::string description = "memory";
  bool reads_block = false;  // Read says kWouldBlock unless it may block: as a layer whose bytes are far away
};

// Directories that the list does not name are made with mode 0755. The same list gives the same ids. kInvalid for a bad
// path, kNotDirectory for one through a file. kExists for one given twice (a directory may be), kNotFound for a link to
// nothing. The message names the path.
Result<std::unique_ptr<Layer>> MakeMemoryLayer(std::span<const MemoryEntry> entries,
                                               const MemoryLayerOptions& options = {});

}  // namespace strata::vfs
