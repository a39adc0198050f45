// strata serve: what it prints, whom it answers, how it ends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <thread>

#include "base/unique_fd.h"
#include "tests/cli/cli_fixture.h"
#include "tests/e2e/wire.h"

namespace strata::cli {
namespace {

using e2e::Fingerprint;
using e2e::RawClient;
using e2e::ServedProcess;
using e2e::SyncClient;
using e2e::Wire;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

using Serve = CliTest;

TEST_F(Serve, TheReadyLineAndTheMountCommandsAreExact_Rule8) {
  ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  std::smatch match;
  const std::regex ready("ready nfs=127\\.0\\.0\\.1:([0-9]+) mount=127\\.0\\.0\\.1:([0-9]+) export=/ workspace=(.*)");
  ASSERT_TRUE(std::regex_match(served.ready_line(), match, ready)) << served.ready_line() << served.process().errors();
  EXPECT_EQ(match[1], match[2]);
  EXPECT_EQ(match[3], std::filesystem::canonical(workspace_).string());
  const std::string port = match[1];
  EXPECT_EQ(served.process().ReadLine(), "Linux:  mount -t nfs -o vers=3,tcp,port=" + port + ",mountport=" + port +
                                             ",mountproto=tcp,nolock 127.0.0.1:/ /mnt");
  const std::string macos = served.process().ReadLine();
  EXPECT_THAT(macos, HasSubstr("vers=3,tcp,port=" + port + ",mountport=" + port + ",locallocks"));
  EXPECT_THAT(macos, HasSubstr("rsize=1048576,wsize=1048576,readahead=16"));
  EXPECT_THAT(macos, HasSubstr(" 127.0.0.1:/ "));
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << "it answers once the line is out: " << client.error();
  EXPECT_THAT(client.Names("/"), ElementsAre("link", "readme", "src"));
}

TEST_F(Serve, MayOpenAsManyFilesAsItMayAskFor) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{128, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_NE(served.port(), 0) << served.process().errors();
  rlimit its{};
  ASSERT_EQ(::prlimit(served.process().pid(), RLIMIT_NOFILE, nullptr, &its), 0);
  EXPECT_EQ(its.rlim_cur, before.rlim_max);
}

TEST_F(Serve, AllItsThreadsAreIoFlushersWherePermitted) {
  if (::prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) < 0) GTEST_SKIP() << "needs CAP_SYS_RESOURCE";
  ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
  ASSERT_NE(served.port(), 0) << served.process().errors();
  constexpr unsigned kMemallocNoIo = 0x0008'0000;  // PF_MEMALLOC_NOIO
  int threads = 0;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(served.process().pid()) + "/task")) {
    std::ifstream file(task.path() / "stat");
    const std::string stat(std::istreambuf_iterator<char>(file), {});
    // After the name, which may hold spaces: state, six numbers, flags.
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    unsigned flags = 0;
    for (int i = 0; i < 6; ++i) fields >> skipped;
    ASSERT_TRUE(fields >> flags) << stat;
    EXPECT_NE(flags & kMemallocNoIo, 0u) << stat;
    ++threads;
  }
  EXPECT_GT(threads, 5);
}

TEST_F(Serve, SigtermAndSigintEndItCleanlyAndAllIsThereAgain) {
  std::uint16_t port = 0;
  for (const int signal : {SIGTERM, SIGINT}) {
    ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, port, environment_);
    ASSERT_NE(served.port(), 0) << served.process().errors();
    port = served.port();
    SyncClient client(port);
    ASSERT_TRUE(client.mounted()) << client.error();
    ASSERT_EQ(client.WriteFile("/signal-" + std::to_string(signal), "x"), 0);
    served.process().Signal(signal);
    EXPECT_EQ(served.process().Wait(), 0) << served.process().errors();
  }
  ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, port, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted());
  EXPECT_THAT(client.Names("/"), ElementsAre("link", "readme", "signal-15", "signal-2", "src"));
}

