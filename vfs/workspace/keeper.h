// Keeper: brings the index up to the journal in the background, and slows changes down where it cannot keep pace.
//
// A checkpoint is due when the journal has grown by so much, or what cannot be dropped from memory has. It is also made
// when changes have stopped for a moment, and when the index has been behind for a time: then what the index tells of
// what lives (the cleaner goes by that) is never old for long, and a restart has little to replay.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "base/env.h"
#include "base/mutex.h"
#include "journal/change_log.h"
#include "store/index/index.h"
#include "vfs/workspace/checkpointer.h"

namespace strata::vfs {

struct KeeperOptions {
  std::uint64_t checkpoint_bytes = 0;    // of the journal beyond the index: a checkpoint is due
  std::uint64_t checkpoint_records = 0;  // the same, in records
  std::size_t dirty_bytes = 0;           // what in memory may wait for the index: at half of it a checkpoint is due
  std::int64_t quiet_ns = 0;             // without a change for so long: a checkpoint; 0: never for that
  std::int64_t behind_ns = 0;            // the index behind for so long: a checkpoint; 0: never for that
};

// Thread-safe.
class Keeper {
 public:
  // All must outlive it. `path`: of the workspace, for the log. Until Start, no checkpoint rests for others.
  Keeper(Env& env, journal::ChangeLog& journal, store::Index& index, Checkpointer checkpointer,
         const KeeperOptions& options, std::string path);
  ~Keeper() { Stop(); }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // Its thread, which calls Tick now and then.
  void Start();
  // Ends the thread. Whoever waits for a checkpoint waits no longer. A checkpoint that is under way ends soon.
  void Stop() STRATA_EXCLUDES(mutex_);
  // What the thread does when it wakes. `due`: somebody woke it.
  void Tick(bool due);

  // -- For those who change things. --
  // A record was appended.
  void NoteRecord() { records_.fetch_add(1, std::memory_order_relaxed); }
  // So many bytes can no longer be dropped from memory, of something that was last changed at `changed` before: what
  // was counted since the last checkpoint is not counted again.
  bool Counted(Lsn changed) const { return changed.value > dirty_since_.load(std::memory_order_relaxed); }
  void NoteDirty(std::size_t bytes) { dirty_.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed); }
  // After a change: wakes the thread if a checkpoint is due.
  void NoteChange() {
    if (Due()) Ask();
  }
  // A checkpoint would be of use, such as to drop more from memory.
  void Ask() STRATA_EXCLUDES(mutex_);
  // Changes have to wait for a checkpoint: too much would be undroppable, or a restart would take too long. `part` of
  // that: those who change so much that others would have to wait for them.
  bool FarBehind(double part = 1) const;
  // Waits, a bounded time, until they need not. Fails where checkpoints fail: with kNoSpace on a full disk, else kIo.
  Result<void> AwaitRoom(double part = 1) STRATA_EXCLUDES(mutex_);

  // Before Start: which calls the journal remembers.
  void KnowRequests(const PastRequestsFound& found) STRATA_EXCLUDES(checkpoint_mutex_) {
    const MutexLock lock(checkpoint_mutex_);
    checkpointer_.KnowRequests(found);
  }

  // -- What the index holds. --
  // All before is in the index.
  Lsn position() const { return Lsn(position_.load(std::memory_order_acquire)); }
  // All before is in the index's own file, synced.
  Lsn settled() const { return Lsn(settled_.load(std::memory_order_acquire)); }
  bool behind() const { return journal_.end() > position(); }

  // Makes everything that was appended before the call durable, in the journal and in the index.
  // `hurry`: somebody waits, so that it does not rest for others.
  Result<void> Checkpoint(bool hurry = true) STRATA_EXCLUDES(checkpoint_mutex_, mutex_);
  // The same for the end: what does not fit into `limit` is left to the next start.
  Result<void> CloseWithin(std::chrono::nanoseconds limit) STRATA_EXCLUDES(checkpoint_mutex_, mutex_);
  // Whether somebody waits for what is done in the background.
  bool hurried() const { return hurry_.load(std::memory_order_relaxed) > 0; }
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;

  bool Due() const;
  bool IsQuiet(std::int64_t now);
  // Says, once, that the index was found damaged while it was used, and sees to it that the next start makes it anew.
  void NoteDamage();
  Result<void> CheckpointUntil(std::optional<Clock::time_point> end) STRATA_EXCLUDES(checkpoint_mutex_, mutex_);
  Result<void> RunLocked(std::optional<Clock::time_point> end) STRATA_REQUIRES(checkpoint_mutex_);
  Result<void> Apply(Lsn target, std::optional<Clock::time_point> end, const std::function<void()>& step)
      STRATA_REQUIRES(checkpoint_mutex_) STRATA_EXCLUDES(mutex_);
  // For Pace: how much a checkpoint under way rests. The more there is to do, the less.
  double Ease() const;
  void Loop() STRATA_EXCLUDES(mutex_);

  Env& env_;
  journal::ChangeLog& journal_;
  store::Index& index_;
  const KeeperOptions options_;
  const std::string path_;

  std::atomic<std::uint64_t> position_, settled_{0};
  std::atomic<std::uint64_t> records_{0};  // appended since the last checkpoint
  // What in memory cannot be dropped before the next checkpoint, in bytes: counted as it is first changed after the
  // position at which the checkpoint under way, or the last one, was begun.
  std::atomic<std::int64_t> dirty_{0};
  std::atomic<std::uint64_t> dirty_since_;
  std::atomic<int> hurry_{1};
  std::atomic<bool> stopping_{false};

  Mutex checkpoint_mutex_;  // one checkpoint at a time; held over the disk; of the others only mutex_ within
  Checkpointer checkpointer_ STRATA_GUARDED_BY(checkpoint_mutex_);

  // Of Tick, which one thread at a time calls.
  std::uint64_t seen_end_ = 0;     // the journal's, when it was last seen to change
  std::int64_t changed_at_ = 0;    // when that was
  std::int64_t behind_since_ = 0;  // 0: the index was not behind
  bool damage_noted_ = false;

  Mutex mutex_;
  CondVar wakes_, ended_;
  std::atomic<bool> due_{false};
  // Why the last checkpoint failed: none is asked for, nor waited for, until the thread next wakes by itself.
  std::optional<Status> failure_ STRATA_GUARDED_BY(mutex_);
  std::atomic<bool> failed_{false};
  std::thread thread_;
};

}  // namespace strata::vfs
