// What differs from the layers: `strata diff`. Two trees are compared, that of the layers and that which is shown, but
// only where they can differ: a directory that shows the layers' own is looked into only where the upper holds
// something in it or beneath it.
#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <map>

#include "vfs/string_sink.h"
#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {
namespace {

constexpr std::uint32_t kComparedAtOnce = 256 << 10;
constexpr std::size_t kExtentsAtOnce = 4096;

// An inode of the upper.
struct UpperInode {
  InodeRecord record;
  std::vector<std::pair<std::string, NameSlot>> entries;  // of a directory: entries and whiteouts
};

// Gone, or replaced, since it was seen: as if it had been so before.
bool IsGone(const Status& status) { return IsAbsence(status.code()); }

}  // namespace

// One comparison. It lives for one call of Changes.
class ChangeFinder {
 public:
  // `shown` is the workspace as its clients see it.
  ChangeFinder(InodeTable& table, LowerTree& lower, Loader& loader, FileSystem& shown)
      : table_(table), lower_(lower), loader_(loader), shown_(shown) {}

  Result<std::vector<PathChange>> Run() {
    STRATA_TRY(Gather());
    STRATA_TRY(GatherEntries());
    STRATA_TRY(MarkChanged());
    STRATA_ASSIGN(Shown root, ShownAs(kRootInode, nullptr));
    if (root.merges) {
      STRATA_ASSIGN(LowerFound base, lower_.Root(kBackground));
      if (AttributesDiffer(root, base.attributes)) Report(ChangeKind::kModified, "/", FileType::kDirectory);
      pending_.push_back({"", std::move(root), std::move(base.node)});
    } else {
      pending_.push_back({"", std::move(root), std::nullopt});
    }
    while (!pending_.empty()) {
      const Pair next = std::move(pending_.back());
      pending_.pop_back();
      STRATA_TRY(Compare(next));
    }
    std::sort(changes_.begin(), changes_.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return std::move(changes_);
  }

 private:
  // An object as the workspace shows it.
  struct Shown {
    InodeNumber ino;
    FileType type = FileType::kRegular;
    const UpperInode* upper = nullptr;  // null for what only layers hold
    LowerNode lower;                    // no sources where no layer has a part in it
    Attributes attributes;              // of what only layers hold
    bool merges = false;                // of a directory: the layers' entries show through
  };
  // A directory that is shown and what the layers have at its path: a directory, or nothing.
  struct Pair {
    std::string path;
    Shown shown;
    std::optional<LowerNode> base;
  };

  Result<void> Gather();
  Result<void> GatherEntries();
  Result<void> MarkChanged();
  Result<void> MarkPlace(LowerNode node, FileType type);
  Result<void> MarkLinks(const absl::flat_hash_set<InodeNumber>& linked);
  Result<Shown> ShownAs(InodeNumber ino, const LowerFound* found);
  Result<std::map<std::string, Shown>> List(const Shown& directory);
  Result<void> Compare(const Pair& pair);
  Result<void> CompareNames(const Pair& pair);
  Result<void> CompareEntry(std::string path, Shown shown, const LowerFound& base);
  Result<bool> Differs(const Shown& shown, const LowerFound& base);
  Result<bool> ContentDiffers(const Shown& shown, const LowerFound& base);
  Result<bool> RangeDiffers(const ObjectId& id, const LowerNode& base, std::uint64_t offset, std::uint64_t end);

  static bool AttributesDiffer(const Shown& shown, const Attributes& base) {
    const bool upper = shown.upper != nullptr;
    const std::uint32_t mode = upper ? shown.upper->record.mode : shown.attributes.mode;
    const std::uint32_t uid = upper ? shown.upper->record.uid : shown.attributes.uid;
    const std::uint32_t gid = upper ? shown.upper->record.gid : shown.attributes.gid;
    return (mode != base.mode && shown.type != FileType::kSymlink) || uid != base.uid || gid != base.gid;
  }
  void Report(ChangeKind kind, std::string path, FileType type) { changes_.push_back({kind, std::move(path), type}); }
  void Add(std::string path, Shown shown) {
    Report(ChangeKind::kAdded, path, shown.type);
    if (shown.type == FileType::kDirectory) pending_.push_back({std::move(path), std::move(shown), std::nullopt});
  }

  InodeTable& table_;
  LowerTree& lower_;
  Loader& loader_;
  FileSystem& shown_;
  absl::flat_hash_map<InodeNumber, UpperInode> upper_;
  absl::flat_hash_set<InodeNumber> placed_;  // what an entry of the upper's own leads to
  // Of the layers' directories, by their own numbers: the names that lead, as the layers have them, to what the upper
  // changed, or to a directory with such a name somewhere beneath.
  absl::flat_hash_map<InodeNumber, absl::flat_hash_set<std::string>> marked_;
  std::vector<Pair> pending_;
  std::vector<PathChange> changes_;
};

Result<void> ChangeFinder::Gather() {
  return loader_.VisitUpper([&](const InodeRecord& record) { upper_[record.ino].record = record; },
                            [&](InodeNumber ino) { upper_.erase(ino); });
}

Result<void> ChangeFinder::GatherEntries() {
  for (auto& [ino, inode] : upper_) {
    if (inode.record.type != FileType::kDirectory) continue;
    const ObjectId id{ino, inode.record.generation, inode.record.locator};
    auto entries = loader_.VisitOwn(
        id, [&](std::string_view name, const NameSlot& slot) { inode.entries.emplace_back(name, slot); });
    if (!entries && !IsGone(entries.error())) return entries;
    for (const auto& [name, slot] : inode.entries) {
      if (slot.state == NameSlot::State::kUpper) placed_.insert(slot.ino);
    }
  }
  return {};
}

Result<void> ChangeFinder::MarkChanged() {
  absl::flat_hash_set<InodeNumber> linked;
  for (const auto& [ino, inode] : upper_) {
    const InodeRecord& record = inode.record;
    if (ino == kRootInode || !LowerTree::IsLower(ino)) continue;
    const LowerNode node = lower_.NodeOf(record);
    if (record.type != FileType::kDirectory) {
      // A file's other links change with it.
      const auto base = lower_.Stat(kBackground, node);
      if (!base && !IsGone(base.error())) return Fail(base.error());
      if (base && base->Is(record.type, record.generation) && base->attributes.nlink > 1) {
        linked.insert(node.number);
        continue;
      }
    }
    // A file may have been given a name in the upper beside the layers' own.
    const bool only_placed = record.type == FileType::kDirectory && placed_.contains(ino);
    if (!only_placed) STRATA_TRY(MarkPlace(node, record.type));
  }
  return linked.empty() ? Result<void>() : MarkLinks(linked);
}

// Marks the name that leads to the node in the layers, and all above it up to what is marked or is the upper's own
// entry.
Result<void> ChangeFinder::MarkPlace(LowerNode node, FileType type) {
  while (node.number != kRootInode) {
    LowerNode parent;
    std::string name;
    const auto found = lower_.Resolve(kBackground, node.number, node.locator, &parent, &name);
    if (!found && !IsGone(found.error())) return Fail(found.error());
    if (!found || !found->Is(type, node.generation)) return {};
    STRATA_ASSIGN(const InodeNumber directory, loader_.NumberOf(kBackground, parent));
    if (!marked_[parent.number].insert(std::move(name)).second || placed_.contains(directory)) return {};
    node = std::move(parent);
    type = FileType::kDirectory;
  }
  return {};
}

// Nothing but a walk finds all names of a file with several links.
Result<void> ChangeFinder::MarkLinks(const absl::flat_hash_set<InodeNumber>& linked) {
  STRATA_ASSIGN(LowerFound root, lower_.Root(kBackground));
  std::vector<LowerNode> pending;
  pending.push_back(std::move(root.node));
  while (!pending.empty()) {
    const LowerNode directory = std::move(pending.back());
    pending.pop_back();
    auto listing = lower_.List(kBackground, directory);
    if (!listing && !MayPassOver(listing.error().code())) return Fail(listing.error());
    if (!listing) continue;
    bool here = false;
    for (const LowerListing::Item& item : listing->items) {
      const std::string_view name = listing->Name(item);
      if (item.type == FileType::kDirectory) {
        auto found = lower_.Lookup(kBackground, directory, name);
        if (!found && !IsGone(found.error())) return Fail(found.error());
        if (found) pending.push_back(std::move(found->node));
      } else if (linked.contains(item.number)) {
        marked_[directory.number].insert(std::string(name));
        here = true;
      }
    }
    if (!here) continue;
    STRATA_ASSIGN(const InodeNumber number, loader_.NumberOf(kBackground, directory));
    if (!placed_.contains(number)) STRATA_TRY(MarkPlace(directory, FileType::kDirectory));
  }
  return {};
}

// `found`: what the layers say of it; null for what must be of the upper's own.
Result<ChangeFinder::Shown> ChangeFinder::ShownAs(InodeNumber ino, const LowerFound* found) {
  Shown shown;
  shown.ino = ino;
  const auto upper = upper_.find(ino);
  if (upper != upper_.end()) {
    const InodeRecord& record = upper->second.record;
    shown.upper = &upper->second;
    shown.type = record.type;
    shown.lower = lower_.NodeOf(record);
    if (record.type != FileType::kDirectory || record.opaque || record.origin.sources.empty()) return shown;
    const auto base = lower_.Stat(kBackground, shown.lower);
    if (!base && !IsGone(base.error())) return Fail(base.error());
    shown.merges = base && base->Is(record.type, record.generation);
    return shown;
  }
  std::optional<LowerFound> root;
  if (found == nullptr && ino == kRootInode && !lower_.empty()) {
    STRATA_ASSIGN(root, lower_.Root(kBackground));
    found = &*root;
  }
  if (found == nullptr) return Fail(Errc::kStale);
  shown.type = found->attributes.type;
  shown.lower = found->node;
  shown.attributes = found->attributes;
  shown.merges = shown.type == FileType::kDirectory;
  return shown;
}

// All that the directory shows.
Result<std::map<std::string, ChangeFinder::Shown>> ChangeFinder::List(const Shown& directory) {
  std::map<std::string, Shown> names;
  absl::flat_hash_set<std::string_view> own;
  if (directory.upper != nullptr) {
    for (const auto& [name, slot] : directory.upper->entries) {
      own.insert(name);
      if (slot.state != NameSlot::State::kUpper) continue;
      auto shown = ShownAs(slot.ino, nullptr);
      if (!shown && !IsGone(shown.error())) return Fail(shown.error());
      if (shown) names.emplace(name, std::move(*shown));
    }
  }
  if (!directory.merges) return names;
  auto listing = lower_.List(kBackground, directory.lower);
  if (!listing) {
    if (IsGone(listing.error())) return names;
    return Fail(listing.error());
  }
  for (const LowerListing::Item& item : listing->items) {
    const std::string_view name = listing->Name(item);
    if (own.contains(name)) continue;
    auto found = lower_.Lookup(kBackground, directory.lower, name);
    if (!found && IsGone(found.error())) continue;
    if (!found) return Fail(found.error());
    STRATA_ASSIGN(const InodeNumber number, loader_.NumberOf(kBackground, *found));
    if (number == kNoInode) continue;
    STRATA_ASSIGN(Shown shown, ShownAs(number, &*found));
    names.emplace(name, std::move(shown));
  }
  return names;
}

Result<void> ChangeFinder::Compare(const Pair& pair) {
  if (pair.base && pair.shown.merges && pair.base->sources == pair.shown.lower.sources) return CompareNames(pair);
  STRATA_ASSIGN(auto names, List(pair.shown));
  if (pair.base) {
    auto listing = lower_.List(kBackground, *pair.base);
    if (!listing && !IsGone(listing.error())) return Fail(listing.error());
    for (std::size_t i = 0; listing && i < listing->items.size(); ++i) {
      const LowerListing::Item& item = listing->items[i];
      const std::string name(listing->Name(item));
      std::string path = pair.path + "/" + name;
      const auto shown = names.find(name);
      if (shown == names.end()) {
        Report(ChangeKind::kDeleted, std::move(path), item.type);
        continue;
      }
      auto base = lower_.Lookup(kBackground, *pair.base, name);
      if (!base && !IsGone(base.error())) return Fail(base.error());
      if (base) {
        STRATA_TRY(CompareEntry(std::move(path), std::move(shown->second), *base));
        names.erase(shown);
      }
    }
  }
  for (auto& [name, shown] : names) Add(pair.path + "/" + name, std::move(shown));
  return {};
}

// Of a directory that shows the layers' own: by what the upper says of it and by what is marked in it.
Result<void> ChangeFinder::CompareNames(const Pair& pair) {
  absl::flat_hash_set<std::string_view> own;
  if (pair.shown.upper != nullptr) {
    for (const auto& [name, slot] : pair.shown.upper->entries) {
      own.insert(name);
      std::string path = pair.path + "/" + name;
      auto base = lower_.Lookup(kBackground, *pair.base, name);
      if (!base && !IsGone(base.error())) return Fail(base.error());
      if (slot.state == NameSlot::State::kWhiteout) {
        if (base) Report(ChangeKind::kDeleted, std::move(path), base->attributes.type);
        continue;
      }
      auto shown = ShownAs(slot.ino, nullptr);
      if (!shown && !IsGone(shown.error())) return Fail(shown.error());
      if (!shown) continue;
      if (base) {
        STRATA_TRY(CompareEntry(std::move(path), std::move(*shown), *base));
      } else {
        Add(std::move(path), std::move(*shown));
      }
    }
  }
  const auto marked = marked_.find(pair.base->number);
  if (marked == marked_.end()) return {};
  for (const std::string& name : marked->second) {
    if (own.contains(name)) continue;
    auto base = lower_.Lookup(kBackground, *pair.base, name);
    if (!base && IsGone(base.error())) continue;
    if (!base) return Fail(base.error());
    STRATA_ASSIGN(const InodeNumber number, loader_.NumberOf(kBackground, *base));
    if (number == kNoInode) continue;
    STRATA_ASSIGN(Shown shown, ShownAs(number, &*base));
    STRATA_TRY(CompareEntry(pair.path + "/" + name, std::move(shown), *base));
  }
  return {};
}

Result<void> ChangeFinder::CompareEntry(std::string path, Shown shown, const LowerFound& base) {
  STRATA_ASSIGN(const bool differs, Differs(shown, base));
  if (differs) Report(ChangeKind::kModified, path, shown.type);
  if (shown.type != FileType::kDirectory) return {};
  std::optional<LowerNode> beneath;
  if (base.attributes.type == FileType::kDirectory) beneath = base.node;
  pending_.push_back({std::move(path), std::move(shown), std::move(beneath)});
  return {};
}

// Whether the object itself has changed: its type, mode, owner or content; not its times, nor what is in a directory.
Result<bool> ChangeFinder::Differs(const Shown& shown, const LowerFound& base) {
  if (shown.type != base.attributes.type || AttributesDiffer(shown, base.attributes)) return true;
  if (shown.upper == nullptr && shown.lower.number == base.node.number) return false;
  switch (shown.type) {
    case FileType::kRegular:
      return ContentDiffers(shown, base);
    case FileType::kSymlink: {
      STRATA_ASSIGN(const std::string target, lower_.ReadLink(kBackground, base.node));
      if (shown.upper != nullptr) return shown.upper->record.symlink_target != target;
      STRATA_ASSIGN(const std::string other, lower_.ReadLink(kBackground, shown.lower));
      return other != target;
    }
    case FileType::kBlockDevice:
    case FileType::kCharacterDevice:
      return (shown.upper != nullptr ? shown.upper->record.rdev : shown.attributes.rdev) != base.attributes.rdev;
    default:
      return false;
  }
}

Result<bool> ChangeFinder::ContentDiffers(const Shown& shown, const LowerFound& base) {
  const InodeRecord* record = shown.upper != nullptr ? &shown.upper->record : nullptr;
  const std::uint64_t size = record != nullptr ? record->size : shown.attributes.size;
  if (size != base.attributes.size) return true;
  const ObjectId id = record != nullptr ? ObjectId{record->ino, record->generation, record->locator}
                                        : ObjectId{shown.ino, shown.lower.generation, shown.lower.locator};
  const bool same = shown.lower.number == base.node.number && base.Is(shown.type, shown.lower.generation);
  if (record == nullptr || !same) return RangeDiffers(id, base.node, 0, size);
  // The layer's own file: only what was written can differ.
  const bool changed_beneath =
      record->origin.size != base.attributes.size || record->origin.mtime != base.attributes.mtime;
  if (record->base_size > 0 && changed_beneath) {
    return true;  // it was changed beneath us, and cannot be read any more
  }
  for (std::uint64_t from = 0; from < size;) {
    std::vector<Extent> written;
    std::uint64_t until = from;
    const auto look = [&](StripeLock& lock, Need& need) -> Result<void> {
      lock.Lock({id.ino});
      STRATA_ASSIGN(Inode * inode, loader_.Find(id, need));
      until = inode->extents.KnownUntil(from, size);
      if (until == from) return need.Range(Need::Kind::kExtents, *inode, from, ExtentMap::kEnd);
      written.clear();
      for (auto extent = inode->extents.FirstAt(from); extent && extent->offset < until;
           extent = inode->extents.FirstAt(extent->end())) {
        if (written.size() == kExtentsAtOnce) {
          until = extent->offset;
          break;
        }
        written.push_back(*extent);
      }
      return {};
    };
    const auto found = RunUnderLocks(table_, look, [this](Need& need) { return loader_.Supply(kBackground, need); });
    if (!found) return IsGone(found.error()) ? Result<bool>(false) : Fail(found.error());
    for (const Extent& extent : written) {
      STRATA_ASSIGN(const bool differs, RangeDiffers(id, base.node, extent.offset, extent.end()));
      if (differs) return true;
    }
    from = until;
  }
  return RangeDiffers(id, base.node, record->base_size, size);
}

Result<bool> ChangeFinder::RangeDiffers(const ObjectId& id, const LowerNode& base, std::uint64_t offset,
                                        std::uint64_t end) {
  while (offset < end) {
    const std::uint64_t wanted = std::min<std::uint64_t>(kComparedAtOnce, end - offset);
    StringSink expected, shown;
    STRATA_ASSIGN(const std::size_t got, lower_.Read(kBackground, base, offset, wanted, nullptr, expected));
    auto read = shown_.Read(kBackground, id, offset, static_cast<std::uint32_t>(wanted), shown);
    if (!read && !IsGone(read.error())) return Fail(read.error());
    // A READ of very many extents gives less than it was asked for.
    if (!read || got != wanted || shown.data.empty() || !expected.data.starts_with(shown.data)) return true;
    offset += shown.data.size();
  }
  return false;
}

Result<std::vector<PathChange>> WorkspaceImpl::Changes() {
  STRATA_TRY(Checkpoint());
  return ChangeFinder(table_, lower_, loader_, *this).Run();
}

}  // namespace strata::vfs
