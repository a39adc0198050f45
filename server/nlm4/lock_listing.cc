#include "server/nlm4/lock_listing.h"

#include <span>
#include <utility>

#include "base/hash.h"
#include "server/nlm4/lock_table.h"

namespace strata::nlm4 {
namespace {

// Of ListedLock::id: no secret. Numbers that clash would only be of a client's own making, and on its own locks.
constexpr SipHashKey kNumberKey{0x7374726174616c6f, 0x636b2d6e756d6265};

}  // namespace

bool LockTable::Selects(const LockSelection& which, OwnerId owner) const {
  const Client& client = clients_[owners_[owner].client];
  return (!which.client || *which.client == client.name) && (!which.address || *which.address == client.address);
}

std::uint64_t LockTable::NumberOf(OwnerId id) const {
  const Owner& owner = owners_[id];
  const Client& client = clients_[owner.client];
  const std::string address = client.address.to_string();
  std::vector<std::byte> bytes;
  const auto add = [&bytes](ByteSpan text) {
    bytes.resize(bytes.size() + sizeof(std::uint64_t));
    StoreLe(bytes.data() + bytes.size() - sizeof(std::uint64_t), std::uint64_t{text.size()});
    bytes.insert(bytes.end(), text.begin(), text.end());
  };
  add(AsBytes(client.name));
  add(AsBytes(address));
  add(owner.handle);
  add(std::as_bytes(std::span(&owner.svid, 1)));
  return SipHash24(kNumberKey, bytes) | 1;
}

template <typename Visit>
void LockTable::VisitSelected(const FileKey& key, const File& file, const LockSelection& which, OwnerNumbers& numbers,
                              Visit visit) const {
  numbers.resize(owners_.size());
  const auto take = [&](OwnerId owner, ListedLock lock) STRATA_REQUIRES(mutex_) {
    if (!Selects(which, owner)) return;
    if (numbers[owner] == 0) numbers[owner] = NumberOf(owner);
    lock.volume = key.volume;
    lock.ino = key.ino;
    lock.svid = owners_[owner].svid;
    const std::uint64_t parts[] = {numbers[owner],
                                   key.volume,
                                   key.ino.value,
                                   key.generation.value,
                                   static_cast<std::uint64_t>(lock.mode) << 1 | (lock.waits ? 1 : 0),
                                   lock.first,
                                   lock.last,
                                   std::uint64_t{lock.access} << 32 | lock.deny,
                                   static_cast<std::uint64_t>(lock.since_ns)};
    lock.id = SipHash24(kNumberKey, std::as_bytes(std::span(parts)));
    if (!which.id || *which.id == lock.id) visit(lock, owner);
  };
  const auto mode = [](bool exclusive) { return exclusive ? ListedMode::kExclusive : ListedMode::kShared; };
  file.locks.ForEach([&](const RangeLock& lock) STRATA_REQUIRES(mutex_) {
    take(lock.owner,
         {.mode = mode(lock.exclusive), .first = lock.range.first, .last = lock.range.last, .since_ns = lock.since_ns});
  });
  for (const ShareMode& share : file.shares) {
    take(share.owner,
         {.mode = ListedMode::kReservation, .access = share.access, .deny = share.deny, .since_ns = share.since_ns});
  }
  for (const Waiter& waiter : file.waiters) {
    take(waiter.owner, {.mode = mode(waiter.exclusive),
                        .waits = true,
                        .first = waiter.range.first,
                        .last = waiter.range.last,
                        .since_ns = waiter.since_ns});
  }
}

LockListing LockTable::List(const LockSelection& which) const {
  constexpr std::uint32_t kNowhere = ~std::uint32_t{0};
  LockListing all;
  OwnerNumbers numbers;
  const MutexLock lock(mutex_);
  std::vector<std::uint32_t> places(clients_.size(), kNowhere);  // of clients, in the listing
  if (which == LockSelection{}) {
    std::size_t count = 0;
    for (const auto& [key, file] : files_) count += file->locks.size() + file->shares.size() + file->waiters.size();
    all.locks.reserve(count);
  }
  for (const auto& [key, file] : files_) {
    VisitSelected(key, *file, which, numbers, [&](ListedLock& listed, OwnerId owner) STRATA_REQUIRES(mutex_) {
      std::uint32_t& place = places[owners_[owner].client];
      if (place == kNowhere) {
        const Client& client = clients_[owners_[owner].client];
        place = static_cast<std::uint32_t>(all.clients.size());
        all.clients.push_back({client.name, client.address});
      }
      listed.client = place;
      all.locks.push_back(listed);
    });
  }
  return all;
}

std::size_t LockTable::ReleaseOfFile(const FileKey& key, File& file, const LockSelection& which,
                                     OwnerNumbers& numbers) {
  std::vector<std::pair<ListedLock, OwnerId>> found;
  VisitSelected(key, file, which, numbers,
                [&found](const ListedLock& lock, OwnerId owner) { found.emplace_back(lock, owner); });
  for (const auto& [lock, owner] : found) {
    const Range range{lock.first, lock.last};
    if (lock.mode == ListedMode::kReservation) {
      for (std::size_t i = file.shares.size(); i-- > 0;) {
        if (file.shares[i].owner == owner) DropShare(file, i);
      }
    } else if (lock.waits) {
      DropWaiter(file, FindWaiter(file, owner, range, lock.mode == ListedMode::kExclusive));
    } else {
      ClearRange(file, owner, range);
    }
  }
  return found.size();
}

std::size_t LockTable::ReleaseSelected(const LockSelection& which) {
  std::vector<Grant> grants;
  std::size_t released = 0;
  {
    const MutexLock lock(mutex_);
    OwnerNumbers numbers;
    for (auto at = files_.begin(); at != files_.end();) {
      const auto here = at++;
      const FileKey key = here->first;
      File& file = *here->second;
      const std::size_t of_file = ReleaseOfFile(key, file, which, numbers);
      if (of_file == 0) continue;
      released += of_file;
      GrantWaiting(key, file, grants);
      DropIfEmpty(key, file);
    }
  }
  Tell(std::move(grants));
  return released;
}

}  // namespace strata::nlm4
