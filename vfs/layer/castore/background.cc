#include "vfs/layer/castore/background.h"

#include <deque>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

namespace strata::vfs::castore {
namespace {

// Of pieces that are not done.
constexpr std::size_t kMostPieces = 1024;
// What has come from elsewhere and is gone again each time it is asked for is given up.
constexpr int kMostAttempts = 8;

}  // namespace

struct Background::State {
  explicit State(std::uint64_t bytes) : most_bytes(bytes) {}

  const std::uint64_t most_bytes;
  Mutex mutex;
  CondVar wake;
  std::deque<Piece> waiting STRATA_GUARDED_BY(mutex);
  std::map<std::uint64_t, Piece> parked STRATA_GUARDED_BY(mutex);  // until a Fetch is done
  std::uint64_t next_parked STRATA_GUARDED_BY(mutex) = 0;
  std::size_t pieces STRATA_GUARDED_BY(mutex) = 0;  // that are not done
  std::uint64_t bytes STRATA_GUARDED_BY(mutex) = 0;
  unsigned idle STRATA_GUARDED_BY(mutex) = 0;
  bool stop STRATA_GUARDED_BY(mutex) = false;

  // Waits for one; nothing at the end.
  std::optional<Piece> Next() STRATA_EXCLUDES(mutex) {
    const MutexLock lock(mutex);
    while (waiting.empty() && !stop) {
      ++idle;
      wake.Wait(mutex);
      --idle;
    }
    if (stop) return std::nullopt;
    std::optional<Piece> piece(std::move(waiting.front()));
    waiting.pop_front();
    return piece;
  }

  void Leave(std::uint64_t size) STRATA_EXCLUDES(mutex) {
    const MutexLock lock(mutex);
    --pieces;
    bytes -= size;
  }

  // Nothing: it is the end.
  std::optional<std::uint64_t> Park(Piece piece) STRATA_EXCLUDES(mutex) {
    const MutexLock lock(mutex);
    if (stop) return std::nullopt;
    parked.emplace(++next_parked, std::move(piece));
    return next_parked;
  }

  void Unpark(std::uint64_t place) STRATA_EXCLUDES(mutex) {
    const MutexLock lock(mutex);
    const auto at = parked.find(place);
    if (at == parked.end()) return;
    waiting.push_back(std::move(at->second));
    parked.erase(at);
    wake.NotifyOne();
  }
};

Background::Background(unsigned threads, std::uint64_t most_bytes, Work work, Done done)
    : state_(std::make_shared<State>(most_bytes)),
      most_threads_(threads),
      work_(std::move(work)),
      done_(std::move(done)) {}

Background::~Background() {
  // Dropped without the lock: what they hold may be much.
  std::deque<Piece> waiting;
  std::map<std::uint64_t, Piece> parked;
  std::vector<std::thread> threads;
  {
    const MutexLock lock(state_->mutex);
    state_->stop = true;
    waiting.swap(state_->waiting);
    parked.swap(state_->parked);
    threads.swap(threads_);
    state_->wake.NotifyAll();
  }
  for (std::thread& thread : threads) thread.join();
}

bool Background::Add(Piece piece) {
  const std::uint64_t size = piece.end - piece.begin;
  const MutexLock lock(state_->mutex);
  if (state_->stop || state_->pieces >= kMostPieces || size > state_->most_bytes - state_->bytes) return false;
  if (state_->idle <= state_->waiting.size() && threads_.size() < most_threads_) {
    try {
      threads_.emplace_back([this] { Run(); });
    } catch (const std::system_error&) {
      // The machine gives no thread. Others may be there, and nobody needs this one.
      if (threads_.empty()) return false;
    }
  }
  ++state_->pieces;
  state_->bytes += size;
  state_->waiting.push_back(std::move(piece));
  state_->wake.NotifyOne();
  return true;
}

void Background::Run() {
  while (std::optional<Piece> piece = state_->Next()) {
    const std::uint64_t size = piece->end - piece->begin;
    const std::uint64_t before = piece->at;
    const auto worked = work_({.may_block = true, .fetch = &piece->fetch}, *piece);
    const std::shared_ptr<Fetch> fetch = piece->fetch;
    if (piece->at > before) piece->attempts = 0;
    if (!worked && worked.error().code() == Errc::kWouldBlock && fetch && ++piece->attempts < kMostAttempts) {
      const auto place = state_->Park(*std::move(piece));
      if (!place) return;
      fetch->Then([state = std::weak_ptr(state_), place = *place] {
        if (const auto alive = state.lock()) alive->Unpark(place);
      });
      continue;
    }
    state_->Leave(size);
    done_(*piece, worked.has_value());
  }
}

}  // namespace strata::vfs::castore
