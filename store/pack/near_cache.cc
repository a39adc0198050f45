#include "store/pack/near_cache.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "base/hash.h"
#include "store/pack/blob_reader.h"
#include "store/pack/directories.h"
#include "store/pack/engine.h"

namespace strata::store {
namespace {

using pack::PackClass;
using pack::PackId;

constexpr std::uint64_t kPacksOfABound = 32;
constexpr std::uint64_t kLeastNearPack = 32 << 10, kMostNearPack = 256 << 20;
// An index is made for so many records, and with twice as many in none nothing is kept: before anybody would have to
// wait for an index, whatever the memory (Appender::MakeRoom).
constexpr std::size_t kRecordsOfAnIndex = 2048;
// How often the folder is looked at where nothing is put: what others removed is then let go.
constexpr std::chrono::seconds kNearRests{30};
constexpr std::chrono::seconds kAfterFailure{1};
constexpr int kLockAttempts = 1000;

std::string NearMark(const std::string& path) { return path + "/near"; }

}  // namespace

Result<bool> IsNearCache(Env& env, const std::string& path) {
  const auto mark = env.Open(NearMark(path), OpenMode::kRead);
  if (mark) return true;
  if (mark.error().code() == Errc::kNotFound || mark.error().code() == Errc::kNotDirectory) return false;
  return Fail(mark.error());
}

class NearCache::Blobs final : public BlobService {
 public:
  explicit Blobs(NearCache& cache) : cache_(cache) {}

  Result<bool> Has(const Waiting& waiting, const Digest& digest) override {
    STRATA_ASSIGN(const auto place, Find(waiting, digest));
    return place.has_value();
  }
  Result<std::shared_ptr<BlobReader>> Open(const Waiting& waiting, const Digest& digest) override {
    STRATA_ASSIGN(const auto place, Find(waiting, digest));
    if (!place) return nullptr;
    if (waiting.may_block && cache_.GoesSoon(pack::RecordKind::kChunk, digest)) {
      // A second chance. Where it cannot be read, whoever reads finds that.
      if (const auto chunk = cache_.engine_.Chunk(waiting, {digest, place->raw})) {
        (void)cache_.Take(pack::RecordKind::kChunk, digest, chunk->bytes);
      }
    }
    return pack::ReaderOfChunk(cache_.engine_, {digest, place->raw});
  }
  Result<Digest> Put(ByteSpan blob) override {
    const Digest digest = Digest::Of(blob);
    STRATA_ASSIGN(const auto place, Find({}, digest));
    if (!place) STRATA_TRY(cache_.Take(pack::RecordKind::kChunk, digest, blob));
    return digest;
  }
  std::string Describe() const override { return cache_.engine_.Describe(); }

 private:
  // What was found to be damaged counts as missing, and so is put again.
  Result<std::optional<pack::Location>> Find(const Waiting& waiting, const Digest& digest) {
    STRATA_ASSIGN(const auto places, cache_.engine_.Find(waiting, PackClass::kData, digest));
    for (const pack::Engine::Place& place : places) {
      if (place.location.kind == pack::RecordKind::kChunk) return place.location;
    }
    return std::nullopt;
  }

  NearCache& cache_;
};

class NearCache::Directories final : public DirectoryService {
 public:
  explicit Directories(NearCache& cache) : cache_(cache), packed_(cache.engine_) {}

  Result<std::optional<Directory>> Get(const Waiting& waiting, const Digest& digest) override {
    return packed_.Get(waiting, digest);
  }
  Result<Digest> Put(const Directory& directory) override {
    const Digest digest = directory.digest();
    STRATA_ASSIGN(const auto places, cache_.engine_.Find({}, PackClass::kDirectories, digest));
    if (!places.empty()) return digest;
    STRATA_ASSIGN(const bool taken, cache_.Take(pack::RecordKind::kDirectory, digest, directory.canonical()));
    if (taken) return digest;
    return Fail(Errc::kNoSpace, cache_.engine_.Describe() + ": directories take no more than half of a near store's " +
                                    "bound; let it have more, or stop all who use it, so that the next one who opens "
                                    "it drops them");
  }
  std::string Describe() const override { return cache_.engine_.Describe(); }

