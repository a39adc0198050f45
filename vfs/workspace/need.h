// Need: what a call found missing in memory, and how it comes by it.
//
// The shape of a call: take the locks, look. If all is in memory, check, write one record into the journal, change the
// inodes, answer. If something is missing, say what (Need), let go of the locks, fetch it (Supply), start over. So no
// lock is held over a disk, and a call that may not wait (OpContext::may_block) fails with kWouldBlock before it has
// changed anything.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "journal/change_log.h"
#include "store/index/index.h"
#include "vfs/workspace/inode_table.h"

namespace strata::vfs {

inline constexpr std::uint64_t kNoHash = ~0ULL;

// A stretch of what the index holds of a directory's own entries, for a call that lists one which is not loaded. What
// is in memory is newer.
struct OwnPage {
  std::uint64_t first = 0;  // of the hashes
  std::uint64_t last = 0;   // all up to and with this hash, if not `end`
  bool end = false;         // all there are
  bool loaded = false;
  Lsn read_at;                             // the index's position was at least this
  std::vector<store::IndexEntry> entries;  // in directory order

  bool Covers(std::uint64_t hash) const { return loaded && hash >= first && (end || hash <= last); }
};

// What the index says of a name.
inline NameSlot SlotOf(const store::IndexEntry& entry) {
  NameSlot slot;
  slot.state = entry.whiteout ? NameSlot::State::kWhiteout : NameSlot::State::kUpper;
  slot.ino = entry.ino;
  slot.type = entry.type;
  return slot;
}

// Whether a directory shows nothing, found out without its lock.
struct Emptiness {
  std::uint64_t serial = 0;  // of the inode, 0: not known
  Lsn changed;               // the inode's, throughout
  bool empty = false;
};

// What a call found missing in memory.
struct Need {
  enum class Kind : std::uint8_t {
    kNothing,
    kAgain,      // nothing: the guess of what to lock was wrong, or an object went away meanwhile
    kObject,     // the object `id`
    kChild,      // the object that `slot` of the directory leads to
    kEntries,    // the upper's own entries of the directory `id`
    kName,       // what the upper and the layers say of `name` in the directory `id`, which is large
    kLowerName,  // what the layers say of `name` in the directory `id`; the upper says nothing, or that is in memory
    kOwnPage,    // the upper's own entries of the large directory `id` from own_page->first on
    kEmptiness,  // whether the large directory `id` shows no entry
    kListing,    // the layers' merged listing of the directory `id`
    kExtents,    // what the index holds of the large file `id` from `from` to `to`, or some of it
    kRoom,       // a checkpoint, so that others need not wait for one
    kCount,      // how many bytes the extents of the large file `id` have from `from` to `to`
    kRecheck,    // whether what is remembered of the layers' part of `id` still holds
    kCopyUp,     // `id` as the upper's own
  };
  Kind kind = Kind::kNothing;
  ObjectId id;
  bool any_generation = false;  // kObject: only the number is known
  bool upper_only = false;      // kObject: kStale where the upper does not hold it; no layer is asked
  bool seen = false;            // kChild: the slot is of a moment ago; kStale if it leads nowhere any more
  std::string_view name;
  NameSlot slot;
  std::shared_ptr<const LowerNode> lower;         // of the directory; null where it is not to be asked
  std::int64_t lower_since = 0;                   // of the directory
  journal::Room room = journal::Room::kOrdinary;  // kCopyUp
  std::int64_t* began = nullptr;                  // when the call began, in CLOCK_MONOTONIC; 0 until it is wanted
  OwnPage* own_page = nullptr;
  Emptiness* emptiness = nullptr;
  std::uint64_t from = 0, to = 0;

  std::unexpected<Status> Again() {
    kind = Kind::kAgain;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Object(const ObjectId& object) {
    kind = Kind::kObject;
    id = object;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Number(InodeNumber ino) {
    any_generation = true;
    return Object({ino, Generation(0), 0});
  }
  std::unexpected<Status> Upper(InodeNumber ino) {
    upper_only = true;
    return Number(ino);
  }
  std::unexpected<Status> Of(Kind what, const Inode& directory, std::string_view name_within = {}) {
    kind = what;
    id = directory.id();
    if (!directory.directory->upper_only) lower = directory.lower;
    lower_since = directory.directory->lower_since;
    name = name_within;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Room() {
    kind = Kind::kRoom;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Range(Kind what, const Inode& file, std::uint64_t range_from, std::uint64_t range_to) {
    kind = what;
    id = file.id();
    from = range_from;
    to = range_to;
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> The(Kind what, const Inode& object) {
    kind = what;
    id = object.id();
    return Fail(Errc::kWouldBlock);
  }
  std::unexpected<Status> Child(const ObjectId& directory, std::shared_ptr<const LowerNode> directory_lower,
                                std::string_view name_within, const NameSlot& leads_to) {
    kind = Kind::kChild;
    id = directory;
    lower = std::move(directory_lower);
    name = name_within;
    slot = leads_to;
    return Fail(Errc::kWouldBlock);
  }
};

// How often a call starts over before it gives up with kJukebox: far beyond what any contention does.
inline constexpr int kMaxAttempts = 1000;
// After so many attempts a call keeps the evictor away until it is through.
inline constexpr int kPatience = 8;

// Runs `body(StripeLock&, Need&)` until it needs nothing more. `supply(Need&)` fetches what it does; no lock is held
// meanwhile.
template <typename Body, typename Supply>
auto RunUnderLocks(InodeTable& table, Body body, Supply supply)
    -> decltype(body(std::declval<StripeLock&>(), std::declval<Need&>())) {
  std::optional<InodeTable::Hold> hold;
  std::int64_t began = 0;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (attempt == kPatience) hold.emplace(table);
    Need need;
    need.began = &began;
    {
      StripeLock lock(table);
      auto result = body(lock, need);
      if (need.kind == Need::Kind::kNothing) return result;
    }
    if (need.kind != Need::Kind::kAgain) STRATA_TRY(supply(need));
  }
  return Fail(Errc::kJukebox);
}

}  // namespace strata::vfs
