#include "store/objects/layout.h"

namespace strata::store {
namespace {

std::string DigestKey(std::string_view folder, const Digest& digest) {
  const std::string hex = digest.Hex();
  std::string key(folder);
  key += "/b3/";
  key += std::string_view(hex).substr(0, 4);
  key += '/';
  return key += hex;
}

}  // namespace

std::string BlobKey(const Digest& digest) { return DigestKey("blobs", digest); }
std::string ChunkKey(const Digest& digest) { return DigestKey("chunks", digest); }
std::string DirectoryKey(const Digest& root) { return DigestKey("dirs", root); }
std::string RootKey(std::string_view name) { return std::string(kRootsFolder) + '/' + std::string(name); }

}  // namespace strata::store
