// RpcbindKeeper: keeps what is served here registered with this machine's rpcbind, also when rpcbind starts anew.
//
// A client on this machine registers a lock manager of its own as it mounts, in place of the server's: the two have the
// same number. The client would then ask itself for locks. So the server's is put back; the client's stays known by
// its versions 1 and 3. Where there is none for a moment, the client is about to register, and would fail to mount if
// the server did meanwhile. So what is gone is put back only once it has been gone for a while.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/portmap_client.h"
#include "server/rpc/client.h"

namespace strata {

class RpcbindKeeper {
 public:
  struct Registered {
    std::uint32_t program = 0, version = 0;
    std::string netid, uaddr;
    friend bool operator==(const Registered&, const Registered&) = default;
  };

  // `services`: NFS first: what others registered is replaced only while NFS there is this server's.
  RpcbindKeeper(const PortmapAddress& where, std::vector<Registered> services);
  ~RpcbindKeeper() { Stop(); }

  // Ends the thread. What is registered stays.
  void Stop();
  // Once stopped: whether it was taken out, or another's took its place.
  bool GaveUp(const Registered& service) const;

  // Somebody mounts, and has registered: looks at once, and often for the next second. From any thread.
  void Look();
  // Takes a program out, and leaves it so. From any thread.
  void GiveUp(std::uint32_t program);
  // Whether it keeps the program there. From any thread.
  bool Keeps(std::uint32_t program) const;
  // How often everything was found to be right; for tests.
  std::uint64_t rounds() const { return rounds_.load(); }

 private:
  void Schedule();
  void Round();
  // Goes on with service `at`, by what was registered when the round began.
  void Check(std::size_t at);
  void Put(std::size_t at);

  const PortmapAddress where_;
  const std::vector<Registered> services_;
  std::vector<bool> failed_;  // of each, the last time
  std::vector<bool> given_up_;
  std::atomic<std::uint32_t> program_given_up_{0};
  std::vector<std::optional<std::chrono::steady_clock::time_point>> gone_since_;
  boost::asio::io_context context_{1};
  boost::asio::steady_timer timer_;
  std::size_t burst_ = 0;  // which of the pauses comes next
  bool under_way_ = false;
  std::vector<portmap::Registration> found_;  // in this round
  std::atomic<bool> looks_{false};
  std::atomic<std::uint64_t> rounds_{0};
  rpc::Client client_;  // whose end calls back
  std::jthread thread_;
};

}  // namespace strata