 private:
  NearCache& cache_;
  pack::PackDirectories packed_;
};

Result<std::shared_ptr<NearCache>> NearCache::Open(Env& env, const std::string& path, const NearCacheOptions& options) {
  if (options.bytes < kLeastNearBytes) {
    return Fail(Errc::kInvalid, "the near store pack:" + path + " may hold " + std::to_string(options.bytes) +
                                    " bytes; give it at least " + std::to_string(kLeastNearBytes) +
                                    ", and as much as is often read, such as 10G");
  }
  PackStoreOptions store_options;
  store_options.create = true;
  store_options.memory_bytes = options.memory_bytes;
  store_options.threads = 1;
  store_options.pack_bytes = std::clamp(options.bytes / kPacksOfABound, kLeastNearPack, kMostNearPack);
  STRATA_ASSIGN(auto store, PackStore::Open(env, path, store_options));
  std::shared_ptr<NearCache> cache(new NearCache(env, path, options.bytes, std::move(store)));
  STRATA_TRY(cache->Begin());
  return cache;
}

NearCache::NearCache(Env& env, std::string path, std::uint64_t bytes, std::shared_ptr<PackStore> store)
    : env_(env),
      path_(std::move(path)),
      bytes_(bytes),
      store_(std::move(store)),
      engine_(store_->engine()),
      pack_bytes_(engine_.format().pack_bytes),
      blobs_(std::make_unique<Blobs>(*this)),
      directories_(std::make_unique<Directories>(*this)),
      old_(std::make_shared<PackSet>()) {}

NearCache::~NearCache() {
  {
    const MutexLock lock(mutex_);
    stop_ = true;
    wakes_.NotifyAll();
  }
  if (keeper_.joinable()) keeper_.join();
}

std::shared_ptr<BlobService> NearCache::blobs() { return {shared_from_this(), blobs_.get()}; }
std::shared_ptr<DirectoryService> NearCache::directories() { return {shared_from_this(), directories_.get()}; }

Result<void> NearCache::Begin() {
  STRATA_TRY(CheckOurs());
  STRATA_ASSIGN(lock_, env_.Open(NearMark(path_), OpenMode::kCreate));
  STRATA_TRY(DropDirectoriesIfAlone());
  Result<void> locked = lock_->LockShared();
  // Somebody who is alone holds it for a moment.
  for (int attempt = 1; !locked && locked.error().code() == Errc::kBusy && attempt < kLockAttempts; ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    locked = lock_->LockShared();
  }
  if (!locked) return Fail(locked.error().WithContext("share the near store pack:" + path_));
  STRATA_TRY(Tidy());
  keeper_ = std::thread([this] { Keep(); });
  return {};
}

Result<void> NearCache::CheckOurs() {
  STRATA_ASSIGN(bool ours, IsNearCache(env_, path_));
  if (ours) return {};
  STRATA_ASSIGN(const auto packs, env_.ListDirectory(engine_.layout().packs()));
  STRATA_ASSIGN(const auto roots, env_.ListDirectory(engine_.layout().roots()));
  if (packs.empty() && roots.empty()) return {};
  // Another may have made it one just now, and put something.
  STRATA_ASSIGN(ours, IsNearCache(env_, path_));
  if (ours) return {};
  return Fail(Errc::kNotEmpty, "pack:" + path_ +
                                   " is a store that was not made to be a near one with a bound, which drops what is "
                                   "old; name a folder that is empty or does not exist");
}

Result<void> NearCache::DropDirectoriesIfAlone() {
  if (!lock_->Lock()) return {};
  const MutexLock tidying(tidy_mutex_);
  STRATA_ASSIGN(const Measured measured, Measure());
  if (measured.directory_bytes <= bytes_ / 2) return {};
  log::Info("near_store_directories_dropped", {{"store", engine_.Describe()},
                                               {"bytes", measured.directory_bytes},
                                               {"why", "they take more than half of what the store may hold"}});
  for (const PackId id : measured.directories) {
    STRATA_ASSIGN([[maybe_unused]] const bool removed, RemovePack(id));
  }
  engine_.catalog().changes().Put();
  return engine_.catalog().Reload();
}

bool NearCache::Reserve(pack::RecordKind kind, std::uint64_t bytes) {
  const bool directory = kind == pack::RecordKind::kDirectory;
  const std::size_t records = engine_.appender(pack::ClassOf(kind)).tail_records();
  const MutexLock lock(mutex_);
  if (bytes > pack_bytes_) return false;
  if (directory && measured_directories_ + put_directories_ + bytes > bytes_ / 2) return false;
  const std::uint64_t after = measured_ + put_ + bytes;
  if (after > bytes_ || put_ + bytes > pack_bytes_ / 4 || unindexed_ + bytes > pack_bytes_ ||
      records >= kRecordsOfAnIndex) {
    wanted_ = true;
    wakes_.NotifyOne();
  }
  // Half a pack more than the bound, while what is old goes.
  if (after > bytes_ + pack_bytes_ / 2 || records >= 2 * kRecordsOfAnIndex) return false;
  put_ += bytes;
  unindexed_ += bytes;
  if (directory) put_directories_ += bytes;
  return true;
}

Result<bool> NearCache::Take(pack::RecordKind kind, const Digest& digest, ByteSpan content) {
  if (!pack::SizesAreValid(kind, pack::Method::kRaw, content.size(), content.size())) {
    return Fail(Errc::kFileTooBig, engine_.Describe() + ": " + std::to_string(content.size()) + " bytes are too many");
  }
  std::vector<std::byte> compressed;
  pack::RecordHeader header{.kind = kind, .raw = static_cast<std::uint32_t>(content.size()), .digest = digest};
  ByteSpan stored = content;
  if (engine_.files().compression().Compress(content, compressed)) {
    header.method = pack::Method::kZstd;
    stored = compressed;
  }
  header.stored = static_cast<std::uint32_t>(stored.size());
  header.stored_crc = Crc32c(stored);
  header.time = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(env_.Now().ns / 1'000'000'000, 0, std::numeric_limits<std::uint32_t>::max()));
  if (!Reserve(kind, header.RecordBytes())) return false;
  STRATA_TRY(engine_.PutStored(header, stored));
  return true;
}

bool NearCache::GoesSoon(pack::RecordKind kind, const Digest& digest) {
  std::shared_ptr<const PackSet> old;
  {
    const MutexLock lock(mutex_);
    old = old_;
  }
  if (old->empty()) return false;
  const auto places = engine_.Find({}, pack::ClassOf(kind), digest);
  return places && !places->empty() && std::ranges::all_of(*places, [&](const pack::Engine::Place& place) {
           return old->contains(place.location.pack);
         });
}

Result<NearCache::Measured> NearCache::Measure() {
  Measured measured;
  const std::string folder = engine_.layout().packs();
  STRATA_ASSIGN(const auto names, env_.ListDirectory(folder));
  for (const std::string& name : names) {
    const auto id = pack::ParsePackFileName(name);
    std::uint64_t bytes = 0;
    if (!id) {
      const auto file = env_.Open(folder + '/' + name, OpenMode::kRead);
      if (!file && file.error().code() == Errc::kNotFound) continue;
      if (!file) return Fail(file.error());
      STRATA_ASSIGN(bytes, (*file)->Size());
      measured.bytes += bytes;
      continue;
    }
    const auto opened = engine_.files().Open(true, *id);
    // Gone, or so young that its header is not written.
    if (!opened && (opened.error().code() == Errc::kNotFound || opened.error().code() == Errc::kCorrupt)) continue;
    if (!opened) return Fail(opened.error());
    STRATA_ASSIGN(bytes, (*opened)->file->Size());
    measured.bytes += bytes;
    measured.packs.insert(*id);
    // Of one whose header is damaged nobody knows when it was made: it goes first.
    if ((*opened)->header.pack_class == PackClass::kDirectories) {
      measured.directory_bytes += bytes;
      measured.directories.push_back(*id);
    } else {
      measured.data.push_back({(*opened)->header.created.ns, *id, bytes});
    }
  }
  std::ranges::sort(measured.data, {},
                    [](const PackState& state) { return std::pair(state.created_ns, state.id.value); });
  return measured;
}

Result<bool> NearCache::RemovePack(PackId id) {
  const std::string path = engine_.files().PathOf(id);
  const auto file = env_.Open(path, OpenMode::kReadWrite);
  if (!file && file.error().code() == Errc::kNotFound) return true;
  if (!file) return Fail(file.error());
  if (auto locked = (*file)->Lock(); !locked) {
    if (locked.error().code() == Errc::kBusy) return false;
    return Fail(locked.error());
  }
  // Who lists the folder while files come and go may miss some: the mark changes between.
  engine_.catalog().changes().Put();
  if (auto removed = env_.Remove(path); !removed && removed.error().code() != Errc::kNotFound) {
    return Fail(removed.error());
  }
  (void)pack::ClearUnsynced(env_, engine_.layout(), id);
  engine_.files().Forget(id);
  return true;
}

Result<bool> NearCache::Evict(Measured& measured) {
  bool any = false;
  std::vector<PackState> left;
  for (const PackState& state : measured.data) {
    bool removed = false;
    if (measured.bytes > bytes_) {
      STRATA_ASSIGN(removed, RemovePack(state.id));
    }
    if (removed) {
      any = true;
      measured.bytes -= state.bytes;
      measured.packs.erase(state.id);
    } else {
      left.push_back(state);
    }
  }
  measured.data = std::move(left);
  return any;
}

Result<void> NearCache::Tidy() {
  const MutexLock tidying(tidy_mutex_);
  std::uint64_t put = 0, put_directories = 0, unindexed = 0;
  {
    const MutexLock lock(mutex_);
    put = put_;
    put_directories = put_directories_;
    unindexed = unindexed_;
  }
  // So that the files have what was put. Where they cannot take it, it takes no room on the disk.
  std::size_t records = 0;
  for (const PackClass each : {PackClass::kData, PackClass::kDirectories}) {
    (void)engine_.appender(each).Flush();
    records = std::max(records, engine_.appender(each).tail_records());
  }
  // What is in an index is not held by this process any more: it can go, and be removed by others.
  Result<void> published;
  if (unindexed > 0 && (unindexed >= pack_bytes_ || records >= kRecordsOfAnIndex)) {
    published = engine_.PublishIndexes();
    const MutexLock lock(mutex_);
    if (published) unindexed_ -= unindexed;
  }
  STRATA_ASSIGN(Measured measured, Measure());
  // What others removed takes room for as long as it is open here. Whoever reads may open a pack while it is removed:
  // so what is open is looked at, not what was seen to be there.
  const bool let_go = engine_.files().KeepOnly(measured.packs);
  STRATA_ASSIGN(const bool removed, Evict(measured));
  if (removed) engine_.catalog().changes().Put();
  STRATA_TRY(removed || let_go ? engine_.catalog().Reload() : engine_.catalog().Follow());
  if (removed) STRATA_TRY(engine_.catalog().Merge(false));
  auto old = std::make_shared<PackSet>();
  std::uint64_t after = measured.bytes;
  for (const PackState& state : measured.data) {
    if (after <= bytes_ / 4 * 3) break;
    old->insert(state.id);
    after -= state.bytes;
  }
  {
    const MutexLock lock(mutex_);
    measured_ = measured.bytes;
    measured_directories_ = measured.directory_bytes;
    put_ -= put;
    put_directories_ -= put_directories;
    old_ = std::move(old);
  }
  return published;
}

void NearCache::Keep() {
  while (true) {
    {
      const MutexLock lock(mutex_);
      if (!stop_ && !wanted_) (void)wakes_.WaitUntil(mutex_, std::chrono::steady_clock::now() + kNearRests);
      if (stop_) return;
      wanted_ = false;
    }
    const auto tidied = Tidy();
    if (tidied) continue;
    if (complaints_.Allow()) {
      log::Warning("near_store_not_tidied", {{"store", engine_.Describe()},
                                             {"error", tidied.error()},
                                             {"hint", "reads go to the far store meanwhile; look after the disk"}});
    }
    const auto again = std::chrono::steady_clock::now() + kAfterFailure;
    const MutexLock lock(mutex_);
    while (!stop_ && std::chrono::steady_clock::now() < again) (void)wakes_.WaitUntil(mutex_, again);
  }
}

}  // namespace strata::store
