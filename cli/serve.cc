// strata serve: serves a folder or a workspace until SIGINT or SIGTERM.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "base/log.h"
#include "cli/command.h"
#include "cli/serving.h"
#include "server/server.h"

namespace strata::cli {
namespace {

struct ServeArguments {
  std::string target;
  std::string workspace;
  std::vector<std::string> listen;
  std::vector<std::string> allow;
  bool insecure_ports = false;
  bool no_root_squash = false;
  bool read_only = false;
  bool takeover = false;
  std::string durability = "strict";
  std::string portmap = "auto";
  std::string memory = "256M";
  std::string history = "none";
  std::string relaxed_interval = "1s";
};

// "ADDR:PORT", "[V6ADDR]:PORT", "ADDR" (port 2049) or ":PORT" (127.0.0.1).
Result<Endpoint> ParseEndpoint(const std::string& text) {
  auto wrong = [&](std::string_view why) {
    return Fail(Errc::kInvalid, "--listen " + text + ": " + std::string(why) +
                                    "; give ADDR:PORT, such as 127.0.0.1:2049 or [::1]:2049");
  };
  Endpoint endpoint{"127.0.0.1", 2049};
  std::string address = text, port;
  if (!text.empty() && text[0] == '[') {
    const std::size_t close = text.find(']');
    if (close == std::string::npos) return wrong("no ']'");
    address = text.substr(1, close - 1);
    if (close + 1 < text.size()) {
      if (text[close + 1] != ':') return wrong("no ':' after ']'");
      port = text.substr(close + 2);
    }
  } else if (const std::size_t colon = text.rfind(':'); colon != std::string::npos && colon == text.find(':')) {
    address = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (!address.empty()) endpoint.address = address;
  in6_addr parsed;
  if (::inet_pton(AF_INET, endpoint.address.c_str(), &parsed) != 1 &&
      ::inet_pton(AF_INET6, endpoint.address.c_str(), &parsed) != 1) {
    return wrong("not a numeric address");
  }
  if (!port.empty()) {
    if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos) return wrong("not a port");
    const unsigned long number = std::stoul(port);
    if (number > 65535) return wrong("not a port");
    endpoint.port = static_cast<std::uint16_t>(number);
  }
  return endpoint;
}

bool IsLoopback(const Endpoint& endpoint) {
  auto loopback = Cidr::Parse(endpoint.address);
  return loopback && loopback->address.is_loopback();
}

std::string Shown(const Endpoint& endpoint) {
  const bool v6 = endpoint.address.find(':') != std::string::npos;
  return (v6 ? "[" + endpoint.address + "]" : endpoint.address) + ":" + std::to_string(endpoint.port);
}

// "256", "256M", "1G", "65536K".
Result<std::uint64_t> ParseMemory(const std::string& text) {
  constexpr std::uint64_t kLeast = 16 << 20, kMost = 1ULL << 40;
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view units = "KMG";
  const std::size_t unit = rest == end ? units.find('M') : end - rest == 1 ? units.find(*rest) : units.npos;
  if (error == std::errc() && unit != units.npos) {
    const std::uint64_t factor = 1ULL << (10 * (unit + 1));
    if (number <= kMost / factor && number * factor >= kLeast) return number * factor;
  }
  return Fail(Errc::kInvalid,
              "--memory " + text + ": not a size that can be served with; give one from 16M to 1024G, such as 256M");
}

// A number and the one letter of `units` behind it; nothing for anything else, or for what 2^62 nanoseconds or bytes do
// not hold.
std::optional<std::int64_t> ParseQuantity(std::string_view text,
                                          std::initializer_list<std::pair<char, std::int64_t>> units) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || end - rest != 1 || number <= 0) return std::nullopt;
  for (const auto& [unit, factor] : units) {
    if (unit == *rest && number <= (std::int64_t{1} << 62) / factor) return number * factor;
  }
  return std::nullopt;
}

constexpr std::int64_t kSecond = 1'000'000'000;

