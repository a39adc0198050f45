// One who asks for locks, and a server that answers, over the control socket.
#include "server/lock_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "tests/base/temp_folder.h"

namespace strata {
namespace {

using namespace std::chrono_literals;
using control::Type;
using nlm4::LockListing;
using nlm4::LockSelection;
using ::testing::HasSubstr;

// A server that has these locks, and no more to it.
class FakeServer final : public Server {
 public:
  Result<LockListing> Locks(const LockSelection& which) const override {
    if (refuses) return Fail(*refuses);
    asked = which;
    return listing;
  }
  Result<std::size_t> ReleaseLocks(const LockSelection& which) override {
    if (refuses) return Fail(*refuses);
    released = which;
    return std::size_t{3};
  }
  const std::vector<Endpoint>& endpoints() const override { return none_; }
  ServerStatistics statistics() const override { return {}; }
  void Stop() override {}
  Result<Handover> Release(std::chrono::milliseconds) override { return Fail(Errc::kNotSupported); }
  void Adopt(int, const rpc::Peer&) override {}

  LockListing listing;
  std::optional<Status> refuses;
  mutable std::optional<LockSelection> asked;
  std::optional<LockSelection> released;

 private:
  std::vector<Endpoint> none_;
};

class LockControlTest : public ::testing::Test {
 protected:
  // Answers the next one that connects.
  std::jthread Serve() {
    if (!point_) {
      auto point = control::Point::Listen(folder_.path());
      EXPECT_TRUE(point);
      if (point) point_.emplace(std::move(*point));
    }
    return std::jthread([this] {
      pollfd comes{point_->fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&comes, 1, 20'000), 1);
      std::optional<control::Request> request = point_->Accept();
      ASSERT_TRUE(request);
      answer_(std::move(*request));
    });
  }

  TempFolder folder_;
  FakeServer server_;
  std::optional<control::Point> point_;
  std::function<void(control::Request)> answer_ = [this](control::Request request) {
    AnswerLockRequest(server_, std::move(request));
  };
};

TEST_F(LockControlTest, AListingOfAHundredThousandLocksComesWholeInMessagesThatAreBounded) {
  server_.listing.clients = {{"alpha", boost::asio::ip::make_address("10.0.0.1")}};
  for (std::uint32_t i = 0; i < 100'000; ++i) server_.listing.locks.push_back({.id = i, .svid = i});
  const LockSelection which{.id = {}, .client = "alpha", .address = {}};
  auto serving = Serve();
  const auto listing = AskForLocks(folder_.path(), which);
  serving.join();
  ASSERT_TRUE(listing) << listing.error().ToString();
  EXPECT_EQ(listing->clients, server_.listing.clients);
  EXPECT_TRUE(listing->locks == server_.listing.locks);
  EXPECT_EQ(server_.asked, which);
}

TEST_F(LockControlTest, ARequestToFreeReachesTheServerAndTheNumberComesBack) {
  const LockSelection which{.id = 7, .client = {}, .address = boost::asio::ip::make_address("10.0.0.1")};
  auto serving = Serve();
  EXPECT_EQ(AskToReleaseLocks(folder_.path(), which).value_or(0), 3u);
  serving.join();
  EXPECT_EQ(server_.released, which);
  EXPECT_FALSE(server_.asked);
}

TEST_F(LockControlTest, WhatTheServerRefusesIsSaidInItsWords) {
  server_.refuses = Status(Errc::kNotSupported, "the reason");
  for (const bool release : {false, true}) {
    const auto serving = Serve();
    Status status(Errc::kIo);
    if (release) {
      const auto freed = AskToReleaseLocks(folder_.path(), {});
      ASSERT_FALSE(freed);
      status = freed.error();
    } else {
      const auto listing = AskForLocks(folder_.path(), {});
      ASSERT_FALSE(listing);
      status = listing.error();
    }
    EXPECT_EQ(status.code(), Errc::kNotSupported);
    EXPECT_THAT(std::string(status.message()), HasSubstr("the reason"));
    EXPECT_THAT(std::string(status.message()), HasSubstr(folder_.path()));
  }
}

TEST_F(LockControlTest, AServerOfBeforeThereWereSuchRequestsIsCalledOlder) {
  answer_ = [](control::Request request) {
    (void)request.connection.SendText(Type::kRefused, "it does not speak the takeover protocol");
  };
  const auto serving = Serve();
  const auto listing = AskForLocks(folder_.path(), {});
  ASSERT_FALSE(listing);
  EXPECT_THAT(std::string(listing.error().message()), HasSubstr("older version"));
}

TEST_F(LockControlTest, WhereNoServerRunsThatIsSaid) {
  const auto listing = AskForLocks(folder_.path(), {});
  ASSERT_FALSE(listing);
  EXPECT_EQ(listing.error().code(), Errc::kNotFound);
  EXPECT_THAT(std::string(listing.error().message()), HasSubstr("strata serve " + folder_.path()));
}

TEST_F(LockControlTest, AnAnswerThatIsCutOrNoneIsNoListing) {
  LockListing one;
  one.clients = {{"alpha", boost::asio::ip::make_address("10.0.0.1")}};
  one.locks.resize(1);
  ListingPlace place;
  const auto page = EncodeLockPage(one, place, 1000);
  const auto asked_of = [this](std::function<void(control::Connection&)> says) {
    answer_ = [says](control::Request request) { says(request.connection); };
    const auto serving = Serve();
    const auto listing = AskForLocks(folder_.path(), {});
    return listing ? std::optional<Errc>() : listing.error().code();
  };
  EXPECT_EQ(asked_of([&](auto& to) {
              (void)to.Send(Type::kLockPage, page);
              (void)to.Send(Type::kLockEnd, EncodeLockEnd(1));
            }),
            std::nullopt);
  EXPECT_EQ(asked_of([&](auto& to) { (void)to.Send(Type::kLockPage, page); }), Errc::kBusy) << "it ended";
  EXPECT_EQ(asked_of([&](auto& to) {
              (void)to.Send(Type::kLockPage, page);
              (void)to.Send(Type::kLockEnd, EncodeLockEnd(2));
            }),
            Errc::kCorrupt);
  EXPECT_EQ(asked_of([&](auto& to) { (void)to.Send(Type::kLockPage, ByteSpan(page).first(9)); }), Errc::kCorrupt);
  EXPECT_EQ(asked_of([&](auto& to) { (void)to.SendText(Type::kServing, ""); }), Errc::kCorrupt);
}

TEST_F(LockControlTest, ARequestThatIsNoneIsRefusedAndTheServerIsNotAsked) {
  auto serving = Serve();
  auto connection = control::Connect(folder_.path());
  ASSERT_TRUE(connection && *connection);
  ASSERT_TRUE((*connection)->SendText(Type::kLockRequest, "\1\0\0\0garbage"));
  (*connection)->Limit(20s);
  const auto refused = (*connection)->Receive();
  serving.join();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->type, Type::kRefused);
  EXPECT_FALSE(server_.asked);
}

TEST_F(LockControlTest, WhoDoesNotReadTheAnswerIsLeftAtTheLimit) {
  server_.listing.clients = {{"alpha", boost::asio::ip::make_address("10.0.0.1")}};
  server_.listing.locks.resize(100'000);
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd silent(fds[1]);
  control::Request request{.connection = control::Connection(UniqueFd(fds[0])), .pid = 1, .first = {}};
  request.first.body = EncodeLockRequest({});
  const auto begin = std::chrono::steady_clock::now();
  AnswerLockRequest(server_, std::move(request), 200ms);
  EXPECT_TRUE(server_.asked);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

}  // namespace
}  // namespace strata
