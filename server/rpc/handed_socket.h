// What a transport gives away when another, of this process or of the next, is to serve on in its place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "server/rpc/duplicate_cache.h"
#include "server/rpc/program.h"

namespace strata::rpc {

// One open socket, with all that the next to serve it must know.
struct HandedSocket {
  enum class Kind : std::uint8_t { kTcpListener, kUnixListener, kDatagrams, kConnection };

  Kind kind = Kind::kConnection;
  UniqueFd socket;
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