std::optional<std::int64_t> ParseDuration(std::string_view text) {
  return ParseQuantity(text, {{'s', kSecond}, {'m', 60 * kSecond}, {'h', 3600 * kSecond}, {'d', 86400 * kSecond}});
}

Result<vfs::HistoryPolicy> ParseHistory(const std::string& text) {
  if (text == "none") return vfs::HistoryPolicy{};
  if (text == "all") return vfs::HistoryPolicy{.all = true};
  if (const auto age = ParseDuration(text)) return vfs::HistoryPolicy{.age_ns = *age};
  if (const auto bytes =
          ParseQuantity(text, {{'K', 1LL << 10}, {'M', 1LL << 20}, {'G', 1LL << 30}, {'T', 1LL << 40}})) {
    return vfs::HistoryPolicy{.bytes = static_cast<std::uint64_t>(*bytes)};
  }
  return Fail(Errc::kInvalid,
              "--history " + text +
                  ": give none, all, a time such as 12h or 7d (s, m, h, d), or a size such as 10G (K, M, G, T)");
}

// The kernel's client may be mounted on this machine: then this process is what its dirty pages wait for when memory is
// short, and it must not be made to wait for them in turn. So its threads' allocations in the kernel start no
// write-back and are not slowed by it (PR_SET_IO_FLUSHER, inherited by threads that are made later). Needs
// CAP_SYS_RESOURCE.
void BecomeIoFlusher() {
  if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0) return log::Debug("event=io_flusher");
  log::Debug("event=no_io_flusher error=\"" + std::string(std::strerror(errno)) +
             "\" hint=\"a mount on this machine may hang when memory is short; run as root or with CAP_SYS_RESOURCE\"");
}

// Whether ::1 can be bound: containers often have no IPv6.
bool HasIpv6Loopback() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return bound;
}

