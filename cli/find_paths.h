// From inode numbers to names: a volume knows only the other way.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>

#include "base/ids.h"
#include "vfs/file_system.h"

namespace strata::cli {

// The path ("/a/b") of each of the objects, by one of its names, as far as they are found within `limit`: the tree is
// walked, what lies high up first.
std::map<InodeNumber, std::string> FindPaths(vfs::FileSystem& volume, std::set<InodeNumber> wanted,
                                             std::chrono::milliseconds limit);

}  // namespace strata::cli
