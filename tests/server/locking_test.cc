// Locks as a whole server makes them, over a real workspace: with their files they go, and over a restart they stay.
// Calls are hand-made bytes.
#include "server/locking.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "server/portmap/program.h"
#include "server/server.h"
#include "tests/base/temp_folder.h"
#include "tests/e2e/wire.h"
#include "tests/server/nsm/status_monitor.h"
#include "tests/server/rpc/harness.h"
#include "vfs/workspace/workspace.h"

namespace strata {
namespace {

using e2e::Wire;
using e2e::WireReply;
using e2e::Xdr;

constexpr std::uint32_t kNfs = 100003, kMount = 100005, kNlm = 100021, kNsm = 100024;
// nlm4_stats.
constexpr std::uint32_t kGranted = 0, kDenied = 1, kNoLocks = 2, kGrace = 4;
constexpr std::uint32_t kLock = 2;

struct Lock {
  std::uint64_t offset = 0;
  bool reclaim = false;
  std::string name = "a.example";
};

// A client's machine. It calls over a connection of its own, and is what the server is told that it is.
class Machine {
 public:
  Machine(Server& server, const std::string& address) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    socket_ = UniqueFd(ends[0]);
    rpc::Peer peer;
    peer.address = boost::asio::ip::make_address(address);
    peer.port = 700;
    server.Adopt(ends[1], peer);
  }
  // The words of the reply, from the xid on; empty where none comes.
  std::vector<std::uint32_t> Call(std::uint32_t program, std::uint32_t version, std::uint32_t procedure,
                                  const std::string& arguments) {
    const rpc::testing::Bytes record =
        rpc::testing::Record(rpc::testing::Message(++xid_, procedure, AsBytes(arguments), version, program));
    EXPECT_EQ(::send(socket_.get(), record.data(), record.size(), MSG_NOSIGNAL), static_cast<ssize_t>(record.size()));
    std::vector<std::byte> reply(4);
    if (!Receive(reply)) return {};
    reply.resize(rpc::LoadBe32(reply.data()) & 0xffff);
    if (!Receive(reply)) return {};
    return WordsOf(reply);
  }
  static std::vector<std::uint32_t> WordsOf(ByteSpan reply) {
    std::vector<std::uint32_t> words;
    for (std::size_t at = 0; at + 4 <= reply.size(); at += 4) words.push_back(rpc::LoadBe32(reply.data() + at));
    return words;
  }
  // nlm4_stats of a LOCK of ten bytes; ~0 where it was not accepted.
  std::uint32_t Take(const std::string& handle, const Lock& lock) {
    return StatusIn(Call(kNlm, 4, kLock, LockArguments(handle, lock)));
  }

  static std::string LockArguments(const std::string& handle, const Lock& lock) {
    return Xdr()
        .Opaque("cook")
        .Word(0)  // it does not wait
        .Word(1)
        .Opaque(lock.name)
        .Opaque(handle)
        .Opaque("7@" + lock.name)
        .Word(7)
        .Long(lock.offset)
        .Long(10)
        .Word(lock.reclaim ? 1 : 0)
        .Word(3)
        .bytes();
  }
  static std::uint32_t StatusIn(const std::vector<std::uint32_t>& words) {
    // xid, REPLY, MSG_ACCEPTED, verifier, SUCCESS, cookie, status
    return words.size() == 9 && words[2] == 0 && words[5] == 0 ? words[8] : ~0u;
  }

 private:
  bool Receive(std::vector<std::byte>& into) {
    for (std::size_t got = 0; got < into.size();) {
      pollfd wait{socket_.get(), POLLIN, 0};
      if (::poll(&wait, 1, 20'000) != 1) return false;
      const ssize_t n = ::recv(socket_.get(), into.data() + got, into.size() - got, 0);
      if (n <= 0) return false;
      got += static_cast<std::size_t>(n);
    }
    return true;
  }

  UniqueFd socket_;
  std::uint32_t xid_ = 0;
};

class LockingServer : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "lower");
    std::filesystem::create_directory(folder_ / "state");
    ASSERT_TRUE(vfs::InitWorkspace(Env::System(), folder_ / "workspace", {{.path = folder_ / "lower", .markers = {}}}));
    auto opened = vfs::Workspace::Open(Env::System(), folder_ / "workspace", {});
    ASSERT_TRUE(opened) << opened.error().ToString();
    volume_ = std::move(*opened);
    options_.listen = {{"127.0.0.1", 0}};
    options_.locks = true;
    options_.state_folder = folder_ / "state";
  }
  void TearDown() override { Stop(); }

