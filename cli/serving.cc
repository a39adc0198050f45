#include "cli/serving.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/unique_fd.h"
#include "server/lock_control.h"
#include "vfs/control_tree.h"
#include "vfs/home.h"

namespace strata::cli {
namespace {

// For calls under way to be answered before a takeover.
constexpr std::chrono::seconds kRelease{30};
// For a process that failed to take over to be gone, with its locks on the workspace and on the state folder.
constexpr std::chrono::seconds kLockLimit{30};
constexpr std::chrono::milliseconds kLockRetry{10};

// The two parts of one life, between which everything was handed over.
struct Life {
  std::shared_ptr<vfs::Workspace> workspace;
  std::string state_folder;          // empty: locks are kept in memory
  std::unique_ptr<File> state_lock;  // none where the workspace's own is enough
  std::unique_ptr<Server> server;
  std::optional<control::Point> point;

  ~Life() { Close(); }
  // In this order: the control socket is gone before anyone else can open the workspace.
  void Close() {
    point.reset();
    server.reset();
    state_lock.reset();
    workspace.reset();
  }
};

// What `open` gives. With `again` it is tried for as long as another process may take to be gone.
template <typename Open>
auto OpenPatiently(bool again, const Open& open) {
  const auto deadline = std::chrono::steady_clock::now() + kLockLimit;
  for (;;) {
    auto opened = open();
    if (opened || !again || opened.error().code() != Errc::kBusy) return opened;
    if (std::chrono::steady_clock::now() >= deadline) return opened;
    std::this_thread::sleep_for(kLockRetry);
  }
}

Result<void> OpenWorkspace(const Serving& serving, bool again, Life& life) {
  if (serving.workspace.empty()) {
    Env& env = Env::System();
    STRATA_ASSIGN(const vfs::VolumeKeys keys, vfs::OpenHome(env, serving.home, vfs::FormatLayerSpec(serving.tree)));
    STRATA_ASSIGN(life.workspace, vfs::Workspace::OpenAsItIs(env, serving.tree, keys, serving.home, serving.options));
    return {};
  }
  vfs::WorkspaceOptions options = serving.options;
  // Who asked for it meant what the layers were then.
  if (again) options.rebase = false;
  STRATA_ASSIGN(life.workspace,
                OpenPatiently(again, [&] { return vfs::Workspace::Open(Env::System(), serving.workspace, options); }));
  return {};
}

Result<void> OpenStateFolder(const Serving& serving, bool again, Life& life) {
  life.state_folder = serving.server.state_folder;
  if (life.state_folder.empty() || life.state_folder == serving.workspace) return {};
  auto lock = OpenPatiently(again, [&] { return vfs::LockStateFolder(Env::System(), life.state_folder); });
  if (lock) {
    life.state_lock = std::move(*lock);
  } else if (serving.state_needed) {
    return Fail(lock.error());
  } else {
    log::Warning("no_state_folder", {{"folder", life.state_folder}, {"error", lock.error()}});
    life.state_folder.clear();
  }
  return {};
}

// Answers who asks, until someone may take over (true) or a signal comes (false).
bool WaitFor(Life& life, int signals, std::optional<TakeoverRequest>& request) {
  pollfd waits[2] = {{signals, POLLIN, 0}, {life.point ? life.point->fd() : -1, POLLIN, 0}};
  for (;;) {
    if (::poll(waits, 2, -1) < 0) continue;
    if (waits[0].revents != 0) return false;
    if (waits[1].revents == 0) continue;
    std::optional<control::Request> asked = life.point->Accept();
    if (!asked) continue;
    if (asked->first.type == control::Type::kLockRequest) {
      AnswerLockRequest(*life.server, std::move(*asked));
      continue;
    }
    request = TakeoverRequest::From(std::move(*asked));
    if (request) return true;
  }
}

Result<UniqueFd> OpenSignals() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  UniqueFd signals(::signalfd(-1, &ends, SFD_CLOEXEC));
  if (!signals) return Fail(Status::FromErrno(errno, "waiting for signals"));
  return signals;
}

// Before the first call is answered: whoever has an answer may ask. Who asks earlier waits.
void OpenControl(const Serving& serving, Life& life) {
  if (serving.options.read_only) return;
  if (auto point = control::Point::Listen(serving.workspace); point) {
    life.point.emplace(std::move(*point));
  } else {
    log::Warning("control_unavailable",
                 {{"error", point.error()},
                  {"hint", "strata locks cannot ask it; to upgrade, end this server and start the new one"}});
  }
}

// Serves on what was handed over, if anything was; `taken` is told before the first byte is read.
Result<void> StartServer(const Serving& serving, std::optional<Handover>& handover,
                         std::move_only_function<void()> taken, Life& life) {
  std::vector<Export> exports;
  std::shared_ptr<vfs::FileSystem> volume = life.workspace;
  if (serving.control_tree) volume = std::make_shared<vfs::ControlTree>(std::move(volume));
  exports.push_back({serving.exported, std::move(volume)});
  ServerOptions options = serving.server;
  options.state_folder = life.state_folder;
  if (handover) {
    STRATA_ASSIGN(life.server, Server::Resume(options, std::move(exports), std::move(*handover), std::move(taken)));
  } else {
    STRATA_ASSIGN(life.server, Server::Start(options, std::move(exports)));
  }
  return {};
}

// Serves until somebody may take over and everything was released for that, or until a signal: then nothing, and the
// server has stopped.
std::optional<Handover> ServeUntilReleased(Life& life, int signals, std::optional<TakeoverRequest>& request) {
  while (WaitFor(life, signals, request)) {
    log::Info("takeover_asked", {{"pid", request->pid()}});
    // While calls are still answered: little is left for the pause.
    if (const auto done = life.workspace->Checkpoint(); !done)
      log::Warning("checkpoint_failed", {{"error", done.error()}, {"hint", "the next process replays the journal"}});
    if (request->Gone()) {
      log::Warning("takeover_failed", {{"error", "the new process has ended"}, {"then", "serving on"}});
      continue;
    }
    Result<Handover> released = life.server->Release(kRelease);
    if (released) return std::move(*released);
    log::Warning("takeover_refused", {{"reason", released.error()}, {"hint", "try again when the disk has caught up"}});
    request->Refuse(released.error());
  }
  life.server->Stop();
  return std::nullopt;
}

}  // namespace

Result<void> ServeUntilTold(const Serving& serving, Takeover* takeover,
                            const std::function<void(const Server&)>& ready) {
  STRATA_ASSIGN(const UniqueFd signals, OpenSignals());
  std::optional<Handover> handover;
  if (takeover != nullptr) handover = std::move(takeover->handover());
  for (bool again = false;; again = true) {
    Life life;
    STRATA_TRY(OpenWorkspace(serving, again, life));
    STRATA_TRY(OpenStateFolder(serving, again, life));
    OpenControl(serving, life);
    const auto taken = [&] {
      if (!again && takeover != nullptr) takeover->Serving();
    };
    STRATA_TRY(StartServer(serving, handover, taken, life));
    if (!again) ready(*life.server);

    std::optional<TakeoverRequest> request;
    handover = ServeUntilReleased(life, signals.get(), request);
    if (!handover) return {};
    life.Close();
    const Result<void> handed = request->HandOver(*handover, signals.get());
    if (handed) {
      log::Info("taken_over", {{"pid", request->pid()}});
      return {};
    }
    // A signal.
    if (handed.error().code() == Errc::kBusy) return {};
    log::Warning("takeover_failed", {{"pid", request->pid()}, {"error", handed.error()}, {"then", "serving on"}});
  }
}

}  // namespace strata::cli
