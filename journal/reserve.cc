#include "journal/reserve.h"

#include <algorithm>

namespace strata::journal {
namespace {

// Who writes on a full disk may come very often.
constexpr std::int64_t kBetweenTriesNs = 100'000'000;

}  // namespace

Reserve::Reserve(Env& env, const std::string& directory, std::uint64_t bytes)
    : env_(env),
      directory_(directory),
      path_(directory + '/' + std::string(kReserveName)),
      bytes_(bytes),
      missing_(bytes) {
  const MutexLock lock(mutex_);
  (void)Allocate();
}

bool Reserve::GiveUp() {
  const MutexLock lock(mutex_);
  if (missing() != 0 || !env_.Remove(path_)) return false;
  missing_.store(bytes_, std::memory_order_relaxed);
  return true;
}

bool Reserve::Restore() {
  const MutexLock lock(mutex_);
  if (missing() == 0) return true;
  const std::int64_t now = env_.MonotonicNs();
  if (now < next_try_ns_) return false;
  next_try_ns_ = now + kBetweenTriesNs;
  return Allocate();
}

void Reserve::RestoreWithRoomLeft() {
  if (missing() == 0) return;
  const MutexLock lock(mutex_);
  const auto space = env_.SpaceOf(directory_);
  if (missing() == 0 || !space || space->available < bytes_ + bytes_ / 4) return;
  (void)Allocate();
}

bool Reserve::Allocate() {
  const auto make = [&]() -> Result<void> {
    STRATA_ASSIGN(const auto file, env_.Open(path_, OpenMode::kCreate));
    STRATA_ASSIGN(const std::uint64_t size, file->Size());
    if (size > bytes_) STRATA_TRY(file->Truncate(bytes_));
    // Asked first: a file system may take long to refuse.
    const auto space = env_.SpaceOf(directory_);
    if (space && space->available < bytes_ - std::min(size, bytes_)) return Fail(Errc::kNoSpace);
    return file->Allocate(0, bytes_);
  };
  if (!make()) {
    (void)env_.Remove(path_);  // what is there in part is of no use
    return false;
  }
  missing_.store(0, std::memory_order_relaxed);
  return true;
}

}  // namespace strata::journal
