// One TCP connection with calls in flight. Single-threaded: the owner polls fd() for events() and calls Service().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tests/bench/protocol.h"

namespace nfsbench {

class Client {
 public:
  virtual ~Client() = default;
  virtual int fd() const = 0;
  virtual short events() = 0;
  // `slot` (below 65536) comes back with the reply; one call a slot at a time.
  virtual void Send(const Call& call, std::uint32_t slot) = 0;
  // Pushes out what Send has gathered, if it gathers.
  virtual void Flush() = 0;
  // Reads and writes what poll() said is ready, and calls on_reply for each whole reply; false when the connection is
  // lost.
  virtual bool Service(short ready) = 0;

  std::function<void(std::uint32_t slot, const Reply&)> on_reply;
};

// Our own encoder: all calls that are ready leave in one sendmsg, and many replies are parsed out of one recv, so that
// the server, not the client, is what is measured. `host` is a numeric IPv4 address.
std::unique_ptr<Client> MakeLeanClient(const std::string& host, int port);

// libnfs's raw asynchronous API: one send a call and two recv a reply, so that calls reach the server one by one, as
// from the Linux kernel's client. On two cores it is often the client that is the limit.
std::unique_ptr<Client> MakeLibnfsClient(const std::string& host, int port);

// MOUNT3 MNT through libnfs. Port 0 asks port 111.
Handle MountRoot(const std::string& host, int mount_port, const std::string& path);

}  // namespace nfsbench
