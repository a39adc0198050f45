// HandedLocks: all that a lock table holds, for the table of another process (server/handover.h).
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"
#include "server/nlm4/range_locks.h"

namespace strata::nlm4 {

// What is locked: an object of a volume, by whichever of its handles.
struct FileKey {
  std::uint64_t volume = 0;
  InodeNumber ino;
  Generation generation;
  friend bool operator==(const FileKey&, const FileKey&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const FileKey& key) {
    return H::combine(std::move(state), key.volume, key.ino.value, key.generation.value);
  }
};

// How the client of one who waits is to be called.
struct CallBack {
  std::vector<std::byte> handle{};   // the file's, as the client knows it
  boost::asio::ip::address local{};  // the server's, as the client knows it
  bool datagram = false;
  bool message = false;  // it asked by LOCK_MSG: GRANTED_MSG answers that
  friend bool operator==(const CallBack&, const CallBack&) = default;
};

struct HandedLocks {
  struct Owner {
    std::string name;  // of the client
    boost::asio::ip::address address;
    std::uint32_t svid = 0;
    std::vector<std::byte> handle;
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  enum class Kind : std::uint8_t { kHeld = 0, kWaits = 1, kShare = 2, kUnconfirmed = 3 };
  struct Entry {
    Kind kind = Kind::kHeld;
    FileKey file;
    std::uint32_t owner = 0;  // place in `owners`
    std::int64_t since_ns = 0;
    // All but kShare:
    Range range{};
    bool exclusive = false;
    // kShare:
    std::uint32_t access = 0, deny = 0;
    // kWaits and kUnconfirmed:
    CallBack back{};
    // kUnconfirmed: a grant of what is held, of which the client is yet to be told.
    std::uint64_t grant = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  std::uint64_t next_grant = 1;
  bool recovering = false;  // clients may still have to claim locks of before
  std::vector<Owner> owners;
  // Of one file those who wait in their order, and a grant behind what is held.
  std::vector<Entry> entries;
  friend bool operator==(const HandedLocks&, const HandedLocks&) = default;
};

// As in server/handover.h:
//
//     u64  next_grant, u8 recovering
//     u32  owners, each:   text name, address, u32 svid, text handle
//     u32  entries, each:  u8 kind, u64 volume, u64 inode, u32 generation, u32 owner, i64 since; then
//          kShare:         u32 access, u32 deny
//          all others:     u64 first, u64 last, u8 exclusive; and of kWaits and kUnconfirmed:
//                          text handle, address, u8 datagram, u8 message, u64 grant
std::vector<std::byte> EncodeLocks(const HandedLocks& locks);
// kCorrupt for bytes that are none.
Result<HandedLocks> DecodeLocks(ByteSpan bytes);

}  // namespace strata::nlm4
