// Calls that wait for something from elsewhere (base/fetch.h) hold no thread, are run again when it has come, and are
// told to come again later when it does not.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "tests/server/rpc/harness.h"

namespace strata::rpc::testing {
namespace {

using std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr std::uint32_t kLater = 0x1a7e;
constexpr TransportOptions kOneWorker{.io_threads = 1, .worker_threads = 1};

// What the calls of a test wait for, one after the other, and how often they ran.
class Elsewhere {
 public:
  explicit Elsewhere(TestServer& server, std::size_t things = 1) {
    for (std::size_t i = 0; i < things; ++i) fetches_.push_back(std::make_shared<Fetch>("thing " + std::to_string(i)));
    server.program.fetching = [this](const Call& call, std::uint32_t word, ReplyBuffer& reply) {
      ++runs;
      reply.U32(word);
      for (const auto& fetch : fetches_) {
        if (fetch->done()) continue;
        if (call.late) {
          ++late;
          reply.Rewind(reply.size() - 4);
          reply.U32(kLater);
          return Outcome{};
        }
        *call.fetch = fetch;
        ++waits;
        return Outcome::WouldBlock();
      }
      return Outcome{};
    };
  }
  void Come(std::size_t thing = 0) { fetches_[thing]->Complete({}); }
  bool Came(std::size_t thing = 0) const { return fetches_[thing]->done(); }
  // Whether, before long, so many runs have ended in waiting.
  bool Waits(int often) {
    return Eventually([&] { return waits == often; });
  }

  std::atomic<int> runs = 0, waits = 0, late = 0;

 private:
  std::vector<std::shared_ptr<Fetch>> fetches_;
};

Bytes Fetching(std::uint32_t xid, std::uint32_t procedure = FakeProgram::kFetching) {
  return CallRecord(xid, procedure, Words({xid}));
}

Bytes ManyFetching(std::uint32_t calls) {
  Bytes bytes;
  for (std::uint32_t xid = 1; xid <= calls; ++xid) bytes = Joined({bytes, Fetching(xid)});
  return bytes;
}

// Receives one reply to each of the calls 1 to `calls`, and nothing else. `word`: what each has; by default its xid.
void ExpectAnswers(Client& client, std::uint32_t calls, std::optional<std::uint32_t> word = {}) {
  std::set<std::uint32_t> seen;
  for (std::uint32_t i = 0; i < calls; ++i) {
    const auto reply = client.Receive();
    ASSERT_TRUE(reply) << i;
    EXPECT_EQ(reply->status, std::uint32_t{SUCCESS});
    EXPECT_EQ(reply->Word(), word.value_or(reply->xid));
    EXPECT_TRUE(seen.insert(reply->xid).second) << "answered twice: " << reply->xid;
  }
  EXPECT_EQ(*seen.rbegin(), calls);
  client.Send(CallRecord(99'999, FakeProgram::kNull));
  EXPECT_EQ(client.Receive().value_or(Reply{}).xid, 99'999u);
}

TEST(ParkedCalls, HoldNoWorkerAndAreEachAnsweredOnceWhenItHasCome) {
  constexpr std::uint32_t kCalls = 100;
  TestServer server(kOneWorker);
  Elsewhere elsewhere(server);
  Client client(server), other(server);
  client.Send(ManyFetching(kCalls));
  ASSERT_TRUE(elsewhere.Waits(kCalls));
  // The one worker is free for a call that waits for a disk.
  other.Send(CallRecord(7, FakeProgram::kBlocking, OpaqueOf(4)));
  ASSERT_TRUE(server.program.gate.WaitForArrivals(1));
  server.program.gate.Open();
  EXPECT_EQ(other.Receive().value_or(Reply{}).results, OpaqueOf(4));
  EXPECT_FALSE(client.Readable(Milliseconds(0)));
  EXPECT_EQ(elsewhere.runs, static_cast<int>(kCalls)) << "none is run before it can get on";
  elsewhere.Come();
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, kCalls));
  EXPECT_EQ(elsewhere.runs, static_cast<int>(2 * kCalls));
  EXPECT_EQ(elsewhere.late, 0);
}

TEST(ParkedCalls, WaitForSeveralThingsOneAfterTheOther) {
  constexpr std::size_t kThings = 5;
  TestServer server(kOneWorker);
  Elsewhere elsewhere(server, kThings);
  Client client(server);
  client.Send(Fetching(1));
  for (std::size_t i = 0; i < kThings; ++i) {
    ASSERT_TRUE(elsewhere.Waits(static_cast<int>(i) + 1));
    EXPECT_FALSE(client.Readable(Milliseconds(0)));
    elsewhere.Come(i);
  }
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 1));
  EXPECT_EQ(elsewhere.runs, static_cast<int>(kThings) + 1);
}

TEST(ParkedCalls, WhatComesBetweenTheHandlersReturnAndTheParkingIsNotMissed) {
  TestServer server(kOneWorker);
  std::atomic<int> runs = 0;
  // On the I/O thread, then on the worker.
  server.program.fetching = [&](const Call& call, std::uint32_t word, ReplyBuffer& reply) {
    if (++runs == 3) return reply.U32(word), Outcome{};
    *call.fetch = std::make_shared<Fetch>("thing");
    (*call.fetch)->Complete({});
    return Outcome::WouldBlock();
  };
  Client client(server);
  client.Send(Fetching(1));
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 1));
  EXPECT_EQ(runs, 3);
}

