// Spec nfsv3 2.3: port 111 tells where the services are, through a running rpcbind or through our own responder.
#include "server/portmap_service.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/portmap/kept_registrations.h"
#include "server/portmap/program.h"
#include "tests/base/temp_folder.h"
#include "tests/server/rpc/harness.h"

namespace strata {
namespace {

using rpc::testing::TestServer;

PortmapService::Service Nfs(std::uint16_t port) {
  return {100003, 3, {boost::asio::ip::make_address("127.0.0.1"), port}, false};
}

std::string SocketPath(const char* name) {
  return ::testing::TempDir() + "/strata-" + name + std::to_string(::getpid()) + ".sock";
}

// A free port, which may be taken by the time it is used; the responder then answers on the socket file alone, which
// the tests ask.
std::uint16_t FreePort() {
  TestServer server;
  return server.transport->ListenTcp("127.0.0.1", 0, server.dispatcher).value_or(0);
}

TEST(PortmapServiceTest, AnswersItselfWhereNoRpcbindRuns) {
  const PortmapAddress where{FreePort(), SocketPath("portmap")};
  ASSERT_FALSE(RpcbindRuns(where));
  TestServer server;
  {
    PortmapService service(*server.transport, {Nfs(2049)}, where);
    EXPECT_TRUE(service.answers());
    EXPECT_TRUE(RpcbindRuns(where));
    // What the server itself registered cannot be taken over.
    EXPECT_FALSE(RpcbindSet(where, 100003, 3, "tcp", "127.0.0.1.1.1"));
    server.Stop();
  }
  EXPECT_FALSE(RpcbindRuns(where));
}

TEST(PortmapServiceTest, RegistersWithARunningRpcbindAndTakesItBack) {
  const PortmapAddress where{FreePort(), SocketPath("rpcbind")};
  // Another of our responders plays the rpcbind.
  TestServer rpcbind;
  const PortmapService responder(*rpcbind.transport, {}, where);
  ASSERT_TRUE(RpcbindRuns(where));
  TestServer server;
  {
    PortmapService service(*server.transport, {Nfs(2049)}, where);
    EXPECT_FALSE(service.answers());
    if (::geteuid() == 0) {
      // It is there: another address is refused.
      const auto taken = RpcbindSet(where, 100003, 3, "tcp", "127.0.0.1.1.1");
      ASSERT_FALSE(taken);
      EXPECT_EQ(taken.error().code(), Errc::kExists);
    }
    server.Stop();
  }
  if (::geteuid() == 0) {
    EXPECT_TRUE(RpcbindSet(where, 100003, 3, "tcp", "127.0.0.1.1.1"));
  }
  rpcbind.Stop();
}

TEST(PortmapServiceTest, TheNextGoesOnAnsweringWithWhatOthersRegistered) {
  const PortmapAddress where{FreePort(), SocketPath("handed")};
  TestServer first, second;
  {
    std::optional<PortmapService> before(std::in_place, *first.transport, std::vector{Nfs(2049)}, where);
    if (::geteuid() == 0) {
      ASSERT_TRUE(RpcbindSet(where, 100024, 1, "tcp", "127.0.0.1.3.4"));
    }
    auto handed = first.transport->Release(std::chrono::seconds(20));
    ASSERT_TRUE(handed);
    PortmapService::Handed portmap = before->Release();
    before.reset();
    EXPECT_FALSE(portmap.registered);
    portmap.sockets = std::move(handed->sockets);
    const PortmapService after(*second.transport, {Nfs(2050)}, where, {}, std::move(portmap));
    EXPECT_TRUE(after.answers());
    EXPECT_TRUE(RpcbindRuns(where));
    EXPECT_FALSE(RpcbindSet(where, 100003, 3, "tcp", "127.0.0.1.1.1")) << "the server's own";
    if (::geteuid() == 0) {
      const auto taken = RpcbindSet(where, 100024, 1, "tcp", "127.0.0.1.9.9");
      ASSERT_FALSE(taken);
      EXPECT_EQ(taken.error().code(), Errc::kExists);
    }
    second.Stop();
  }
  EXPECT_FALSE(RpcbindRuns(where));
}

TEST(PortmapServiceTest, TheNextKeepsWhatWasRegisteredWithAnRpcbindAndTakesItBackAtItsEnd) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may register";
  const PortmapAddress where{FreePort(), SocketPath("handed-rpcbind")};
  TestServer rpcbind;
  const PortmapService responder(*rpcbind.transport, {}, where);
  TestServer first, second;
  {
    std::optional<PortmapService> before(std::in_place, *first.transport, std::vector{Nfs(2049)}, where);
    PortmapService::Handed handed = before->Release();
    before.reset();
    EXPECT_TRUE(handed.registered);
    const auto taken = RpcbindSet(where, 100003, 3, "tcp", "127.0.0.1.1.1");
    ASSERT_FALSE(taken) << "the registration is still there";
    const PortmapService after(*second.transport, {Nfs(2049)}, where, {}, std::move(handed));
    EXPECT_FALSE(after.answers());
    second.Stop();
  }
  EXPECT_TRUE(RpcbindSet(where, 100003, 3, "tcp", "127.0.0.1.1.1")) << "it was taken back";
  rpcbind.Stop();
}

TEST(PortmapServiceTest, WhereNeitherCanBeServingGoesOn) {
  const PortmapAddress where{1, "/nonexistent/folder/rpcbind.sock"};
  TestServer server;
  if (::geteuid() != 0) {
    PortmapService service(*server.transport, {Nfs(2049)}, where);
    EXPECT_FALSE(service.answers());
    server.Stop();
  } else {
    const auto taken = server.transport->ListenTcp("127.0.0.1", 0, server.dispatcher);
    ASSERT_TRUE(taken);
    TestServer other;
    // A port whose owner is no rpcbind, taken for TCP.
    PortmapService service(*other.transport, {Nfs(2049)}, {*taken, "/nonexistent/folder/rpcbind.sock"});
    rpc::testing::Client client(*taken);
    client.Send(rpc::testing::CallRecord(1, 0));
    EXPECT_TRUE(client.Receive());
    other.Stop();
  }
}

PortmapService::Service StatusMonitor(std::uint16_t port) {
  return {100024, 1, {boost::asio::ip::make_address("127.0.0.1"), port}, false};
}

// What is registered there, of which the own port 111 tells the asker.
std::vector<std::string> Registered(const PortmapAddress& where, std::uint32_t program) {
  boost::asio::io_context context(1);
  rpc::Client client(context);
  std::vector<std::string> all;
  RpcbindDump(client, where, [&](const Result<std::vector<portmap::Registration>>& found) {
    ASSERT_TRUE(found) << found.error().ToString();
    for (const portmap::Registration& entry : *found) {
      if (entry.program == program) all.push_back(entry.netid + " " + entry.uaddr);
    }
  });
  context.run();
  return all;
}

TEST(PortmapServiceTest, TheNextFindsWhatWasRegisteredWithTheOneBefore) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may register";
  const TempFolder folder;
  const PortmapAddress where{FreePort(), SocketPath("kept-before"), folder / "kept.json"};
  const auto in_file = [&] { return portmap::LoadRegistrations(Env::System(), where.kept_path); };
  {
    TestServer server;
    PortmapService service(*server.transport, {Nfs(2049)}, where);
    EXPECT_TRUE(in_file().empty());
    ASSERT_TRUE(RpcbindSet(where, 100024, 1, "tcp", "127.0.0.1.3.4"));
    ASSERT_TRUE(RpcbindSet(where, 100021, 4, "tcp", "127.0.0.1.3.5"));
    ASSERT_TRUE(RpcbindSet(where, 7, 1, "tcp", "127.0.0.1.3.6"));
    ASSERT_TRUE(RpcbindUnset(where, 7, 1, "tcp"));
    EXPECT_EQ(in_file().size(), 2u) << "at once: also a kill -9 leaves it so";
    server.Stop();
  }
  {
    TestServer server;
    PortmapService service(*server.transport, {Nfs(2050)}, where);
    EXPECT_EQ(Registered(where, 100024), std::vector<std::string>{"tcp 127.0.0.1.3.4"});
    EXPECT_EQ(Registered(where, 100021), std::vector<std::string>{"tcp 127.0.0.1.3.5"});
    EXPECT_EQ(Registered(where, 100003), std::vector<std::string>{"tcp 127.0.0.1.8.2"}) << "nothing of its own";
    ASSERT_TRUE(RpcbindUnset(where, 100024, 1, "tcp"));
    server.Stop();
  }
  EXPECT_EQ(in_file(), (std::vector<portmap::Registration>{{100021, 4, "tcp", "127.0.0.1.3.5", "superuser"}}));
  // The machine has started anew since.
  ASSERT_TRUE(ReplaceFile(Env::System(), where.kept_path, portmap::FormatRegistrations("before", in_file())));
  TestServer server;
  PortmapService service(*server.transport, {Nfs(2050)}, where);
  EXPECT_TRUE(Registered(where, 100021).empty());
  server.Stop();
}

