#include "server/nlm4/handed_locks.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>

#include "server/handover_bytes.h"
#include "server/nlm4/lock_table.h"
#include "server/nlm4/protocol.h"

namespace strata::nlm4 {
namespace {

using Kind = HandedLocks::Kind;

constexpr std::uint32_t kAllModes = 3;

bool HasCallBack(Kind kind) { return kind == Kind::kWaits || kind == Kind::kUnconfirmed; }

void PutEntry(HandoverWriter& out, const HandedLocks::Entry& entry) {
  out.Put(static_cast<std::uint8_t>(entry.kind));
  out.Put(entry.file.volume);
  out.Put(entry.file.ino.value);
  out.Put(entry.file.generation.value);
  out.Put(entry.owner);
  out.Put(entry.since_ns);
  if (entry.kind == Kind::kShare) {
    out.Put(entry.access);
    out.Put(entry.deny);
    return;
  }
  out.Put(entry.range.first);
  out.Put(entry.range.last);
  out.Put<std::uint8_t>(entry.exclusive ? 1 : 0);
  if (!HasCallBack(entry.kind)) return;
  out.Text(entry.back.handle);
  out.Address(entry.back.local);
  out.Put<std::uint8_t>(entry.back.datagram ? 1 : 0);
  out.Put<std::uint8_t>(entry.back.message ? 1 : 0);
  out.Put(entry.grant);
}

bool ReadEntry(ByteReader& in, HandedLocks::Entry* entry) {
  const auto kind = in.Read<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(Kind::kUnconfirmed)) return false;
  entry->kind = static_cast<Kind>(kind);
  entry->file.volume = in.Read<std::uint64_t>();
  entry->file.ino = InodeNumber(in.Read<std::uint64_t>());
  entry->file.generation = Generation(in.Read<std::uint32_t>());
  entry->owner = in.Read<std::uint32_t>();
  entry->since_ns = in.Read<std::int64_t>();
  if (entry->kind == Kind::kShare) {
    entry->access = in.Read<std::uint32_t>();
    entry->deny = in.Read<std::uint32_t>();
    return in.ok() && entry->access <= kAllModes && entry->deny <= kAllModes;
  }
  entry->range.first = in.Read<std::uint64_t>();
  entry->range.last = in.Read<std::uint64_t>();
  entry->exclusive = in.Read<std::uint8_t>() != 0;
  if (!in.ok() || entry->range.first > entry->range.last) return false;
  if (!HasCallBack(entry->kind)) return true;
  entry->back.handle = ReadOwnBytes(in, kMaxObject);
  if (!ReadAddress(in, &entry->back.local)) return false;
  entry->back.datagram = in.Read<std::uint8_t>() != 0;
  entry->back.message = in.Read<std::uint8_t>() != 0;
  entry->grant = in.Read<std::uint64_t>();
  return in.ok();
}

std::unexpected<Status> Undecodable(std::string_view what) {
  return Fail(Errc::kCorrupt, "a server's locks do not decode: " + std::string(what));
}

}  // namespace

std::vector<std::byte> EncodeLocks(const HandedLocks& locks) {
  HandoverWriter out;
  out.Put(locks.next_grant);
  out.Put<std::uint8_t>(locks.recovering ? 1 : 0);
  out.Put(static_cast<std::uint32_t>(locks.owners.size()));
  for (const HandedLocks::Owner& owner : locks.owners) {
    out.Text(AsBytes(owner.name));
    out.Address(owner.address);
    out.Put(owner.svid);
    out.Text(owner.handle);
  }
  out.Put(static_cast<std::uint32_t>(locks.entries.size()));
  for (const HandedLocks::Entry& entry : locks.entries) PutEntry(out, entry);
  return out.Take();
}

Result<HandedLocks> DecodeLocks(ByteSpan bytes) {
  ByteReader in(bytes);
  HandedLocks locks;
  locks.next_grant = in.Read<std::uint64_t>();
  locks.recovering = in.Read<std::uint8_t>() != 0;
  // Each element is appended only once it was read whole: a count that is merely claimed costs nothing.
  const auto owners = in.Read<std::uint32_t>();
  for (std::uint32_t i = 0; i < owners; ++i) {
    HandedLocks::Owner owner;
    owner.name = ReadString(in, kMaxName);
    if (!ReadAddress(in, &owner.address)) return Undecodable("a client's address");
    owner.svid = in.Read<std::uint32_t>();
    owner.handle = ReadOwnBytes(in, kMaxObject);
    if (!in.ok()) return Undecodable("an owner is cut off");
    locks.owners.push_back(std::move(owner));
  }
  const auto entries = in.Read<std::uint32_t>();
  for (std::uint32_t i = 0; i < entries; ++i) {
    HandedLocks::Entry entry;
    if (!ReadEntry(in, &entry)) return Undecodable("a lock");
    if (entry.owner >= locks.owners.size()) return Undecodable("a lock's owner");
    locks.entries.push_back(std::move(entry));
  }
  if (!in.ok() || in.remaining() != 0) return Undecodable("their length");
  return locks;
}

