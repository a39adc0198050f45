// Segment: one file of the journal, mapped for reading; and the table that leads from a position to its segment without
// a lock.
#pragma once

#include <atomic>
#include <bit>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "journal/format.h"
#include "journal/window.h"

namespace strata::journal {

// What the kernel maps at one touch: sixteen pages around it.
inline constexpr std::uint64_t kMappedBlock = 64 << 10;

// A record with file data is never shorter than this: a frame, a head, a data effect.
inline constexpr std::uint64_t kCheckedStretch = 64;

// A stub, until it bears its segment's name.
inline constexpr std::string_view kStubName = "stub";

struct Segment {
  static constexpr std::uint64_t kOpenEnd = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t index = 0;
  std::uint64_t base = 0;  // position of the file's first byte
  std::string path;
  std::unique_ptr<File> file;
  // For reading file data, and replies that refer to it; only what holds records may be touched.
  ByteSpan bytes;
  std::shared_ptr<const Mapping> mapping;
  // Which blocks were read through the mapping since they were last released, a bit each.
  mutable std::vector<std::atomic<std::uint64_t>> touched;
  mutable std::atomic<bool> listed{false};  // the journal knows that there are such
  std::uint64_t allocated = 0;              // of the file
  // Where its records end; kOpenEnd while it is the last. Set before the next segment is published.
  std::atomic<std::uint64_t> end{kOpenEnd};
  // Of each stretch of kCheckedStretch bytes: the record with file data that begins in it has been checked. Null until
  // the first is.
  std::atomic<std::atomic<std::uint64_t>*> checked{nullptr};
  // Those who use the segment, and whether it is being given up (SegmentTable::Use).
  mutable std::atomic<std::uint32_t> users{0};
  std::atomic<bool> retired{false};
  std::atomic<bool> given_up{false};  // by itself; the file is a stub

  Segment() = default;
  ~Segment() { delete[] checked.load(); }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  std::uint64_t FirstRecord() const { return base + kSegmentHeaderBytes; }
  // Notes that `length` bytes (not 0) from `offset` on are read through the mapping. How many of their blocks had not
  // been.
  std::uint64_t Touch(std::uint64_t offset, std::uint64_t length) const {
    const std::uint64_t first = offset / kMappedBlock, last = (offset + length - 1) / kMappedBlock;
    std::uint64_t fresh = 0;
    for (std::uint64_t word = first / 64; word <= last / 64; ++word) {
      std::uint64_t bits = ~0ULL;
      if (word == first / 64) bits &= ~0ULL << (first % 64);
      if (word == last / 64) bits &= ~0ULL >> (63 - last % 64);
      if ((touched[word].load(std::memory_order_relaxed) & bits) == bits) continue;
      fresh += std::popcount(bits & ~touched[word].fetch_or(bits, std::memory_order_relaxed));
    }
    return fresh;
  }
  // Whether all of it has been read through the mapping.
  bool Touched(std::uint64_t offset, std::uint64_t length) const {
    for (std::uint64_t block = offset / kMappedBlock; block <= (offset + length - 1) / kMappedBlock; ++block) {
      if ((touched[block / 64].load(std::memory_order_relaxed) >> (block % 64) & 1) == 0) return false;
    }
    return true;
  }
  // Lets the pages of the mapping go; of how many blocks some had been read.
  std::uint64_t Release() const;
  bool IsChecked(std::uint64_t record) const;
  void SetChecked(std::uint64_t record, std::uint64_t segment_size);
  // Maps `file`; of the mapping, `length` bytes may ever be used.
  Result<void> MapFile(std::uint64_t length);
};

bool IsOutOfSpace(const Status& status);

// A record that checks, and its bytes from the frame on.
struct FoundRecord {
  Frame frame;
  ByteSpan bytes;  // as Window::Read gives them
};
enum class RecordPart : std::uint8_t { kHead, kWhole };
// The record at `position`, if one that checks lies there in the first `limit` bytes of the segment's file. kHead: its
// payload is neither read nor checked.
Result<std::optional<FoundRecord>> ReadRecord(Window& window, const Segment& segment, std::uint64_t position,
                                              std::uint64_t limit, std::uint32_t salt,
                                              RecordPart part = RecordPart::kWhole);

// Makes the file of a new segment with room for at least `room` bytes and its header; nothing is left of it on an
// error. `spare`: its file, if there is one already, as large as a segment becomes and under its name.
Result<std::unique_ptr<Segment>> CreateSegment(Env& env, const std::string& directory, const SegmentHeader& header,
                                               std::uint64_t room, std::unique_ptr<File> spare = nullptr);
// Makes room in the segment's file up to `needed` bytes and, where there is space, some more.
Result<void> GrowSegment(Segment& segment, std::uint64_t needed, std::uint64_t segment_size);

// The segments of a journal, in order. One thread at a time adds and retires; any thread reads. A Segment lives as long
// as the table; what it holds of its file goes when it is retired, so that one which may be is looked at through Use.
class SegmentTable {
 public:
  SegmentTable() = default;
  SegmentTable(const SegmentTable&) = delete;
  SegmentTable& operator=(const SegmentTable&) = delete;

  void Add(std::unique_ptr<Segment> segment);
  // Null where there is no such segment.
  Segment* Find(std::uint64_t index) const;
  // While one of these lives its segment is not retired; null where there is no such segment, or no more.
  class Use {
   public:
    Use(const SegmentTable& table, std::uint64_t index);
    ~Use() {
      if (segment_ != nullptr) segment_->users.fetch_sub(1, std::memory_order_release);
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Segment* operator->() const { return segment_; }
    Segment& operator*() const { return *segment_; }
    explicit operator bool() const { return segment_ != nullptr; }

   private:
    Segment* segment_;
  };
  // Waits until nobody uses the first segment, and lets go of its file and mapping. There must be another one.
  void RetireFirst();
  // The same with any but the last, which keeps its place.
  void GiveUp(Segment& segment);
  std::uint64_t first_index() const { return first_index_.load(std::memory_order_acquire); }
  Segment* last() const { return segments_.back().get(); }                             // for the adding thread
  const std::vector<std::unique_ptr<Segment>>& segments() const { return segments_; }  // for the adding thread

 private:
  static void LetGo(Segment& segment);

  struct Slots {
    explicit Slots(std::size_t capacity) : at(capacity) {}
    std::vector<std::atomic<Segment*>> at;
  };

  std::uint64_t base_index_ = 0;               // of the first ever added
  std::atomic<std::uint64_t> first_index_{0};  // of the first that is not retired
  std::vector<std::unique_ptr<Segment>> segments_;
  // Readers may still look at what was outgrown, so it is kept: in all no more than the present one.
  std::vector<std::unique_ptr<Slots>> generations_;
  std::atomic<const Slots*> slots_{nullptr};
};

}  // namespace strata::journal