// How a source tells a caller of a failure, once.
TEST(ParkedCalls, SeeTheFetchThatTheyWaitedForAndMayWaitWhereTheyRunAgain) {
  TestServer server(kOneWorker);
  const auto fetch = std::make_shared<Fetch>("thing");
  std::atomic<bool> first_may_block = true, again_may_block = false, kept = false;
  std::atomic<int> runs = 0;
  server.program.fetching = [&](const Call& call, std::uint32_t word, ReplyBuffer& reply) {
    if (++runs == 1) {
      first_may_block = call.may_block;
      *call.fetch = fetch;
      return Outcome::WouldBlock();
    }
    again_may_block = call.may_block;
    kept = *call.fetch == fetch;
    reply.U32(word);
    return Outcome{};
  };
  Client client(server);
  client.Send(Fetching(1));
  ASSERT_TRUE(Eventually([&] { return runs == 1; }));
  fetch->Complete(Fail(Errc::kIo));
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 1));
  EXPECT_FALSE(first_may_block);
  EXPECT_TRUE(again_may_block);
  EXPECT_TRUE(kept);
}

TEST(ParkedCalls, WhatDoesNotComeIsAnsweredAfterTheLimitAndTheFetchGoesOn) {
  TransportOptions options = kOneWorker;
  options.fetch_limit = Milliseconds(30);
  TestServer server(options);
  Elsewhere elsewhere(server);
  Client client(server);
  const auto begin = steady_clock::now();
  client.Send(ManyFetching(10));
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 10, kLater));
  EXPECT_GE(steady_clock::now() - begin, options.fetch_limit);
  EXPECT_EQ(elsewhere.late, 10);
  EXPECT_EQ(elsewhere.runs, 20);
  EXPECT_FALSE(elsewhere.Came());
  elsewhere.Come();
  client.Send(Fetching(1));
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 1));
  EXPECT_EQ(elsewhere.runs, 21) << "answered at once, and nothing of the first ten is left";
}

TEST(ParkedCalls, OneThatAlwaysWantsAThingMoreIsAnsweredAfterTheLimitAllTheSame) {
  TransportOptions options = kOneWorker;
  options.fetch_limit = Milliseconds(20);
  TestServer server(options);
  std::atomic<int> runs = 0;
  server.program.fetching = [&](const Call& call, std::uint32_t, ReplyBuffer& reply) {
    ++runs;
    if (call.late) return reply.U32(kLater), Outcome{};
    *call.fetch = std::make_shared<Fetch>("thing");
    (*call.fetch)->Complete({});
    return Outcome::WouldBlock();
  };
  Client client(server);
  client.Send(Fetching(1));
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 1, kLater));
  EXPECT_GT(runs, 2);
}

