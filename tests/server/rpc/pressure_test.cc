// Limits, many connections, and the end (spec nfsv3 1.4, 1.7).
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "server/rpc/record_reader.h"
#include "tests/server/rpc/harness.h"

namespace strata::rpc::testing {
namespace {

std::size_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<std::size_t>(::getpagesize());
}

// Sends the call again and again until the server has read nothing for a while. The number of calls sent whole.
std::size_t SendUntilStuck(Client& client, const Bytes& call, std::size_t most) {
  std::size_t sent = 0;
  auto last = std::chrono::steady_clock::now();
  while (sent < most * call.size() && std::chrono::steady_clock::now() - last < std::chrono::milliseconds(300)) {
    const std::size_t n = client.SendSome(ByteSpan(call).subspan(sent % call.size()));
    sent += n;
    if (n > 0) last = std::chrono::steady_clock::now();
    if (n == 0) std::this_thread::yield();
  }
  return sent / call.size();
}

TEST(Pressure, AClientThatNeverReadsIsNoLongerReadAndLosesNothing) {
  TestServer server({.io_threads = 1, .worker_threads = 1, .max_queued_bytes = 1 << 20});
  Client client(server);
  // Each call asks for as much as it brings.
  const Bytes call = CallRecord(1, FakeProgram::kEcho, OpaqueOf(60'000));
  const std::size_t before = ResidentBytes();
  const std::size_t sent = SendUntilStuck(client, call, 10'000);
  ASSERT_LT(sent, 1000u) << "the server went on reading";
  ASSERT_GT(sent, 10u);
  EXPECT_LT(ResidentBytes(), before + (16u << 20));
  // Another client is served meanwhile, and the first once it reads.
  Client other(server);
  other.Send(CallRecord(9, FakeProgram::kNull));
  EXPECT_TRUE(other.Receive());
  for (std::size_t i = 0; i < sent; ++i) {
    const auto reply = client.Receive();
    ASSERT_TRUE(reply) << i;
    ASSERT_EQ(reply->results.size(), 60'004u);
  }
}

TEST(Pressure, CallsBeyondTheLimitInFlightWaitInTheSocketAndAreAllAnswered) {
  TestServer server({.io_threads = 1, .worker_threads = 2, .max_calls_in_flight = 4});
  Client client(server);
  Bytes calls;
  std::set<std::uint32_t> xids;
  for (std::uint32_t xid = 0; xid < 20; ++xid) {
    calls = Joined({calls, CallRecord(xid, FakeProgram::kBlocking, OpaqueOf(4))});
    xids.insert(xid);
  }
  client.Send(calls);
  ASSERT_TRUE(server.program.gate.WaitForArrivals(2));
  EXPECT_FALSE(client.Readable(std::chrono::milliseconds(50)));
  EXPECT_EQ(server.transport->statistics().calls_blocked, 4u);
  server.program.gate.Open();
  while (!xids.empty()) {
    const auto reply = client.Receive();
    ASSERT_TRUE(reply);
    xids.erase(reply->xid);
  }
  EXPECT_EQ(server.transport->statistics().calls_blocked, 20u);
}

TEST(Pressure, ReadsThatWaitForADiskAreCountedByTheirLargestReply) {
  TestServer server({.io_threads = 1, .worker_threads = 2, .max_queued_bytes = 4 << 20});
  Client client(server);
  Bytes calls;
  for (std::uint32_t xid = 0; xid < 20; ++xid)
    calls = Joined({calls, CallRecord(xid, FakeProgram::kSizedBlocking, OpaqueOf(4))});
  client.Send(calls);
  ASSERT_TRUE(server.program.gate.WaitForArrivals(2));
  EXPECT_FALSE(client.Readable(std::chrono::milliseconds(50)));
  EXPECT_LE(server.transport->statistics().calls_blocked, 5u);
  server.program.gate.Open();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.Receive());
}

TEST(Pressure, BeyondTheBytesOfAllConnectionsEachGetsOnByOneCallAtATime) {
  TestServer server({.io_threads = 1, .worker_threads = 2, .max_buffered_bytes = 4 << 20});
  Bytes calls;
  for (std::uint32_t xid = 0; xid < 20; ++xid)
    calls = Joined({calls, CallRecord(xid, FakeProgram::kSizedBlocking, OpaqueOf(4))});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->Send(calls);
  }
  ASSERT_TRUE(server.program.gate.WaitForArrivals(2));
  for (const auto& client : clients) EXPECT_FALSE(client->Readable(std::chrono::milliseconds(50)));
  // Of about a mebibyte each: those of the first, and one of each other.
  EXPECT_LE(server.transport->statistics().calls_blocked, 7u);
  server.program.gate.Open();
  for (const auto& client : clients) {
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(client->Receive()) << i;
  }
}

TEST(Pressure, ParkedRepliesCountAsInFlight) {
  TestServer server({.io_threads = 1, .worker_threads = 1, .max_calls_in_flight = 3});
  server.program.volume.HoldSyncs();
  Client client(server);
  Bytes calls;
  for (std::uint32_t xid = 0; xid < 9; ++xid)
    calls = Joined({calls, CallRecord(xid, FakeProgram::kDurable, Words({xid}))});
  client.Send(calls);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(server.program.volume.WaitForSyncs(1));
    EXPECT_EQ(server.program.runs, 3 * (round + 1));
    server.program.volume.Release(true);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(client.Receive());
  }
}

TEST(Pressure, AStalledHalfRecordHoldsUpNobody) {
  TestServer server({.io_threads = 1, .worker_threads = 1});
  std::vector<std::unique_ptr<Client>> stalled;
  for (int i = 0; i < 400; ++i) {
    stalled.push_back(std::make_unique<Client>(server));
    stalled.back()->Send(Joined({Mark(kMaxRecordBytes, true), Bytes(100)}));
  }
  Client client(server);
  for (std::uint32_t xid = 0; xid < 50; ++xid) {
    client.Send(CallRecord(xid, FakeProgram::kEcho, OpaqueOf(3000)));
    ASSERT_TRUE(client.Receive());
  }
}

TEST(Pressure, MoreTalkersThanBuffersAreAllServed) {
  TestServer server({.io_threads = 1, .worker_threads = 1});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 600; ++i) clients.push_back(std::make_unique<Client>(server));
  for (std::uint32_t round = 0; round < 5; ++round) {
    for (auto& client : clients) client->Send(CallRecord(round, FakeProgram::kEcho, OpaqueOf(100)));
    for (auto& client : clients) ASSERT_EQ(client->Receive().value_or(Reply{}).results, OpaqueOf(100));
  }
}

// The buffers of many threads and many connections are within one budget, and everybody is served in the end.
TEST(Pressure, ManyThreadsAndConnectionsKeepTheirBuffersWithinTheBudget) {
  constexpr std::size_t kBudget = 16 << 20;
  constexpr std::size_t kThreads = 256;
  TestServer server({.io_threads = kThreads, .worker_threads = 64, .max_buffered_bytes = kBudget});
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < 2 * kThreads; ++i) clients.push_back(std::make_unique<Client>(server));
  const std::size_t before = ResidentBytes();
  const auto grown = [before] {
    return static_cast<std::int64_t>(ResidentBytes()) - static_cast<std::int64_t>(before);
  };
  // The argument is as long as a WRITE's may be; the answer, that it is garbage, is short.
  const Bytes call = CallRecord(1, FakeProgram::kNull, OpaqueOf(1 << 20));
  std::vector<std::size_t> sent(clients.size());
  std::int64_t most = 0;
  std::uint64_t most_counted = 0;
  // All of them get on, as fast as there is room, though none is whole before all are begun.
  const auto end = std::chrono::steady_clock::now() + 3 * kLimit;
  for (std::size_t done = 0, round = 0; done < clients.size() && std::chrono::steady_clock::now() < end; ++round) {
    done = 0;
    const std::size_t limit = round < 20 ? call.size() - 100 : call.size();
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const std::size_t part = std::min<std::size_t>(limit - sent[i], 50'000);
      if (part > 0) sent[i] += clients[i]->SendSome(ByteSpan(call).subspan(sent[i], part));
      if (sent[i] == call.size()) ++done;
    }
    most = std::max(most, grown());
    most_counted = std::max(most_counted, server.transport->statistics().buffered_bytes);
  }
  for (auto& client : clients) {
    const auto reply = client->Receive();
    ASSERT_TRUE(reply);
    ASSERT_EQ(reply->status, static_cast<std::uint32_t>(GARBAGE_ARGS));
  }
  // Each thread may lend one small buffer in any case.
  EXPECT_LT(most_counted, kBudget + kThreads * BufferPool::kSmallBytes);
  // With the stacks of so many threads, and holes in their heaps. The sockets' own buffers are the kernel's.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(most, std::int64_t{160} << 20);
#endif
}