TEST_F(Serve, TheWorkspaceLiesByDefaultUnderXdgStateHomeOrHomeAndIsFoundAgain) {
  for (const std::string& state : {home_ + "/state", home_ + "/.local/state"}) {
    if (state.ends_with(".local/state")) environment_["XDG_STATE_HOME"] = "";
    std::string place;
    for (int life = 0; life < 2; ++life) {
      ServedProcess served({dir_, "--insecure-ports"}, 0, environment_);
      ASSERT_NE(served.port(), 0) << served.process().errors();
      const std::string line = served.ready_line();
      const std::string at = line.substr(line.find("workspace=") + 10);
      EXPECT_TRUE(at.starts_with(std::filesystem::canonical(state).string() + "/strata/project-")) << at;
      if (life == 1) {
        EXPECT_EQ(at, place);
      }
      place = at;
      SyncClient client(served.port());
      ASSERT_TRUE(client.mounted());
      if (life == 0) {
        ASSERT_EQ(client.WriteFile("/kept", state), 0);
      }
      std::string content;
      EXPECT_EQ(client.ReadFile("/kept", &content), 0);
      EXPECT_EQ(content, state);
      served.process().Signal(SIGTERM);
      EXPECT_EQ(served.process().Wait(), 0);
    }
    EXPECT_EQ(Text({"cat", dir_, "/kept"}), state) << "the folder stands for the workspace that was made for it";
  }
}

TEST_F(Serve, AWorkspaceInsideTheServedFolderIsNotShown) {
  // Its folder changes by the workspace alone, which TearDown's comparison must not see.
  const std::string outer = folder_ / "outer";
  std::filesystem::create_directories(outer + "/sub");
  e2e::WriteHostFile(outer + "/file", "x");
  ServedProcess served({outer, "--workspace", outer + "/sub/ws", "--insecure-ports"}, 0, environment_);
  SyncClient client(served.port());
  ASSERT_TRUE(client.mounted()) << served.process().errors();
  EXPECT_THAT(client.Names("/"), ElementsAre("file", "sub"));
  EXPECT_THAT(client.Names("/sub"), ElementsAre());
  nfs_stat_64 st;
  EXPECT_EQ(nfs_stat64(client, "/sub/ws/workspace.json", &st), -ENOENT)
      << "nor reached by name: it holds the handles' key";
  RawClient raw(served.port());
  EXPECT_EQ(raw.Lookup(raw.Walk("sub"), "ws")->status, NFS3ERR_NOENT);
}

// After a clean end all is in the index; after SIGKILL there is a journal to replay, and SQLite's log.
class ReadOnly : public CliTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
    SyncClient client(served.port());
    ASSERT_TRUE(client.mounted());
    ASSERT_EQ(client.WriteFile("/upper", "written before"), 0);
    served.process().Signal(GetParam());
    served.process().Wait();
  }
};
INSTANTIATE_TEST_SUITE_P(After, ReadOnly, ::testing::Values(SIGTERM, SIGKILL),
                         [](const auto& info) { return info.param == SIGKILL ? "Sigkill" : "Sigterm"; });

TEST_P(ReadOnly, ServingWritesNothingAndRefusesEveryChange) {
  const std::string workspace_before = Fingerprint(workspace_);
  {
    ServedProcess served({dir_, "--workspace", workspace_, "--insecure-ports", "--read-only"}, 0, environment_);
    ASSERT_NE(served.port(), 0) << served.process().errors();
    EXPECT_THAT(served.process().ReadLine(), HasSubstr(",ro")) << "the Linux line says so";
    SyncClient client(served.port());
    ASSERT_TRUE(client.mounted());
    std::string content;
    EXPECT_EQ(client.ReadFile("/upper", &content), 0);
    EXPECT_EQ(content, "written before");
    RawClient raw(served.port());
    const e2e::Handle root = raw.root(), file = raw.Walk("upper");
    EXPECT_EQ(raw.Create(root, "new")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.CreateExclusive(root, "new", "verifier")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.MakeDirectory(root, "new")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.MakeSymlink(root, "new", "t")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.MakeNode(root, "new", NF3FIFO)->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.Remove(root, "upper")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.RemoveDirectory(root, "src")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.Rename(root, "upper", root, "new")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.Link(file, root, "new")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.Write(file, 0, "x")->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.SetAttr(file, e2e::Mode(0600))->status, NFS3ERR_ROFS);
    EXPECT_EQ(raw.Access(file, ACCESS3_READ | ACCESS3_MODIFY | ACCESS3_EXTEND)->count,
              static_cast<unsigned>(ACCESS3_READ))
        << "rule 4.6";
    served.process().Signal(SIGTERM);
    EXPECT_EQ(served.process().Wait(), 0) << served.process().errors();
  }
  EXPECT_EQ(Fingerprint(workspace_), workspace_before) << "not even the lock or the index was touched";
}

