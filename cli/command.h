// The sub-commands of strata: each adds itself to the parser and sets what is to run.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "store/address.h"
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
void AddXattr(CLI::App& app, Action& action);
void AddDiff(CLI::App& app, Action& action);
void AddCheck(CLI::App& app, Action& action);
void AddLocks(CLI::App& app, Action& action);
void AddImport(CLI::App& app, Action& action);
void AddExport(CLI::App& app, Action& action);
void AddStore(CLI::App& app, Action& action);

// realpath(3).
Result<std::string> AbsolutePath(const std::string& path);
// mkdir -p for all but the last component.
Result<void> MakeParents(const std::string& path);
// What `text` names (vfs/layer/spec.h), with absolute paths; a folder must be there. `markers`: of a folder for which
// the text says none. "DIR,markers=A+B", the form of earlier versions, is understood too, unless a folder has that
// name.
Result<vfs::LayerSpec> ReadSpec(const std::string& text, const vfs::MarkerStyles& markers);
// What is served alone has no layer beneath, which a marker could hide: all that lies in it is shown as it is.
inline constexpr vfs::MarkerStyles kAlone{};
// Whether it is a folder as it is: no more than a path was given, to be served alone.
bool IsFolderAlone(const vfs::LayerSpec& spec);
// For messages: the path of a folder alone, else its text.
std::string ShownSpec(const vfs::LayerSpec& spec);
// Where the workspace over what is served alone is kept: $XDG_STATE_HOME/strata/NAME-HASH, by default under
// ~/.local/state.
Result<std::string> DefaultWorkspace(const vfs::LayerSpec& spec);
// The home of a volume without a workspace (vfs/home.h): $XDG_STATE_HOME/strata/volumes/HASH, of the text of its spec.
Result<std::string> DefaultHome(const std::string& spec);
// The folder of the workspace that `text` is, or that was made over what it names.
Result<std::string> WorkspaceOf(const std::string& text);
// Opens that workspace for reading beside whoever serves it; of a castore tree without a workspace, the tree as it is.
Result<std::unique_ptr<vfs::Workspace>> OpenForReading(const std::string& text,
                                                       const vfs::WorkspaceOptions& options = {});
// The store that `text` names (store/address.h), or a folder of packs by its path; "" is the user's own. Absolute.
Result<store::StoreAddress> ReadStore(const std::string& text);
// The object at `path` ("a/b", "/a/b", "" or "/" for the root); symlinks are not followed.
Result<vfs::Entry> Walk(vfs::FileSystem& volume, std::string_view path);
// The superuser, who looks at everything.
vfs::OpContext LocalContext();

}  // namespace strata::cli
