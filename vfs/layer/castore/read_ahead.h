// ReadAhead: which blobs are read in order, and what of them to fetch before it is asked for. It only decides; who asks
// it does the work (files.h). Thread-safe.
//
// What was read is remembered as runs: stretches of a blob that touch each other, in whatever order their reads came.
// Clients send several reads at once, which overtake each other. A run that has grown at its end by enough is one that
// goes on: then what follows is to be fetched, the further the longer it goes on. Reads here and there make no run that
// grows.
//
// Runs begin where a read was not in memory. So of blobs that are in memory nothing is remembered at all, and nothing
// is fetched where a whole round found all of it there.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/mutex.h"
#include "store/digest.h"

namespace strata::vfs::castore {

class ReadAhead {
 public:
  // `bytes`: so much of all blobs together may be fetched, or be on its way, that nobody has read yet; beyond it at
  // most the rest of the chunk that the last byte of each run lies in. 0: nothing is ever to be fetched.
  explicit ReadAhead(std::size_t bytes) : bytes_(bytes) {}

  // What is fetched is divided in pieces of so many bytes, so that several may be on their way.
  static constexpr std::uint64_t kPiece = 512 << 10;
  // To be fetched, piece by piece from `begin` on; Fetched is to be called for each.
  struct Range {
    std::uint64_t run = 0;
    std::uint64_t begin = 0, end = 0;
  };
  // Bytes [offset, offset + length) of a blob of `size` bytes were read, well; `waited`: they were not in memory.
  std::optional<Range> Read(const store::Digest& blob, std::uint64_t size, std::uint64_t offset, std::uint64_t length,
                            bool waited) STRATA_EXCLUDES(mutex_);
  enum class Outcome : std::uint8_t {
    kLoaded,
    kWasThere,  // in memory already
    kFailed,    // also: was not tried. The run is left alone until a read has to wait again
  };
  // A piece of a run is done; what was fetched ends at `end`, which may lie beyond the piece.
  void Fetched(std::uint64_t run, std::uint64_t end, Outcome outcome) STRATA_EXCLUDES(mutex_);

 private:
  struct Run {
    std::uint64_t id = 0;  // 0: there is none
    store::Digest blob;
    std::uint64_t begin = 0, end = 0;  // what was read
    std::uint64_t ahead = 0;           // what was fetched, or is to be, ends here, unless it is less than `end`
    std::uint64_t window = 0;          // how far ahead to be next time
    std::uint64_t used = 0;            // by clock_
    std::uint32_t reads = 0;           // that made it longer at its end
    std::uint32_t pieces = 0;          // on their way
    bool cold = true;                  // something in it was not in memory, of late
    bool loaded = false;               // so was a piece that came, of those on their way

    bool GoesOn() const;
    std::uint64_t Claim() const { return ahead > end ? ahead - end : 0; }
  };
  static constexpr std::size_t kRuns = 64;
  static constexpr std::size_t kRunsOfBlob = 8;  // that do not go on

  // The run that the read continues, or one for it; null: it is not worth one.
  Run* FindRun(const store::Digest& blob, std::uint64_t offset, std::uint64_t end, bool waited) STRATA_REQUIRES(mutex_);
  // Where a new one may stand: a place that is free, or that of the run used the longest ago, first among those of the
  // same blob, if there are many, then of those that do not go on.
  Run& Place(const store::Digest& blob) STRATA_REQUIRES(mutex_);
  // Others that it has grown to touch become part of it.
  void Join(Run& run) STRATA_REQUIRES(mutex_);
  void Drop(Run& run) STRATA_REQUIRES(mutex_);
  // Whether it is about to be joined by one that goes on, from behind: what lies between is on its way.
  bool IsAwaited(Run& run) STRATA_REQUIRES(mutex_);
  // `length`: of the last read.
  std::optional<Range> Next(Run& run, std::uint64_t size, std::uint64_t length) STRATA_REQUIRES(mutex_);

  const std::size_t bytes_;
  // Of runs_, so that most need not look there.
  std::atomic<std::size_t> count_{0};
  Mutex mutex_;
  std::array<Run, kRuns> runs_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t clock_ STRATA_GUARDED_BY(mutex_) = 0;
  std::uint32_t quiet_ STRATA_GUARDED_BY(mutex_) = 0;  // reads, since one had to wait or something was fetched
  std::uint64_t next_id_ STRATA_GUARDED_BY(mutex_) = 1;
};

}  // namespace strata::vfs::castore
