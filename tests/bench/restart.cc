#include "tests/bench/restart.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/bench/options.h"
#include "tests/bench/pool.h"
#include "tests/bench/server_log.h"
#include "tests/bench/support.h"
#include "tests/bench/target.h"

namespace nfsbench {
namespace {

constexpr std::uint64_t kLimitNs = 120'000'000'000;  // for a start, and for checkpoints to come
constexpr useconds_t kPause = 200;                   // between two tries
constexpr std::uint32_t kBurstBytes = 4096;
constexpr std::uint32_t kBurstCreators = 64;
constexpr std::uint64_t kBurstDirectories = 64;
// So many checkpoints of a burst tell how long one takes; the next is killed when between this much of that and all of
// it has passed: by then as much lies behind the last one as ever will, and the repetitions hit it before, in and after
// its commit.
constexpr std::size_t kLearn = 2;
constexpr double kLate = 0.4;

bool Connects(const TargetSpec& spec) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(spec.nfs_port));
  inet_pton(AF_INET, spec.host.c_str(), &address.sin_addr);
  const bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

// Who ends with the program, however that ends (Die): 0 for none.
pid_t server = 0;
pid_t parent = 0;
void KillServer() {
  if (server > 0 && getpid() == parent) kill(server, SIGKILL);
}

// The server as a child; one at a time.
class Server {
 public:
  Server(const TargetSpec& spec, std::vector<std::string> command, std::string log)
      : spec_(spec), command_(std::move(command)), log_(std::move(log)) {
    parent = getpid();
    std::atexit(KillServer);
  }

  // Returns when it accepts connections.
  void Start() {
    std::vector<char*> argv;
    for (std::string& argument : command_) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const int failed = posix_spawnp(&server, argv[0], &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) Die("starting %s: %s", argv[0], std::strerror(failed));
    for (const std::uint64_t began = NowNs(); !Connects(spec_); usleep(kPause)) {
      if (waitpid(server, nullptr, WNOHANG) == server) {
        server = 0;
        Die("the server ended; see %s", log_.c_str());
      }
      if (NowNs() - began > kLimitNs) Die("the server accepts no connection; see %s", log_.c_str());
    }
  }
  void End(int signal) {
    kill(server, signal);
    waitpid(server, nullptr, 0);
    server = 0;
  }
  const std::string& log() const { return log_; }

 private:
  const TargetSpec& spec_;
  std::vector<std::string> command_;
  const std::string log_;
};

// Files of `bytes` bytes (0: not written to) until `count` are made, in turn in the directories.
std::uint64_t MakeFiles(Pool& pool, std::uint32_t depth, const std::vector<Handle>& directories, std::uint64_t count,
                        std::uint32_t bytes, std::uint32_t stable) {
  std::vector<Handle> file(depth);
  std::vector<bool> created(depth);
  std::uint64_t issued = 0, errors = 0;
  pool.Run(
      [&](std::uint32_t slot, const Reply* previous, Call& call) {
        if (previous != nullptr && !previous->ok()) ++errors;
        created[slot] = bytes > 0 && previous != nullptr && !created[slot] && previous->ok();
        if (created[slot]) {
          file[slot] = previous->handle;
          call.procedure = Procedure::kWrite;
          call.handle = &file[slot];
          call.count = bytes;
          call.stable = stable;
          call.data = Payload().data();
          return true;
        }
        if (issued == count) return false;
        call.procedure = Procedure::kCreate;
        call.handle = &directories[issued % directories.size()];
        call.name = NumberedName("file", issued++);
        return true;
      },
      depth);
  return errors;
}

struct Restart {
  double milliseconds = 0;
  CheckpointRun replay;  // the checkpoint of the start; nothing if there was none
};

class Bench {
 public:
  Bench(const Options& options, std::vector<std::string> command, const std::string& log)
      : options_(options), spec_(options_.targets.front()), server_(spec_, std::move(command), log) {}

  // Makes the files, if they are not there, and gets the handles.
  void Fill(std::uint64_t directories, std::uint32_t bytes) {
    server_.Start();
    root_ = MountRoot(spec_.host, spec_.mount_port, spec_.path);
    Pool pool(spec_, options_, options_.connections);
    if (const Reply reply = LookUp(pool, root_, "tree"); !reply.ok()) {
      const Handle tree = MakeDirectory(pool, root_, "filling");
      std::vector<Handle> into;
      for (std::uint64_t i = 0; i < directories; ++i) into.push_back(MakeDirectory(pool, tree, NumberedName("dir", i)));
      const std::uint64_t errors = MakeFiles(pool, options_.depth, into, options_.files, bytes, kUnstable);
      if (errors > 0) Die("making %u files: %llu errors", options_.files, static_cast<unsigned long long>(errors));
      Call rename;
      rename.procedure = Procedure::kRename;
      rename.handle = rename.to_directory = &root_;
      rename.name = "filling";
      rename.to_name = "tree";
      if (!pool.One(rename).ok()) Die("RENAME of the tree failed");
    }
    Reply reply = LookUp(pool, root_, "tree");
    if (reply.ok()) reply = LookUp(pool, reply.handle, NumberedName("dir", 0));
    if (reply.ok()) reply = LookUp(pool, reply.handle, NumberedName("file", 0));
    if (!reply.ok()) Die("the first file is not there: status %u", reply.status);
    asked_ = reply.handle;
  }

  // Everything in the index, nothing changed since.
  Restart Quiet() {
    server_.End(SIGTERM);
    StartAndAsk();
    server_.End(SIGKILL);
    return StartAndAsk();
  }

