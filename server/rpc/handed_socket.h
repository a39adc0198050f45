// What a transport gives away when another, of this process or of the next, is to serve on in its place.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/rpc/duplicate_cache.h"
#include "server/rpc/program.h"

namespace strata::rpc {

// Owns a descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.Give()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  // Whoever gets it owns it.
  int Give() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// One open socket, with all that the next to serve it must know.
struct HandedSocket {
  enum class Kind : std::uint8_t { kTcpListener, kUnixListener, kDatagrams, kConnection };

  Kind kind = Kind::kConnection;
  Descriptor socket;
  // The first program of its dispatcher: what is served on it.
  std::uint32_t program = 0;
  // Of an AF_UNIX listener: its file, which goes when it is closed.
  std::string path;
  // Of a connection.
  Peer peer;
  std::vector<std::byte> received;  // bytes of calls not yet served, the first of them the beginning of a record
  std::vector<std::byte> unsent;    // bytes of replies that the client has not taken yet
};

struct Handed {
  std::vector<HandedSocket> sockets;
  std::vector<AnsweredCall> answered;  // the duplicate request cache, the oldest first
};

}  // namespace strata::rpc