TEST(Pressure, WhoDoesNotSendTheRestOfARecordIsGivenUpWhereOthersNeedTheMemory) {
  TestServer server({.io_threads = 2, .max_buffered_bytes = 2 << 20, .slow_record = std::chrono::seconds(0)});
  const Bytes call = CallRecord(1, FakeProgram::kEcho, OpaqueOf(1 << 20));
  Client half(server), small(server), other(server);
  half.Send(ByteSpan(call).first(700'000));
  small.Send(ByteSpan(call).first(100));
  other.Send(call);
  const auto reply = other.Receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->results.size(), (1u << 20) + 4);
  EXPECT_TRUE(half.Ended());
  EXPECT_EQ(server.transport->statistics().records_refused, 1u);
}

TEST(Pressure, WhoRestsBetweenTwoRecordsGivesItsBufferToWhoeverNeedsIt) {
  TestServer server({.io_threads = 2, .max_buffered_bytes = 2 << 20});
  const Bytes call = CallRecord(1, FakeProgram::kEcho, OpaqueOf(1 << 20));
  std::vector<std::unique_ptr<Client>> clients;
  // There is room for one large record, and who has sent one keeps its buffer for the next: for a second or two, if
  // nobody needs it. All together would wait far longer than this may take.
  const auto end = std::chrono::steady_clock::now() + kLimit;
  for (int i = 0; i < 40; ++i) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << i;
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->Send(call);
    ASSERT_TRUE(clients.back()->Receive()) << i;
  }
}

