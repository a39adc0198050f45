// Reserve: room on the disk that is kept for what frees room. A full disk can be emptied only by changes that need some
// themselves: the records of removals, and what the cleaner moves. The file is never read or written.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/mutex.h"

namespace strata::journal {

inline constexpr std::string_view kReserveName = "reserve";

// Thread-safe. Its file outlives it, and is taken over by the next.
class Reserve {
 public:
  // Takes over the file that is there, or makes it where there is room.
  Reserve(Env& env, const std::string& directory, std::uint64_t bytes);

  // Removes the file, so that others find its room on the disk. False: there was none.
  bool GiveUp();
  // Makes the file again. True: it is there. Tried at most every 100 ms.
  bool Restore();
  // The same, without a limit of time, and only where the disk would then still have room.
  void RestoreWithRoomLeft();
  // Bytes that are given up now.
  std::uint64_t missing() const { return missing_.load(std::memory_order_relaxed); }

 private:
  bool Allocate() STRATA_REQUIRES(mutex_);

  Env& env_;
  const std::string directory_, path_;
  const std::uint64_t bytes_;
  Mutex mutex_;
  std::int64_t next_try_ns_ STRATA_GUARDED_BY(mutex_) = 0;
  std::atomic<std::uint64_t> missing_;  // stored under mutex_
};

}  // namespace strata::journal
