#include "vfs/layer/castore/read_ahead.h"

#include <algorithm>

namespace strata::vfs::castore {
namespace {

// A run goes on once it is so long, in so many reads. Reads of a few KiB here and there in a small file touch each
// other now and then, but make no run that is so long before most of the file was read.
constexpr std::uint64_t kLongRun = 128 << 10;
constexpr std::uint32_t kReadsOfRun = 2;
// How far ahead it begins, and how far it gets.
constexpr std::uint64_t kFirstWindow = 512 << 10;
constexpr std::uint64_t kLastWindow = 8 << 20;
// Reads that were sent together overtake each other by so much. Where one of them never tells, as one that did not have
// to wait before anybody did, those beyond it go on without it after so many.
constexpr std::uint64_t kReach = 2 << 20;
constexpr std::uint32_t kReadsWithoutIt = 8;
// A run that had no part in so many reads was left, and has no claim any more.
constexpr std::uint64_t kLeftAfter = 1024;
// Once so many reads found all in memory, and nothing was fetched for them, there is nothing to be ahead of.
constexpr std::uint32_t kQuietAfter = 16'384;

}  // namespace

bool ReadAhead::Run::GoesOn() const { return reads >= kReadsOfRun && end - begin >= kLongRun; }

void ReadAhead::Drop(Run& run) {
  run = Run();
  count_.fetch_sub(1, std::memory_order_relaxed);
}

ReadAhead::Run& ReadAhead::Place(const store::Digest& blob) {
  Run *free = nullptr, *of_blob = nullptr, *idle = nullptr, *oldest = nullptr;
  std::size_t many = 0;
  const auto older = [](Run*& known, Run& run) {
    if (known == nullptr || run.used < known->used) known = &run;
  };
  for (Run& run : runs_) {
    if (run.id == 0) {
      free = &run;
      continue;
    }
    older(oldest, run);
    if (run.GoesOn()) continue;
    older(idle, run);
    if (run.blob != blob) continue;
    older(of_blob, run);
    ++many;
  }
  Run* place = many >= kRunsOfBlob ? of_blob : free;
  if (place == nullptr) place = idle != nullptr ? idle : oldest;
  if (place->id != 0) Drop(*place);
  count_.fetch_add(1, std::memory_order_relaxed);
  return *place;
}

ReadAhead::Run* ReadAhead::FindRun(const store::Digest& blob, std::uint64_t offset, std::uint64_t end, bool waited) {
  Run *found = nullptr, *before = nullptr, *any = nullptr;
  for (Run& run : runs_) {
    if (run.id == 0 || run.blob != blob) continue;
    any = &run;
    if (offset <= run.end && end > run.end && offset >= run.begin) found = &run;
    if (offset <= run.end && end >= run.begin && end <= run.end) before = &run;
  }
  if (found != nullptr) {
    found->end = end;
    ++found->reads;
    return found;
  }
  // What was read before is read again from its beginning on, by somebody else perhaps.
  const bool again = before != nullptr && offset == 0 && before->begin == 0 && waited && end < before->end;
  if (before != nullptr && !again) {
    before->begin = std::min(before->begin, offset);
    return before;
  }
  if (again) Drop(*before);
  // Of reads that were sent together, one that did not have to wait may belong to a run all the same.
  if (!waited && any == nullptr) return nullptr;
  Run& run = Place(blob);
  run.id = next_id_++;
  run.blob = blob;
  run.begin = offset;
  run.end = end;
  run.reads = 1;
  run.window = kFirstWindow;
  return &run;
}

void ReadAhead::Join(Run& run) {
  for (Run& other : runs_) {
    if (&other == &run || other.id == 0 || other.blob != run.blob) continue;
    if (other.begin > run.end || other.end < run.begin) continue;
    run.begin = std::min(run.begin, other.begin);
    run.end = std::max(run.end, other.end);
    run.ahead = std::max(run.ahead, other.ahead);
    run.window = std::max(run.window, other.window);
    run.reads += other.reads;
    // What the other one has on its way is done for nobody in particular.
    Drop(other);
  }
}

bool ReadAhead::IsAwaited(Run& run) {
  for (Run& other : runs_) {
    if (other.id == 0 || other.blob != run.blob || !other.GoesOn() || other.end >= run.begin) continue;
    if (run.begin > std::max(other.ahead, other.end + kReach)) continue;
    if (run.reads < kReadsWithoutIt) return true;
    run.begin = other.end;
    Join(run);
    return false;
  }
  return false;
}

std::optional<ReadAhead::Range> ReadAhead::Next(Run& run, std::uint64_t size, std::uint64_t length) {
  if (!run.cold || !run.GoesOn() || run.end >= size) return std::nullopt;
  std::uint64_t others = 0, going_on = 0;
  for (Run& other : runs_) {
    if (other.id == 0 || (&other != &run && other.ahead == 0)) continue;
    if (clock_ - other.used > kLeftAfter) {
      Drop(other);
      continue;
    }
    ++going_on;
    if (&other != &run) others += other.Claim();
  }
  const std::uint64_t share =
      std::min<std::uint64_t>(bytes_ / going_on, bytes_ - std::min<std::uint64_t>(bytes_, others));
  run.window = std::min(std::max(run.window, 4 * length), kLastWindow);
  const std::uint64_t window = std::min(run.window, share);
  run.ahead = std::max(run.ahead, run.end);
  if (run.Claim() > window / 2 || run.ahead >= size) return std::nullopt;
  const std::uint64_t end = std::min(size, run.end + window);
  if (end <= run.ahead) return std::nullopt;
  const Range range{run.id, run.ahead, end};
  run.ahead = end;
  run.pieces += static_cast<std::uint32_t>((range.end - range.begin + kPiece - 1) / kPiece);
  run.window = std::min(2 * run.window, kLastWindow);
  return range;
}

std::optional<ReadAhead::Range> ReadAhead::Read(const store::Digest& blob, std::uint64_t size, std::uint64_t offset,
                                                std::uint64_t length, bool waited) {
  if (bytes_ == 0 || length == 0 || (!waited && count_.load(std::memory_order_relaxed) == 0)) return std::nullopt;
  const std::uint64_t end = offset + length;
  const MutexLock lock(mutex_);
  // One that is read whole at once has nothing that follows.
  if (offset == 0 && end >= size) return std::nullopt;
  if (waited) {
    quiet_ = 0;
  } else if (++quiet_ >= kQuietAfter) {
    for (Run& run : runs_) {
      if (run.id != 0) Drop(run);
    }
    return std::nullopt;
  }
  Run* const run = FindRun(blob, offset, end, waited);
  if (run == nullptr) return std::nullopt;
  run->used = ++clock_;
  if (waited) {
    run->cold = true;
    // It was fetched, and had to make room for something else.
    if (run->pieces == 0 && run->ahead > offset) {
      run->ahead = run->end;
      run->window = kFirstWindow;
    }
  }
  Join(*run);
  const std::optional<Range> next = IsAwaited(*run) ? std::nullopt : Next(*run, size, length);
  if (run->end >= size && run->GoesOn()) Drop(*run);
  return next;
}

void ReadAhead::Fetched(std::uint64_t run_id, std::uint64_t end, Outcome outcome) {
  const MutexLock lock(mutex_);
  const auto run = std::ranges::find(runs_, run_id, &Run::id);
  if (run_id == 0 || run == runs_.end()) return;
  if (run->pieces > 0) --run->pieces;
  run->ahead = std::max(run->ahead, end);
  // What was read meanwhile tells nothing.
  if (outcome == Outcome::kLoaded) quiet_ = 0;
  run->loaded = run->loaded || outcome == Outcome::kLoaded || end <= run->end;
  if (outcome == Outcome::kFailed) {
    run->cold = false;
    run->ahead = 0;
  }
  if (run->pieces > 0) return;
  if (!run->loaded) run->cold = false;
  run->loaded = false;
}

}  // namespace strata::vfs::castore
