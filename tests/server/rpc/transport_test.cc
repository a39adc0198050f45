// The sockets: TCP, UDP and AF_UNIX.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/server/rpc/harness.h"

namespace strata::rpc::testing {
namespace {

TEST(TransportTest, ServesOverTcpOnAnyFreePort) {
  TestServer server;
  const auto port = server.transport->ListenTcp("127.0.0.1", 0, server.dispatcher);
  ASSERT_TRUE(port) << port.error().ToString();
  ASSERT_NE(*port, 0);
  for (int i = 0; i < 3; ++i) {
    Client client(*port);
    client.Send(CallRecord(1, FakeProgram::kEcho, OpaqueOf(10)));
    EXPECT_EQ(client.Receive().value_or(Reply{}).results, OpaqueOf(10));
  }
  EXPECT_EQ(server.transport->statistics().connections_accepted, 3u);
}

TEST(TransportTest, APortInUseIsAnErrorThatNamesIt) {
  TestServer server;
  const auto port = server.transport->ListenTcp("127.0.0.1", 0, server.dispatcher);
  ASSERT_TRUE(port);
  const auto again = server.transport->ListenTcp("127.0.0.1", *port, server.dispatcher);
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message().find(std::to_string(*port)), std::string::npos);
  EXPECT_FALSE(server.transport->ListenTcp("localhost", 0, server.dispatcher)) << "only numeric addresses";
}

TEST(TransportTest, AnswersDatagramsAndKeepsBlockedOnesOffTheThread) {
  TestServer server;
  const auto port = server.transport->ListenUdp("127.0.0.1", 0, server.dispatcher);
  ASSERT_TRUE(port) << port.error().ToString();
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(*port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const auto send = [&](const Bytes& message) { ::send(fd, message.data(), message.size(), 0); };
  const auto receive_xid = [&]() -> std::uint32_t {
    std::byte reply[2000];
    pollfd p{fd, POLLIN, 0};
    if (::poll(&p, 1, std::chrono::milliseconds(kLimit).count()) <= 0) return 0;
    const ssize_t size = ::recv(fd, reply, sizeof reply, 0);
    return size >= 24 ? LoadBe32(reply) : 0;
  };
  send(Message(1, FakeProgram::kBlocking, OpaqueOf(5)));
  ASSERT_TRUE(server.program.gate.WaitForArrivals(1));
  send(Bytes(3));
  send(Message(2, FakeProgram::kEcho, OpaqueOf(5)));
  EXPECT_EQ(receive_xid(), 2u);
  send(Message(3, FakeProgram::kGap));
  EXPECT_EQ(receive_xid(), 3u);
  server.program.gate.Open();
  EXPECT_EQ(receive_xid(), 1u);
  send(Message(4, FakeProgram::kDurable, Words({4})));
  EXPECT_EQ(receive_xid(), 4u);
  EXPECT_EQ(server.program.volume.synced().size(), 1u);
  ::close(fd);
}

TEST(TransportTest, ServesASocketFileInPlaceOfADeadOneAndRemovesIt) {
  const std::string path = ::testing::TempDir() + "/strata-rpc-" + std::to_string(::getpid()) + ".sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(dead);
  {
    TestServer server;
    const auto listening = server.transport->ListenUnix(path, server.dispatcher);
    ASSERT_TRUE(listening) << listening.error().ToString();
    const auto again = server.transport->ListenUnix(path, server.dispatcher);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Errc::kBusy);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const Bytes call = CallRecord(7, FakeProgram::kNull);
    ASSERT_EQ(::send(fd, call.data(), call.size(), 0), static_cast<ssize_t>(call.size()));
    std::byte reply[28];
    EXPECT_EQ(::recv(fd, reply, sizeof reply, MSG_WAITALL), 28);
    ::close(fd);
  }
  struct stat left{};
  EXPECT_NE(::lstat(path.c_str(), &left), 0);
}

}  // namespace
}  // namespace strata::rpc::testing
