// The sub-commands of strata: each adds itself to the parser and sets what is to run.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "vfs/workspace/workspace.h"

namespace CLI {
class App;
}

namespace strata::cli {

// What the parsed command line asks for.
using Action = std::function<Result<void>()>;

void AddServe(CLI::App& app, Action& action);
void AddInit(CLI::App& app, Action& action);
void AddList(CLI::App& app, Action& action);
void AddCat(CLI::App& app, Action& action);
void AddStat(CLI::App& app, Action& action);
void AddDiff(CLI::App& app, Action& action);
void AddCheck(CLI::App& app, Action& action);
void AddLocks(CLI::App& app, Action& action);

// Where workspaces over plain folders are kept, and which one is that of `folder` (an absolute path):
// $XDG_STATE_HOME/strata/NAME-HASH, by default under ~/.local/state.
Result<std::string> DefaultWorkspace(const std::string& folder);
// realpath(3).
Result<std::string> AbsolutePath(const std::string& path);
// mkdir -p for all but the last component.
Result<void> MakeParents(const std::string& path);
// The folder of the workspace that `path` is, or that was made for the folder `path` is.
Result<std::string> WorkspaceOf(const std::string& path);
// Opens the workspace that `path` is, or that was made for the folder `path` is, for reading beside whoever serves it.
Result<std::unique_ptr<vfs::Workspace>> OpenForReading(const std::string& path);
// The object at `path` ("a/b", "/a/b", "" or "/" for the root); symlinks are not followed.
Result<vfs::Entry> Walk(vfs::FileSystem& volume, std::string_view path);
// The superuser, who looks at everything.
vfs::OpContext LocalContext();

}  // namespace strata::cli
