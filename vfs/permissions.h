// POSIX permissions as an NFS server applies them (specs nfsv3 4.5, 4.6).
#pragma once

#include "base/attributes.h"
#include "base/status.h"
#include "vfs/types.h"

namespace strata::vfs {

// Of a mode.
inline constexpr std::uint32_t kSetUid = 04000;
inline constexpr std::uint32_t kSetGid = 02000;
inline constexpr std::uint32_t kSticky = 01000;
inline constexpr std::uint32_t kGroupExecute = 0010;
inline constexpr std::uint32_t kAnyExecute = 0111;

// Of the three bits that a mode has for each class of callers.
inline constexpr std::uint32_t kMayRead = 4;
inline constexpr std::uint32_t kMayWrite = 2;
inline constexpr std::uint32_t kMayExecute = 1;

// Who owns an object, and its permission bits.
struct Ownership {
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// What the caller may do (kMay*). The superuser may do anything to a directory, and anything but execute a file that
// has no x bit.
std::uint32_t Permitted(const Ownership& object, bool is_directory, const Credentials& caller);
// Whether that is all of `wanted`.
bool Permits(const Ownership& object, bool is_directory, const Credentials& caller, std::uint32_t wanted);

// The sticky bit: in such a directory only the owner of the object, of the directory, or the superuser removes or
// renames.
bool StickyForbids(const Ownership& directory, std::uint32_t object_uid, const Credentials& caller);

// The mode after data was written by `caller`: set-id bits go unless it is the superuser.
std::uint32_t ModeAfterWrite(std::uint32_t mode, const Credentials& caller);

// What an object that `caller` makes in `directory` gets; kPermission for an owner or group that the caller may not
// give.
Result<Ownership> NewOwnership(const Ownership& directory, bool is_directory, const SetAttributes& set,
                               std::uint32_t default_mode, const Credentials& caller);

// Applies SETATTR's mode, uid and gid to `object`; kPermission where the caller may not.
Result<Ownership> ChangedOwnership(const Ownership& object, bool is_directory, const SetAttributes& set,
                                   const Credentials& caller);

}  // namespace strata::vfs