TEST_P(ReadOnly, WhichClientsHaveLocksIsKeptInAHomeOfOneServerAtATime_Rule3_1a) {
  namespace fs = std::filesystem;
  const std::string volumes = home_ + "/state/strata/volumes";
  const std::vector<std::string> arguments = {workspace_, "--insecure-ports", "--read-only"};
  ServedProcess first(arguments, 0, environment_);
  ASSERT_NE(first.port(), 0) << first.process().errors();
  ASSERT_EQ(std::distance(fs::directory_iterator(volumes), fs::directory_iterator()), 1);
  const fs::path home = fs::directory_iterator(volumes)->path();
  EXPECT_EQ(fs::status(home).permissions(), fs::perms::owner_all);
  const std::string kept = e2e::ReadHostFile(home / "lock-clients.json");
  EXPECT_NE(kept, "");
  EXPECT_FALSE(fs::exists(home / "home.json")) << "its keys are the workspace's";
  ServedProcess second(arguments, 0, environment_);
  ASSERT_NE(second.port(), 0) << second.process().errors();
  EXPECT_EQ(e2e::ReadHostFile(home / "lock-clients.json"), kept);
  for (ServedProcess* served : {&second, &first}) {
    served->process().Signal(SIGTERM);
    EXPECT_EQ(served->process().Wait(), 0) << served->process().errors();
  }
  EXPECT_THAT(second.process().errors(), HasSubstr("event=no_state_folder"));
  EXPECT_THAT(first.process().errors(), Not(HasSubstr("event=no_state_folder")));
  ServedProcess next(arguments, 0, environment_);
  EXPECT_NE(next.port(), 0);
  EXPECT_NE(e2e::ReadHostFile(home / "lock-clients.json"), kept) << "another state, told to the same clients";
}

TEST_P(ReadOnly, WithoutAPlaceForAHomeLocksAreKeptInMemory) {
  environment_["XDG_STATE_HOME"] = environment_["HOME"] = "";
  ServedProcess served({workspace_, "--insecure-ports", "--read-only"}, 0, environment_);
  ASSERT_NE(served.port(), 0) << served.process().errors();
  served.process().Signal(SIGTERM);
  EXPECT_EQ(served.process().Wait(), 0);
  EXPECT_THAT(served.process().errors(), AllOf(HasSubstr("event=no_state_folder"), HasSubstr("--state DIR")));
}

TEST_F(Serve, AStateFolderIsMadeAndHasOneServerAtATime) {
  const std::string state = folder_ / "deep/state";
  const auto arguments = [&](const std::string& workspace) {
    return std::vector<std::string>{dir_, "--workspace", workspace, "--insecure-ports", "--state", state};
  };
  ServedProcess first(arguments(workspace_), 0, environment_);
  ASSERT_NE(first.port(), 0) << first.process().errors();
  EXPECT_TRUE(std::filesystem::exists(state + "/lock-clients.json"));
  EXPECT_FALSE(std::filesystem::exists(workspace_ + "/lock-clients.json"));
  ExpectRefused({"serve", dir_, "--workspace", workspace_ + "2", "--listen", "127.0.0.1:0", "--state", state}, 1,
                {state, "another server", "--state"});
  // One that takes over stands in for the first.
  std::vector<std::string> next = arguments(workspace_);
  next.insert(next.begin(), {STRATA_PROGRAM, "serve"});
  next.push_back("--takeover");
  e2e::Process second(next, environment_);
  EXPECT_THAT(second.ReadLine(), HasSubstr("ready nfs=127.0.0.1:" + std::to_string(first.port()))) << second.errors();
  EXPECT_EQ(first.process().Wait(), 0) << first.process().errors();
  second.Signal(SIGTERM);
  EXPECT_EQ(second.Wait(), 0) << second.errors();
}

