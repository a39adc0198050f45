// Takeovers under load: clients with many calls in flight, by libnfs and by hand, see no refused connection, no reset,
// and each call answered once.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "tests/base/temp_folder.h"
#include "tests/e2e/process.h"
#include "tests/e2e/raw_client.h"
#include "tests/e2e/service.h"
#include "tests/e2e/wire.h"

namespace strata::e2e {
namespace {

// How far all workers have come, and whether they are to end.
struct Progress {
  std::atomic<std::uint64_t> answered = 0;
  std::atomic<bool> stop = false;
};

// Makes, writes, renames and removes files of its own, 16 at a time, over one connection that must stay.
class Worker {
 public:
  Worker(std::uint16_t port, int me, Progress& progress) : client_(port), me_(me), progress_(progress) {
    EXPECT_TRUE(client_.connected());
  }
  void operator()() {
    for (int round = 0; !progress_.stop && !::testing::Test::HasFailure(); ++round) Round(round);
  }
  // Afterwards, by anyone: what the files must hold.
  const std::vector<std::pair<Handle, std::string>>& kept() const { return kept_; }

 private:
  static constexpr std::size_t kAtOnce = 16;

  void Await(std::vector<RawClient::Call>& calls) {
    for (RawClient::Call& call : calls) {
      ASSERT_TRUE(call->answered) << call->error;
      ASSERT_EQ(call->status, NFS3_OK);
      ++progress_.answered;
    }
  }
  void Round(int round) {
    const auto name = [&](std::size_t i) {
      return std::to_string(me_) + "-" + std::to_string(round) + "-" + std::to_string(i);
    };
    std::vector<RawClient::Call> made, written, changed;
    for (std::size_t i = 0; i < kAtOnce; ++i) made.push_back(client_.Create(client_.root(), name(i)));
    ASSERT_NO_FATAL_FAILURE(Await(made));
    std::vector<std::string> contents;
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      contents.push_back(RandomBytes(static_cast<std::uint64_t>(me_ * 1000 + round), i == 0 ? 200'000 : 2000));
      written.push_back(client_.Write(*made[i]->handle, 0, contents[i], i % 2 == 0 ? FILE_SYNC : UNSTABLE));
    }
    ASSERT_NO_FATAL_FAILURE(Await(written));
    for (std::size_t i = 0; i < kAtOnce; ++i) {
      // A call that was done twice would fail: REMOVE and RENAME find nothing the second time.
      if (i % 2 == 0) {
        changed.push_back(client_.Remove(client_.root(), name(i)));
      } else {
        changed.push_back(client_.Rename(client_.root(), name(i), client_.root(), "kept-" + name(i)));
        kept_.emplace_back(*made[i]->handle, contents[i]);
      }
    }
    ASSERT_NO_FATAL_FAILURE(Await(changed));
  }

  RawClient client_;
  const int me_;
  Progress& progress_;
  std::vector<std::pair<Handle, std::string>> kept_;
};

int Connected(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

// NULL calls, numbered and sent in pieces that end anywhere; every answer must come, once, in order.
void Pipeline(std::uint16_t port, Progress& progress) {
  const int fd = Connected(port);
  ASSERT_GE(fd, 0);
  constexpr std::size_t kReply = 28;
  std::string calls, replies;
  std::uint32_t sent = 0, got = 0;
  while (!progress.stop || got < sent) {
    if (calls.size() < 4000 && !progress.stop) {
      const std::string call = Xdr().Word(++sent).Word(0).Word(2).Word(100003).Word(3).Word(0).Long(0).Long(0).bytes();
      calls += Xdr().Word(0x8000'0000U | static_cast<std::uint32_t>(call.size())).bytes() + call;
    }
    const std::size_t piece = std::min<std::size_t>(calls.size(), 1 + (sent * 37) % 301);
    const ssize_t out = ::send(fd, calls.data(), piece, MSG_NOSIGNAL | MSG_DONTWAIT);
    ASSERT_TRUE(out >= 0 || errno == EAGAIN) << errno;
    if (out > 0) calls.erase(0, static_cast<std::size_t>(out));
    char buffer[8192];
    pollfd wait{fd, POLLIN, 0};
    ASSERT_GE(::poll(&wait, 1, calls.empty() ? 20'000 : 0), calls.empty() ? 1 : 0) << "no answer";
    if (wait.revents == 0) continue;
    const ssize_t in = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    ASSERT_GT(in, 0) << "the connection ended after " << got << " answers";
    replies.append(buffer, static_cast<std::size_t>(in));
    for (; replies.size() >= kReply; replies.erase(0, kReply)) {
      ASSERT_EQ(replies.substr(4, 4), Xdr().Word(++got).bytes());
      ++progress.answered;
    }
  }
  EXPECT_TRUE(replies.empty());
  ::close(fd);
}

// Connections that come at any time, and are answered once.
void Newcomers(std::uint16_t port, std::atomic<int>& came, Progress& progress) {
  while (!progress.stop) {
    Wire wire(port);
    ASSERT_TRUE(wire.connected()) << "a connection was refused";
    ASSERT_TRUE(wire.Call(100003, 3, 0).came) << "a new connection was not answered";
    ++came;
  }
}

TEST(TakeoverLoad, ClientsSeeAPauseAndNothingElseAcrossThreeTakeoversInARow) {
  TempFolder folder;
  const std::string lower = folder / "lower", workspace = folder / "workspace";
  std::filesystem::create_directories(lower);
  ServedProcess first({lower, "--workspace", workspace, "--insecure-ports"});
  ASSERT_NE(first.port(), 0);
  const std::uint16_t port = first.port();

  Progress progress;
  std::atomic<int> newcomers = 0;
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < 4; ++i) workers.push_back(std::make_unique<Worker>(port, i, progress));
  std::vector<std::jthread> threads;
  for (const auto& worker : workers) threads.emplace_back([&worker] { (*worker)(); });
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { Pipeline(port, progress); });
  threads.emplace_back([&] { Newcomers(port, newcomers, progress); });

  const auto wait_for_more = [&](std::uint64_t more) {
    const std::uint64_t before = progress.answered;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (progress.answered < before + more && !::testing::Test::HasFailure()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return !::testing::Test::HasFailure();
  };
  std::vector<std::unique_ptr<Process>> servers;
  Process* running = &first.process();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(wait_for_more(3000));
    servers.push_back(std::make_unique<Process>(std::vector<std::string>{STRATA_PROGRAM, "serve", lower, "--workspace",
                                                                         workspace, "--insecure-ports", "--takeover"}));
    EXPECT_EQ(servers.back()->ReadLine(), first.ready_line());
    EXPECT_EQ(running->Wait(), 0) << running->errors();
    running = servers.back().get();
  }
  EXPECT_TRUE(wait_for_more(3000));
  progress.stop = true;
  threads.clear();

  RawClient reader(port);
  ASSERT_TRUE(reader.connected());
  std::size_t files = 0;
  for (const auto& worker : workers) {
    for (const auto& [handle, content] : worker->kept()) {
      RawClient::Call read = reader.Read(handle, 0, 1 << 20);
      ASSERT_EQ(read->status, NFS3_OK);
      ASSERT_TRUE(read->data == content) << "what was written is not what is read";
      ++files;
    }
  }
  EXPECT_GT(files, 0u);
  EXPECT_EQ(reader.List(reader.root(), false, 1 << 16).size(), files + 2) << "nothing else is there";
  EXPECT_GT(newcomers, 3);
  std::printf("answered: %llu; new connections: %d; files checked: %zu\n",
              static_cast<unsigned long long>(progress.answered.load()), newcomers.load(), files);
  running->Signal(SIGTERM);
  EXPECT_EQ(running->Wait(), 0) << running->errors();
}

}  // namespace
}  // namespace strata::e2e
