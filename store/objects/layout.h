// Where an object store keeps what (spec castore CA-27, CA-37, CA-66; docs/formats/objectstore.md).
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "store/digest.h"

namespace strata::store {

// "blobs/b3/HHHH/HEX": the list of a blob's chunks, nothing for a blob of one chunk.
std::string BlobKey(const Digest& digest);
// "chunks/b3/HHHH/HEX": one chunk, compressed.
std::string ChunkKey(const Digest& digest);
// "dirs/b3/HHHH/HEX": the closure of a root, compressed.
std::string DirectoryKey(const Digest& root);

inline constexpr std::string_view kRootsFolder = "roots";
// "roots/NAME".
std::string RootKey(std::string_view name);

}  // namespace strata::store
