// Records and headers as they come over a connection (spec nfsv3 1.1 to 1.3).
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "server/rpc/record_reader.h"
#include "tests/server/rpc/harness.h"

namespace strata::rpc::testing {
namespace {

class Wire : public ::testing::Test {
 protected:
  TestServer server_;
  Client client_{server_};

  void ExpectServing() {
    client_.Send(CallRecord(4711, FakeProgram::kNull));
    const auto reply = client_.Receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->xid, 4711u);
    EXPECT_EQ(reply->status, static_cast<std::uint32_t>(SUCCESS));
  }
  Reply Answer(ByteSpan message) {
    client_.Send(Record(message));
    const auto reply = client_.Receive();
    if (!reply) ADD_FAILURE() << "no reply";
    return reply.value_or(Reply{});
  }
};

TEST_F(Wire, ACallIsAnswered) {
  const Reply reply = Answer(Message(7, FakeProgram::kEcho, OpaqueOf(5)));
  EXPECT_EQ(reply.xid, 7u);
  ASSERT_TRUE(reply.accepted);
  EXPECT_EQ(reply.status, static_cast<std::uint32_t>(SUCCESS));
  EXPECT_EQ(reply.results, OpaqueOf(5));
}

TEST_F(Wire, ACallIsAnsweredWhenItComesByteByByte) {
  for (const std::byte byte : CallRecord(8, FakeProgram::kEcho, OpaqueOf(9))) client_.Send(ByteSpan(&byte, 1));
  const auto reply = client_.Receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->results, OpaqueOf(9));
}

TEST_F(Wire, CallsThatComeTogetherAreAllAnswered) {
  Bytes all;
  for (std::uint32_t xid = 0; xid < 100; ++xid) all = Joined({all, CallRecord(xid, FakeProgram::kEcho, OpaqueOf(xid))});
  client_.Send(all);
  for (std::uint32_t xid = 0; xid < 100; ++xid) {
    const auto reply = client_.Receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->xid, xid);
    EXPECT_EQ(reply->results, OpaqueOf(xid));
  }
}

TEST_F(Wire, ManyCallsTakeFewSystemCalls) {
  Bytes all;
  for (std::uint32_t xid = 0; xid < 100; ++xid) all = Joined({all, CallRecord(xid, FakeProgram::kNull)});
  // They lie in the socket before the server looks: how it is scheduled beside the sender does not matter.
  Client client(server_, "127.0.0.1", 700, all);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.Receive());
  // A send is counted when it has returned, which may be after what it sent was received.
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (server_.transport->statistics().system_calls < 2 && std::chrono::steady_clock::now() < end)
    std::this_thread::yield();
  EXPECT_LE(server_.transport->statistics().system_calls, 10u);
  EXPECT_GE(server_.transport->statistics().system_calls, 2u);
}

TEST_F(Wire, OneByteFragmentsAreReassembled) {
  const Bytes message = Message(9, FakeProgram::kEcho, OpaqueOf(100));
  Bytes stream;
  for (std::size_t i = 0; i < message.size(); ++i) {
    stream = Joined({stream, Mark(1, i + 1 == message.size()), Bytes{message[i]}});
  }
  client_.Send(stream);
  const auto reply = client_.Receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->results, OpaqueOf(100));
}

TEST_F(Wire, ACallOfTheLargestSizeIsServed) {
  const std::size_t header = Message(1, FakeProgram::kEcho).size();
  const Bytes argument = OpaqueOf(kMaxRecordBytes - header - 4);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const Reply reply = Answer(Message(i, FakeProgram::kEcho, argument));
    EXPECT_EQ(reply.xid, i);
    EXPECT_TRUE(reply.results == argument);
  }
}

TEST_F(Wire, ARecordOverTheLimitEndsTheConnectionAndIsCounted) {
  client_.Send(CallRecord(1, FakeProgram::kNull));
  client_.Send(Mark(kMaxRecordBytes + 1, true));
  ASSERT_TRUE(client_.Receive());
  EXPECT_TRUE(client_.Ended());
  EXPECT_EQ(server_.transport->statistics().records_refused, 1u);
}

