// Spec nfsv3 2.3: port 111 tells where the services are, through a running rpcbind or through our own responder.
#include "server/portmap_service.h"

#include <gtest/gtest.h>
#include <unistd.h>

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

}  // namespace
}  // namespace strata