TEST_P(ReadOnly, LookingWritesNothing) {
  const std::string before = Fingerprint(workspace_);
  EXPECT_EQ(Text({"cat", workspace_, "upper"}), "written before");
  EXPECT_EQ(Text({"diff", workspace_}), "A /upper\n");
  Text({"ls", workspace_});
  Text({"stat", workspace_, "upper"});
  EXPECT_EQ(Fingerprint(workspace_), before);
}

TEST_P(ReadOnly, AServerMayBeStartedMeanwhileAndChangesItsWorkspace) {
  ServedProcess reader({dir_, "--workspace", workspace_, "--insecure-ports", "--read-only"}, 0, environment_);
  RawClient looks(reader.port());
  ASSERT_TRUE(looks.connected()) << reader.process().errors();
  {
    ServedProcess writer({dir_, "--workspace", workspace_, "--insecure-ports"}, 0, environment_);
    RawClient changes(writer.port());
    ASSERT_TRUE(changes.connected()) << writer.process().errors();
    for (int i = 0; i < 300; ++i) {
      ASSERT_EQ(changes.Create(changes.root(), "later-" + std::to_string(i))->status, NFS3_OK);
    }
    ASSERT_EQ(changes.Remove(changes.root(), "upper")->status, NFS3_OK);
    writer.process().Signal(SIGTERM);
    EXPECT_EQ(writer.process().Wait(), 0) << writer.process().errors();
  }
  // What is seen of that is left open; the reader must neither fail nor make up anything.
  EXPECT_EQ(looks.GetAttr(looks.root())->status, NFS3_OK);
  EXPECT_EQ(looks.Read(looks.Walk("readme"), 0, 100)->data, "read me\n");
  EXPECT_EQ(looks.Lookup(looks.root(), "neither")->status, NFS3ERR_NOENT);
  EXPECT_EQ(Json({"diff", workspace_, "--json"}).size(), 300U);
}

TEST_P(ReadOnly, AWorkspaceOnAReadOnlyPlaceIsServedAndLookedAt) {
  if (::geteuid() != 0) GTEST_SKIP() << "to be another user who may only read takes root";
  const std::vector<std::string> other = {"/usr/bin/setpriv", "--reuid=12345", "--regid=12345", "--clear-groups",
                                          STRATA_PROGRAM};
  if (e2e::Run({other[0], other[1], other[2], other[3], other[4], "--version"}).status != 0) {
    GTEST_SKIP() << "another user cannot run " << STRATA_PROGRAM;
  }
  namespace fs = std::filesystem;
  const fs::perms readable = fs::perms::others_read | fs::perms::others_exec;
  fs::permissions(folder_.path(), readable, fs::perm_options::add);
  fs::permissions(workspace_, readable, fs::perm_options::add);
  for (const auto& entry : fs::recursive_directory_iterator(workspace_)) {
    fs::permissions(entry.path(), readable, fs::perm_options::add);
  }
  const std::string before = Fingerprint(workspace_);
  auto as_other = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), other.begin(), other.end());
    return e2e::Run(arguments, environment_);
  };
  const e2e::Finished cat = as_other({"cat", workspace_, "upper"});
  EXPECT_EQ(cat.output, "written before") << cat.errors;
  EXPECT_EQ(as_other({"diff", workspace_}).output, "A /upper\n");
  // Copied elsewhere, without what SQLite keeps beside the index.
  for (const char* suffix : {"-wal", "-shm"}) {
    if (GetParam() == SIGTERM) fs::remove(workspace_ + "/index.db" + suffix);
  }
  const e2e::Finished again = as_other({"cat", workspace_, "upper"});
  EXPECT_EQ(again.output, "written before") << again.errors;
  const e2e::Finished writing = as_other({"serve", workspace_, "--listen", "127.0.0.1:0"});
  EXPECT_EQ(writing.status, 1);
  EXPECT_NE(writing.errors.find(workspace_), std::string::npos) << writing.errors;
  if (GetParam() == SIGKILL) {
    EXPECT_EQ(Fingerprint(workspace_), before);
  }
}

