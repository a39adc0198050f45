// UsedSegments: files of segments that were given up, kept to be segments again. Their blocks are there, and written.
// So a new segment in one of them costs no allocation, and a sync of it changes no metadata of the file system. What is
// in them is taken for nothing: the new segment has a salt of its own.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/mutex.h"

namespace strata::journal {

inline constexpr std::size_t kUsedSegments = 4;  // are kept at most
inline constexpr std::string_view kUsedName = "used.";

// Thread-safe.
class UsedSegments {
 public:
  UsedSegments(Env& env, const std::string& directory, std::uint64_t segment_size);
  // Removes them.
  ~UsedSegments() { (void)Drop(); }

  // Takes over the file of that name, which is nearly of a segment's size and no segment any more. Removes it where
  // there are enough, or the disk is short. Either is durable, so that a crash never shows what is written to it later
  // under its old name. `mapped`: counts its mappings, which readers may hold. One call at a time.
  Result<void> Put(const std::string& path, std::shared_ptr<const std::atomic<std::size_t>> mapped);
  // One that nobody looks at, locked until its new header is written; null where there is none. It has its new name,
  // which is not durable yet.
  std::unique_ptr<File> Take(const std::string& path);
  bool empty() const { return count_.load(std::memory_order_relaxed) == 0; }
  // Gives their space back; whether there were any.
  bool Drop();
  // To be called now and then: where none was taken or put since the last time, gives one back.
  void Age();

 private:
  struct Kept {
    std::string path;
    std::shared_ptr<const std::atomic<std::size_t>> mapped;
  };

  // A name for one more; empty where there are enough.
  std::string FreeName() STRATA_EXCLUDES(mutex_);
  void RemoveAt(std::size_t i) STRATA_REQUIRES(mutex_);

  Env& env_;
  const std::string directory_;
  const std::uint64_t segment_size_;
  Mutex mutex_;
  std::vector<Kept> kept_ STRATA_GUARDED_BY(mutex_);
  bool touched_ STRATA_GUARDED_BY(mutex_) = false;  // since Age was called
  std::atomic<std::size_t> count_{0};               // of kept_
};

}  // namespace strata::journal