  Result<std::unique_ptr<Server>> TryToStart() {
    ExportOptions exported;
    exported.insecure_ports = true;
    exported.allow.push_back(Cidr::Parse("10.1.0.0/16").value());
    return Server::Start(options_, {{exported, volume_}});
  }
  void Start() {
    auto started = TryToStart();
    ASSERT_TRUE(started) << started.error().ToString();
    server_ = std::move(*started);
    wire_ = std::make_unique<Wire>(server_->endpoints()[0].port);
    const WireReply mounted = wire_->Call(kMount, 3, 1, Xdr().Opaque("/").bytes());
    ASSERT_EQ(mounted.Word(0), 0u);
    root_ = mounted.body.substr(8, mounted.Word(1));
  }
  void Stop() {
    wire_.reset();
    if (server_) server_->Stop();
    server_.reset();
  }
  // The handle of a new file that everybody may write.
  std::string Create(const std::string& name) {
    const WireReply reply = wire_->Call(
        kNfs, 3, 8,
        Xdr().Opaque(root_).Opaque(name).Word(0).Word(1).Word(0666).Word(0).Word(0).Word(0).Word(0).Word(0).bytes());
    EXPECT_EQ(reply.Word(0), 0u) << name;
    return reply.body.size() < 12 ? "" : reply.body.substr(12, reply.Word(2));
  }
  void Change(std::uint32_t procedure, const Xdr& arguments) {
    EXPECT_EQ(wire_->Call(kNfs, 3, procedure, arguments.bytes()).Word(0), 0u);
  }
  std::string StateFile() const { return folder_ / "state/lock-clients.json"; }
  nsm::KeptClients Kept() const {
    std::ifstream in(StateFile(), std::ios::binary);
    const auto kept = nsm::ParseClients(std::string(std::istreambuf_iterator<char>(in), {}));
    EXPECT_TRUE(kept) << kept.error().ToString();
    return kept.value_or(nsm::KeptClients{});
  }
  std::vector<std::string> KeptAddresses() const {
    std::vector<std::string> all;
    for (const nsm::MonitoredClient& one : Kept().clients) all.push_back(one.client.to_string());
    std::ranges::sort(all);
    return all;
  }

  const TempFolder folder_;
  std::shared_ptr<vfs::FileSystem> volume_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Wire> wire_;
  std::string root_;
};

using Addresses = std::vector<std::string>;

TEST_F(LockingServer, WhoHasALockIsInTheFileBeforeItHearsOfThat) {
  Start();
  EXPECT_EQ(KeptAddresses(), Addresses{});
  const std::string file = Create("file");
  Machine one(*server_, "127.0.0.81"), other(*server_, "127.0.0.82");
  EXPECT_EQ(one.Take(file, {}), kGranted);
  EXPECT_EQ(KeptAddresses(), Addresses{"127.0.0.81"});
  EXPECT_EQ(other.Take(file, {}), kDenied);
  Stop();
  EXPECT_EQ(KeptAddresses(), Addresses{"127.0.0.81"}) << "who holds nothing is not told of the next start";
}

