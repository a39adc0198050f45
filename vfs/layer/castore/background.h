// Background: a few threads that bring into memory what is likely to be asked for. Nobody waits for them, and what they
// cannot bring is dropped. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/fetch.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/digest.h"

namespace strata::vfs::castore {

// A part of a blob.
struct Piece {
  store::Digest blob{};
  std::uint64_t size = 0;  // of the blob
  std::uint64_t begin = 0, end = 0;
  std::uint64_t at = 0;   // what lies before it was brought, if it is beyond `begin`
  std::uint64_t run = 0;  // ReadAhead's; 0 for none
  // Whether some of it was not in memory.
  bool loaded = false;
  std::shared_ptr<Fetch> fetch{};
  int attempts = 0;  // that waited for something from elsewhere, since `at` moved on
};

class Background {
 public:
  // Brings what of the piece is not in memory, and moves `at` on. kWouldBlock with a Fetch where that has to come
  // first: it is called again then, and no thread waits meanwhile. So many pieces may be on their way from elsewhere.
  using Work = std::function<Result<void>(const Waiting&, Piece&)>;
  // The piece is done, well or not; not called for what the end cuts off.
  using Done = std::function<void(const Piece&, bool well)>;

  // The threads are made when there is something to do. Of pieces that are not done, at most `most_bytes` in all are
  // taken.
  Background(unsigned threads, std::uint64_t most_bytes, Work work, Done done);
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  // What has not begun is dropped, and what has is waited for: on a local disk at most one piece a thread. What comes
  // from elsewhere later finds nobody.
  ~Background();

  // False, and nothing is done: as much waits as may.
  bool Add(Piece piece);

 private:
  struct State;
  void Run();

  // A Fetch may know of it for longer than this lives.
  const std::shared_ptr<State> state_;
  const unsigned most_threads_;
  const Work work_;
  const Done done_;
  std::vector<std::thread> threads_;  // with the state's mutex held
};

}  // namespace strata::vfs::castore