// -- The table's part. --

HandedLocks LockTable::Export() const {
  HandedLocks handed;
  const MutexLock lock(mutex_);
  handed.next_grant = next_grant_;
  absl::flat_hash_map<OwnerId, std::uint32_t> places;
  const auto place = [&](OwnerId id) STRATA_REQUIRES(mutex_) {
    const auto [at, fresh] = places.try_emplace(id, static_cast<std::uint32_t>(handed.owners.size()));
    if (fresh) {
      const Owner& owner = owners_[id];
      const Client& client = clients_[owner.client];
      handed.owners.push_back({client.name, client.address, owner.svid, owner.handle});
    }
    return at->second;
  };
  using Kind = HandedLocks::Kind;
  for (const auto& [key, file] : files_) {
    const auto add = [&handed, &key = key](Kind kind, std::uint32_t owner, std::int64_t since) -> HandedLocks::Entry& {
      return handed.entries.emplace_back(
          HandedLocks::Entry{.kind = kind, .file = key, .owner = owner, .since_ns = since});
    };
    file->locks.ForEach([&](const RangeLock& held) STRATA_REQUIRES(mutex_) {
      HandedLocks::Entry& entry = add(Kind::kHeld, place(held.owner), held.since_ns);
      entry.range = held.range;
      entry.exclusive = held.exclusive;
    });
    for (const Waiter& waiter : file->waiters) {
      HandedLocks::Entry& entry = add(Kind::kWaits, place(waiter.owner), waiter.since_ns);
      entry.range = waiter.range;
      entry.exclusive = waiter.exclusive;
      entry.back = waiter.back;
    }
    for (const ShareMode& share : file->shares) {
      HandedLocks::Entry& entry = add(Kind::kShare, place(share.owner), share.since_ns);
      entry.access = share.access;
      entry.deny = share.deny;
    }
    for (const std::uint64_t id : file->pending) {
      const Pending& pending = pending_.find(id)->second;
      HandedLocks::Entry& entry = add(Kind::kUnconfirmed, place(pending.owner), 0);
      entry.range = pending.range;
      entry.exclusive = pending.exclusive;
      entry.back = pending.back;
      entry.grant = id;
    }
  }
  return handed;
}

void LockTable::Import(const HandedLocks& handed) {
  const MutexLock lock(mutex_);
  next_grant_ = std::max(next_grant_, handed.next_grant);
  for (const HandedLocks::Entry& entry : handed.entries) {
    const HandedLocks::Owner& who = handed.owners[entry.owner];
    const Caller caller{.name = who.name, .address = who.address, .svid = who.svid, .owner = who.handle};
    File* const known = FindFile(entry.file);
    const OwnerView view(caller);
    const auto found = FindOwner(view);
    if (entry.kind == HandedLocks::Kind::kUnconfirmed) {
      // Only of what is held: then its owner stays, and its end is the grant's.
      if (known == nullptr || !found || !known->locks.Holds(entry.range, entry.exclusive, *found)) continue;
      const bool fresh = pending_
                             .try_emplace(entry.grant, Pending{.file = entry.file,
                                                               .owner = *found,
                                                               .range = entry.range,
                                                               .exclusive = entry.exclusive,
                                                               .back = entry.back})
                             .second;
      if (fresh) known->pending.push_back(entry.grant);
      next_grant_ = std::max(next_grant_, entry.grant + 1);
      continue;
    }
    const auto make = [&]() STRATA_REQUIRES(mutex_) {
      const auto client = FindClient(caller.name, caller.address);
      return MakeOwner(client ? *client : MakeClient(caller), view);
    };
    const OwnerId owner = found ? *found : make();
    File& file = known != nullptr ? *known : NeedFile(entry.file);
    switch (entry.kind) {
      case HandedLocks::Kind::kHeld:
        SetRange(file, {entry.range, entry.exclusive, owner, entry.since_ns});
        break;
      case HandedLocks::Kind::kWaits:
        AddWaiter(file, {owner, entry.range, entry.exclusive, entry.since_ns, entry.back});
        break;
      case HandedLocks::Kind::kShare:
        AddShare(file, {owner, entry.access, entry.deny, entry.since_ns});
        break;
      case HandedLocks::Kind::kUnconfirmed:
        break;
    }
  }
}

std::vector<Grant> LockTable::AllUnconfirmed() const {
  const MutexLock lock(mutex_);
  std::vector<Grant> all;
  for (const auto& [id, pending] : pending_) all.push_back(MakeGrant(id, pending));
  return all;
}

}  // namespace strata::nlm4