TEST_F(Serve, CallsFromPortsOf1024AndAboveAreRefusedUnlessAllowed_Rule2_4) {
  ServedProcess served({dir_, "--workspace", workspace_}, 0, environment_);
  ASSERT_NE(served.port(), 0) << served.process().errors();
  const std::string root_path = e2e::Xdr().Opaque("/").bytes();
  Wire high(served.port());
  const e2e::WireReply mount = high.Call(MOUNT_PROGRAM, 3, 1, root_path);
  EXPECT_TRUE(!mount.came || mount.denied == 1 || mount.Word(0) == MNT3ERR_ACCES) << "MNT was answered with a handle";
  if (::geteuid() != 0) return;
  Wire low(served.port(), true);
  ASSERT_TRUE(low.connected());
  const e2e::WireReply mounted = low.Call(MOUNT_PROGRAM, 3, 1, root_path);
  ASSERT_TRUE(mounted.came);
  ASSERT_EQ(mounted.Word(0), MNT3_OK);
  const std::uint32_t length = mounted.Word(1);
  ASSERT_LE(length, 64U);
  const std::string get_attributes = e2e::Xdr().Opaque(std::string_view(mounted.body).substr(8, length)).bytes();
  EXPECT_EQ(low.Call(NFS_PROGRAM, 3, 1, get_attributes).Word(0), NFS3_OK);
  Wire again(served.port());
  const e2e::WireReply refused = again.Call(NFS_PROGRAM, 3, 1, get_attributes);
  EXPECT_TRUE(!refused.came || refused.denied == 1 || refused.Word(0) == NFS3ERR_ACCES ||
              refused.Word(0) == NFS3ERR_PERM)
      << "a good handle from a high port was answered: " << refused.Word(0);
}

// As in Docker's containers. The server is in a network of its own, and so are the threads that call it.
TEST_F(Serve, WhereEveryUserMayUseLowPortsOnlyRootsSocketsAreBelieved) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root for a network namespace";
  const std::string setup = "ip link set lo up && echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start && exec \"$@\"";
  e2e::Process process({"/usr/bin/unshare", "--net", "/bin/bash", "-c", setup, "network", STRATA_PROGRAM, "serve", dir_,
                        "--workspace", workspace_, "--listen", "127.0.0.1:0"},
                       environment_);
  const std::string line = process.ReadLine();
  std::smatch match;
  ASSERT_TRUE(std::regex_search(line, match, std::regex("nfs=127\\.0\\.0\\.1:([0-9]+) "))) << line << process.errors();
  const auto port = static_cast<std::uint16_t>(std::stoi(match[1]));
  const auto mounts_as = [&](uid_t user) {
    std::uint32_t status = ~0U;
    std::jthread([&] {
      const UniqueFd network(::open(("/proc/" + std::to_string(process.pid()) + "/ns/net").c_str(), O_RDONLY));
      ASSERT_EQ(::setns(network.get(), CLONE_NEWNET), 0);
      ::setfsuid(user);
      Wire low(port, true);
      ASSERT_TRUE(low.connected());
      status = low.Call(MOUNT_PROGRAM, 3, 1, e2e::Xdr().Opaque("/").bytes()).Word(0);
    }).join();
    return status;
  };
  EXPECT_EQ(mounts_as(65534), static_cast<std::uint32_t>(MNT3ERR_ACCES));
  EXPECT_EQ(mounts_as(0), static_cast<std::uint32_t>(MNT3_OK));
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0) << process.errors();
}