TEST(Pressure, CallsOnManyWorkersHoldNoMoreThanTheyNeed) {
  constexpr std::size_t kBudget = 16 << 20;
  TestServer server({.io_threads = 64, .worker_threads = 64, .max_buffered_bytes = kBudget});
  std::vector<std::unique_ptr<Client>> clients;
  Bytes calls;
  for (std::uint32_t xid = 0; xid < 200; ++xid)
    calls = Joined({calls, CallRecord(xid, FakeProgram::kBlocking, OpaqueOf(4))});
  for (int i = 0; i < 64; ++i) clients.push_back(std::make_unique<Client>(server));
  const std::size_t before = ResidentBytes();
  for (auto& client : clients) client->Send(calls);
  ASSERT_TRUE(server.program.gate.WaitForArrivals(64));
  server.program.gate.Open();
  for (auto& client : clients) {
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(client->Receive());
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(ResidentBytes(), before + kBudget + 64 * (160u << 10));
#else
  (void)before;
#endif
}

// Spec nfsv3 1.7. As many as the limit on descriptors allows, two for each.
TEST(Pressure, TenThousandIdleConnectionsAreHeldInLittleMemory) {
  TestServer server({.io_threads = 2, .worker_threads = 1});  // raises the limit to the hard one
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const std::size_t count = std::min<std::size_t>(10'000, (limit.rlim_cur - 200) / 2);
  ASSERT_GT(count, 300u) << "the limit on descriptors is too low to tell anything";
  const std::size_t before = ResidentBytes();
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<Client>(server));
    clients.back()->Send(CallRecord(1, FakeProgram::kNull));
  }
  for (auto& client : clients) ASSERT_TRUE(client->Receive());
  EXPECT_EQ(server.transport->statistics().connections_open, count);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Two threads may lend 256 buffers of 64 KiB each; the connections themselves are small.
  EXPECT_LT(ResidentBytes() - before, (2u * 256 * (64u << 10)) + count * 4096);
#else
  (void)before;
#endif
  for (auto& client : clients) client->Send(CallRecord(2, FakeProgram::kNull));
  for (auto& client : clients) ASSERT_TRUE(client->Receive());
}

TEST(Pressure, BuffersAreTakenBackFromTheSilentAndTheyAreServedAgain) {
  TestServer server({.io_threads = 1, .worker_threads = 1});
  Client idle(server), half(server);
  idle.Send(CallRecord(1, FakeProgram::kNull));
  ASSERT_TRUE(idle.Receive());
  const Bytes call = CallRecord(2, FakeProgram::kEcho, OpaqueOf(2000));
  half.Send(ByteSpan(call).first(900));
  half.Send(ByteSpan(call).subspan(900, 100));
  // Silence for longer than the two ticks is the only way to see it from outside: the receive is cancelled and waited
  // for anew.
  EXPECT_FALSE(idle.Readable(std::chrono::milliseconds(2600)));
  half.Send(ByteSpan(call).subspan(1000));
  EXPECT_EQ(half.Receive().value_or(Reply{}).results, OpaqueOf(2000));
  idle.Send(CallRecord(3, FakeProgram::kEcho, OpaqueOf(50)));
  EXPECT_EQ(idle.Receive().value_or(Reply{}).results, OpaqueOf(50));
}

