#include "server/rpc/transport.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>
#include <vector>

#include "base/descriptors.h"
#include "base/log.h"
#include "base/mutex.h"
#include "server/rpc/datagrams.h"
#include "server/rpc/io_thread.h"
#include "server/rpc/listener.h"
#include "server/rpc/port_owner.h"

namespace strata::rpc {
namespace {

unsigned Cores() { return std::max(1u, std::thread::hardware_concurrency()); }

Result<boost::asio::ip::address> ParseAddress(const std::string& text) {
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(text, error);
  if (error) return Fail(Errc::kInvalid, '"' + text + "\" is no numeric IPv4 or IPv6 address");
  return address;
}

class AsioTransport final : public Transport {
 public:
  explicit AsioTransport(const TransportOptions& options)
      : options_(options),
        shared_(options.duplicate_cache_entries, options.duplicate_cache_bytes, options.max_buffered_bytes / 2,
                options.worker_threads != 0 ? options.worker_threads : 4 * Cores(), options.fetch_limit) {
    (void)RaiseDescriptorLimit();  // ten thousand connections need as many
    shared_.max_calls_in_flight = std::max<std::size_t>(1, options.max_calls_in_flight);
    shared_.max_queued_bytes = std::max<std::size_t>(1, options.max_queued_bytes);
    shared_.max_buffered_bytes = options.max_buffered_bytes;
    const unsigned threads = options.io_threads != 0 ? options.io_threads : Cores();
    shared_.slow_record = options.slow_record;
    // What each thread keeps for itself: an eighth of all, at most.
    const std::size_t own_bytes = options.max_buffered_bytes / 8 / threads;
    shared_.kept_blocks = std::clamp<std::size_t>(own_bytes / 2 / BlockList::kBlockBytes, 4, BlockList::kKept);
    shared_.keep_chunks = own_bytes >= ReplyBuffer::kChunkBytes;
    for (unsigned i = 0; i < threads; ++i) threads_.push_back(std::make_unique<IoThread>(shared_, i == 0));
  }
  ~AsioTransport() override { Stop(); }

  Result<std::uint16_t> ListenTcp(const std::string& text, std::uint16_t port, const Dispatcher& dispatcher) override {
    STRATA_ASSIGN(const auto address, ParseAddress(text));
    STRATA_ASSIGN(auto listener, Listener::Tcp(threads_[0]->context(), address, port, Accepter(dispatcher)));
    const std::uint16_t bound = listener->port();
    Run({std::move(listener), &dispatcher});
    return bound;
  }

  Result<void> ListenUnix(const std::string& path, const Dispatcher& dispatcher) override {
    STRATA_ASSIGN(auto listener, Listener::Unix(threads_[0]->context(), path, Accepter(dispatcher)));
    Run({std::move(listener), &dispatcher});
    return {};
  }

  Result<std::uint16_t> ListenUdp(const std::string& text, std::uint16_t port, const Dispatcher& dispatcher) override {
    STRATA_ASSIGN(const auto address, ParseAddress(text));
    STRATA_ASSIGN(const int socket, BindSocket(SOCK_DGRAM, address, port));
    const std::uint16_t bound = BoundPort(socket);
    Run(std::make_shared<Datagrams>(*threads_[0], socket, dispatcher));
    return bound;
  }

  void Adopt(int socket, const Peer& peer, const Dispatcher& dispatcher) override {
    // Held until the connection is handed over: Stop comes before or after that.
    const MutexLock lock(mutex_);
    if (stopped_) {
      ::close(socket);
      return;
    }
    if (shared_.connections_open.load() >= options_.max_connections) {
      ::close(socket);
      refused_.fetch_add(1);
      if (shared_.refusals.Allow())
        log::Warning("connection_refused",
                     {{"reason", "max_connections are open"}, {"open", options_.max_connections}});
      return;
    }
    accepted_.fetch_add(1);
    Peer named = peer;
    named.connection = shared_.next_connection.fetch_add(1);
    threads_[next_thread_++ % threads_.size()]->Adopt(socket, named, dispatcher);
  }

  void Take(HandedSocket handed, const Dispatcher& dispatcher) override {
    switch (handed.kind) {
      case HandedSocket::Kind::kTcpListener:
      case HandedSocket::Kind::kUnixListener:
        return Run({Listener::Handed(threads_[0]->context(), std::move(handed), Accepter(dispatcher)), &dispatcher});
      case HandedSocket::Kind::kDatagrams:
        return Run(std::make_shared<Datagrams>(*threads_[0], handed.socket.Give(), dispatcher));
      case HandedSocket::Kind::kConnection:
        break;
    }
    // However many are allowed by now: this client was let in before.
    const MutexLock lock(mutex_);
    if (stopped_) return;
    handed.peer.connection = shared_.next_connection.fetch_add(1);
    handed.peer.local = BoundAddress(handed.socket.get()).address;
    handed.peer.port_proves_nothing = PortProvesNothing(handed.peer, handed.socket.get());
    threads_[next_thread_++ % threads_.size()]->Adopt(std::move(handed), dispatcher);
  }

  void Remember(const std::vector<AnsweredCall>& answered) override {
    for (const AnsweredCall& call : answered) shared_.duplicates.Import(call);
  }

