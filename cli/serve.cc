// strata serve: serves a folder or a workspace until SIGINT or SIGTERM.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"
#include "cli/command.h"
#include "cli/serve_options.h"
#include "cli/serving.h"
#include "server/rpc/listener.h"
#include "server/server.h"
#include "store/digest.h"

namespace strata::cli {
namespace {

// The kernel's client may be mounted on this machine: then this process is what its dirty pages wait for when memory is
// short, and it must not be made to wait for them in turn. So its threads' allocations in the kernel start no
// write-back and are not slowed by it (PR_SET_IO_FLUSHER, inherited by threads that are made later). Needs
// CAP_SYS_RESOURCE.
void BecomeIoFlusher() {
  if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0) return log::Debug("io_flusher");
  log::Debug("no_io_flusher",
             {{"error", std::strerror(errno)},
              {"hint", "a mount on this machine may hang when memory is short: run as root or with CAP_SYS_RESOURCE"}});
}

// Whether a workspace over `layer` is one over what was asked for. Who says nothing of markers takes any.
bool IsOver(vfs::LayerSpec layer, const vfs::LayerSpec& asked) {
  if (asked.markers == kAlone) layer.markers = kAlone;
  return layer == asked;
}

// The workspace folder to serve, made if this is the first time and nobody's is to be taken over.
Result<std::string> FindWorkspace(const ServeArguments& arguments, const vfs::LayerSpec& spec) {
  Env& env = Env::System();
  const std::string target = ShownSpec(spec);
  if (IsFolderAlone(spec) && vfs::IsWorkspace(env, target)) {
    if (!arguments.workspace.empty()) {
      return Fail(Errc::kInvalid, target + " is a workspace itself; --workspace goes with a plain folder");
    }
    return target;
  }
  std::string workspace = arguments.workspace;
  if (workspace.empty()) {
    STRATA_ASSIGN(workspace, DefaultWorkspace(spec));
    STRATA_TRY(MakeParents(workspace));
  }
  if (vfs::IsWorkspace(env, workspace)) {
    STRATA_ASSIGN(vfs::WorkspaceConfig config, vfs::LoadWorkspaceConfig(env, workspace));
    if (config.layers.size() != 1 || !IsOver(config.layers[0].spec, spec)) {
      return Fail(Errc::kExists, workspace + " is a workspace over something else than " + target +
                                     "; choose another with --workspace, or serve that one: strata serve " + workspace);
    }
  } else if (arguments.read_only) {
    return Fail(Errc::kNotFound,
                "there is no workspace over " + target +
                    " yet, and --read-only makes none; leave --read-only out once, or make one: strata init");
  } else if (arguments.takeover) {
    return Fail(Errc::kNotFound, "there is no workspace over " + target +
                                     " yet, so no server to take over; leave --takeover out to start one");
  } else {
    STRATA_TRY(vfs::InitWorkspace(env, workspace, {spec}));
  }
  return AbsolutePath(workspace);
}

// Whether a tree is served as it is, without a workspace over it: who asks for --read-only of one that cannot change
// has no use for a workspace, and all of a store's trees side by side cannot lie beneath one.
bool IsAsItIs(const ServeArguments& arguments, const vfs::LayerSpec& spec) {
  if (spec.kind != vfs::LayerKind::kCastore) return false;
  return spec.root.empty() || (arguments.read_only && arguments.workspace.empty());
}

// The home of such a tree: --state, else one of its own.
Result<void> FindHome(const ServeArguments& arguments, Serving& serving) {
  if (arguments.takeover) {
    return Fail(Errc::kNotSupported,
                "a tree that is served as it is cannot be taken over yet; end that server, and start this one: "
                "clients wait, and their handles stay good");
  }
  if (!arguments.workspace.empty()) {
    return Fail(Errc::kInvalid,
                "all trees of a store cannot lie under a workspace; leave --workspace out, or name one tree: "
                "castore:NAME@STORE");
  }
  serving.options.read_only = true;
  if (arguments.state.empty()) {
    STRATA_ASSIGN(serving.home, DefaultHome(vfs::FormatLayerSpec(serving.tree)));
  } else {
    serving.home = arguments.state;
  }
  return MakeParents(serving.home);
}

// What is served: a workspace, or a tree as it is.
Result<void> FindVolume(const ServeArguments& arguments, Serving& serving) {
  STRATA_ASSIGN(serving.tree, ReadSpec(arguments.target, kAlone));
  if (IsAsItIs(arguments, serving.tree)) return FindHome(arguments, serving);
  if (arguments.share_inodes) {
    return Fail(Errc::kInvalid,
                "--share-inodes goes with a castore tree that is served as it is: in a workspace, a file that is "
                "written would no longer be that of the others. Leave it out, or serve castore:NAME@STORE with "
                "--read-only and without --workspace, or castore:@STORE");
  }
  STRATA_ASSIGN(serving.workspace, FindWorkspace(arguments, serving.tree));
  return {};
}

// Where is kept which clients have locks; empty: nowhere.
Result<void> FindStateFolder(const ServeArguments& arguments, Serving& serving) {
  std::string& folder = serving.server.state_folder;
  if (!serving.server.locks) return {};
  if (!arguments.state.empty()) {
    STRATA_TRY(MakeParents(arguments.state));
    STRATA_TRY(Env::System().CreateDirectory(arguments.state));
    STRATA_ASSIGN(folder, AbsolutePath(arguments.state));
    serving.state_needed = true;
    return {};
  }
  folder = serving.workspace.empty() ? serving.home : serving.workspace;
  if (serving.workspace.empty() || !arguments.read_only) return {};
  // Nothing is written to the workspace, which then has a home as a volume without one has.
  auto home = DefaultHome(vfs::FormatLayerSpec({.path = serving.workspace}));
  const Result<void> made = home ? MakeParents(*home) : Result<void>(Fail(home.error()));
  if (!made) log::Warning("no_state_folder", {{"error", made.error()}});
  folder = made ? std::move(*home) : std::string();
  return {};
}

// Fails where the server would for a port that is taken: before a workspace is made for nothing.
Result<void> CheckFree(const Endpoint& endpoint) {
  // Linux refuses this beside a listener even with SO_REUSEADDR. No listen: a client that waits for the server must not
  // be let in here.
  const auto bound = rpc::BindSocket(SOCK_STREAM, boost::asio::ip::make_address(endpoint.address), endpoint.port);
  const UniqueFd closed(bound.value_or(-1));
  if (bound) return {};
  return Fail(bound.error().code(),
              std::string(bound.error().message()) + "; choose another place with --listen ADDR:PORT");
}

// Whether what is mounted can never be another tree: clients may keep what they know of it.
bool IsForEver(const Serving& serving) {
  return serving.workspace.empty() && store::Digest::Parse(serving.tree.root).has_value();
}

// Linux's client can lock where it finds the lock manager, which it does by port 111 alone.
void PrintReady(const Server& server, const Serving& serving) {
  const bool locks = serving.server.locks && serving.server.portmap == PortmapMode::kAuto;
  const Endpoint& endpoint = server.endpoints()[0];
  const std::string shown = Shown(endpoint);
  const std::string host = ShownHost(endpoint);
  const std::string volume =
      serving.workspace.empty() ? "tree=" + vfs::FormatLayerSpec(serving.tree) : "workspace=" + serving.workspace;
  std::printf("ready nfs=%s mount=%s export=/ %s\n", shown.c_str(), shown.c_str(), volume.c_str());
  const std::string ports = "port=" + std::to_string(endpoint.port) + ",mountport=" + std::to_string(endpoint.port);
  std::string linux_options = locks ? "" : ",nolock", macos_options;
  if (serving.options.read_only) {
    linux_options += ",ro";
    macos_options += ",rdonly";
  }
  if (IsForEver(serving)) {
    linux_options += ",nocto,actimeo=3600";
    macos_options += ",actimeo=3600";
  }
  std::printf("Linux:  mount -t nfs -o vers=3,tcp,%s,mountproto=tcp%s %s:/ /mnt\n", ports.c_str(),
              linux_options.c_str(), host.c_str());
  std::printf(
      "macOS:  mount -t nfs -o vers=3,tcp,%s,locallocks,rsize=1048576,wsize=1048576,readahead=16%s %s:/ /private/mnt\n",
      ports.c_str(), macos_options.c_str(), host.c_str());
  std::fflush(stdout);
}

// Those that ServeUntilTold waits for. Threads started from here on inherit the mask.
void BlockSignals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

// `takeover` gets what was taken over, if that is asked for: whatever fails from then on, the old server must hear of.
Result<void> Serve(const ServeArguments& arguments, std::optional<Takeover>& takeover) {
  STRATA_ASSIGN(Serving serving, ParseServing(arguments));
  if (arguments.takeover) {
    STRATA_TRY(FindVolume(arguments, serving));
    STRATA_ASSIGN(takeover, Takeover::Ask(serving.workspace));
    serving.server.listen = takeover->handover().Endpoints();
    if (serving.server.listen.empty()) return Fail(Errc::kInvalid, "the server that was taken over listens nowhere");
  }
  STRATA_TRY(DecideAccess(arguments, serving));
  BlockSignals();
  BecomeIoFlusher();
  if (!takeover) {
    for (const Endpoint& endpoint : serving.server.listen) STRATA_TRY(CheckFree(endpoint));
    STRATA_TRY(FindVolume(arguments, serving));
  }
  STRATA_TRY(FindStateFolder(arguments, serving));
  return ServeUntilTold(serving, takeover ? &*takeover : nullptr,
                        [&](const Server& server) { PrintReady(server, serving); });
}

Result<void> Serve(const ServeArguments& arguments) {
  std::optional<Takeover> takeover;
  const Result<void> done = Serve(arguments, takeover);
  if (!done && takeover) takeover->Failed(done.error());
  return done;
}

// Where is served, to whom, and how it begins.
void AddAccessOptions(CLI::App& command, ServeArguments& arguments) {
  CLI::Option* const listen =
      command
          .add_option("--listen", arguments.listen,
                      "Where to serve, several times; default 127.0.0.1:2049 and [::1]:2049; port 0 takes a free one")
          ->type_name("ADDR:PORT");
  command
      .add_option("--allow", arguments.allow, "Whom to answer beyond loopback, several times; root is then squashed")
      ->type_name("CIDR");
  command.add_flag("--no-root-squash", arguments.no_root_squash, "Let root of other hosts be root here");
  command.add_flag("--insecure-ports", arguments.insecure_ports,
                   "Answer calls from ports of 1024 and above: any local user may then claim to be any user");
  CLI::Option* const read_only =
      command.add_flag("--read-only", arguments.read_only, "Write nothing to the workspace, refuse every change");
  CLI::Option* const portmap = command
                                   .add_option("--portmap", arguments.portmap,
                                               "auto: as root on port 2049, be found through port 111. off: never")
                                   ->check(CLI::IsMember({"auto", "off"}))
                                   ->capture_default_str();
  command
      .add_option("--locks", arguments.locks,
                  "on: grant clients locks (fcntl, flock) across machines, which outlive the server. off: refuse each "
                  "at once; mount with nolock then")
      ->check(CLI::IsMember({"on", "off"}))
      ->capture_default_str();
  command
      .add_option("--state", arguments.state,
                  "Where is kept which clients have locks, so that they claim them again after a restart; default: the "
                  "workspace, with --read-only a folder of its own under $XDG_STATE_HOME/strata/volumes")
      ->type_name("DIR");
  command
      .add_flag("--takeover", arguments.takeover,
                "Take the sockets of the server that serves this workspace over, and serve in its place: clients see "
                "a pause, no error. Listens where that one did; give all other options again")
      ->excludes(listen)
      ->excludes(read_only)
      ->excludes(portmap);
  command
      .add_flag("--rebase", arguments.rebase,
                "Where a layer's spec names another tree than the workspace was laid over, lay it over that one for "
                "good; refused where the workspace changed anything of the old one")
      ->excludes(read_only);
}

// What is kept, and in how much memory.
void AddVolumeOptions(CLI::App& command, ServeArguments& arguments) {
  command
      .add_option("--durability", arguments.durability,
                  "strict: CREATE, RENAME and their like are on disk before they are answered. relaxed: a power cut "
                  "may lose the last second "
                  "of them; fsync still waits for the disk; the death of the process loses nothing in either")
      ->check(CLI::IsMember({"strict", "relaxed"}))
      ->capture_default_str();
  command
      .add_option("--relaxed-interval", arguments.relaxed_interval,
                  "With --durability relaxed: how much a power cut may lose at most, such as 1s or 30s")
      ->type_name("TIME")
      ->capture_default_str();
  command
      .add_option("--history", arguments.history,
                  "How much of the past the journal keeps beside what the workspace still consists of: none, all, "
                  "what is younger than a "
                  "time (12h, 7d) or the last so many bytes (10G)")
      ->type_name("none|all|TIME|SIZE")
      ->capture_default_str();
  command
      .add_option(
          "--memory", arguments.memory,
          "Memory for caches, changes not yet in the index and buffers, all together, in MiB or with K, M or G; "
          "the process as a whole stays within 64 MiB more")
      ->type_name("SIZE")
      ->capture_default_str();
  command.add_flag("--no-control-tree", arguments.no_control_tree,
                   "No hidden /.strata, in which clients find extended attributes as files, since NFSv3 has none: "
                   "/.strata/xattr-names/PATH and /.strata/xattr/NAME/PATH");
  command.add_flag("--list-roots", arguments.list_roots,
                   "Of castore:@STORE: let clients list the store's names; without it they find those that they know");
  command.add_flag("--share-inodes", arguments.share_inodes,
                   "Of castore trees that are served as they are: files, directories and symlinks that are equal show "
                   "one inode number, as FUSE users of tvix know it; each has its own otherwise");
  command.add_flag("--no-show-xattr", arguments.no_show_xattr,
                   "Of castore trees: no digests as extended attributes (user.tvix.castore...digest)");
}

}  // namespace

void AddServe(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command =
      app.add_subcommand("serve", "Serve a folder as a writable copy-on-write workspace, or a workspace, over NFSv3");
  command
      ->add_option("SPEC", arguments->target,
                   "A folder (it never changes), or a workspace made by init; or a spec as that of init's --layer")
      ->required();
  command
      ->add_option("--workspace", arguments->workspace,
                   "Where what clients write is kept; default: a folder of SPEC's own under $XDG_STATE_HOME/strata")
      ->type_name("PATH");
  AddAccessOptions(*command, *arguments);
  AddVolumeOptions(*command, *arguments);
  command->footer(
      "Examples:\n"
      "  strata serve ~/project                        then: mount -t nfs localhost:/ /mnt\n"
      "  strata serve ~/project --listen 127.0.0.1:0   on a free port, which is printed\n"
      "  strata serve ~/ws --listen 0.0.0.0:2049 --allow 192.168.1.0/24\n"
      "  strata serve ~/project --takeover             upgrade: the server that runs hands over and ends");
  command->callback([arguments, &action] { action = [arguments] { return Serve(*arguments); }; });
}

}  // namespace strata::cli
