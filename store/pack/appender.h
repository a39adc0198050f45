// Appender: where the records go that this process puts, of one class. It holds one pack at a time (flock), one that
// another process has left or a new one; what is appended can be read at once.
//
// Records gather in a buffer. A full one is written while the next fills. Where the disk is full it stays, and is
// written once there is room: nothing that was put is lost while the process lives. A sync that fails loses what it was
// to make durable, and ends the writing of this process (SyncFailure); what is not durable is then forgotten.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/pack/catalog.h"
#include "store/pack/format.h"
#include "store/pack/index_file.h"
#include "store/pack/tail_table.h"

namespace strata::store::pack {

struct AppenderOptions {
  PackClass pack_class = PackClass::kData;
  std::size_t buffer_bytes = 4 << 20;  // of two buffers each
  std::size_t tail_records = 1 << 18;  // that are in no index; then `wants_index` is called
  // Called with locks held: they only note it.
  std::function<void()> wants_index;
  std::function<void(std::uint64_t bytes)> wrote;
};

// Thread-safe.
class Appender {
 public:
  Appender(Catalog& catalog, AppenderOptions options);
  ~Appender();

  // `header` without its position: stored_crc says what `stored` sums up to. kNoSpace where neither the disk nor the
  // buffers have room for it.
  Result<Location> Append(const RecordHeader& header, ByteSpan stored) STRATA_EXCLUDES(mutex_, tables_mutex_);
  // What this process appended and no index has yet.
  std::optional<Location> Find(const Digest& digest) const STRATA_EXCLUDES(tables_mutex_);
  // Makes sure that the record can be read from its file.
  Result<void> FlushFor(const Location& location) STRATA_EXCLUDES(mutex_);
  // What was appended so far is in the files; is durable, its packs' names included.
  Result<void> Flush() STRATA_EXCLUDES(mutex_);
  Result<void> Sync() STRATA_EXCLUDES(mutex_, sync_mutex_);
  // Puts what was appended so far into an index, after a sync. One thread at a time; the others return.
  Result<void> PublishIndex() STRATA_EXCLUDES(mutex_, sync_mutex_, tables_mutex_);
  // Records that are in no index: how many, and which.
  std::size_t tail_records() const STRATA_EXCLUDES(tables_mutex_);
  std::vector<IndexEntry> Tail() const STRATA_EXCLUDES(tables_mutex_);
  // None of these packs is taken over.
  void Avoid(absl::flat_hash_set<PackId> packs) STRATA_EXCLUDES(mutex_);
  // Sends what was written to the disk, so that a sync finds little to do; waits for it.
  Result<void> WriteBack() STRATA_EXCLUDES(mutex_, tables_mutex_);
  // After a sync of this process has failed, of whatever: what is not durable is forgotten. Does nothing but once.
  void Abandon() STRATA_EXCLUDES(mutex_, tables_mutex_);

 private:
  struct Pack {
    PackHeader header;
    std::string path;
    std::shared_ptr<File> file;
    std::uint64_t end = 0;     // of its records, those in the buffers included
    std::uint64_t synced = 0;  // what lies before is durable
    std::uint64_t back = 0;    // what lies before was sent to the disk
    bool named = false;        // its name is durable
    // Of one that was taken over with records: as it was open before those were read. See Catalog::TailState.
    std::shared_ptr<OpenPack> found;
  };

  Result<void> OpenPack() STRATA_REQUIRES(mutex_) STRATA_EXCLUDES(tables_mutex_);
  // False: another pack is to be tried.
  Result<bool> TakeOver(const Catalog::Tail& tail) STRATA_REQUIRES(mutex_) STRATA_EXCLUDES(tables_mutex_);
  Result<bool> CreatePack() STRATA_REQUIRES(mutex_) STRATA_EXCLUDES(tables_mutex_);
  void Begin(std::shared_ptr<Pack> pack, const PackRange& range) STRATA_REQUIRES(mutex_);
  Result<void> MakeRoom(std::size_t bytes) STRATA_REQUIRES(mutex_) STRATA_EXCLUDES(tables_mutex_);
  Result<void> WriteFull() STRATA_REQUIRES(mutex_);
  Result<void> FlushLocked() STRATA_REQUIRES(mutex_);
  Result<void> SyncPack(const std::shared_ptr<Pack>& pack, std::uint64_t end) STRATA_REQUIRES(sync_mutex_)
      STRATA_EXCLUDES(mutex_, tables_mutex_);
  // A sync of this pack failed, or one of the folder where there is none.
  Result<void> GiveUp(const Pack* pack, const Status& status) STRATA_EXCLUDES(mutex_, tables_mutex_);
  PackRange& CurrentRange() STRATA_REQUIRES(mutex_) { return ranges_.back(); }

  Catalog& catalog_;
  Env& env_;
  const AppenderOptions options_;
  const std::uint64_t pack_bytes_;

  Mutex sync_mutex_;  // one sync at a time; before mutex_
  bool names_synced_ STRATA_GUARDED_BY(sync_mutex_) = true;
  Mutex publish_mutex_;  // one index at a time; before sync_mutex_

  Mutex mutex_;
  CondVar changed_;
  std::shared_ptr<Pack> pack_ STRATA_GUARDED_BY(mutex_);  // null: none is open
  std::vector<std::byte> buffer_ STRATA_GUARDED_BY(mutex_);
  std::vector<std::byte> full_ STRATA_GUARDED_BY(mutex_);               // goes to the file before buffer_
  std::uint64_t written_ STRATA_GUARDED_BY(mutex_) = 0;                 // where full_, or else buffer_, belongs
  bool writing_ STRATA_GUARDED_BY(mutex_) = false;                      // full_ is being written, without the lock
  bool turning_ STRATA_GUARDED_BY(mutex_) = false;                      // a full pack is being left
  bool new_name_ STRATA_GUARDED_BY(mutex_) = false;                     // a pack was made since the folder was synced
  std::vector<std::shared_ptr<Pack>> packs_ STRATA_GUARDED_BY(mutex_);  // all that are not durable, or in no index
  std::vector<PackRange> ranges_ STRATA_GUARDED_BY(mutex_);             // of table_; the last is of pack_
  std::vector<PackRange> frozen_ranges_ STRATA_GUARDED_BY(mutex_);
  absl::flat_hash_set<PackId> avoided_ STRATA_GUARDED_BY(mutex_);
  bool abandoned_ STRATA_GUARDED_BY(mutex_) = false;
  std::optional<Status> index_error_ STRATA_GUARDED_BY(mutex_);  // why the last index could not be made

  mutable Mutex tables_mutex_;  // after mutex_
  std::shared_ptr<TailTable> table_ STRATA_GUARDED_BY(tables_mutex_);
  std::shared_ptr<TailTable> frozen_ STRATA_GUARDED_BY(tables_mutex_);  // an index of it is being made
};

}  // namespace strata::store::pack
