#include "vfs/layer/host_nodes.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>
#include <vector>

namespace strata::vfs::host {
namespace {

// Of a name or path that was remembered, or found a moment ago: whether an error says that the node is not there, or no
// longer. Others end the search.
bool SaysElsewhere(Errc code) { return IsAbsence(code); }

Status StaleOr(Status status) { return SaysElsewhere(status.code()) ? Status(Errc::kStale) : std::move(status); }

// Entries; passing over fewer takes less than a millisecond.
constexpr std::size_t kWorthAnIndex = 1024;

bool WantNoStatus(const RawEntry&) { return false; }

// Directories that were looked for in vain and are remembered.
constexpr std::size_t kMissed = 1024;

std::int64_t MonotonicNs() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

Result<std::unique_ptr<HostNodes>> HostNodes::Open(const std::string& path, const HostLayerOptions& options) {
  STRATA_ASSIGN(Folder folder, Folder::Open(path, options.avoid_openat2));
  auto status = StatDescriptor(folder.root()->fd());
  if (!status) return Fail(status.error().WithContext("layer folder " + path));
  std::unique_ptr<HostNodes> nodes(new HostNodes(std::move(folder), *status, options));
  if (!options.hidden.empty()) {
    const int fd = open(options.hidden.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return Fail(Status::FromErrno(errno, "folder to hide " + options.hidden));
    nodes->hidden_ = std::make_shared<const Descriptor>(fd, true);
    auto hidden = StatDescriptor(fd);
    if (!hidden) return Fail(hidden.error().WithContext("folder to hide " + options.hidden));
    nodes->hidden_status_ = *hidden;
    nodes->hidden_id_ = nodes->identity_.IdOf(*hidden);
    if (nodes->hidden_id_ == nodes->root_id_) {
      return Fail(Errc::kInvalid,
                  "layer folder " + path + " is the one to hide; give the workspace a folder of its own");
    }
  }
  return nodes;
}

HostNodes::HostNodes(Folder folder, const FileStatus& root_status, const HostLayerOptions& options)
    : folder_(std::move(folder)),
      identity_(folder_.root()->fd(), root_status),
      root_id_(identity_.IdOf(root_status)),
      places_(options.max_cached_nodes),
      descriptors_(options.max_open_files),
      indices_(options.max_index_bytes),
      recheck_after_ns_(options.recheck_after_ns),
      missed_(kMissed) {}

void HostNodes::Forget(std::uint64_t id) {
  places_.Erase(id);
  descriptors_.Erase(id);
}

std::uint64_t HostNodes::RememberedParent(std::uint64_t id) {
  const auto place = places_.Get(id);
  return place ? place->parent : 0;
}

Result<FileStatus> HostNodes::StatAt(int directory, std::string_view name) const {
  auto status = host::StatAt(directory, name);
  if (status && Hides(*status)) return Fail(Errc::kNotFound);
  return status;
}

Result<void> HostNodes::ForEachEntry(int directory, const std::function<bool(const RawEntry&)>& want_status,
                                     const std::function<bool(const Entry&)>& visit) {
  identity_.Refresh();
  std::optional<Status> failure;
  STRATA_TRY(host::ForEachEntry(directory, [&](const RawEntry& raw) {
    Entry entry;
    entry.name = raw.name;
    entry.id = identity_.IdOf(raw);
    const auto type = TypeFromMode(static_cast<std::uint32_t>(raw.type) << 12);
    FileStatus status;
    if (entry.id == 0 || !type || want_status(raw)) {
      auto answer = StatAt(directory, raw.name);
      if (!answer) {
        if (SaysElsewhere(answer.error().code())) return true;
        failure = std::move(answer.error());
        return false;
      }
      status = *answer;
      entry.status = &status;
      entry.id = identity_.IdOf(status);
      entry.type = TypeOf(status);
    } else {
      if (entry.id == hidden_id_) return true;
      entry.type = *type;
    }
    return visit(entry);
  }));
  if (failure) return Fail(std::move(*failure));
  return {};
}

// The directory by its open descriptor or its remembered path. Null where neither leads to it.
Result<DescriptorRef> HostNodes::OpenKnown(std::uint64_t id) {
  if (id == root_id_) return folder_.root();
  if (DescriptorRef opened = descriptors_.Get(id)) return opened->directory() ? opened : nullptr;
  const auto path = places_.PathTo(id, root_id_);
  if (!path) return nullptr;
  auto opened = folder_.OpenPlace(*path);
  if (!opened && SaysElsewhere(opened.error().code())) return nullptr;
  if (!opened) return opened;
  STRATA_ASSIGN(const FileStatus status, StatDescriptor((*opened)->fd()));
  if (identity_.IdOf(status) != id || Hides(status)) return nullptr;
  descriptors_.Put(id, *opened);
  return opened;
}

Result<DescriptorRef> HostNodes::OpenDirectory(const LayerNode& node) {
  STRATA_ASSIGN(DescriptorRef known, OpenKnown(node.id));
  if (known) return known;
  STRATA_ASSIGN(const Spot spot, Locate(node));
  if (!IsDirectory(spot.status)) return Fail(Errc::kNotDirectory);
  auto opened = OpenPlaceAt(spot.directory->fd(), spot.name);
  if (!opened) return Fail(StaleOr(std::move(opened.error())));
  STRATA_ASSIGN(const FileStatus status, StatDescriptor((*opened)->fd()));
  if (identity_.IdOf(status) != node.id) return Fail(Errc::kStale);
  descriptors_.Put(node.id, *opened);
  return opened;
}

Result<Spot> HostNodes::Locate(const LayerNode& node) {
  if (node.id == root_id_) {
    STRATA_ASSIGN(const FileStatus status, StatDescriptor(folder_.root()->fd()));
    return Spot{folder_.root(), 0, "", status, ""};
  }
  std::uint64_t hint = node.parent;
  if (auto place = places_.Get(node.id)) {
    STRATA_ASSIGN(const DescriptorRef directory, OpenKnown(place->parent));
    if (directory) {
      STRATA_ASSIGN(auto spot, SpotAt(directory, place->parent, node.id, place->name));
      if (spot) return std::move(*spot);
      places_.Erase(node.id);
    } else if (hint == 0) {
      hint = place->parent;
    }
  }
  if (hint != 0 && hint != node.id) return Search(hint, node.id);
  return Walk(node.id);
}

// The place, if the node is there.
Result<std::optional<Spot>> HostNodes::SpotAt(const DescriptorRef& directory, std::uint64_t directory_id,
                                              std::uint64_t id, std::string_view name) const {
  const auto status = StatAt(directory->fd(), name);
  if (!status && !SaysElsewhere(status.error().code())) return Fail(status.error());
  if (!status || identity_.IdOf(*status) != id) return std::nullopt;
  return Spot{directory, directory_id, std::string(name), *status, ""};
}

// Searches one directory, which may itself have to be found by a walk.
Result<Spot> HostNodes::Search(std::uint64_t directory_id, std::uint64_t id) {
  auto directory = OpenDirectory({directory_id, 0});
  if (!directory) return Fail(StaleOr(std::move(directory.error())));
  if (const auto index = indices_.Get(directory_id)) {
    const auto name = index->Find(id);
    std::optional<Spot> spot;
    if (name) {
      STRATA_ASSIGN(spot, SpotAt(*directory, directory_id, id, *name));
    }
    if (spot) {
      places_.Put(id, directory_id, spot->name);
      return std::move(*spot);
    }
    indices_.Erase(directory_id);  // the directory has changed
  }
  auto readable = OpenReadableAt((*directory)->fd(), ".");
  if (!readable) return Fail(StaleOr(std::move(readable.error())));
  std::optional<Spot> found;
  std::optional<Status> failure;
  auto index = std::make_shared<DirectoryIndex>();
  bool indexed = true;
  STRATA_TRY(ForEachEntry((*readable)->fd(), WantNoStatus, [&](const Entry& entry) {
    if (!found && entry.id == id) {
      auto spot = SpotAt(*directory, directory_id, id, entry.name);
      if (!spot) return failure = std::move(spot.error()), false;
      found = std::move(*spot);
    }
    // Nor is a small directory read to its end.
    if (found && index->size() < kWorthAnIndex) return indexed = false;
    indexed = indexed && index->Add(entry.id, entry.name);
    return !found || indexed;
  }));
  if (failure) return Fail(std::move(*failure));
  if (indexed && index->size() >= kWorthAnIndex) {
    index->Sort();
    indices_.Put(directory_id, std::move(index));
  }
  if (!found) return Fail(Errc::kStale);
  places_.Put(id, directory_id, found->name);
  return std::move(*found);
}

// What was looked for in vain a moment ago is not looked for again: a client may ask on and on.
Result<Spot> HostNodes::Walk(std::uint64_t id) {
  const std::int64_t now = MonotonicNs();
  {
    const MutexLock lock(missed_mutex_);
    const std::int64_t* missed = missed_.Find(id);
    if (missed != nullptr && now - *missed < recheck_after_ns_) return Fail(Errc::kStale);
  }
  auto found = WalkAll(id);
  const MutexLock lock(missed_mutex_);
  if (found) missed_.Erase(id);
  if (!found && found.error().code() == Errc::kStale) missed_.Put(id, now);
  return found;
}

// Depth first, so that what is kept on the way is the siblings along one path, not a whole level of the tree.
Result<Spot> HostNodes::WalkAll(std::uint64_t id) {
  struct Level {
    std::uint64_t id = 0;
    std::size_t path_size = 0;
    std::vector<std::pair<std::uint64_t, std::string>> directories;  // still to be entered
  };
  std::vector<Level> levels;
  std::string path;
  std::optional<Spot> found;
  std::optional<Status> failure;

  const auto enter = [&](std::uint64_t directory_id) -> Result<void> {
    levels.push_back({directory_id, path.size(), {}});
    auto place = folder_.OpenPlace(path);
    if (!place) return Fail(place.error());
    auto readable = OpenReadableAt((*place)->fd(), ".");
    if (!readable) return Fail(readable.error());
    return ForEachEntry((*readable)->fd(), WantNoStatus, [&](const Entry& entry) {
      if (entry.id == id) {
        auto spot = SpotAt(*place, directory_id, id, entry.name);
        if (!spot) return failure = std::move(spot.error()), false;
        found = std::move(*spot);
        if (found) return found->path = path, false;
      } else if (entry.type == FileType::kDirectory) {
        places_.PutIfRoom(entry.id, directory_id, entry.name);
        levels.back().directories.emplace_back(entry.id, entry.name);
      }
      return true;
    });
  };

  STRATA_TRY(enter(root_id_));
  while (!found && !levels.empty()) {
    Level& level = levels.back();
    path.resize(level.path_size);
    if (level.directories.empty()) {
      levels.pop_back();
      continue;
    }
    const auto [next, name] = std::move(level.directories.back());
    level.directories.pop_back();
    if (!path.empty()) path += '/';
    path += name;
    // What may not be read, or went away, cannot hold what is looked for.
    auto entered = enter(next);
    if (!entered && !SaysElsewhere(entered.error().code()) && entered.error().code() != Errc::kAccess)
      return Fail(entered.error());
    if (failure) return Fail(std::move(*failure));
  }
  if (!found) return Fail(Errc::kStale);
  // The way down, so that the next node here needs no walk.
  for (std::size_t i = 1; i < levels.size(); ++i) {
    const std::string_view whole(found->path);
    const std::size_t begin = levels[i - 1].path_size == 0 ? 0 : levels[i - 1].path_size + 1;
    places_.Put(levels[i].id, levels[i - 1].id, whole.substr(begin, levels[i].path_size - begin));
  }
  places_.Put(id, found->parent, found->name);
  if (!found->path.empty()) found->path += '/';
  found->path += found->name;
  return std::move(*found);
}

Result<std::string> HostNodes::PathOf(const LayerNode& node) {
  STRATA_ASSIGN(Spot spot, Locate(node));
  if (spot.name.empty() || !spot.path.empty()) return std::move(spot.path);
  if (spot.parent == root_id_) return std::move(spot.name);
  // The directory may be held open though its path is forgotten or has changed.
  if (auto path = places_.PathTo(spot.parent, root_id_)) {
    const auto opened = folder_.OpenPlace(*path);
    if (!opened && !SaysElsewhere(opened.error().code())) return Fail(opened.error());
    if (opened) {
      STRATA_ASSIGN(const FileStatus status, StatDescriptor((*opened)->fd()));
      if (identity_.IdOf(status) == spot.parent) return *path + '/' + spot.name;
    }
  }
  STRATA_ASSIGN(const Spot parent, Walk(spot.parent));
  return parent.path + '/' + spot.name;
}

}  // namespace strata::vfs::host
