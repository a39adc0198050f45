#include "store/objects/folder_bucket.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "store/address.h"

namespace strata::store {
namespace {

constexpr std::string_view kStagingFolder = "tmp";
// What is staged before it is written out by itself. The bytes lie in the page cache.
constexpr std::size_t kMostStaged = 4096;
constexpr std::uint64_t kMostStagedBytes = 512 << 20;
// Of more files than this the whole file system is synced, which takes one wait and not two a file.
constexpr std::size_t kSyncedByThemselves = 16;
// What was staged this long ago belongs to no process that still writes it.
constexpr std::int64_t kStagedForNs = 24LL * 3600 * 1'000'000'000;
constexpr std::size_t kMostKnownFolders = 8192;

class FolderObject final : public ObjectReader {
 public:
  FolderObject(std::unique_ptr<File> file, std::uint64_t size) : file_(std::move(file)), size_(size) {}
  std::uint64_t size() const override { return size_; }
  Result<std::size_t> ReadAt(const Waiting& waiting, std::uint64_t offset, MutableByteSpan out) override {
    return waiting.may_block ? file_->ReadAt(offset, out) : file_->ReadCached(offset, out);
  }

 private:
  const std::unique_ptr<File> file_;
  const std::uint64_t size_;
};

std::string StagingName(Env& env) {
  std::array<std::byte, 8> random;
  env.Random(random);
  std::string name = std::to_string(env.Now().ns / 1'000'000'000) + '-';
  constexpr std::string_view kNameDigits = "0123456789abcdef";
  for (const std::byte byte : random) {
    name += {kNameDigits[std::to_integer<unsigned>(byte) >> 4], kNameDigits[std::to_integer<unsigned>(byte) & 15]};
  }
  return name;
}

}  // namespace

class FolderBucket::Writer final : public ObjectWriter {
 public:
  Writer(FolderBucket& bucket, std::string key, ObjectRank rank, std::string path, std::unique_ptr<File> file)
      : bucket_(bucket), key_(std::move(key)), staged_{rank, std::move(path), 0}, file_(std::move(file)) {}
  ~Writer() override {
    if (file_) (void)bucket_.env_.Remove(staged_.path);
  }
  Result<void> Write(ByteSpan bytes) override {
    const ByteSpan pieces[] = {bytes};
    STRATA_TRY(file_->WriteAt(staged_.size, pieces));
    staged_.size += bytes.size();
    return {};
  }
  Result<void> Close() override {
    STRATA_ASSIGN(const bool there, bucket_.RelyOn(key_));
    if (there) return {};
    file_.reset();
    return bucket_.Take(key_, staged_, false);
  }

