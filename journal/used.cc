#include "journal/used.h"

#include <algorithm>
#include <utility>

namespace strata::journal {
namespace {

// There must be room for so many segments besides.
constexpr std::uint64_t kRoomSegments = 4 * kUsedSegments;

std::string NameOf(const std::string& directory, std::size_t i) {
  return directory + '/' + std::string(kUsedName) + std::to_string(i);
}

}  // namespace

UsedSegments::UsedSegments(Env& env, const std::string& directory, std::uint64_t segment_size)
    : env_(env), directory_(directory), segment_size_(segment_size) {
  // Of a process that was killed. Only what this process gave up is used again: a file whose segment's positions come
  // again, such as after a repair, is never among it.
  for (std::size_t i = 0; i < kUsedSegments; ++i) (void)env_.Remove(NameOf(directory_, i));
}

Result<void> UsedSegments::Put(const std::string& path, std::shared_ptr<const std::atomic<std::size_t>> mapped) {
  const auto space = env_.SpaceOf(directory_);
  const bool enough = space && space->available >= kRoomSegments * segment_size_;
  const std::string name = enough ? FreeName() : "";
  STRATA_TRY(name.empty() ? env_.Remove(path) : env_.Rename(path, name));
  STRATA_TRY(env_.SyncDirectory(directory_));
  if (name.empty()) return {};
  const MutexLock lock(mutex_);
  kept_.push_back({name, std::move(mapped)});
  count_.store(kept_.size(), std::memory_order_relaxed);
  touched_ = true;
  return {};
}

std::string UsedSegments::FreeName() {
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < kUsedSegments; ++i) {
    const std::string name = NameOf(directory_, i);
    if (std::ranges::none_of(kept_, [&](const Kept& kept) { return kept.path == name; })) return name;
  }
  return "";
}

std::unique_ptr<File> UsedSegments::Take(const std::string& path) {
  const MutexLock lock(mutex_);
  touched_ = true;
  for (std::size_t i = 0; i < kept_.size();) {
    if (kept_[i].mapped && kept_[i].mapped->load(std::memory_order_acquire) != 0) {
      ++i;  // a reply refers to it
      continue;
    }
    auto file = env_.Open(kept_[i].path, OpenMode::kReadWrite);
    // A process that reads beside this one has it open; or its end was cut, and is not to be had again.
    if (!file || !(*file)->Lock() || !(*file)->Allocate(0, segment_size_) || !env_.Rename(kept_[i].path, path)) {
      RemoveAt(i);
      continue;
    }
    kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(i));
    count_.store(kept_.size(), std::memory_order_relaxed);
    return std::move(*file);
  }
  return nullptr;
}

bool UsedSegments::Drop() {
  const MutexLock lock(mutex_);
  const bool any = !kept_.empty();
  while (!kept_.empty()) RemoveAt(kept_.size() - 1);
  return any;
}

void UsedSegments::Age() {
  const MutexLock lock(mutex_);
  if (!std::exchange(touched_, false) && !kept_.empty()) RemoveAt(kept_.size() - 1);
}

void UsedSegments::RemoveAt(std::size_t i) {
  (void)env_.Remove(kept_[i].path);
  kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(i));
  count_.store(kept_.size(), std::memory_order_relaxed);
}

}  // namespace strata::journal
