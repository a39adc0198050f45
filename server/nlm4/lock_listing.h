// What is locked and who waits, as people ask for it: `strata locks`.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"

namespace strata::nlm4 {

enum class ListedMode : std::uint8_t {
  kShared,
  kExclusive,
  kReservation,  // of a whole file, as SHARE makes them: it opens the file and denies others to
};

struct ListedLock {
  // Names this lock as it is: one that is granted, changed, or given up and taken again has another. The same lock has
  // the same one in every listing, also of a server that took it over.
  std::uint64_t id = 0;
  std::uint64_t volume = 0;
  InodeNumber ino{};
  std::uint32_t client = 0;  // its place in LockListing::clients
  std::uint32_t svid = 0;    // the process, as the client says
  ListedMode mode = ListedMode::kShared;
  bool waits = false;  // for what another holds
  // Bytes [first, last], to the end of all files where `last` is kToTheEnd; of a reservation all.
  static constexpr std::uint64_t kToTheEnd = ~std::uint64_t{0};
  std::uint64_t first = 0, last = kToTheEnd;
  std::uint32_t access = 0, deny = 0;  // of a reservation: bits 1 read, 2 write
  std::int64_t since_ns = 0;           // Unix time
  friend bool operator==(const ListedLock&, const ListedLock&) = default;
};

struct ListedClient {
  std::string name;  // that it gives itself
  boost::asio::ip::address address;
  friend bool operator==(const ListedClient&, const ListedClient&) = default;
};

struct LockListing {
  std::vector<ListedClient> clients;
  std::vector<ListedLock> locks;
};

// Which locks are meant: those that all of these are true of. With none of them, all.
struct LockSelection {
  std::optional<std::uint64_t> id;  // ListedLock::id
  std::optional<std::string> client;
  std::optional<boost::asio::ip::address> address;
  friend bool operator==(const LockSelection&, const LockSelection&) = default;
};

}  // namespace strata::nlm4
