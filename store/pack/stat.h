// What a pack store holds, counted and listed.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/status.h"
#include "store/castore/directory_service.h"
#include "store/castore/root_nodes.h"
#include "store/pack/engine.h"

namespace strata::store::pack {

// Also of a store of objects (store/objects/stat.h), which has no packs, indexes and leases.
struct StoreStat {
  struct Kind {
    std::uint64_t records = 0;
    std::uint64_t raw = 0;     // bytes of what they hold
    std::uint64_t stored = 0;  // as they lie in the packs, without headers
  };
  std::array<Kind, kRecordKinds> kinds{};  // by RecordKind
  std::uint64_t packs = 0;
  std::uint64_t pack_bytes = 0;  // of the files
  std::uint64_t indexes = 0;
  std::uint64_t index_entries = 0;
  std::uint64_t unindexed = 0;  // records that no index has yet
  std::uint64_t names = 0;
  std::uint64_t leases = 0;  // that have not ended
  // Of all files beneath all names, each as often as it is there. Only with `logical`.
  std::optional<std::uint64_t> logical_bytes;
  std::optional<std::uint64_t> logical_files;

  const Kind& Of(RecordKind kind) const { return kinds[static_cast<std::size_t>(kind)]; }
  std::uint64_t UniqueBytes() const;  // of chunks and directories, once each, before compression
  std::uint64_t StoredBytes() const;
};

struct StatOptions {
  // Walks the trees of all names: some 60 bytes of memory for each directory.
  bool logical = false;
  // Called now and then; false stops it (kInvalid).
  std::function<bool()> step;
};

// Reads the indexes, and no pack.
Result<StoreStat> StatStore(Engine& engine, const StatOptions& options = {});

// Counts the names, and with `logical` what lies beneath them.
Result<void> CountNames(RootNodes& roots, DirectoryService& directories, const StatOptions& options, StoreStat& stat);

// Calls visit for each record: for those that indexes have in the order of their digests, an index after the other,
// then for the others. One that is in the store twice comes twice.
Result<void> ListRecords(Engine& engine, const std::function<Result<bool>(const IndexEntry&)>& visit);

}  // namespace strata::store::pack
