// Engine: what the services of a pack store share. It finds, reads and puts records.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "base/env.h"
#include "base/fetch.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/blobs/chunk_cache.h"
#include "store/chunker.h"
#include "store/pack/appender.h"
#include "store/pack/catalog.h"
#include "store/pack/layout.h"
#include "store/pack/pack_files.h"
#include "store/pack/part_tags.h"
#include "store/pack/pool.h"
#include "store/pack/session.h"

namespace strata::store::pack {

struct EngineOptions {
  bool read_only = false;
  std::uint64_t memory_bytes = 0;
  Chunker chunker;
  std::size_t list_entries = 0;  // of one record
  unsigned threads = 1;
  std::string holder;
};

// Thread-safe.
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  static Result<std::shared_ptr<Engine>> Open(Env& env, const Layout& layout, const StoreFormat& format,
                                              EngineOptions options);
  // Writes what is put to the files. Durable is what Sync was called for.
  ~Engine();

  enum class Origin : std::uint8_t {
    kIndexed,  // in an index: durable
    kOwn,      // appended by this process
    kForeign,  // appended by another process, perhaps not durable
  };
  struct Place {
    Location location;
    Origin origin = Origin::kIndexed;
  };
  using Places = absl::InlinedVector<Place, 2>;
  // Where its records are; none: the store does not have it, or a collection that is over has removed it. kWouldBlock
  // also where nobody has looked for it yet. Those that were found bad are there only `with_bad`.
  Result<Places> Find(const Waiting& waiting, PackClass pack_class, const Digest& digest, bool with_bad = false);
  // The content of a record of this kind: of several, the first that checks and that `prefer` says yes to, where it is
  // given, or else the first that checks. kNotFound where there is none; kCorrupt, with digest and place, where none
  // checks.
  using Prefer = absl::FunctionRef<Result<bool>(const Content&)>;
  Result<Content> Read(const Waiting& waiting, RecordKind kind, const Digest& digest,
                       const std::optional<Prefer>& prefer = std::nullopt);
  // A chunk, out of the cache or into it; kCorrupt where it has another size. `begin`: where it begins in its file.
  Result<BlobBytes> Chunk(const Waiting& waiting, const ChunkMeta& wanted, std::uint64_t begin = 0);
  // The bytes of a chunk that begins at `begin` of a file, from `offset` of the file on, which lies in it: `length`, or
  // as many as it has. Not all of a chunk is read where its parts can be checked.
  Result<BlobBytes> Piece(const Waiting& waiting, const ChunkMeta& chunk, std::uint64_t begin, std::uint64_t offset,
                          std::size_t length);

  // Whether the store has a record of this kind that can be relied on: a collection leaves it alone from now on, and
  // the next Sync makes it durable. After a sync has failed: whether it is durable.
  Result<bool> Holds(const Waiting& waiting, RecordKind kind, const Digest& digest);
  // Puts a record unless the store holds it. kReadOnly where the store is only read.
  Result<void> Put(RecordKind kind, const Digest& digest, ByteSpan content);
  // As Put, whatever the store holds.
  Result<void> PutAnew(RecordKind kind, const Digest& digest, ByteSpan content);
  // Puts a record that another pack has, as it is stored there.
  Result<void> PutStored(const RecordHeader& header, ByteSpan stored);
  // Chunks before directories. Once it has failed, it and all that puts fail with the first failure.
  Result<void> Sync();
  // What this process has appended gets its index, and the indexes are merged where there are many.
  Result<void> PublishIndexes();

  const EngineOptions& options() const { return options_; }
  Env& env() { return env_; }
  const Layout& layout() const { return layout_; }
  const StoreFormat& format() const { return format_; }
  Catalog& catalog() { return *catalog_; }
  PackFiles& files() { return files_; }
  ChunkCache& cache() { return cache_; }
  Session& session() { return session_; }
  Pool& pool() { return pool_; }
  // A pack that is appended to by this process stays with it.
  Appender& appender(PackClass pack_class) { return *appenders_[static_cast<std::size_t>(pack_class)]; }
  const std::string& Describe() const { return name_; }
  // Fails with kReadOnly where the store is only read; and with what failed, where a sync has.
  Result<void> CheckWritable() const;

 private:
  Engine(Env& env, const Layout& layout, const StoreFormat& format, EngineOptions options);
  // Adds what is known; asks no folder.
  Result<void> FindKnown(bool may_block, PackClass pack_class, const Digest& digest, bool with_bad, Places& places);
  // Nothing: the chunk is to be read as a whole.
  Result<std::optional<BlobBytes>> ReadParts(const Waiting& waiting, const ChunkMeta& chunk, std::uint64_t begin,
                                             std::uint64_t skip, std::size_t length);
  Result<bool> Rely(const Place& place) STRATA_EXCLUDES(foreign_mutex_);
  Result<bool> RelyOnForeign(PackId pack) STRATA_EXCLUDES(foreign_mutex_);
  Result<void> SyncForeign() STRATA_EXCLUDES(foreign_mutex_, foreign_sync_mutex_);

  // The thread that makes indexes, merges them, and has what was written written back.
  void StartKeeper() STRATA_EXCLUDES(keeper_mutex_);
  void Keep() STRATA_EXCLUDES(keeper_mutex_);
  void Wake(bool index, std::uint64_t bytes) STRATA_EXCLUDES(keeper_mutex_);

  Env& env_;
  const Layout layout_;
  const StoreFormat format_;
  const EngineOptions options_;
  const std::string name_;
  PackFiles files_;
  ChunkCache cache_;
  PartTags tags_;
  Session session_;
  std::unique_ptr<Catalog> catalog_;
  std::array<std::unique_ptr<Appender>, 2> appenders_;

  Mutex foreign_sync_mutex_;  // one syncs the packs of others at a time; before foreign_mutex_
  Mutex foreign_mutex_;
  // Relied on, and perhaps not durable; open since before that.
  absl::flat_hash_map<PackId, std::shared_ptr<OpenPack>> foreign_ STRATA_GUARDED_BY(foreign_mutex_);

  Mutex keeper_mutex_;  // the last to be taken
  CondVar keeper_wakes_;
  bool stop_ STRATA_GUARDED_BY(keeper_mutex_) = false;
  bool index_wanted_ STRATA_GUARDED_BY(keeper_mutex_) = false;
  std::uint64_t wrote_ STRATA_GUARDED_BY(keeper_mutex_) = 0;  // bytes, since it last looked
  std::atomic<bool> keeping_{false};
  std::thread keeper_ STRATA_GUARDED_BY(keeper_mutex_);

  Pool pool_;  // the last: its threads end first
};

}  // namespace strata::store::pack
