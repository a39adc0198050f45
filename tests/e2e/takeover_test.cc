// The real program takes over from the real program. The end of the exchange that this process plays itself is the
// library's own.
#include "server/takeover.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>
#include <thread>

#include "tests/base/temp_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/service.h"
#include "tests/e2e/wire.h"

namespace strata::e2e {
namespace {

constexpr std::uint32_t kNfs = 100003, kMount = 100005;
constexpr std::uint32_t kCreate = 8, kLookup = 3;

class TakeoverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(lower_);
    WriteHostFile(lower_ + "/file", "content");
    server_ = std::make_unique<ServedProcess>(
        std::vector<std::string>{lower_, "--workspace", workspace_, "--insecure-ports"});
    ASSERT_NE(server_->port(), 0);
    port_ = server_->port();
    running_ = &server_->process();
  }
  std::vector<std::string> Command(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> command = {STRATA_PROGRAM,     "serve",     lower_, "--workspace", workspace_,
                                        "--insecure-ports", "--takeover"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  // A new process takes over, and the old one ends well.
  void TakeOver() {
    auto next = std::make_unique<Process>(Command());
    ASSERT_EQ(next->ReadLine(), server_->ready_line()) << "as the first one said";
    EXPECT_EQ(running_->Wait(), 0) << running_->errors();
    next_ = std::move(next);
    running_ = next_.get();
  }
  void Stop() {
    running_->Signal(SIGTERM);
    EXPECT_EQ(running_->Wait(), 0) << running_->errors();
  }
  std::string RootHandle(Wire& wire) const {
    const WireReply reply = wire.Call(kMount, 3, 1, Xdr().Opaque("/").bytes());
    EXPECT_EQ(reply.Word(0), 0u);
    return reply.body.size() < 8 ? "" : reply.body.substr(8, reply.Word(1));
  }
  // A guarded CREATE: the second time it says NFS3ERR_EXIST, unless it is known to be the first one again.
  static WireReply Create(Wire& wire, const std::string& root, const std::string& name) {
    return wire.Call(kNfs, 3, kCreate,
                     Xdr().Opaque(root).Opaque(name).Word(1).Word(0).Word(0).Word(0).Word(0).Word(0).Word(0).bytes());
  }
  static bool Answers(Wire& wire) { return wire.Call(kNfs, 3, 0).came; }

  TempFolder folder_;
  const std::string lower_ = folder_ / "lower", workspace_ = folder_ / "workspace";
  std::unique_ptr<ServedProcess> server_;
  std::unique_ptr<Process> next_;
  Process* running_ = nullptr;
  std::uint16_t port_ = 0;
};

TEST_F(TakeoverTest, AConnectionItsHandlesAndItsAnswersOutliveThreeProcesses) {
  Wire wire(port_);
  const std::string root = RootHandle(wire);
  ASSERT_FALSE(root.empty());
  for (int life = 0; life < 3; ++life) {
    const std::string name = "made-" + std::to_string(life);
    Wire before(port_), after(port_);  // both send their first call: the same one
    const WireReply first = Create(before, root, name);
    ASSERT_EQ(first.Word(0), 0u);
    ASSERT_NO_FATAL_FAILURE(TakeOver());
    const WireReply again = Create(after, root, name);
    EXPECT_EQ(again.body, first.body) << "the call that came again got another answer";
    EXPECT_EQ(Create(after, root, name).Word(0), 17u) << "a new call for the same name: NFS3ERR_EXIST";
    EXPECT_EQ(wire.Call(kNfs, 3, kLookup, Xdr().Opaque(root).Opaque(name).bytes()).Word(0), 0u);
  }
  Stop();
}

TEST_F(TakeoverTest, ANewProcessThatDiesLeavesTheOldOneServing) {
  Wire wire(port_);
  const std::string root = RootHandle(wire);
  for (int life = 0; life < 3; ++life) {
    ASSERT_EQ(Create(wire, root, "before-" + std::to_string(life)).Word(0), 0u);
    auto taken = Takeover::Ask(workspace_);
    ASSERT_TRUE(taken) << taken.error().ToString();
    EXPECT_EQ(taken->handover().Endpoints().size(), 1u);
    // Nobody serves now: who connects waits, and so does who calls.
    Wire waiting(port_);
    ASSERT_TRUE(waiting.connected());
    std::atomic<bool> answered = false;
    std::jthread caller([&] { answered = Answers(waiting); });
    EXPECT_FALSE(Takeover::Ask(workspace_)) << "a second one at the same time";
    {
      const Takeover died = std::move(*taken);
    }
    EXPECT_EQ(Create(wire, root, "after-" + std::to_string(life)).Word(0), 0u);
    caller.join();
    EXPECT_TRUE(answered);
  }
  // And one that says why.
  auto failing = Takeover::Ask(workspace_);
  ASSERT_TRUE(failing);
  failing->Failed(Status(Errc::kInvalid, "the reason"));
  EXPECT_TRUE(Answers(wire));
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  EXPECT_TRUE(Answers(wire));
  EXPECT_THAT(server_->process().errors(), ::testing::HasSubstr("the reason"));
  Stop();
}

TEST_F(TakeoverTest, TheOldProcessMayBeToldToEndWhileItWaits) {
  Wire wire(port_);
  auto taken = Takeover::Ask(workspace_);
  ASSERT_TRUE(taken);
  running_->Signal(SIGTERM);
  EXPECT_EQ(running_->Wait(), 0);
  taken->Serving();  // to nobody: not an error
}

TEST_F(TakeoverTest, ANewProcessThatFailsAfterItWasGivenEverythingLeavesTheOldOneServing) {
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 100; ++i) wires.push_back(std::make_unique<Wire>(port_));
  for (const auto& wire : wires) ASSERT_TRUE(Answers(*wire));
  std::string command = "ulimit -n 40; exec";
  for (const std::string& argument : Command()) command += " '" + argument + "'";
  const Finished failed = e2e::Run({"/bin/sh", "-c", command});
  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(failed.errors, ::testing::HasSubstr("ulimit -n"));
  for (const auto& wire : wires) ASSERT_TRUE(Answers(*wire));
  Stop();
}

int ConnectControl(const std::string& workspace) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (workspace + "/control").copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

// What the server answers to these bytes before it closes; "" where it says nothing for 20 s.
std::string Heard(int fd, std::string_view said) {
  ::send(fd, said.data(), said.size(), MSG_NOSIGNAL);
  std::string heard;
  pollfd wait{fd, POLLIN, 0};
  char buffer[4096];
  for (ssize_t size = 1; size > 0 && ::poll(&wait, 1, 20'000) > 0;) {
    size = ::recv(fd, buffer, sizeof buffer, 0);
    if (size > 0) heard.append(buffer, static_cast<std::size_t>(size));
  }
  return heard;
}

std::string Hello(std::uint32_t low, std::uint32_t high) {
  std::string bytes(24, '\0');
  auto* at = reinterpret_cast<std::byte*>(bytes.data());
  StoreLe(at, std::uint32_t{1});
  StoreLe(at + 4, std::uint32_t{16});
  StoreLe(at + 8, std::uint64_t{0x6f656b6174727473});
  StoreLe(at + 16, low);
  StoreLe(at + 20, high);
  return bytes;
}

TEST_F(TakeoverTest, AnotherVersionOfTheProtocolOrNoneIsRefusedInWords) {
  Wire wire(port_);
  for (const std::string& said : {Hello(kTakeoverVersion + 1, kTakeoverVersion + 3), Hello(0, 0)}) {
    const int fd = ConnectControl(workspace_);
    ASSERT_GE(fd, 0);
    EXPECT_THAT(Heard(fd, said), ::testing::HasSubstr("versions 1 to 2 of the takeover protocol"));
    ::close(fd);
    EXPECT_TRUE(Answers(wire));
  }
  std::string huge = Hello(1, 1);
  huge[7] = '\x7f';
  std::string wrong = Hello(1, 1);
  wrong[8] = 'x';
  for (const std::string& said : {std::string("GET / HTTP/1.1\r\n\r\n"), huge, wrong}) {
    const int fd = ConnectControl(workspace_);
    ASSERT_GE(fd, 0);
    EXPECT_THAT(Heard(fd, said), ::testing::HasSubstr("protocol"));
    ::close(fd);
    EXPECT_TRUE(Answers(wire));
  }
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  Stop();
}

TEST_F(TakeoverTest, AnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  struct stat file{};
  ASSERT_EQ(::stat((workspace_ + "/control").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0600u);
  // As another user: 1 it cannot connect, 2 it is refused, 3 it is not.
  const auto as_another = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
      const int fd = ConnectControl(workspace_);
      if (fd < 0) ::_exit(1);
      ::_exit(Heard(fd, Hello(1, 1)).find("only root") != std::string::npos ? 2 : 3);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  EXPECT_EQ(as_another(), 1);
  // Not even where the modes of the files would let it.
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755) | ::chmod(workspace_.c_str(), 0755) |
                ::chmod((workspace_ + "/control").c_str(), 0666),
            0);
  EXPECT_EQ(as_another(), 2);
  Wire wire(port_);
  EXPECT_TRUE(Answers(wire));
  Stop();
}

TEST_F(TakeoverTest, AServerOfAnotherUserIsNotBelieved) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const std::string other = folder_ / "other";
  ASSERT_TRUE(std::filesystem::create_directory(other));
  ASSERT_EQ(::chown(other.c_str(), 65534, 65534) | ::chmod(folder_.path().c_str(), 0755), 0);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(9);
    const auto point = control::Point::Listen(other);
    if (!point || ::write(ready[1], "x", 1) != 1) ::_exit(9);
    ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const auto taken = Takeover::Ask(other);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code(), Errc::kPermission);
  EXPECT_THAT(std::string(taken.error().message()), ::testing::HasSubstr("user 65534"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]), ::close(ready[1]);
}