TEST(ParkedCalls, AHandlerThatWouldBlockThoughItIsLateIsASystemError) {
  TransportOptions options = kOneWorker;
  options.fetch_limit = Milliseconds(1);
  TestServer server(options);
  server.program.fetching = [](const Call& call, std::uint32_t, ReplyBuffer&) {
    *call.fetch = std::make_shared<Fetch>("thing");
    return Outcome::WouldBlock();
  };
  Client client(server);
  client.Send(Fetching(1));
  EXPECT_EQ(client.Receive().value_or(Reply{}).status, std::uint32_t{SYSTEM_ERR});
}

TEST(ParkedCalls, AreAnsweredLateWhenTheServerStopsAndKeepItFromNothing) {
  TransportOptions options{.io_threads = 2, .worker_threads = 1};
  options.stop_wait = std::chrono::duration_cast<Milliseconds>(kLimit);
  TestServer server(options);
  Elsewhere elsewhere(server);
  Client client(server);
  client.Send(ManyFetching(20));
  ASSERT_TRUE(elsewhere.Waits(20));
  const auto begin = steady_clock::now();
  server.Stop();
  EXPECT_LT(steady_clock::now() - begin, options.fetch_limit / 2);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.Receive().value_or(Reply{}).Word(), kLater) << i;
  EXPECT_TRUE(client.Ended());
  EXPECT_FALSE(elsewhere.Came());
}

TEST(ParkedCalls, AreAnsweredLateAtATakeoverAndTheConnectionGoesOn) {
  TestServer first, second;
  Elsewhere elsewhere(first), there(second);
  there.Come();
  Client client(first);
  client.Send(ManyFetching(20));
  ASSERT_TRUE(elsewhere.Waits(20));
  const auto begin = steady_clock::now();
  Result<Handed> handed = first.transport->Release(kLimit);
  ASSERT_TRUE(handed) << handed.error().ToString();
  EXPECT_LT(steady_clock::now() - begin, TransportOptions().fetch_limit / 2);
  for (HandedSocket& socket : handed->sockets) second.transport->Take(std::move(socket), second.dispatcher);
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 20, kLater));
  client.Send(Fetching(21));
  EXPECT_EQ(client.Receive().value_or(Reply{}).Word(), 21u);
}

TEST(ParkedCalls, ParkAgainAfterATakeoverThatCameToNothing) {
  TestServer server;
  Elsewhere elsewhere(server);
  Client slow(server), client(server);
  slow.Send(CallRecord(1, FakeProgram::kBlocking, OpaqueOf(4)));
  ASSERT_TRUE(server.program.gate.WaitForArrivals(1));
  client.Send(Fetching(1));
  ASSERT_TRUE(elsewhere.Waits(1));
  const auto handed = server.transport->Release(Milliseconds(1));
  ASSERT_FALSE(handed);
  EXPECT_EQ(handed.error().code(), Errc::kBusy);
  EXPECT_EQ(client.Receive().value_or(Reply{}).Word(), kLater);
  client.Send(Fetching(2));
  ASSERT_TRUE(elsewhere.Waits(2));
  EXPECT_FALSE(client.Readable(Milliseconds(20)));
  EXPECT_EQ(elsewhere.late, 1);
  elsewhere.Come();
  EXPECT_EQ(client.Receive().value_or(Reply{}).Word(), 2u);
  server.program.gate.Open();
  EXPECT_TRUE(slow.Receive());
}

TEST(ParkedCalls, OutliveTheirConnectionAndHarmNobody) {
  TestServer server(kOneWorker);
  Elsewhere elsewhere(server);
  Client other(server);
  {
    Client client(server);
    client.Send(Joined({ManyFetching(10), Fetching(11, FakeProgram::kCachedFetching)}));
    ASSERT_TRUE(elsewhere.Waits(11));
  }
  other.Send(CallRecord(1, FakeProgram::kNull));
  ASSERT_TRUE(other.Receive());
  elsewhere.Come();
  EXPECT_TRUE(Eventually([&] { return server.transport->statistics().connections_open == 1; }));
  EXPECT_EQ(elsewhere.runs, 22);
  // What was done for it is known to who comes again.
  other.Send(Fetching(11, FakeProgram::kCachedFetching));
  EXPECT_EQ(other.Receive().value_or(Reply{}).Word(), 11u);
  EXPECT_EQ(elsewhere.runs, 22);
  EXPECT_EQ(server.transport->statistics().duplicates, 1u);
}

