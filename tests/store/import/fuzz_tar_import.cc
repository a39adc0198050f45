// Arbitrary bytes as a tar archive: it is refused, or the tree that is made of it is given back by exporting and
// importing it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "store/blobs/memory.h"
#include "store/castore/memory_directories.h"
#include "store/export/export.h"
#include "store/import/import.h"

namespace {

using namespace strata::store;

struct FuzzStore {
  MemoryBlobService blobs;
  MemoryDirectoryService directories;
};

strata::Result<ImportReport> ImportBytes(FuzzStore& store, strata::ByteSpan bytes, bool keep) {
  ImportOptions options;
  options.keep_metadata = keep;
  options.skip_unsupported = true;
  options.jobs = 1;
  options.largest_file = 4 << 20;
  options.memory = 32 << 20;
  options.temporary_folder = "/nonexistent";  // nothing of this size is spilled
  MemorySource source(bytes);
  return ImportTar(strata::Env::System(), {store.blobs, store.directories}, source, "fuzz", options);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzStore store;
  const auto first = ImportBytes(store, std::as_bytes(std::span(data, size)), true);
  const auto plain = ImportBytes(store, std::as_bytes(std::span(data, size)), false);
  if (!first) return 0;  // also for extended attributes that no file can have
  // What castore cannot say has no part in the tree.
  if (!plain || first->root != plain->root) std::abort();
  const auto attributes =
      AttributesReader::Open({}, store.blobs.Open({}, *first->attributes).value(), first->root.digest);
  if (!attributes) std::abort();
  std::string tar;
  const ExportSource source{store.blobs, store.directories, first->root, attributes->get()};
  const auto exported = ExportToTar(source, ".",
                                    [&](strata::ByteSpan bytes) -> strata::Result<void> {
                                      tar += strata::AsText(bytes);
                                      return {};
                                    },
                                    {});
  if (!exported) std::abort();
  const auto second = ImportBytes(store, strata::AsBytes(tar), true);
  if (!second || second->root != first->root || second->attributes != first->attributes) std::abort();
  return 0;
}
