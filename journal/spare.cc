#include "journal/spare.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace strata::journal {
namespace {

// Each goes to the disk by itself: a commit that comes meanwhile waits for no more than this.
constexpr std::uint64_t kPieceBytes = 512 << 10;

Result<void> WriteZeros(File& file, std::uint64_t begin, std::uint64_t end) {
  // Written in small pieces: what one write covers Linux may cache as one folio, which each later sync then walks
  // through whole.
  static constexpr std::array<std::byte, 16 << 10> kZeros{};
  for (std::uint64_t at = begin; at < end; at += kZeros.size()) {
    const ByteSpan piece[] = {ByteSpan(kZeros).first(std::min<std::uint64_t>(kZeros.size(), end - at))};
    STRATA_TRY(file.WriteAt(at, piece));
  }
  return {};
}

}  // namespace

SpareSegment::~SpareSegment() {
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
  }
  changed_.NotifyAll();
  if (thread.joinable()) thread.join();
  (void)Drop();
}

void SpareSegment::Make() {
  const MutexLock lock(mutex_);
  if (state_ != State::kNone || dropped_) return;
  state_ = State::kWanted;
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  changed_.NotifyAll();
}

std::unique_ptr<File> SpareSegment::Take(const std::string& path) {
  const MutexLock lock(mutex_);
  dropped_ = false;
  if (state_ != State::kReady || !env_.Rename(path_, path)) return nullptr;
  state_ = State::kNone;
  return std::move(file_);
}

bool SpareSegment::Drop() {
  const MutexLock lock(mutex_);
  if (state_ == State::kNone) return false;
  dropped_ = true;
  changed_.NotifyAll();
  while (state_ == State::kMaking) changed_.Wait(mutex_);
  file_.reset();
  if (std::exchange(state_, State::kNone) == State::kReady) (void)env_.Remove(path_);
  return true;
}

void SpareSegment::Run() {
  while (true) {
    {
      const MutexLock lock(mutex_);
      while (state_ != State::kWanted && !stopping_) changed_.Wait(mutex_);
      if (stopping_) return;
      state_ = State::kMaking;
    }
    std::unique_ptr<File> made = Fill().value_or(nullptr);
    // What is there in part is of no use.
    if (!made) (void)env_.Remove(path_);
    {
      const MutexLock lock(mutex_);
      state_ = made ? State::kReady : State::kNone;
      file_ = std::move(made);
    }
    changed_.NotifyAll();
  }
}

bool SpareSegment::Rest(Clock::time_point end) {
  const MutexLock lock(mutex_);
  while (!stopping_ && !dropped_ && changed_.WaitUntil(mutex_, end)) {
  }
  return !stopping_ && !dropped_;
}

Result<std::unique_ptr<File>> SpareSegment::Fill() {
  STRATA_ASSIGN(std::unique_ptr<File> file, env_.Open(path_, OpenMode::kCreate));
  STRATA_TRY(file->Allocate(0, size_));
  for (std::uint64_t at = 0; at < size_; at += kPieceBytes) {
    const Clock::time_point began = Clock::now();
    const std::uint64_t end = std::min(at + kPieceBytes, size_);
    STRATA_TRY(WriteZeros(*file, at, end));
    STRATA_TRY(file->WriteBack(at, end - at));
    // Half of the disk's time is for those who wait for it now.
    const Clock::time_point now = Clock::now();
    if (!Rest(now + (now - began))) return nullptr;
  }
  STRATA_TRY(file->SyncData());
  return file;
}

}  // namespace strata::journal
