// The calls to the lock managers of clients, which a server of the test plays.
#include "server/nlm4/client_caller.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/nlm4/program.h"
#include "server/nlm4/protocol.h"
#include "server/rpc/dispatcher.h"
#include "server/rpc/transport.h"

namespace strata::nlm4 {
namespace {

constexpr std::chrono::seconds kPatience{20};
constexpr FileKey kWanted{1, InodeNumber(10), Generation(1)};

// A client's lock manager: it keeps what it is called with, and answers as it is told.
class Manager final : public rpc::Program {
 public:
  struct Called {
    std::uint32_t procedure = 0;
    std::string name, owner, handle;
    std::uint64_t id = 0, offset = 0, length = 0;
    std::uint32_t svid = 0;
    bool exclusive = false;
  };

  Manager() {
    for (const std::uint32_t number : {kGranted, kGrantedMsg, kLockRes}) {
      table_[number].number = number;
      table_[number].name = "call";
      table_[number].handler = [](rpc::Program& program, const rpc::Call& call, rpc::XdrReader& arguments,
                                  rpc::ReplyBuffer& reply) {
        return static_cast<Manager&>(program).Handle(call, arguments, reply);
      };
    }
  }
  std::uint32_t number() const override { return kNlmProgram; }
  std::string_view name() const override { return "nlm"; }
  std::uint32_t low_version() const override { return 4; }
  std::uint32_t high_version() const override { return 4; }
  std::span<const rpc::Procedure> Procedures(std::uint32_t) const override { return table_; }

  // Waits for the call of that number, counted from 1.
  Called Await(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return called_.size() >= count; }));
    return called_.size() >= count ? called_[count - 1] : Called();
  }
  std::size_t calls() {
    const std::lock_guard lock(mutex_);
    return called_.size();
  }

  std::atomic<Stat> answer{Stat::kGranted};
  std::atomic<bool> garbage{false};

 private:
  rpc::Outcome Handle(const rpc::Call& call, rpc::XdrReader& in, rpc::ReplyBuffer& reply) {
    Called one;
    one.procedure = call.procedure;
    const ByteSpan cookie = ReadCookie(in);
    if (call.procedure != kLockRes) {
      rpc::XdrReader id(cookie);
      one.id = id.U64();
      one.exclusive = in.Bool();
      const LockArguments lock = LockArguments::Read(in);
      EXPECT_TRUE(in.Finished());
      one.name = lock.caller_name;
      one.owner = AsText(lock.owner);
      one.handle = AsText(lock.handle);
      one.svid = lock.svid;
      one.offset = lock.offset;
      one.length = lock.length;
    }
    if (call.procedure == kGranted) {
      reply.Opaque(cookie);
      reply.U32(static_cast<std::uint32_t>(answer.load()));
      if (garbage) reply.U32(0);
    }
    const std::lock_guard lock(mutex_);
    called_.push_back(one);
    changed_.notify_all();
    return {};
  }

  std::array<rpc::Procedure, 16> table_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Called> called_;
};

class ClientCallerTest : public ::testing::Test {
 protected:
  ClientCallerTest() {
    port_ = transport_->ListenTcp("127.0.0.1", 0, dispatcher_).value();
    (void)transport_->ListenUdp("127.0.0.1", port_, dispatcher_).value();
  }
  ~ClientCallerTest() override {
    calls_.Stop();
    transport_->Stop();
  }
  static Caller Who(const std::string& name) {
    return {.name = name, .address = boost::asio::ip::make_address("127.0.0.1"), .svid = 7, .owner = AsBytes("7@x")};
  }
  Answer Lock(const std::string& name, const CallBack* back = nullptr) {
    return table_.Lock(kWanted, Who(name), {5, 9}, true, false, back);
  }
  static rpc::Peer Host(bool datagram) {
    rpc::Peer host;
    host.address = boost::asio::ip::make_address("127.0.0.1");
    host.datagram = datagram;
    return host;
  }
  static CallBack Back(bool datagram, bool message) {
    const ByteSpan handle = AsBytes("the handle");
    return {.handle = {handle.begin(), handle.end()}, .datagram = datagram, .message = message};
  }
  bool Eventually(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!holds() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return holds();
  }

  Manager manager_;
  const rpc::Dispatcher dispatcher_{{&manager_}};
  const std::unique_ptr<rpc::Transport> transport_ = rpc::Transport::Create({.io_threads = 1, .worker_threads = 1});
  std::uint16_t port_ = 0;
  std::atomic<bool> found_{true};
  rpc::CallThread calls_;
  LockTable table_{{},
                   [] { return std::int64_t{0}; },
                   [this](std::vector<Grant> grants) { caller_.Tell(table_, std::move(grants)); }};
  ClientCaller caller_{calls_, [this](rpc::Client&, const rpc::Address& host, auto done) {
                         rpc::Address to = host;
                         to.port = port_;
                         if (found_) return done(std::move(to));
                         done(Fail(Errc::kNotSupported, "nothing there"));
                       }};
};

