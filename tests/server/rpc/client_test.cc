// Calls to other programs: that they end, and with what, whatever the other side does.
#include "server/rpc/client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "server/portmap/program.h"
#include "server/portmap/registry.h"
#include "server/portmap_client.h"
#include "tests/server/rpc/harness.h"

namespace strata::rpc {
namespace {

using Results = Result<std::vector<std::byte>>;
using std::chrono::milliseconds;

Address At(std::uint16_t port, Address::Transport transport = Address::Transport::kTcp) {
  return {.transport = transport, .host = boost::asio::ip::make_address("127.0.0.1"), .port = port};
}

OutgoingCall Ping(milliseconds timeout = milliseconds(20'000)) {
  return {.program = kPortmapProgram, .version = 2, .procedure = 0, .arguments = {}, .timeout = timeout};
}

// Begins it, and waits until it has ended.
Results Ended(const Address& to, OutgoingCall call) {
  boost::asio::io_context context(1);
  Client client(context);
  std::optional<Results> results;
  client.Call(to, std::move(call), [&](Results of) {
    EXPECT_FALSE(results) << "it ends once";
    results = std::move(of);
  });
  EXPECT_FALSE(results) << "not before Call has returned";
  context.run();
  return results ? std::move(*results) : Fail(Errc::kInvalid, "it did not end");
}

// Nothing of a success.
std::optional<Errc> CodeOf(const Results& results) {
  return results ? std::nullopt : std::optional(results.error().code());
}

// A socket that does as the test says with each who comes.
class Server {
 public:
  explicit Server(int type, std::function<void(int)> serve) : socket_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(socket_.get(), 100), 0);
    }
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this, type, serve = std::move(serve)] {
      if (type != SOCK_STREAM) return serve(socket_.get());
      while (true) {
        const UniqueFd connection(::accept(socket_.get(), nullptr, nullptr));
        if (!connection) return;
        serve(connection.get());
      }
    });
  }
  ~Server() { ::shutdown(socket_.get(), SHUT_RDWR); }
  std::uint16_t port() const { return port_; }

 private:
  UniqueFd socket_;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

std::vector<std::uint32_t> Words(int socket) {
  std::uint32_t words[16];
  const ssize_t got = ::recv(socket, words, sizeof words, 0);
  std::vector<std::uint32_t> all;
  for (ssize_t i = 0; i < got / 4; ++i) all.push_back(ntohl(words[i]));
  return all;
}

void Send(int socket, std::vector<std::uint32_t> words) {
  for (std::uint32_t& word : words) word = htonl(word);
  (void)::send(socket, words.data(), words.size() * 4, MSG_NOSIGNAL);
}

constexpr std::uint32_t kLast = 0x80000000;

class Answered : public ::testing::TestWithParam<Address::Transport> {};

TEST_P(Answered, ByAProgram) {
  portmap::Registry registry;
  registry.AddOwn(7, 1, {boost::asio::ip::make_address("0.0.0.0"), 77}, false);
  const auto program = MakePortmapProgram(registry);
  const Dispatcher dispatcher({program.get()});
  testing::TestServer server;
  Address to = At(0, GetParam());
  if (GetParam() == Address::Transport::kUnix) {
    to.path = ::testing::TempDir() + "/strata-client" + std::to_string(::getpid()) + ".sock";
    ASSERT_TRUE(server.transport->ListenUnix(to.path, dispatcher));
  } else {
    const auto port = GetParam() == Address::Transport::kTcp ? server.transport->ListenTcp("127.0.0.1", 0, dispatcher)
                                                             : server.transport->ListenUdp("127.0.0.1", 0, dispatcher);
    ASSERT_TRUE(port);
    to.port = *port;
  }
  Results results = Ended(to, Ping());
  ASSERT_TRUE(results) << results.error().ToString();
  EXPECT_TRUE(results->empty());
  OutgoingCall other = Ping();
  other.program = 8;
  EXPECT_EQ(CodeOf(Ended(to, other)), Errc::kNotSupported);
  other = Ping();
  other.version = 9;
  EXPECT_EQ(CodeOf(Ended(to, other)), Errc::kNotSupported);
  other = Ping();
  other.procedure = 99;
  EXPECT_EQ(CodeOf(Ended(to, other)), Errc::kNotSupported);
  other = Ping();
  other.procedure = 3;
  EXPECT_EQ(CodeOf(Ended(to, other)), Errc::kIo) << "its arguments are garbage";
  other.one_way = true;
  EXPECT_TRUE(Ended(to, other)) << "nobody waits for that";
  server.Stop();
}