TEST(PortmapServiceTest, AFileThatCannotBeReadHoldsNothingUp) {
  const TempFolder folder;
  const PortmapAddress where{FreePort(), SocketPath("unreadable"), folder / "kept.json"};
  ASSERT_TRUE(ReplaceFile(Env::System(), where.kept_path, "{"));
  TestServer server;
  PortmapService service(*server.transport, {Nfs(2049)}, where);
  EXPECT_TRUE(service.answers());
  EXPECT_EQ(Registered(where, 100003), std::vector<std::string>{"tcp 127.0.0.1.8.1"});
  server.Stop();
}

TEST(PortmapServiceTest, AnswersWhereItsServicesAreAndOnLoopback) {
  using enum rpc::Address::Transport;
  const PortmapAddress where{FreePort(), SocketPath("addresses")};
  const auto answers = [&](const std::string& address, rpc::Address::Transport transport) {
    boost::asio::io_context context(1);
    rpc::Client client(context);
    bool answered = false;
    client.Call({.transport = transport, .host = boost::asio::ip::make_address(address), .port = where.port},
                {.program = kPortmapProgram, .version = 2, .procedure = 0, .arguments = {}},
                [&](const auto& answer) { answered = answer.has_value(); });
    context.run();
    return answered;
  };
  struct Case {
    std::vector<std::string> services, answering, not_answering;
  };
  for (const Case& c : {Case{{}, {"127.0.0.1"}, {"127.0.0.2"}}, Case{{"127.0.0.1"}, {"127.0.0.1"}, {"127.0.0.2"}},
                        Case{{"127.0.0.2", "127.0.0.2"}, {"127.0.0.1", "127.0.0.2"}, {"127.0.0.3"}},
                        Case{{"127.0.0.2", "0.0.0.0"}, {"127.0.0.1", "127.0.0.2", "127.0.0.3"}, {}}}) {
    TestServer server;
    std::vector<PortmapService::Service> all;
    for (const std::string& address : c.services) {
      all.push_back({100003, 3, {boost::asio::ip::make_address(address), 2049}, false});
    }
    PortmapService service(*server.transport, all, where);
    for (const std::string& address : c.answering) EXPECT_TRUE(answers(address, kTcp)) << address;
    EXPECT_TRUE(answers("127.0.0.1", kUdp));
    for (const std::string& address : c.not_answering) {
      EXPECT_FALSE(answers(address, kTcp)) << address;
      EXPECT_FALSE(answers(address, kUdp)) << address;
    }
    server.Stop();
  }
}

