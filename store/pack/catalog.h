// Catalog: which packs a store has and where its records lie, as the packs' folder says: what indexes have, and what
// other processes have appended since. What this process appends itself is its appenders' matter until an index has it.
//
// A lookup never asks the folder. Whether the folder is as it was, IsCurrent says; what is not found is looked for
// again after Look(). Both cost little while nothing has changed.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/pack/index_file.h"
#include "store/pack/layout.h"
#include "store/pack/pack_files.h"
#include "store/pack/sync_failure.h"
#include "store/pack/tail_table.h"

namespace strata::store::pack {

struct CatalogOptions {
  bool read_only = false;
  std::uint64_t pack_bytes = 0;       // StoreFormat's
  std::uint64_t filter_bytes = 0;     // of all filters together
  std::size_t tail_records = 0;       // of others, in memory; more go into an index
  std::string spill_folder = "/tmp";  // where that lies when nothing is written to the store
};

inline PackClass ClassOf(RecordKind kind) {
  return kind == RecordKind::kDirectory ? PackClass::kDirectories : PackClass::kData;
}

// One state of the store, as it was seen. Constant.
struct CatalogView {
  struct Index {
    std::shared_ptr<IndexFile> file;
    std::vector<bool> alive;  // by range: whether its pack is there
  };
  struct Pack {
    std::uint64_t covered = kPackHeaderBytes;  // up to where indexes have its records
  };
  std::vector<Index> indexes;  // the last made first
  absl::flat_hash_map<PackId, Pack> packs;
  std::uint64_t mark = 0;
};

// Thread-safe.
class Catalog {
 public:
  static Result<std::unique_ptr<Catalog>> Open(Env& env, const Layout& layout, PackFiles& files,
                                               const CatalogOptions& options);

  struct Place {
    Location location;
    bool durable = false;  // an index has it, which says that it is
  };
  using Places = absl::InlinedVector<Place, 2>;
  // Where records of this class with the digest lie, as far as is known; those that were bad only `with_bad`.
  Result<void> Find(bool may_block, PackClass pack_class, const Digest& digest, bool with_bad, Places& places);
  // Whether no pack and no index has come or gone since the folder was read, as far as `changes` says; where that
  // cannot be read, yes. kWouldBlock where it is not in memory and `may_block` is false.
  Result<bool> IsCurrent(bool may_block) STRATA_EXCLUDES(mutex_);
  // Reads the folder anew unless it is as it was.
  Result<void> Follow() STRATA_EXCLUDES(mutex_, reload_mutex_);
  // Whether anything has changed, which is then known. Asks the disk.
  Result<bool> Look() STRATA_EXCLUDES(mutex_, reload_mutex_);
  // Reads the folder anew.
  Result<void> Reload() STRATA_EXCLUDES(mutex_, reload_mutex_);
  // What was read there does not check: so a copy, or the same put anew, takes its place. Remembered by this process.
  void MarkBad(const Location& location) STRATA_EXCLUDES(mutex_);
  bool IsBad(const Location& location) const STRATA_EXCLUDES(mutex_);
  // It does check: what was torn there was cut, and something else appended.
  void MarkGood(const Location& location) STRATA_EXCLUDES(mutex_);

  std::shared_ptr<const CatalogView> view() const STRATA_EXCLUDES(mutex_);
  // A pack that nobody of this process appends to, and that may grow.
  struct Tail {
    std::shared_ptr<OpenPack> pack;
    std::uint64_t covered = 0;  // what lies before is in indexes
    std::uint64_t seen = 0;     // the file's size when it was scanned last
  };
  std::vector<Tail> Growing() const STRATA_EXCLUDES(mutex_);

  // A pack that this process appends to, from `end` on: it is not read for records. Until Disown, once an index has
  // them or nobody of this process will append to it.
  void Own(PackId pack, std::uint64_t end) STRATA_EXCLUDES(mutex_, reload_mutex_);
  void Disown(PackId pack) STRATA_EXCLUDES(reload_mutex_);

  // Makes an index of records that are durable, in packs whose names are. `entries` are sorted by this.
  Result<void> Publish(std::vector<PackRange> ranges, std::vector<IndexEntry>& entries)
      STRATA_EXCLUDES(mutex_, reload_mutex_);
  // Puts what others appended into an index of its own.
  Result<void> PublishTails() STRATA_EXCLUDES(mutex_, reload_mutex_);
  // Makes one index of several where there are many, or of all with `all`; drops what is of packs that are gone, and an
  // index of which nothing else is left.
  // Does nothing while another process does it.
  Result<void> Merge(bool all) STRATA_EXCLUDES(mutex_, reload_mutex_);