TEST_F(Wire, EndlessFragmentsEndTheConnectionAndAreCounted) {
  client_.Send(Bytes(4 * (kMaxFragments + 1)));
  EXPECT_TRUE(client_.Ended());
  EXPECT_EQ(server_.transport->statistics().records_refused, 1u);
}

TEST_F(Wire, AnotherRpcVersionIsDeniedWithTheTrueOne) {
  Bytes message = Message(1, FakeProgram::kNull);
  StoreBe32(message.data() + 8, 3);
  const Reply reply = Answer(message);
  EXPECT_FALSE(reply.accepted);
  EXPECT_EQ(reply.status, static_cast<std::uint32_t>(RPC_MISMATCH));
  EXPECT_EQ(reply.low, 2u);
  EXPECT_EQ(reply.high, 2u);
  ExpectServing();
}

TEST_F(Wire, AnUnknownProgramIsUnavailable) {
  EXPECT_EQ(Answer(Message(1, 0, {}, 3, 100227)).status, static_cast<std::uint32_t>(PROG_UNAVAIL));
  ExpectServing();
}

TEST_F(Wire, AnUnknownVersionIsAnsweredWithTheTrueRange) {
  for (const std::uint32_t version : {0u, 1u, 4u, ~0u}) {
    const Reply reply = Answer(Message(1, 0, {}, version));
    EXPECT_EQ(reply.status, static_cast<std::uint32_t>(PROG_MISMATCH));
    EXPECT_EQ(reply.low, 2u);
    EXPECT_EQ(reply.high, 3u);
  }
  ExpectServing();
}

TEST_F(Wire, AnUnknownProcedureIsUnavailable) {
  for (const std::uint32_t procedure : {FakeProgram::kGap + 0u, 15u, 1000u, ~0u}) {
    EXPECT_EQ(Answer(Message(1, procedure)).status, static_cast<std::uint32_t>(PROC_UNAVAIL)) << procedure;
  }
  ExpectServing();
}

TEST_F(Wire, ArgumentsThatDoNotDecodeOrAreLeftOverAreGarbage) {
  EXPECT_EQ(Answer(Message(1, FakeProgram::kEcho)).status, static_cast<std::uint32_t>(GARBAGE_ARGS));
  EXPECT_EQ(Answer(Message(2, FakeProgram::kEcho, Words({100, 1}))).status, static_cast<std::uint32_t>(GARBAGE_ARGS));
  EXPECT_EQ(Answer(Message(3, FakeProgram::kEcho, Joined({OpaqueOf(4), Words({0})}))).status,
            static_cast<std::uint32_t>(GARBAGE_ARGS));
  EXPECT_EQ(Answer(Message(4, FakeProgram::kNull, Words({0}))).status, static_cast<std::uint32_t>(GARBAGE_ARGS));
  ExpectServing();
}

TEST_F(Wire, EveryTruncationOfAHeaderIsAnsweredOnceItCanBe) {
  const Bytes whole = Message(77, FakeProgram::kNull);
  for (std::size_t size = 8; size < whole.size(); ++size) {
    const Reply reply = Answer(ByteSpan(whole).first(size));
    EXPECT_EQ(reply.xid, 77u) << size;
    EXPECT_FALSE(reply.accepted && reply.status == SUCCESS) << size;
  }
  ExpectServing();
}

TEST_F(Wire, AMessageWithoutXidOrDirectionEndsTheConnection) {
  for (std::size_t size = 0; size < 8; ++size) {
    Client client(server_);
    client.Send(Record(Bytes(size)));
    EXPECT_TRUE(client.Ended()) << size;
  }
  Client client(server_);
  client.Send(Record(Words({1, 2, 2, 0, 0, 0, 0, 0, 0, 0})));  // neither CALL nor REPLY
  EXPECT_TRUE(client.Ended());
}

TEST_F(Wire, AReplyIsNeverAnswered) {
  client_.Send(Record(Words({5, REPLY, 0, 0, 0, 0})));
  ExpectServing();  // what comes is the answer to the next call
}

TEST_F(Wire, NoCredentialsAreTheAnonymousUser) {
  const Reply reply = Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, AUTH_NONE, {}));
  EXPECT_EQ(reply.results, Words({1, 65534, 65534}));
}

