#include "vfs/check/findings.h"

#include <set>
#include <unordered_map>

namespace strata::vfs {
namespace {

struct Link {
  InodeNumber directory;
  std::string name;
};

// Paths are for people: one that is deeper is shown from the middle on.
constexpr int kMostParents = 64;

// Finds where inodes hang: by the index, else by the layers.
class Paths {
 public:
  Paths(store::Index* index, LowerTree* lower, const std::set<InodeNumber>& wanted) : index_(index), lower_(lower) {
    if (index == nullptr) return;
    auto scan = index->Scan();
    if (!scan) return;
    while (true) {
      auto link = (*scan)->NextLink();
      if (!link || !*link) return;
      const store::IndexEntry& entry = (*link)->entry;
      if (entry.type == FileType::kDirectory || wanted.contains(entry.ino)) {
        links_.try_emplace(entry.ino, Link{(*link)->directory, entry.name});
      }
    }
  }

  std::string Of(InodeNumber ino) {
    if (ino == kRootInode) return "/";
    std::string path;
    InodeNumber at = ino;
    for (int depth = 0; at != kRootInode; ++depth) {
      const Link* link = depth < kMostParents ? Find(at) : nullptr;
      if (link == nullptr) return path.empty() ? "inode " + std::to_string(ino.value) : "..." + path;
      path = "/" + link->name + path;
      at = link->directory;
    }
    return path;
  }

 private:
  const Link* Find(InodeNumber ino) {
    if (const auto known = links_.find(ino); known != links_.end()) return &known->second;
    if (lower_ == nullptr || !LowerTree::IsLower(ino)) return nullptr;
    std::uint64_t locator = 0;
    if (const auto known = locators_.find(ino); known != locators_.end()) {
      locator = known->second;
    } else if (index_ != nullptr) {
      if (auto record = index_->LoadInode(ino); record && *record) locator = (*record)->locator;
    }
    LowerNode parent;
    std::string name;
    if (!lower_->Resolve(kBackground, ino, locator, &parent, &name)) return nullptr;
    const auto number = index_ != nullptr ? NumberIn(*index_, parent) : parent.number;
    if (!number) return nullptr;
    locators_[*number] = parent.locator;
    return &links_.emplace(ino, Link{*number, std::move(name)}).first->second;
  }

  store::Index* index_;
  LowerTree* lower_;
  std::unordered_map<InodeNumber, Link> links_;
  std::unordered_map<InodeNumber, std::uint64_t> locators_;  // of layers' directories that were met
};

}  // namespace

Result<InodeNumber> NumberIn(store::Index& index, const LowerNode& directory) {
  LowerFound found;
  found.node = directory;
  found.attributes.type = FileType::kDirectory;
  const InodeNumber again = LowerTree::AgainNumber(directory, FileType::kDirectory);
  STRATA_ASSIGN(const auto known, index.LoadInode(again));
  if (known) return again;
  STRATA_ASSIGN(const auto first, index.LoadInode(directory.number));
  return first && !found.Is(first->type, first->generation) ? again : directory.number;
}

std::vector<std::string> PathsOf(store::Index* index, LowerTree* lower, const std::vector<InodeNumber>& inodes) {
  Paths paths(index, lower, {inodes.begin(), inodes.end()});
  std::vector<std::string> found;
  for (const InodeNumber ino : inodes) found.push_back(paths.Of(ino));
  return found;
}

CheckReport Findings::Conclude(store::Index* index, LowerTree* lower) {
  CheckReport report;
  std::set<InodeNumber> wanted;
  for (const auto& [finding, ino] : kept_) {
    if (ino != kNoInode) wanted.insert(ino);
  }
  if (!wanted.empty()) {
    Paths paths(index, lower, wanted);
    for (auto& [finding, ino] : kept_) {
      if (ino != kNoInode) finding.where = paths.Of(ino);
    }
  }
  for (auto& [finding, ino] : kept_) report.findings.push_back(std::move(finding));
  report.checked = std::move(checked_);
  report.left_out = left_out_;
  report.damage = damage_;
  return report;
}

}  // namespace strata::vfs