INSTANTIATE_TEST_SUITE_P(Over, Answered,
                         ::testing::Values(Address::Transport::kTcp, Address::Transport::kUdp,
                                           Address::Transport::kUnix));

TEST(RpcClient, NobodyThere) {
  std::uint16_t port = 0;
  {
    const Server server(SOCK_STREAM, [](int) {});
    port = server.port();
  }
  EXPECT_EQ(CodeOf(Ended(At(port), Ping())), Errc::kNotFound);
  EXPECT_EQ(CodeOf(Ended(At(port, Address::Transport::kUdp), Ping())), Errc::kNotFound);
  Address path = At(0, Address::Transport::kUnix);
  path.path = "/nowhere/at/all";
  EXPECT_EQ(CodeOf(Ended(path, Ping())), Errc::kNotFound);
  path.path = std::string(200, 'x');
  EXPECT_EQ(CodeOf(Ended(path, Ping())), Errc::kInvalid);
}

TEST(RpcClient, WhoNeverAnswersIsNotWaitedForLong) {
  testing::Gate ends;
  const Server stream(SOCK_STREAM, [&](int) { ends.Wait(); });
  EXPECT_EQ(CodeOf(Ended(At(stream.port()), Ping(milliseconds(50)))), Errc::kIo);
  ends.Open();
  const Server datagrams(SOCK_DGRAM, [](int) {});
  EXPECT_EQ(CodeOf(Ended(At(datagrams.port(), Address::Transport::kUdp), Ping(milliseconds(50)))), Errc::kIo);
}

TEST(RpcClient, WhatIsNoReplyIsRefused) {
  const std::vector<std::vector<std::uint32_t>> all = {
      {0xffffffff, 1, 1},                    // a reply of 2 GiB
      {kLast | ((64 << 10) + 1), 1, 1},      // longer than any
      {8, 0, 1},                             // not the last fragment
      {kLast | 0},                           // nothing, again and again
      {kLast | 12, 0, 1, 1},                 // denied
      {kLast | 16, 0, 1, 0, 0},              // ends within the verifier
      {kLast | 20, 0, 1, 0, 0, 0xffffffff},  // a verifier of 4 GiB
      {kLast | 24, 0, 1, 0, 0, 0, 5},        // SYSTEM_ERR
      {kLast | 24, 0, 1, 0, 0},              // cut off
      {},
  };
  for (const auto& answer : all) {
    const Server server(SOCK_STREAM, [&](int socket) {
      const auto call = Words(socket);
      auto words = answer;
      if (words.size() > 1 && call.size() > 1 && words[1] == 0) words[1] = call[1];
      Send(socket, words);
    });
    EXPECT_EQ(CodeOf(Ended(At(server.port()), Ping(milliseconds(5000)))), Errc::kIo) << answer.size();
  }
}

TEST(RpcClient, TheAnswerToAnotherCallIsPassedOver) {
  const Server server(SOCK_STREAM, [&](int socket) {
    const auto call = Words(socket);
    if (call.size() < 2) return;
    Send(socket, {kLast | 24, call[1] + 1, 1, 0, 0, 0, 0});
    Send(socket, {kLast | 28, call[1], 1, 0, 0, 0, 0, 42});
  });
  const Results results = Ended(At(server.port()), Ping());
  ASSERT_TRUE(results) << results.error().ToString();
  EXPECT_EQ(results->size(), 4u);
}

TEST(RpcClient, ALostDatagramIsSentAgain) {
  const Server server(SOCK_DGRAM, [&](int socket) {
    (void)Words(socket);
    std::uint32_t call[16];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    if (::recvfrom(socket, call, sizeof call, 0, reinterpret_cast<sockaddr*>(&from), &size) < 4) return;
    const std::uint32_t reply[] = {call[0], htonl(1), 0, 0, 0, 0};
    (void)::sendto(socket, reply, sizeof reply, 0, reinterpret_cast<const sockaddr*>(&from), size);
  });
  EXPECT_TRUE(Ended(At(server.port(), Address::Transport::kUdp), Ping()));
}