// Any moment: before it asked, while everything is handed over, while it opens the workspace. Only once it serves is
// its death the server's, as any other's would be.
TEST_F(TakeoverTest, ANewProcessKilledAtAnyMomentLeavesTheOldOneServingUnlessItServedAlready) {
  constexpr int kRounds = 30;
  std::mt19937 random(std::random_device{}());
  int survived = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    Wire wire(port_);
    const std::string root = RootHandle(wire);
    ASSERT_EQ(Create(wire, root, "made-" + std::to_string(round)).Word(0), 0u);
    Process next(Command());
    const timespec moment{0, static_cast<long>(random() % 40'000'000)};  // not to wait for anything
    ::nanosleep(&moment, nullptr);
    next.Signal(SIGKILL);
    // It may have come while the one before was still waited for.
    ASSERT_TRUE(next.Wait() == 128 + SIGKILL || next.errors().find("try again") != std::string::npos) << next.errors();
    if (Answers(wire)) {
      ++survived;
    } else {
      // It had served: the old one has ended, and well.
      ASSERT_EQ(running_->Wait(), 0) << running_->errors();
      server_ = std::make_unique<ServedProcess>(
          std::vector<std::string>{lower_, "--workspace", workspace_, "--insecure-ports"}, port_);
      ASSERT_EQ(server_->port(), port_);
      running_ = &server_->process();
    }
    Wire after(port_);
    for (int made = 0; made <= round; ++made) {
      const std::string name = "made-" + std::to_string(made);
      ASSERT_EQ(after.Call(kNfs, 3, kLookup, Xdr().Opaque(root).Opaque(name).bytes()).Word(0), 0u) << name;
    }
  }
  std::printf("the old process served on in %d of %d rounds\n", survived, kRounds);
  EXPECT_GT(survived, 0);
  Stop();
}

