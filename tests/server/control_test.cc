// Messages of the control socket, and how long is waited for them.
#include "server/control.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "tests/base/temp_folder.h"

namespace strata::control {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    one = Connection(UniqueFd(fds[0]));
    other = Connection(UniqueFd(fds[1]));
  }
  Connection one, other;
};

std::string Header(std::uint32_t type, std::uint32_t size) {
  std::string bytes(8, '\0');
  StoreLe(reinterpret_cast<std::byte*>(bytes.data()), type);
  StoreLe(reinterpret_cast<std::byte*>(bytes.data()) + 4, size);
  return bytes;
}

TEST(ControlTest, AMessageOfTheLargestSizeArrivesWhole) {
  Pair pair;
  const std::string large(kMaxMessage, 'x');
  std::jthread sender([&] {
    EXPECT_TRUE(pair.one.SendText(Type::kState, large + "cut"));
    EXPECT_TRUE(pair.one.Send(Type::kEnd));
  });
  pair.other.Limit(20s);
  const auto first = pair.other.Receive();
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ(first->type, Type::kState);
  EXPECT_TRUE(first->text() == large);
  const auto second = pair.other.Receive();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->type, Type::kEnd);
  EXPECT_TRUE(second->body.empty());
}

TEST(ControlTest, DescriptorsComeAlong) {
  Pair pair;
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd reads(pipe[0]), writes(pipe[1]);
  const int sent[] = {reads.get(), writes.get()};
  ASSERT_TRUE(pair.one.Send(Type::kDescriptors, {}, sent));
  const auto message = pair.other.Receive();
  ASSERT_TRUE(message);
  ASSERT_EQ(message->descriptors.size(), 2u);
  ASSERT_EQ(::write(message->descriptors[1].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(reads.get(), &byte, 1), 1);
}

TEST(ControlTest, AClaimedSizeBeyondTheBoundAndACutMessageFail) {
  {
    Pair pair;
    const std::string bytes = Header(1, kMaxMessage + 1);
    ASSERT_EQ(::send(pair.one.fd(), bytes.data(), bytes.size(), 0), 8);
    const auto message = pair.other.Receive();
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().code(), Errc::kCorrupt);
  }
  const std::string whole = Header(1, 4) + "body";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    Pair pair;
    ASSERT_EQ(::send(pair.one.fd(), whole.data(), size, 0), static_cast<ssize_t>(size));
    pair.one = {};
    const auto message = pair.other.Receive();
    ASSERT_FALSE(message) << size;
    EXPECT_EQ(message.error().code(), Errc::kIo);
  }
}

TEST(ControlTest, WhoSaysAByteNowAndThenIsNotWaitedForBeyondTheLimit) {
  Pair pair;
  const auto begin = Clock::now();
  std::jthread slow([&](const std::stop_token& stop) {
    const std::string bytes = Header(1, 1000) + std::string(1000, 'x');
    for (std::size_t i = 0; i < bytes.size() && !stop.stop_requested(); ++i) {
      (void)::send(pair.one.fd(), &bytes[i], 1, MSG_NOSIGNAL);
      std::this_thread::sleep_for(10ms);
    }
  });
  pair.other.Limit(200ms);
  const auto message = pair.other.Receive();
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error().code(), Errc::kIo);
  EXPECT_GE(Clock::now() - begin, 200ms);
  EXPECT_LT(Clock::now() - begin, 5s) << "and 10 s for all of it";
}

TEST(ControlTest, WhoReadsNothingIsNotWaitedForBeyondTheLimit) {
  Pair pair;
  const auto begin = Clock::now();
  pair.one.Limit(200ms);
  Result<void> sent;
  const std::vector<std::byte> body(kMaxMessage);
  for (int i = 0; i < 100 && sent; ++i) sent = pair.one.Send(Type::kState, body);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), Errc::kIo);
  EXPECT_LT(Clock::now() - begin, 5s);
}

TEST(ControlTest, ThePointIsThereAsLongAsItsServer) {
  const TempFolder folder;
  const auto nobody = Connect(folder.path());
  ASSERT_TRUE(nobody);
  EXPECT_FALSE(*nobody);
  {
    auto point = Point::Listen(folder.path());
    ASSERT_TRUE(point) << point.error().ToString();
    EXPECT_FALSE(point->Accept()) << "nobody has come, and nobody is waited for";
    auto asks = Connect(folder.path());
    ASSERT_TRUE(asks && *asks);
    ASSERT_TRUE((*asks)->SendText(Type::kLockRequest, "what"));
    const auto request = point->Accept();
    ASSERT_TRUE(request);
    EXPECT_EQ(request->pid, ::getpid());
    EXPECT_EQ(request->first.type, Type::kLockRequest);
    EXPECT_EQ(request->first.text(), "what");
    // Whoever says nothing sensible hears that.
    auto rambles = Connect(folder.path());
    ASSERT_TRUE(rambles && *rambles);
    ASSERT_EQ(::send((*rambles)->fd(), "GET / HTTP/1.1\r\n", 16, 0), 16);
    EXPECT_FALSE(point->Accept());
    const auto refused = (*rambles)->Receive();
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->type, Type::kRefused);
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "control"));
  const auto gone = Connect(folder.path());
  EXPECT_TRUE(gone && !*gone);
}

}  // namespace
}  // namespace strata::control
