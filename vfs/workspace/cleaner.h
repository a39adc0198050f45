// Cleaner: gives up journal segments in which little lives. What still lives in one is written anew at the journal's
// end (docs/formats/journal.md, "Giving up segments"); once the index has that too, the segment goes. Several segments
// wait for one checkpoint of the index together. Changes nothing that a client can see.
//
// So much that is dead may stay: as much as lives and kSlackSegments, but never more than the disk has free, so that a
// disk which fills up is given back what was removed. The segment with the least that lives goes first. A segment that
// is not the first may hide what is told before it: that something is gone, too, has then to be written anew. The more
// is dead beyond that, the less the cleaner rests for those who are served.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/env.h"
#include "base/mutex.h"
#include "journal/change_log.h"
#include "store/index/index.h"
#include "vfs/workspace/keeper.h"
#include "vfs/workspace/workspace.h"

namespace strata::vfs {

// Thread-safe.
class Cleaner {
 public:
  // What is to be written anew of a record.
  enum class What : std::uint8_t {
    kLiving,         // what still is so
    kLivingAndGone,  // also that what it says is so no more
  };

  // The volume, as the cleaner needs it: each writes anew what the journal's end would lack if the record went.
  class Volume {
   public:
    virtual ~Volume() = default;
    virtual Result<void> MoveInode(InodeNumber ino, What what) = 0;
    virtual Result<void> MoveEntry(InodeNumber directory, std::string_view name, What what) = 0;
    // False: it cannot be written anew, and its segment stays.
    virtual Result<bool> MoveTruncation(InodeNumber ino, std::uint64_t size) = 0;
    // Whether the file still shows bytes of the effect.
    virtual Result<bool> DataLives(const journal::RecordView& record, const journal::DataEffect& effect) = 0;
    // `record` with its payload.
    virtual Result<void> MoveData(const journal::RecordView& record, const journal::DataEffect& effect) = 0;
    // A client may ask again: what was answered has to be known after a restart.
    virtual Result<void> MoveRequest(const journal::RequestEffect& request) = 0;
    // Appends a record that says that the journal may begin at `begin`; where it ends.
    virtual Result<Lsn> LogBegin(Lsn begin) = 0;
    // How much all of these have appended so far. Clients append beside them.
    virtual std::uint64_t moved_bytes() const = 0;
  };

  // All must outlive it. `path`: the workspace's folder.
  Cleaner(Env& env, journal::ChangeLog& journal, store::Index& index, Keeper& keeper, Volume& volume, std::string path);
  ~Cleaner() { Stop(); }
  Cleaner(const Cleaner&) = delete;
  Cleaner& operator=(const Cleaner&) = delete;

  // Its thread, which cleans by `policy` now and then.
  void Start(const HistoryPolicy& policy);
  // Ends the thread, and any Clean that is under way, soon.
  void Stop() STRATA_EXCLUDES(rest_mutex_);
  // Gives up segments for as long as there is enough to gain.
  Result<void> Clean(const HistoryPolicy& policy) STRATA_EXCLUDES(clean_mutex_);

 private:
  struct Candidate {
    std::uint64_t segment = 0;
    bool first = false;  // of the journal: nothing lies before it, once those go that are moved already
    double behind = 0;   // 1 and more: so much is dead that the cleaner must not rest
  };

  // How much that is dead may stay, by what is so now.
  struct Balance {
    std::uint64_t living = 0, dead = 0, allowed = 0;  // bytes
    std::uint64_t available = 0;                      // on the disk
    std::uint64_t unknown = 0;                        // of which the index does not know yet what lives: taken to live
    bool full = false;                                // the disk: what makes room is in a hurry
  };
  Result<Balance> Weigh(const HistoryPolicy& policy) const STRATA_REQUIRES(clean_mutex_);
  // Whether the disk is full, and so somebody waits for room.
  bool hurried() const { return journal_.missing_reserve() > 0; }
  // The first of the segments from `first` to `end` that is too young.
  Result<std::uint64_t> EndOfOld(const HistoryPolicy& policy, std::uint64_t first, std::uint64_t end) const;
  // How much lives in a segment, in bytes: file data, and with as much of all else as falls to each.
  struct Living {
    std::uint64_t data = 0, all = 0;
  };
  // In each from `first` to `end`.
  Result<std::vector<Living>> LivingIn(std::uint64_t first, std::uint64_t end, const Balance& balance) const;
  // Moves the living out of as many segments as may wait for one checkpoint. False: there is nothing to gain, or the
  // workspace closes.
  Result<bool> Gather(const HistoryPolicy& policy, Lsn newest) STRATA_REQUIRES(clean_mutex_);
  // Of the segments before `newest`, that which is to go next.
  Result<std::optional<Candidate>> Choose(const HistoryPolicy& policy, Lsn newest) STRATA_REQUIRES(clean_mutex_);
  Result<bool> IsOldEnough(const HistoryPolicy& policy, std::uint64_t segment) const;
  // False: it is not given up: the workspace closes, or what it says cannot be written anew.
  Result<bool> MoveSegment(const Candidate& candidate) STRATA_REQUIRES(clean_mutex_);
  Result<bool> MoveRecord(const journal::RecordView& record, What what) STRATA_REQUIRES(clean_mutex_);
  // Whether the segment is still there, whole.
  bool MayGo(std::uint64_t segment) const STRATA_REQUIRES(clean_mutex_);
  bool IsMoved(std::uint64_t segment) const STRATA_REQUIRES(clean_mutex_);
  // Where the journal begins once all that have been moved are given up.
  Lsn BeginAfter() const STRATA_REQUIRES(clean_mutex_);
  // Gives up what has been moved, once the index has it. False: not yet.
  Result<bool> Finish() STRATA_REQUIRES(clean_mutex_);
  void Loop(const HistoryPolicy& policy);
  // False: the workspace closes.
  bool Rest(std::chrono::nanoseconds time) STRATA_EXCLUDES(rest_mutex_);

  Env& env_;
  journal::ChangeLog& journal_;
  store::Index& index_;
  Keeper& keeper_;
  Volume& volume_;
  const std::string path_;

  Mutex clean_mutex_;  // one at a time; before all other locks
  // What has been moved and is yet to be given up; what that will gain, in bytes; where the journal ended once nothing
  // was to be added.
  std::vector<Candidate> moved_ STRATA_GUARDED_BY(clean_mutex_);
  std::uint64_t moved_gain_ STRATA_GUARDED_BY(clean_mutex_) = 0;
  std::optional<Lsn> moved_end_ STRATA_GUARDED_BY(clean_mutex_);
  std::vector<std::uint64_t> stuck_ STRATA_GUARDED_BY(clean_mutex_);  // segments that can go only once they are first
  std::vector<std::uint64_t> unfit_ STRATA_GUARDED_BY(clean_mutex_);  // what lives in these found no room just now
  Lsn requests_from_ STRATA_GUARDED_BY(clean_mutex_);                 // requests from here on may be asked again
  // How much was dead when a segment went for nothing.
  std::optional<std::uint64_t> futile_dead_ STRATA_GUARDED_BY(clean_mutex_);
  absl::flat_hash_set<InodeNumber> moved_inodes_ STRATA_GUARDED_BY(clean_mutex_);  // of the segment under way

  Mutex rest_mutex_;
  CondVar wakes_;
  bool stops_ STRATA_GUARDED_BY(rest_mutex_) = false;
  std::thread thread_;
};

}  // namespace strata::vfs
