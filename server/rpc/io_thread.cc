#include "server/rpc/io_thread.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <utility>

namespace strata::rpc {
namespace {

constexpr std::chrono::seconds kTick{1};

}  // namespace

IoThread::IoThread(Shared& shared)
    : shared_(shared),
      work_(boost::asio::make_work_guard(context_)),
      sweep_timer_(context_),
      buffers_(shared.kept_buffer_bytes),
      batch_(shared.duplicates) {
  completions_ =
      std::make_shared<CompletionQueue>([this] { boost::asio::post(context_, [this] { DeliverCompletions(); }); });
  thread_ = std::jthread([this] { context_.run(); });
}

IoThread::~IoThread() { Stop(); }

void IoThread::Adopt(int socket, const Peer& peer, const Dispatcher& dispatcher) {
  shared_.connections_open.fetch_add(1);
  boost::asio::post(context_, [this, socket, peer, &dispatcher] {
    auto* connection = new Connection(*this, socket, peer, dispatcher);
    connections_.push_back(*connection);
    draining_ ? connection->Close() : connection->Start();
  });
}

void IoThread::Adopt(HandedSocket handed, const Dispatcher& dispatcher) {
  shared_.connections_open.fetch_add(1);
  boost::asio::post(context_, [this, handed = std::move(handed), &dispatcher]() mutable {
    auto* connection = new Connection(*this, handed.socket.Give(), handed.peer, dispatcher);
    connections_.push_back(*connection);
    if (draining_) return connection->Close();
    connection->Restore(handed);
    connection->Start();
  });
}

void IoThread::RunThere(std::move_only_function<void()> what) {
  std::promise<void> done;
  boost::asio::post(context_, [&] {
    what();
    done.set_value();
  });
  done.get_future().wait();
}

void IoThread::Pause() {
  boost::asio::post(context_, [this] {
    paused_ = true;
    for (Connection& connection : connections_) {
      if (!connection.Pause()) shared_.settling.fetch_add(1);
    }
    Settled();
  });
}

void IoThread::Settled() {
  if (shared_.settling.fetch_sub(1) == 1) shared_.drained.Notify();
}

void IoThread::Resume() {
  RunThere([this] {
    paused_ = false;
    for (auto at = connections_.begin(); at != connections_.end();) {
      Connection& connection = *at++;
      connection.Resume();
    }
  });
}

std::vector<HandedSocket> IoThread::Release() {
  std::vector<HandedSocket> handed;
  RunThere([&] {
    for (auto at = connections_.begin(); at != connections_.end();) {
      Connection& connection = *at++;
      if (auto one = connection.Release()) handed.push_back(std::move(*one));
    }
  });
  return handed;
}

void IoThread::Destroy(Connection* connection) { delete connection; }

void IoThread::DeliverCompletions() {
  Completion* completion = completions_->TakeAll();
  while (completion != nullptr) {
    Completion* const next = CompletionQueue::Next(completion);
    if (completion->connection().Add(completion)) ready_.push_back(&completion->connection());
    completion = next;
  }
  for (Connection* connection : ready_) connection->DeliverAdded();
  ready_.clear();
}

void IoThread::Talks(Connection& connection) {
  connection.last_tick = tick_;
  if (connection.talking_hook.is_linked()) {
    if (&talking_.back() == &connection) return;
    talking_.erase(talking_.iterator_to(connection));
  }
  talking_.push_back(connection);
  if (sweeping_) return;
  sweeping_ = true;
  Sweep();
}

void IoThread::Sweep() {
  // Of age at the second tick after the last byte: between one and two seconds.
  while (!talking_.empty() && tick_ - talking_.front().last_tick >= 2) {
    Connection& silent = talking_.front();
    talking_.pop_front();
    silent.Idle();
  }
  ++tick_;
  sweeping_ = !talking_.empty();
  if (!sweeping_) return;
  sweep_timer_.expires_after(kTick);
  sweep_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Sweep();
  });
}

void IoThread::Drain() {
  boost::asio::post(context_, [this] {
    draining_ = true;
    for (auto at = connections_.begin(); at != connections_.end();) {
      Connection& connection = *at++;
      connection.Drain();
    }
  });
}

void IoThread::CloseAll() {
  draining_ = true;
  sweep_timer_.cancel();
  for (auto at = connections_.begin(); at != connections_.end();) {
    Connection& connection = *at++;
    connection.Close();
  }
}

void IoThread::Stop() {
  if (!thread_.joinable()) return;
  boost::asio::post(context_, [this] {
    // What comes back from now on is dropped without a look at its connection.
    completions_->Close();
    CloseAll();
    work_.reset();
  });
  thread_.join();
  // Those that a dropped completion refers to.
  while (!connections_.empty()) delete &connections_.front();
}

}  // namespace strata::rpc