TEST(ParkedCalls, OfAClosedConnectionKeepNoServerFromStopping) {
  TestServer server(kOneWorker);
  Elsewhere elsewhere(server);
  {
    Client client(server);
    client.Send(ManyFetching(10));
    ASSERT_TRUE(elsewhere.Waits(10));
  }
  const auto begin = steady_clock::now();
  server.Stop();
  EXPECT_LT(steady_clock::now() - begin, TransportOptions().stop_wait / 2);
  elsewhere.Come();
}

TEST(ParkedCalls, RetransmissionsWaitForTheFirstOnesAnswer) {
  TestServer server(kOneWorker);
  Elsewhere elsewhere(server);
  Client client(server), other(server);
  const Bytes call = Fetching(5, FakeProgram::kCachedFetching);
  client.Send(call);
  ASSERT_TRUE(elsewhere.Waits(1));
  client.Send(call);
  other.Send(call);
  ASSERT_TRUE(Eventually([&] { return server.transport->statistics().duplicates == 2; }));
  EXPECT_FALSE(client.Readable(Milliseconds(0)));
  EXPECT_FALSE(other.Readable(Milliseconds(0)));
  EXPECT_EQ(elsewhere.runs, 1);
  elsewhere.Come();
  for (Client* each : {&client, &client, &other}) EXPECT_EQ(each->Receive().value_or(Reply{}).Word(), 5u);
  EXPECT_EQ(elsewhere.runs, 2);
}

TEST(ParkedCalls, CountAsCallsUnderWay) {
  TransportOptions options = kOneWorker;
  options.max_calls_in_flight = 4;
  TestServer server(options);
  Elsewhere elsewhere(server);
  Client client(server);
  client.Send(ManyFetching(20));
  ASSERT_TRUE(elsewhere.Waits(4));
  EXPECT_FALSE(client.Readable(Milliseconds(20)));
  EXPECT_EQ(elsewhere.runs, 4);
  EXPECT_EQ(server.transport->statistics().calls_blocked, 4u);
  EXPECT_GT(server.transport->statistics().buffered_bytes, 0u);
  elsewhere.Come();
  ASSERT_NO_FATAL_FAILURE(ExpectAnswers(client, 20));
  EXPECT_EQ(elsewhere.runs, 24) << "the others found it there";
}

// A socket of the client's, and its calls.
class DatagramClient {
 public:
  explicit DatagramClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~DatagramClient() { ::close(fd_); }
  DatagramClient(const DatagramClient&) = delete;
  DatagramClient& operator=(const DatagramClient&) = delete;

  void Send(std::uint32_t xid, std::uint32_t procedure, const Bytes& arguments) {
    const Bytes message = Message(xid, procedure, arguments);
    EXPECT_EQ(::send(fd_, message.data(), message.size(), 0), static_cast<ssize_t>(message.size()));
  }
  bool Readable(Milliseconds limit) {
    pollfd p{fd_, POLLIN, 0};
    return ::poll(&p, 1, static_cast<int>(limit.count())) > 0;
  }
  // The xid of the next reply and the last word of it; zeros where none comes.
  std::pair<std::uint32_t, std::uint32_t> Receive() {
    std::byte reply[2000];
    if (!Readable(kLimit)) return {};
    const ssize_t size = ::recv(fd_, reply, sizeof reply, 0);
    if (size < 28) return {};
    return {LoadBe32(reply), LoadBe32(reply + size - 4)};
  }

 private:
  const int fd_;
};

using XidAndWord = std::pair<std::uint32_t, std::uint32_t>;

// A procedure that may run on the I/O thread, and one that goes to a worker at once.
constexpr std::uint32_t kBothWays[] = {FakeProgram::kFetching, FakeProgram::kCachedFetching};