// A connection from beyond this machine is one that is handed over as such.
TEST(PortmapServiceTest, WhoeverAsksFromBeyondThisMachineIsAnsweredWhereThatIsSaid) {
  const PortmapAddress where{FreePort(), SocketPath("beyond")};
  for (const bool admits : {false, true}) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    const UniqueFd client(ends[0]);
    PortmapService::Handed handed;
    rpc::HandedSocket& connection = handed.sockets.emplace_back();
    connection.kind = rpc::HandedSocket::Kind::kConnection;
    connection.program = kPortmapProgram;
    connection.socket = UniqueFd(ends[1]);
    connection.peer.address = boost::asio::ip::make_address("10.1.2.3");
    connection.received = rpc::testing::Record(rpc::testing::Message(5, 0, {}, 2, kPortmapProgram));
    TestServer server;
    std::atomic<int> asked{0};
    PortmapService service(
        *server.transport, {Nfs(2049)}, where,
        [&](const rpc::Peer& peer) {
          EXPECT_EQ(peer.address, boost::asio::ip::make_address("10.1.2.3"));
          ++asked;
          return admits;
        },
        std::move(handed));
    pollfd wait{client.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 20'000), 1);
    std::array<std::byte, 64> reply;
    ASSERT_GE(::recv(client.get(), reply.data(), reply.size(), 0), 16);
    EXPECT_EQ(rpc::LoadBe32(reply.data() + 12), admits ? 0u : 1u) << "accepted, or denied";
    EXPECT_EQ(asked, 1);
    server.Stop();
  }
}