TEST(RpcClient, ManyWaitForTheirTurnAndAllEnd) {
  const Server server(SOCK_STREAM, [&](int socket) {
    const auto call = Words(socket);
    if (call.size() > 1) Send(socket, {kLast | 24, call[1], 1, 0, 0, 0, 0});
  });
  boost::asio::io_context context(1);
  Client client(context);
  int good = 0, refused = 0;
  for (int i = 0; i < 500; ++i) client.Call(At(server.port()), Ping(), [&](const Results& r) { good += r ? 1 : 0; });
  context.run();
  EXPECT_EQ(good, 500);
  context.restart();
  // Each fails at once, and there are more than may wait.
  Address nowhere = At(0, Address::Transport::kUnix);
  nowhere.path = "/nowhere";
  const auto count = static_cast<int>(Client::kMaxWaiting) + 100;
  for (int i = 0; i < count; ++i) {
    client.Call(nowhere, Ping(), [&](const Results& r) { refused += CodeOf(r) == Errc::kBusy ? 1 : 0; });
  }
  context.run();
  EXPECT_EQ(refused, 100);
}

TEST(RpcClient, ItsEndEndsAllCalls) {
  testing::Gate ends;
  const Server server(SOCK_STREAM, [&](int) { ends.Wait(); });
  boost::asio::io_context context(1);
  int failed = 0;
  {
    Client client(context);
    for (std::size_t i = 0; i < Client::kMaxAtOnce + 20; ++i) {
      client.Call(At(server.port()), Ping(), [&](const Results& r) { failed += CodeOf(r) == Errc::kIo ? 1 : 0; });
    }
    context.run_for(milliseconds(20));
  }
  EXPECT_EQ(failed, static_cast<int>(Client::kMaxAtOnce + 20));
  ends.Open();
  context.run();
}

TEST(RpcClient, FindsAProgramByThePortmapperOfItsHost) {
  portmap::Registry registry;
  const auto program = MakePortmapProgram(registry);
  const Dispatcher dispatcher({program.get()});
  testing::TestServer server;
  for (const bool datagrams : {false, true}) {
    const auto transport = datagrams ? Address::Transport::kUdp : Address::Transport::kTcp;
    const auto port = datagrams ? server.transport->ListenUdp("127.0.0.1", 0, dispatcher)
                                : server.transport->ListenTcp("127.0.0.1", 0, dispatcher);
    ASSERT_TRUE(port);
    const auto found = [&] {
      boost::asio::io_context context(1);
      Client client(context);
      std::optional<Errc> code = Errc::kInvalid;
      FindProgram(
          client, At(0, transport), kPortmapProgram, 2,
          [&](const Result<Address>& where) {
            code = where ? std::nullopt : std::optional(where.error().code());
            if (where) {
              EXPECT_EQ(where->port, *port);
            }
          },
          *port);
      context.run();
      return code;
    };
    EXPECT_EQ(found(), Errc::kNotSupported) << "it knows nothing of it";
    // The portmapper itself is what is looked for.
    registry.AddOwn(kPortmapProgram, 2, {boost::asio::ip::make_address("0.0.0.0"), *port}, datagrams);
    EXPECT_EQ(found(), std::nullopt);
  }
  server.Stop();
}

// Keeps who called, and by which address of this machine.
class Witness final : public Program {
 public:
  Witness() {
    table_[0].name = "NULL";
    table_[0].handler = [](Program& program, const Call& call, XdrReader&, ReplyBuffer&) {
      auto& self = static_cast<Witness&>(program);
      const std::lock_guard lock(self.mutex_);
      self.peer_ = *call.peer;
      return Outcome{};
    };
  }
  std::uint32_t number() const override { return kPortmapProgram; }
  std::string_view name() const override { return "witness"; }
  std::uint32_t low_version() const override { return 2; }
  std::uint32_t high_version() const override { return 2; }
  std::span<const Procedure> Procedures(std::uint32_t) const override { return table_; }
  Peer Last() {
    const std::lock_guard lock(mutex_);
    return peer_;
  }

 private:
  std::array<Procedure, 1> table_{};
  std::mutex mutex_;
  Peer peer_;
};

