#include "server/nfs3/status.h"

#include <initializer_list>

namespace strata::nfs3 {
namespace {

using enum Errc;
using Set = std::uint64_t;  // bit n: the Errc of value n

constexpr Set Of(std::initializer_list<Errc> codes) {
  Set set = 0;
  for (Errc code : codes) set |= Set{1} << static_cast<unsigned>(code);
  return set;
}

// What any procedure may answer: the errors that RFC 1813 lists everywhere, JUKEBOX, and ACCES, with which a foreign
// peer is refused.
constexpr Set kAny = Of({kIo, kStale, kBadHandle, kServerFault, kJukebox, kAccess});
// What making a name may come to: RFC 1813's list for CREATE, MKDIR, SYMLINK and MKNOD, and beyond it what Linux
// servers send and clients pass on to the program: a bad name or owner (INVAL, PERM), a directory that is itself gone
// (NOENT) or full of sub-directories (MLINK).
constexpr Set kMake = kAny | Of({kExists, kNotDirectory, kNoSpace, kReadOnly, kNameTooLong, kQuota, kNotSupported}) |
                      Of({kInvalid, kPermission, kNotFound, kTooManyLinks});

struct LegalRow {
  Proc procedure;
  Set legal;
};

// The first set of a row is RFC 1813's list; the second, where there is one, goes beyond it, with the reason.
constexpr LegalRow kRows[] = {
    {Proc::kNull, 0},
    {Proc::kGetAttr, kAny},
    // Spec nfsv3 4.5: the size of a directory (ISDIR), or past the limit (FBIG).
    {Proc::kSetAttr, kAny | Of({kPermission, kInvalid, kNoSpace, kReadOnly, kQuota, kNotSync, kNotSupported}) |
                         Of({kIsDirectory, kFileTooBig})},
    // A name with NUL or '/' (spec nfsv3 5.1: INVAL).
    {Proc::kLookup, kAny | Of({kNotFound, kNotDirectory, kNameTooLong}) | Of({kInvalid})},
    {Proc::kAccess, kAny},
    {Proc::kReadLink, kAny | Of({kInvalid, kNotSupported})},
    // Reading a directory: Linux servers say ISDIR, which read(2) gives too.
    {Proc::kRead, kAny | Of({kNoDevice, kInvalid}) | Of({kIsDirectory})},
    {Proc::kWrite, kAny | Of({kFileTooBig, kQuota, kNoSpace, kReadOnly, kInvalid}) | Of({kIsDirectory})},
    // UNCHECKED over a directory (ISDIR); an initial size past the limit (FBIG).
    {Proc::kCreate, kMake | Of({kIsDirectory, kFileTooBig})},
    {Proc::kMkdir, kMake},
    {Proc::kSymlink, kMake},
    {Proc::kMknod, kMake | Of({kBadType})},
    // Spec nfsv3 5.4: a directory (ISDIR); "." (INVAL); the sticky bit (PERM); a whiteout needs room (NOSPC, DQUOT).
    {Proc::kRemove, kAny | Of({kNotFound, kNotDirectory, kNameTooLong, kReadOnly}) |
                        Of({kIsDirectory, kInvalid, kPermission, kNoSpace, kQuota})},
    {Proc::kRmdir,
     kAny | Of({kNotFound, kInvalid, kExists, kNotDirectory, kNameTooLong, kReadOnly, kNotEmpty, kNotSupported}) |
         Of({kPermission, kNoSpace, kQuota})},
    {Proc::kRename, kAny |
                        Of({kNotFound, kExists, kCrossDevice, kNotDirectory, kIsDirectory, kInvalid, kNoSpace,
                            kReadOnly, kTooManyLinks, kNameTooLong, kNotEmpty, kQuota, kNotSupported}) |
                        Of({kPermission})},
    // Spec nfsv3 5.4: a directory (ISDIR or PERM).
    {Proc::kLink, kAny |
                      Of({kExists, kCrossDevice, kNotDirectory, kInvalid, kNoSpace, kReadOnly, kTooManyLinks,
                          kNameTooLong, kQuota, kNotSupported}) |
                      Of({kIsDirectory, kPermission, kNotFound})},
    // Names that nobody is told (spec castore CA-58: PERM).
    {Proc::kReadDir, kAny | Of({kNotDirectory, kBadCookie, kTooSmall}) | Of({kPermission})},
    {Proc::kReadDirPlus, kAny | Of({kNotDirectory, kBadCookie, kTooSmall, kNotSupported}) | Of({kPermission})},
    {Proc::kFsStat, kAny},
    {Proc::kFsInfo, kAny},
    {Proc::kPathConf, kAny},
    // What a delayed write comes to must reach the program at fsync(2): NOSPC, DQUOT; and what is no file is told so
    // (INVAL).
    {Proc::kCommit, kAny | Of({kNoSpace, kQuota, kInvalid})},
};

constexpr bool RowsInOrder() {
  for (std::uint32_t i = 0; i < kProcCount; ++i) {
    if (static_cast<std::uint32_t>(kRows[i].procedure) != i) return false;
  }
  return std::size(kRows) == kProcCount;
}
static_assert(RowsInOrder());

constexpr bool Legal(Proc procedure, Errc code) {
  return (kRows[static_cast<std::uint32_t>(procedure)].legal & Of({code})) != 0;
}

}  // namespace

nfsstat3 StatusOf(Errc code) {
  switch (code) {
    case kPermission:
      return NFS3ERR_PERM;
    case kNotFound:
      return NFS3ERR_NOENT;
    case kIo:
      return NFS3ERR_IO;
    case kNoDevice:
      return NFS3ERR_NXIO;
    case kAccess:
      return NFS3ERR_ACCES;
    case kExists:
      return NFS3ERR_EXIST;
    case kCrossDevice:
      return NFS3ERR_XDEV;
    case kNotDirectory:
      return NFS3ERR_NOTDIR;
    case kIsDirectory:
      return NFS3ERR_ISDIR;
    case kInvalid:
      return NFS3ERR_INVAL;
    case kFileTooBig:
      return NFS3ERR_FBIG;
    case kNoSpace:
      return NFS3ERR_NOSPC;
    case kReadOnly:
      return NFS3ERR_ROFS;
    case kTooManyLinks:
      return NFS3ERR_MLINK;
    case kNameTooLong:
      return NFS3ERR_NAMETOOLONG;
    case kNotEmpty:
      return NFS3ERR_NOTEMPTY;
    case kQuota:
      return NFS3ERR_DQUOT;
    case kStale:
      return NFS3ERR_STALE;
    case kBadHandle:
      return NFS3ERR_BADHANDLE;
    case kNotSync:
      return NFS3ERR_NOT_SYNC;
    case kBadCookie:
      return NFS3ERR_BAD_COOKIE;
    case kNotSupported:
      return NFS3ERR_NOTSUPP;
    case kTooSmall:
      return NFS3ERR_TOOSMALL;
    case kServerFault:
      return NFS3ERR_SERVERFAULT;
    case kBadType:
      return NFS3ERR_BADTYPE;
    // kWouldBlock comes here only from a volume that was told it may block: the client is to come again.
    case kJukebox:
    case kWouldBlock:
      return NFS3ERR_JUKEBOX;
    case kCorrupt:
    case kBusy:
      return NFS3ERR_IO;
  }
  return NFS3ERR_SERVERFAULT;
}

nfsstat3 StatusFor(Proc procedure, Errc code) {
  if (code == kWouldBlock) code = kJukebox;
  if (Legal(procedure, code)) return StatusOf(code);
  if (code == kPermission) return NFS3ERR_ACCES;
  if ((code == kIsDirectory || code == kNotDirectory) && Legal(procedure, kInvalid)) return NFS3ERR_INVAL;
  if (code == kNotFound) return NFS3ERR_STALE;
  return NFS3ERR_IO;
}

}  // namespace strata::nfs3