// What FindOfClient says of the program: its port, or why there is none.
Result<std::uint16_t> FoundOfClient(PortmapService& service, const rpc::Address& host, std::uint32_t program,
                                    std::uint32_t version) {
  boost::asio::io_context context(1);
  rpc::Client client(context);
  std::optional<Result<rpc::Address>> found;
  service.FindOfClient(client, host, program, version, [&](Result<rpc::Address> address) {
    EXPECT_FALSE(found) << "it is said once";
    found = std::move(address);
  });
  context.run();
  if (!found) return Fail(Errc::kInvalid, "it was never said");
  if (!*found) return Fail(found->error());
  EXPECT_EQ((*found)->host, host.host);
  EXPECT_EQ((*found)->from, host.from);
  EXPECT_EQ((*found)->transport, host.transport);
  return (*found)->port;
}

TEST(PortmapServiceTest, AClientOfThisMachineIsWhatItRegisteredItself) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may register";
  const PortmapAddress where{FreePort(), SocketPath("client-here")};
  TestServer server;
  PortmapService service(*server.transport,
                         {Nfs(2049), {100021, 4, {boost::asio::ip::make_address("127.0.0.1"), 2049}, false}}, where);
  ASSERT_TRUE(service.answers());
  rpc::Address host{.transport = rpc::Address::Transport::kTcp,
                    .host = boost::asio::ip::make_address("127.0.0.1"),
                    .from = boost::asio::ip::make_address("127.0.0.1")};
  const auto nothing = FoundOfClient(service, host, 100021, 4);
  ASSERT_FALSE(nothing) << "the server's own is not the client's";
  EXPECT_EQ(nothing.error().code(), Errc::kNotSupported);
  ASSERT_TRUE(RpcbindSet(where, 100021, 4, "tcp", "0.0.0.0.3.4"));
  ASSERT_TRUE(RpcbindSet(where, 100021, 3, "tcp", "0.0.0.0.3.5"));
  ASSERT_TRUE(RpcbindSet(where, 100024, 1, "udp", "0.0.0.0.3.6"));
  EXPECT_EQ(FoundOfClient(service, host, 100021, 4).value_or(0), 0x304);
  EXPECT_EQ(FoundOfClient(service, host, 100021, 3).value_or(0), 0x305);
  EXPECT_FALSE(FoundOfClient(service, host, 100024, 1)) << "not over TCP";
  host.transport = rpc::Address::Transport::kUdp;
  EXPECT_EQ(FoundOfClient(service, host, 100024, 1).value_or(0), 0x306);
  // By another of this machine's addresses it is the same machine.
  host.host = host.from = boost::asio::ip::make_address("192.0.2.1");
  EXPECT_EQ(FoundOfClient(service, host, 100024, 1).value_or(0), 0x306);
  server.Stop();
}

