// What the parts of a check share: where findings go, and how the files that they speak of are named.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "store/index/scan.h"
#include "vfs/check/check.h"
#include "vfs/layer/lower_tree.h"

namespace strata::vfs {

// The advice where the index is wrong and the journal is right.
inline constexpr const char* kRebuildIndex = "rebuild the index from the journal: strata check --repair";

class Findings {
 public:
  void Add(Severity severity, std::string where, std::string what, std::string advice = {}) {
    Keep({severity, std::move(where), std::move(what), std::move(advice)}, kNoInode);
  }
  // Of an inode, whose path is found when all is done.
  void Add(Severity severity, InodeNumber ino, std::string what, std::string advice = {}) {
    Keep({severity, "", std::move(what), std::move(advice)}, ino);
  }
  void Count(std::string what, std::uint64_t number) { checked_.push_back({std::move(what), number}); }
  std::uint64_t damage() const { return damage_; }

  // Names are looked up in `index` and `lower`, either of which may be null.
  CheckReport Conclude(store::Index* index, LowerTree* lower);

 private:
  // Enough to see what is wrong; a report of a workspace that is wrong all through is bounded too.
  static constexpr std::size_t kMostKept = 1000;

  void Keep(Finding finding, InodeNumber ino) {
    damage_ += finding.severity == Severity::kDamage;
    if (kept_.size() >= kMostKept) {
      ++left_out_;
    } else {
      kept_.emplace_back(std::move(finding), ino);
    }
  }

  std::vector<std::pair<Finding, InodeNumber>> kept_;
  std::vector<CheckReport::Count> checked_;
  std::uint64_t left_out_ = 0;
  std::uint64_t damage_ = 0;
};

// By which of its numbers the upper knows a directory of the layers (vfs/layer/lower_tree.h).
Result<InodeNumber> NumberIn(store::Index& index, const LowerNode& directory);

// Paths of inodes ("/a/b"), or "inode 17" for one that has none. Either source may be null.
std::vector<std::string> PathsOf(store::Index* index, LowerTree* lower, const std::vector<InodeNumber>& inodes);

}  // namespace strata::vfs
