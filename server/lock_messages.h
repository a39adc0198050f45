// The bodies of the messages that ask a server for its locks, and of its answers (server/lock_control.h). Integers are
// little-endian, texts have their length before them (u32).
//
//     request   u32 version, u8 1 to release and 0 to list, u8 which of the next count (bits 1, 2, 4),
//               u64 id, text client, text address
//     page      u32 clients, each:  text name, text address
//               u32 locks, each:    u64 id, u64 volume, u64 inode, u32 client, u32 svid, u8 mode, u8 waits, u64 first,
//                                   u64 last, u32 access, u32 deny, i64 since
//     end       u64 how many locks: listed, or released
//
// A lock's client is its place among the clients of its page and of all pages before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "server/nlm4/lock_listing.h"

namespace strata {

inline constexpr std::uint32_t kLockRequestVersion = 1;
// Of one listing, as its reader takes it.
inline constexpr std::size_t kMaxListedLocks = std::size_t{1} << 22;

struct LockRequest {
  bool release = false;
  nlm4::LockSelection which;
  friend bool operator==(const LockRequest&, const LockRequest&) = default;
};

std::vector<std::byte> EncodeLockRequest(const LockRequest& request);
// kNotSupported for a version that is not ours, kCorrupt for what is no request.
Result<LockRequest> DecodeLockRequest(ByteSpan bytes);

// How much of a listing lies in the pages made so far.
struct ListingPlace {
  std::size_t clients = 0, locks = 0;
};
// The next page, of at most `limit` bytes (at least kLeastPage).
inline constexpr std::size_t kLeastPage = 2048;
std::vector<std::byte> EncodeLockPage(const nlm4::LockListing& listing, ListingPlace& place, std::size_t limit);
// Adds a page to what those before it gave; kCorrupt for what is none, and for more than kMaxListedLocks in all.
Result<void> DecodeLockPage(ByteSpan bytes, nlm4::LockListing& into);

std::vector<std::byte> EncodeLockEnd(std::uint64_t locks);
Result<std::uint64_t> DecodeLockEnd(ByteSpan bytes);

}  // namespace strata
