// Arbitrary bytes as the cache of imports: what is found there is what the file says, and what is put is found.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "store/import/import_cache.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata::store;
  static const std::string path =
      (std::filesystem::temp_directory_path() / ("strata-fuzz-cache-" + std::to_string(::getpid()))).string();
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  const FileState state{1, 2, 3, {4}, {5}};
  const Digest digest = Digest::Of({});
  for (int round = 0; round < 2; ++round) {
    const auto cache = ImportCache::Open(strata::Env::System(), path, 1 << 20);
    if (!cache) std::abort();
    (void)(*cache)->Find(state);
    (*cache)->Put(state, digest);
    // A table that says that it is larger than the bound, and full, takes nothing.
    const auto found = (*cache)->Find(state);
    if (found && *found != digest && round > 0) std::abort();
  }
  std::filesystem::remove(path);
  return 0;
}
