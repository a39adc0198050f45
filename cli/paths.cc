#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "base/hash.h"
#include "cli/command.h"

namespace strata::cli {

Result<std::string> AbsolutePath(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (!real) return Fail(Status::FromErrno(errno, path));
  return std::string(real.get());
}

Result<std::string> DefaultWorkspace(const std::string& folder) {
  std::string state;
  if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && xdg[0] == '/') {
    state = xdg;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    state = std::string(home) + "/.local/state";
  } else {
    return Fail(Errc::kInvalid, "neither XDG_STATE_HOME nor HOME is set; say where with --workspace PATH");
  }
  // The name is for people, the hash of the whole path tells equal names apart.
  std::string name = folder.substr(folder.rfind('/') + 1);
  if (name.empty()) name = "root";
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx",
                static_cast<unsigned long long>(SipHash24({0x737472617461, 0x776f726b}, AsBytes(folder))));
  return state + "/strata/" + name.substr(0, 200) + "-" + std::string(hash, 12);
}

Result<void> MakeParents(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (::mkdir(parent.c_str(), 0700) != 0 && errno != EEXIST) {
      return Fail(Status::FromErrno(errno, "making the folder " + parent));
    }
  }
  return {};
}

vfs::OpContext LocalContext() { return {.credentials = {}, .may_block = true}; }

Result<std::string> WorkspaceOf(const std::string& path) {
  STRATA_ASSIGN(std::string workspace, AbsolutePath(path));
  if (vfs::IsWorkspace(Env::System(), workspace)) return workspace;
  STRATA_ASSIGN(std::string made_for, DefaultWorkspace(workspace));
  return vfs::IsWorkspace(Env::System(), made_for) ? made_for : workspace;
}

Result<std::unique_ptr<vfs::Workspace>> OpenForReading(const std::string& path) {
  Env& env = Env::System();
  STRATA_ASSIGN(std::string workspace, WorkspaceOf(path));
  vfs::WorkspaceOptions options;
  options.read_only = true;
  return vfs::Workspace::Open(env, workspace, options);
}

Result<vfs::Entry> Walk(vfs::FileSystem& volume, std::string_view path) {
  const vfs::OpContext context = LocalContext();
  vfs::Entry at{volume.Root(), {}};
  STRATA_ASSIGN(at.attributes, volume.GetAttributes(context, at.id));
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    if (name.empty()) continue;
    auto next = volume.Lookup(context, at.id, name, nullptr);
    if (!next) return Fail(next.error().WithContext(path));
    at = *next;
  }
  return at;
}

}  // namespace strata::cli
