// The program that hears of clients' starts: what it answers to whom. Calls are encoded by libtirpc, their arguments by
// hand.
#include "server/nsm/program.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/nsm/protocol.h"
#include "server/rpc/dispatcher.h"
#include "tests/server/rpc/harness.h"

namespace strata::nsm {
namespace {

using nlm4::Answer;
using nlm4::FileKey;

constexpr FileKey kTheirs{1, InodeNumber(10), Generation(1)};
// Of a reply without a record mark: xid, REPLY, whether it is denied; then of a denial its kind and why.
constexpr std::size_t kStat = 2, kRejectStat = 3, kAuthStat = 4, kAcceptStat = 5;

rpc::testing::Bytes NameAndState(const std::string& name, std::uint32_t state) {
  return rpc::testing::Joined({rpc::testing::Words({static_cast<std::uint32_t>(name.size())}),
                               rpc::testing::Bytes(AsBytes(name).begin(), AsBytes(name).end()),
                               rpc::testing::Bytes((4 - name.size() % 4) % 4), rpc::testing::Words({state})});
}

class NsmProgramTest : public ::testing::Test {
 protected:
  NsmProgramTest() {
    Export entry;
    entry.options.allow.push_back(Cidr::Parse("10.1.0.0/16").value());
    entry.volume = std::make_shared<rpc::testing::FakeVolume>();
    exports_.Add(std::move(entry)).value();
    peer_.address = boost::asio::ip::make_address("10.1.2.3");
    peer_.local = boost::asio::ip::make_address("10.1.0.1");
    peer_.port = 700;
    EXPECT_TRUE(clients_.Add({peer_.address, peer_.local}));
  }
  // The words of the reply's header; handlers write no results here.
  std::vector<std::uint32_t> Call(std::uint32_t procedure, ByteSpan arguments, std::uint32_t version = 1) {
    const rpc::testing::Bytes record = rpc::testing::Message(9, procedure, arguments, version, kNsmProgram);
    rpc::CredentialCache credentials;
    rpc::Route route;
    rpc::ReplyBuffer replies;
    dispatcher_.Find(record, peer_, credentials, &route, replies);
    if (route.kind == rpc::Route::Kind::kServe) {
      rpc::ReplyBuffer results;
      rpc::XdrReader reader(route.arguments);
      const rpc::Outcome outcome = route.procedure->handler(*route.program, route.call, reader, results);
      EXPECT_FALSE(outcome.would_block);
      EXPECT_EQ(results.size(), 0u);
      rpc::WriteAccepted(replies, route.call.xid, outcome.status);
    }
    rpc::testing::Bytes bytes;
    replies.CopyTo(4, bytes);
    std::vector<std::uint32_t> words;
    for (std::size_t at = 0; at + 4 <= bytes.size(); at += 4) words.push_back(rpc::LoadBe32(bytes.data() + at));
    words.resize(std::max<std::size_t>(words.size(), kAcceptStat + 1), ~0u);
    EXPECT_EQ(words[0], 9u);
    return words;
  }
  // accept_stat; fails the test where the call is denied.
  std::uint32_t Accepted(std::uint32_t procedure, ByteSpan arguments, std::uint32_t version = 1) {
    const auto words = Call(procedure, arguments, version);
    EXPECT_EQ(words[kStat], 0u);
    return words[kAcceptStat];
  }
  bool TooWeak() {
    const auto words = Call(kNotify, NameAndState("a", 5));
    return words[kStat] == 1 && words[kRejectStat] == 1 && words[kAuthStat] == 5;
  }
  void TakeLock() {
    ASSERT_EQ(locks_.Lock(kTheirs, {.name = "a", .address = peer_.address, .svid = 1, .owner = AsBytes("o")}, {0, 9},
                          true, false, nullptr),
              Answer::kGranted);
  }

