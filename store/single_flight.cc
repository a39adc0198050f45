#include "store/single_flight.h"

#include <chrono>
#include <utility>

namespace strata::store {

Result<bool> SingleFlight::Do(const Waiting& waiting, const Digest& key, const std::function<Result<void>()>& work) {
  const auto mine = std::make_shared<Fetch>(key.Hex());
  std::shared_ptr<Fetch> other;
  {
    MutexLock lock(mutex_);
    const auto [at, is_new] = under_way_.try_emplace(key, mine);
    if (!is_new) other = at->second;
  }
  if (!other) {
    auto done = work();
    {
      MutexLock lock(mutex_);
      under_way_.erase(key);
    }
    mine->Complete(done);
    STRATA_TRY(done);
    return true;
  }
  if (waiting.fetch != nullptr) *waiting.fetch = other;
  if (waiting.fetch != nullptr || !waiting.may_block) return Fail(Errc::kWouldBlock);
  // Whoever is at it ends it: each wait of its own has a limit.
  while (!other->WaitFor(std::chrono::minutes(1))) {
  }
  if (auto came = other->result(); !came && came.error().code() != Errc::kWouldBlock) return Fail(came.error());
  return false;
}

}  // namespace strata::store