  Restart InABurst(std::uint32_t bytes, double late) {
    std::fflush(stdout);
    const pid_t load = fork();
    if (load < 0) Die("fork: %s", std::strerror(errno));
    if (load == 0) Burst(bytes);
    AwaitLateCheckpoint(load, late);
    server_.End(SIGKILL);
    kill(load, SIGKILL);
    waitpid(load, nullptr, 0);
    return StartAndAsk();
  }

 private:
  // In a process of its own: the death of the server ends it.
  [[noreturn]] void Burst(std::uint32_t bytes) {
    close(2);
    Pool pool(spec_, options_, options_.connections);
    std::vector<Handle> into;
    const Handle parent = MakeDirectory(pool, root_, "burst." + std::to_string(getpid()));
    for (std::uint64_t i = 0; i < kBurstDirectories; ++i)
      into.push_back(MakeDirectory(pool, parent, NumberedName("dir", i)));
    MakeFiles(pool, kBurstCreators, into, ~std::uint64_t{0}, bytes, kFileSync);
    _exit(1);
  }

  void AwaitLateCheckpoint(pid_t load, double late) {
    const std::size_t before = ReadCheckpoints(server_.log()).size();
    for (const std::uint64_t began = NowNs(); NowNs() - began < kLimitNs; usleep(kPause)) {
      if (waitpid(load, nullptr, WNOHANG) == load) Die("the burst ended before the server");
      const auto runs = ReadCheckpoints(server_.log());
      if (runs.size() <= before + kLearn || runs.back().end != 0) continue;
      std::uint64_t most = 0;
      for (std::size_t i = before; i + 1 < runs.size(); ++i) most = std::max(most, runs[i].end - runs[i].begin);
      if (NowNs() - runs.back().begin >= static_cast<std::uint64_t>(static_cast<double>(most) * late)) return;
    }
    Die("no checkpoint in a burst of %.0f s", static_cast<double>(kLimitNs) * 1e-9);
  }

  Restart StartAndAsk() {
    const std::size_t before = ReadCheckpoints(server_.log()).size();
    const std::uint64_t began = NowNs();
    server_.Start();
    Pool pool(spec_, options_, 1);
    Call call;
    call.procedure = Procedure::kGetattr;
    call.handle = &asked_;
    const Reply reply = pool.One(call);
    Restart restart{static_cast<double>(NowNs() - began) * 1e-6, {}};
    if (!reply.ok()) Die("GETATTR after a restart, by a handle from before it: status %u", reply.status);
    const auto runs = ReadCheckpoints(server_.log());
    if (runs.size() > before) restart.replay = runs[before];
    return restart;
  }

  const Options options_;
  const TargetSpec& spec_;
  Server server_;
  Handle root_, asked_;
};

void Print(const char* metric, const Options& options, std::vector<Restart> restarts) {
  std::ranges::sort(restarts, {}, &Restart::milliseconds);
  std::uint64_t records = 0, bytes = 0, replay = 0;
  for (const Restart& restart : restarts) {
    records = std::max(records, restart.replay.records);
    bytes = std::max(bytes, restart.replay.bytes);
    replay = std::max(replay, restart.replay.milliseconds());
  }
  std::printf(
      "{\"metric\":\"%s\",\"server\":\"%s\",\"unit\":\"ms\",\"files\":%u,\"reps\":%zu,\"median\":%.0f,\"min\":%.0f,"
      "\"max\":%.0f,"
      "\"records\":%llu,\"journal_mib\":%.0f,\"replay_ms\":%llu,\"errors\":0}\n",
      metric, options.targets.front().label.c_str(), options.files, restarts.size(),
      restarts[(restarts.size() - 1) / 2].milliseconds, restarts.front().milliseconds, restarts.back().milliseconds,
      static_cast<unsigned long long>(records), static_cast<double>(bytes) / (1 << 20),
      static_cast<unsigned long long>(replay));
  std::fflush(stdout);
}

}  // namespace

int RestartMain(std::vector<std::string> arguments) {
  const auto split = std::ranges::find(arguments, "--");
  if (split == arguments.end() || split + 1 == arguments.end()) Die("restart: the server's command comes behind --");
  std::vector<std::string> command(split + 1, arguments.end());
  arguments.erase(split, arguments.end());
  const std::string log = TakeOption(arguments, "--log", "");
  const std::uint64_t directories = std::stoull(TakeOption(arguments, "--dirs", "1000"));
  const auto bytes = static_cast<std::uint32_t>(std::stoul(TakeOption(arguments, "--file-bytes", "1024")));
  if (log.empty()) Die("restart: --log wants a file for the server's output");
  if (directories == 0 || bytes == 0 || bytes > Payload().size())
    Die("restart: --dirs and --file-bytes are at least 1");
  const Options options = ParseOptions(arguments);

  Bench bench(options, std::move(command), log);
  bench.Fill(directories, bytes);
  const auto repeat = [&](const char* metric, auto restart) {
    std::vector<Restart> restarts;
    for (int i = 0; i < options.repetitions; ++i)
      restarts.push_back(restart(kLate + (1 - kLate) * i / options.repetitions));
    Print(metric, options, std::move(restarts));
  };
  repeat("restart_quiet", [&](double) { return bench.Quiet(); });
  repeat("restart_create_write", [&](double late) { return bench.InABurst(kBurstBytes, late); });
  repeat("restart_create", [&](double late) { return bench.InABurst(0, late); });
  return 0;
}

}  // namespace nfsbench
