#include "server/rpc/call_thread.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace strata::rpc {

CallThread::CallThread() : client_(std::make_unique<Client>(context_)), work_(boost::asio::make_work_guard(context_)) {}

void CallThread::Stop() {
  std::call_once(started_, [] {});
  context_.stop();
  thread_ = {};
  client_.reset();
}

void CallThread::Run(std::move_only_function<void()> what) {
  std::call_once(started_, [this] { thread_ = std::jthread([this] { context_.run(); }); });
  boost::asio::post(context_, std::move(what));
}

}  // namespace strata::rpc
