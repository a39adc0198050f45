// A transport gives its sockets away and another serves on: no client notices more than a pause.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "base/resident.h"
#include "tests/server/rpc/harness.h"

namespace strata::rpc::testing {
namespace {

constexpr std::chrono::milliseconds kRelease{20'000};

// Everything of `from` goes to `to`.
void HandOver(TestServer& from, TestServer& to) {
  Result<Handed> handed = from.transport->Release(kRelease);
  ASSERT_TRUE(handed) << handed.error().ToString();
  to.transport->Remember(handed->answered);
  for (HandedSocket& socket : handed->sockets) {
    ASSERT_EQ(socket.program, FakeProgram::kNumber);
    to.transport->Take(std::move(socket), to.dispatcher);
  }
}

std::uint32_t Xid(Client& client) { return client.Receive().value_or(Reply{}).xid; }

int ConnectedTo(std::uint16_t port, int type) {
  const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

TEST(HandingOver, AConnectionGoesOnWhereverTheStreamWasCut) {
  const Bytes call = CallRecord(2, FakeProgram::kEcho, OpaqueOf(9));
  // The same in fragments of two bytes.
  Bytes fragments;
  for (std::size_t at = 4; at < call.size(); at += 2) {
    fragments = Joined({fragments, Mark(2, at + 2 >= call.size()),
                        Bytes(call.begin() + static_cast<long>(at), call.begin() + static_cast<long>(at) + 2)});
  }
  for (const Bytes& stream : {call, fragments}) {
    for (std::size_t cut = 0; cut <= stream.size(); cut += stream.size() > 200 ? 7 : 3) {
      SCOPED_TRACE(cut);
      TestServer first({.io_threads = 1, .worker_threads = 1}), second({.io_threads = 1, .worker_threads = 1});
      Client client(first);
      const ByteSpan bytes(stream);
      client.Send(CallRecord(1, FakeProgram::kNull));
      ASSERT_EQ(Xid(client), 1u);
      client.Send(bytes.first(cut));
      ASSERT_NO_FATAL_FAILURE(HandOver(first, second));
      client.Send(bytes.subspan(cut));
      client.Send(CallRecord(3, FakeProgram::kNull));
      const Reply reply = client.Receive().value_or(Reply{});
      EXPECT_EQ(reply.xid, 2u);
      EXPECT_EQ(reply.results, OpaqueOf(9));
      EXPECT_EQ(Xid(client), 3u);
    }
  }
}

TEST(HandingOver, CallsUnderWayAreAnsweredAndSoAreThoseBehindThem) {
  TestServer first, second;
  Client client(first);
  client.Send(CallRecord(1, FakeProgram::kBlocking, OpaqueOf(5)));
  first.program.volume.HoldSyncs();
  client.Send(CallRecord(2, FakeProgram::kDurable, Words({7})));
  ASSERT_TRUE(first.program.gate.WaitForArrivals(1));
  ASSERT_TRUE(first.program.volume.WaitForSyncs(1));
  std::jthread release([&] { HandOver(first, second); });
  client.Send(CallRecord(3, FakeProgram::kBlocking, OpaqueOf(5)));
  first.program.volume.Release(true);
  first.program.gate.Open();
  second.program.gate.Open();
  std::vector<std::uint32_t> xids = {Xid(client), Xid(client), Xid(client)};
  std::sort(xids.begin(), xids.end());
  EXPECT_EQ(xids, (std::vector<std::uint32_t>{1, 2, 3}));
  release.join();
  client.Send(CallRecord(4, FakeProgram::kNull));
  EXPECT_EQ(Xid(client), 4u) << "and each only once";
}

TEST(HandingOver, ACallThatTakesTooLongKeepsEverythingWhereItIs) {
  TestServer server;
  const auto port = server.transport->ListenTcp("127.0.0.1", 0, server.dispatcher);
  const auto udp = server.transport->ListenUdp("127.0.0.1", 0, server.dispatcher);
  ASSERT_TRUE(port && udp);
  Client slow(server), other(server);
  slow.Send(CallRecord(1, FakeProgram::kBlocking, OpaqueOf(5)));
  ASSERT_TRUE(server.program.gate.WaitForArrivals(1));
  for (std::uint32_t round = 0; round < 3; ++round) {
    const auto handed = server.transport->Release(std::chrono::milliseconds(1));
    ASSERT_FALSE(handed);
    EXPECT_EQ(handed.error().code(), Errc::kBusy);
    other.Send(CallRecord(10 + round, FakeProgram::kNull));
    EXPECT_EQ(Xid(other), 10 + round);
    Client fresh(*port);
    fresh.Send(CallRecord(20, FakeProgram::kNull));
    EXPECT_EQ(Xid(fresh), 20u);
    const int datagrams = ConnectedTo(*udp, SOCK_DGRAM);
    const Bytes call = Message(30, FakeProgram::kEcho, OpaqueOf(3));
    ::send(datagrams, call.data(), call.size(), 0);
    pollfd p{datagrams, POLLIN, 0};
    EXPECT_EQ(::poll(&p, 1, static_cast<int>(kRelease.count())), 1);
    ::close(datagrams);
  }
  server.program.gate.Open();
  EXPECT_EQ(Xid(slow), 1u);
  slow.Send(CallRecord(2, FakeProgram::kNull));
  EXPECT_EQ(Xid(slow), 2u);
}

TEST(HandingOver, WhatAClientHasNotReadYetIsSentOnByTheNext) {
  TestServer first, second;
  Client client(first);
  constexpr std::uint32_t kSize = 3 << 20;
  for (std::uint32_t xid = 1; xid <= 4; ++xid) client.Send(CallRecord(xid, FakeProgram::kBig, Words({kSize})));
  ASSERT_TRUE(client.Readable(kRelease));
  ASSERT_NO_FATAL_FAILURE(HandOver(first, second));
  for (std::uint32_t xid = 1; xid <= 4; ++xid) {
    const Reply reply = client.Receive().value_or(Reply{});
    ASSERT_EQ(reply.xid, xid);
    ASSERT_EQ(reply.results.size(), 4 + kSize);
    EXPECT_EQ(reply.results.back(), std::byte{'f'});
  }
}

TEST(HandingOver, AReplyWhoseFileWasCutMeanwhileEndsItsConnectionAndNoOther) {
  MappedFile file(3 << 20);
  TestServer first, second;
  first.program.file = file.bytes();
  Client client(first), other(first);
  for (std::uint32_t xid = 1; xid <= 4; ++xid) client.Send(CallRecord(xid, FakeProgram::kBig, Words({3 << 20})));
  ASSERT_TRUE(client.Readable(kRelease));
  // The socket may still take more, and meet the fault before the takeover does.
  const std::uint64_t faults = mapping_faults.load();
  file.Cut(4096);
  ASSERT_NO_FATAL_FAILURE(HandOver(first, second));
  EXPECT_GT(mapping_faults.load(), faults);
  for (std::uint32_t xid = 1; xid <= 4; ++xid) {
    if (!client.Receive()) break;
    EXPECT_NE(xid, 4u) << "what the socket took was there then; the rest is not";
  }
  other.Send(CallRecord(5, FakeProgram::kNull));
  EXPECT_EQ(Xid(other), 5u);
}

TEST(HandingOver, WholeCallsThatBackPressureKeptBackAreServedByTheNext) {
  TestServer first({.io_threads = 1, .worker_threads = 2, .max_calls_in_flight = 1}), second;
  Client client(first);
  Bytes calls;
  for (std::uint32_t xid = 1; xid <= 50; ++xid)
    calls = Joined({calls, CallRecord(xid, xid == 1 ? FakeProgram::kBlocking : FakeProgram::kEcho, OpaqueOf(xid))});
  client.Send(calls);
  ASSERT_TRUE(first.program.gate.WaitForArrivals(1));
  std::jthread release([&] { HandOver(first, second); });
  first.program.gate.Open();
  for (std::uint32_t xid = 1; xid <= 50; ++xid) ASSERT_EQ(Xid(client), xid);
}

TEST(HandingOver, WhoConnectsOrSendsInBetweenIsServedByTheNext) {
  auto first_server = std::make_unique<TestServer>(), second_server = std::make_unique<TestServer>();
  TestServer &first = *first_server, &second = *second_server;
  const auto port = first.transport->ListenTcp("127.0.0.1", 0, first.dispatcher);
  const auto udp = first.transport->ListenUdp("127.0.0.1", 0, first.dispatcher);
  const std::string path = ::testing::TempDir() + "/strata-handed-" + std::to_string(::getpid()) + ".sock";
  ASSERT_TRUE(port && udp && first.transport->ListenUnix(path, first.dispatcher));
  Result<Handed> handed = first.transport->Release(kRelease);
  ASSERT_TRUE(handed);
  ASSERT_EQ(handed->sockets.size(), 3u);

  Client client(*port);
  client.Send(CallRecord(1, FakeProgram::kNull));
  const int datagrams = ConnectedTo(*udp, SOCK_DGRAM);
  const Bytes call = Message(2, FakeProgram::kNull);
  ASSERT_EQ(::send(datagrams, call.data(), call.size(), 0), static_cast<ssize_t>(call.size()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int local = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(local, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);

  for (HandedSocket& socket : handed->sockets) second.transport->Take(std::move(socket), second.dispatcher);
  EXPECT_EQ(Xid(client), 1u);
  pollfd p{datagrams, POLLIN, 0};
  ASSERT_EQ(::poll(&p, 1, static_cast<int>(kRelease.count())), 1);
  std::byte reply[100];
  EXPECT_EQ(::recv(datagrams, reply, sizeof reply, 0), 24);
  const Bytes record = CallRecord(3, FakeProgram::kNull);
  ASSERT_EQ(::send(local, record.data(), record.size(), 0), static_cast<ssize_t>(record.size()));
  EXPECT_EQ(::recv(local, reply, 28, MSG_WAITALL), 28);
  ::close(datagrams);
  ::close(local);

  struct stat file{};
  first_server.reset();
  EXPECT_EQ(::lstat(path.c_str(), &file), 0) << "it belongs to the second";
  second_server.reset();
  EXPECT_NE(::lstat(path.c_str(), &file), 0);
}

TEST(HandingOver, ACallThatComesAgainGetsItsFirstAnswer) {
  TestServer first, second, third;
  Client before(first);
  before.Send(CallRecord(9, FakeProgram::kCached, Words({1})));
  const Bytes answer = before.Receive().value_or(Reply{}).results;
  ASSERT_EQ(answer, Words({1}));
  ASSERT_NO_FATAL_FAILURE(HandOver(first, second));
  ASSERT_NO_FATAL_FAILURE(HandOver(second, third));
  third.program.runs = 100;
  // Over the same connection, over another of the same host, and of another host, who asked nothing before.
  Client again(third), other(third, "127.0.0.2");
  for (Client* client : {&before, &again}) {
    client->Send(CallRecord(9, FakeProgram::kCached, Words({1})));
    EXPECT_EQ(client->Receive().value_or(Reply{}).results, answer);
  }
  other.Send(CallRecord(9, FakeProgram::kCached, Words({1})));
  EXPECT_EQ(other.Receive().value_or(Reply{}).results, Words({101}));
}

TEST(HandingOver, AnEndedOrBrokenConnectionIsNoHindrance) {
  TestServer first, second;
  Client half(first), gone(first), stays(first);
  half.Send(CallRecord(1, FakeProgram::kBlocking, OpaqueOf(5)));
  gone.Send(CallRecord(1, FakeProgram::kBlocking, OpaqueOf(5)));
  ASSERT_TRUE(first.program.gate.WaitForArrivals(2));
  ::shutdown(half.fd(), SHUT_WR);
  gone.Close();
  std::jthread release([&] { HandOver(first, second); });
  first.program.gate.Open();
  EXPECT_EQ(Xid(half), 1u);
  release.join();
  EXPECT_TRUE(half.Ended());
  stays.Send(CallRecord(2, FakeProgram::kNull));
  EXPECT_EQ(Xid(stays), 2u);
  EXPECT_TRUE(Eventually([&] { return second.transport->statistics().connections_open == 1; }));
}

// A sender and a receiver a connection, and transports that come and go beneath them.
TEST(HandingOver, EveryCallOfManyConnectionsIsAnsweredOnceAcrossManyHandOvers) {
  constexpr int kConnections = 40, kHandOvers = 12;
  std::vector<std::unique_ptr<TestServer>> servers;
  servers.push_back(std::make_unique<TestServer>());
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kConnections; ++i) clients.push_back(std::make_unique<Client>(*servers[0]));
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> answered = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kConnections; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937 random(static_cast<unsigned>(i));
      Client& client = *clients[static_cast<std::size_t>(i)];
      for (std::uint32_t xid = 1; !stop; xid += 8) {
        Bytes calls;
        for (std::uint32_t k = 0; k < 8; ++k) {
          const std::uint32_t kinds[] = {FakeProgram::kEcho, FakeProgram::kSizedBlocking, FakeProgram::kBlocking};
          calls = Joined({calls, CallRecord(xid + k, kinds[random() % 3], OpaqueOf(random() % 9000))});
        }
        const std::size_t cut = random() % calls.size();
        client.Send(ByteSpan(calls).first(cut));
        client.Send(ByteSpan(calls).subspan(cut));
        std::uint32_t seen = 0;
        for (int k = 0; k < 8; ++k) {
          const std::uint32_t got = Xid(client) - xid;
          ASSERT_LT(got, 8u);
          ASSERT_EQ(seen & (1u << got), 0u) << "answered twice";
          seen |= 1u << got;
        }
        answered += 8;
      }
    });
  }
  servers[0]->program.gate.Open();
  for (int i = 0; i < kHandOvers; ++i) {
    const std::uint64_t before = answered;
    ASSERT_TRUE(Eventually([&] { return answered > before + 200; }));
    servers.push_back(std::make_unique<TestServer>());
    servers.back()->program.gate.Open();
    HandOver(*servers[servers.size() - 2], *servers.back());
  }
  const std::uint64_t before = answered;
  EXPECT_TRUE(Eventually([&] { return answered > before + 200; }));
  stop = true;
  threads.clear();
  EXPECT_EQ(servers.back()->transport->statistics().connections_open, static_cast<std::uint64_t>(kConnections));
}

}  // namespace
}  // namespace strata::rpc::testing
