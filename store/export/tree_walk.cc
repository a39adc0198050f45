#include "store/export/tree_walk.h"

#include <algorithm>
#include <utility>

#include "store/castore/directory.h"
#include "store/castore/names.h"

namespace strata::store {
namespace {

constexpr std::size_t kMostDepth = 4096;  // as import has it
constexpr std::size_t kWalkedBytes = 1 << 20;

std::string PathFor(std::string_view path) { return QuoteName(path.empty() ? "." : path); }

class TreeWalk {
 public:
  TreeWalk(const ExportSource& source, TreeVisitor& visitor) : source_(source), visitor_(visitor) {}

  Result<void> Run() {
    WalkedEntry root;
    root.node = source_.root;
    STRATA_TRY(Take(root));
    while (!levels_.empty()) {
      Level& level = levels_.back();
      path_.resize(level.path_size);
      const bool nodes_left = level.next < level.directory.count();
      const bool special_first =
          level.special && (!nodes_left || level.special->name < level.directory.At(level.next).name);
      if (special_first) {
        STRATA_TRY(TakeSpecial(level));
      } else if (nodes_left) {
        const Directory::Entry entry = level.directory.At(level.next++);
        WalkedEntry walked;
        walked.depth = levels_.size();
        walked.node = entry.node();
        Append(entry.name);
        walked.path = path_;
        walked.name = walked.path.substr(path_.size() - entry.name.size());
        STRATA_TRY(Take(walked));
      } else {
        level.entry.path = path_;
        level.entry.name = path_.empty() ? std::string_view() : level.entry.path.substr(path_.rfind('/') + 1);
        STRATA_TRY(visitor_.Leave(level.entry));
        levels_.pop_back();
      }
    }
    if (source_.attributes != nullptr && source_.attributes->nodes() != next_number_) {
      return Fail(Errc::kCorrupt, "the attribute blob is of " + std::to_string(source_.attributes->nodes()) +
                                      " nodes, and the tree has " + std::to_string(next_number_));
    }
    return {};
  }

 private:
  struct Level {
    Directory directory;
    std::size_t next = 0;
    std::size_t path_size = 0;
    WalkedEntry entry;
    // The special entry that comes next, and those behind it.
    std::optional<SpecialEntry> special;
    std::uint64_t special_index = 0, special_end = 0;
  };

  void Append(std::string_view name) {
    if (!path_.empty()) path_ += '/';
    path_ += name;
  }

  Result<void> Take(WalkedEntry& entry) {
    const std::uint64_t number = next_number_++;
    StoredAttributes stored;
    if (source_.attributes != nullptr) {
      auto got = source_.attributes->Get(Waiting(), number);
      if (!got) return Fail(got.error().WithContext(PathFor(entry.path)));
      stored = *got;
      STRATA_ASSIGN(entry.attributes, WithXattrs(stored, entry.path));
    }
    if (entry.node.kind == NodeKind::kDirectory) return Enter(entry, stored);
    if (stored.links > 1) {
      if (stored.first_link == number) {
        first_names_[number] = {std::string(entry.path), stored.links - 1, entry.node};
      } else {
        const auto first = first_names_.find(stored.first_link);
        if (first == first_names_.end() || first->second.node != entry.node) {
          return Fail(Errc::kCorrupt, PathFor(entry.path) + " is said to be a hard link to what it is not");
        }
        entry.link_to = first->second.path;
        STRATA_TRY(visitor_.Visit(entry));
        if (--first->second.names_left == 0) first_names_.erase(first);
        return {};
      }
    }
    return visitor_.Visit(entry);
  }

  template <typename Stored>
  Result<NodeAttributes> WithXattrs(const Stored& stored, std::string_view path) {
    NodeAttributes attributes{stored.mode, stored.uid, stored.gid, stored.mtime, {}};
    auto xattrs = source_.attributes->Xattrs(Waiting(), stored.xattrs_at, stored.xattrs_size);
    if (!xattrs) return Fail(xattrs.error().WithContext(PathFor(path)));
    attributes.xattrs = std::move(*xattrs);
    return attributes;
  }

