// Import: makes a castore tree of a folder, a file, a symlink or a tar archive (spec castore 8: CA-43 to CA-46).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/status.h"
#include "store/blobs/blob_service.h"
#include "store/castore/directory_service.h"
#include "store/import/byte_source.h"

namespace strata::store {

class ImportCache;

// CA-46: what is smaller is read whole, and looked for in the store before it is put; what is not is streamed into it.
inline constexpr std::size_t kStreamFrom = 1 << 20;

// How far an import has come.
struct ImportProgress {
  std::uint64_t files = 0;  // read, or found in the cache
  std::uint64_t bytes = 0;  // of them
  // In all, so far as that is known: of a folder counted meanwhile, of an archive its own bytes; else 0.
  std::uint64_t total_files = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t position = 0;  // of an archive: bytes of it that were read
  bool counting = false;       // the totals still grow
};

struct ImportOptions {
  SizeRule sizes = SizeRule::kDocumented;
  bool strict = false;            // of an archive: no hard links, and exactly one directory at the top (CA-45)
  bool skip_unsupported = false;  // devices, fifos and sockets are left out and named, else refused
  bool keep_metadata = false;     // they, and what else castore cannot say, go into an attribute blob
  unsigned jobs = 0;              // threads that read, hash and store; 0: one for each processor
  // Bytes held at most, beside what the store holds, 4 MiB a thread, and 300 bytes for each entry of a directory that
  // is being made.
  std::size_t memory = 256 << 20;
  std::string temporary_folder = "/var/tmp";            // for what exceeds that
  std::uint64_t largest_file = std::uint64_t{1} << 44;  // of an archive, unfolded: 16 TiB, as ext4 can hold
  ImportCache* cache = nullptr;                         // digests of files that were read before
  bool count = false;                                   // count a folder meanwhile, for ImportProgress
  std::function<void(const ImportProgress&)> progress;  // called on the importing thread, ten times a second or so
};

struct ImportReport {
  Node root;
  std::optional<Digest> attributes;  // with keep_metadata
  // Of the tree.
  std::uint64_t files = 0, directories = 0, symlinks = 0;
  std::uint64_t bytes = 0;                 // read of files, and of those whose digest was cached
  std::uint64_t hard_links = 0;            // names of a file beyond its first
  std::uint64_t specials = 0;              // kept in the attribute blob
  std::uint64_t skipped = 0;               // not kept anywhere
  std::vector<std::string> skipped_names;  // the first kMostNames of them
  std::uint64_t cached = 0;                // files that were not read, since their digest was cached
  std::uint64_t new_blobs = 0;             // of less than kStreamFrom, that the store did not have
  // Of an archive.
  std::uint64_t top_level = 1;  // entries at its top
  bool end_missing = false;     // it has no end mark: it may have been cut between two entries
  bool more_after_end = false;  // bytes after its end were not looked at

  static constexpr std::size_t kMostNames = 1000;
};

// What is put where. Both may be the same object; both must outlive the import.
struct ImportStore {
  BlobService& blobs;
  DirectoryService& directories;
};

// `path` is not followed where it is a symlink. The tree is durable when this returns. Of a folder that is changed
// meanwhile: a file that changes while it is read is read again, three times at most; then, and for what vanishes, the
// import fails. Nothing is then left that a name leads to, and the next one finds most of what was put.
Result<ImportReport> ImportPath(Env& env, ImportStore store, const std::string& path, const ImportOptions& options);

// An archive that is not compressed; `name`: for messages.
Result<ImportReport> ImportTar(Env& env, ImportStore store, ByteSource& source, const std::string& name,
                               const ImportOptions& options);

}  // namespace strata::store
