// What was changed here and then in a layer too: `strata diff --conflicts`.
#include <absl/container/flat_hash_map.h>

#include <algorithm>

#include "vfs/workspace/workspace_impl.h"

namespace strata::vfs {

// One search. It lives for one call of Conflicts.
class ConflictFinder {
 public:
  ConflictFinder(LowerTree& lower, Loader& loader) : lower_(lower), loader_(loader) {}

  Result<std::vector<Conflict>> Run() {
    STRATA_TRY(Gather());
    for (const auto& [ino, record] : copied_up_) STRATA_TRY(Look(record));
    std::sort(conflicts_.begin(), conflicts_.end(),
              [](const auto& a, const auto& b) { return std::tie(a.path, a.ino) < std::tie(b.path, b.ino); });
    return std::move(conflicts_);
  }

 private:
  struct Place {
    InodeNumber directory;
    std::string name;
  };

  // What of the layers' the upper changed, and where the upper's own entries have it, or a directory above it.
  Result<void> Gather() {
    absl::flat_hash_map<InodeNumber, ObjectId> directories;
    const auto there = [&](const InodeRecord& record) {
      const InodeNumber ino = record.ino;
      if (record.type == FileType::kDirectory) directories[ino] = {ino, record.generation, record.locator};
      if (LowerTree::IsLower(ino)) copied_up_[ino] = record;
    };
    STRATA_TRY(loader_.VisitUpper(there, [&](InodeNumber ino) {
      directories.erase(ino);
      copied_up_.erase(ino);
    }));
    for (const auto& [ino, directory] : directories) {
      auto visited = loader_.VisitOwn(directory, [&](std::string_view name, const NameSlot& slot) {
        const bool wanted = slot.type == FileType::kDirectory || copied_up_.contains(slot.ino);
        if (slot.state == NameSlot::State::kUpper && wanted) {
          places_.try_emplace(slot.ino, Place{directory.ino, std::string(name)});
        }
      });
      if (!visited && !IsAbsence(visited.error().code())) return visited;
    }
    return {};
  }

  Result<void> Look(const InodeRecord& record) {
    if (record.ino == kRootInode || record.nlink == 0) return {};
    STRATA_ASSIGN(const std::optional<std::string> path, PathOf(record));
    if (!path) {
      conflicts_.push_back({ConflictKind::kUnreachable, "", record.ino, record.type});
      return {};
    }
    if (record.type != FileType::kRegular || record.base_size == 0 || record.origin.sources.empty()) return {};
    const auto base = lower_.Stat(kBackground, lower_.NodeOf(record));
    if (!base && !IsAbsence(base.error().code())) return Fail(base.error());
    const bool same = base && base->Is(record.type, record.generation);
    if (same && record.origin.size == base->attributes.size && record.origin.mtime == base->attributes.mtime) return {};
    conflicts_.push_back({same ? ConflictKind::kChanged : ConflictKind::kGone, *path, record.ino, record.type});
    return {};
  }

  // By the upper's own entries where they lead to it, else by the layers' names; nothing where no name leads to it.
  Result<std::optional<std::string>> PathOf(const InodeRecord& record) {
    std::string path;
    InodeNumber ino = record.ino;
    LowerNode node = lower_.NodeOf(record);
    FileType type = record.type;
    for (std::size_t depth = 0; ino != kRootInode; ++depth) {
      if (depth == kDeepest || ino == kNoInode) return std::nullopt;
      if (const auto place = places_.find(ino); place != places_.end()) {
        path.insert(0, "/" + place->second.name);
        ino = place->second.directory;
        const auto above = copied_up_.find(ino);
        node = above != copied_up_.end() ? lower_.NodeOf(above->second) : LowerNode{};
      } else {
        LowerNode parent;
        std::string name;
        const auto found = lower_.Resolve(kBackground, node.number, node.locator, &parent, &name);
        if (!found && !IsAbsence(found.error().code())) return Fail(found.error());
        if (!found || !found->Is(type, node.generation)) return std::nullopt;
        path.insert(0, "/" + name);
        STRATA_ASSIGN(ino, loader_.NumberOf(kBackground, parent));
        node = std::move(parent);
      }
      type = FileType::kDirectory;
    }
    return path;
  }

  static constexpr std::size_t kDeepest = 1 << 16;  // directories above one another

  LowerTree& lower_;
  Loader& loader_;
  absl::flat_hash_map<InodeNumber, InodeRecord> copied_up_;
  absl::flat_hash_map<InodeNumber, Place> places_;
  std::vector<Conflict> conflicts_;
};

Result<std::vector<Conflict>> WorkspaceImpl::Conflicts() {
  STRATA_TRY(Checkpoint());
  return ConflictFinder(lower_, loader_).Run();
}

}  // namespace strata::vfs
