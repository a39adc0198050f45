#include "tests/bench/floor.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "tests/bench/support.h"

namespace nfsbench {
namespace {

constexpr std::size_t kReceiveBuffer = 4u << 20;
constexpr std::size_t kReceiveRoom = 2u << 20;

struct Connection {
  int fd;
  std::vector<char> received = std::vector<char>(kReceiveBuffer);
  std::size_t begin = 0, end = 0;
  SendQueue queue;
  bool waits_to_send = false;
};

// One large receive, every whole record in it answered, the replies sent together; false: drop the connection.
bool OnReadable(Connection& connection, std::uint32_t entries) {
  auto& buffer = connection.received;
  const ssize_t got = recv(connection.fd, buffer.data() + connection.end, buffer.size() - connection.end, MSG_DONTWAIT);
  if (got == 0) return false;
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  connection.end += static_cast<std::size_t>(got);
  while (connection.end - connection.begin >= 4) {
    std::uint32_t mark;
    std::memcpy(&mark, &buffer[connection.begin], 4);
    mark = be32toh(mark);
    const std::size_t length = mark & 0x7fffffff;
    if ((mark & 0x80000000u) == 0 || length + 4 > buffer.size()) return false;
    if (connection.end - connection.begin < length + 4) break;
    if (!AnswerWithConstant(&buffer[connection.begin + 4], length, entries, connection.queue)) return false;
    connection.begin += length + 4;
  }
  if (connection.begin == connection.end) {
    connection.begin = connection.end = 0;
  } else if (connection.begin > 0 && buffer.size() - connection.end < kReceiveRoom) {
    std::memmove(buffer.data(), &buffer[connection.begin], connection.end - connection.begin);
    connection.end -= connection.begin;
    connection.begin = 0;
  }
  return connection.queue.Flush(connection.fd);
}

void Watch(int epoll_fd, int operation, Connection* connection) {
  epoll_event event{};
  event.events = EPOLLIN | (connection->waits_to_send ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
  event.data.ptr = connection;
  epoll_ctl(epoll_fd, operation, connection->fd, &event);
}

[[noreturn]] void Work(int epoll_fd, std::uint32_t entries) {
  epoll_event events[64];
  for (;;) {
    const int count = epoll_wait(epoll_fd, events, 64, -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[i].data.ptr);
      bool good = true;
      if ((events[i].events & EPOLLOUT) != 0) good = connection->queue.Flush(connection->fd);
      if (good && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) good = OnReadable(*connection, entries);
      if (!good) {
        close(connection->fd);
        delete connection;
        continue;
      }
      if (connection->queue.empty() == connection->waits_to_send) {
        connection->waits_to_send = !connection->waits_to_send;
        Watch(epoll_fd, EPOLL_CTL_MOD, connection);
      }
    }
  }
}

}  // namespace

int FloorMain(const std::vector<std::string>& arguments) {
  int port = 21000;
  int threads = 2;
  std::uint32_t entries = 50000;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const int value = std::atoi(arguments[i + 1].c_str());
    if (arguments[i] == "--port") {
      port = value;
    } else if (arguments[i] == "--threads") {
      threads = value;
    } else if (arguments[i] == "--entries") {
      entries = static_cast<std::uint32_t>(value);
    } else {
      Die("floor: unknown option %s", arguments[i].c_str());
    }
  }
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in address{};
  socklen_t size = sizeof address;
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, 128) != 0) {
    Die("floor: listening on port %d: %s", port, std::strerror(errno));
  }
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::vector<int> epoll_fds;
  for (int i = 0; i < threads; ++i) {
    epoll_fds.push_back(epoll_create1(EPOLL_CLOEXEC));
    std::thread(Work, epoll_fds.back(), entries).detach();
  }
  std::printf("ready nfs=127.0.0.1:%u threads=%d\n", ntohs(address.sin_port), threads);
  std::fflush(stdout);
  for (std::size_t accepted = 0;; ++accepted) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    auto* connection = new Connection;
    connection->fd = fd;
    Watch(epoll_fds[accepted % epoll_fds.size()], EPOLL_CTL_ADD, connection);
  }
}

}  // namespace nfsbench
