#include "vfs/permissions.h"

namespace strata::vfs {
namespace {

// A file with setgid but no group-execute bit is marked for mandatory locking, not for set-group-id execution; the bit
// stays.
std::uint32_t WithoutSetIds(std::uint32_t mode) {
  mode &= ~kSetUid;
  if (mode & kGroupExecute) mode &= ~kSetGid;
  return mode;
}

}  // namespace

std::uint32_t Permitted(const Ownership& object, bool is_directory, const Credentials& caller) {
  constexpr std::uint32_t kAll = kMayRead | kMayWrite | kMayExecute;
  if (caller.superuser()) return is_directory || (object.mode & kAnyExecute) != 0 ? kAll : kMayRead | kMayWrite;
  if (caller.uid == object.uid) return (object.mode >> 6) & kAll;
  if (caller.InGroup(object.gid)) return (object.mode >> 3) & kAll;
  return object.mode & kAll;
}

bool Permits(const Ownership& object, bool is_directory, const Credentials& caller, std::uint32_t wanted) {
  return (Permitted(object, is_directory, caller) & wanted) == wanted;
}

bool StickyForbids(const Ownership& directory, std::uint32_t object_uid, const Credentials& caller) {
  return (directory.mode & kSticky) != 0 && !caller.superuser() && caller.uid != object_uid &&
         caller.uid != directory.uid;
}

std::uint32_t ModeAfterWrite(std::uint32_t mode, const Credentials& caller) {
  return caller.superuser() ? mode : WithoutSetIds(mode);
}

Result<Ownership> NewOwnership(const Ownership& directory, bool is_directory, const SetAttributes& set,
                               std::uint32_t default_mode, const Credentials& caller) {
  Ownership made{set.mode.value_or(default_mode) & kModeMask, caller.uid, caller.gid};
  if (directory.mode & kSetGid) {
    made.gid = directory.gid;
    if (is_directory) made.mode |= kSetGid;
  }
  if (set.uid && *set.uid != made.uid) {
    if (!caller.superuser()) return Fail(Errc::kPermission);
    made.uid = *set.uid;
  }
  if (set.gid && *set.gid != made.gid) {
    if (!caller.superuser() && !caller.InGroup(*set.gid)) return Fail(Errc::kPermission);
    made.gid = *set.gid;
  }
  if (!is_directory && !caller.superuser() && !caller.InGroup(made.gid)) made.mode &= ~kSetGid;
  return made;
}

Result<Ownership> ChangedOwnership(const Ownership& object, bool is_directory, const SetAttributes& set,
                                   const Credentials& caller) {
  Ownership changed = object;
  const bool owner = caller.superuser() || caller.uid == object.uid;
  if ((set.mode || set.uid || set.gid) && !owner) return Fail(Errc::kPermission);
  if (set.uid && *set.uid != object.uid && !caller.superuser()) return Fail(Errc::kPermission);
  if (set.gid && *set.gid != object.gid && !caller.superuser() && !caller.InGroup(*set.gid)) {
    return Fail(Errc::kPermission);
  }
  if (set.uid) changed.uid = *set.uid;
  if (set.gid) changed.gid = *set.gid;
  // chown(2): set-id bits of what is no directory go, also when the superuser does it.
  if ((set.uid || set.gid) && !is_directory) changed.mode = WithoutSetIds(changed.mode);
  if (set.mode) {
    changed.mode = *set.mode & kModeMask;
    if (!caller.superuser() && !caller.InGroup(changed.gid)) changed.mode &= ~kSetGid;
  }
  return changed;
}

}  // namespace strata::vfs
