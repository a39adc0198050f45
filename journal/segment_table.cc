#include "journal/segment_table.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

namespace strata::journal {

std::size_t DefaultOpenSegments() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kFewestOpenSegments;
  return std::clamp<std::size_t>(limit.rlim_cur / 8, kFewestOpenSegments, kOpenSegments);
}

SegmentTable::SegmentTable(Env& env, bool beside_writer, std::uint64_t segment_size, std::size_t open_segments,
                           std::function<void(const Segment&, const OpenSegment&)> closed)
    : env_(env),
      beside_writer_(beside_writer),
      segment_size_(segment_size),
      limit_(open_segments != 0 ? open_segments : DefaultOpenSegments()),
      closed_(std::move(closed)) {}

void SegmentTable::MakeRoom() {
  const MutexLock lock(mutex_);
  while (open_.size() >= limit_ && CloseOne()) {
  }
}

void SegmentTable::Add(std::unique_ptr<Segment> segment) {
  if (segments_.empty()) {
    base_index_ = segment->index;
    first_index_.store(segment->index, std::memory_order_release);
  }
  if (OpenSegment* const open = segment->open.load(std::memory_order_relaxed)) {
    const MutexLock lock(mutex_);
    Count(*segment, *open);
    open_.push_back(segment.get());
  }
  const std::size_t place = segments_.size();
  if (generations_.empty() || place == generations_.back()->at.size()) {
    auto wider = std::make_unique<Slots>(std::max<std::size_t>(64, place * 2));
    for (std::size_t i = 0; i < place; ++i) wider->at[i].store(segments_[i].get(), std::memory_order_relaxed);
    slots_.store(wider.get(), std::memory_order_release);
    generations_.push_back(std::move(wider));
  }
  generations_.back()->at[place].store(segment.get(), std::memory_order_release);
  segments_.push_back(std::move(segment));
}

Segment* SegmentTable::Find(std::uint64_t index) const {
  const Slots* slots = slots_.load(std::memory_order_acquire);
  if (slots == nullptr || index < base_index_ || index - base_index_ >= slots->at.size()) return nullptr;
  return slots->at[index - base_index_].load(std::memory_order_acquire);
}

SegmentTable::Use SegmentTable::TryUse(Segment& segment) {
  // Either this sees that it is being closed, or who closes it sees the user: both are in the one order of all such
  // operations.
  segment.users.fetch_add(1, std::memory_order_seq_cst);
  if (OpenSegment* const open = segment.open.load(std::memory_order_seq_cst)) {
    if (!segment.recent.load(std::memory_order_relaxed)) segment.recent.store(true, std::memory_order_relaxed);
    return Use(&segment, open);
  }
  segment.users.fetch_sub(1, std::memory_order_release);
  return Use();
}

SegmentTable::Use SegmentTable::GetOpen(std::uint64_t index) {
  Segment* const segment = Find(index);
  return segment != nullptr ? TryUse(*segment) : Use();
}

Result<SegmentTable::Use> SegmentTable::Get(std::uint64_t index, bool may_open) {
  Segment* const segment = Find(index);
  if (segment == nullptr) return Use();
  if (Use use = TryUse(*segment)) return use;
  if (segment->retired.load(std::memory_order_seq_cst)) return Use();
  if (!may_open) return Fail(Errc::kWouldBlock);
  while (true) {
    {
      const MutexLock lock(mutex_);
      if (segment->retired.load(std::memory_order_seq_cst)) return Use();
      if (Use use = TryUse(*segment)) return use;
      bool room = true;
      while (room && open_.size() >= limit_) room = CloseOne();
      if (room) {
        auto opened = OpenFile(*segment);
        // Others may have taken all descriptors that there are.
        while (!opened && opened.error().code() != Errc::kNotFound && CloseOne()) opened = OpenFile(*segment);
        if (!opened) return Fail(opened.error());
        segment->open.store(opened->release(), std::memory_order_seq_cst);
        open_.push_back(segment);
        return TryUse(*segment);
      }
    }
    std::this_thread::yield();  // each use is a few reads long
  }
}

Result<std::unique_ptr<OpenSegment>> SegmentTable::OpenFile(Segment& segment) {
  auto open = std::make_unique<OpenSegment>();
  if (beside_writer_) {
    STRATA_ASSIGN(open->file, OpenBesideWriter(env_, segment));
  } else {
    STRATA_ASSIGN(open->file, env_.Open(segment.path, OpenMode::kRead));
    STRATA_TRY(CheckIsSegment(segment, *open->file));
  }
  // Where readers pin so many, more are not mapped; it is read otherwise.
  if (mappings_->load(std::memory_order_relaxed) < 2 * limit_) {
    STRATA_TRY(open->MapFile(segment_size_));
    Count(segment, *open);
  }
  return open;
}

void SegmentTable::Count(Segment& segment, OpenSegment& open) {
  if (!segment.mappings) segment.mappings = std::make_shared<std::atomic<std::size_t>>(0);
  open.CountIn(mappings_, segment.mappings);
}

bool SegmentTable::TryClose(Segment& segment) {
  OpenSegment* const open = segment.open.exchange(nullptr, std::memory_order_seq_cst);
  if (segment.users.load(std::memory_order_seq_cst) != 0) {
    segment.open.store(open, std::memory_order_seq_cst);
    return false;
  }
  closed_(segment, *open);
  delete open;
  return true;
}

bool SegmentTable::CloseOne() {
  // Once around for those that were not used lately, once more for any.
  for (std::size_t turn = 0; turn < 2 * open_.size(); ++turn) {
    hand_ = (hand_ + 1) % open_.size();
    Segment& segment = *open_[hand_];
    if (segment.written || segment.recent.exchange(false, std::memory_order_relaxed)) continue;
    if (!TryClose(segment)) continue;
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(hand_));
    return true;
  }
  return false;
}

void SegmentTable::RetireFirst() {
  Segment& first = *Find(first_index());
  first_index_.fetch_add(1, std::memory_order_seq_cst);  // before: who is refused the segment can see why
  LetGo(first);
}

void SegmentTable::GiveUp(Segment& segment) {
  segment.given_up.store(true, std::memory_order_seq_cst);  // before, as above
  LetGo(segment);
}

void SegmentTable::LetGo(Segment& segment) {
  segment.retired.store(true, std::memory_order_seq_cst);
  while (true) {
    {
      const MutexLock lock(mutex_);
      const auto at = std::ranges::find(open_, &segment);
      if (at == open_.end()) return;
      if (TryClose(segment)) {
        open_.erase(at);
        return;
      }
    }
    std::this_thread::yield();
  }
}

void SegmentTable::VisitOpen(const std::function<void(Segment&, OpenSegment&)>& visit) {
  const MutexLock lock(mutex_);
  for (Segment* const segment : open_) visit(*segment, *segment->open.load(std::memory_order_relaxed));
}

}  // namespace strata::journal
