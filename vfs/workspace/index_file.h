// The index's file in a workspace's folder, as a thing that may be damaged and made anew.
#pragma once

#include <cstddef>
#include <string>

#include "base/env.h"
#include "base/status.h"

namespace strata::vfs {

inline std::string IndexPath(const std::string& workspace) { return workspace + "/index.db"; }
// Under which name a damaged file is kept.
inline std::string DamagedName(const std::string& file) { return file + ".damaged"; }
// Where a damaged index is kept.
inline std::string DamagedIndexPath(const std::string& workspace) { return DamagedName(IndexPath(workspace)); }
// Nothing has the name DamagedName(file) afterwards: what was kept under it is now FILE.damaged.2, what had that name
// FILE.damaged.3, and so on. At most `most` are kept, the one to come included.
Result<void> MakeRoomForDamaged(Env& env, const std::string& file, std::size_t most);

// A temporary one that a check makes (vfs/check), and leaves if it is killed.
inline std::string CheckIndexPath(const std::string& workspace) { return workspace + "/index.check"; }
// Removes the one at `path`, the copy beside it (PATH.copy), and what SQLite has put beside both.
void RemoveCheckIndex(Env& env, const std::string& path);

// Moves the index to DamagedIndexPath; its write-ahead log goes. Of those moved there before, the two newest are kept:
// a disk that damages it again and again does not fill up. No error where there is none. Takes the mark away.
Result<void> MoveIndexAside(Env& env, const std::string& workspace);
// Leaves a mark that the index is damaged: who next opens the workspace makes it anew.
Result<void> MarkIndexDamaged(Env& env, const std::string& workspace);
bool IsIndexMarkedDamaged(Env& env, const std::string& workspace);

}  // namespace strata::vfs
