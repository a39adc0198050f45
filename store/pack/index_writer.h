// Writing index files: from entries in order, from entries in any order, and several of them as one.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "store/pack/filter.h"
#include "store/pack/index_file.h"

namespace strata::store::pack {

// Takes entries in the order of their digests. Its memory is a few hundred KiB and the filter.
class IndexWriter {
 public:
  // `most`: no more entries will come. `ranges`: at most kMaxIndexRanges, no pack twice.
  static Result<std::unique_ptr<IndexWriter>> Create(Env& env, const std::string& path, std::uint64_t id,
                                                     std::vector<PackRange> ranges, std::uint64_t most);

  // `range`: of which one its pack is.
  Result<void> Add(const Digest& digest, std::size_t range, const Location& location);
  // Synced when it returns; the name is not. The file is locked while what it gives lives: so nobody takes it for one
  // that a crash has left, until it has its name.
  Result<std::unique_ptr<File>> Finish();

 private:
  IndexWriter(std::unique_ptr<File> file, std::uint64_t id, std::vector<PackRange> ranges, std::uint64_t most);
  Result<void> EndPage();
  Result<void> WriteOut();

  std::unique_ptr<File> file_;
  IndexHeader header_;
  const std::vector<PackRange> ranges_;
  DigestFilter filter_;
  IndexPage page_;
  std::size_t count_ = 0;     // on page_
  std::uint64_t number_ = 0;  // of page_
  std::vector<std::byte> out_;
  std::uint64_t written_ = 0;  // pages
};

// Writes an index of `entries` (which are sorted by this) to `path`. An entry whose pack is not of `ranges` is left
// out. What it gives: as IndexWriter::Finish.
Result<std::unique_ptr<File>> WriteIndex(Env& env, const std::string& path, std::uint64_t id,
                                         std::vector<PackRange> ranges, std::vector<IndexEntry>& entries);

// One index of what several have, without what `keeps` says no to. Entries that are the same are one. Stretches of one
// pack are one where they meet or overlap; where they do not, all that is kept is the longest (whoever opens the store
// reads the rest again from the pack).
struct MergeResult {
  std::uint64_t entries = 0;
  std::uint64_t dropped = 0;
  std::unique_ptr<File> file;  // as IndexWriter::Finish gives it
};
Result<MergeResult> MergeIndexes(Env& env, const std::string& path, std::uint64_t id,
                                 std::span<const std::shared_ptr<IndexFile>> sources,
                                 const std::function<bool(PackId)>& keeps);

}  // namespace strata::store::pack
