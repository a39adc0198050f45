// ArchiveLinks: finds what the hard links of an archive are names of, in bounded memory. A link names an entry before
// it by its path; that entry may lie anywhere, may have been replaced since, and may be a link itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/status.h"
#include "store/import/record_sorter.h"
#include "store/import/tree_record.h"

namespace strata::store {

// What is known of one entry of the archive that has to do with hard links.
struct ResolvedLink {
  std::uint64_t origin = 0;          // the order of the entry that all these are names of
  std::optional<TreeRecord> record;  // of a link: that entry's; nothing for the entry itself
};

// Not thread-safe.
class ArchiveLinks {
 public:
  ArchiveLinks(Env& env, std::string folder, std::size_t memory);

  // The entry at `path`, of this order in the archive, is a hard link to what had the path `target` then.
  Result<void> Add(std::string_view path, std::uint64_t order, std::string_view target);
  std::uint64_t count() const { return count_; }

  // Reads the archive's sorted entries as often as links lead to links, and once for the others. kInvalid for a link to
  // what is not there before it, to a directory, or over more than 16 others.
  Result<void> Resolve(RecordSorter& entries);

  // What Resolve found, to be asked for each entry in sorted order.
  class Walk {
   public:
    explicit Walk(std::unique_ptr<RecordStream> resolved) : resolved_(std::move(resolved)) {}
    // Nothing for an entry that has nothing to do with hard links.
    Result<std::optional<ResolvedLink>> Find(std::string_view path, std::uint64_t order);

   private:
    std::unique_ptr<RecordStream> resolved_;
    SortedRecord next_;
    bool begun_ = false, more_ = false;
  };
  Result<Walk> Read();

 private:
  Env& env_;
  const std::string folder_;
  const std::size_t memory_;
  std::uint64_t count_ = 0;
  std::unique_ptr<RecordSorter> wanted_;  // by the target and the link's order: the link
  RecordSorter resolved_;                 // by the entry's path and order: ResolvedLink
};

}  // namespace strata::store