TEST(PortmapServiceTest, WithAnRpcbindAClientOfThisMachineIsKnownByTheVersionThatIsItsAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may listen on port 111";
  TestServer rpcbind;
  portmap::Registry registry;
  const auto program = MakePortmapProgram(registry);
  const rpc::Dispatcher dispatcher({program.get()});
  const rpc::Address host{.transport = rpc::Address::Transport::kTcp,
                          .host = boost::asio::ip::make_address("127.0.0.87")};
  if (!rpcbind.transport->ListenTcp("127.0.0.87", 111, dispatcher)) GTEST_SKIP() << "port 111 is taken here";
  const PortmapAddress where{FreePort(), SocketPath("client-rpcbind")};
  ASSERT_TRUE(rpcbind.transport->ListenUnix(where.socket_path, dispatcher));
  TestServer server;
  {
    PortmapService service(*server.transport, {}, where);
    ASSERT_FALSE(service.answers());
    ASSERT_TRUE(registry.Set({100021, 4, "tcp", "0.0.0.0.8.1", "superuser"}));
    ASSERT_TRUE(registry.Set({100021, 3, "tcp", "0.0.0.0.3.5", "superuser"}));
    ASSERT_TRUE(registry.Set({100024, 1, "tcp", "0.0.0.0.3.6", "superuser"}));
    EXPECT_EQ(FoundOfClient(service, host, 100021, 4).value_or(0), 0x305) << "version 4 is the server's there";
    EXPECT_EQ(FoundOfClient(service, host, 100024, 1).value_or(0), 0x306);
    server.Stop();
  }
  rpcbind.Stop();
}

// Waits until the rpcbind of the test says so.
bool Says(const portmap::Registry& registry, std::uint32_t program, const std::string& uaddr) {
  const auto end = std::chrono::steady_clock::now() + rpc::testing::kLimit;
  while (std::chrono::steady_clock::now() < end) {
    const auto found = registry.Find(program, program == 100021 ? 4 : 3, "tcp", true);
    if (uaddr.empty() ? !found : found && found->uaddr == uaddr) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

// An rpcbind whose registrations the test changes as others would. Its owner is known by the socket: root's.
struct Rpcbind {
  explicit Rpcbind(const PortmapAddress& where) {
    EXPECT_TRUE(server.transport->ListenUnix(where.socket_path, dispatcher));
  }
  ~Rpcbind() { server.Stop(); }
  portmap::Registry registry;
  const std::unique_ptr<rpc::Program> program = MakePortmapProgram(registry);
  const rpc::Dispatcher dispatcher{{program.get()}};
  TestServer server;
};

TEST(RpcbindKeeperTest, PutsBackWhatAClientsOwnLockManagerReplaces) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root registers";
  const PortmapAddress where{FreePort(), SocketPath("kept")};
  Rpcbind rpcbind(where);
  ASSERT_TRUE(rpcbind.registry.Set({100003, 3, "tcp", "127.0.0.1.8.1", "superuser"}));
  ASSERT_TRUE(rpcbind.registry.Set({100021, 4, "tcp", "127.0.0.1.8.1", "superuser"}));
  RpcbindKeeper keeper(where, {{100003, 3, "tcp", "127.0.0.1.8.1"}, {100021, 4, "tcp", "127.0.0.1.8.1"}});
  // A client begins to mount: it takes out what is there, and must not find it there again.
  ASSERT_TRUE(rpcbind.registry.Unset(100021, 4, "tcp", "superuser"));
  keeper.Look();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(rpcbind.registry.Set({100021, 4, "tcp", "0.0.0.0.9.9", "superuser"}));
  keeper.Look();
  EXPECT_TRUE(Says(rpcbind.registry, 100021, "127.0.0.1.8.1"));
  // A client mounts: as the kernel does it.
  ASSERT_TRUE(rpcbind.registry.Unset(100021, 4, "tcp", "superuser"));
  ASSERT_TRUE(rpcbind.registry.Set({100021, 4, "tcp", "0.0.0.0.9.9", "superuser"}));
  keeper.Look();
  EXPECT_TRUE(Says(rpcbind.registry, 100021, "127.0.0.1.8.1"));
  // rpcbind has forgotten all.
  ASSERT_TRUE(rpcbind.registry.Unset(100021, 4, "tcp", "superuser"));
  ASSERT_TRUE(rpcbind.registry.Unset(100003, 3, "tcp", "superuser"));
  keeper.Look();
  EXPECT_TRUE(Says(rpcbind.registry, 100003, "127.0.0.1.8.1"));
  EXPECT_TRUE(Says(rpcbind.registry, 100021, "127.0.0.1.8.1"));
}

TEST(RpcbindKeeperTest, LeavesTheLockManagerOfAnotherServerAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root registers";
  const PortmapAddress where{FreePort(), SocketPath("others")};
  Rpcbind rpcbind(where);
  ASSERT_TRUE(rpcbind.registry.Set({100003, 3, "tcp", "0.0.0.0.8.1", "superuser"}));
  ASSERT_TRUE(rpcbind.registry.Set({100021, 4, "tcp", "0.0.0.0.9.9", "superuser"}));
  RpcbindKeeper keeper(where, {{100003, 3, "tcp", "127.0.0.1.8.1"}, {100021, 4, "tcp", "127.0.0.1.8.1"}});
  const auto end = std::chrono::steady_clock::now() + rpc::testing::kLimit;
  while (keeper.rounds() < 3 && std::chrono::steady_clock::now() < end) std::this_thread::yield();
  EXPECT_GE(keeper.rounds(), 3u);
  EXPECT_TRUE(Says(rpcbind.registry, 100021, "0.0.0.0.9.9"));
}

// Whether the rpcbind of the test comes to have that at version 1, or nothing where `uaddr` is empty.
bool ComesToHave(const portmap::Registry& registry, std::uint32_t program, const std::string& uaddr) {
  return rpc::testing::Eventually([&] {
    const auto found = registry.Find(program, 1, "tcp", true);
    return uaddr.empty() ? !found : found && found->uaddr == uaddr;
  });
}

TEST(RpcbindKeeperTest, TakesOutWhatIsGivenUpAndLeavesIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root registers";
  const PortmapAddress where{FreePort(), SocketPath("given-up")};
  Rpcbind rpcbind(where);
  const std::string own = "127.0.0.1.8.1";
  ASSERT_TRUE(rpcbind.registry.Set({100003, 3, "tcp", own, "superuser"}));
  ASSERT_TRUE(rpcbind.registry.Set({100024, 1, "tcp", own, "superuser"}));
  const RpcbindKeeper::Registered nfs{100003, 3, "tcp", own}, status{100024, 1, "tcp", own};
  RpcbindKeeper keeper(where, {nfs, status});
  keeper.GiveUp(100024);
  EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, ""));
  // rpc.statd comes, goes, and is not mistaken for what was here.
  ASSERT_TRUE(rpcbind.registry.Set({100024, 1, "tcp", "0.0.0.0.3.4", "29"}));
  keeper.GiveUp(100024);
  for (int round = 0; round < 2; ++round) {
    const std::uint64_t before = keeper.rounds();
    keeper.Look();
    ASSERT_TRUE(rpc::testing::Eventually([&] { return keeper.rounds() > before + 1; }));
  }
  EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, "0.0.0.0.3.4")) << "what is rpc.statd's is not taken out";
  EXPECT_TRUE(Says(rpcbind.registry, 100003, own));
  keeper.Stop();
  EXPECT_TRUE(keeper.GaveUp(status));
  EXPECT_FALSE(keeper.GaveUp(nfs));
  EXPECT_FALSE(keeper.GaveUp({100024, 1, "udp", own}));
}

