#include "vfs/check/tree.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace strata::vfs {
namespace {

constexpr const char* kReport =
    "the journal itself tells it so: this is a fault of strata, please report it; what is not named here is sound";
constexpr const char* kRestoreLayer = "put the layer's file back as it was, or write or remove this one";

std::string Label(InodeNumber ino) { return "inode " + std::to_string(ino.value); }

// All tables in one pass, each ordered by inode.
class TreeCheck {
 public:
  TreeCheck(store::Index& index, LowerTree* lower, const SipHashKey& name_key, Findings& findings)
      : index_(index), lower_(lower), name_key_(name_key), findings_(findings) {}

  Result<void> Run(const CheckProgress& progress) {
    STRATA_ASSIGN(scan_, index_.Scan());
    const std::uint64_t inodes = index_.Counts().inodes;
    STRATA_ASSIGN(link_, scan_->NextLink());
    STRATA_ASSIGN(names_, scan_->NextNames());
    STRATA_ASSIGN(extent_, scan_->NextExtent());
    while (true) {
      STRATA_ASSIGN(std::optional<store::IndexInode> inode, scan_->NextInode());
      STRATA_TRY(PassStrays(inode ? inode->ino : InodeNumber(~0ULL)));
      if (!inode) break;
      STRATA_TRY(CheckInode(*inode));
      if (++checked_ % 1024 == 0)
        progress(std::min(1.0, static_cast<double>(checked_) / static_cast<double>(inodes + 1)));
    }
    findings_.Count("inodes", checked_);
    findings_.Count("directory entries", links_seen_);
    findings_.Count("extents", extents_seen_);
    if (lower_ != nullptr && !lower_->empty()) findings_.Count("files changed over a layer", bases_seen_);
    progress(1);
    return {};
  }

 private:
  void Damage(InodeNumber ino, std::string what) { findings_.Add(Severity::kDamage, ino, std::move(what), kReport); }

  // What belongs to inodes below `next` that are not there.
  Result<void> PassStrays(InodeNumber next) {
    while (link_ && link_->entry.ino < next) {
      Damage(link_->directory,
             "the entry '" + link_->entry.name + "' leads to " + Label(link_->entry.ino) + ", which does not exist");
      STRATA_TRY(NextLink());
    }
    while (names_ && names_->directory < next) {
      Damage(names_->directory, "there are entries of a directory that does not exist");
      STRATA_ASSIGN(names_, scan_->NextNames());
    }
    while (extent_ && extent_->ino < next) {
      Damage(extent_->ino, "there is data of a file that does not exist");
      STRATA_TRY(NextExtent());
    }
    return {};
  }
  Result<void> NextLink() {
    ++links_seen_;
    STRATA_ASSIGN(link_, scan_->NextLink());
    return {};
  }
  Result<void> NextExtent() {
    ++extents_seen_;
    STRATA_ASSIGN(extent_, scan_->NextExtent());
    return {};
  }

  Result<void> CheckInode(const store::IndexInode& inode) {
    const bool directory = inode.type == FileType::kDirectory;
    const bool in_layers = !inode.origin.sources.empty();
    std::uint64_t links = 0;
    InodeNumber holder;
    for (; link_ && link_->entry.ino == inode.ino; ++links) {
      holder = link_->directory;
      if (link_->entry.type != inode.type)
        Damage(holder, "the entry '" + link_->entry.name + "' gives another type than " + Label(inode.ino) + " has");
      STRATA_TRY(NextLink());
    }
    store::IndexScan::Names names;
    if (names_ && names_->directory == inode.ino) {
      names = *names_;
      STRATA_ASSIGN(names_, scan_->NextNames());
      if (!directory) Damage(inode.ino, "it has entries, and is no directory");
    }
    STRATA_TRY(CheckExtents(inode));
    STRATA_TRY(CheckLinks(inode, links, holder, in_layers));
    if (directory) STRATA_TRY(CheckDirectory(inode, names, in_layers));
    if (in_layers && inode.type == FileType::kRegular && inode.base_size > 0) CheckBase(inode);
    return {};
  }

  Result<void> CheckExtents(const store::IndexInode& inode) {
    std::uint64_t used = 0;
    while (extent_ && extent_->ino == inode.ino) {
      const Extent& extent = extent_->extent;
      used += extent.length;
      if (inode.type != FileType::kRegular) {
        Damage(inode.ino, "it has data, and is no regular file");
      } else if (extent.end() > inode.size) {
        Damage(inode.ino, "its data reaches to byte " + std::to_string(extent.end()) + ", beyond its size of " +
                              std::to_string(inode.size));
      }
      STRATA_TRY(NextExtent());
    }
    if (used != inode.used) {
      Damage(inode.ino,
             "it is said to have " + std::to_string(inode.used) + " bytes of data, and has " + std::to_string(used));
    }
    if (inode.base_size > inode.size) Damage(inode.ino, "more of the layer's file shows through than it has bytes");
    return {};
  }

