// Spec nfsv3 2.3: port 111 tells where the services are, through a running rpcbind or through our own responder.
#include "server/portmap_service.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>

#include "server/portmap/program.h"
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
    const PortmapService service(*server.transport, {Nfs(2049)}, where);
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
    const PortmapService service(*server.transport, {Nfs(2049)}, where);
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
    const PortmapService service(*server.transport, {Nfs(2049)}, where);
    EXPECT_FALSE(service.answers());
    server.Stop();
  } else {
    const auto taken = server.transport->ListenTcp("127.0.0.1", 0, server.dispatcher);
    ASSERT_TRUE(taken);
    TestServer other;
    // A port whose owner is no rpcbind, taken for TCP.
    const PortmapService service(*other.transport, {Nfs(2049)}, {*taken, "/nonexistent/folder/rpcbind.sock"});
    rpc::testing::Client client(*taken);
    client.Send(rpc::testing::CallRecord(1, 0));
    EXPECT_TRUE(client.Receive());
    other.Stop();
  }
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

}  // namespace
}  // namespace strata