  Exports exports_;
  rpc::CallThread calls_;
  nlm4::LockTable locks_{{}, [] { return std::int64_t{0}; }, [](const std::vector<nlm4::Grant>&) {}};
  MonitoredClients clients_{Env::System(), "", false};
  Monitor monitor_{calls_, [](rpc::Client&, const rpc::Address&, std::uint32_t, std::uint32_t, auto) {},
                   locks_, clients_,
                   false,  false};
  int wanted_ = 0;
  const std::unique_ptr<rpc::Program> program_ = MakeNsmProgram(exports_, monitor_, [this] { ++wanted_; });
  const rpc::Dispatcher dispatcher_{{program_.get()}};
  rpc::Peer peer_;
};

TEST_F(NsmProgramTest, AnswersNull) {
  EXPECT_EQ(Accepted(0, {}), 0u);
  EXPECT_EQ(Accepted(0, rpc::testing::Words({1})), 4u) << "garbage";
}

TEST_F(NsmProgramTest, ANoticeFreesTheLocksOfItsMachine) {
  TakeLock();
  EXPECT_EQ(Accepted(kNotify, NameAndState("a", 5)), 0u);
  EXPECT_TRUE(locks_.empty());
  TakeLock();
  EXPECT_EQ(Accepted(kNotify, NameAndState("a", 5)), 0u);
  EXPECT_FALSE(locks_.empty()) << "it was sent again";
  peer_.address = boost::asio::ip::make_address("10.1.2.4");
  EXPECT_EQ(Accepted(kNotify, NameAndState("a", 7)), 0u);
  EXPECT_FALSE(locks_.empty()) << "another machine says so";
  peer_.address = boost::asio::ip::make_address("10.1.2.3");
  EXPECT_EQ(Accepted(kNotify, NameAndState("a", 7)), 0u);
  EXPECT_TRUE(locks_.empty());
}

TEST_F(NsmProgramTest, NamesAreAsLongAsTheProtocolSays) {
  TakeLock();
  EXPECT_EQ(Accepted(kNotify, NameAndState(std::string(1025, 'n'), 5)), 4u);
  EXPECT_FALSE(locks_.empty());
  EXPECT_EQ(Accepted(kNotify, NameAndState(std::string(1024, 'n'), 5)), 0u);
  EXPECT_TRUE(locks_.empty());
  TakeLock();
  EXPECT_EQ(Accepted(kNotify, NameAndState("", 7)), 0u);
  EXPECT_TRUE(locks_.empty());
}

TEST_F(NsmProgramTest, ArgumentsThatDoNotDecodeAreGarbage) {
  TakeLock();
  rpc::testing::Bytes whole = NameAndState("a.example", 5);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(Accepted(kNotify, ByteSpan(whole).first(size)), 4u) << size;
  }
  whole.resize(whole.size() + 4);
  EXPECT_EQ(Accepted(kNotify, whole), 4u);
  EXPECT_EQ(Accepted(kNotify, rpc::testing::Words({0xffffffff, 0, 0})), 4u);
  EXPECT_FALSE(locks_.empty());
}

TEST_F(NsmProgramTest, NobodyIsMonitoredForOthers) {
  for (const std::uint32_t procedure : {1u, 2u, 3u, 4u, 5u, 7u, 1000u, 0xffffffffu}) {
    EXPECT_EQ(Accepted(procedure, NameAndState("a", 5)), 3u) << procedure;  // PROC_UNAVAIL
  }
  EXPECT_EQ(Accepted(kNotify, NameAndState("a", 5), 2), 2u) << "PROG_MISMATCH";
}

TEST_F(NsmProgramTest, OnlyRootOfAMachineTellsOfItsStart) {
  peer_.port = 1024;
  EXPECT_TRUE(TooWeak());
  EXPECT_EQ(wanted_, 0);
  peer_.port = 1023;
  EXPECT_EQ(Accepted(kNull, {}), 0u);
}

TEST_F(NsmProgramTest, WhoMayNotMountIsTurnedAway) {
  peer_.address = boost::asio::ip::make_address("10.2.2.3");
  EXPECT_TRUE(TooWeak());
  EXPECT_EQ(wanted_, 0);
}

TEST_F(NsmProgramTest, NobodyOfThisMachineIsAnsweredAndItsOwnMonitorIsWanted) {
  TakeLock();
  const auto from = [&](const char* address) {
    rpc::Peer peer;
    peer.address = boost::asio::ip::make_address(address);
    peer.local = boost::asio::ip::make_address("10.1.0.1");
    return peer;
  };
  rpc::Peer local;
  local.local_socket = true;
  int asked = 0;
  for (const rpc::Peer& peer : {from("127.0.0.1"), from("::1"), from("10.1.0.1"), local}) {
    peer_ = peer;
    EXPECT_TRUE(TooWeak());
    EXPECT_EQ(wanted_, ++asked);
  }
  peer_ = from("10.1.2.3");
  EXPECT_EQ(Accepted(kNull, {}), 0u);
  EXPECT_EQ(wanted_, asked);
  EXPECT_FALSE(locks_.empty());
}

}  // namespace
}  // namespace strata::nsm