TEST_F(ClientCallerTest, WhoWaitedIsToldAndConfirms) {
  for (const bool datagram : {false, true}) {
    const std::size_t before = manager_.calls();
    ASSERT_EQ(Lock("a"), Answer::kGranted);
    const CallBack back = Back(datagram, false);
    ASSERT_EQ(Lock("b", &back), Answer::kBlocked);
    table_.Unlock(kWanted, Who("a"), {0, Range::kEnd});
    const Manager::Called called = manager_.Await(before + 1);
    EXPECT_EQ(called.procedure, kGranted);
    EXPECT_EQ(called.name, "b");
    EXPECT_EQ(called.owner, "7@x");
    EXPECT_EQ(called.handle, "the handle");
    EXPECT_EQ(called.svid, 7u);
    EXPECT_EQ(called.offset, 5u);
    EXPECT_EQ(called.length, 5u);
    EXPECT_TRUE(called.exclusive);
    EXPECT_TRUE(Eventually([&] { return !table_.Unconfirmed(called.id); }));
    EXPECT_EQ(Lock("a"), Answer::kDenied);
    table_.Unlock(kWanted, Who("b"), {0, Range::kEnd});
  }
}

TEST_F(ClientCallerTest, WhoDoesNotWantItAnyMoreLosesIt) {
  manager_.answer = Stat::kDenied;
  ASSERT_EQ(Lock("a"), Answer::kGranted);
  const CallBack back = Back(false, false);
  ASSERT_EQ(Lock("b", &back), Answer::kBlocked);
  table_.Unlock(kWanted, Who("a"), {0, Range::kEnd});
  EXPECT_TRUE(Eventually([&] { return table_.empty(); }));
}

TEST_F(ClientCallerTest, WhoGivesNoGoodAnswerIsToldAgain) {
  manager_.answer = Stat::kDeniedGracePeriod;
  ASSERT_EQ(Lock("a"), Answer::kGranted);
  const CallBack back = Back(false, false);
  ASSERT_EQ(Lock("b", &back), Answer::kBlocked);
  table_.Unlock(kWanted, Who("a"), {0, Range::kEnd});
  const std::uint64_t id = manager_.Await(1).id;
  manager_.garbage = true;
  EXPECT_EQ(manager_.Await(2).id, id) << "after a second";
  EXPECT_TRUE(table_.Unconfirmed(id));
  manager_.garbage = false;
  manager_.answer = Stat::kGranted;
  EXPECT_EQ(manager_.Await(3).id, id);
  EXPECT_TRUE(Eventually([&] { return !table_.Unconfirmed(id); }));
}

TEST_F(ClientCallerTest, WhoCannotBeFoundIsLookedForAgain) {
  found_ = false;
  ASSERT_EQ(Lock("a"), Answer::kGranted);
  const CallBack back = Back(false, false);
  ASSERT_EQ(Lock("b", &back), Answer::kBlocked);
  table_.Unlock(kWanted, Who("a"), {0, Range::kEnd});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(manager_.calls(), 0u);
  found_ = true;
  EXPECT_EQ(manager_.Await(1).name, "b");
}

TEST_F(ClientCallerTest, AMessageIsSentUntilItIsConfirmed) {
  ASSERT_EQ(Lock("a"), Answer::kGranted);
  const CallBack back = Back(true, true);
  ASSERT_EQ(Lock("b", &back), Answer::kBlocked);
  table_.Unlock(kWanted, Who("a"), {0, Range::kEnd});
  const Manager::Called first = manager_.Await(1);
  EXPECT_EQ(first.procedure, kGrantedMsg);
  EXPECT_EQ(manager_.Await(2).id, first.id);
  table_.Confirm(first.id, true);
}

TEST_F(ClientCallerTest, ResultsAreSent) {
  caller_.SendResult(Host(false), kLockRes, std::vector<std::byte>(8));
  caller_.SendResult(Host(true), kLockRes, std::vector<std::byte>(8));
  EXPECT_EQ(manager_.Await(2).procedure, kLockRes);
}

TEST_F(ClientCallerTest, NothingIsDoneAfterItsEnd) {
  calls_.Stop();
  caller_.SendResult(Host(false), kLockRes, std::vector<std::byte>(8));
  ASSERT_EQ(Lock("a"), Answer::kGranted);
  const CallBack back = Back(false, false);
  ASSERT_EQ(Lock("b", &back), Answer::kBlocked);
  table_.Unlock(kWanted, Who("a"), {0, Range::kEnd});
  EXPECT_EQ(manager_.calls(), 0u);
}

}  // namespace
}  // namespace strata::nlm4
