// The file handle (spec nfsv3 3.1): 40 bytes, the same for the object's whole life, which nobody but this server can
// make.
//
//     0  version, 1          8  volume id         24  locator
//     1  zero (3 bytes)     16  inode number      32  MAC: SipHash-2-4 of bytes 0 to 31 under the volume's handle_key
//     4  generation              (all little-endian)
#pragma once

#include <cstddef>

#include "server/exports.h"
#include "vfs/types.h"

namespace strata::nfs3 {

inline constexpr std::size_t kHandleBytes = 40;
inline constexpr std::size_t kMaxHandleBytes = 64;  // NFS3_FHSIZE

// Writes the kHandleBytes bytes of the handle of `id` to `out`.
void EncodeHandle(const vfs::VolumeInfo& volume, const vfs::ObjectId& id, std::byte* out);

struct ResolvedHandle {
  const Export* entry = nullptr;
  vfs::ObjectId id;
};
// kBadHandle: no handle of this server's making. kStale: of a volume that is not exported (any more).
Result<ResolvedHandle> ResolveHandle(const Exports& exports, ByteSpan handle);

}  // namespace strata::nfs3
