// PackFiles: the packs of a store that are open, as many as may be, and reading records from them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "base/env.h"
#include "base/mutex.h"
#include "base/status.h"
#include "store/compression.h"
#include "store/pack/format.h"

namespace strata::store::pack {

struct OpenPack {
  std::unique_ptr<File> file;
  PackHeader header;
  bool header_damaged = false;  // only its id is known then, from its name: enough to read its records
  std::string path;
};

// What a record holds, decompressed.
struct Content {
  std::shared_ptr<const std::byte[]> bytes;
  std::size_t size = 0;
  Location location;
  ByteSpan span() const { return {bytes.get(), size}; }
};

// Thread-safe.
class PackFiles {
 public:
  // `folder`: that of the packs. At most `most_open` stay open.
  PackFiles(Env& env, std::string folder, std::size_t most_open)
      : env_(env), folder_(std::move(folder)), most_open_(most_open) {}

  // kNotFound where the pack is gone; kCorrupt where it is shorter than a header; kWouldBlock where it is not open and
  // `may_block` is false.
  Result<std::shared_ptr<OpenPack>> Open(bool may_block, PackId id) STRATA_EXCLUDES(mutex_);
  // The pack was removed. Somebody who opens it at the same time may have it open in the end: KeepOnly.
  void Forget(PackId id) STRATA_EXCLUDES(mutex_);
  // Closes all but these; whether there were any.
  bool KeepOnly(const absl::flat_hash_set<PackId>& packs) STRATA_EXCLUDES(mutex_);
  std::string PathOf(PackId id) const { return folder_ + '/' + PackFileName(id); }

  // The content of the record at `location`, which hashes to `digest` (of a list: whose header and stored bytes check
  // and say so). kCorrupt, naming digest and place, for anything else.
  Result<Content> Read(bool may_block, const Digest& digest, const Location& location) STRATA_EXCLUDES(mutex_);

  // What is stored of the record from `offset` on, as it is: nothing is checked. How much there was.
  Result<std::size_t> ReadStored(bool may_block, const Location& location, std::uint64_t offset, MutableByteSpan out)
      STRATA_EXCLUDES(mutex_);

  Compression& compression() { return compression_; }

 private:
  struct Entry {
    std::shared_ptr<OpenPack> pack;
    std::uint64_t used = 0;
  };

  Env& env_;
  const std::string folder_;
  const std::size_t most_open_;
  Compression compression_;
  Mutex mutex_;
  absl::flat_hash_map<PackId, Entry> open_ STRATA_GUARDED_BY(mutex_);
  std::uint64_t uses_ STRATA_GUARDED_BY(mutex_) = 0;
};

}  // namespace strata::store::pack