 private:
  FolderBucket& bucket_;
  const std::string key_;
  Staged staged_;
  std::unique_ptr<File> file_;
};

Result<std::unique_ptr<FolderBucket>> FolderBucket::Open(Env& env, const std::string& folder, Options options) {
  if (auto listed = env.ListDirectory(folder); !listed) {
    if (listed.error().code() != Errc::kNotFound) return Fail(listed.error().WithContext("open the object store"));
    if (!options.create || options.read_only) {
      return Fail(Errc::kNotFound, "there is no object store at " + folder +
                                       ": the folder is missing; check the address, or make it with: mkdir " + folder);
    }
    STRATA_TRY(env.CreateDirectory(folder));
    STRATA_TRY(env.SyncDirectory(DirectoryOf(folder)));
  }
  std::unique_ptr<FolderBucket> bucket(new FolderBucket(env, folder, options.read_only));
  if (!options.read_only) bucket->RemoveOldStaged();
  return bucket;
}

FolderBucket::~FolderBucket() {
  // Who wants to know calls Sync before.
  (void)Sync();
  MutexLock lock(mutex_);
  for (const Batch* batch : {&staged_, &publishing_}) {
    for (const auto& [key, staged] : *batch) (void)env_.Remove(staged.path);
  }
}

std::string FolderBucket::Describe() const {
  return FormatStoreAddress({.kind = StoreKind::kObjectsInFolder, .scheme = "objectstore+file", .path = folder_});
}

std::string FolderBucket::DescribeObject(const std::string& key) const { return PathOf(key); }

void FolderBucket::RemoveOldStaged() {
  const std::string folder = PathOf(std::string(kStagingFolder));
  const auto names = env_.ListDirectory(folder);
  if (!names) return;
  for (const std::string& name : *names) {
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), seconds);
    if (error != std::errc() || end == name.data() + name.size() || *end != '-') continue;
    if (seconds < (env_.Now().ns - kStagedForNs) / 1'000'000'000) (void)env_.Remove(folder + '/' + name);
  }
}

Result<void> FolderBucket::CheckWritable(const std::string& key) {
  if (read_only_) {
    return Fail(Errc::kReadOnly, "put " + PathOf(key) + ": the store is open for reading only");
  }
  STRATA_TRY(CheckObjectKey(key));
  if (key.starts_with(std::string(kStagingFolder) + '/')) {
    return Fail(Errc::kInvalid, "put " + PathOf(key) + ": the folder is for what is being written");
  }
  MutexLock lock(mutex_);
  if (failed_) {
    return Fail(failed_->WithContext("the store takes nothing more since it failed; open it anew and put again"));
  }
  return {};
}

Result<std::unique_ptr<File>> FolderBucket::CreateStaged(std::string& path) {
  const std::string folder = PathOf(std::string(kStagingFolder));
  path = folder + '/' + StagingName(env_);
  auto file = env_.Open(path, OpenMode::kCreateExclusive);
  if (file || file.error().code() != Errc::kNotFound) return file;
  STRATA_TRY(env_.CreateDirectory(folder));
  return env_.Open(path, OpenMode::kCreateExclusive);
}

Result<void> FolderBucket::Take(const std::string& key, Staged staged, bool replace) {
  std::string superfluous;
  bool full = false;
  {
    MutexLock lock(mutex_);
    if (!replace && (staged_.contains(key) || publishing_.contains(key))) {
      superfluous = std::move(staged.path);
    } else {
      Staged& place = staged_[key];
      superfluous = std::move(place.path);
      staged_bytes_ += staged.size;
      place = std::move(staged);
      full = staged_.size() >= kMostStaged || staged_bytes_ >= kMostStagedBytes;
    }
  }
  if (!superfluous.empty()) (void)env_.Remove(superfluous);
  return full ? Sync() : Result<void>{};
}

Result<void> FolderBucket::Stage(const std::string& key, ObjectRank rank, ByteSpan bytes, bool replace) {
  Staged staged{rank, {}, bytes.size()};
  STRATA_ASSIGN(auto file, CreateStaged(staged.path));
  const ByteSpan pieces[] = {bytes};
  if (auto written = file->WriteAt(0, pieces); !written) {
    (void)env_.Remove(staged.path);
    return written;
  }
  file.reset();
  return Take(key, std::move(staged), replace);
}

Result<void> FolderBucket::PutIfAbsent(const std::string& key, ObjectRank rank, ByteSpan bytes) {
  STRATA_TRY(CheckWritable(key));
  STRATA_ASSIGN(const bool there, RelyOn(key));
  return there ? Result<void>{} : Stage(key, rank, bytes, false);
}

Result<std::unique_ptr<ObjectWriter>> FolderBucket::Create(const std::string& key, ObjectRank rank) {
  STRATA_TRY(CheckWritable(key));
  std::string path;
  STRATA_ASSIGN(auto file, CreateStaged(path));
  return std::make_unique<Writer>(*this, key, rank, std::move(path), std::move(file));
}

Result<void> FolderBucket::Replace(const std::string& key, ObjectRank rank, ByteSpan bytes) {
  STRATA_TRY(CheckWritable(key));
  return Stage(key, rank, bytes, true);
}

Result<bool> FolderBucket::Remove(const std::string& key) {
  STRATA_TRY(CheckWritable(key));
  MutexLock publish_lock(publish_mutex_);  // nothing is on its way to its name
  bool there = false;
  {
    MutexLock lock(mutex_);
    if (const auto staged = staged_.find(key); staged != staged_.end()) {
      STRATA_TRY(env_.Remove(staged->second.path));
      staged_.erase(staged);
      there = true;
    }
  }
  if (auto removed = env_.Remove(PathOf(key)); removed) {
    there = true;
    STRATA_TRY(env_.SyncDirectory(DirectoryOf(PathOf(key))));
  } else if (removed.error().code() != Errc::kNotFound) {
    return Fail(removed.error());
  }
  return there;
}

std::optional<std::string> FolderBucket::StagedPath(const std::string& key) {
  MutexLock lock(mutex_);
  for (const Batch* batch : {&staged_, &publishing_}) {
    if (const auto found = batch->find(key); found != batch->end()) return found->second.path;
  }
  return std::nullopt;
}

Result<std::unique_ptr<File>> FolderBucket::OpenFile(const std::string& key) {
  STRATA_TRY(CheckObjectKey(key));
  if (const auto staged = StagedPath(key)) {
    auto file = env_.Open(*staged, OpenMode::kRead);
    if (file || file.error().code() != Errc::kNotFound) return file;
    // It has just got its name.
  }
  auto file = env_.Open(PathOf(key), OpenMode::kRead);
  if (!file && file.error().code() == Errc::kNotFound) return nullptr;
  return file;
}

Result<std::unique_ptr<ObjectReader>> FolderBucket::Open(const Waiting& waiting, const std::string& key) {
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(auto file, OpenFile(key));
  if (!file) return nullptr;
  STRATA_ASSIGN(const std::uint64_t size, file->Size());
  return std::make_unique<FolderObject>(std::move(file), size);
}

Result<bool> FolderBucket::Has(const Waiting& waiting, const std::string& key) {
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  STRATA_ASSIGN(const auto file, OpenFile(key));
  return file != nullptr;
}

Result<bool> FolderBucket::RelyOn(const std::string& key) {
  if (StagedPath(key)) return true;
  STRATA_ASSIGN(const bool there, Has({}, key));
  if (!there) return false;
  bool full = false;
  {
    MutexLock lock(mutex_);
    relied_on_.insert(DirectoryOf(PathOf(key)));
    full = relied_on_.size() >= kMostStaged;
  }
  if (full) STRATA_TRY(Sync());
  return true;
}

Result<bool> FolderBucket::ListFolder(const std::string& folder, std::set<std::string>& staged,
                                      const std::function<bool(std::string_view key)>& visit) {
  const auto names = env_.ListDirectory(PathOf(folder));
  if (!names) {
    if (names.error().code() == Errc::kNotFound) return true;
    return Fail(names.error());
  }
  // A folder stands where its keys do: "a/b" behind "a-b".
  std::vector<std::string> keys;
  for (const std::string& name : *names) {
    keys.push_back(folder + '/' + name);
    const auto beneath = env_.ListDirectory(PathOf(keys.back()));
    if (beneath) {
      keys.back() += '/';
    } else if (beneath.error().code() == Errc::kNotFound) {
      keys.pop_back();
    } else if (beneath.error().code() != Errc::kNotDirectory) {
      return Fail(beneath.error());
    }
  }
  std::ranges::sort(keys);
  for (std::string& key : keys) {
    while (!staged.empty() && *staged.begin() < key) {
      if (!visit(staged.extract(staged.begin()).value())) return false;
    }
    if (!key.ends_with('/')) {
      staged.erase(key);
      if (!visit(key)) return false;
      continue;
    }
    key.pop_back();
    STRATA_ASSIGN(const bool more, ListFolder(key, staged, visit));
    if (!more) return false;
  }
  return true;
}

Result<void> FolderBucket::List(const Waiting& waiting, const std::string& folder,
                                const std::function<bool(std::string_view key)>& visit) {
  if (!waiting.may_block) return Fail(Errc::kWouldBlock);
  STRATA_TRY(CheckObjectKey(folder));
  std::set<std::string> keys;
  {
    MutexLock lock(mutex_);
    for (const Batch* batch : {&staged_, &publishing_}) {
      for (const auto& [key, staged] : *batch) {
        if (key.starts_with(folder + '/')) keys.insert(key);
      }
    }
  }
  // A folder at a time: there may be millions of objects.
  STRATA_ASSIGN(const bool more, ListFolder(folder, keys, visit));
  if (!more) return {};
  for (const std::string& key : keys) {
    if (!visit(key)) break;
  }
  return {};
}

Result<void> FolderBucket::Sync() {
  MutexLock publish_lock(publish_mutex_);
  Batch batch;
  std::set<std::string> relied_on;
  {
    MutexLock lock(mutex_);
    if (failed_) return Fail(*failed_);
    if (staged_.empty() && relied_on_.empty()) return {};
    relied_on = std::exchange(relied_on_, {});
    publishing_ = std::exchange(staged_, {});
    staged_bytes_ = 0;
    batch = publishing_;
  }
  auto published = Publish(batch, relied_on);
  MutexLock lock(mutex_);
  if (published) {
    publishing_.clear();
  } else {
    failed_ = published.error();
  }
  return published;
}

Result<void> FolderBucket::Publish(const Batch& batch, const std::set<std::string>& relied_on) {
  bool together = batch.size() + relied_on.size() > kSyncedByThemselves;
  if (together) {
    if (auto synced = env_.SyncFileSystem(folder_); !synced) {
      if (synced.error().code() != Errc::kNotSupported) return synced;
      together = false;
    }
  }
  if (!together) {
    for (const auto& [key, staged] : batch) {
      STRATA_ASSIGN(const auto file, env_.Open(staged.path, OpenMode::kReadWrite));
      STRATA_TRY(file->SyncData());
    }
    for (const std::string& folder : relied_on) STRATA_TRY(env_.SyncDirectory(folder));
  }
  for (std::size_t rank = 0; rank < kObjectRanks; ++rank) {
    std::set<std::string> changed;
    for (const auto& [key, staged] : batch) {
      if (staged.rank != static_cast<ObjectRank>(rank)) continue;
      STRATA_TRY(MakeFolderOf(key, changed));
      STRATA_TRY(env_.Rename(staged.path, PathOf(key)));
      changed.insert(DirectoryOf(PathOf(key)));
    }
    if (changed.empty()) continue;
    if (together) {
      STRATA_TRY(env_.SyncFileSystem(folder_));
      continue;
    }
    for (const std::string& folder : changed) STRATA_TRY(env_.SyncDirectory(folder));
  }
  return {};
}

Result<void> FolderBucket::MakeFolderOf(const std::string& key, std::set<std::string>& changed) {
  const std::size_t end = key.rfind('/');
  if (end == std::string::npos || known_folders_.contains(key.substr(0, end))) return {};
  for (std::size_t slash = key.find('/'); slash <= end; slash = key.find('/', slash + 1)) {
    const std::string folder = key.substr(0, slash);
    if (!known_folders_.contains(folder)) {
      STRATA_TRY(env_.CreateDirectory(PathOf(folder)));
      if (known_folders_.size() >= kMostKnownFolders) known_folders_.clear();
      known_folders_.insert(folder);
      changed.insert(DirectoryOf(PathOf(folder)));
    }
    if (slash == end) break;
  }
  return {};
}

}  // namespace strata::store