TEST(RpcbindKeeperTest, GivesTheStatusMonitorUpWhereAnotherIsThere) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root registers";
  const PortmapAddress where{FreePort(), SocketPath("statd-came")};
  Rpcbind rpcbind(where);
  const std::string own = "127.0.0.1.8.1";
  ASSERT_TRUE(rpcbind.registry.Set({100003, 3, "tcp", own, "superuser"}));
  ASSERT_TRUE(rpcbind.registry.Set({100024, 1, "tcp", "0.0.0.0.3.4", "29"}));
  const RpcbindKeeper::Registered status{100024, 1, "tcp", own};
  RpcbindKeeper keeper(where, {{100003, 3, "tcp", own}, status});
  ASSERT_TRUE(rpc::testing::Eventually([&] { return keeper.rounds() >= 2; }));
  EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, "0.0.0.0.3.4"));
  keeper.Stop();
  EXPECT_TRUE(keeper.GaveUp(status));
}

TEST(PortmapServiceTest, MakesRoomForTheStatusMonitorOfThisMachine) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root registers";
  const PortmapAddress where{FreePort(), SocketPath("makes-room")};
  Rpcbind rpcbind(where);
  TestServer server;
  {
    PortmapService service(*server.transport, {Nfs(2049), StatusMonitor(2049)}, where);
    EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, "127.0.0.1.8.1"));
    service.StatusMonitorWanted();
    EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, ""));
    ASSERT_TRUE(rpcbind.registry.Set({100024, 1, "tcp", "0.0.0.0.3.4", "29"}));
    service.StatusMonitorWanted();
    server.Stop();
  }
  EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, "0.0.0.0.3.4")) << "that is not taken back at the end";
  EXPECT_FALSE(rpcbind.registry.Find(100003, 3, "tcp", true));
}

