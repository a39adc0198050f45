// SpareSegment: the file of the segment that comes next. A thread of its own makes it ahead of need, its blocks written
// with zeros.
//
// A sync that reaches into blocks which were never written waits for more than the data. The file system notes on the
// disk that they are written now (ext4: the extent and the inode, or a commit of its own journal). Over blocks that
// were written before, data is all that it waits for.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/env.h"
#include "base/mutex.h"

namespace strata::journal {

inline constexpr std::string_view kSpareName = "spare";

// Thread-safe.
class SpareSegment {
 public:
  SpareSegment(Env& env, const std::string& directory, std::uint64_t size)
      : env_(env), path_(directory + '/' + std::string(kSpareName)), size_(size) {}
  // Removes what is not taken.
  ~SpareSegment();

  // Sees to it that there will be one. Does not wait. Where it cannot be made, such as for want of space, there will be
  // none.
  void Make();
  // The file under its new name, which is not durable yet; null where there is none (yet). What was dropped may be made
  // again.
  std::unique_ptr<File> Take(const std::string& path);
  // Gives its space back, and makes no more until Take is asked; whether there was any. Waits for a write under way.
  bool Drop();

 private:
  enum class State : std::uint8_t { kNone, kWanted, kMaking, kReady };

  using Clock = std::chrono::steady_clock;

  void Run();
  // Until `end`. False: the spare is not wanted any more.
  bool Rest(Clock::time_point end);
  // Null where it is not wanted any more.
  Result<std::unique_ptr<File>> Fill();

  Env& env_;
  const std::string path_;
  const std::uint64_t size_;
  Mutex mutex_;
  CondVar changed_;
  State state_ STRATA_GUARDED_BY(mutex_) = State::kNone;
  bool stopping_ STRATA_GUARDED_BY(mutex_) = false;
  bool dropped_ STRATA_GUARDED_BY(mutex_) = false;
  std::unique_ptr<File> file_ STRATA_GUARDED_BY(mutex_);
  std::thread thread_ STRATA_GUARDED_BY(mutex_);  // started by the first Make: many journals never need one
};

}  // namespace strata::journal
