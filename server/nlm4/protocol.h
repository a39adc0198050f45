// The words of NLM version 4 on the wire (XNFS, "NLM protocol version 4").
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "server/nlm4/range_locks.h"
#include "server/rpc/xdr.h"

namespace strata::nlm4 {

inline constexpr std::uint32_t kNlmVersion = 4;

inline constexpr std::uint32_t kNull = 0, kTest = 1, kLock = 2, kCancel = 3, kUnlock = 4, kGranted = 5, kTestMsg = 6,
                               kLockMsg = 7, kCancelMsg = 8, kUnlockMsg = 9, kGrantedMsg = 10, kTestRes = 11,
                               kLockRes = 12, kCancelRes = 13, kUnlockRes = 14, kGrantedRes = 15, kSmNotify = 16,
                               kShare = 20, kUnshare = 21, kNmLock = 22, kFreeAll = 23;

inline constexpr std::size_t kMaxName = 1024;    // LM_MAXSTRLEN
inline constexpr std::size_t kMaxObject = 1024;  // MAXNETOBJ_SZ
// What this machine's rpc.statd is given for each client, and gives back with SM_NOTIFY: its address, that of IPv4
// mapped.
inline constexpr std::size_t kMonitorCookie = 16;

// nlm4_stats.
enum class Stat : std::uint32_t {
  kGranted = 0,
  kDenied = 1,
  kDeniedNoLocks = 2,
  kBlocked = 3,
  kDeniedGracePeriod = 4,
  kDeadlock = 5,
  kRofs = 6,
  kStaleFh = 7,
  kFbig = 8,
  kFailed = 9,
};

inline ByteSpan ReadCookie(rpc::XdrReader& in) { return in.Opaque(kMaxObject); }

// nlm4_lock; it points into the call.
struct LockArguments {
  std::string_view caller_name;
  ByteSpan handle, owner;
  std::uint32_t svid = 0;
  std::uint64_t offset = 0, length = 0;

  static LockArguments Read(rpc::XdrReader& in) {
    LockArguments lock;
    lock.caller_name = in.Text(kMaxName);
    lock.handle = in.Opaque(kMaxObject);
    lock.owner = in.Opaque(kMaxObject);
    lock.svid = in.U32();
    lock.offset = in.U64();
    lock.length = in.U64();
    return lock;
  }
  // Nothing where its end is beyond 2^64. A length of 0 reaches to the end of all files.
  std::optional<Range> range() const {
    if (length == 0) return Range{offset, Range::kEnd};
    if (length - 1 > Range::kEnd - offset) return std::nullopt;
    return Range{offset, offset + (length - 1)};
  }
};

inline std::uint64_t WireLength(const Range& range) {
  return range.last == Range::kEnd ? 0 : range.last - range.first + 1;
}

}  // namespace strata::nlm4