  Result<void> CheckLinks(const InodeRecord& inode, std::uint64_t links, InodeNumber holder, bool in_layers) {
    if (inode.ino == kRootInode) {
      if (links != 0) Damage(inode.ino, "an entry leads to the root");
      if (inode.type != FileType::kDirectory) Damage(inode.ino, "the root is no directory");
      return {};
    }
    const bool from_layer = LowerTree::IsLower(inode.ino);
    if (links == 0 && (!from_layer || !in_layers)) {
      Damage(inode.ino, "an orphan: no entry leads to it");
    } else if (links == 0) {
      STRATA_TRY(CheckShown(inode));
    }
    if (inode.type == FileType::kDirectory) {
      if (links > 1) Damage(inode.ino, "a directory that " + std::to_string(links) + " entries lead to");
      if (links == 1 && inode.parent != holder) {
        Damage(inode.ino, "its parent is given as " + Label(inode.parent) + ", and it lies in " + Label(holder));
      }
    } else if (!from_layer && links != inode.nlink) {
      Damage(inode.ino, "its link count is " + std::to_string(inode.nlink) + ", and " + std::to_string(links) +
                            " entries lead to it");
    } else if (from_layer && (inode.nlink == 0 || links > inode.nlink)) {
      // Its other names are the layer's, of which not all need lie in the layer.
      Damage(inode.ino, "its link count is " + std::to_string(inode.nlink) + ", and " + std::to_string(links) +
                            " entries of the upper alone lead to it");
    }
    return {};
  }

  // A copied-up inode whose name is a layer's.
  Result<void> CheckShown(const InodeRecord& inode) {
    if (lower_ == nullptr) return {};
    LowerNode parent;
    std::string name;
    auto found = lower_->Resolve(kBackground, inode.ino, inode.locator, &parent, &name);
    if (found && !found->Is(inode.type, inode.generation)) found = Fail(Errc::kStale);
    if (!found) {
      findings_.Add(Severity::kWarning, inode.ino,
                    "it was changed here, and the layers do not show it any more (" +
                        std::string(found.error().message()) + "); it cannot be reached",
                    "put the layer back as it was, if it is still wanted");
      return {};
    }
    STRATA_ASSIGN(const InodeNumber directory, NumberIn(index_, parent));
    STRATA_ASSIGN(const auto entry, index_.LoadEntry(directory, NameHash(name_key_, name), name));
    // Of a file with several names another may still show.
    if (entry && entry->ino != inode.ino && inode.locator != 0)
      Damage(inode.ino, "an orphan: the upper hides the layer's name of it");
    return {};
  }

  Result<void> CheckDirectory(const InodeRecord& inode, const store::IndexScan::Names& names, bool in_layers) {
    std::uint64_t expected = 2 + names.subdirectories;
    const bool merged = in_layers && !inode.opaque;
    if (merged) {
      if (lower_ == nullptr) return {};
      const LowerNode node = lower_->NodeOf(inode);
      const auto base = lower_->Stat(kBackground, node);
      auto listing =
          base && !base->Is(inode.type, inode.generation) ? Fail(Errc::kStale) : lower_->List(kBackground, node);
      if (!listing) {
        findings_.Add(Severity::kWarning, inode.ino,
                      "the layers' directory beneath it cannot be read: " + std::string(listing.error().message()),
                      "put the layer back as it was");
        return {};
      }
      std::vector<std::pair<std::uint64_t, std::string>> own;
      STRATA_TRY(index_.LoadEntries(inode.ino, 0, std::numeric_limits<std::size_t>::max(),
                                    [&](const store::IndexEntry& entry) { own.emplace_back(entry.hash, entry.name); }));
      for (const LowerListing::Item& item : listing->items) {
        const std::pair<std::uint64_t, std::string> key(item.hash, listing->Name(item));
        expected += item.type == FileType::kDirectory && !std::ranges::binary_search(own, key);
      }
    }
    if (inode.nlink == expected || (merged && inode.nlink == 1)) return {};  // 1: not counted
    const std::string what = "its link count is " + std::to_string(inode.nlink) + ", and it has " +
                             std::to_string(expected - 2) + " sub-directories";
    if (merged) {
      findings_.Add(Severity::kWarning, inode.ino, what + "; the layer's directory has changed beneath it",
                    "nothing: only the count is wrong");
    } else {
      Damage(inode.ino, what);
    }
    return {};
  }

  void CheckBase(const InodeRecord& inode) {
    if (lower_ == nullptr) return;
    ++bases_seen_;
    const auto base = lower_->Stat(kBackground, lower_->NodeOf(inode));
    if (!base || !base->Is(inode.type, inode.generation)) {
      findings_.Add(Severity::kWarning, inode.ino,
                    "the layer's file beneath it is gone; what was not written here cannot be read", kRestoreLayer);
    } else if (base->attributes.size != inode.origin.size || base->attributes.mtime != inode.origin.mtime) {
      findings_.Add(Severity::kWarning, inode.ino,
                    "the layer's file beneath it has changed since; what was not written here cannot be read",
                    kRestoreLayer);
    }
  }

  store::Index& index_;
  LowerTree* const lower_;
  const SipHashKey& name_key_;
  Findings& findings_;
  std::unique_ptr<store::IndexScan> scan_;
  std::optional<store::IndexScan::Entry> link_;
  std::optional<store::IndexScan::Names> names_;
  std::optional<store::IndexScan::FileExtent> extent_;
  std::uint64_t checked_ = 0, links_seen_ = 0, extents_seen_ = 0, bases_seen_ = 0;
};

}  // namespace

Result<void> CheckTree(store::Index& index, LowerTree* lower, const SipHashKey& name_key, Findings& findings,
                       const CheckProgress& progress) {
  return TreeCheck(index, lower, name_key, findings).Run(progress);
}

}  // namespace strata::vfs
