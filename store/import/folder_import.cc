// ImportPath: walks a folder in the order of its names, depth first. Files and symlinks go in batches to threads that
// read, hash and store them. A directory is made as soon as the last of what lies in it is done, so that those in
// memory are the ones above the walk and above what is under way.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "base/unique_fd.h"
#include "store/castore/names.h"
#include "store/import/attributes_writer.h"
#include "store/import/blob_sink.h"
#include "store/import/host_file.h"
#include "store/import/import.h"
#include "store/import/import_cache.h"
#include "store/import/tree_record.h"
#include "store/import/work_queue.h"

namespace strata::store {
namespace {

constexpr std::size_t kFilesInBatch = 64;
// A batch of few files counts as so many: it keeps a descriptor of its folder open.
constexpr std::size_t kLeastWeight = 16;
constexpr std::size_t kMostWeight = 4096;  // of batches that wait
constexpr std::chrono::milliseconds kProgressEvery{100};

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// A directory of which something is not done yet.
struct OpenFolder {
  std::shared_ptr<OpenFolder> parent;
  std::string name;  // in the parent; of the root its path
  UniqueFd fd;
  std::uint64_t number = 0;
  // Under FolderImport::mutex_.
  std::vector<std::pair<std::string, Node>> entries;
  std::uint64_t pending = 1;  // what is not done: its own listing, batches of its files, directories in it
};

std::string ShownPathOf(const OpenFolder& folder, std::string_view name) {
  std::vector<const OpenFolder*> above;
  for (const OpenFolder* at = &folder; at != nullptr; at = at->parent.get()) above.push_back(at);
  std::string path;
  for (auto at = above.rbegin(); at != above.rend(); ++at) {
    path += (*at)->name;
    if (!path.ends_with('/')) path += '/';
  }
  path += name;
  return path;
}

struct WalkedName {
  std::string name;
  unsigned char type = DT_UNKNOWN;
};

struct FileBatch {
  struct Item {
    WalkedName name;
    std::uint64_t number = 0;
  };
  std::shared_ptr<OpenFolder> folder;
  std::vector<Item> items;
};

// Counts a folder beside its import, for the progress.
class FolderCounter {
 public:
  explicit FolderCounter(const std::string& path) : thread_([this, path] { Count(path); }) {}
  FolderCounter(const FolderCounter&) = delete;
  FolderCounter& operator=(const FolderCounter&) = delete;
  ~FolderCounter() {
    stop_ = true;
    thread_.join();
  }
  void Show(ImportProgress& progress) const {
    progress.counting = !done_;
    progress.total_files = files_;
    progress.total_bytes = bytes_;
  }

 private:
  void Count(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::recursive_directory_iterator at(path, fs::directory_options::skip_permission_denied, error);
    for (const fs::recursive_directory_iterator end; !error && at != end && !stop_; at.increment(error)) {
      struct stat st;
      if (::lstat(at->path().c_str(), &st) != 0 || S_ISDIR(st.st_mode)) continue;
      ++files_;
      if (S_ISREG(st.st_mode)) bytes_ += static_cast<std::uint64_t>(st.st_size);
    }
    done_ = true;
  }

  std::atomic<bool> stop_{false}, done_{false};
  std::atomic<std::uint64_t> files_{0}, bytes_{0};
  std::thread thread_;
};

class FolderImport {
 public:
  FolderImport(Env& env, ImportStore store, const std::string& path, const ImportOptions& options)
      : env_(env),
        store_(store),
        path_(path),
        options_(options),
        sink_(store.blobs),
        queue_(
            options.jobs != 0 ? options.jobs : std::thread::hardware_concurrency(), kMostWeight,
            [this](FileBatch& batch) { return PutBatch(batch); }, [this] { Tick(); }) {
    if (options.keep_metadata) {
      attributes_ = std::make_unique<AttributesWriter>(env, options.temporary_folder, options.memory / 2);
    }
  }