// The workspace folder to serve, made if this is the first time and nobody's is to be taken over.
Result<std::string> FindWorkspace(const ServeArguments& arguments) {
  Env& env = Env::System();
  STRATA_ASSIGN(std::string target, AbsolutePath(arguments.target));
  if (vfs::IsWorkspace(env, target)) {
    if (!arguments.workspace.empty()) {
      return Fail(Errc::kInvalid, target + " is a workspace itself; --workspace goes with a plain folder");
    }
    return target;
  }
  std::string workspace = arguments.workspace;
  if (workspace.empty()) {
    STRATA_ASSIGN(workspace, DefaultWorkspace(target));
    STRATA_TRY(MakeParents(workspace));
  }
  if (vfs::IsWorkspace(env, workspace)) {
    STRATA_ASSIGN(vfs::WorkspaceConfig config, vfs::LoadWorkspaceConfig(env, workspace));
    if (config.layers.size() != 1 || config.layers[0].path != target) {
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
    // One layer has none beneath that a marker could hide: whatever lies in the folder is shown as it is.
    STRATA_TRY(vfs::InitWorkspace(env, workspace, {vfs::LayerSpec{.path = target, .markers = {}}}));
  }
  return AbsolutePath(workspace);
}

// Fails where the server would for a port that is taken: before a workspace is made for nothing.
Result<void> CheckFree(const Endpoint& endpoint) {
  sockaddr_storage address{};
  socklen_t size = sizeof(sockaddr_in);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
  if (::inet_pton(AF_INET, endpoint.address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
  } else {
    ::inet_pton(AF_INET6, endpoint.address.c_str(), &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    size = sizeof(sockaddr_in6);
  }
  const int fd = ::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Fail(Status::FromErrno(errno, "making a socket for " + Shown(endpoint)));
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ss_family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  // Linux refuses this beside a listener even with SO_REUSEADDR. No listen: a client that waits for the server must not
  // be let in here.
  const bool free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0;
  const int error = errno;
  ::close(fd);
  if (free) return {};
  return Fail(ErrcFromErrno(error), "listening on " + Shown(endpoint) + ": " + std::strerror(error) +
                                        "; choose another place with --listen ADDR:PORT");
}

void PrintReady(const Server& server, const std::string& workspace, bool read_only) {
  const Endpoint& endpoint = server.endpoints()[0];
  const std::string shown = Shown(endpoint);
  const bool v6 = endpoint.address.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + endpoint.address + "]" : endpoint.address;
  std::printf("ready nfs=%s mount=%s export=/ workspace=%s\n", shown.c_str(), shown.c_str(), workspace.c_str());
  const std::string ports = "port=" + std::to_string(endpoint.port) + ",mountport=" + std::to_string(endpoint.port);
  std::printf("Linux:  mount -t nfs -o vers=3,tcp,%s,mountproto=tcp,nolock%s %s:/ /mnt\n", ports.c_str(),
              read_only ? ",ro" : "", host.c_str());
  std::printf(
      "macOS:  mount -t nfs -o vers=3,tcp,%s,locallocks,rsize=1048576,wsize=1048576,readahead=16%s %s:/ /private/mnt\n",
      ports.c_str(), read_only ? ",rdonly" : "", host.c_str());
  std::fflush(stdout);
}

// `takeover` gets what was taken over, if that is asked for: whatever fails from then on, the old server must hear of.
Result<void> Serve(const ServeArguments& arguments, std::optional<Takeover>& takeover) {
  Serving serving;
  ServerOptions& options = serving.server;
  ExportOptions& exported = serving.exported;
  options.listen.clear();
  for (const std::string& text : arguments.listen) {
    STRATA_ASSIGN(Endpoint endpoint, ParseEndpoint(text));
    options.listen.push_back(std::move(endpoint));
  }
  for (const std::string& text : arguments.allow) {
    STRATA_ASSIGN(Cidr cidr, Cidr::Parse(text));
    exported.allow.push_back(std::move(cidr));
  }
  STRATA_ASSIGN(const std::uint64_t memory, ParseMemory(arguments.memory));
  STRATA_ASSIGN(const vfs::HistoryPolicy history, ParseHistory(arguments.history));
  const auto relaxed_interval = ParseDuration(arguments.relaxed_interval);
  if (!relaxed_interval) {
    return Fail(Errc::kInvalid,
                "--relaxed-interval " + arguments.relaxed_interval + ": give a time such as 1s or 2m (s, m, h, d)");
  }
  options.duplicate_cache_bytes = options.max_buffered_bytes = vfs::MemoryBudget::Of(memory).server / 2;
  if (arguments.takeover) {
    STRATA_ASSIGN(serving.workspace, FindWorkspace(arguments));
    STRATA_ASSIGN(takeover, Takeover::Ask(serving.workspace));
    options.listen = takeover->handover().Endpoints();
    if (options.listen.empty()) return Fail(Errc::kInvalid, "the server that was taken over listens nowhere");
  }
  const bool beyond_loopback = !std::all_of(options.listen.begin(), options.listen.end(), IsLoopback);
  if (beyond_loopback && exported.allow.empty()) {
    return Fail(Errc::kInvalid,
                "listening beyond loopback lets others in: say whom with --allow CIDR, such as --allow 192.168.1.0/24");
  }
  if (options.listen.empty()) {
    options.listen.push_back({"127.0.0.1", 2049});
    if (HasIpv6Loopback()) options.listen.push_back({"::1", 2049});
  }
  exported.insecure_ports = arguments.insecure_ports;
  exported.squash = beyond_loopback && !arguments.no_root_squash ? Squash::kRoot : Squash::kNone;
  // Port 111 tells where port 2049 is; other ports are named in the mount command.
  const bool standard_port = options.listen[0].port == 2049;
  if (arguments.portmap == "auto" && standard_port && ::geteuid() == 0) options.portmap = PortmapMode::kAuto;

  // Threads started from here on inherit the mask: the signals wait for ServeUntilTold.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  BecomeIoFlusher();
  if (!takeover) {
    for (const Endpoint& endpoint : options.listen) STRATA_TRY(CheckFree(endpoint));
    STRATA_ASSIGN(serving.workspace, FindWorkspace(arguments));
  }
  vfs::WorkspaceOptions& workspace_options = serving.options;
  workspace_options.read_only = arguments.read_only;
  workspace_options.durability =
      arguments.durability == "relaxed" ? vfs::Durability::kRelaxed : vfs::Durability::kStrict;
  workspace_options.memory_bytes = memory;
  workspace_options.history = history;
  workspace_options.relaxed_interval_ns = *relaxed_interval;
  return ServeUntilTold(serving, takeover ? &*takeover : nullptr,
                        [&](const Server& server) { PrintReady(server, serving.workspace, arguments.read_only); });
}

Result<void> Serve(const ServeArguments& arguments) {
  std::optional<Takeover> takeover;
  const Result<void> done = Serve(arguments, takeover);
  if (!done && takeover) takeover->Failed(done.error());
  return done;
}

}  // namespace

void AddServe(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command =
      app.add_subcommand("serve", "Serve a folder as a writable copy-on-write workspace, or a workspace, over NFSv3");
  command->add_option("DIR", arguments->target, "The folder (it never changes), or a workspace made by init")
      ->required();
  command
      ->add_option("--workspace", arguments->workspace,
                   "Where what clients write is kept; default: a folder of DIR's own under $XDG_STATE_HOME/strata")
      ->type_name("PATH");
  CLI::Option* const listen =
      command
          ->add_option("--listen", arguments->listen,
                       "Where to serve, several times; default 127.0.0.1:2049 and [::1]:2049; port 0 takes a free one")
          ->type_name("ADDR:PORT");
  command
      ->add_option("--allow", arguments->allow, "Whom to answer beyond loopback, several times; root is then squashed")
      ->type_name("CIDR");
  command->add_flag("--no-root-squash", arguments->no_root_squash, "Let root of other hosts be root here");
  command->add_flag("--insecure-ports", arguments->insecure_ports,
                    "Answer calls from ports of 1024 and above: any local user may then claim to be any user");
  CLI::Option* const read_only =
      command->add_flag("--read-only", arguments->read_only, "Write nothing, refuse every change");
  command
      ->add_option("--durability", arguments->durability,
                   "strict: CREATE, RENAME and their like are on disk before they are answered. relaxed: a power cut "
                   "may lose the last second "
                   "of them; fsync still waits for the disk; the death of the process loses nothing in either")
      ->check(CLI::IsMember({"strict", "relaxed"}))
      ->capture_default_str();
  CLI::Option* const portmap = command
                                   ->add_option("--portmap", arguments->portmap,
                                                "auto: as root on port 2049, be found through port 111. off: never")
                                   ->check(CLI::IsMember({"auto", "off"}))
                                   ->capture_default_str();
  command
      ->add_flag("--takeover", arguments->takeover,
                 "Take the sockets of the server that serves this workspace over, and serve in its place: clients see "
                 "a pause, no error. Listens where that one did; give all other options again")
      ->excludes(listen)
      ->excludes(read_only)
      ->excludes(portmap);
  command
      ->add_option("--relaxed-interval", arguments->relaxed_interval,
                   "With --durability relaxed: how much a power cut may lose at most, such as 1s or 30s")
      ->type_name("TIME")
      ->capture_default_str();
  command
      ->add_option("--history", arguments->history,
                   "How much of the past the journal keeps beside what the workspace still consists of: none, all, "
                   "what is younger than a "
                   "time (12h, 7d) or the last so many bytes (10G)")
      ->type_name("none|all|TIME|SIZE")
      ->capture_default_str();
  command
      ->add_option(
          "--memory", arguments->memory,
          "Memory for caches, changes not yet in the index and buffers, all together, in MiB or with K, M or G; "
          "the process as a whole stays within 64 MiB more")
      ->type_name("SIZE")
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  strata serve ~/project                        then: mount -t nfs localhost:/ /mnt\n"
      "  strata serve ~/project --listen 127.0.0.1:0   on a free port, which is printed\n"
      "  strata serve ~/ws --listen 0.0.0.0:2049 --allow 192.168.1.0/24\n"
      "  strata serve ~/project --takeover             upgrade: the server that runs hands over and ends");
  command->callback([arguments, &action] { action = [arguments] { return Serve(*arguments); }; });
}

}  // namespace strata::cli
