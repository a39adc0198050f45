#include "store/pack/engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/hash.h"
#include "base/log.h"

namespace strata::store::pack {
namespace {

// How the memory of a store is divided (docs/formats/pack.md, "Memory").
struct Shares {
  // Who only reads puts nothing: chunks take that share.
  explicit Shares(const EngineOptions& options)
      : chunks(options.memory_bytes / 32 * (options.read_only ? 22 : 12)),
        tags(options.memory_bytes / 16),
        filters(options.memory_bytes / 8),
        buffer(std::clamp<std::uint64_t>(options.memory_bytes / 64, 64 << 10, 4 << 20)),
        // Of two classes a table that is filled, up to twice over, one that is made an index, and that sorted.
        own_records(std::max<std::uint64_t>(
            options.memory_bytes / 4 / 2 / (3 * TailTable::kRecordBytes + sizeof(IndexEntry)), 256)),
        foreign_records(
            std::max<std::uint64_t>(options.memory_bytes / 8 / (TailTable::kRecordBytes + sizeof(IndexEntry)), 256)) {}

  std::uint64_t chunks, tags, filters, buffer, own_records, foreign_records;
};

// A pack that went between looking and reading is looked for again so often.
constexpr int kLookups = 4;
constexpr std::uint64_t kWriteBackAt = 16 << 20;
constexpr std::size_t kMostOpenPacks = 64;
// With fewer in no index none is made at the end: whoever opens the store reads them from the packs.
constexpr std::size_t kIndexAtTheEnd = 1024;
// A chunk is read as a whole again, into the cache, once so many times its bytes were read in parts.
constexpr std::uint64_t kGivenInParts = 32;
constexpr auto kKeeperRests = std::chrono::minutes(10);

}  // namespace

Engine::Engine(Env& env, const Layout& layout, const StoreFormat& format, EngineOptions options)
    : env_(env),
      layout_(layout),
      format_(format),
      options_(std::move(options)),
      name_("pack:" + layout.root),
      files_(env, layout.packs(), kMostOpenPacks),
      cache_(Shares(options_).chunks),
      tags_(env, Shares(options_).tags),
      session_(env, layout, options_.holder),
      pool_(std::max(options_.threads, 1U)) {}

Result<std::shared_ptr<Engine>> Engine::Open(Env& env, const Layout& layout, const StoreFormat& format,
                                             EngineOptions options) {
  std::shared_ptr<Engine> engine(new Engine(env, layout, format, std::move(options)));
  const Shares shares(engine->options_);
  STRATA_ASSIGN(engine->catalog_, Catalog::Open(env, layout, engine->files_,
                                                {.read_only = engine->options_.read_only,
                                                 .pack_bytes = format.pack_bytes,
                                                 .filter_bytes = shares.filters,
                                                 .tail_records = shares.foreign_records}));
  for (const PackClass pack_class : {PackClass::kData, PackClass::kDirectories}) {
    AppenderOptions appending{.pack_class = pack_class,
                              .buffer_bytes = shares.buffer,
                              .tail_records = shares.own_records,
                              .wants_index = [engine = engine.get()] { engine->Wake(true, 0); },
                              .wrote = [engine = engine.get()](std::uint64_t bytes) { engine->Wake(false, bytes); }};
    engine->appenders_[static_cast<std::size_t>(pack_class)] =
        std::make_unique<Appender>(*engine->catalog_, std::move(appending));
  }
  return engine;
}

Engine::~Engine() {
  std::thread keeper;
  {
    const MutexLock lock(keeper_mutex_);
    stop_ = true;
    keeper.swap(keeper_);
    keeper_wakes_.NotifyAll();
  }
  if (keeper.joinable()) keeper.join();
  for (const auto& appender : appenders_) {
    if (!appender) continue;
    const std::size_t records = appender->tail_records();
    const auto ended = records >= kIndexAtTheEnd ? appender->PublishIndex() : appender->Flush();
    if (!ended && !catalog_->failure().failed()) {
      log::Error("pack_store_end",
                 {{"store", name_}, {"error", ended.error()}, {"hint", "what was not synced must be put again"}});
    }
  }
}

Result<void> Engine::CheckWritable() const {
  if (!options_.read_only) return catalog_->failure().Check();
  return Fail(Errc::kReadOnly, name_ + " was opened to be read only");
}

Result<void> Engine::FindKnown(bool may_block, PackClass pack_class, const Digest& digest, bool with_bad,
                               Places& places) {
  if (catalog_->failure().failed()) {
    for (const auto& appender : appenders_) appender->Abandon();
  }
  if (const auto own = appender(pack_class).Find(digest); own && (with_bad || !catalog_->IsBad(*own))) {
    places.push_back({*own, Origin::kOwn});
  }
  Catalog::Places known;
  STRATA_TRY(catalog_->Find(may_block, pack_class, digest, with_bad, known));
  for (const Catalog::Place& place : known) {
    places.push_back({place.location, place.durable ? Origin::kIndexed : Origin::kForeign});
  }
  return {};
}

Result<Engine::Places> Engine::Find(const Waiting& waiting, PackClass pack_class, const Digest& digest, bool with_bad) {
  // Packs that are gone would be found where they are still known. Where the folder cannot be read anew, what is known
  // has to do.
  STRATA_ASSIGN(const bool current, catalog_->IsCurrent(waiting.may_block));
  if (!current && !waiting.may_block) return Fail(Errc::kWouldBlock);
  if (!current) (void)catalog_->Follow();
  for (int lookup = 0;; ++lookup) {
    Places places;
    const auto found = FindKnown(waiting.may_block, pack_class, digest, with_bad, places);
    // An index that does not check is made anew by the next look.
    if (!found && (found.error().code() != Errc::kCorrupt || !waiting.may_block || lookup == kLookups)) {
      return Fail(found.error());
    }
    if (found && !places.empty()) return places;
    if (!waiting.may_block) return Fail(Errc::kWouldBlock);
    STRATA_ASSIGN(const bool changed, catalog_->Look());
    if (found && (!changed || lookup == kLookups)) return places;
  }
}

Result<Content> Engine::Read(const Waiting& waiting, RecordKind kind, const Digest& digest,
                             const std::optional<Prefer>& prefer) {
  std::optional<Status> bad;
  std::optional<Content> second_best;
  for (int lookup = 0; lookup < kLookups; ++lookup) {
    STRATA_ASSIGN(const Places places, Find(waiting, ClassOf(kind), digest, true));
    bool gone = false;
    for (const Place& place : places) {
      if (place.location.kind != kind) continue;
      if (place.origin == Origin::kOwn) {
        if (!waiting.may_block) return Fail(Errc::kWouldBlock);
        STRATA_TRY(appender(ClassOf(kind)).FlushFor(place.location));
      }
      auto content = files_.Read(waiting.may_block, digest, place.location);
      if (content) {
        catalog_->MarkGood(place.location);
        bool preferred = true;
        if (prefer && places.size() > 1) {
          STRATA_ASSIGN(preferred, (*prefer)(*content));
        }
        if (preferred) return content;
        if (!second_best) second_best = *std::move(content);
        continue;
      }
      switch (content.error().code()) {
        case Errc::kNotFound:
          files_.Forget(place.location.pack);
          gone = true;
          break;
        case Errc::kCorrupt:
          if (!catalog_->IsBad(place.location)) {
            log::Error("pack_record_damaged", {{"store", name_}, {"error", content.error()}});
          }
          catalog_->MarkBad(place.location);
          bad = content.error();
          break;
        default:
          return content;
      }
    }
    if (!gone) break;
    if (!waiting.may_block) return Fail(Errc::kWouldBlock);
    STRATA_TRY(catalog_->Reload());
  }
  if (second_best) return *std::move(second_best);
  if (bad) return Fail(*bad);
  return Fail(Errc::kNotFound, name_ + " lacks the " + std::string(KindName(kind)) + ' ' + digest.Text());
}

Result<BlobBytes> Engine::Chunk(const Waiting& waiting, const ChunkMeta& wanted, std::uint64_t begin) {
  auto chunk = cache_.Get(waiting, wanted.digest, [&]() -> Result<BlobBytes> {
    // Small ones are read, where the system has them in memory, in less time than it takes to let somebody else do it.
    if (!waiting.may_block && wanted.size >= PartTags::kSmallest) return Fail(Errc::kWouldBlock);
    STRATA_ASSIGN(Content content, Read(waiting, RecordKind::kChunk, wanted.digest));
    tags_.Add(wanted.digest, content.location, begin, content.span());
    return BlobBytes{content.span(), std::move(content.bytes)};
  });
  if (chunk && chunk->bytes.size() != wanted.size) {
    return Fail(Errc::kCorrupt, name_ + ": the chunk " + wanted.digest.Text() + " has " +
                                    std::to_string(chunk->bytes.size()) + " bytes, where " +
                                    std::to_string(wanted.size) + " are expected");
  }
  return chunk;
}

Result<BlobBytes> Engine::Piece(const Waiting& waiting, const ChunkMeta& chunk, std::uint64_t begin,
                                std::uint64_t offset, std::size_t length) {
  const std::uint64_t skip = offset - begin;
  length = static_cast<std::size_t>(std::min<std::uint64_t>(length, chunk.size - skip));
  auto whole = cache_.Find(chunk.digest);
  if (!whole) {
    STRATA_ASSIGN(auto parts, ReadParts(waiting, chunk, begin, skip, length));
    if (parts) return *std::move(parts);
  }
  if (!whole || whole->bytes.size() != chunk.size) {
    STRATA_ASSIGN(whole, Chunk(waiting, chunk, begin));
  }
  whole->bytes = whole->bytes.subspan(skip, length);
  return *std::move(whole);
}

Result<std::optional<BlobBytes>> Engine::ReadParts(const Waiting& waiting, const ChunkMeta& chunk, std::uint64_t begin,
                                                   std::uint64_t skip, std::size_t length) {
  const auto tagged = tags_.Find(chunk.digest, begin);
  if (!tagged || tagged->location.raw != chunk.size) return std::nullopt;
  if (tagged->given.fetch_add(length, std::memory_order_relaxed) >= kGivenInParts * chunk.size) return std::nullopt;
  const std::size_t part = tagged->PartAt(skip);
  const std::uint64_t from = tagged->BeginOf(part), end = tagged->EndOf(tagged->PartAt(skip + length - 1));
  const auto bytes = std::make_shared_for_overwrite<std::byte[]>(end - from);
  const MutableByteSpan room(bytes.get(), end - from);
  const auto got = files_.ReadStored(waiting.may_block, tagged->location, from, room);
  if (!got && got.error().code() == Errc::kWouldBlock) return Fail(got.error());
  // The pack is gone, or what lies there is not what lay there: whoever reads all of it finds what is to be done.
  if (!got || *got != room.size() || !tags_.Check(*tagged, part, room)) {
    tags_.Drop(chunk.digest, tagged);
    return std::nullopt;
  }
  return BlobBytes{ByteSpan(room).subspan(skip - from, length), bytes};
}

Result<bool> Engine::Rely(const Place& place) {
  if (place.origin == Origin::kOwn) return true;
  if (place.origin == Origin::kForeign) {
    STRATA_ASSIGN(const bool sound, RelyOnForeign(place.location.pack));
    if (!sound) return false;
  }
  return session_.Use(place.location.pack);
}

Result<bool> Engine::RelyOnForeign(PackId pack) {
  if (catalog_->failure().failed()) return false;
  {
    const MutexLock lock(foreign_mutex_);
    if (foreign_.contains(pack)) return true;
  }
  auto opened = files_.Open(true, pack);
  if (!opened && (opened.error().code() == Errc::kNotFound || opened.error().code() == Errc::kCorrupt)) return false;
  if (!opened) return Fail(opened.error());
  // Opened first: if writing it back fails from here on, our own sync says so. If it failed before, the mark does.
  STRATA_ASSIGN(const bool unsynced, IsUnsynced(env_, layout_, pack));
  if (unsynced) return false;
  const MutexLock lock(foreign_mutex_);
  foreign_.emplace(pack, *std::move(opened));
  return true;
}

Result<bool> Engine::Holds(const Waiting& waiting, RecordKind kind, const Digest& digest) {
  STRATA_ASSIGN(const Places places, Find(waiting, ClassOf(kind), digest));
  for (const Place& place : places) {
    if (place.location.kind != kind) continue;
    if (options_.read_only) return true;
    if (!waiting.may_block && place.origin != Origin::kOwn) return Fail(Errc::kWouldBlock);
    STRATA_ASSIGN(const bool safe, Rely(place));
    if (safe) return true;
  }
  return false;
}

Result<void> Engine::Put(RecordKind kind, const Digest& digest, ByteSpan content) {
  STRATA_TRY(CheckWritable());
  STRATA_ASSIGN(const bool held, Holds({}, kind, digest));
  if (held) return {};
  return PutAnew(kind, digest, content);
}

Result<void> Engine::PutAnew(RecordKind kind, const Digest& digest, ByteSpan content) {
  STRATA_TRY(CheckWritable());
  if (!SizesAreValid(kind, Method::kRaw, content.size(), content.size())) {
    return Fail(Errc::kFileTooBig, name_ + ": a " + std::string(KindName(kind)) + " of " +
                                       std::to_string(content.size()) + " bytes is too large");
  }
  STRATA_TRY(session_.Begin());
  StartKeeper();
  std::vector<std::byte> compressed;
  RecordHeader header{.kind = kind, .raw = static_cast<std::uint32_t>(content.size()), .digest = digest};
  ByteSpan stored = content;
  if (files_.compression().Compress(content, compressed)) {
    header.method = Method::kZstd;
    stored = compressed;
  }
  header.stored = static_cast<std::uint32_t>(stored.size());
  header.stored_crc = Crc32c(stored);
  header.time = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(env_.Now().ns / 1'000'000'000, 0, std::numeric_limits<std::uint32_t>::max()));
  Appender& appending = appender(ClassOf(kind));
  // Another thread may have put the same while this one compressed it. (Of lists there may be several.)
  if (const auto own = appending.Find(digest);
      own && own->kind == kind && kind != RecordKind::kList && !catalog_->IsBad(*own)) {
    return {};
  }
  if (auto appended = appending.Append(header, stored); !appended) {
    return Fail(appended.error().WithContext("put a " + std::string(KindName(kind)) + " into " + name_));
  }
  return {};
}

Result<void> Engine::PutStored(const RecordHeader& header, ByteSpan stored) {
  STRATA_TRY(CheckWritable());
  StartKeeper();
  STRATA_TRY(appender(ClassOf(header.kind)).Append(header, stored));
  return {};
}

Result<void> Engine::Sync() {
  STRATA_TRY(catalog_->failure().Check());
  STRATA_TRY(appender(PackClass::kData).Sync());
  STRATA_TRY(SyncForeign());
  return appender(PackClass::kDirectories).Sync();
}

Result<void> Engine::SyncForeign() {
  // Held meanwhile: who comes while it works must not go on before it is done.
  const MutexLock syncing(foreign_sync_mutex_);
  absl::flat_hash_map<PackId, std::shared_ptr<OpenPack>> packs;
  {
    const MutexLock lock(foreign_mutex_);
    packs.swap(foreign_);
  }
  if (packs.empty()) return {};
  for (const auto& [id, pack] : packs) {
    const std::string what = "make durable what another process has put into " + pack->path;
    if (auto synced = pack->file->SyncData(); !synced) {
      MarkUnsynced(env_, layout_, id);
      return catalog_->failure().Set(synced.error().WithContext(what));
    }
    // Its own sync may have failed before this one.
    STRATA_ASSIGN(const bool unsynced, IsUnsynced(env_, layout_, id));
    if (unsynced) return catalog_->failure().Set(Status(Errc::kIo, what + ": that process could not"));
  }
  return catalog_->SyncFolder();
}

Result<void> Engine::PublishIndexes() {
  STRATA_TRY(CheckWritable());
  for (const auto& appender : appenders_) STRATA_TRY(appender->PublishIndex());
  return catalog_->Merge(false);
}

void Engine::StartKeeper() {
  if (keeping_.load(std::memory_order_acquire)) return;
  const MutexLock lock(keeper_mutex_);
  if (keeping_.exchange(true) || stop_) return;
  keeper_ = std::thread([this] { Keep(); });
}

void Engine::Wake(bool index, std::uint64_t bytes) {
  const MutexLock lock(keeper_mutex_);
  index_wanted_ = index_wanted_ || index;
  wrote_ += bytes;
  if (index_wanted_ || wrote_ >= kWriteBackAt) keeper_wakes_.NotifyOne();
}

void Engine::Keep() {
  const std::size_t most = Shares(options_).own_records;
  const auto say = [this](const Result<void>& done, std::string_view what) {
    if (!done) log::Warning("pack_store_keeper", {{"store", name_}, {"doing", what}, {"error", done.error()}});
  };
  while (true) {
    bool index = false, back = false;
    {
      const MutexLock lock(keeper_mutex_);
      if (!stop_ && !index_wanted_ && wrote_ < kWriteBackAt) {
        (void)keeper_wakes_.WaitUntil(keeper_mutex_, std::chrono::steady_clock::now() + kKeeperRests);
      }
      if (stop_) return;
      index = std::exchange(index_wanted_, false);
      back = wrote_ >= kWriteBackAt;
      if (back) wrote_ = 0;
    }
    if (back) {
      for (const auto& appender : appenders_) say(appender->WriteBack(), "write back");
    }
    if (index) {
      bool published = false;
      for (const auto& appender : appenders_) {
        if (appender->tail_records() < most) continue;
        const auto done = appender->PublishIndex();
        published = published || done.has_value();
        say(done, "make an index");
      }
      if (published) say(catalog_->Merge(false), "merge indexes");
    }
    say(session_.Renew(), "renew the lease");
  }
}

}  // namespace strata::store::pack
