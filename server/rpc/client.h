// Client: calls of other RPC programs, here and on other machines, without a thread that waits.
//
// Everything happens on one io_context. A call has a socket of its own, and ends, whatever the other side does, once
// its time is over. What a reply may hold is bounded, and so is how many calls are under way.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"

namespace strata::rpc {

// Where a program is to be called.
struct Address {
  enum class Transport : std::uint8_t { kTcp, kUdp, kUnix };
  Transport transport = Transport::kTcp;
  boost::asio::ip::address host;
  std::uint16_t port = 0;
  // The address of this machine to call from, as far as it can be; unspecified: the system chooses.
  boost::asio::ip::address from{};
  std::string path{};  // kUnix
};

struct OutgoingCall {
  std::uint32_t program = 0, version = 0, procedure = 0;
  std::vector<std::byte> arguments;
  // From a port below 1024, where this process may: some programs answer nobody else.
  bool privileged_port = false;
  // No answer is waited for.
  bool one_way = false;
  std::chrono::milliseconds timeout{2000};
};

// Not thread-safe: on the context's thread, or while nobody runs it.
class Client {
 public:
  static constexpr std::size_t kMaxReply = 64 << 10;  // no larger one is taken
  static constexpr std::size_t kMaxAtOnce = 64;       // under way; others wait for their turn, in which their time runs
  static constexpr std::size_t kMaxWaiting = 16384;   // beyond, a call fails at once (kBusy)

  // The results, or why there are none: kNotFound where nobody listens there, kIo for no answer in time, a denial, or
  // what is no reply; kNotSupported where the program or the procedure is not there.
  using Done = std::move_only_function<void(Result<std::vector<std::byte>>)>;

  explicit Client(boost::asio::io_context& context);
  // Ends what is under way (kIo).
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // `done` is called exactly once, never before this returns.
  void Call(const Address& to, OutgoingCall call, Done done);

 private:
  class One;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace strata::rpc