class CalledFrom : public ::testing::TestWithParam<Address::Transport> {
 protected:
  // Listens there; where to call.
  Address Listen(const std::string& address) {
    Address to{.transport = GetParam(), .host = boost::asio::ip::make_address(address)};
    const auto port = GetParam() == Address::Transport::kTcp ? server_.transport->ListenTcp(address, 0, dispatcher_)
                                                             : server_.transport->ListenUdp(address, 0, dispatcher_);
    EXPECT_TRUE(port);
    to.port = port.value_or(0);
    return to;
  }
  ~CalledFrom() override { server_.Stop(); }
  // Whom the program saw.
  Peer Call(const Address& to, bool privileged = false) {
    OutgoingCall call = Ping();
    call.privileged_port = privileged;
    const Results results = Ended(to, call);
    EXPECT_TRUE(results) << results.error().ToString();
    return witness_.Last();
  }
  static boost::asio::ip::address Host(const char* text) { return boost::asio::ip::make_address(text); }

  Witness witness_;
  const Dispatcher dispatcher_{{&witness_}};
  testing::TestServer server_;
};

TEST_P(CalledFrom, TheAddressThatIsGiven) {
  Address to = Listen("127.0.0.1");
  EXPECT_EQ(Call(to).address, Host("127.0.0.1")) << "the system chooses";
  to.from = Host("127.0.0.2");
  EXPECT_EQ(Call(to).address, Host("127.0.0.2"));
  for (int again = 0; again < 3; ++again) {
    const Peer peer = Call(to, true);
    EXPECT_EQ(peer.address, Host("127.0.0.2"));
    if (::geteuid() == 0) {
      EXPECT_LT(peer.port, 1024);
    }
  }
  to.from = boost::asio::ip::address();
  if (::geteuid() == 0) {
    EXPECT_LT(Call(to, true).port, 1024);
  }
}

TEST_P(CalledFrom, AnyWhereTheAddressIsNotThisMachinesOrOfAnotherKind) {
  Address to = Listen("127.0.0.1");
  for (const char* from : {"192.0.2.1", "::1", "::", "0.0.0.0"}) {
    to.from = Host(from);
    EXPECT_EQ(Call(to).address, Host("127.0.0.1")) << from;
    const Peer peer = Call(to, true);
    EXPECT_EQ(peer.address, Host("127.0.0.1")) << from;
    if (::geteuid() == 0) {
      EXPECT_LT(peer.port, 1024) << from << ": the port is another matter";
    }
  }
}

TEST_P(CalledFrom, WithIPv6Too) {
  const Address to = Listen("::1");
  if (to.port == 0) GTEST_SKIP() << "there is no IPv6 here";
  const Peer peer = Call(to, true);
  EXPECT_EQ(peer.address, Host("::1"));
  EXPECT_EQ(peer.local, Host("::1"));
  if (::geteuid() == 0) {
    EXPECT_LT(peer.port, 1024);
  }
}

TEST_P(CalledFrom, TheServerKnowsByWhichOfItsAddresses) {
  const bool datagrams = GetParam() == Address::Transport::kUdp;
  EXPECT_EQ(Call(Listen("127.0.0.3")).local, Host("127.0.0.3"));
  Address any = Listen("0.0.0.0");
  // A datagram's answer would not be heard from another address.
  any.host = Host("127.0.0.4");
  const Peer peer = Call(any);
  EXPECT_EQ(peer.datagram, datagrams);
  EXPECT_EQ(peer.local, Host("127.0.0.4"));
}

INSTANTIATE_TEST_SUITE_P(Over, CalledFrom, ::testing::Values(Address::Transport::kTcp, Address::Transport::kUdp));

TEST(RpcServerPeer, OfASocketFileThereAreNoAddresses) {
  Witness witness;
  const Dispatcher dispatcher({&witness});
  testing::TestServer server;
  Address to = At(0, Address::Transport::kUnix);
  to.path = ::testing::TempDir() + "/strata-witness" + std::to_string(::getpid()) + ".sock";
  ASSERT_TRUE(server.transport->ListenUnix(to.path, dispatcher));
  ASSERT_TRUE(Ended(to, Ping()));
  EXPECT_TRUE(witness.Last().local_socket);
  EXPECT_TRUE(witness.Last().local.is_unspecified());
  server.Stop();
}

}  // namespace
}  // namespace strata::rpc
