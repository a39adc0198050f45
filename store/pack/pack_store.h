// The pack store (`pack:/path`): blobs, directories and names of a folder, for many processes at once.
//
// How it is kept (docs/formats/pack.md has the bytes, store/pack/ the parts):
//
// - Records (chunks, chunk lists, directories) are appended to packs: files of some hundred MiB, those of directories
//   apart, in the order of putting. A process appends to packs that it has locked; when it ends, the next one goes on
//   with them. Whoever takes a pack over cuts what a crash has left at its end. A pack with damage in the middle is
//   left as it is.
// - An index file says where the records of many packs lie, sorted by digest. A process makes one of what it appended
//   when that is much, or full; many small ones become one. What no index has is read from the ends of the packs. An
//   index is derived: one that is damaged is made anew.
// - A lookup asks tables in memory, then a filter for each index, and reads a page of 4 KiB of the few that do not say
//   no. Nothing is mapped: memory is what EngineOptions::memory_bytes says, whatever the store's size.
// - A lookup reads the file `changes` first, eight bytes: if they say that packs or indexes have come or gone, the
// folder
//   is listed again. So what a collection removed is not found, and what another process put is. What is not found is
//   looked for again if a pack has grown.
// - Sync makes durable what was put: chunks and lists first, then directories; also what another process had put and
//   this one found there and relied on. A name is set after a Sync. So a name is durable only after all that it
//   reaches. Without a Sync a crash may leave a list or a directory without what it names: Has of a blob looks whether
//   its chunks are there, so that to put it again mends it.
// - A sync that fails ends the writing of the process, and marks the pack for others (sync_failure.h).
// - An index says that its records are durable. So it is made after a sync.
// - Each read checks that the bytes hash to the digest; of chunks once, when they come into the cache. A record that
//   does not check counts as missing: putting it again stores it anew.
// - Garbage collection (store/pack/collect.h) marks what names and leases reach, and rewrites packs in which little
//   lives. It condemns one pack at a time; who finds something in a pack writes the pack into its lease before relying
//   on it, and then looks whether it is condemned (session.h).
//
// Order of locks: PackRoots, Appender::publish_mutex_, Engine::foreign_sync_mutex_, Appender::sync_mutex_,
// Appender::mutex_, Catalog::reload_mutex_, all others, of which none is held while another is taken. Those named with
// "sync" are held over syncs: they are taken by who waits for one in any case.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/env.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "store/castore/directory_service.h"
#include "store/castore/root_nodes.h"

namespace strata::store {

namespace pack {
class Engine;
}

struct PackStoreOptions {
  bool read_only = false;
  bool create = false;  // where there is none; folders above it included
  // Bounds caches, tables and buffers; at least 16 MiB count.
  std::uint64_t memory_bytes = 256 << 20;
  std::uint32_t average_chunk = 256 << 10;  // bytes (CA-29); as Chunker allows
  unsigned threads = 0;                     // that chunks of one blob are put with; 0: as many as there are cores
  std::string holder{};                     // for people who look at leases; empty: the process's id

  // Of a store that is made.
  std::uint64_t pack_bytes = 512 << 20;
  // Chunks that one list names; more are for tests only.
  std::size_t list_entries = 16384;
};

// $XDG_DATA_HOME/strata/store, or ~/.local/share/strata/store; kInvalid where neither is set.
Result<std::string> DefaultPackStorePath();

// Thread-safe. The services that it gives keep it alive.
class PackStore : public std::enable_shared_from_this<PackStore> {
 public:
  // kNotFound where there is none and `create` is not set; kNotEmpty where the folder holds something else.
  static Result<std::shared_ptr<PackStore>> Open(Env& env, const std::string& path, const PackStoreOptions& options);
  ~PackStore();

  std::shared_ptr<BlobService> blobs();
  std::shared_ptr<DirectoryService> directories();
  std::shared_ptr<RootNodes> roots();

  // Makes durable what was put. Where there is no room (kNoSpace, kQuota) it may be called again once there is. Once a
  // file or folder could not be synced, this and all that puts fail with that error until the store is opened anew, and
  // what was put since the last good Sync is gone.
  Result<void> Sync();
  // While what it gives lives, no collection frees what this process puts or finds: for the length of an import.
  // Without it that holds for a day at least.
  std::shared_ptr<const void> Work();
  std::string Describe() const;

  // For what looks after a store: stat.h, verify.h, collect.h.
  pack::Engine& engine();

 private:
  struct Parts;
  explicit PackStore(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace strata::store
