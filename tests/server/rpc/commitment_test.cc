// Replies that owe a commitment, calls that block, and calls that come again (spec nfsv3 1.4, 1.6, 6.2).
#include <gtest/gtest.h>

#include <set>

#include "tests/server/rpc/harness.h"

namespace strata::rpc::testing {
namespace {

constexpr std::chrono::milliseconds kNothing{50};  // how long is looked for what must not come

class Commitments : public ::testing::Test {
 protected:
  TestServer server_;
  Client client_{server_};
  FakeVolume& volume_ = server_.program.volume;

  std::uint32_t AnsweredWord(Client& client, std::uint32_t xid) {
    const auto reply = client.Receive();
    if (!reply || reply->xid != xid || !reply->accepted || reply->status != SUCCESS) {
      ADD_FAILURE() << "no good reply to " << xid;
      return ~0u;
    }
    return reply->Word();
  }
};

TEST_F(Commitments, AWrittenReplyLeavesAfterOneFlushForTheBatch) {
  Bytes calls;
  for (std::uint32_t xid = 0; xid < 20; ++xid)
    calls = Joined({calls, CallRecord(xid, FakeProgram::kWritten, Words({xid + 100}))});
  client_.Send(calls);
  for (std::uint32_t xid = 0; xid < 20; ++xid) EXPECT_EQ(AnsweredWord(client_, xid), xid + 100);
  EXPECT_GE(volume_.flushes(), 1);
  EXPECT_LE(volume_.flushes(), 3) << "the socket may have cut the batch, but not into single calls";
}

TEST_F(Commitments, AFailedFlushTurnsTheRepliesThatOweItIntoFailures) {
  volume_.FailFlushes(true);
  client_.Send(Joined({CallRecord(1, FakeProgram::kEcho, OpaqueOf(5)), CallRecord(2, FakeProgram::kWritten, Words({7})),
                       CallRecord(3, FakeProgram::kEcho, OpaqueOf(6)), CallRecord(4, FakeProgram::kWritten, Words({8})),
                       CallRecord(5, FakeProgram::kBig, Words({100'000}))}));
  EXPECT_EQ(client_.Receive().value_or(Reply{}).results, OpaqueOf(5));
  EXPECT_EQ(AnsweredWord(client_, 2), 0xdeadu);
  EXPECT_EQ(client_.Receive().value_or(Reply{}).results, OpaqueOf(6));
  EXPECT_EQ(AnsweredWord(client_, 4), 0xdeadu);
  EXPECT_EQ(client_.Receive().value_or(Reply{}).results.size(), 100'004u);
  // And so does the answer that the cache keeps.
  volume_.FailFlushes(false);
  client_.Send(CallRecord(4, FakeProgram::kWritten, Words({8})));
  EXPECT_EQ(AnsweredWord(client_, 4), 0xdeadu);
}

TEST_F(Commitments, AReplyWhoseFileWasCutIsNotReadToSettleThoseBesideIt) {
  MappedFile file(8192);
  server_.program.file = file.bytes();
  file.Cut(0);
  for (const bool fails : {false, true}) {
    volume_.FailFlushes(fails);
    Client client(server_);
    client.Send(
        Joined({CallRecord(1, FakeProgram::kBig, Words({8192})), CallRecord(2, FakeProgram::kWritten, Words({7})),
                CallRecord(3, FakeProgram::kBig, Words({8192}))}));
    EXPECT_TRUE(client.Ended()) << "the system cannot read it either";
  }
  volume_.FailFlushes(false);
  client_.Send(CallRecord(4, FakeProgram::kWritten, Words({8})));
  EXPECT_EQ(AnsweredWord(client_, 4), 8u) << "all else goes on";
}

TEST_F(Commitments, ADurableReplyWaitsForTheSyncAndOthersDoNotWaitForIt) {
  volume_.HoldSyncs();
  client_.Send(
      Joined({CallRecord(1, FakeProgram::kDurable, Words({500})), CallRecord(2, FakeProgram::kEcho, OpaqueOf(4)),
              CallRecord(3, FakeProgram::kDurable, Words({400}))}));
  const auto echo = client_.Receive();
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->xid, 2u);
  ASSERT_TRUE(volume_.WaitForSyncs(1));
  EXPECT_FALSE(client_.Readable(kNothing));
  EXPECT_EQ(volume_.synced().front(), 500u) << "one sync, for the highest";
  volume_.Release(true);
  EXPECT_EQ(AnsweredWord(client_, 1), 500u);
  EXPECT_EQ(AnsweredWord(client_, 3), 400u);
  EXPECT_EQ(volume_.flushes(), 0);
}

TEST_F(Commitments, AFailedSyncTurnsItsRepliesIntoFailures) {
  volume_.HoldSyncs();
  client_.Send(
      Joined({CallRecord(1, FakeProgram::kDurable, Words({1})), CallRecord(2, FakeProgram::kDurable, Words({2}))}));
  ASSERT_TRUE(volume_.WaitForSyncs(1));
  volume_.Release(false);
  EXPECT_EQ(AnsweredWord(client_, 1), 0xdeadu);
  EXPECT_EQ(AnsweredWord(client_, 2), 0xdeadu);
}

TEST_F(Commitments, EachVolumeIsSyncedByItself) {
  volume_.HoldSyncs();
  server_.program.other_volume.HoldSyncs();
  client_.Send(
      Joined({CallRecord(1, FakeProgram::kDurable, Words({1})), CallRecord(2, FakeProgram::kDurable, Words({1001}))}));
  ASSERT_TRUE(server_.program.other_volume.WaitForSyncs(1));
  server_.program.other_volume.Release(true);
  EXPECT_EQ(AnsweredWord(client_, 2), 1001u);
  ASSERT_TRUE(volume_.WaitForSyncs(1));
  volume_.Release(true);
  EXPECT_EQ(AnsweredWord(client_, 1), 1u);
}

TEST_F(Commitments, ACallThatRanOnAWorkerOwesItsCommitmentToo) {
  volume_.HoldSyncs();
  client_.Send(CallRecord(1, FakeProgram::kBlockingDurable, Words({9})));
  ASSERT_TRUE(volume_.WaitForSyncs(1));
  EXPECT_FALSE(client_.Readable(kNothing));
  volume_.Release(true);
  EXPECT_EQ(AnsweredWord(client_, 1), 9u);
}

TEST_F(Commitments, ABlockedCallDoesNotHoldUpThoseBehindIt) {
  client_.Send(
      Joined({CallRecord(1, FakeProgram::kBlocking, OpaqueOf(10)), CallRecord(2, FakeProgram::kEcho, OpaqueOf(4))}));
  EXPECT_EQ(client_.Receive().value_or(Reply{}).xid, 2u);
  ASSERT_TRUE(server_.program.gate.WaitForArrivals(1));
  server_.program.gate.Open();
  const auto reply = client_.Receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->xid, 1u);
  EXPECT_EQ(reply->results, OpaqueOf(10));
  EXPECT_EQ(server_.transport->statistics().calls_blocked, 1u);
}

TEST_F(Commitments, LargeArgumentsReachAWorkerUnharmedWhileMoreIsReceived) {
  std::set<std::uint32_t> xids;
  Bytes calls;
  for (std::uint32_t xid = 1; xid <= 8; ++xid) {
    calls = Joined(
        {calls, CallRecord(xid, FakeProgram::kBlocking, OpaqueOf(xid * 20'000, static_cast<unsigned char>(xid)))});
    xids.insert(xid);
  }
  client_.Send(calls);
  client_.Send(CallRecord(100, FakeProgram::kEcho, OpaqueOf(60'000, 'e')));
  EXPECT_EQ(client_.Receive().value_or(Reply{}).results, OpaqueOf(60'000, 'e'));
  server_.program.gate.Open();
  while (!xids.empty()) {
    const auto reply = client_.Receive();
    ASSERT_TRUE(reply);
    ASSERT_EQ(xids.erase(reply->xid), 1u);
    EXPECT_TRUE(reply->results == OpaqueOf(reply->xid * 20'000, static_cast<unsigned char>(reply->xid)));
  }
}

TEST_F(Commitments, WhatAlwaysBlocksGoesToAWorkerAtOnce) {
  client_.Send(CallRecord(1, FakeProgram::kAlways));
  EXPECT_EQ(AnsweredWord(client_, 1), 1u);
}

// -- Duplicates --

TEST_F(Commitments, ARetransmissionGetsTheFirstAnswerOnTheSameAndOnANewConnection) {
  const Bytes call = CallRecord(50, FakeProgram::kCached, Words({1}));
  client_.Send(call);
  EXPECT_EQ(AnsweredWord(client_, 50), 1u);
  client_.Send(call);
  EXPECT_EQ(AnsweredWord(client_, 50), 1u);
  Client again(server_, "127.0.0.1", 701);
  again.Send(call);
  EXPECT_EQ(AnsweredWord(again, 50), 1u);
  EXPECT_EQ(server_.program.runs, 1);
  EXPECT_EQ(server_.transport->statistics().duplicates, 2u);
}

TEST_F(Commitments, AnotherAddressXidOrArgumentIsAnotherCall) {
  client_.Send(CallRecord(50, FakeProgram::kCached, Words({1})));
  EXPECT_EQ(AnsweredWord(client_, 50), 1u);
  client_.Send(CallRecord(51, FakeProgram::kCached, Words({1})));
  EXPECT_EQ(AnsweredWord(client_, 51), 2u);
  client_.Send(CallRecord(50, FakeProgram::kCached, Words({2})));
  EXPECT_EQ(AnsweredWord(client_, 50), 3u);
  Client elsewhere(server_, "10.0.0.1");
  elsewhere.Send(CallRecord(50, FakeProgram::kCached, Words({1})));
  EXPECT_EQ(AnsweredWord(elsewhere, 50), 4u);
}

TEST_F(Commitments, ACallUnderWayIsNotStartedTwiceAndBothAreAnswered) {
  const Bytes call = CallRecord(60, FakeProgram::kCachedBlocking, Words({1}));
  client_.Send(call);
  ASSERT_TRUE(server_.program.gate.WaitForArrivals(1));
  Client again(server_, "127.0.0.1", 701);
  again.Send(call);
  ASSERT_TRUE(Eventually([&] { return server_.transport->statistics().duplicates == 1; }));
  // The first connection dies; its call goes on.
  client_.Close();
  server_.program.gate.Open();
  EXPECT_EQ(AnsweredWord(again, 60), 1u);
  EXPECT_EQ(server_.program.runs, 1);
}

TEST_F(Commitments, ARetransmissionIsNotAnsweredBeforeTheFirstIsDurable) {
  volume_.HoldSyncs();
  const Bytes call = CallRecord(70, FakeProgram::kDurable, Words({5}));
  client_.Send(call);
  ASSERT_TRUE(volume_.WaitForSyncs(1));
  Client again(server_, "127.0.0.1", 701);
  again.Send(call);
  ASSERT_TRUE(Eventually([&] { return server_.transport->statistics().duplicates == 1; }));
  EXPECT_FALSE(again.Readable(kNothing));
  volume_.Release(true);
  EXPECT_EQ(AnsweredWord(client_, 70), 5u);
  EXPECT_EQ(AnsweredWord(again, 70), 5u);
  EXPECT_EQ(server_.program.runs, 1);
}

TEST_F(Commitments, ARetransmissionOfAWrittenReplyIsTheSame) {
  const Bytes call = CallRecord(71, FakeProgram::kWritten, Words({5}));
  client_.Send(Joined({call, call}));
  EXPECT_EQ(AnsweredWord(client_, 71), 5u);
  EXPECT_EQ(AnsweredWord(client_, 71), 5u);
  client_.Send(call);
  EXPECT_EQ(AnsweredWord(client_, 71), 5u);
  EXPECT_EQ(server_.program.runs, 1);
}

TEST_F(Commitments, GarbageIsNotRemembered) {
  for (int i = 0; i < 2; ++i) {
    client_.Send(CallRecord(80, FakeProgram::kCached));
    EXPECT_EQ(client_.Receive().value_or(Reply{}).status, static_cast<std::uint32_t>(GARBAGE_ARGS));
  }
  EXPECT_EQ(server_.transport->statistics().duplicates, 0u);
}

TEST(CommitmentsOfASmallCache, AnEvictedCallRunsAgain) {
  TestServer server({.io_threads = 1, .worker_threads = 1, .duplicate_cache_entries = 4});
  Client client(server);
  for (std::uint32_t xid = 0; xid < 5; ++xid) {
    client.Send(CallRecord(xid, FakeProgram::kCached, Words({1})));
    ASSERT_TRUE(client.Receive());
  }
  client.Send(CallRecord(4, FakeProgram::kCached, Words({1})));
  EXPECT_EQ(client.Receive().value_or(Reply{}).Word(), 5u);
  client.Send(CallRecord(0, FakeProgram::kCached, Words({1})));
  EXPECT_EQ(client.Receive().value_or(Reply{}).Word(), 6u);
}

}  // namespace
}  // namespace strata::rpc::testing
