#include "server/rpc/io_thread.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <utility>

namespace strata::rpc {
namespace {

constexpr std::chrono::seconds kTick{1};
// Those who starve are woken; should that come too early, they try again.
constexpr std::chrono::milliseconds kFeed{100};

}  // namespace

IoThread::IoThread(Shared& shared, bool first)
    : shared_(shared),
      work_(boost::asio::make_work_guard(context_)),
      sweep_timer_(context_),
      feed_timer_(context_),
      age_timer_(context_),
      buffers_(shared.receive),
      blocks_(shared.kept_blocks),
      batch_(shared.duplicates) {
  if (first) AgeLater();
  completions_ =
      std::make_shared<CompletionQueue>([this] { boost::asio::post(context_, [this] { DeliverCompletions(); }); });
  thread_ = std::jthread([this] { context_.run(); });
  shared_.receive.Join(*this);
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
  SweepLater();
}

void IoThread::Heard(Connection& connection) {
  const std::int64_t now = shared_.duplicates.now();
  if (now - connection.heard < DuplicateCache::kHeardSeconds) return;
  connection.heard = now;
  shared_.duplicates.Heard(connection.address());
}

void IoThread::HasPart(Connection& connection) {
  if (connection.part_hook.is_linked()) return;
  connection.part_tick = tick_;
  parts_.push_back(connection);
  SweepLater();
}

void IoThread::Starves(Connection& connection) {
  // It is we who do not read the rest.
  connection.part_hook.unlink();
  if (!connection.starving_hook.is_linked()) {
    starving_.push_back(connection);
    shared_.receive.Starves();
  }
  shared_.receive.Await(*this);
  if (std::exchange(feeding_, true)) return;
  feed_timer_.expires_after(kFeed);
  feed_timer_.async_wait([this](const boost::system::error_code& error) {
    feeding_ = false;
    if (!error) Feed();
  });
}

void IoThread::StarvesNoMore(Connection& connection) {
  connection.starving_hook.unlink();
  shared_.receive.StarvesNoMore();
}

void IoThread::Feed() {
  while (!starving_.empty()) {
    Connection& first = starving_.front();
    StarvesNoMore(first);
    first.Read();
    if (!first.starving_hook.is_linked()) continue;
    // Still none: the others would fare no better.
    starving_.splice(starving_.begin(), starving_, starving_.iterator_to(first));
    return;
  }
}

void IoThread::Wake() {
  boost::asio::post(context_, [this] { Feed(); });
}

void IoThread::GiveBack() {
  if (gives_back_.exchange(true)) return;
  boost::asio::post(context_, [this] {
    gives_back_ = false;
    for (auto at = talking_.begin(); at != talking_.end();) {
      Connection& connection = *at++;
      if (!connection.has_part()) connection.Idle();
    }
    buffers_.DropKept();
  });
}

void IoThread::AgeLater() {
  age_timer_.expires_after(std::chrono::seconds(DuplicateCache::kHeardSeconds));
  age_timer_.async_wait([this](const boost::system::error_code& error) {
    // Expired before it was cancelled, perhaps.
    if (error || draining_) return;
    shared_.duplicates.Age();
    AgeLater();
  });
}

void IoThread::SweepLater() {
  if (!std::exchange(sweeping_, true)) Sweep();
}

void IoThread::Sweep() {
  // Of age at the second tick after the last byte: between one and two seconds.
  while (!talking_.empty() && tick_ - talking_.front().last_tick >= 2) {
    Connection& silent = talking_.front();
    talking_.pop_front();
    silent.Idle();
  }
  const auto slow = static_cast<std::uint32_t>(shared_.slow_record / kTick);
  if (shared_.receive.starving()) {
    for (auto at = parts_.begin(); at != parts_.end() && tick_ - at->part_tick > slow;) {
      Connection& connection = *at++;
      if (connection.has_large_part() || shared_.receive.Exhausted()) connection.GiveUpPart();
    }
  }
  ++tick_;
  sweeping_ = !talking_.empty() || !parts_.empty();
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
  feed_timer_.cancel();
  age_timer_.cancel();
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
  shared_.receive.Leave(*this);
  // Those that a dropped completion refers to.
  while (!connections_.empty()) delete &connections_.front();
}

}  // namespace strata::rpc