TEST(PortmapServiceTest, LeavesTheStatusMonitorThatIsThereAlready) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root registers";
  const PortmapAddress where{FreePort(), SocketPath("statd-first")};
  Rpcbind rpcbind(where);
  ASSERT_TRUE(rpcbind.registry.Set({100024, 1, "tcp", "0.0.0.0.3.4", "29"}));
  TestServer server;
  {
    PortmapService service(*server.transport, {Nfs(2049), StatusMonitor(2049)}, where);
    EXPECT_TRUE(Says(rpcbind.registry, 100003, "127.0.0.1.8.1"));
    service.StatusMonitorWanted();
    server.Stop();
  }
  EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, "0.0.0.0.3.4"));
}

TEST(PortmapServiceTest, TakesItsStatusMonitorBackAtItsEnd) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root registers";
  const PortmapAddress where{FreePort(), SocketPath("statd-back")};
  Rpcbind rpcbind(where);
  TestServer server;
  {
    PortmapService service(*server.transport, {Nfs(2049), StatusMonitor(2049)}, where);
    EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, "127.0.0.1.8.1"));
    server.Stop();
  }
  EXPECT_TRUE(ComesToHave(rpcbind.registry, 100024, ""));
}

// It gets the machine's socket alone, since port 111 is taken; what registers over the socket is known to it alone.
TEST(PortmapServiceTest, WhatRegistersWithAnRpcbindThatWasStartedLaterIsFound) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may register";
  const PortmapAddress where{FreePort(), SocketPath("later")};
  TestServer server, rpcbind;
  PortmapService service(*server.transport, {Nfs(2049)}, where);
  ASSERT_TRUE(service.answers());
  const rpc::Address host{.transport = rpc::Address::Transport::kUdp, .host = boost::asio::ip::address_v4::loopback()};
  EXPECT_FALSE(FoundOfClient(service, host, 100024, 1));
  ASSERT_EQ(::unlink(where.socket_path.c_str()), 0);
  const PortmapAddress elsewhere{FreePort(), where.socket_path};
  {
    const PortmapService later(*rpcbind.transport, {}, elsewhere);
    ASSERT_TRUE(later.answers());
    ASSERT_TRUE(RpcbindSet(where, 100024, 1, "udp", "127.0.0.1.3.4"));
    const auto found = FoundOfClient(service, host, 100024, 1);
    ASSERT_TRUE(found) << found.error().ToString();
    EXPECT_EQ(*found, 3 * 256 + 4);
    // Whoever asks port 111 hears of it too, and of the server's own.
    boost::asio::io_context context(1);
    rpc::Client client(context);
    std::optional<Result<rpc::Address>> asked, own;
    FindProgram(client, host, 100024, 1, [&](Result<rpc::Address> address) { asked = std::move(address); }, where.port);
    rpc::Address tcp = host;
    tcp.transport = rpc::Address::Transport::kTcp;
    FindProgram(client, tcp, 100003, 3, [&](Result<rpc::Address> address) { own = std::move(address); }, where.port);
    context.run();
    ASSERT_TRUE(asked && *asked && own && *own);
    EXPECT_EQ((*asked)->port, 3 * 256 + 4);
    EXPECT_EQ((*own)->port, 2049);
    rpcbind.Stop();
  }
  // It is gone, and nobody holds the socket: what it had is still the best that is known.
  EXPECT_TRUE(FoundOfClient(service, host, 100024, 1));
  server.Stop();
}

}  // namespace
}  // namespace strata
