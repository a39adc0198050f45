// SegmentTable: leads from a position to its segment without a lock. It holds no more of the segments' files and
// mappings than it may: where one is read another is closed for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "journal/segment.h"

namespace strata::journal {

// How many segments are open at once where nobody says: as many, or an eighth of what this process may open.
inline constexpr std::size_t kOpenSegments = 128;
inline constexpr std::size_t kFewestOpenSegments = 4;
std::size_t DefaultOpenSegments();

// Segments in order. One thread at a time adds, another gives up; any thread reads. A Segment lives as long as the
// table; what it has open is looked at through a Use.
class SegmentTable {
 public:
  // `closed` is called with what is closed, and nobody looks at it. `open_segments`: 0 for the default; as many
  // mappings again may be pinned by readers while their segments are closed.
  SegmentTable(Env& env, bool beside_writer, std::uint64_t segment_size, std::size_t open_segments,
               std::function<void(const Segment&, const OpenSegment&)> closed);
  SegmentTable(const SegmentTable&) = delete;
  SegmentTable& operator=(const SegmentTable&) = delete;

  // Closes others, if they are not in use, so that one more may be open.
  void MakeRoom();
  // With what it has open, if it has; MakeRoom goes before.
  void Add(std::unique_ptr<Segment> segment);
  // Null where there is no such segment.
  Segment* Find(std::uint64_t index) const;

  // While one of these lives, its segment stays open. A thread has one at a time.
  class Use {
   public:
    Use() = default;
    Use(Segment* segment, OpenSegment* open) : segment_(segment), open_(open) {}
    Use(Use&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)), open_(other.open_) {}
    Use& operator=(Use&& other) noexcept {
      std::swap(segment_, other.segment_);
      std::swap(open_, other.open_);
      return *this;
    }
    ~Use() {
      if (segment_ != nullptr) segment_->users.fetch_sub(1, std::memory_order_release);
    }
    Segment* operator->() const { return segment_; }
    Segment& operator*() const { return *segment_; }
    OpenSegment& open() const { return *open_; }
    explicit operator bool() const { return segment_ != nullptr; }

   private:
    Segment* segment_ = nullptr;
    OpenSegment* open_ = nullptr;  // who closes takes it away for a moment before he sees the user
  };
  // An empty one where there is no such segment, or no more. kWouldBlock where it has to be opened first, and
  // `may_open` is false.
  Result<Use> Get(std::uint64_t index, bool may_open = true);
  // An empty one also where it is not open.
  Use GetOpen(std::uint64_t index);

  // Waits until nobody uses the first segment, and closes it for good. There must be another one.
  void RetireFirst();
  // The same with any but the last, which keeps its place.
  void GiveUp(Segment& segment);
  // Calls `visit` with every segment that is open.
  void VisitOpen(const std::function<void(Segment&, OpenSegment&)>& visit);
  std::uint64_t first_index() const { return first_index_.load(std::memory_order_acquire); }
  Segment* last() const { return segments_.back().get(); }  // for the adding thread
  std::size_t limit() const { return limit_; }

 private:
  struct Slots {
    explicit Slots(std::size_t capacity) : at(capacity) {}
    std::vector<std::atomic<Segment*>> at;
  };

  // Empty where it is not open (any more).
  static Use TryUse(Segment& segment);
  void LetGo(Segment& segment);
  // Closes a segment that nobody uses; false: all are used.
  bool CloseOne() STRATA_REQUIRES(mutex_);
  // Takes away what the segment has open, if nobody uses it.
  bool TryClose(Segment& segment) STRATA_REQUIRES(mutex_);
  Result<std::unique_ptr<OpenSegment>> OpenFile(Segment& segment) STRATA_REQUIRES(mutex_);
  void Count(Segment& segment, OpenSegment& open) STRATA_REQUIRES(mutex_);

  Env& env_;
  const bool beside_writer_;
  const std::uint64_t segment_size_;
  const std::size_t limit_;
  const std::function<void(const Segment&, const OpenSegment&)> closed_;
  // Mappings that live, pinned ones included; these may outlive the table.
  const std::shared_ptr<std::atomic<std::size_t>> mappings_ = std::make_shared<std::atomic<std::size_t>>(0);

  std::uint64_t base_index_ = 0;               // of the first ever added
  std::atomic<std::uint64_t> first_index_{0};  // of the first that is not retired
  std::vector<std::unique_ptr<Segment>> segments_;
  // Readers may still look at what was outgrown, so it is kept: in all no more than the present one.
  std::vector<std::unique_ptr<Slots>> generations_;
  std::atomic<const Slots*> slots_{nullptr};

  Mutex mutex_;                                           // of opening and closing
  std::vector<Segment*> open_ STRATA_GUARDED_BY(mutex_);  // in a clock
  std::size_t hand_ STRATA_GUARDED_BY(mutex_) = 0;
};

}  // namespace strata::journal