  Result<ImportReport> Run() {
    const HostPlace top{AT_FDCWD, path_, path_};
    STRATA_ASSIGN(const struct stat st, StatHost(top));
    if (S_ISDIR(st.st_mode)) {
      if (options_.count && options_.progress) counter_ = std::make_unique<FolderCounter>(path_);
      STRATA_ASSIGN(putter_, store_.directories.PutMany());
      STRATA_TRY(Walk());
      STRATA_TRY(queue_.Finish());
      STRATA_ASSIGN(const Digest closed, putter_->Close());
      if (closed != root_.digest) {
        return Fail(Errc::kServerFault, store_.directories.Describe() + " has the tree as " + closed.Text() +
                                            ", it was made as " + root_.digest.Text());
      }
    } else if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)) {
      const unsigned char type = S_ISREG(st.st_mode) ? DT_REG : DT_LNK;
      STRATA_ASSIGN(root_, PutItem(top, {{path_, type}, 0}));
    } else {
      return Fail(Errc::kNotSupported, "unsupported file type at " + path_ + ": it is no folder, file or symlink");
    }
    return Report();
  }

 private:
  struct Level {
    std::shared_ptr<OpenFolder> folder;
    std::vector<WalkedName> names;
    std::size_t next = 0;
  };

  Result<void> Walk() {
    std::vector<Level> levels;
    STRATA_TRY(Enter(nullptr, {AT_FDCWD, path_, path_}, levels));
    FileBatch batch;
    while (!levels.empty()) {
      Level& level = levels.back();
      if (level.next == level.names.size()) {
        STRATA_TRY(Push(batch));
        STRATA_TRY(Done(std::move(level.folder), {}));
        levels.pop_back();
        continue;
      }
      WalkedName& name = level.names[level.next++];
      STRATA_ASSIGN(name.type, TypeOf(*level.folder, name));
      switch (name.type) {
        case DT_DIR: {
          STRATA_TRY(Push(batch));
          if (levels.size() == kMaxPathDepth) {
            return Fail(Errc::kNotSupported, ShownPathOf(*level.folder, name.name) + " is deeper than " +
                                                 std::to_string(kMaxPathDepth) + " folders");
          }
          const std::shared_ptr<OpenFolder> folder = level.folder;  // the level moves
          const HostPlace place{folder->fd.get(), name.name, ShownPathOf(*folder, name.name)};
          STRATA_TRY(Enter(folder, place, levels));
          break;
        }
        case DT_REG:
        case DT_LNK:
          if (batch.items.empty()) batch.folder = level.folder;
          batch.items.push_back({std::move(name), next_number_++});
          if (batch.items.size() == kFilesInBatch) STRATA_TRY(Push(batch));
          break;
        default:
          STRATA_TRY(TakeSpecial(*level.folder, name));
      }
      Tick();
    }
    return {};
  }

  Result<unsigned char> TypeOf(const OpenFolder& folder, const WalkedName& name) {
    if (name.type != DT_UNKNOWN) return name.type;
    STRATA_ASSIGN(const struct stat st, StatHost({folder.fd.get(), name.name, ShownPathOf(folder, name.name)}));
    return static_cast<unsigned char>(IFTODT(st.st_mode));
  }