TEST_F(Serve, TracedEachCallIsALineOfTheLogThatNoNameForges) {
  constexpr std::uint32_t kLookup = 3, kCreate = 8;
  for (const bool traced : {true, false}) {
    e2e::Process process({STRATA_PROGRAM, "--log-level", traced ? "trace" : "debug", "serve", dir_, "--workspace",
                          workspace_, "--insecure-ports", "--listen", "127.0.0.1:0"},
                         environment_);
    const std::string line = process.ReadLine();
    std::smatch match;
    ASSERT_TRUE(std::regex_search(line, match, std::regex("nfs=127\\.0\\.0\\.1:([0-9]+) "))) << line;
    Wire wire(static_cast<std::uint16_t>(std::stoi(match[1])));
    wire.SetXid(100);
    const e2e::WireReply mounted = wire.Call(MOUNT_PROGRAM, 3, 1, e2e::Xdr().Opaque("/").bytes());
    ASSERT_EQ(mounted.Word(0), MNT3_OK);
    const std::string root(mounted.body.substr(8, mounted.Word(1)));
    wire.SetXid(101);
    EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kLookup, e2e::Xdr().Opaque(root).Opaque("no\nevent=x").bytes()).Word(0),
              NFS3ERR_NOENT);
    e2e::Xdr create;
    create.Opaque(root).Opaque(traced ? "made" : "other").Word(1);
    for (int i = 0; i < 6; ++i) create.Word(0);
    for (int i = 0; i < 2; ++i) {
      wire.SetXid(102);
      EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kCreate, create.bytes()).Word(0), NFS3_OK);
    }
    wire.SetXid(103);
    EXPECT_EQ(wire.Call(NFS_PROGRAM, 3, kLookup, "").accepted, 4U);
    wire.SetXid(104);
    EXPECT_TRUE(wire.Call(NFS_PROGRAM, 3, 99).came);
    process.Signal(SIGTERM);
    ASSERT_EQ(process.Wait(), 0);
    const std::string& log = process.errors();
    if (!traced) {
      EXPECT_EQ(log.find("event=call"), std::string::npos) << log;
      continue;
    }
    const std::string client = " client=127\\.0\\.0\\.1 port=[0-9]+ ", end = " us=[0-9]+ worker=(yes|no)\n";
    for (const std::string& expected :
         {"event=call xid=100" + client + "program=mount procedure=MNT inode=[0-9]+ name=/ status=0" + end,
          "event=call xid=101" + client +
              R"(program=nfs procedure=LOOKUP inode=[0-9]+ name="no\\x0aevent=x" status=2)" + end,
          "event=call xid=102" + client + "program=nfs procedure=CREATE inode=[0-9]+ name=made status=0" + end,
          "event=call xid=102" + client + "program=nfs procedure=CREATE duplicate=answered" + end,
          "event=call xid=103" + client + "program=nfs procedure=LOOKUP accept=4" + end,
          "event=call_denied xid=104" + client + "program=100003 version=3 procedure=99\n"}) {
      EXPECT_TRUE(std::regex_search(log, std::regex(expected))) << expected << " in\n" << log;
    }
  }
}

TEST_F(Serve, BeyondLoopbackRootIsSquashedUnlessAskedNotTo_Rule2_4) {
  for (const bool squashed : {true, false}) {
    std::vector<std::string> arguments = {STRATA_PROGRAM,     "serve",    dir_,        "--workspace", workspace_,
                                          "--insecure-ports", "--listen", "0.0.0.0:0", "--allow",     "127.0.0.0/8"};
    if (!squashed) arguments.push_back("--no-root-squash");
    e2e::Process process(arguments, environment_);
    const std::string line = process.ReadLine();
    std::smatch match;
    ASSERT_TRUE(std::regex_search(line, match, std::regex("nfs=0\\.0\\.0\\.0:([0-9]+) "))) << line << process.errors();
    RawClient raw(static_cast<std::uint16_t>(std::stoi(match[1])));
    ASSERT_TRUE(raw.connected());
    EXPECT_EQ(raw.SetAttr(raw.Walk("readme"), e2e::Mode(0640))->status, squashed ? NFS3ERR_PERM : NFS3_OK);
    process.Signal(SIGTERM);
    EXPECT_EQ(process.Wait(), 0);
  }
}

}  // namespace
}  // namespace strata::cli
