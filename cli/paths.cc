#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/hash.h"
#include "cli/command.h"
#include "store/pack/pack_store.h"
#include "vfs/home.h"

namespace strata::cli {
namespace {

// $XDG_STATE_HOME/strata; `instead`: the option that names another place.
Result<std::string> StateFolder(std::string_view instead) {
  if (const char* xdg = std::getenv("XDG_STATE_HOME"); xdg != nullptr && xdg[0] == '/') {
    return std::string(xdg) + "/strata";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/') {
    return std::string(home) + "/.local/state/strata";
  }
  return Fail(Errc::kInvalid, "neither XDG_STATE_HOME nor HOME is set; say where with " + std::string(instead));
}

std::string HashText(const SipHashKey& key, std::string_view text) {
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(SipHash24(key, AsBytes(text))));
  return hash;
}

}  // namespace

Result<std::string> AbsolutePath(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  if (!real) return Fail(Status::FromErrno(errno, path));
  return std::string(real.get());
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

bool IsFolderAlone(const vfs::LayerSpec& spec) {
  return spec.kind == vfs::LayerKind::kHost && spec.markers == kAlone && spec.at.empty();
}

std::string ShownSpec(const vfs::LayerSpec& spec) {
  return IsFolderAlone(spec) ? spec.path : vfs::FormatLayerSpec(spec);
}

Result<vfs::LayerSpec> ReadSpec(const std::string& text, const vfs::MarkerStyles& markers) {
  static constexpr std::string_view kEarlier = ",markers=";
  STRATA_ASSIGN(vfs::LayerSpec spec, vfs::ParseLayerSpec(text, markers));
  if (spec.kind == vfs::LayerKind::kCastore) {
    STRATA_ASSIGN(const store::StoreAddress address, ReadStore(spec.store));
    spec.store = store::FormatStoreAddress(address);
    return spec;
  }
  auto path = AbsolutePath(spec.path);
  const std::size_t option = text.rfind(kEarlier);
  const bool by_itself = spec.path == text;
  if (!path && by_itself && option != std::string::npos) {
    auto said = vfs::ParseMarkers(std::string_view(text).substr(option + kEarlier.size()));
    if (!said) return Fail(said.error().WithContext("layer " + text));
    spec.markers = *said;
    path = AbsolutePath(text.substr(0, option));
  }
  if (!path && by_itself && text.find(':') < text.find('/')) {
    return Fail(path.error().code(), std::string(path.error().message()) +
                                         "; what is no folder begins with its kind, which are host: and castore:");
  }
  if (!path) return Fail(path.error());
  spec.path = std::move(*path);
  return spec;
}

Result<store::StoreAddress> ReadStore(const std::string& text) {
  store::StoreAddress address;
  // Stores that are no folder of packs are named by a word and ':'.
  if (text.find(':') < text.find('/')) {
    std::unique_ptr<char, decltype(&std::free)> here(::getcwd(nullptr, 0), &std::free);
    STRATA_ASSIGN(address, store::ParseStoreAddress(text, here ? here.get() : ""));
  } else if (!text.empty()) {
    // It may be about to be made.
    const auto path = AbsolutePath(text);
    if (!path && path.error().code() != Errc::kNotFound) return Fail(path.error());
    address.path = path ? *path : std::filesystem::absolute(text).lexically_normal().string();
  }
  if (address.kind == store::StoreKind::kPack && address.path.empty()) {
    STRATA_ASSIGN(address.path, store::DefaultPackStorePath());
  }
  return address;
}

Result<std::string> DefaultWorkspace(const vfs::LayerSpec& spec) {
  STRATA_ASSIGN(const std::string state, StateFolder("--workspace PATH"));
  // The name is for people, the hash of the whole tells equal names apart.
  const std::string& named = spec.kind == vfs::LayerKind::kCastore ? spec.root : spec.path;
  std::string name = named.substr(named.rfind('/') + 1);
  if (name.empty()) name = "root";
  const std::string hash = HashText({0x737472617461, 0x776f726b}, ShownSpec(spec));
  return state + "/" + name.substr(0, 200) + "-" + hash.substr(0, 12);
}

Result<std::string> DefaultHome(const std::string& spec) {
  STRATA_ASSIGN(const std::string state, StateFolder("--state DIR"));
  return state + "/volumes/" + HashText({0x737472617461, 0x686f6d65}, spec);
}

Result<std::string> WorkspaceOf(const std::string& text) {
  STRATA_ASSIGN(const vfs::LayerSpec spec, ReadSpec(text, kAlone));
  const bool folder = IsFolderAlone(spec);
  if (folder && vfs::IsWorkspace(Env::System(), spec.path)) return spec.path;
  STRATA_ASSIGN(std::string made_for, DefaultWorkspace(spec));
  if (vfs::IsWorkspace(Env::System(), made_for)) return made_for;
  if (folder) return spec.path;
  return Fail(Errc::kNotFound, "there is no workspace over " + ShownSpec(spec) + "; strata serve " + text +
                                   " makes one, or strata init");
}

Result<std::unique_ptr<vfs::Workspace>> OpenForReading(const std::string& text, const vfs::WorkspaceOptions& asked) {
  Env& env = Env::System();
  vfs::WorkspaceOptions options = asked;
  options.read_only = true;
  STRATA_ASSIGN(const vfs::LayerSpec spec, ReadSpec(text, kAlone));
  if (spec.kind == vfs::LayerKind::kCastore) {
    options.list_roots = true;
    if (spec.root.empty()) {
      // The numbers of a store's trees are kept.
      STRATA_ASSIGN(const std::string home, DefaultHome(vfs::FormatLayerSpec(spec)));
      STRATA_TRY(MakeParents(home));
      STRATA_ASSIGN(const vfs::VolumeKeys keys, vfs::OpenHome(env, home, vfs::FormatLayerSpec(spec)));
      return vfs::Workspace::OpenAsItIs(env, spec, keys, home, options);
    }
    const auto made_for = DefaultWorkspace(spec);
    // Nobody keeps a handle or a place in a listing: any keys do.
    if (!made_for || !vfs::IsWorkspace(env, *made_for)) {
      return vfs::Workspace::OpenAsItIs(env, spec, vfs::NewVolumeKeys(env), "", options);
    }
  }
  STRATA_ASSIGN(std::string workspace, WorkspaceOf(text));
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