TEST_F(LockingServer, LocksAreTheSameOverUdp) {
  Start();
  const std::string file = Create("file");
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(server_->endpoints()[0].port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  const auto take = [&](std::uint32_t xid, std::uint64_t offset) {
    const std::string arguments = Machine::LockArguments(file, {.offset = offset});
    const rpc::testing::Bytes call = rpc::testing::Message(xid, kLock, AsBytes(arguments), 4, kNlm);
    EXPECT_EQ(::send(socket.get(), call.data(), call.size(), 0), static_cast<ssize_t>(call.size()));
    pollfd wait{socket.get(), POLLIN, 0};
    std::vector<std::byte> reply(1000);
    if (::poll(&wait, 1, 20'000) != 1) return ~0u;
    reply.resize(static_cast<std::size_t>(std::max<ssize_t>(::recv(socket.get(), reply.data(), reply.size(), 0), 0)));
    return Machine::StatusIn(Machine::WordsOf(reply));
  };
  EXPECT_EQ(take(1, 0), kGranted);
  EXPECT_EQ(KeptAddresses(), Addresses{"127.0.0.1"}) << "who calls by datagrams is told of a restart too";
  Machine other(*server_, "127.0.0.82");
  EXPECT_EQ(other.Take(file, {}), kDenied);
  EXPECT_EQ(other.Take(file, {.offset = 10}), kGranted);
  EXPECT_EQ(take(2, 10), kDenied);
}

// Who holds nothing at the end is forgotten then: so much is seen of a lock that went with its file.
TEST_F(LockingServer, AFileThatIsGoneTakesItsLocksAlong) {
  Start();
  const std::string removed = Create("removed"), replaced = Create("replaced"), linked = Create("linked");
  Create("new");
  Machine one(*server_, "127.0.0.81"), two(*server_, "127.0.0.82"), three(*server_, "127.0.0.83");
  ASSERT_EQ(one.Take(removed, {}), kGranted);
  ASSERT_EQ(two.Take(replaced, {}), kGranted);
  ASSERT_EQ(three.Take(linked, {}), kGranted);
  Change(15, Xdr().Opaque(linked).Opaque(root_).Opaque("another name"));
  for (const char* name : {"removed", "linked"}) Change(12, Xdr().Opaque(root_).Opaque(name));
  Change(14, Xdr().Opaque(root_).Opaque("new").Opaque(root_).Opaque("replaced"));
  Stop();
  EXPECT_EQ(KeptAddresses(), Addresses{"127.0.0.83"}) << "that file has a name yet";
}

TEST_F(LockingServer, TheVolumeMayOutliveTheServer) {
  Start();
  const std::string file = Create("file");
  ASSERT_EQ(Machine(*server_, "127.0.0.81").Take(file, {}), kGranted);
  Stop();
  vfs::Mutation mutation;
  EXPECT_TRUE(volume_->Remove({.credentials = {}, .may_block = true}, volume_->Root(), "file", mutation));
}

TEST_F(LockingServer, WithoutAFolderNothingIsKeptAndThereIsNoGrace) {
  options_.state_folder.clear();
  Start();
  const std::string file = Create("file");
  ASSERT_EQ(Machine(*server_, "127.0.0.81").Take(file, {}), kGranted);
  Stop();
  Start();
  EXPECT_EQ(Machine(*server_, "127.0.0.82").Take(file, {}), kGranted);
  Stop();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    EXPECT_EQ(entry.path().filename().string().find("lock-clients"), std::string::npos) << entry.path();
  }
  EXPECT_FALSE(std::filesystem::exists("/lock-clients.json"));
  EXPECT_FALSE(std::filesystem::exists("lock-clients.json"));
}

TEST_F(LockingServer, WithoutLocksEachIsRefusedAndNothingIsKept) {
  options_.locks = false;
  Start();
  const std::string file = Create("file");
  EXPECT_EQ(Machine(*server_, "127.0.0.81").Take(file, {}), kNoLocks);
  Stop();
  EXPECT_FALSE(std::filesystem::exists(StateFile()));
}

TEST_F(LockingServer, WhereTheFileCannotBeWrittenThereAreNoLocks) {
  options_.state_folder = folder_ / "nowhere";
  Start();
  const std::string file = Create("file");
  EXPECT_EQ(Machine(*server_, "127.0.0.81").Take(file, {}), kNoLocks);
}

TEST_F(LockingServer, AStartThatFailsForgetsNobody) {
  Start();
  const std::string file = Create("file");
  ASSERT_EQ(Machine(*server_, "127.0.0.81").Take(file, {}), kGranted);
  Stop();
  rpc::testing::TestServer other;
  const auto taken = other.transport->ListenTcp("127.0.0.1", 0, other.dispatcher);
  ASSERT_TRUE(taken);
  options_.listen = {{"127.0.0.1", *taken}};
  EXPECT_FALSE(TryToStart());
  EXPECT_EQ(KeptAddresses(), Addresses{"127.0.0.81"}) << "nobody has told it to claim its lock";
}

TEST_F(LockingServer, AnAddressThatIsNoneIsAnError) {
  options_.listen = {{"localhost", 0}};
  const auto started = TryToStart();
  EXPECT_FALSE(started) << "only numeric ones are taken";
}

TEST_F(LockingServer, TheStatusMonitorIsServedWhereOthersCanCome) {
  Start();
  EXPECT_EQ(wire_->Call(kNsm, 1, 0).accepted, 1u) << "PROG_UNAVAIL: nobody of another machine reaches it";
  Stop();
  options_.listen = {{"0.0.0.0", 0}};
  Start();
  const WireReply local = wire_->Call(kNsm, 1, 0);
  EXPECT_EQ(local.denied, 1u) << "on this machine that is rpc.statd's business";
  const std::string file = Create("file");
  Machine one(*server_, "10.1.2.3"), other(*server_, "10.1.2.4");
  ASSERT_EQ(one.Take(file, {}), kGranted);
  EXPECT_EQ(other.Take(file, {}), kDenied);
  const auto words = one.Call(kNsm, 1, 6, Xdr().Opaque("a").Word(5).bytes());
  ASSERT_EQ(words.size(), 6u);
  EXPECT_EQ(words[2], 0u);
  EXPECT_EQ(words[5], 0u);
  EXPECT_EQ(other.Take(file, {}), kGranted) << "the first has started anew";
}

// The client's port 111 and its status monitor are the test's.
TEST_F(LockingServer, LocksOutliveARestart) {
  const char* const client = "127.0.0.88";
  nsm::testing::StatusMonitor status_monitor;
  portmap::Registry registry;
  const auto portmap = MakePortmapProgram(registry);
  const rpc::Dispatcher port111({portmap.get()}), monitors({&status_monitor});
  rpc::testing::TestServer machine;
  if (!machine.transport->ListenUdp(client, 111, port111)) GTEST_SKIP() << "port 111 cannot be had here";
  const auto port = machine.transport->ListenUdp(client, 0, monitors);
  ASSERT_TRUE(port);
  registry.AddOwn(kNsm, 1, {boost::asio::ip::make_address("0.0.0.0"), 1}, false);
  ASSERT_TRUE(registry.Set(
      {kNsm, 1, "udp", portmap::FormatUniversalAddress({boost::asio::ip::make_address(client), *port}), "29"}));

  Start();
  const std::string file = Create("file");
  ASSERT_EQ(Machine(*server_, client).Take(file, {}), kGranted);
  const std::uint32_t state = Kept().state;
  Stop();
  EXPECT_EQ(status_monitor.count(), 0u);

  Start();
  EXPECT_GT(Kept().state, state);
  const auto notice = status_monitor.Await(1);
  EXPECT_EQ(notice.state, Kept().state);
  Machine again(*server_, client), other(*server_, "127.0.0.89");
  EXPECT_EQ(other.Take(file, {.offset = 50}), kGrace);
  EXPECT_EQ(again.Take(file, {.reclaim = true}), kGranted);
  EXPECT_EQ(other.Take(file, {}), kGrace);
  EXPECT_TRUE(rpc::testing::Eventually([&] { return other.Take(file, {.offset = 50}) == kGranted; }))
      << "all that there was is claimed";
  EXPECT_EQ(other.Take(file, {}), kDenied);
  EXPECT_EQ(again.Take(file, {.offset = 20, .reclaim = true}), kGrace) << "it is too late for that";
  Stop();
  EXPECT_EQ(KeptAddresses(), (Addresses{client, "127.0.0.89"}));
  machine.Stop();
}

}  // namespace
}  // namespace strata
