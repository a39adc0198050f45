// What differs from the layers: `strata diff`.
#include <algorithm>

#include "vfs/workspace_impl.h"

namespace strata::vfs {
namespace {

// The upper's inodes, gathered from memory and index.
struct UpperInode {
  InodeRecord record;
  std::vector<std::pair<std::string, NameSlot>> entries;  // of a directory: entries and whiteouts
};

}  // namespace

Result<std::vector<PathChange>> WorkspaceImpl::Changes() {
  STRATA_TRY(Checkpoint());
  absl::flat_hash_map<InodeNumber, UpperInode> upper;
  auto gather = [&](const InodeRecord& record) { upper[record.ino].record = record; };
  if (index_) STRATA_TRY(index_->VisitInodes(gather));
  // A reader holds in memory what the index does not have yet.
  table_.ForEach([&](const Inode& inode) {
    if (!inode.upper && !inode.removed) return;
    if (inode.removed) {
      upper.erase(inode.record.ino);
    } else {
      gather(inode.FullRecord());
    }
  });
  const OpContext context{.credentials = {}, .may_block = true};
  for (auto& [ino, inode] : upper) {
    if (inode.record.type != FileType::kDirectory) continue;
    const ObjectId id{ino, inode.record.generation, inode.record.locator};
    STRATA_TRY(Run(context, [&](StripeLock& lock, Need& need) -> Result<void> {
      lock.Lock({id.ino});
      STRATA_ASSIGN(Inode * directory, GetDirectory(id, need));
      if (!directory->directory->loaded) return need.Of(Need::Kind::kEntries, *directory);
      inode.entries.clear();
      for (const auto& [key, slot] : directory->directory->names) {
        if (slot.state == NameSlot::State::kUpper || slot.state == NameSlot::State::kWhiteout) {
          inode.entries.emplace_back(key.name, slot);
        }
      }
      return {};
    }));
  }

  // Where each directory of the upper's own is, and what the layers show in it.
  absl::flat_hash_map<InodeNumber, std::pair<InodeNumber, std::string>> placed;  // by an upper entry: parent and name
  for (const auto& [ino, inode] : upper) {
    for (const auto& [name, slot] : inode.entries) {
      if (slot.state == NameSlot::State::kUpper) placed[slot.ino] = {ino, name};
    }
  }
  // The path of a visible object; kStale for one that nothing shows.
  std::function<Result<std::string>(InodeNumber, std::uint64_t, int)> path_of =
      [&](InodeNumber ino, std::uint64_t locator, int depth) -> Result<std::string> {
    if (ino == kRootInode) return std::string();
    if (depth > 4096) return Fail(Errc::kCorrupt, "directories of " + path_ + " form a cycle");
    if (auto found = placed.find(ino); found != placed.end()) {
      const auto& [parent, name] = found->second;
      auto holder = upper.find(parent);
      STRATA_ASSIGN(std::string above, path_of(parent, holder == upper.end() ? 0 : holder->second.record.locator, depth + 1));
      return above + "/" + name;
    }
    if (!LowerTree::IsLower(ino)) return Fail(Errc::kStale);
    LowerNode parent;
    std::string name;
    STRATA_TRY(lower_.Resolve(ino, locator, &parent, &name));
    STRATA_TRY(CheckShown(parent, name, ino));
    STRATA_ASSIGN(std::string above, path_of(parent.number, parent.locator, depth + 1));
    return above + "/" + name;
  };

  std::vector<PathChange> changes;
  // Everything that a layer's directory, moved here, brings along is new at this place.
  std::function<Result<void>(const LowerNode&, InodeNumber, const std::string&)> add_beneath =
      [&](const LowerNode& lower, InodeNumber ino, const std::string& path) -> Result<void> {
    STRATA_ASSIGN(LowerListing listing, lower_.List(lower));
    const auto own = upper.find(ino);
    for (const LowerListing::Item& item : listing.items) {
      const std::string_view name = listing.Name(item);
      if (own != upper.end() && std::any_of(own->second.entries.begin(), own->second.entries.end(),
                                            [&](const auto& entry) { return entry.first == name; })) {
        continue;
      }
      const std::string child_path = path + "/" + std::string(name);
      changes.push_back({ChangeKind::kAdded, child_path, item.type});
      if (item.type == FileType::kDirectory) {
        STRATA_ASSIGN(LowerFound child, lower_.Lookup(lower, name));
        STRATA_TRY(add_beneath(child.node, child.node.number, child_path));
      }
    }
    return {};
  };

  for (const auto& [ino, inode] : upper) {
    const InodeRecord& record = inode.record;
    auto path = path_of(ino, record.locator, 0);
    if (!path) {
      if (path.error().code() == Errc::kStale) continue;
      return Fail(path.error());
    }
    const bool lower_here = !record.origin.sources.empty() && !placed.contains(ino);
    if (lower_here && record.type != FileType::kDirectory) {
      changes.push_back({ChangeKind::kModified, *path, record.type});
    }
    if (lower_here && record.type == FileType::kDirectory) {
      // A directory counts as modified where its own mode or owner changed, not where entries came and went.
      auto base = lower_.Stat({ino, record.generation, record.locator, record.origin.sources});
      if (base && (base->attributes.mode != record.mode || base->attributes.uid != record.uid ||
                   base->attributes.gid != record.gid)) {
        changes.push_back({ChangeKind::kModified, path->empty() ? "/" : *path, record.type});
      }
    }
    const bool merges = !record.origin.sources.empty() && !record.opaque;
    const LowerNode lower{ino, record.generation, record.locator, record.origin.sources};
    for (const auto& [name, slot] : inode.entries) {
      const std::string child_path = *path + "/" + name;
      Result<LowerFound> beneath = merges && !placed.contains(ino) ? lower_.Lookup(lower, name) : Fail(Errc::kNotFound);
      if (!beneath && beneath.error().code() != Errc::kNotFound) return Fail(beneath.error());
      if (slot.state == NameSlot::State::kWhiteout) {
        if (beneath) changes.push_back({ChangeKind::kDeleted, child_path, beneath->attributes.type});
        continue;
      }
      changes.push_back({beneath ? ChangeKind::kModified : ChangeKind::kAdded, child_path, slot.type});
      auto child = upper.find(slot.ino);
      if (slot.type == FileType::kDirectory && child != upper.end() && !child->second.record.origin.sources.empty() &&
          !child->second.record.opaque) {
        const InodeRecord& moved = child->second.record;
        STRATA_TRY(add_beneath({slot.ino, moved.generation, moved.locator, moved.origin.sources}, slot.ino, child_path));
      }
    }
  }
  std::sort(changes.begin(), changes.end(), [](const PathChange& a, const PathChange& b) { return a.path < b.path; });
  changes.erase(std::unique(changes.begin(), changes.end(),
                            [](const PathChange& a, const PathChange& b) { return a.path == b.path; }),
                changes.end());
  return changes;
}

}  // namespace strata::vfs