  Result<Handed> Release(std::chrono::milliseconds limit) override {
    std::vector<Listening> listeners;
    std::vector<std::shared_ptr<Datagrams>> datagrams;
    {
      const MutexLock lock(mutex_);
      if (stopped_) return Fail(Errc::kInvalid, "the transport is stopped already");
      listeners = listeners_;
      datagrams = datagrams_;
    }
    OnFirstThread([&] {
      for (const Listening& listening : listeners) listening.listener->Pause();
      for (const auto& socket : datagrams) socket->Pause();
    });
    shared_.settling.store(threads_.size());
    for (const auto& thread : threads_) thread->Pause();
    shared_.workers.Hurry(true);
    if (!shared_.drained.WaitFor(limit, shared_.settling)) {
      shared_.workers.Hurry(false);
      for (const auto& thread : threads_) thread->Resume();
      OnFirstThread([&] {
        for (const Listening& listening : listeners) listening.listener->Start();
        for (const auto& socket : datagrams) socket->Start();
      });
      return Fail(Errc::kBusy, "calls are under way that the disk has not let go of");
    }
    {
      const MutexLock lock(mutex_);
      stopped_ = true;
      listeners_.clear();
      datagrams_.clear();
    }
    shared_.workers.Stop();  // the last datagrams
    Handed handed;
    OnFirstThread([&] {
      for (const Listening& listening : listeners) {
        handed.sockets.push_back(listening.listener->Release());
        handed.sockets.back().program = listening.dispatcher->first_program();
      }
      for (const auto& socket : datagrams) handed.sockets.push_back(socket->Release());
    });
    for (const auto& thread : threads_) {
      for (HandedSocket& connection : thread->Release()) handed.sockets.push_back(std::move(connection));
    }
    for (const auto& thread : threads_) thread->Stop();
    handed.answered = shared_.duplicates.Export();
    return handed;
  }

  TransportStatistics statistics() const override {
    TransportStatistics sum;
    sum.connections_accepted = accepted_.load();
    sum.connections_refused = refused_.load();
    sum.connections_open = shared_.connections_open.load();
    sum.buffered_bytes = shared_.buffered_bytes.load() + shared_.receive.bytes();
    for (const auto& thread : threads_) {
      const Counters& counters = std::as_const(*thread).counters();
      sum.calls += counters.calls.value();
      sum.duplicates += counters.duplicates.value();
      sum.calls_blocked += counters.calls_blocked.value();
      sum.records_refused += counters.records_refused.value();
      sum.system_calls += counters.system_calls.value();
    }
    return sum;
  }

  void Stop() override {
    std::vector<Listening> listeners;
    std::vector<std::shared_ptr<Datagrams>> datagrams;
    {
      const MutexLock lock(mutex_);
      if (std::exchange(stopped_, true)) return;
      listeners.swap(listeners_);
      datagrams.swap(datagrams_);
    }
    OnFirstThread([&] {
      for (const Listening& listening : listeners) listening.listener->Close();
      for (const auto& socket : datagrams) socket->Close();
    });
    for (const auto& thread : threads_) thread->Drain();
    shared_.workers.Hurry(true);
    shared_.drained.WaitFor(options_.stop_wait, shared_.connections_open);
    // First the workers, then the threads that their answers go to.
    shared_.workers.Stop();
    for (const auto& thread : threads_) thread->Stop();
  }

 private:
  struct Listening {
    std::shared_ptr<Listener> listener;
    const Dispatcher* dispatcher;
  };

  Listener::OnAccept Accepter(const Dispatcher& dispatcher) {
    return [this, &dispatcher](int socket, const Peer& peer) { Adopt(socket, peer, dispatcher); };
  }

  // Started under the lock: Stop closes what was started before it, and nothing is started after it.
  void Run(Listening listening) {
    const MutexLock lock(mutex_);
    if (stopped_) return;
    boost::asio::post(threads_[0]->context(), [listener = listening.listener] { listener->Start(); });
    listeners_.push_back(std::move(listening));
  }
  void Run(std::shared_ptr<Datagrams> datagrams) {
    const MutexLock lock(mutex_);
    if (stopped_) return;
    boost::asio::post(threads_[0]->context(), [datagrams] { datagrams->Start(); });
    datagrams_.push_back(std::move(datagrams));
  }

  void OnFirstThread(std::move_only_function<void()> what) {
    std::promise<void> done;
    boost::asio::post(threads_[0]->context(), [&] {
      what();
      done.set_value();
    });
    done.get_future().wait();
  }

  const TransportOptions options_;
  Shared shared_;
  std::atomic<std::uint64_t> accepted_{0}, refused_{0};
  std::vector<std::unique_ptr<IoThread>> threads_;
  Mutex mutex_;
  unsigned next_thread_ STRATA_GUARDED_BY(mutex_) = 0;
  bool stopped_ STRATA_GUARDED_BY(mutex_) = false;
  std::vector<Listening> listeners_ STRATA_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Datagrams>> datagrams_ STRATA_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<Transport> Transport::Create(const TransportOptions& options) {
  return std::make_unique<AsioTransport>(options);
}

}  // namespace strata::rpc
