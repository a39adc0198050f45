// The index's file in a workspace's folder, as a thing that may be damaged and made anew.
#pragma once

#include <string>

#include "base/env.h"
#include "base/status.h"

namespace strata::vfs {

inline std::string IndexPath(const std::string& workspace) { return workspace + "/index.db"; }
// Where a damaged one is kept.
inline std::string DamagedIndexPath(const std::string& workspace) { return workspace + "/index.db.damaged"; }

// A temporary one that a check makes (vfs/check), and leaves if it is killed.
inline std::string CheckIndexPath(const std::string& workspace) { return workspace + "/index.check"; }
// Removes the one at `path`, the copy beside it (PATH.copy), and what SQLite has put beside both.
void RemoveCheckIndex(Env& env, const std::string& path);

// Moves the index to DamagedIndexPath, over what is there; its write-ahead log goes. No error where there is none.
// Takes the mark away.
Result<void> MoveIndexAside(Env& env, const std::string& workspace);
// Leaves a mark that the index is damaged: who next opens the workspace makes it anew.
Result<void> MarkIndexDamaged(Env& env, const std::string& workspace);
bool IsIndexMarkedDamaged(Env& env, const std::string& workspace);

}  // namespace strata::vfs