  Result<void> Enter(WalkedEntry& entry, const StoredAttributes& stored) {
    if (levels_.size() == kMostDepth) {
      return Fail(Errc::kNotSupported,
                  PathFor(entry.path) + " is deeper than " + std::to_string(kMostDepth) + " directories");
    }
    auto directory = source_.directories.Get(Waiting(), entry.node.digest);
    if (!directory) return Fail(directory.error().WithContext("the directory " + PathFor(entry.path)));
    if (!*directory) {
      return Fail(Errc::kNotFound, source_.directories.Describe() + " does not have the directory " +
                                       PathFor(entry.path) + ", " + entry.node.digest.Text());
    }
    STRATA_TRY(visitor_.Enter(entry));
    Level level;
    level.directory = std::move(**directory);
    level.path_size = path_.size();
    level.entry = entry;
    level.special_index = stored.first_special;
    level.special_end = stored.first_special + stored.specials;
    STRATA_TRY(NextSpecial(level));
    levels_.push_back(std::move(level));
    return {};
  }

  Result<void> NextSpecial(Level& level) {
    if (level.special_index == level.special_end) {
      level.special.reset();
      return {};
    }
    STRATA_ASSIGN(SpecialEntry next, source_.attributes->Special(Waiting(), level.special_index++));
    if ((level.special && level.special->name >= next.name) ||
        level.directory.Find(next.name) != level.directory.count()) {
      return Fail(Errc::kCorrupt, "the attribute blob has an entry " + QuoteName(next.name) + " in " +
                                      PathFor(std::string_view(path_).substr(0, level.path_size)) +
                                      " that is there twice");
    }
    level.special = std::move(next);
    return {};
  }

  Result<void> TakeSpecial(Level& level) {
    const SpecialEntry special = *level.special;
    Append(special.name);
    WalkedEntry walked;
    walked.depth = levels_.size();
    walked.special = &special;
    walked.path = path_;
    walked.name = special.name;
    STRATA_ASSIGN(walked.attributes, WithXattrs(special, path_));
    STRATA_TRY(visitor_.Visit(walked));
    return NextSpecial(level);
  }

  // The first of several names, until the last has come.
  struct FirstName {
    std::string path;
    std::uint32_t names_left = 0;
    Node node;
  };

  const ExportSource& source_;
  TreeVisitor& visitor_;
  std::vector<Level> levels_;
  std::string path_;
  std::uint64_t next_number_ = 0;
  std::unordered_map<std::uint64_t, FirstName> first_names_;
};

}  // namespace

Result<void> WalkTree(const ExportSource& source, TreeVisitor& visitor) { return TreeWalk(source, visitor).Run(); }

Result<void> ReadFile(const ExportSource& source, const WalkedEntry& file,
                      const std::function<Result<void>(ByteSpan)>& piece) {
  const auto context = [&](const Status& status) { return Fail(status.WithContext(PathFor(file.path))); };
  auto reader = source.blobs.Open(Waiting(), file.node.digest);
  if (!reader) return context(reader.error());
  if (*reader == nullptr) {
    return Fail(Errc::kNotFound, source.blobs.Describe() + " does not have the content of " + PathFor(file.path) +
                                     ", " + file.node.digest.Text());
  }
  std::uint64_t done = 0;
  if ((*reader)->size() == file.node.size) {
    while (done < file.node.size) {
      auto bytes = (*reader)->Pin(
          Waiting(), done, static_cast<std::size_t>(std::min<std::uint64_t>(kWalkedBytes, file.node.size - done)));
      if (!bytes) return context(bytes.error());
      if (bytes->bytes.empty()) break;
      STRATA_TRY(piece(bytes->bytes));
      done += bytes->bytes.size();
    }
  } else {
    done = (*reader)->size();
  }
  if (done != file.node.size) {
    return Fail(Errc::kCorrupt, "unexpected size for " + PathFor(file.path) +
                                    " wanted: " + std::to_string(file.node.size) + " got: " + std::to_string(done));
  }
  return {};
}

}  // namespace strata::store