  Result<void> Enter(std::shared_ptr<OpenFolder> parent, const HostPlace& place, std::vector<Level>& levels) {
    Level level;
    level.folder = std::make_shared<OpenFolder>();
    OpenFolder& folder = *level.folder;
    folder.name = place.name;
    folder.number = next_number_++;
    folder.fd =
        UniqueFd(::openat(place.directory, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder.fd) return Fail(Status::FromErrno(errno, "opening the folder " + place.shown));
    if (attributes_) {
      struct stat st;
      if (::fstat(folder.fd.get(), &st) != 0) return Fail(Status::FromErrno(errno, "looking at " + place.shown));
      STRATA_ASSIGN(const NodeAttributes attributes, AttributesOfHost(st, place, folder.fd.get(), true));
      STRATA_TRY(attributes_->Set(folder.number, attributes));
    }
    STRATA_ASSIGN(level.names, ListFolder(folder, place));
    if (parent) {
      const MutexLock lock(mutex_);
      ++parent->pending;
    }
    folder.parent = std::move(parent);
    levels.push_back(std::move(level));
    return {};
  }

  // In the order of their bytes: the order of the nodes' numbers.
  Result<std::vector<WalkedName>> ListFolder(const OpenFolder& folder, const HostPlace& place) {
    // The stream owns its descriptor, and the folder keeps its own.
    UniqueFd copy(::openat(folder.fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const std::unique_ptr<DIR, DirectoryCloser> stream(copy ? ::fdopendir(copy.get()) : nullptr);
    if (!stream) return Fail(Status::FromErrno(errno, "listing the folder " + place.shown));
    (void)copy.Give();
    std::vector<WalkedName> names;
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(stream.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.push_back({std::string(name), entry->d_type});
    }
    if (errno != 0) return Fail(Status::FromErrno(errno, "listing the folder " + place.shown));
    std::ranges::sort(names, {}, &WalkedName::name);
    return names;
  }

  Result<void> TakeSpecial(const OpenFolder& folder, const WalkedName& name) {
    const std::string shown = ShownPathOf(folder, name.name);
    if (attributes_) {
      const HostPlace place{folder.fd.get(), name.name, shown};
      STRATA_ASSIGN(const struct stat st, StatHost(place));
      const std::optional<FileType> type = TypeFromMode(st.st_mode);
      STRATA_ASSIGN(const NodeAttributes attributes, AttributesOfHost(st, place, -1, true));
      const bool device = S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode);
      if (device || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) {
        ++report_.specials;
        return attributes_->AddSpecial(folder.number, name.name, *type,
                                       device ? DeviceNumber{major(st.st_rdev), minor(st.st_rdev)} : DeviceNumber(),
                                       attributes);
      }
    }
    if (!options_.skip_unsupported) {
      return Fail(Errc::kNotSupported,
                  "unsupported file type at " + shown +
                      "; to leave such out: --skip-unsupported; to keep devices, fifos and sockets "
                      "for the name: --keep-metadata");
    }
    ++report_.skipped;
    if (report_.skipped_names.size() < ImportReport::kMostNames) report_.skipped_names.push_back(shown);
    return {};
  }

  Result<void> Push(FileBatch& batch) {
    if (batch.items.empty()) return {};
    {
      const MutexLock lock(mutex_);
      ++batch.folder->pending;
    }
    const std::size_t weight = std::max(batch.items.size(), kLeastWeight);
    return queue_.Push(std::exchange(batch, FileBatch()), weight);
  }

  // On a thread of the queue.
  Result<void> PutBatch(FileBatch& batch) {
    std::vector<std::pair<std::string, Node>> done;
    done.reserve(batch.items.size());
    for (FileBatch::Item& item : batch.items) {
      const HostPlace place{batch.folder->fd.get(), item.name.name, ShownPathOf(*batch.folder, item.name.name)};
      STRATA_ASSIGN(Node node, PutItem(place, item));
      done.emplace_back(std::move(item.name.name), std::move(node));
    }
    return Done(std::move(batch.folder), std::move(done));
  }

  Result<Node> PutItem(const HostPlace& place, const FileBatch::Item& item) {
    struct stat st;
    Node node;
    if (item.name.type == DT_LNK) {
      STRATA_ASSIGN(st, StatHost(place));
      STRATA_ASSIGN(std::string target, ReadHostLink(place));
      if (auto valid = CheckSymlinkTarget(target); !valid) return Fail(valid.error().WithContext(place.shown));
      node = Node::OfSymlink(std::move(target));
      symlinks_.fetch_add(1, std::memory_order_relaxed);
    } else {
      STRATA_ASSIGN(ReadHostFile file,
                    PutHostFile(env_, place, sink_, options_.cache, buffers_, [this](std::int64_t bytes) {
                      bytes_.fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
                    }));
      st = file.st;
      node = std::move(file.node);
      files_.fetch_add(1, std::memory_order_relaxed);
      if (file.cached) cached_.fetch_add(1, std::memory_order_relaxed);
    }
    if (attributes_) {
      STRATA_ASSIGN(const NodeAttributes attributes, AttributesOfHost(st, place, -1, true));
      const std::string link_key = st.st_nlink > 1 ? std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) : "";
      STRATA_TRY(attributes_->Set(item.number, attributes, link_key));
    }
    return node;
  }

  // One thing in `folder` is done. Makes each directory of which nothing is left to do.
  Result<void> Done(std::shared_ptr<OpenFolder> folder, std::vector<std::pair<std::string, Node>> nodes) {
    for (;;) {
      {
        const MutexLock lock(mutex_);
        std::ranges::move(nodes, std::back_inserter(folder->entries));
        if (--folder->pending > 0) return {};
      }
      auto directory = Directory::Make(std::move(folder->entries));
      if (!directory) return Fail(directory.error().WithContext("the folder " + ShownPathOf(*folder, {})));
      folder->fd = UniqueFd();
      {
        // Those in it were put before: they were done before this.
        const MutexLock lock(put_mutex_);
        STRATA_TRY(putter_->Put(*directory));
      }
      directories_.fetch_add(1, std::memory_order_relaxed);
      Node node = Node::OfDirectory(directory->digest(), directory->Size(options_.sizes));
      if (!folder->parent) {
        root_ = std::move(node);
        return {};
      }
      nodes.clear();
      nodes.emplace_back(std::move(folder->name), std::move(node));
      folder = std::shared_ptr<OpenFolder>(folder->parent);
    }
  }

  Result<ImportReport> Report() {
    report_.root = root_;
    report_.files = files_;
    report_.directories = directories_;
    report_.symlinks = symlinks_;
    report_.bytes = bytes_;
    report_.cached = cached_;
    report_.new_blobs = sink_.new_blobs();
    if (attributes_) {
      STRATA_ASSIGN(report_.attributes, attributes_->Finish(0, root_.digest, store_.blobs));
      report_.hard_links = attributes_->hard_links();
    }
    STRATA_TRY(store_.blobs.Sync());
    STRATA_TRY(store_.directories.Sync());
    return std::move(report_);
  }

  void Tick() {
    if (!options_.progress) return;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_tick_) return;
    next_tick_ = now + kProgressEvery;
    ImportProgress progress;
    progress.files = files_.load(std::memory_order_relaxed) + symlinks_.load(std::memory_order_relaxed);
    progress.bytes = bytes_.load(std::memory_order_relaxed);
    if (counter_) counter_->Show(progress);
    options_.progress(progress);
  }

  Env& env_;
  const ImportStore store_;
  const std::string path_;
  const ImportOptions& options_;
  BlobSink sink_;
  BufferPool buffers_;
  std::unique_ptr<AttributesWriter> attributes_;
  ImportReport report_;
  std::uint64_t next_number_ = 0;
  std::chrono::steady_clock::time_point next_tick_{};
  std::atomic<std::uint64_t> files_{0}, directories_{0}, symlinks_{0}, bytes_{0}, cached_{0};
  // Order of locks: none of the two is taken under the other.
  Mutex mutex_;      // entries and pending of all folders
  Mutex put_mutex_;  // a putter takes one directory at a time
  std::unique_ptr<DirectoryPutter> putter_;
  Node root_;  // once all is done
  std::unique_ptr<FolderCounter> counter_;
  WorkQueue<FileBatch> queue_;  // last: its threads use the others
};

}  // namespace

Result<ImportReport> ImportPath(Env& env, ImportStore store, const std::string& path, const ImportOptions& options) {
  FolderImport import(env, store, path, options);
  return import.Run();
}

}  // namespace strata::store
