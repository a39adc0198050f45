// Directory: what a workspace has in memory of one directory's names.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/ids.h"
#include "vfs/layer/lower_tree.h"
#include "vfs/workspace/name_filter.h"
#include "vfs/workspace/name_map.h"

namespace strata::vfs {

// A directory of few names is loaded whole. One of many may be in memory in part (`large`): then a name that is missing
// here has to be asked of the index, and what was removed stays as kAbsent until the index knows. Not thread-safe:
// guarded by its inode's lock.
class Directory {
 public:
  // All of the upper's own entries are in `names`.
  bool loaded = false;
  // Not loaded, because it has too many entries or some were given up.
  bool large = false;
  // Of a loaded one: the end of the last record that took a name out of `names`. It must not become large before the
  // index knows of that.
  Lsn erased;
  // Of one with many names: which the index may hold, beside those in `names`. Null: any.
  std::shared_ptr<NameFilter> filter;
  // Names that the index was asked for in vain.
  std::uint32_t misses = 0;
  // No layer shows through: what is not in `names` does not exist.
  bool upper_only = false;
  // The merged entries of the layers, once they have been needed; null before.
  std::shared_ptr<const LowerListing> listing;
  // What is remembered of the layers was asked at this time or later.
  std::int64_t lower_since = 0;
  NameMap names;

  NameSlot* Find(std::uint64_t hash, std::string_view name) { return names.Find(hash, name); }
  // What `listing` (not null) has of the name; null for nothing.
  const LowerListing::Item* Listed(std::uint64_t hash, std::string_view name) const;

  // Forgets what the layers said of its names. `now`: when they are asked anew.
  void ForgetLower(std::int64_t now);

  // Whether nothing is visible. Needs loaded, and upper_only or a listing.
  bool IsEmpty();

  // Gives up names that the index has too (changed <= `checkpoint`) and that were not looked up lately, looking at most
  // at `limit` of those in memory, from where it stopped the last time. It is large then, with a filter of at most
  // `filter_bytes`.
  struct Shed {
    std::size_t dropped = 0;
    bool cleared = false;  // some are given up the next time unless they are looked up
    Lsn newest;            // the greatest `changed` of what was dropped
  };
  Shed ShedNames(Lsn checkpoint, std::size_t limit, std::size_t filter_bytes);
  // Has `filter` hold all that is in `names`, which has to be all there is.
  void MakeFilter(std::size_t max_bytes);

  // Bytes of memory that it holds.
  std::size_t Footprint() const;

 private:
  std::uint64_t shed_from_ = 0;  // hash
};

}  // namespace strata::vfs