  // The end of writing by this process, once a sync of a pack or of the folder has failed.
  SyncFailure& failure() { return failure_; }
  // Makes the names of packs and indexes durable.
  Result<void> SyncFolder();

  // The tables of what others appended: for who walks over everything.
  const TailTable& tails(PackClass pack_class) const { return tails_[static_cast<std::size_t>(pack_class)]; }
  Env& env() { return env_; }
  const Layout& layout() const { return layout_; }
  PackFiles& files() { return files_; }
  const CatalogOptions& options() const { return options_; }
  ChangeMark& changes() { return changes_; }

 private:
  struct TailState {
    std::uint64_t from = 0;     // what lies before is in indexes
    std::uint64_t scanned = 0;  // up to here its records are in tails_
    std::uint64_t seen = 0;
    std::uint32_t records = 0;
    std::uint32_t newest = 0;
    // The pack as it was open before the first of them was read: the system tells of a failure to write them back to
    // who had the file open by then.
    std::shared_ptr<OpenPack> pack;
  };
  struct Listing {
    std::uint64_t mark = 0;
    std::vector<PackId> packs;
    std::vector<std::uint64_t> indexes;
  };

  Catalog(Env& env, const Layout& layout, PackFiles& files, const CatalogOptions& options);
  Result<Listing> List();
  Result<void> ReloadLocked() STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  // False: an index of the listing is gone meanwhile.
  Result<bool> OpenIndexes(const Listing& listing, std::vector<std::shared_ptr<IndexFile>>& indexes)
      STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  void Install(std::uint64_t mark, std::span<const PackId> packs, std::vector<std::shared_ptr<IndexFile>> indexes)
      STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  Result<void> ScanTails() STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  Result<void> ScanTail(const std::shared_ptr<OpenPack>& pack, std::uint64_t covered, std::uint64_t size)
      STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  void ForgetTails(PackId pack, std::uint64_t below) STRATA_REQUIRES(reload_mutex_);
  Result<void> SpillTails() STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  // Makes what is in tails_ of a pack durable, and its name not yet. False: that is not to be had.
  Result<bool> SyncTail(PackId pack, const TailState& state) STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  Result<bool> MendTail(PackId pack, const TailState& state) STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  // An index of this process goes to the spill folder.
  bool Spills() const { return options_.read_only || failure_.failed(); }
  Result<void> RemoveDamaged() STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  // Writes an index, gives it its name where others find it, and adds it to what is known.
  Result<void> PublishLocked(std::vector<PackRange> ranges, std::vector<IndexEntry>& entries)
      STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  Result<void> MergeLocked(bool all) STRATA_REQUIRES(reload_mutex_) STRATA_EXCLUDES(mutex_);
  std::vector<std::shared_ptr<IndexFile>> ChooseToMerge(bool all) STRATA_REQUIRES(reload_mutex_)
      STRATA_EXCLUDES(mutex_);
  std::size_t TailRecords() const { return tails_[0].size() + tails_[1].size(); }

  Env& env_;
  const Layout layout_;
  PackFiles& files_;
  const CatalogOptions options_;
  ChangeMark changes_;
  SyncFailure failure_;
  std::array<TailTable, 2> tails_;

  Mutex reload_mutex_;  // one reads the folder at a time; before mutex_
  absl::flat_hash_map<PackId, TailState> tail_states_ STRATA_GUARDED_BY(reload_mutex_);
  absl::flat_hash_set<PackId> own_ STRATA_GUARDED_BY(reload_mutex_);
  absl::flat_hash_set<std::uint64_t> damaged_ STRATA_GUARDED_BY(reload_mutex_);  // indexes that do not check
  std::vector<std::shared_ptr<IndexFile>> spilled_ STRATA_GUARDED_BY(reload_mutex_);
  absl::flat_hash_set<PackId> unreadable_ STRATA_GUARDED_BY(reload_mutex_);  // said once

  mutable Mutex mutex_;
  std::shared_ptr<const CatalogView> view_ STRATA_GUARDED_BY(mutex_);
  std::shared_ptr<const std::vector<Tail>> growing_ STRATA_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::pair<std::uint64_t, std::uint32_t>> bad_ STRATA_GUARDED_BY(mutex_);
  std::atomic<bool> any_bad_{false};
};

}  // namespace strata::store::pack