TEST(ParkedCalls, DatagramsParkToo) {
  for (const std::uint32_t procedure : kBothWays) {
    TestServer server(kOneWorker);
    Elsewhere elsewhere(server);
    const auto port = server.transport->ListenUdp("127.0.0.1", 0, server.dispatcher);
    ASSERT_TRUE(port) << port.error().ToString();
    DatagramClient client(*port);
    for (std::uint32_t xid = 1; xid <= 10; ++xid) client.Send(xid, procedure, Words({xid}));
    ASSERT_TRUE(elsewhere.Waits(10));
    client.Send(11, FakeProgram::kAlways, {});
    EXPECT_EQ(client.Receive(), XidAndWord(11, 1)) << "the worker is free";
    EXPECT_FALSE(client.Readable(Milliseconds(0)));
    elsewhere.Come();
    std::set<XidAndWord> answers;
    for (int i = 0; i < 10; ++i) answers.insert(client.Receive());
    EXPECT_EQ(answers.size(), 10u);
    for (const auto& [xid, word] : answers) EXPECT_EQ(xid, word);
    EXPECT_EQ(elsewhere.runs, 20);
  }
}

TEST(ParkedCalls, DatagramsAreAnsweredAfterTheLimitAndWhenTheServerStops) {
  for (const std::uint32_t procedure : kBothWays) {
    for (const bool stops : {false, true}) {
      TransportOptions options = kOneWorker;
      if (!stops) options.fetch_limit = Milliseconds(10);
      TestServer server(options);
      Elsewhere elsewhere(server);
      const auto port = server.transport->ListenUdp("127.0.0.1", 0, server.dispatcher);
      ASSERT_TRUE(port) << port.error().ToString();
      DatagramClient client(*port);
      client.Send(1, procedure, Words({1}));
      ASSERT_TRUE(elsewhere.Waits(1));
      const auto begin = steady_clock::now();
      if (stops) server.Stop();
      EXPECT_EQ(client.Receive(), XidAndWord(1, kLater));
      EXPECT_LT(steady_clock::now() - begin, TransportOptions().fetch_limit / 2);
      EXPECT_EQ(elsewhere.late, 1);
      EXPECT_FALSE(elsewhere.Came());
    }
  }
}

// Clients that come and go, things that come late or never, and a server that ends in the middle of it.
TEST(ParkedCalls, UnderLoadEachIsAnsweredOnceOrItsConnectionEnds) {
  for (const bool stop_early : {false, true}) {
    TransportOptions options{.io_threads = 2, .worker_threads = 3, .max_calls_in_flight = 16};
    options.fetch_limit = Milliseconds(5);
    TestServer server(options);
    std::atomic<std::uint32_t> fetched = 0;
    Mutex mutex;
    std::vector<std::shared_ptr<Fetch>> under_way;
    server.program.fetching = [&](const Call& call, std::uint32_t word, ReplyBuffer& reply) {
      if (call.late || (*call.fetch && (*call.fetch)->done())) return reply.U32(word), Outcome{};
      *call.fetch = std::make_shared<Fetch>("thing");
      const MutexLock lock(mutex);
      if (++fetched % 3 != 0) under_way.push_back(*call.fetch);  // the others never come
      return Outcome::WouldBlock();
    };
    std::atomic<bool> end = false;
    std::jthread source([&] {
      while (!end) {
        std::vector<std::shared_ptr<Fetch>> come;
        {
          const MutexLock lock(mutex);
          come.swap(under_way);
        }
        for (const auto& fetch : come) fetch->Complete({});
        std::this_thread::yield();
      }
    });
    std::vector<std::jthread> clients;
    for (std::uint32_t c = 0; c < 4; ++c) {
      clients.emplace_back([&, c] {
        for (int round = 0; round < 5; ++round) {
          Client client(server);
          constexpr std::uint32_t kCalls = 30;
          client.Send(ManyFetching(kCalls));
          if ((c + static_cast<std::uint32_t>(round)) % 4 == 0) continue;  // it goes away
          std::set<std::uint32_t> seen;
          for (std::uint32_t i = 0; i < kCalls; ++i) {
            const auto reply = client.Receive();
            if (!reply && stop_early) break;
            ASSERT_TRUE(reply);
            EXPECT_EQ(reply->Word(), reply->xid);
            EXPECT_TRUE(seen.insert(reply->xid).second);
          }
        }
      });
    }
    if (stop_early) {
      ASSERT_TRUE(Eventually([&] { return fetched > 50; }));
      server.Stop();
    }
    clients.clear();
    server.Stop();
    end = true;
  }
}

}  // namespace
}  // namespace strata::rpc::testing
