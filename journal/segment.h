// Segment: one file of the journal, mapped for reading while it is open.
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

// A stub, until it bears its segment's name.
inline constexpr std::string_view kStubName = "stub";

// What a segment that is open holds of its file.
struct OpenSegment {
  std::unique_ptr<File> file;
  // For reading file data, and replies that refer to it; only what holds records may be touched. Null where there are
  // mappings enough.
  std::shared_ptr<const Mapping> mapping;
  ByteSpan bytes;
  // Which blocks were read through the mapping since they were last released, a bit each.
  mutable std::vector<std::atomic<std::uint64_t>> touched;

  // Of the file, where somebody has cut it.
  std::atomic<std::uint64_t> size{std::numeric_limits<std::uint64_t>::max()};

  // Maps `file`; of the mapping, `length` bytes may ever be used.
  Result<void> MapFile(std::uint64_t length);
  // The mapping counts in both for as long as it lives.
  void CountIn(const std::shared_ptr<std::atomic<std::size_t>>& mappings,
               const std::shared_ptr<std::atomic<std::size_t>>& more);
  // Notes that `length` bytes (not 0) from `offset` on are read through the mapping. How many of their blocks had not
  // been.
  std::uint64_t Touch(std::uint64_t offset, std::uint64_t length) const;
  // Whether all of it has been read through the mapping.
  bool Touched(std::uint64_t offset, std::uint64_t length) const;
  // Lets the pages of the mapping go; of how many blocks some had been read.
  std::uint64_t Release() const;
};

struct Segment {
  static constexpr std::uint64_t kOpenEnd = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t index = 0;
  std::uint64_t base = 0;  // position of the file's first byte
  std::string path;
  std::uint32_t salt = 0;                        // of its frames
  std::optional<std::uint32_t> other_salt = {};  // or this, where its header is lost
  std::uint64_t allocated = 0;                   // of the file
  // Where its records end; kOpenEnd while it is the last. Set before the next segment is published.
  std::atomic<std::uint64_t> end{kOpenEnd};
  // The rest is SegmentTable's. Null while it is not open.
  std::atomic<OpenSegment*> open{nullptr};
  std::atomic<std::uint32_t> users{0};  // of `open`
  std::atomic<bool> recent{false};      // used since the clock last came by
  std::atomic<bool> written{false};     // the journal writes to it: it stays open
  std::atomic<bool> retired{false};     // closed for good
  std::atomic<bool> given_up{false};    // by itself; the file is a stub
  // Mappings of it that live, pinned ones included. Made with the first, and guarded as opening and closing are.
  std::shared_ptr<std::atomic<std::size_t>> mappings;
  std::atomic<bool> listed{false};  // the journal knows that blocks of it were touched

  Segment() = default;
  ~Segment() { delete open.load(); }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  std::uint64_t FirstRecord() const { return base + kSegmentHeaderBytes; }
};

// The frame at `bytes`, which begin at `position` of the segment.
std::optional<Frame> FrameAt(const Segment& segment, ByteSpan bytes, std::uint64_t position);

// A record that checks, and its bytes from the frame on.
struct FoundRecord {
  Frame frame;
  ByteSpan bytes;  // as Window::Read gives them
};
enum class RecordPart : std::uint8_t { kHead, kWhole };
// The record at `position`, if one that checks lies there in the first `limit` bytes of the segment's file. kHead: its
// payload is neither read nor checked.
Result<std::optional<FoundRecord>> ReadRecord(Window& window, File& file, const Segment& segment,
                                              std::uint64_t position, std::uint64_t limit,
                                              RecordPart part = RecordPart::kWhole);

// Opens it to be read beside a process that writes, which does not use the file again meanwhile.
Result<std::unique_ptr<File>> OpenBesideWriter(Env& env, const Segment& segment);
// Whether the file that bears the segment's name still is that segment, and as long as its records.
Result<void> CheckIsSegment(const Segment& segment, File& file);

// Makes the file of a new segment, open and mapped, with room for at least `room` bytes and its header. Nothing is left
// of it on an error. `spare`: its file, if there is one already, as large as a segment becomes and under its name.
Result<std::unique_ptr<Segment>> CreateSegment(Env& env, const std::string& directory, const SegmentHeader& header,
                                               std::uint64_t room, std::unique_ptr<File> spare = nullptr,
                                               bool scarce = false);
// Makes room in the segment's file, which is open, up to `needed` bytes and, where there is space, some more
// (little where room is `scarce`).
Result<void> GrowSegment(Env& env, Segment& segment, File& file, std::uint64_t needed, std::uint64_t segment_size,
                         bool scarce = false);

}  // namespace strata::journal
