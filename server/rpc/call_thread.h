// CallThread: the thread on which a server calls other programs. The first thing to do starts it.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "server/rpc/client.h"

namespace strata::rpc {

// To be made before all that uses it, so that its timers do not outlive the context.
class CallThread {
 public:
  CallThread();
  ~CallThread() { Stop(); }
  CallThread(const CallThread&) = delete;
  CallThread& operator=(const CallThread&) = delete;

  // Ends the thread. Calls under way end then, and are told so (kIo); what is asked for later is not done. To be called
  // while all that uses it is still there.
  void Stop();
  // Does it on the thread. From any thread.
  void Run(std::move_only_function<void()> what);

  boost::asio::io_context& context() { return context_; }
  // On the thread.
  Client& client() { return *client_; }

 private:
  boost::asio::io_context context_{1};
  std::unique_ptr<Client> client_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::once_flag started_;
  std::jthread thread_;
};

}  // namespace strata::rpc