TEST_F(TakeoverTest, AFolderWithALongNameHasAControlSocketToo) {
  const std::string deep = folder_ / std::string(150, 'd') + "/" + std::string(150, 'e');
  std::filesystem::create_directories(deep);
  server_ = std::make_unique<ServedProcess>(
      std::vector<std::string>{lower_, "--workspace", deep + "/workspace", "--insecure-ports"});
  ASSERT_NE(server_->port(), 0);
  Process next({STRATA_PROGRAM, "serve", deep + "/workspace", "--takeover", "--insecure-ports"});
  EXPECT_EQ(next.ReadLine(), server_->ready_line());
  EXPECT_EQ(server_->process().Wait(), 0);
  next.Signal(SIGTERM);
  EXPECT_EQ(next.Wait(), 0) << next.errors();
}

TEST_F(TakeoverTest, WhereNoServerRunsItSaysSo) {
  Stop();
  const Finished none = e2e::Run(Command());
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.errors, ::testing::HasSubstr("no server that can be taken over runs there"));
  EXPECT_FALSE(std::filesystem::exists(workspace_ + "/control"));
  // A killed one leaves its socket file behind.
  Process killed({STRATA_PROGRAM, "serve", lower_, "--workspace", workspace_, "--listen", "127.0.0.1:0"});
  ASSERT_FALSE(killed.ReadLine().empty());
  killed.Signal(SIGKILL);
  killed.Wait();
  ASSERT_TRUE(std::filesystem::exists(workspace_ + "/control"));
  EXPECT_EQ(e2e::Run(Command()).status, 1);
  EXPECT_EQ(e2e::Run(Command({"--listen", "127.0.0.1:0"})).status, 2);
  EXPECT_EQ(e2e::Run(Command({"--read-only"})).status, 2);
}

TEST_F(TakeoverTest, TenThousandConnectionsAreTakenOver) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const std::size_t connections = 10'000;
  if (limit.rlim_max < connections + 500)
    GTEST_SKIP() << "no " << connections << " open files are allowed (ulimit -Hn)";
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<std::unique_ptr<Wire>> wires;
  for (std::size_t i = 0; i < connections; ++i) {
    wires.push_back(std::make_unique<Wire>(port_));
    ASSERT_TRUE(wires.back()->connected()) << i;
  }
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_NO_FATAL_FAILURE(TakeOver());
  ASSERT_TRUE(Answers(*wires[0]));
  std::printf(
      "%zu connections were taken over in %lld ms\n", connections,
      static_cast<long long>(
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count()));
  for (const auto& wire : wires) ASSERT_TRUE(Answers(*wire));
  wires.clear();
  Stop();
}

}  // namespace
}  // namespace strata::e2e