TEST(Pressure, ConnectionsBeyondTheLimitAreRefused) {
  TestServer server({.io_threads = 1, .worker_threads = 1, .max_connections = 2});
  Client a(server), b(server), c(server);
  EXPECT_TRUE(c.Ended());
  EXPECT_EQ(server.transport->statistics().connections_refused, 1u);
  a.Close();
  ASSERT_TRUE(Eventually([&] { return server.transport->statistics().connections_open == 1; }));
  Client d(server);
  d.Send(CallRecord(1, FakeProgram::kNull));
  EXPECT_TRUE(d.Receive());
}

TEST(Stopping, CallsUnderWayAreAnsweredFirst) {
  TestServer server;
  Client client(server), idle(server);
  client.Send(CallRecord(1, FakeProgram::kBlocking, OpaqueOf(3)));
  ASSERT_TRUE(server.program.gate.WaitForArrivals(1));
  std::jthread stopper([&] { server.transport->Stop(); });
  EXPECT_TRUE(idle.Ended());
  server.program.gate.Open();
  EXPECT_EQ(client.Receive().value_or(Reply{}).results, OpaqueOf(3));
  EXPECT_TRUE(client.Ended());
}

TEST(Stopping, AnswersThatAreNotTakenAreWaitedForOnlySoLong) {
  TestServer server({.io_threads = 1, .worker_threads = 1, .stop_wait = std::chrono::milliseconds(100)});
  Client client(server);
  for (int i = 0; i < 8; ++i) client.Send(CallRecord(1, FakeProgram::kBig, Words({1 << 20})));
  ASSERT_TRUE(client.Readable(kLimit));
  const auto before = std::chrono::steady_clock::now();
  server.transport->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, kLimit);
}

TEST(Stopping, ASyncThatEndsAfterTheServerDoesNoHarm) {
  auto server = std::make_unique<TestServer>(
      TransportOptions{.io_threads = 1, .worker_threads = 1, .stop_wait = std::chrono::milliseconds(50)});
  server->program.volume.HoldSyncs();
  Client client(*server);
  client.Send(CallRecord(1, FakeProgram::kDurable, Words({1})));
  ASSERT_TRUE(server->program.volume.WaitForSyncs(1));
  // A retransmission waits for it as well.
  client.Send(CallRecord(1, FakeProgram::kDurable, Words({1})));
  ASSERT_TRUE(Eventually([&] { return server->transport->statistics().duplicates == 1; }));
  server->transport.reset();
  server->program.volume.Release(true);
  EXPECT_TRUE(client.Ended());
  server->transport = Transport::Create({.io_threads = 1, .worker_threads = 1});
}

TEST(Stopping, UnderLoadFromManyConnectionsEndsCleanly) {
  for (int round = 0; round < 5; ++round) {
    TestServer server({.io_threads = 2, .worker_threads = 2, .stop_wait = std::chrono::milliseconds(200)});
    server.program.gate.Open();
    std::atomic<bool> stop{false};
    std::atomic<int> answered{0};
    std::vector<std::jthread> drivers;
    for (int t = 0; t < 4; ++t) {
      drivers.emplace_back([&, t] {
        Client client(server, "127.0.0.1", static_cast<std::uint16_t>(700 + t));
        for (std::uint32_t xid = 0; !stop; ++xid) {
          client.Send(Joined({CallRecord(xid, FakeProgram::kBlocking, OpaqueOf(5000)),
                              CallRecord(xid, FakeProgram::kCached, Words({xid / 2})),
                              CallRecord(xid, FakeProgram::kDurable, Words({xid})),
                              CallRecord(xid, FakeProgram::kWritten, Words({xid})),
                              CallRecord(xid, FakeProgram::kEcho, OpaqueOf(70'000))}));
          for (int i = 0; i < 5; ++i) {
            if (!client.Receive()) return;
            ++answered;
          }
        }
      });
    }
    ASSERT_TRUE(Eventually([&] { return answered > 500; }));
    server.transport->Stop();
    stop = true;
  }
}

}  // namespace
}  // namespace strata::rpc::testing
