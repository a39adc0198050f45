// How the memory that a server may take (--memory) is divided. This is the one place that says so.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace strata::vfs {

// With no more than so many, the extents of a file stay in memory for as long as its inode does.
inline constexpr std::size_t kFewExtents = 256;

// What lies below takes more where it has caches of its own.
enum class LayersBelow : std::uint8_t {
  kFolders,       // of the host: the kernel caches what they read
  kStores,        // also trees of stores, which cache directories and chunks
  kNothingAbove,  // a layer that is served as it is: there is no journal and no index
};

// Bytes. The shares add up to the whole, for budgets that are not tiny. What they do not count (the program itself, the
// stacks of its threads, holes in the heap) is the 64 MiB that the process may take beyond its budget.
struct MemoryBudget {
  std::size_t inodes = 0;  // inodes, names and listings in memory
  // Of those, what the index does not hold yet and which so cannot be dropped: beyond it, changes wait for a
  // checkpoint.
  std::size_t dirty = 0;
  // Of those, what the locks of clients may take (NLM). It is lent: where there are no locks, inodes have it all, and
  // while there are some, inodes that were not used lately give way (FileSystem::LendMemory). A share set apart would
  // be idle for nearly everybody. Enough for 100,000 locks on one file, and for 100,000 files with a lock each.
  std::size_t locks = 0;
  std::size_t index_batch = 0;                                // what one transaction of a checkpoint gathers
  std::size_t index_written_pages = 0, index_read_pages = 0;  // SQLite's page caches
  std::size_t journal_pages = 0;                              // of the journal's files, mapped and read
  std::size_t layers = 0;                                     // what the layers remember and cache, together
  std::size_t server = 0;  // the protocol's: duplicate requests, received calls, replies not yet sent
  // A directory of fewer names than this is loaded whole, so that what it does not hold is known without asking; of one
  // of more, some are in memory and some are not. Where memory is short, names are given up of directories in use with
  // more than shed_names.
  std::size_t whole_directory_names = 0;
  std::size_t shed_names = 0;
  // The same of a file by its extents. One that grows in memory stays whole until memory is short.
  std::size_t whole_file_extents = 0;
  std::size_t shed_extents = 0;
  std::size_t name_filter = 0;  // a directory's NameFilter: enough for ten million names by default

  static constexpr MemoryBudget Of(std::size_t bytes, LayersBelow below = LayersBelow::kFolders) {
    const std::size_t part = bytes / 32;
    const bool folders = below == LayersBelow::kFolders, journal = below != LayersBelow::kNothingAbove;
    MemoryBudget budget;
    budget.inodes = (folders ? 14 : 10) * part;
    budget.dirty = std::max<std::size_t>(budget.inodes / 2, 64 << 10);
    budget.locks = 5 * part;
    if (journal) {
      budget.index_batch = std::max<std::size_t>(4 * part, 256 << 10);
      budget.index_written_pages = std::max<std::size_t>(3 * part, 256 << 10);
      budget.index_read_pages = std::max<std::size_t>(1 * part, 128 << 10);
      budget.journal_pages = std::max<std::size_t>((folders ? 6 : 4) * part, 1 << 20);
    }
    budget.layers = (folders ? 2 : journal ? 8 : 20) * part;
    budget.server = std::max<std::size_t>(2 * part, 256 << 10);
    budget.whole_directory_names = std::clamp<std::size_t>(budget.inodes / 2048, 4, 1 << 16);
    budget.shed_names = std::clamp<std::size_t>(budget.whole_directory_names / 256, 4, 256);
    budget.whole_file_extents = std::clamp<std::size_t>(budget.inodes / 8192, 4, 1 << 13);
    budget.shed_extents = std::clamp<std::size_t>(budget.whole_file_extents / 16, 4, kFewExtents);
    budget.name_filter = budget.inodes / 4;
    return budget;
  }
};

inline constexpr std::size_t kDefaultMemoryBytes = std::size_t{256} << 20;

}  // namespace strata::vfs
