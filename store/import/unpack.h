// Opens what may be compressed with gzip, zstd, xz or bzip2, and says so itself. libarchive stands behind it, here and
// nowhere else; its tar reader is not used (tar_reader.h).
#pragma once

#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "store/import/byte_source.h"

namespace strata::store {

// Reads `fd` from where it stands, with read(2): a file, a pipe, a socket. `name`: for messages. What is compressed
// with a large window takes as much memory: xz at most 1 GiB, zstd at most 128 MiB; what is common takes a tenth of
// that. kInvalid later, by Read, for what is damaged.
Result<std::unique_ptr<ByteSource>> Unpack(UniqueFd fd, std::string name);
// The same of what lies in memory, which must outlive the source.
Result<std::unique_ptr<ByteSource>> Unpack(ByteSpan bytes, std::string name);

}  // namespace strata::store