TEST_F(Wire, AuthSysGivesTheIdsOfEachCall) {
  const Bytes first = AuthSys("m", 1, 2, {3, 4, 5}), second = AuthSys("m", 9, 2, {3, 4, 6});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, AUTH_SYS, first)).results,
              Words({0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, AUTH_SYS, first)).results,
              Words({0, 1, 2, 3, 4, 5}));
    EXPECT_EQ(Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, AUTH_SYS, second)).results,
              Words({0, 9, 2, 3, 4, 6}));
    EXPECT_EQ(Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, AUTH_NONE, {})).results, Words({1, 65534, 65534}));
  }
}

TEST_F(Wire, AuthSysHoldsToItsLimits) {
  std::vector<std::uint32_t> groups(16, 5);
  EXPECT_TRUE(
      Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, AUTH_SYS, AuthSys(std::string(255, 'm'), 1, 2, groups)))
          .accepted);
  const auto expect_bad = [&](const Bytes& credentials) {
    const Reply reply = Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, AUTH_SYS, credentials));
    EXPECT_FALSE(reply.accepted);
    EXPECT_EQ(reply.status, static_cast<std::uint32_t>(AUTH_ERROR));
    EXPECT_EQ(reply.auth, static_cast<std::uint32_t>(AUTH_BADCRED));
  };
  expect_bad(AuthSys(std::string(256, 'm'), 1, 2, {}));
  groups.push_back(5);
  expect_bad(AuthSys("m", 1, 2, groups));
  expect_bad({});
  Bytes cut = AuthSys("m", 1, 2, {3});
  cut.resize(cut.size() - 4);
  expect_bad(cut);
  expect_bad(Joined({AuthSys("m", 1, 2, {3}), Words({0})}));
  ExpectServing();
}

TEST_F(Wire, OtherFlavoursAreTooWeakButForNull) {
  for (const std::uint32_t flavor : {2u, 3u, 6u, 7u, 390003u}) {
    const Reply reply = Answer(MessageWithCredentials(1, FakeProgram::kWhoAmI, flavor, Bytes(12)));
    EXPECT_FALSE(reply.accepted);
    EXPECT_EQ(reply.auth, static_cast<std::uint32_t>(AUTH_TOOWEAK));
    EXPECT_TRUE(Answer(MessageWithCredentials(1, FakeProgram::kNull, flavor, Bytes(12))).accepted);
  }
  EXPECT_TRUE(Answer(MessageWithCredentials(1, FakeProgram::kNull, AUTH_SYS, Bytes(4))).accepted);
}

TEST_F(Wire, APeerThatTheProgramDoesNotAdmitIsDenied) {
  Client stranger(server_, "10.1.2.3", FakeProgram::kUnwelcomePort);
  stranger.Send(CallRecord(1, FakeProgram::kEcho, OpaqueOf(1)));
  const auto reply = stranger.Receive();
  ASSERT_TRUE(reply);
  EXPECT_FALSE(reply->accepted);
  EXPECT_EQ(reply->auth, static_cast<std::uint32_t>(AUTH_TOOWEAK));
}

TEST_F(Wire, AClientThatSendsNoMoreStillGetsItsAnswers) {
  client_.Send(CallRecord(1, FakeProgram::kBlocking, OpaqueOf(3)));
  ASSERT_TRUE(server_.program.gate.WaitForArrivals(1));
  ::shutdown(client_.fd(), SHUT_WR);
  server_.program.gate.Open();
  const auto reply = client_.Receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->results, OpaqueOf(3));
  EXPECT_TRUE(client_.Ended());
}

TEST_F(Wire, FileDataOfManyMegabytesArrivesWhole) {
  for (std::uint32_t i = 0; i < 16; ++i) client_.Send(CallRecord(i, FakeProgram::kBig, Words({1'000'001})));
  for (std::uint32_t i = 0; i < 16; ++i) {
    const auto reply = client_.Receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->xid, i);
    ASSERT_EQ(reply->results.size(), 4 + XdrPadded(1'000'001));
    EXPECT_EQ(reply->results[1'000'004], std::byte{'f'});
    EXPECT_EQ(reply->results[1'000'005], std::byte{0});
  }
}

}  // namespace
}  // namespace strata::rpc::testing
